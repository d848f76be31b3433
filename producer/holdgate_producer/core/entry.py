"""One open request: which of its answers came, and which are still waited for."""

from __future__ import annotations

from collections.abc import Mapping
from concurrent.futures import Future
from dataclasses import dataclass
from typing import NamedTuple

from holdgate_schema.answers.holds import Answer, Reason, Refused
from holdgate_schema.answers.selling import CartHeld, Confirmed, Priced, Quoted
from holdgate_schema.errors import FieldError

from .errors import InvalidRequest, ProducerError
from .link import Request

AnswerFuture = Future[Answer]

SECOND_ANSWERS = (Quoted, Priced, Confirmed, CartHeld)
_SECOND_REASONS: Mapping[str, frozenset[Reason]] = {
    "hold.place.v1": frozenset((Reason.UNPRICED, Reason.HOLD_FINAL, Reason.HOLD_NOT_FOUND)),
    "hold.change.v1": frozenset((Reason.UNPRICED,)),
}
"""Refusals that are second answers even if the first one was lost: the basket is held, but has no price."""


class Answers(NamedTuple):
    """The futures of one request. `final` is `first` if the request has only one answer."""

    first: AnswerFuture
    final: AnswerFuture


@dataclass(slots=True, eq=False)
class Entry:
    """A request that waits for an answer. Guarded by the core's lock, but for the futures."""

    number: int
    request: Request
    first: AnswerFuture
    final: AnswerFuture | None = None
    accepted: bool = False
    repeats: int = 0
    waits_for_first: bool = True
    has_final: bool = False

    @property
    def answers(self) -> Answers:
        """What the caller gets."""
        return Answers(self.first, self.first if self.final is None else self.final)

    @property
    def is_over(self) -> bool:
        """Whether every answer came that somebody waits for."""
        return not self.waits_for_first and not self._waits_for_final

    @property
    def _waits_for_final(self) -> bool:
        return self.final is not None and not self.has_final

    def follow(self) -> None:
        """Wait for the second answer, too, if there is to be one."""
        if self.request.answers > 1 and self.final is None:
            self.final = running_future()

    def note(self, answer: Answer) -> list[AnswerFuture]:
        """Take an answer down; the futures that it completes, which are none if it only says something again."""
        is_first, is_final = self._what(answer)
        ready = []
        if is_first and self.waits_for_first:
            self.waits_for_first = False
            ready.append(self.first)
        if is_final and self._waits_for_final:
            assert self.final is not None
            self.has_final = True
            ready.append(self.final)
        return ready

    def _what(self, answer: Answer) -> tuple[bool, bool]:
        """Whether it is the first answer, and whether it is the final one."""
        if self.request.answers == 1:
            return True, True
        if isinstance(answer, SECOND_ANSWERS):
            return False, True
        if not isinstance(answer, Refused):
            return True, False
        if not self.waits_for_first:
            # These say something about a repetition or a message of somebody else's, not about this request.
            return False, not (answer.retryable or answer.reason is Reason.REQUEST_CONFLICT)
        return answer.reason not in _SECOND_REASONS.get(self.request.type, ()), True

    def fail(self, error: ProducerError) -> None:
        """End what is still waited for. Call without any lock, and only when the entry is in no table any more."""
        if self.waits_for_first:
            self.first.set_exception(error)
        if self._waits_for_final:
            assert self.final is not None
            self.final.set_exception(error)


def joined(twin: Entry, request: Request, *, follow: bool) -> Answers:
    """The same request sent twice at one time is one request; another body under its id is a bug."""
    if twin.request.body == request.body:
        if follow:
            twin.follow()
        return twin.answers
    error = FieldError("request_id", "is in flight with another body")
    return failed(InvalidRequest([error], request_id=request.request_id))


def failed(error: ProducerError) -> Answers:
    """The futures of a request that was not sent."""
    future: AnswerFuture = Future()
    future.set_exception(error)
    return Answers(future, future)


def running_future() -> AnswerFuture:
    """A future that cannot be cancelled: a request that is on its way cannot be called back."""
    future: AnswerFuture = Future()
    future.set_running_or_notify_cancel()
    return future
