"""A hold ends at its time: never earlier, and from that instant on it stands in nobody's way."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace
from tests.support.domain import (
    OCCURRENCE,
    House,
    a_capacity,
    a_change,
    a_get,
    a_place,
    a_put,
    a_release,
    a_sweep,
    an_extend,
    got,
)

from holdgate_schema.answers.holds import Availability, Changed, Held, Reason, Swept
from holdgate_schema.commands.holds import Command, ExtraDefinition, PoolDefinition, SharedStock, TicketType
from holdgate_schema.events.holds import HoldCreated, HoldExpired
from holdgate_workers.domain.occurrences.occurrence import Occurrence

TICK = timedelta(microseconds=1)
VIP: dict[str, Any] = {
    "ticket_types": [TicketType(key="adult"), TicketType(key="vip", pools=["vip"])],
    "pools": [PoolDefinition(key="vip", capacity=2)],
}
GUIDES: dict[str, Any] = {"extras": [ExtraDefinition(key="guide", stock=SharedStock(key="guides", cap=2))]}


def _reasons(house: House) -> list[str]:
    return [event.reason for event in house.events if isinstance(event, HoldExpired)]


def test_never_early_and_exactly_on_time() -> None:
    """A microsecond before, nothing ends it; at the instant itself it is over."""
    house = House.with_occurrence(capacity=2)
    held = house.held(a_place(2))
    house.now = held.hold.expires_at - TICK
    assert got(Swept, house.send(a_sweep())).expired == 0
    house.refused(a_place(1), Reason.SOLD_OUT)
    house.send(a_change(held, 2))
    house.now += TICK
    assert got(Swept, house.send(a_sweep())).expired == 1
    assert house.hold(held).state == "expired"
    assert house.hold(held).ended_at == house.now
    house.held(a_place(2))


@pytest.mark.parametrize(
    "touch", [lambda h: a_change(h, 1), an_extend, a_release], ids=["change", "extend", "release"]
)
def test_a_lapsed_hold_that_its_owner_touches_is_expired_and_not_revived(touch: Any) -> None:
    """The seats are free from then on, and it is told once."""
    house = House.with_occurrence(capacity=2)
    held = house.held(a_place(2))
    house.wait(minutes=15)
    refused = house.refused(touch(held), Reason.HOLD_FINAL)
    assert refused.hold_state == "expired"
    assert _reasons(house) == ["touched_late"]
    house.held(a_place(2, session_id="bob"))
    house.refused(touch(held), Reason.HOLD_FINAL)
    assert len(house.events_of(held)) == 2


def test_a_lapsed_hold_that_somebody_else_touches_tells_him_nothing() -> None:
    """And is not ended by it either: no oracle."""
    house = House.with_occurrence()
    held = house.held(a_place(2))
    house.wait(minutes=15)
    house.refused(a_release(held, session_id="bob"), Reason.HOLD_NOT_FOUND)
    assert _reasons(house) == []


def test_nobody_is_turned_away_by_a_dead_hold() -> None:
    """The overdue hold in the way is expired in the same decision, before `sold_out` is said."""
    house = House.with_occurrence(capacity=2)
    dead = house.held(a_place(2))
    house.wait(minutes=15)
    granted = house.held(a_place(2, session_id="bob"))
    assert house.hold(dead).state == "expired"
    assert _reasons(house) == ["seats_needed"]
    assert [type(event) for event in house.events[-2:]] == [HoldExpired, HoldCreated]
    assert granted.available == {"total": 0}


def test_a_change_is_not_turned_away_by_a_dead_hold_either() -> None:
    """The hold that is changed stays."""
    house = House.with_occurrence(capacity=3)
    house.held(a_place(2))
    house.wait(minutes=10)
    mine = house.held(a_place(1, session_id="bob"))
    house.wait(minutes=5)
    got(Changed, house.send(a_change(mine, 3)))
    assert _reasons(house) == ["seats_needed"]


def test_only_dead_holds_that_are_in_the_way_are_expired_and_no_more_than_needed() -> None:
    """The longest overdue first; the sweeper will find the others."""
    house = House.with_occurrence(capacity=10, **VIP)
    first = house.held(a_place({"vip": 1}, ttl_seconds=1))
    other = house.held(a_place(1, ttl_seconds=2))
    second = house.held(a_place({"vip": 1}, ttl_seconds=3))
    house.wait(seconds=3)
    house.held(a_place({"vip": 1}, session_id="bob"))
    assert [house.hold(held).state for held in (first, other, second)] == ["expired", "active", "active"]
    house.held(a_place({"vip": 1}, session_id="bob"))
    assert [house.hold(held).state for held in (first, other, second)] == ["expired", "active", "expired"]


def test_a_refusal_says_what_is_so_after_the_dead_holds_are_gone() -> None:
    """Available, held and the next release are those of the living; a release in the past would be no help."""
    house = House.with_occurrence(capacity=5)
    house.held(a_place(2, ttl_seconds=60))
    living = house.held(a_place(2, ttl_seconds=600))
    house.wait(seconds=60)
    refused = house.refused(a_place(4, session_id="bob"), Reason.SOLD_OUT)
    assert refused.available == {"total": 3}
    assert refused.held == {"total": 2}
    assert refused.next_release_at == living.hold.expires_at
    assert _reasons(house) == ["seats_needed"]
    assert house.pool().held == 2


def test_a_refusal_names_no_next_release_if_nothing_living_is_left() -> None:
    """Then waiting does not help."""
    house = House.with_occurrence(capacity=3)
    house.held(a_place(2))
    house.wait(minutes=15)
    refused = house.refused(a_place(4), Reason.SOLD_OUT)
    assert (refused.available, refused.held, refused.next_release_at) == ({"total": 3}, {"total": 0}, None)


def test_dead_holds_do_not_block_in_a_deficit() -> None:
    """More must come back there than the basket asks for; all the dead ones are looked at."""
    house = House.with_occurrence(capacity=12)
    dead = [house.held(a_place(4, ttl_seconds=seconds)) for seconds in (1, 2, 3)]
    house.send(a_capacity(5))
    house.wait(seconds=3)
    house.held(a_place(1, session_id="bob"))
    assert [house.hold(held).state for held in dead] == ["expired", "expired", "active"]
    assert house.pool().sellable == 5


def test_a_dead_hold_does_not_keep_shared_stock_from_anybody() -> None:
    """Of this occurrence; those of others are ended by their own sweeps."""
    house = House.with_occurrence(**GUIDES)
    dead = house.held(a_place(1, {"guide": 2}))
    plain = house.held(a_place(1))
    house.wait(minutes=15)
    house.held(a_place(1, {"guide": 2}, session_id="bob"))
    assert [house.hold(held).state for held in (dead, plain)] == ["expired", "active"]
    refused = house.refused(a_place(1, {"guide": 1}, session_id="eve"), Reason.SOLD_OUT)
    assert (refused.subject, refused.used, refused.available) == ("guides", 2, {"guides": 0})


def test_a_sessions_own_dead_hold_no_longer_counts_against_its_limit() -> None:
    """Though nobody has swept."""
    house = House.with_occurrence()
    house.configure(max_per_session=2)
    dead = house.held(a_place(1, ttl_seconds=60))
    house.held(a_place(1))
    house.refused(a_place(1), Reason.LIMIT_PER_SESSION)
    house.wait(seconds=60)
    house.held(a_place(1))
    assert house.hold(dead).state == "expired"
    house.refused(a_place(1), Reason.LIMIT_PER_SESSION)


def test_somebody_elses_dead_hold_is_left_alone_if_it_is_not_in_the_way() -> None:
    """A session at its limit ends only its own."""
    house = House.with_occurrence()
    house.configure(max_per_session=1)
    other = house.held(a_place(1, session_id="bob"))
    house.held(a_place(1))
    house.wait(minutes=15)
    house.held(a_place(1))
    assert house.hold(other).state == "active"


@pytest.mark.parametrize("bound", [1, 2, 7, 500])
def test_a_sweep_is_bounded_and_says_whether_more_is_due(bound: int) -> None:
    """The longest overdue first, each exactly once."""
    house = House.with_occurrence(capacity=100)
    house.configure(max_per_session=100)
    held = [house.held(a_place(1, ttl_seconds=seconds)) for seconds in (5, 3, 1, 4, 2, 9, 8)]
    house.wait(seconds=5)
    ended: list[str] = []
    while True:
        before = len(house.events)
        swept = got(Swept, house.send(a_sweep(bound)))
        ended += [event.hold.hold_id for event in house.events[before:] if isinstance(event, HoldExpired)]
        assert swept.expired == len(house.events) - before <= bound
        assert swept.more == (len(ended) < 5)
        if not swept.more:
            break
    assert ended == [held[index].hold.hold_id for index in (2, 4, 1, 3, 0)]
    assert set(_reasons(house)) == {"swept"}
    assert not house.decide(a_sweep(bound)).recorded


def test_a_hold_that_ends_a_moment_after_a_due_one_is_left_alone() -> None:
    """By the sweep and by who needs seats: each hold has its own time, to the microsecond."""
    house = House.with_occurrence(capacity=3)
    house.held(a_place(1))
    house.now += TICK
    later = house.held(a_place(2))
    house.now = later.hold.expires_at - TICK
    assert house.refused(a_place(3, session_id="bob"), Reason.SOLD_OUT).next_release_at == later.hold.expires_at
    house.held(a_place(1, session_id="bob", ttl_seconds=1))
    house.now = later.hold.expires_at + timedelta(seconds=1) - 2 * TICK
    assert got(Swept, house.send(a_sweep())).expired == 1
    assert house.hold(later).state == "expired"
    house.now += TICK
    assert got(Swept, house.send(a_sweep())).expired == 1


def test_an_extended_hold_is_due_only_at_its_new_time() -> None:
    """The old one is forgotten."""
    house = House.with_occurrence()
    held = house.held(a_place(1))
    house.wait(minutes=10)
    house.send(an_extend(held))
    house.wait(minutes=5)
    assert got(Swept, house.send(a_sweep())).expired == 0
    assert got(Availability, house.send(a_get())).next_release_at == house.hold(held).expires_at
    house.wait(minutes=10)
    assert got(Swept, house.send(a_sweep())).expired == 1
    assert got(Swept, house.send(a_sweep())).expired == 0


def test_availability_counts_the_living_only_and_ends_nothing() -> None:
    """A look changes nothing."""
    house = House.with_occurrence(capacity=5, **VIP)
    house.held(a_place({"adult": 1, "vip": 1}, ttl_seconds=60))
    living = house.held(a_place({"vip": 1}))
    house.wait(seconds=60)
    version = house.occurrence().version
    answer = got(Availability, house.send(a_get()))
    assert {key: (pool.held, pool.available) for key, pool in answer.pools.items()} == {
        "total": (1, 4),
        "vip": (1, 1),
    }
    assert answer.next_release_at == living.hold.expires_at
    assert answer.version == version == house.occurrence().version
    assert _reasons(house) == []


@pytest.mark.parametrize("others", [0, 5], ids=["few", "many"])
def test_what_was_loaded_expires_in_the_order_of_its_times(others: int) -> None:
    """A consumer that takes an occurrence over expires what the last one left."""
    house = House.with_occurrence()
    for seconds in (30, 10, 20, *range(40, 40 + others)):
        house.held(a_place(1, ttl_seconds=seconds))
    house.force_state(house.held(a_place(1, ttl_seconds=1)).hold.hold_id, "converting")
    seen = house.occurrence()
    loaded = Occurrence(seen.id, seen.definition, seen.pools, seen.version, holds=seen.holds)
    assert loaded.next_expiry() == house.now + timedelta(seconds=10)
    assert [hold.ttl_seconds for hold in loaded.due(house.now + timedelta(seconds=20))] == [10, 20]
    assert loaded.next_release(house.now + timedelta(seconds=20)) == house.now + timedelta(seconds=30)


@given(steps=st.lists(st.tuples(st.sampled_from(["come", "stay", "go"]), st.integers(0, 9)), max_size=60))
def test_the_order_of_expiry_is_the_same_however_many_holds_there_are(steps: list[tuple[str, int]]) -> None:
    """Holds come, are extended and go; a few are looked through, many are kept in order."""
    house = House.with_occurrence()
    first = house.occurrence().holds[house.held(a_place(1)).hold.hold_id]
    definition, pools = house.occurrence().definition, house.occurrence().pools
    occurrence = Occurrence(OCCURRENCE, definition, pools)
    for number, (step, seconds) in enumerate(steps):
        some = sorted(occurrence.holds.values(), key=lambda hold: hold.seats)[:1]
        if step == "come":
            ends = first.expires_at + timedelta(seconds=seconds)
            occurrence.keep(replace(first, id=f"hold-{number:02}", seats=seconds, expires_at=ends))
        for hold in some if step == "stay" else []:
            occurrence.keep(replace(hold, expires_at=hold.expires_at + timedelta(seconds=seconds)))
        for hold in some if step == "go" else []:
            occurrence.keep(replace(hold, state="released"))
        left = sorted(occurrence.holds.values(), key=lambda hold: (hold.expires_at, hold.id))
        assert occurrence.next_expiry() == (left[0].expires_at if left else None)
        assert list(occurrence.due(first.expires_at + timedelta(days=1))) == left


def test_b15_every_hold_gets_exactly_one_terminal_event_however_it_ends() -> None:
    """With what it was and why; the house refuses any event after it."""
    house = House.with_occurrence(capacity=4)
    ends: list[tuple[Held, Command]] = []
    ways: list[Callable[[Held], Command]] = [a_release, an_extend, lambda _: a_sweep(), lambda _: a_place(4)]
    for number, end in enumerate(ways):
        held = house.held(a_place(4, session_id=f"s{number}"))
        if number:
            house.wait(minutes=15)
        command = end(held)
        ends.append((held, command))
        house.send(command)
        for again in (a_release(held), an_extend(held), a_sweep()):
            house.send(again)
    told = [house.events_of(held)[1:] for held, _ in ends]
    assert [[getattr(event, "reason", None) for event in events] for events in told] == [
        ["by_owner"],
        ["touched_late"],
        ["swept"],
        ["seats_needed"],
    ]
    assert all(event.hold.seats == 4 for events in told for event in events)


def test_closing_an_occurrence_ends_no_hold_and_time_still_does() -> None:
    """Cancelled or not."""
    house = House.with_occurrence()
    held = house.held(a_place(1))
    house.put(a_put(status="closed"))
    assert house.hold(held).state == "active"
    house.wait(minutes=15)
    assert got(Swept, house.send(a_sweep())).expired == 1
