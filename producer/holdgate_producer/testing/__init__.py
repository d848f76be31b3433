"""A test double for your own tests: the real client, over a gate in memory.

    from holdgate_producer import BookingClient
    from holdgate_producer.testing import FakeGate
    from holdgate_schema.answers.holds import Held, Reason, Refused

    def test_checkout_tells_the_buyer_that_it_is_sold_out():
        gate = FakeGate(capacity={"occ-1": 2})
        with BookingClient(link=gate) as client:
            assert isinstance(client.place("occ-1", {"adult": 2}), Held)
            answer = client.place("occ-1", {"adult": 1})
        assert isinstance(answer, Refused)
        assert answer.reason is Reason.SOLD_OUT
        assert len(gate.requests) == 2

What it does like Holdgate: it grants and refuses by counting seats, gives released and expired seats back,
answers a request id that it knows with the same answer again (with another body: `request_conflict`), and lets
nobody touch another session's hold. With `prices` it also prices, sells and cancels, holds carts and keeps a waiting
list. What it does not know: products with rules, fees, vouchers, pools other than `total`, limits, and offers to
whoever waits. Its time stands still until `advance`.

What goes wrong in production can be played:

    gate.refuse_next(Reason.SOLD_OUT)  the next request is refused, whatever is free
    gate.drop_next_answer()            the next request is decided, but its answer is lost: the call times out
    gate.hold_back_second_answers()    prices and orders take their time, until `gate.send_second_answers()`
    gate.fail_next_order("no stock")   the shop does not take the next order
    gate.nack_next()                   the broker does not take the next request
    gate.unroutable_next()             nobody works the next request's occurrence
    gate.go_down(); gate.come_up()     the connection is lost, and is back; open requests are sent again
    gate.block(); gate.unblock()       the broker takes no requests (memory or disk alarm)

For `availability(…, cached=True)` see `FakeCache`.
"""

from __future__ import annotations

import queue
import threading
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from holdgate_producer.core.ids import new_request_id
from holdgate_producer.core.link import LinkEvents, Request
from holdgate_schema.answers.holds import Answer, Availability, Reason, Refused, answer_type
from holdgate_schema.codec import decode_command, encode
from holdgate_schema.commands.holds import Command, GetAvailability, GetHold
from holdgate_schema.commands.selling import GetBooking, GetWaitlistEntry

from .cache import FakeCache
from .house import FakeHouse

__all__ = ["FakeCache", "FakeGate"]

REPLY_ADDRESS = "holdgate.reply.fake"

_Fate = Callable[[Request], None]


@dataclass
class _Recorded:
    """What was answered to a request, and how much of it may be told yet."""

    fingerprint: bytes
    answers: list[tuple[bytes, str]]
    told: int


class FakeGate:
    """A `Link` that answers by itself. Safe to use from several threads; see the module for what it does.

    `capacity` gives the occurrences that exist and their seats; `occurrence.put` makes more. `prices` says what a
    ticket or an extra costs, in cents. With `connected=False` it is down until `come_up`. One gate serves one client.
    """

    def __init__(
        self,
        capacity: Mapping[str, int] | None = None,
        *,
        prices: Mapping[str, int] | None = None,
        connected: bool = True,
    ) -> None:
        self._house = FakeHouse(capacity or {}, prices)
        self._connected = connected
        self._events: LinkEvents | None = None
        self._work: queue.SimpleQueue[Callable[[], None] | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._run, name="holdgate-fake-gate", daemon=True)
        self._arrived = threading.Condition()
        self._requests: list[Command] = []
        self._journal: dict[str, _Recorded] = {}
        self._holds_back = False
        self._held_back: list[str] = []
        self._fates: deque[_Fate] = deque()
        self._refusals: deque[tuple[Reason, dict[str, Any]]] = deque()
        self._is_blocked = False
        self._kept: list[Request] = []
        self._life = 0
        self._closed = False

    # --- what a test sees and does ------------------------------------------------------------------------------

    @property
    def requests(self) -> list[Command]:
        """Every command that arrived, repeats included, in the order of arrival."""
        with self._arrived:
            return list(self._requests)

    def wait_for_requests(self, count: int, timeout_seconds: float = 5.0) -> list[Command]:
        """The commands, once that many have arrived; raises `TimeoutError` if they do not."""
        with self._arrived:
            if not self._arrived.wait_for(lambda: len(self._requests) >= count, timeout_seconds):
                raise TimeoutError(f"{len(self._requests)} of {count} requests arrived")
            return list(self._requests)

    def available(self, occurrence_id: str) -> int | None:
        """The seats that are left."""
        return self._house.occurrences[occurrence_id].available["total"]

    def availability(self, occurrence_id: str) -> Availability:
        """What the gate would answer now; raises `KeyError` if it has no such occurrence."""
        if occurrence_id not in self._house.occurrences:
            raise KeyError(occurrence_id)
        told: list[Answer] = []
        command = GetAvailability(request_id=new_request_id(), occurrence_id=occurrence_id)
        self._do_and_wait(lambda: told.append(self._house.decide(command)))
        (answer,) = told
        assert isinstance(answer, Availability)
        return answer

    def advance(self, seconds: float) -> None:
        """Let time pass: holds that are due no longer take seats."""
        self._do_and_wait(lambda: self._advance(seconds))

    def refuse_next(self, reason: Reason, **fields: Any) -> None:
        """Refuse the next new request; `fields` are further fields of `Refused`. May be called several times."""
        self._do_and_wait(lambda: self._refusals.append((reason, fields)))

    def drop_next_answer(self) -> None:
        """Decide the next request and lose its answer."""
        self._fate(self._decide_silently)

    def hold_back_second_answers(self) -> None:
        """Tell no second answer until `send_second_answers`."""
        self._do_and_wait(lambda: self._hold_back(is_on=True))

    def send_second_answers(self) -> None:
        """Tell those that were held back, and further ones at once."""
        self._do_and_wait(lambda: self._hold_back(is_on=False))

    def fail_next_order(self, message: str = "the shop is closed") -> None:
        """Let the shop refuse the next order."""
        self._do_and_wait(lambda: self._house.selling.failures.append(message))

    def nack_next(self, detail: str = "queue is full") -> None:
        """Do not take the next request."""
        self._fate(lambda request: self._tell().nacked(request.request_id, detail))

    def unroutable_next(self, detail: str = "312 NO_ROUTE") -> None:
        """Have no queue for the next request."""
        self._fate(lambda request: self._tell().unroutable(request.request_id, detail))

    def go_down(self, detail: str = "the test pulled the plug") -> None:
        """Lose the connection; returns when the client knows."""
        self._do_and_wait(lambda: self._go_down(detail))

    def come_up(self) -> None:
        """Have a connection again; returns when the client knows."""
        self._do_and_wait(self._come_up)

    def block(self, reason: str = "low on memory") -> None:
        """Take no requests for now; returns when the client knows."""
        self._do_and_wait(lambda: self._block(reason))

    def unblock(self) -> None:
        """Take requests again; returns when the client knows."""
        self._do_and_wait(self._unblock)

    # --- Link ---------------------------------------------------------------------------------------------------

    def open(self, events: LinkEvents) -> None:
        """Start, and be up at once unless told otherwise."""
        self._events = events
        if self._connected:
            self._work.put(lambda: events.up(REPLY_ADDRESS))
        self._thread.start()

    def send(self, requests: Sequence[Request]) -> None:
        """Work on them on the gate's own thread."""
        kept, life = list(requests), self._life
        self._work.put(lambda: self._arrive(kept, life))

    def close(self) -> None:
        """Stop the thread. What the gate remembers stays readable."""
        with self._arrived:
            first, self._closed = not self._closed, True
        if first:
            self._work.put(None)
        if self._thread.is_alive() and threading.current_thread() is not self._thread:
            self._thread.join()

    # --- the gate's thread --------------------------------------------------------------------------------------

    def _run(self) -> None:
        while (work := self._work.get()) is not None:
            work()

    def _do_and_wait(self, work: Callable[[], None]) -> None:
        if not self._thread.is_alive() or threading.current_thread() is self._thread:
            work()
            return
        done = threading.Event()
        self._work.put(work)
        self._work.put(done.set)
        done.wait(5.0)

    def _fate(self, fate: _Fate) -> None:
        self._do_and_wait(lambda: self._fates.append(fate))

    def _tell(self) -> LinkEvents:
        assert self._events is not None, "the gate is not open yet"
        return self._events

    def _advance(self, seconds: float) -> None:
        self._house.now += timedelta(seconds=seconds)

    def _go_down(self, detail: str) -> None:
        self._connected = False
        self._is_blocked = False
        if self._events is not None:
            self._events.down(detail)
        self._life += 1
        self._kept.clear()

    def _come_up(self) -> None:
        self._connected = True
        if self._events is not None:
            self._events.up(REPLY_ADDRESS)

    def _block(self, reason: str) -> None:
        self._is_blocked = True
        self._tell().blocked(reason)

    def _unblock(self) -> None:
        self._is_blocked = False
        self._tell().unblocked()
        kept, self._kept = self._kept, []
        self._arrive(kept, self._life)

    def _arrive(self, requests: Sequence[Request], life: int) -> None:
        """What was sent over a connection that is gone does not arrive."""
        if not self._connected or life != self._life:
            return
        for request in requests:
            if self._is_blocked:
                self._kept.append(request)
            else:
                fate = self._fates.popleft() if self._fates else self._work_on
                fate(request)

    def _work_on(self, request: Request) -> None:
        self._confirm(request)
        for body, type_ in self._decide(request):
            self._tell().answered(request.request_id, body, type_)

    def _decide_silently(self, request: Request) -> None:
        self._confirm(request)
        self._decide(request)

    def _confirm(self, request: Request) -> None:
        self._tell().confirmed(request.request_id)

    def _hold_back(self, *, is_on: bool) -> None:
        self._holds_back = is_on
        for request_id in self._held_back if not is_on else ():
            recorded = self._journal[request_id]
            for body, type_ in recorded.answers[recorded.told :]:
                self._tell().answered(request_id, body, type_)
            recorded.told = len(recorded.answers)
        if not is_on:
            self._held_back.clear()

    def _decide(self, request: Request) -> list[tuple[bytes, str]]:
        command, fingerprint = decode_command(request.body)
        with self._arrived:
            self._requests.append(command)
            self._arrived.notify_all()
        known = self._journal.get(command.request_id)
        if known is not None and known.fingerprint == fingerprint:
            return known.answers[: known.told]
        if known is not None:
            return [_encoded(self._house.refuse(command, Reason.REQUEST_CONFLICT))]
        answers = self._answers(command)
        encoded = [_encoded(answer) for answer in answers]
        told = 1 if self._holds_back else len(encoded)
        if _is_recorded(command, answers[0]):
            self._journal[command.request_id] = _Recorded(fingerprint, encoded, told)
            if told < len(encoded):
                self._held_back.append(command.request_id)
        return encoded[:told]

    def _answers(self, command: Command) -> list[Answer]:
        if self._refusals:
            reason, fields = self._refusals.popleft()
            return [self._house.refuse(command, reason, **fields)]
        return self._house.answers(command)


def _encoded(answer: Answer) -> tuple[bytes, str]:
    return encode(answer), answer_type(answer)


def _is_recorded(command: Command, answer: Answer) -> bool:
    """Reads and answers that a retry may change leave no record."""
    if isinstance(command, GetAvailability | GetBooking | GetHold | GetWaitlistEntry):
        return False
    return not (isinstance(answer, Refused) and answer.retryable)
