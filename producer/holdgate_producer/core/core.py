"""What the clients share: every open request, in the order of sending, until its answer or its end.

One lock guards the table of open requests and covers handing them to the link, so the order in the table is the
order on the wire. Futures are always completed without the lock: their callbacks may call back into the client.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Sequence
from time import monotonic

from holdgate_schema.codec import decode_answer
from holdgate_schema.errors import InvalidMessage

from .deadlines import Deadline, Deadlines
from .entry import Answers, Entry, failed, joined, running_future
from .errors import (
    Blocked,
    ClientClosed,
    ConnectionLost,
    Nacked,
    ProducerError,
    TimedOut,
    UnreadableAnswer,
    Unroutable,
)
from .link import Link, Request
from .stats import Stats

REPEATS_DOUBLED_MAX = 4
"""How often the pause between two repetitions is doubled."""


class Core:
    """The open requests of one client and what the link says about them (see `link.LinkEvents`)."""

    def __init__(self, link: Link, in_flight_max: int, repeat_seconds: float) -> None:
        self.stats = Stats()
        self._link = link
        self._max = in_flight_max
        self._repeat_seconds = repeat_seconds
        self._low_water = in_flight_max - max(1, in_flight_max // 8)
        self._lock = threading.Lock()
        self._connected = threading.Condition(self._lock)
        self._idle = threading.Condition(self._lock)
        self._earlier = threading.Condition(self._lock)
        self._open: dict[str, Entry] = {}
        self._deadlines = Deadlines()
        self._repeats = Deadlines()
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

    def take(self, requests: Sequence[Request], timeout_seconds: float, *, follow: bool = False) -> list[Answers]:
        """Send as many as there is room for, from the first on; raises `ClientClosed`.

        With `follow` a request that has two answers stays open until the second one.
        """
        deadline = monotonic() + timeout_seconds
        with self._lock:
            if self._closed:
                raise ClientClosed("the client is closed")
            if self._blocked_reason is not None:
                return []
            fresh: list[Request] = []
            taken: list[Answers] = []
            for request in requests:
                twin = self._open.get(request.request_id)
                if twin is not None:
                    taken.append(joined(twin, request, follow=follow))
                    continue
                if len(self._open) >= self._max:
                    break
                taken.append(self._add(request, deadline, follow=follow))
                fresh.append(request)
            self.stats.sent += len(fresh)
            if fresh and self._up:
                self._link.send(fresh)
        return taken

    def without_room(self, requests: Iterable[Request]) -> list[Answers]:
        """The futures of requests for which there was no room in time; they were not sent."""
        reason = self._blocked_reason
        why = f"the broker takes no requests: {reason}" if reason is not None else f"{self._max} are in flight"
        found = []
        for request in requests:
            text = f"request {request.request_id} was not sent: {why}"
            found.append(failed(Blocked(text, request_id=request.request_id)))
        return found

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
            entry.fail(ClientClosed(text, request_id=entry.request.request_id))
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
        self._not_taken(request_id, Unroutable(text, request_id=request_id))

    def nacked(self, request_id: str, detail: str) -> None:
        """Fail the request."""
        text = f"the broker did not take request {request_id}: {detail}"
        self._not_taken(request_id, Nacked(text, request_id=request_id))

    def answered(self, correlation_id: str, body: bytes, type_: str | None) -> None:
        """Complete what the answer completes, whatever was confirmed."""
        try:
            answer = decode_answer(body)
        except InvalidMessage as exc:
            text = f"the answer to {correlation_id} ({type_ or 'no type'}) cannot be read: {exc}"
            if not self._fail(correlation_id, UnreadableAnswer(text, request_id=correlation_id)):
                self.stats.late += 1
            return
        waiting: Sequence[Callable[[], None]] = ()
        with self._lock:
            entry = self._open.get(correlation_id)
            if entry is None:
                self.stats.late += 1
                return
            ready = entry.note(answer)
            if entry.is_over:
                del self._open[correlation_id]
                self.stats.answered += 1
                waiting = self._after_removal()
            elif ready:
                self._repeat_later(entry)
        _call_all(waiting)
        for future in ready:
            future.set_result(answer)

    # --- inside -------------------------------------------------------------------------------------------------

    def _add(self, request: Request, deadline: float, *, follow: bool) -> Answers:
        self._number += 1
        entry = self._open[request.request_id] = Entry(self._number, request, running_future())
        if follow:
            entry.follow()
        if self._deadlines.add((deadline, self._number, request.request_id), self._is_open, len(self._open)):
            self._earlier.notify()
        return entry.answers

    def _repeat_later(self, entry: Entry) -> None:
        """An answer that goes to a connection of the past is lost, and only a repetition brings it."""
        pause = self._repeat_seconds * 2.0 ** min(entry.repeats, REPEATS_DOUBLED_MAX)
        item = (monotonic() + pause, entry.number, entry.request.request_id)
        if self._repeats.add(item, self._is_open, len(self._open)):
            self._earlier.notify()

    def _repeat_due(self, now: float) -> None:
        due = []
        for _, _, request_id in self._repeats.take_due(now, self._is_open):
            entry = self._open[request_id]
            entry.repeats += 1
            due.append(entry)
        for entry in due:
            self._repeat_later(entry)
        if due and self._up and self._blocked_reason is None:
            self.stats.repeated += len(due)
            self._link.send([entry.request for entry in due])

    def _has_room(self, mark: int) -> bool:
        return self._blocked_reason is None and len(self._open) <= mark

    def _take_waiting(self) -> list[Callable[[], None]]:
        waiting, self._waiting_for_room = self._waiting_for_room, []
        return waiting

    def _remove(self, request_id: str) -> Entry | None:
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

    def _not_taken(self, request_id: str, error: ProducerError) -> None:
        entry = self._open.get(request_id)
        if entry is None or entry.waits_for_first:
            self._fail(request_id, error)
        # Else it was only a repetition: there will be others.

    def _fail(self, request_id: str, error: ProducerError) -> bool:
        entry = self._remove(request_id)
        if entry is not None:
            entry.fail(error)
        return entry is not None

    def _expire(self) -> None:
        while True:
            with self._lock:
                if self._closed:
                    return
                now = monotonic()
                due = [self._open.pop(item[2]) for item in self._deadlines.take_due(now, self._is_open)]
                if not due:
                    self._repeat_due(now)
                    pauses = [part.pause(now) for part in (self._deadlines, self._repeats)]
                    self._earlier.wait(min((pause for pause in pauses if pause is not None), default=None))
                    continue
                waiting = self._after_removal()
            _call_all(waiting)
            for entry in due:
                entry.fail(self._out_of_time(entry))

    def _is_open(self, item: Deadline) -> bool:
        entry = self._open.get(item[2])
        return entry is not None and entry.number == item[1]

    def _out_of_time(self, entry: Entry) -> TimedOut:
        self.stats.timed_out += 1
        request_id = entry.request.request_id
        which = "answer" if entry.waits_for_first else "second answer"
        text = f"no {which} in time; safe to send again with the same id, request {request_id}"
        if not self._up:
            return ConnectionLost(f"{text} (no connection: {self._down_detail})", request_id=request_id)
        if self._blocked_reason is not None:
            text += f" (the broker takes no requests: {self._blocked_reason})"
        return TimedOut(text, request_id=request_id, accepted=entry.accepted)


def _call_all(calls: Iterable[Callable[[], None]]) -> None:
    for call in calls:
        call()
