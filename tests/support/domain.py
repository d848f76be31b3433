"""A small world for tests of the domain: builders for commands, and a house that decides and applies them.

Nothing here reads a clock or makes up an id. A `House` checks after every command what must hold after every
command, against an account that it keeps by itself, so a test that only tells a story still proves the sums.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar

import msgspec
from msgspec.structs import replace

from holdgate_schema.answers.holds import Answer, Changed, Held, HoldState, HoldView, Reason, Refused
from holdgate_schema.codec import decode_answer, decode_event, encode
from holdgate_schema.commands.holds import (
    ChangeHold,
    CloseOccurrence,
    Command,
    ExtendHold,
    GetAvailability,
    PlaceHold,
    PutOccurrence,
    ReleaseHold,
    SetCapacity,
    SweepHolds,
    TicketType,
)
from holdgate_schema.events.holds import Event, HoldChanged, HoldCreated, HoldExpired, HoldExtended, HoldReleased
from holdgate_schema.events.selling import CartLegRefused
from holdgate_workers.domain.decide import decide
from holdgate_workers.domain.decision import Claim, Context, Decision, LimitKey
from holdgate_workers.domain.holds.sessions import SessionKeys
from holdgate_workers.domain.occurrences.occurrence import Definition, Hold, Occurrence, Pool
from holdgate_workers.domain.settings.settings import Settings, parse

A = TypeVar("A")
HoldEvent = HoldCreated | HoldChanged | HoldExtended | HoldReleased | HoldExpired

NOW = datetime(2026, 6, 1, 12, tzinfo=UTC)
"""When every story begins."""
STARTS = datetime(2026, 7, 1, 18, tzinfo=UTC)
OCCURRENCE = "occ-1"
SESSION = "ann"
KEYS = SessionKeys(b"a secret that only this test house has")
ANY_ID = "00000000-0000-4000-8000-000000000000"
"""The request id of a built command that has none of its own; the house gives it the next number."""


def request_id(number: int) -> str:
    """The request id with this number."""
    return f"00000000-0000-4000-8000-{number:012x}"


# --- builders ---------------------------------------------------------------------------------------------------


def a_put(occurrence_id: str = OCCURRENCE, **fields: Any) -> PutOccurrence:
    """An occurrence with ten seats for adults and children, on sale for a month from `NOW`."""
    defaults: dict[str, Any] = {
        "request_id": ANY_ID,
        "product_id": f"product-of-{occurrence_id}"[:64],
        "starts_at": STARTS,
        "ends_at": fields.get("starts_at", STARTS) + timedelta(hours=2),
        "timezone": "Europe/Berlin",
        "capacity": 10,
        "ticket_types": [TicketType(key="adult"), TicketType(key="child")],
    }
    return PutOccurrence(occurrence_id=occurrence_id, **(defaults | fields))


def a_place(
    items: Mapping[str, int] | int = 1,
    extras: Mapping[str, int] | None = None,
    *,
    occurrence_id: str = OCCURRENCE,
    session_id: str | None = SESSION,
    **fields: Any,
) -> PlaceHold:
    """A basket; a bare number means so many adults."""
    defaults: dict[str, Any] = {"request_id": ANY_ID}
    return PlaceHold(
        occurrence_id=occurrence_id,
        session_id=session_id,
        items={"adult": items} if isinstance(items, int) else dict(items),
        extras=dict(extras or {}),
        **(defaults | fields),
    )


def a_change(
    hold: Held | HoldView | str,
    items: Mapping[str, int] | int,
    extras: Mapping[str, int] | None = None,
    **fields: Any,
) -> ChangeHold:
    """New absolute quantities for a hold, from its owner unless said otherwise."""
    return ChangeHold(
        items={"adult": items} if isinstance(items, int) else dict(items),
        extras=dict(extras or {}),
        **_about(hold, fields),
    )


def an_extend(hold: Held | HoldView | str, **fields: Any) -> ExtendHold:
    """More time for a hold, asked for by its owner unless said otherwise."""
    return ExtendHold(**_about(hold, fields))


def a_release(hold: Held | HoldView | str, **fields: Any) -> ReleaseHold:
    """A hold given back, by its owner unless said otherwise."""
    return ReleaseHold(**_about(hold, fields))


def a_sweep(holds_max: int = 500, *, occurrence_id: str = OCCURRENCE) -> SweepHolds:
    """What the expiry worker sends."""
    return SweepHolds(request_id=ANY_ID, occurrence_id=occurrence_id, holds_max=holds_max)


def a_get(occurrence_id: str = OCCURRENCE) -> GetAvailability:
    """A look at what is left."""
    return GetAvailability(request_id=ANY_ID, occurrence_id=occurrence_id)


def a_close(status: Any = "closed", *, occurrence_id: str = OCCURRENCE) -> CloseOccurrence:
    """The end of the sale."""
    return CloseOccurrence(request_id=ANY_ID, occurrence_id=occurrence_id, status=status)


def a_capacity(capacity: int | None, pool: str = "total", *, occurrence_id: str = OCCURRENCE) -> SetCapacity:
    """Another capacity for one pool."""
    return SetCapacity(request_id=ANY_ID, occurrence_id=occurrence_id, capacity=capacity, pool=pool)


def _about(hold: Held | HoldView | str, fields: dict[str, Any]) -> dict[str, Any]:
    view = hold.hold if isinstance(hold, Held) else hold
    about: dict[str, Any] = {"request_id": ANY_ID, "occurrence_id": OCCURRENCE, "session_id": SESSION}
    if isinstance(view, HoldView):
        about |= {"occurrence_id": view.occurrence_id, "session_id": view.session_id, "hold_id": view.hold_id}
    else:
        about["hold_id"] = view
    return about | fields


# --- the house --------------------------------------------------------------------------------------------------


class LimitsTable:
    """The shared limits, exact and always fresh; `guess` makes one stale, `read` makes all of them fresh again."""

    def __init__(self) -> None:
        self.numbers: dict[LimitKey, int] = {}
        self.caps: dict[LimitKey, int] = {}
        self._guesses: dict[LimitKey, int] = {}

    def used(self, limit: LimitKey) -> int:
        """How much is used, as far as is known."""
        return self._guesses.get(limit, self.numbers.get(limit, 0))

    def is_fresh(self, limit: LimitKey) -> bool:
        """Whether the number is not a guess."""
        return limit not in self._guesses

    def cap(self, limit: LimitKey) -> int | None:
        """What a voucher allows now, if the test says so."""
        return self.caps.get(limit)

    def guess(self, limit: LimitKey, used: int) -> None:
        """Believe a number that may be wrong."""
        self._guesses[limit] = used

    def read(self) -> None:
        """Read everything afresh."""
        self._guesses.clear()

    def apply(self, claims: list[Claim]) -> None:
        """Count the claims of one decision together, as a commit does; what is taken may not go over its cap."""
        caps = {claim.limit: claim.cap for claim in claims}
        for limit, cap in caps.items():
            delta = sum(claim.delta for claim in claims if claim.limit == limit)
            number = self.numbers.get(limit, 0) + delta
            assert number >= 0, f"{limit} is negative"
            assert delta <= 0 or number <= cap, f"{limit} is over its cap"
            self.numbers[limit] = number


@dataclass
class Account:
    """What one hold has, worked out by the house from the answers and not by the code under test."""

    view: HoldView
    draws: dict[str, int]
    stock: dict[str, int]
    terminal_events: int = 0


@dataclass
class House:
    """One or several occurrences in memory. `now` may be set; it never moves by itself."""

    now: datetime = NOW
    settings: Settings = field(default_factory=Settings)
    occurrences: dict[str, Occurrence] = field(default_factory=dict)
    limits: LimitsTable = field(default_factory=LimitsTable)
    events: list[Event] = field(default_factory=list)
    accounts: dict[str, Account] = field(default_factory=dict)
    ended: dict[str, Hold] = field(default_factory=dict)
    trusted_proxies: tuple[Any, ...] = ()
    requests: int = 0

    @classmethod
    def with_occurrence(cls, occurrence_id: str = OCCURRENCE, **fields: Any) -> House:
        """A house with one occurrence; the fields are those of `a_put`."""
        house = cls()
        house.put(a_put(occurrence_id, **fields))
        return house

    # --- doing ---

    def decide(self, command: Command) -> Decision:
        """Decide and change nothing. Proves that deciding leaves no trace and comes out the same again."""
        occurrence = self.occurrences.get(command.occurrence_id)
        before = self._snapshot(occurrence), encode(command)
        decision = self.what_if(command)
        assert (self._snapshot(occurrence), encode(command)) == before, "deciding changed something"
        assert self.what_if(command) == decision, "decided twice, decided differently"
        return decision

    def what_if(self, command: Command) -> Decision:
        """What a command would come to, and no more than that."""
        return decide(self.occurrences.get(command.occurrence_id), command, self.context())

    def send(self, command: Command) -> Answer:
        """Decide and apply, as the service does, and check the books."""
        command = self.numbered(command)
        decision = self.decide(command)
        assert not decision.unsure, f"the limits table is exact, and yet {decision.unsure}"
        self._apply(command, decision)
        self.check()
        return decision.answer

    def put(self, command: PutOccurrence) -> Occurrence:
        """Send a put that must be stored; the occurrence."""
        answer = self.send(command)
        assert not isinstance(answer, Refused), answer.message
        return self.occurrences[command.occurrence_id]

    def held(self, command: PlaceHold) -> Held:
        """Send a place that must be granted."""
        return got(Held, self.send(command))

    def refused(self, command: Command, reason: Reason) -> Refused:
        """Send a command that must be refused for this reason."""
        answer = got(Refused, self.send(command))
        assert answer.reason is reason, answer.message
        return answer

    def wait(self, **duration: float) -> None:
        """Let time go by; takes what `timedelta` takes."""
        self.now += timedelta(**duration)

    def configure(self, **values: object) -> None:
        """Set settings of the group `hold`, such as `max_per_session=2`; the others have their defaults."""
        self.settings = parse({f"hold.{name}": value for name, value in values.items()})

    def force_state(self, hold_id: str, state: HoldState, occurrence_id: str = OCCURRENCE) -> None:
        """Move a hold to a state that no command of this version leads to. The books are no longer checked."""
        occurrence = self.occurrences[occurrence_id]
        hold = replace(occurrence.holds[hold_id], state=state)
        occurrence.keep(hold)
        if hold_id in occurrence.holds:
            self.accounts[hold_id].view = hold.view()
        else:
            self.ended[hold_id] = hold
            for pool, taken in hold.draws.items():
                occurrence.pools[pool].held -= taken
            self.accounts[hold_id].terminal_events = 1
            self.limits.numbers[LimitKey("session", hold.session_id)] -= 1

    # --- looking ---

    def occurrence(self, occurrence_id: str = OCCURRENCE) -> Occurrence:
        """One of the occurrences."""
        return self.occurrences[occurrence_id]

    def pool(self, key: str = "total", occurrence_id: str = OCCURRENCE) -> Pool:
        """One of the pools."""
        return self.occurrences[occurrence_id].pools[key]

    def hold(self, held: Held) -> Hold:
        """The hold as it is stored now, live or ended."""
        live = self.occurrences[held.occurrence_id].holds
        return live.get(held.hold.hold_id) or self.ended[held.hold.hold_id]

    def events_of(self, held: Held) -> list[HoldEvent]:
        """Everything that was told of one hold, in order."""
        events = (event for event in self.events if isinstance(event, HoldEvent))
        return [event for event in events if event.hold.hold_id == held.hold.hold_id]

    def numbered(self, command: Command) -> Command:
        """The command with the next request id, if it has none of its own."""
        self.requests += 1
        return replace(command, request_id=request_id(self.requests)) if command.request_id == ANY_ID else command

    # --- books ---

    def check(self) -> None:
        """What must hold after every command, for every pool and hold of every occurrence."""
        for occurrence in self.occurrences.values():
            live = {
                hold_id: account
                for hold_id, account in self.accounts.items()
                if account.view.occurrence_id == occurrence.id and not account.terminal_events
            }
            assert {hold.id: hold.view() for hold in occurrence.holds.values()} == {
                hold_id: account.view for hold_id, account in live.items()
            }, "the events do not add up to the holds"
            for pool in occurrence.pools.values():
                _check_pool(pool, sum(account.draws.get(pool.key, 0) for account in live.values()))
            unknown = {key for account in live.values() for key in account.draws} - occurrence.pools.keys()
            assert not unknown, f"seats are held of {unknown}, which is gone"
        self._check_limits()

    def _check_limits(self) -> None:
        live = [account for account in self.accounts.values() if not account.terminal_events]
        expected: dict[LimitKey, int] = {}
        for account in live:
            session = LimitKey("session", account.view.session_id)
            expected[session] = expected.get(session, 0) + 1
            for key, taken in account.stock.items():
                expected[LimitKey("stock", key)] = expected.get(LimitKey("stock", key), 0) + taken
        assert {limit: used for limit, used in self.limits.numbers.items() if used} == expected

    def context(self) -> Context:
        """What decisions may look at now."""
        return Context(
            now=self.now,
            settings=self.settings,
            sessions=KEYS,
            limits=self.limits,
            ended_holds=self.ended,
            start_taken_by={
                item.definition.claim: item.id
                for item in self.occurrences.values()
                if item.definition.claim is not None
            },
            trusted_proxies=self.trusted_proxies,
        )

    def _snapshot(self, occurrence: Occurrence | None) -> bytes:
        """Everything that a decision could change, as text; how the index of expiry is kept is not part of it."""
        seen: list[Any] = [list(self.limits.numbers.items()), list(self.ended)]
        if occurrence is not None:
            due = [hold.id for hold in occurrence.due(self.now + timedelta(days=365))]
            state = occurrence.definition, occurrence.pools, list(occurrence.holds.items()), occurrence.unsaved
            seen += [occurrence.version, state, due]
        return msgspec.msgpack.encode(seen)

    def _apply(self, command: Command, decision: Decision) -> None:
        answer = decision.answer
        assert (answer.request_id, answer.occurrence_id) == (command.request_id, command.occurrence_id)
        assert answer.decided_at == self.now
        assert decode_answer(encode(answer)) == answer
        occurrence = self.occurrences.get(command.occurrence_id)
        if occurrence is None and decision.definition is not None:
            assert decision.pools is not None
            occurrence = Occurrence(id=command.occurrence_id, definition=decision.definition, pools=decision.pools)
            self.occurrences[occurrence.id] = occurrence
        if occurrence is None:
            # Only a cart wants to hear that it was refused by an occurrence that is not there.
            assert all(isinstance(event, CartLegRefused) for event in decision.events)
            assert answer.version == 0
            return
        self._account_for(decision.definition or occurrence.definition, command, decision)
        before = occurrence.version
        decision.apply_to(occurrence)
        assert occurrence.version == before + decision.recorded == answer.version
        self.limits.apply(decision.claims)
        self.ended |= {hold.id: hold for hold in decision.holds if hold.id not in occurrence.holds}
        self.events += decision.events

    def _account_for(self, definition: Definition, command: Command, decision: Decision) -> None:
        for number, event in enumerate(decision.events):
            assert decode_event(encode(event)) == event
            assert event.event_id == f"{command.request_id}/{number}"
            assert (event.version, event.occurred_at) == (decision.answer.version, self.now)
            if isinstance(event, HoldCreated):
                assert event.hold.hold_id not in self.accounts
                self.accounts[event.hold.hold_id] = Account(event.hold, *taken_by(definition, event.hold))
            elif isinstance(event, HoldChanged | HoldExtended | HoldReleased | HoldExpired):
                account = self.accounts[event.hold.hold_id]
                account.view = event.hold
                assert not account.terminal_events, "something happened to a hold after its end"
                if isinstance(event, HoldChanged):
                    account.draws, account.stock = taken_by(definition, event.hold)
                account.terminal_events += isinstance(event, HoldReleased | HoldExpired)
        if isinstance(decision.answer, Held | Changed):
            assert self.accounts[decision.answer.hold.hold_id].view == decision.answer.hold


def got(kind: type[A], answer: object) -> A:
    """The answer, which must be of this kind."""
    assert isinstance(answer, kind), answer
    return answer


def taken_by(definition: Definition, hold: HoldView) -> tuple[dict[str, int], dict[str, int]]:
    """What a basket takes from each pool and each shared stock, worked out the slow and plain way."""
    units = [("total", *definition.ticket_types[key].pools) for key, n in hold.items.items() for _ in range(n)]
    units += [tuple(definition.extras[key].pools) for key, n in hold.extras.items() for _ in range(n)]
    pools = [pool for unit in units for pool in unit]
    stocks = [
        stock.key for key, n in hold.extras.items() if (stock := definition.extras[key].stock) for _ in range(n)
    ]
    return {key: pools.count(key) for key in pools}, {key: stocks.count(key) for key in stocks}


def _check_pool(pool: Pool, held: int) -> None:
    taken = pool.held + pool.sold
    assert pool.held == held, f"{pool.key}: {pool.held} are counted as held, the live holds have {held}"
    assert pool.sold >= 0
    available = pool.available()
    if pool.capacity is None:
        assert pool.sellable is None
        assert available is None
        return
    target = max(0, (pool.capacity * (100 + pool.overbooking_percent)) // 100 - pool.buffer)
    assert pool.sellable is not None
    assert taken <= pool.sellable, f"{pool.key} is oversold"
    assert pool.sellable == max(target, taken), f"{pool.key}: sellable is neither the target nor sinking to it"
    assert available == max(0, target - taken)
