"""Answers as the kinds that their commands lead to."""

from __future__ import annotations

import asyncio
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Generic, TypeVar

from holdgate_schema.answers.holds import Answer, Refused

from .entry import AnswerFuture, running_future
from .errors import UnreadableAnswer

A = TypeVar("A", bound=Answer)
F = TypeVar("F", bound=Answer)
S = TypeVar("S", bound=Answer)


def expect(answer: Answer, kind: type[A]) -> A | Refused:
    """The answer as the kind that the command leads to; raises `UnreadableAnswer` for any other."""
    if isinstance(answer, kind | Refused):
        return answer
    text = f"request {answer.request_id} was answered with {type(answer).__name__} instead of {kind.__name__}"
    raise UnreadableAnswer(text, request_id=answer.request_id)


@dataclass(slots=True, frozen=True)
class TwoAnswers(Generic[F, S]):
    """A request that is answered twice. Both futures end within the request's timeout.

    `first.result()` is what was decided at once, `final.result()` what came of it. After a refusal at first both are
    that refusal.
    """

    request_id: str
    first: Future[F | Refused]
    final: Future[S | Refused]


@dataclass(slots=True, frozen=True)
class AsyncTwoAnswers(Generic[F, S]):
    """The same for asyncio: `await answers.first`, `await answers.final`."""

    request_id: str
    first: asyncio.Future[F | Refused]
    final: asyncio.Future[S | Refused]


def typed(future: AnswerFuture, kind: type[A]) -> Future[A | Refused]:
    """A future of the expected kind; it fails as the other one does, and with `UnreadableAnswer` for another kind."""
    found: Future[A | Refused] = running_future()  # type: ignore[assignment]  # nothing is in it yet

    def pass_on(done: AnswerFuture) -> None:
        try:
            found.set_result(expect(done.result(), kind))
        except Exception as exc:  # noqa: BLE001 - the other future's, or that of an unexpected kind
            found.set_exception(exc)

    future.add_done_callback(pass_on)
    return found
