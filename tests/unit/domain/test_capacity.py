"""Pools: one figure says what may be sold, lowering it is allowed and told, and nothing is ever oversold."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from tests.support.domain import (
    STARTS,
    House,
    a_capacity,
    a_change,
    a_close,
    a_get,
    a_place,
    a_put,
    a_release,
    a_sweep,
    got,
)

from holdgate_schema.answers.holds import Availability, OccurrenceStored, Reason
from holdgate_schema.commands.holds import ExtraDefinition, PoolDefinition, SharedStock, TicketType
from holdgate_schema.events.holds import CapacityDeficit
from holdgate_workers.domain.occurrences.occurrence import target_sellable


@pytest.mark.parametrize(
    ("capacity", "overbooking_percent", "buffer", "sellable"),
    [
        (None, 0, 0, None),
        (None, 100, 1000, None),
        (0, 0, 0, 0),
        (0, 100, 0, 0),
        (1, 0, 0, 1),
        (10, 0, 0, 10),
        (10, 10, 0, 11),
        (10, 9, 0, 10),  # 10.9 is rounded down
        (9, 10, 0, 9),
        (10, 100, 0, 20),
        (10, 0, 3, 7),
        (10, 10, 3, 8),
        (10, 0, 10, 0),
        (10, 0, 11, 0),  # never negative
        (0, 0, 5, 0),
        (199, 1, 0, 200),
        (1_000_000, 100, 0, 2_000_000),
        (1_000_000, 0, 1_000_000, 0),
    ],
)
def test_b34_what_may_be_sold_of_a_capacity(
    capacity: int | None, overbooking_percent: int, buffer: int, sellable: int | None
) -> None:
    """`floor(capacity x (100 + overbooking) / 100) - buffer`, exact in whole numbers, and at least none."""
    assert target_sellable(capacity, overbooking_percent, buffer) == sellable


@pytest.mark.parametrize(("fields", "seats"), [({}, 10), ({"overbooking_percent": 20}, 12), ({"buffer": 4}, 6)])
def test_b34_what_is_offered_is_what_is_granted(fields: dict[str, Any], seats: int) -> None:
    """Overbooking and buffer count in the answer and in the hold alike; both are off by default."""
    tickets = [TicketType(key="adult", max_per_order=100)]
    house = House.with_occurrence(capacity=10, ticket_types=tickets, **fields)
    answer = got(Availability, house.send(a_get()))
    assert answer.pools["total"].available == answer.ticket_types["adult"].available == seats
    house.refused(a_place(seats + 1), Reason.SOLD_OUT)
    assert house.held(a_place(seats)).available == {"total": 0}


def test_b33_a_cap_of_zero_means_none_and_null_means_unlimited() -> None:
    """And no other number is special."""
    house = House.with_occurrence(
        capacity=500,
        ticket_types=[TicketType(key=key, pools=[key], max_per_order=500) for key in ("zero", "one", "unlimited")],
        pools=[
            PoolDefinition(key="zero", capacity=0),
            PoolDefinition(key="one", capacity=1),
            PoolDefinition(key="unlimited", capacity=None),
        ],
    )
    house.configure(max_seats_per_request=500, max_seats_per_hold=500)
    refused = house.refused(a_place({"zero": 1}), Reason.SOLD_OUT)
    assert (refused.subject, refused.available["zero"], refused.held["zero"]) == ("zero", 0, 0)
    house.refused(a_place({"one": 2}), Reason.SOLD_OUT)
    house.held(a_place({"one": 1}))
    assert house.held(a_place({"unlimited": 499})).available == {"total": 0, "unlimited": None}


def test_b33_a_cap_counts_only_what_draws_from_it() -> None:
    """In the old engine every booking used up every cap."""
    house = House.with_occurrence(
        capacity=100,
        ticket_types=[TicketType(key="adult"), TicketType(key="child", pools=["child"])],
        pools=[PoolDefinition(key="child", capacity=3)],
    )
    for _ in range(5):
        house.held(a_place({"adult": 10}))
    assert house.held(a_place({"adult": 1, "child": 3})).available == {"total": 46, "child": 0}


def test_a_capacity_of_no_seats_sells_none() -> None:
    """Not all of them."""
    house = House.with_occurrence(capacity=0)
    house.refused(a_place(1), Reason.SOLD_OUT)


# --- lowering -----------------------------------------------------------------------------------------------


def _deficits(house: House) -> list[tuple[str, int, int]]:
    return [(item.pool, item.target, item.taken) for item in house.events if isinstance(item, CapacityDeficit)]


def test_lowered_below_what_is_taken_nothing_is_taken_away_and_nothing_granted() -> None:
    """The deficit is in the answer and told to everyone."""
    house = House.with_occurrence(capacity=10)
    held = house.held(a_place(8))
    stored = got(OccurrenceStored, house.send(a_capacity(5)))
    assert stored.sellable == {"total": 8}
    assert stored.deficit == {"total": 3}
    assert _deficits(house) == [("total", 5, 8)]
    refused = house.refused(a_place(1), Reason.SOLD_OUT)
    assert refused.available == {"total": 0}
    assert house.occurrence().holds[held.hold.hold_id].seats == 8


def test_sellable_sinks_to_the_target_as_seats_come_back_and_never_rises() -> None:
    """By release, by a smaller basket, by time; the house checks after each that it is the larger of the two."""
    house = House.with_occurrence(capacity=10)
    first, second, third = house.held(a_place(4)), house.held(a_place(3)), house.held(a_place(3, ttl_seconds=60))
    house.send(a_capacity(5))
    sellable = []
    for command in (a_change(first, 2), a_release(second)):
        house.send(command)
        sellable.append(house.pool().sellable)
    house.wait(minutes=1)
    house.send(a_sweep())
    sellable.append(house.pool().sellable)
    assert sellable == [8, 5, 5]
    assert house.pool().held == 2
    assert third.hold.hold_id not in house.occurrence().holds
    house.held(a_place(3))
    house.refused(a_place(1), Reason.SOLD_OUT)


def test_what_is_shown_adds_up_while_seats_of_a_dead_hold_are_coming_back() -> None:
    """The hold is over and nobody has expired it yet: it no longer counts, in none of the figures."""
    house = House.with_occurrence(capacity=10)
    house.held(a_place(4))
    house.held(a_place(4, ttl_seconds=60))
    house.send(a_capacity(5))
    house.wait(minutes=1)
    total = got(Availability, house.send(a_get())).pools["total"]
    assert (total.held, total.sold, total.available, total.sellable) == (4, 0, 1, 5)


def test_raised_again_while_in_deficit_the_new_target_counts() -> None:
    """From lowest to highest."""
    house = House.with_occurrence(capacity=10)
    house.held(a_place(8))
    for capacity, sellable, deficit in ((5, 8, 3), (0, 8, 8), (7, 8, 1), (8, 8, 0), (12, 12, 0)):
        stored = got(OccurrenceStored, house.send(a_capacity(capacity)))
        assert (stored.sellable["total"], stored.deficit.get("total", 0)) == (sellable, deficit)
    house.held(a_place(4))


def test_what_is_sold_counts_like_what_is_held() -> None:
    """For the deficit, for what is available and for what sellable sinks to."""
    house = House.with_occurrence(capacity=10)
    held = house.held(a_place(3))
    house.occurrence().pools["total"].sold = 4
    assert got(Availability, house.send(a_get())).pools["total"].available == 3
    assert got(OccurrenceStored, house.send(a_capacity(2))).deficit == {"total": 5}
    house.send(a_release(held))
    assert (house.pool().sellable, house.pool().available()) == (4, 0)


@pytest.mark.parametrize("fields", [{"buffer": 8}, {"capacity": 2}, {"capacity": 1, "overbooking_percent": 100}])
def test_a_put_that_lowers_what_may_be_sold_is_a_deficit_too(fields: dict[str, Any]) -> None:
    """Whichever of its numbers does it."""
    house = House.with_occurrence(capacity=10)
    house.held(a_place(5))
    answer = got(OccurrenceStored, house.send(a_put(**fields)))
    assert answer.deficit == {"total": 3}
    assert _deficits(house) == [("total", 2, 5)]


def test_each_pool_has_its_own_deficit() -> None:
    """And a basket that touches none of them is granted."""
    house = House.with_occurrence(
        ticket_types=[TicketType(key="adult"), TicketType(key="vip", pools=["vip"])],
        pools=[PoolDefinition(key="vip", capacity=4)],
    )
    held = house.held(a_place({"vip": 4}))
    assert got(OccurrenceStored, house.send(a_capacity(1, "vip"))).deficit == {"vip": 3}
    house.held(a_place(1))
    house.refused(a_place({"vip": 1}), Reason.SOLD_OUT)
    # In deficit the owner may keep what he has or give some back, not take more.
    house.send(a_change(held, {"vip": 4}))
    assert got(OccurrenceStored, house.send(a_close("closed"))).sellable["vip"] == 4
    house.put(
        a_put(
            ticket_types=[TicketType(key="adult"), TicketType(key="vip", pools=["vip"])],
            pools=[PoolDefinition(key="vip", capacity=1)],
        )
    )
    assert house.refused(a_change(held, {"vip": 5}), Reason.SOLD_OUT).subject == "vip"
    house.send(a_change(held, {"adult": 4}))
    assert house.pool("vip").sellable == 1
    house.held(a_place({"vip": 1}))


def test_limited_after_unlimited_counts_what_was_taken_meanwhile() -> None:
    """And back."""
    house = House.with_occurrence(
        ticket_types=[TicketType(key="adult", pools=["x"])], pools=[PoolDefinition(key="x", capacity=None)]
    )
    held = house.held(a_place(6))
    assert got(OccurrenceStored, house.send(a_capacity(4, "x"))).deficit == {"x": 2}
    house.refused(a_place(1), Reason.SOLD_OUT)
    stored = got(OccurrenceStored, house.send(a_capacity(None, "x")))
    assert (stored.sellable["x"], stored.deficit) == (None, {})
    house.held(a_place(1))
    house.send(a_capacity(4, "x"))
    house.send(a_release(held))
    house.held(a_place(3))
    house.refused(a_place(1), Reason.SOLD_OUT)


# --- the definition -----------------------------------------------------------------------------------------


def test_a_pool_may_be_left_out_only_when_nothing_is_taken_of_it() -> None:
    """What is held of it must be able to come back."""
    fields: dict[str, Any] = {
        "ticket_types": [TicketType(key="adult"), TicketType(key="vip", pools=["vip"])],
        "pools": [PoolDefinition(key="vip", capacity=4)],
    }
    house = House.with_occurrence(**fields)
    held = house.held(a_place({"vip": 1}))
    refused = house.refused(a_put(), Reason.INVALID)
    assert [problem.field for problem in refused.errors] == ["pools"]
    house.send(a_release(held))
    house.put(a_put())
    assert set(house.occurrence().pools) == {"total"}
    house.put(a_put(**fields))
    assert house.held(a_place({"vip": 4})).available == {"total": 6, "vip": 0}


_VIP = PoolDefinition(key="vip", capacity=4)


@pytest.mark.parametrize(
    ("fields", "problems"),
    [
        ({"ends_at": House().now}, {"ends_at"}),
        ({"timezone": "Mars/Olympus"}, {"timezone"}),
        ({"timezone": "localtime"}, {"timezone"}),
        ({"pools": [PoolDefinition(key="total", capacity=1)]}, {"pools"}),
        ({"pools": [_VIP, _VIP]}, {"pools"}),
        ({"ticket_types": [TicketType(key="a"), TicketType(key="a")]}, {"ticket_types"}),
        ({"extras": [ExtraDefinition(key="a"), ExtraDefinition(key="a")]}, {"extras"}),
        ({"ticket_types": [TicketType(key="a", pools=["x"])]}, {"ticket_types[0].pools"}),
        ({"ticket_types": [TicketType(key="a", pools=["total"])]}, {"ticket_types[0].pools"}),
        (
            {"ticket_types": [TicketType(key="a", pools=["vip", "vip"])], "pools": [_VIP]},
            {"ticket_types[0].pools"},
        ),
        ({"extras": [ExtraDefinition(key="a", pools=["x"])]}, {"extras[0].pools"}),
        ({"extras": [ExtraDefinition(key="a", pools=["total", "total"])]}, {"extras[0].pools"}),
        (
            {"ticket_types": [TicketType(key="a", min_per_order=3, max_per_order=2)]},
            {"ticket_types[0].min_per_order"},
        ),
        (
            {
                "extras": [
                    ExtraDefinition(key="a", stock=SharedStock(key="s", cap=1)),
                    ExtraDefinition(key="b", stock=SharedStock(key="s", cap=2)),
                ]
            },
            {"extras[1].stock"},
        ),
        ({"timezone": "Mars/Olympus", "ends_at": House().now}, {"timezone", "ends_at"}),
    ],
)
def test_a_definition_that_cannot_be_is_refused_with_every_problem(
    fields: dict[str, Any], problems: set[str]
) -> None:
    """And nothing is stored."""
    house = House()
    refused = house.refused(a_put(**fields), Reason.INVALID)
    assert {problem.field for problem in refused.errors} == problems
    assert not house.occurrences


FIRST, LAST = datetime.min.replace(tzinfo=UTC), datetime.max.replace(tzinfo=UTC)
EAST, WEST = timezone(timedelta(hours=14)), timezone(-timedelta(hours=12))


@pytest.mark.parametrize(
    "fields",
    [
        {"starts_at": FIRST.replace(tzinfo=EAST), "ends_at": STARTS},
        {"ends_at": LAST.replace(tzinfo=WEST)},
        {"starts_at": FIRST, "ends_at": STARTS, "cutoff_minutes": 525_600},
        {"sales_open": FIRST.replace(tzinfo=None), "timezone": "Pacific/Kiritimati"},
        {"sales_close": LAST.replace(tzinfo=None), "timezone": "Pacific/Pago_Pago"},
    ],
)
def test_times_that_no_calendar_can_work_with_are_refused(fields: dict[str, Any]) -> None:
    """They can be written, and moving them by an offset or a cut-off would leave what a clock can show."""
    refused = House().refused(a_put(**fields), Reason.INVALID)
    assert {problem.field for problem in refused.errors} <= fields.keys()


def test_the_first_pool_that_falls_short_is_named_and_pools_keep_their_order() -> None:
    """`total`, then as the ticket names them: the same in every process that decides it again."""
    keys = ["total", *(f"pool-{number}" for number in range(9))]
    house = House.with_occurrence(
        ticket_types=[TicketType(key="adult"), TicketType(key="vip", pools=keys[1:])],
        pools=[PoolDefinition(key=key, capacity=1) for key in keys[1:]],
    )
    held = house.held(a_place(1))
    house.send(a_capacity(1))
    refused = house.refused(a_change(held, {"vip": 2}), Reason.SOLD_OUT)
    assert refused.subject == "total"
    assert list(refused.available) == keys
    house.send(a_capacity(10))
    assert house.refused(a_change(held, {"vip": 2}), Reason.SOLD_OUT).subject == keys[1]


def test_an_extra_may_take_a_seat_of_the_total_if_it_says_so() -> None:
    """Otherwise it takes none."""
    extras = [ExtraDefinition(key="seat", pools=["total"]), ExtraDefinition(key="air")]
    house = House.with_occurrence(capacity=3, extras=extras)
    house.held(a_place(1, {"air": 5}))
    house.refused(a_place(1, {"seat": 2}), Reason.SOLD_OUT)
    assert house.held(a_place(1, {"seat": 1})).available == {"total": 0}
