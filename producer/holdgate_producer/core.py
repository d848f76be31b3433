"""What the clients share: every open request, in the order of sending, until its answer or its end.

One lock guards the table of open requests and covers handing them to the link, so the order in the table is the
order on the wire. Futures are always completed without the lock: their callbacks may call back into the client.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from time import monotonic

from holdgate_schema.codec import decode_answer
from holdgate_schema.errors import FieldError, InvalidMessage
from holdgate_schema.outcomes import Answer

from .deadlines import Deadline, Deadlines
from .errors import (
    Blocked,
    ClientClosed,
    ConnectionLost,
    InvalidRequest,
    Nacked,
    ProducerError,
    TimedOut,
    UnreadableAnswer,
    Unroutable,
)
from .link import Link, Request

AnswerFuture = Future[Answer]


@dataclass(slots=True)
class Stats:
    """What a client has counted since it was made."""

    sent: int = 0
    resent: int = 0
    answered: int = 0
    late: int = 0
    """Answers that nobody waited for any more."""
    timed_out: int = 0
    connects: int = 0


@dataclass(slots=True, eq=False)
class _Open:
    """A request without an answer."""

    number: int
    request: Request
    future: AnswerFuture
    accepted: bool = False


class Core:
    """The open requests of one client and what the link says about them (see `link.LinkEvents`)."""

    def __init__(self, link: Link, in_flight_max: int) -> None:
        self.stats = Stats()
        self._link = link
        self._max = in_flight_max
        self._low_water = in_flight_max - max(1, in_flight_max // 8)
        self._lock = threading.Lock()
        self._connected = threading.Condition(self._lock)
        self._idle = threading.Condition(self._lock)
        self._earlier = threading.Condition(self._lock)
        self._open: dict[str, _Open] = {}
        self._deadlines = Deadlines()
        self._number = 0
        self._waiting_for_room: list[Callable[[], None]] = []
        self._up = False
        self._down_detail = "not connected yet"
        self._blocked_reason: str | None = None
        self._closed = False
        self._timer = threading.Thread(target=self._expire, name="holdgate-timeouts", daemon=True)
        self._timer.start()
        link.open(self)

    # --- the callers' side --------------------------------------------------------------------------------------

    @property
    def in_flight(self) -> int:
        """How many requests are open."""
        return len(self._open)

    @property
    def is_blocked(self) -> bool:
        """Whether the far side takes no requests at the moment."""
        return self._blocked_reason is not None

    def take(self, requests: Sequence[Request], timeout_seconds: float) -> list[AnswerFuture]:
        """Send as many as there is room for, from the first on; raises `ClientClosed`."""
        deadline = monotonic() + timeout_seconds
        with self._lock:
            if self._closed:
                raise ClientClosed("the client is closed")
            if self._blocked_reason is not None:
                return []
            fresh: list[Request] = []
            futures: list[AnswerFuture] = []
            for request in requests:
                twin = self._open.get(request.request_id)
                if twin is not None:
                    futures.append(_joined(twin, request))
                    continue
                if len(self._open) >= self._max:
                    break
                futures.append(self._add(request, deadline))
                fresh.append(request)
            self.stats.sent += len(fresh)
            if fresh and self._up:
                self._link.send(fresh)
        return futures

    def without_room(self, requests: Iterable[Request]) -> list[AnswerFuture]:
        """The futures of requests for which there was no room in time; they were not sent."""
        reason = self._blocked_reason
        why = f"the broker takes no requests: {reason}" if reason is not None else f"{self._max} are in flight"
        futures = []
        for request in requests:
            text = f"request {request.request_id} was not sent: {why}"
            futures.append(_failed(Blocked(text, request_id=request.request_id)))
        return futures

    def when_room(self, call: Callable[[], None]) -> None:
        """Call once when there may be room again, on any thread, perhaps at once."""
        with self._lock:
            if not self._closed and not self._has_room(self._max - 1):
                self._waiting_for_room.append(call)
                return
        call()

    def wait_up(self, timeout_seconds: float) -> None:
        """Wait for a connection; raises `ConnectionLost` with the reason, or `ClientClosed`."""
        with self._lock:
            self._connected.wait_for(lambda: self._up or self._closed, timeout_seconds)
            if self._closed:
                raise ClientClosed("the client is closed")
            if not self._up:
                raise ConnectionLost(f"no connection within {timeout_seconds:g} s: {self._down_detail}")

    def close(self, wait_seconds: float = 0.0) -> None:
        """Wait so long until nothing is open, then hang up; the rest fails with `ClientClosed`. Idempotent."""
        if wait_seconds > 0:
            with self._lock:
                self._idle.wait_for(lambda: not self._open or self._closed, wait_seconds)
        with self._lock:
            if self._closed:
                return
            self._closed = True
            self._up = False
            left = list(self._open.values())
            self._open.clear()
            waiting = self._take_waiting()
            for condition in (self._connected, self._idle, self._earlier):
                condition.notify_all()
        self._link.close()
        for entry in left:
            text = f"the client was closed before the answer to {entry.request.request_id} came"
            entry.future.set_exception(ClientClosed(text, request_id=entry.request.request_id))
        _call_all(waiting)
        if threading.current_thread() is not self._timer:
            self._timer.join()

    # --- the link's side ----------------------------------------------------------------------------------------

    def up(self, reply_address: str) -> None:  # noqa: ARG002  (the link puts the address on each request)
        """Send everything that is open again, in the original order."""
        with self._lock:
            if self._closed:
                return
            self._up = True
            self._blocked_reason = None
            again = [entry.request for entry in self._open.values()]
            if again:
                self._link.send(again)
            if self.stats.connects:
                self.stats.resent += len(again)
            self.stats.connects += 1
            waiting = self._take_waiting()
            self._connected.notify_all()
        _call_all(waiting)

    def down(self, detail: str) -> None:
        """Keep what is open for the next connection."""
        with self._lock:
            self._up = False
            self._down_detail = detail
            self._blocked_reason = None
            for entry in self._open.values():
                entry.accepted = False
            waiting = self._take_waiting()
        _call_all(waiting)

    def blocked(self, reason: str) -> None:
        """Take no new requests."""
        with self._lock:
            self._blocked_reason = reason

    def unblocked(self) -> None:
        """Take requests again."""
        with self._lock:
            self._blocked_reason = None
            waiting = self._take_waiting()
        _call_all(waiting)

    def confirmed(self, request_id: str) -> None:
        """Remember that the broker has it."""
        entry = self._open.get(request_id)
        if entry is not None:
            entry.accepted = True

    def unroutable(self, request_id: str, detail: str) -> None:
        """Fail the request."""
        text = f"request {request_id} is unroutable: {detail}"
        self._fail(request_id, Unroutable(text, request_id=request_id))

    def nacked(self, request_id: str, detail: str) -> None:
        """Fail the request."""
        text = f"the broker did not take request {request_id}: {detail}"
        self._fail(request_id, Nacked(text, request_id=request_id))

    def answered(self, correlation_id: str, body: bytes, type_: str | None) -> None:
        """Complete the request, whatever was confirmed."""
        entry = self._remove(correlation_id)
        if entry is None:
            self.stats.late += 1
            return
        try:
            answer = decode_answer(body)
        except InvalidMessage as exc:
            text = f"the answer to {correlation_id} ({type_ or 'no type'}) cannot be read: {exc}"
            entry.future.set_exception(UnreadableAnswer(text, request_id=correlation_id))
        else:
            self.stats.answered += 1
            entry.future.set_result(answer)

    # --- inside -------------------------------------------------------------------------------------------------

    def _add(self, request: Request, deadline: float) -> AnswerFuture:
        future: AnswerFuture = Future()
        # A request that is on its way cannot be called back, so neither can its future.
        future.set_running_or_notify_cancel()
        self._number += 1
        self._open[request.request_id] = _Open(self._number, request, future)
        if self._deadlines.add((deadline, self._number, request.request_id), self._is_open, len(self._open)):
            self._earlier.notify()
        return future

    def _has_room(self, mark: int) -> bool:
        return self._blocked_reason is None and len(self._open) <= mark

    def _take_waiting(self) -> list[Callable[[], None]]:
        waiting, self._waiting_for_room = self._waiting_for_room, []
        return waiting

    def _remove(self, request_id: str) -> _Open | None:
        with self._lock:
            entry = self._open.pop(request_id, None)
            waiting = self._after_removal()
        _call_all(waiting)
        return entry

    def _after_removal(self) -> Sequence[Callable[[], None]]:
        if not self._open:
            self._idle.notify_all()
        # Waking at the low-water mark instead of at each free place spares a thread switch per answer.
        if self._waiting_for_room and self._has_room(self._low_water):
            return self._take_waiting()
        return ()

    def _fail(self, request_id: str, error: ProducerError) -> None:
        entry = self._remove(request_id)
        if entry is not None:
            entry.future.set_exception(error)

    def _expire(self) -> None:
        while True:
            with self._lock:
                if self._closed:
                    return
                now = monotonic()
                due = [self._open.pop(item[2]) for item in self._deadlines.take_due(now, self._is_open)]
                if not due:
                    self._earlier.wait(self._deadlines.pause(now))
                    continue
                waiting = self._after_removal()
            _call_all(waiting)
            for entry in due:
                entry.future.set_exception(self._out_of_time(entry))

    def _is_open(self, item: Deadline) -> bool:
        entry = self._open.get(item[2])
        return entry is not None and entry.number == item[1]

    def _out_of_time(self, entry: _Open) -> TimedOut:
        self.stats.timed_out += 1
        request_id = entry.request.request_id
        text = f"no answer in time; safe to send again with the same id, request {request_id}"
        if not self._up:
            return ConnectionLost(f"{text} (no connection: {self._down_detail})", request_id=request_id)
        if self._blocked_reason is not None:
            text += f" (the broker takes no requests: {self._blocked_reason})"
        return TimedOut(text, request_id=request_id, accepted=entry.accepted)


def _joined(twin: _Open, request: Request) -> AnswerFuture:
    """The same request sent twice at one time is one request; another body under its id is a bug."""
    if twin.request.body == request.body:
        return twin.future
    error = FieldError("request_id", "is in flight with another body")
    return _failed(InvalidRequest([error], request_id=request.request_id))


def _failed(error: ProducerError) -> AnswerFuture:
    future: AnswerFuture = Future()
    future.set_exception(error)
    return future


def _call_all(calls: Iterable[Callable[[], None]]) -> None:
    for call in calls:
        call()
