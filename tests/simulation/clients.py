"""Clients: they publish with confirms, wait for an answer, and ask again under the same id until there is one."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from msgspec.structs import replace

from holdgate_schema.answers.holds import Answer, Held, HoldView
from holdgate_schema.codec import decode_answer
from holdgate_schema.commands.holds import (
    ChangeHold,
    CloseOccurrence,
    Command,
    ExtendHold,
    GetAvailability,
    PlaceHold,
    ReleaseHold,
    SetCapacity,
    SweepHolds,
)
from holdgate_schema.envelope import Properties
from holdgate_schema.routing import routing_key
from holdgate_schema.topology import REPLY_QUEUE_PREFIX, REQUESTS_EXCHANGE
from holdgate_workers.app.ports import Outgoing
from holdgate_workers.app.seals import SEAL_HEADER

from .broker import Publisher
from .buyers import Buyer
from .gate_worker import BREAKS
from .process import Site
from .requests import Request, expects_second, is_internal, occurrence_name, put_of, request_of
from .world import MS, SECOND


class Client:
    """One upstream service with one channel: what it sends arrives in its order."""

    def __init__(self, site: Site, number: int, share: int) -> None:
        self.site = site
        self.world = site.world
        self.number = number
        self.requests: list[Request] = []
        self._share = share
        self._extra = share if site.options.sells else 0
        self._ids = 0
        self._sent = 0
        self._publisher = Publisher(site.broker, 5 * SECOND)
        self._buyer = Buyer(self) if site.options.sells else None
        self._kinds: list[Callable[[], Command]] = [
            *[self._place] * (30 if site.options.sells else 12),
            self._availability,
            self._capacity,
            self._close,
            self._sweep,
        ]

    def begin(self) -> None:
        """The catalogue first, from one of them; then buyers."""
        if self.number == 0:
            for number in range(self.site.options.occurrences):
                self.send(
                    self.request(put_of(self.new_id(), number, self.site.options, self.site.options.capacity))
                )
        self.world.after(self.world.between(20 * MS, 300 * MS), self._next)

    @property
    def is_content(self) -> bool:
        """Whether everything it asked was answered."""
        return self._share == 0 and all(request.is_answered for request in self.requests)

    def hush(self) -> None:
        """Ask nothing new."""
        self._share = self._extra = 0

    # --- what it asks -------------------------------------------------------------------------------------------

    def new_id(self) -> str:
        """A request id."""
        self._ids += 1
        return f"c0000000-0000-4000-8000-{self.number:04x}{self._ids:08x}"

    def _next(self) -> None:
        if self._share <= 0:
            return
        options = self.site.options
        for _ in range(min(self._share, options.burst)):
            self._share -= 1
            self._ask()
        self.world.after(self.world.between(0, 2 * options.interval * options.burst), self._next)

    def _ask(self) -> None:
        world, options = self.world, self.site.options
        command = self._buyer.command() if self._buyer is not None else None
        request = self.request(command or world.choice(self._kinds)())
        if request.kind == "hold.place.v1" and world.chance(options.p_poison):
            self._spoil(request)
        other = None
        if request.kind == "hold.place.v1" and not request.poison and world.chance(options.p_other_body):
            command = PlaceHold(**request.fields)
            items = {"adult": 1 + sum(command.items.values())}
            other = self.request(replace(command, items=items), correlation=f"{request.id}#2")
        if other is not None and world.chance(0.5):
            request, other = other, request
        self.send(request)
        if world.chance(options.p_duplicate):
            self.send(request)
        if other is not None:
            world.after(world.choice((0, 50 * MS, 500 * MS)), self.send, other)
        session_id = request.fields.get("session_id")
        if request.kind == "hold.place.v1" and not request.poison and session_id and world.chance(0.1):
            self._release(request.id, request.occurrence_id, session_id)

    def occurrence(self) -> str:
        """One of those that there are."""
        return occurrence_name(self.world.between(0, self.site.options.occurrences))

    def basket(self) -> tuple[dict[str, int], dict[str, int]]:
        """Something to want."""
        world = self.world
        items = {"adult": world.between(1, 4)} if world.chance(0.8) else {}
        if not items or world.chance(0.3):
            items["child"] = world.between(1, 3)
        extras = {}
        if world.chance(0.15):
            extras["dinner"] = 1
        if world.chance(0.25):
            extras["wine"] = world.between(1, 3)
        return items, extras

    def _place(self) -> PlaceHold:
        items, extras = self.basket()
        world, options = self.world, self.site.options
        return PlaceHold(
            request_id=self.new_id(),
            occurrence_id=self.occurrence(),
            items=items,
            extras=extras,
            session_id=None if world.chance(0.05) else f"session-{world.between(0, options.sessions)}",
            ttl_seconds=None if world.chance(0.1) else world.choice(options.ttl_seconds),
            pricing=self._buyer.pricing() if self._buyer is not None else None,
        )

    def _availability(self) -> GetAvailability:
        return GetAvailability(request_id=self.new_id(), occurrence_id=self.occurrence())

    def _capacity(self) -> SetCapacity:
        capacity = self.world.between(0, self.site.options.capacity + 3)
        return SetCapacity(request_id=self.new_id(), occurrence_id=self.occurrence(), capacity=capacity)

    def _close(self) -> CloseOccurrence:
        occurrence_id = self.occurrence()
        number = int(occurrence_id.rpartition("-")[2])
        capacity = self.world.between(1, self.site.options.capacity + 3)
        again = self.request(put_of(self.new_id(), number, self.site.options, capacity))
        self.world.after(self.world.between(0, 200 * MS), self.send, again)
        return CloseOccurrence(request_id=self.new_id(), occurrence_id=occurrence_id)

    def _sweep(self) -> SweepHolds:
        return SweepHolds(request_id=self.new_id(), occurrence_id=self.occurrence(), holds_max=1)

    def _spoil(self, request: Request) -> None:
        how = self.world.choice(("unreadable", "broken", "cursed", "breaks"))
        if how == "broken":
            request.body = request.body.replace(b'"items":{', b'"items":{"adult":-1,"x":0,')
            request.broken = True
            return
        request.poison = how
        if how == "unreadable":
            request.body = request.body[:-3]
        elif how == "cursed":
            self.site.database.cursed.add(request.id)
        else:
            command = replace(PlaceHold(**request.fields), session_id=BREAKS)
            request.body = request_of(command, 0).body

    # --- what it does with a hold -------------------------------------------------------------------------------

    def _follow_up(self, hold: HoldView) -> None:
        """Some holds are changed or extended, most are given back: soon, or just when their time is over."""
        world = self.world
        left = (hold.expires_at - self.site.database.clock()).total_seconds() * SECOND
        delay = world.between(0, 200 * MS)
        if world.chance(0.4) and 0 < left < 5 * SECOND:
            delay = max(0, int(left) + world.between(-150 * MS, 30 * MS))
        world.after(delay, self._touch, hold)

    def _touch(self, hold: HoldView) -> None:
        if self._share <= 0:
            return
        self._share -= 1
        dice = self.world.random.random()
        about: dict[str, Any] = {
            "request_id": self.new_id(),
            "occurrence_id": hold.occurrence_id,
            "session_id": hold.session_id if dice > 0.03 else "session-of-somebody-else",
            "hold_id": hold.hold_id,
        }
        if dice < 0.25:
            items, extras = self.basket()
            self.send(self.request(ChangeHold(**about, items=items, extras=extras)))
        elif dice < 0.4:
            self.send(self.request(ExtendHold(**about)))
        else:
            self.send(self.request(ReleaseHold(**about)))
        if dice < 0.3:
            self._follow_up(hold)

    def _release(self, hold_id: str, occurrence_id: str, session_id: str) -> None:
        command = ReleaseHold(
            request_id=self.new_id(), occurrence_id=occurrence_id, session_id=session_id, hold_id=hold_id
        )
        self.send(self.request(command))

    # --- sending and hearing ------------------------------------------------------------------------------------

    def request(self, command: Command, *, correlation: str | None = None) -> Request:
        """A request that everybody knows of."""
        request = request_of(command, self.number, correlation=correlation)
        request.sealed = not is_internal(command)
        self.requests.append(request)
        return request

    def send(self, request: Request) -> None:
        """Publish it, and come back to it if no answer does."""
        self.site.oracle.know(request)
        if request.publishes == 0:
            self._sent += 1
            request.seq = self._sent
        request.publishes += 1
        self.world.note("asks", self.number, request.kind, request.correlation, request.publishes)
        properties = Properties(
            message_id=request.id,
            correlation_id=request.correlation,
            reply_to=f"{REPLY_QUEUE_PREFIX}{self.number}",
            headers={} if request.sealed else {SEAL_HEADER: "0" * 64},
        )
        message = Outgoing(
            exchange=REQUESTS_EXCHANGE,
            routing_key=routing_key(request.occurrence_id),
            body=request.body,
            properties=properties,
            mandatory=True,
        )
        self._publisher.publish([message], partial(self._told, request))
        patience = self.world.between(600 * MS, 1500 * MS) * min(request.publishes, 3)
        self.world.after(patience, self._look_after, request, request.publishes)

    def _told(self, request: Request, confirmed: bool) -> None:
        request.confirmed = request.confirmed or confirmed

    def _look_after(self, request: Request, publishes: int) -> None:
        if not request.is_answered and request.publishes == publishes:
            self.send(request)

    def hear(self, message: Outgoing) -> None:
        """An answer arrives."""
        request = self.site.oracle.heard(message)
        if request.is_answered:
            return
        answer = decode_answer(message.body)
        if answer.request_id not in (request.id, ""):
            if request.second is not None:
                return
            request.second = message.body
        elif request.answer is None:
            request.answer = message.body
            request.expects_second = expects_second(request, answer)
        else:
            return
        self._go_on(request, answer)

    def _go_on(self, request: Request, answer: Answer) -> None:
        if self._buyer is not None:
            self._buyer.hear(answer)
        if isinstance(answer, Held) and (request.fields["pricing"] is None or self.world.chance(0.3)):
            self._follow_up(answer.hold)

    def spend(self) -> bool:
        """Whether it may ask one thing more, which follows from what it asked before."""
        self._extra -= 1
        return self._extra >= 0
