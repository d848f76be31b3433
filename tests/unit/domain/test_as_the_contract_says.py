"""Sentences of docs/contract.md and docs/contract-selling.md, each written as a story from the page alone."""

from __future__ import annotations

import pytest
from tests.support.domain import (
    ANY_ID,
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
from tests.support.lines import LineHouse, a_join, a_leave

from holdgate_schema.answers.holds import Availability, Changed, Held, Reason, Refused
from holdgate_schema.answers.selling import LeftWaitlist, Waiting
from holdgate_schema.commands.holds import HoldOverrides, TicketType
from holdgate_schema.commands.selling import PriceHold
from holdgate_schema.errors import ProblemCode
from holdgate_schema.events.selling import WaitlistLeft

# --- "Some checks of `invalid` need the occurrence and therefore come right after `unknown_occurrence`" --------------


def test_a_time_to_live_beyond_the_greatest_age_comes_right_after_the_unknown_occurrence() -> None:
    house = House()
    too_long = a_place({"ghost": 1}, ttl_seconds=1801)
    house.refused(too_long, Reason.UNKNOWN_OCCURRENCE)
    house.put(a_put(hold=HoldOverrides(ttl_minutes=10, lifetime_max_minutes=30)))
    house.send(a_close())
    # Not on sale, an unknown ticket and over the limits besides: none of that is looked at before.
    refused = house.refused(a_place({"ghost": 500}, ttl_seconds=1801), Reason.INVALID)
    (error,) = refused.errors
    assert (error.code, error.field, error.pointer) == (ProblemCode.OUT_OF_RANGE, "ttl_seconds", "/ttl_seconds")
    house.refused(a_place({"ghost": 1}, ttl_seconds=1800), Reason.NOT_ON_SALE)


def test_a_session_that_was_not_issued_here_comes_before_the_time_to_live() -> None:
    house = House.with_occurrence(hold=HoldOverrides(lifetime_max_minutes=30))
    house.refused(a_place(session_id="hgs.made.up", ttl_seconds=7200), Reason.FORBIDDEN)


# --- "`superseded` is something else: a later `hold.change.v1` took the basket away before it was priced" ------------


def test_a_price_for_a_basket_that_was_changed_meanwhile_is_superseded_and_the_hold_is_as_it_was() -> None:
    house = House.with_occurrence()
    held = house.held(a_place(2))
    changed = got(Changed, house.send(a_change(held, 3)))
    late = PriceHold(
        request_id=ANY_ID,
        occurrence_id=held.occurrence_id,
        hold_id=held.hold.hold_id,
        items=held.hold.items,
        extras={},
    )
    refused = house.refused(late, Reason.UNPRICED)
    assert refused.subject == held.hold.hold_id
    assert [error.code for error in refused.errors] == [ProblemCode.SUPERSEDED]
    assert not refused.retryable
    assert house.hold(held).view() == changed.hold


# --- "`sellable` ... while more than that is taken, it is `held` and `sold` together, sinks with every seat" ---------


def test_availability_under_a_deficit_is_what_the_page_says_at_every_step() -> None:
    house = House.with_occurrence(capacity=10)
    holds = [house.held(a_place(2, session_id=f"s{number}")) for number in range(4)]
    house.send(a_capacity(5))

    def shown() -> tuple[int | None, int | None, int, int | None, int | None]:
        answer = got(Availability, house.send(a_get()))
        pool = answer.pools["total"]
        return pool.capacity, pool.sellable, pool.held, pool.available, answer.ticket_types["adult"].available

    assert shown() == (5, 8, 8, 0, 0)
    house.send(a_release(holds[0]))
    assert shown() == (5, 6, 6, 0, 0)
    house.send(a_release(holds[1]))
    assert shown() == (5, 5, 4, 1, 1)
    house.send(a_capacity(9))
    assert shown() == (9, 9, 4, 5, 5)


# --- "An entry that can never fit ... keeps its place and is passed over" --------------------------------------------


def a_line() -> tuple[LineHouse, Held, Waiting, Waiting]:
    """Sold out, and two in line: the first one wants more than will ever be there again."""
    house = LineHouse()
    house.put(a_put(capacity=6))
    held = house.held(a_place(6, session_id="owner", ttl_seconds=900))
    big, small = house.joined(a_join(5, session_id="big")), house.joined(a_join(1, session_id="small"))
    house.send(a_capacity(3))
    return house, held, big, small


def left(house: LineHouse) -> list[tuple[str, str]]:
    return [(event.entry_id, event.reason) for event in house.events if isinstance(event, WaitlistLeft)]


def test_who_can_never_fit_is_passed_over_and_keeps_the_place() -> None:
    house, held, big, small = a_line()
    house.send(a_release(held))
    assert house.offers == [small.entry_id]
    house.send(a_sweep())
    assert (house.line(), left(house)) == ([big.entry_id], [])
    house.send(a_capacity(6))
    assert house.offers == [small.entry_id, big.entry_id], "capacity may change again"


def test_who_can_never_fit_ends_by_leaving() -> None:
    house, _, big, small = a_line()
    got(LeftWaitlist, house.send(a_leave(big)))
    assert (house.line(), left(house)) == ([small.entry_id], [(big.entry_id, "by_owner")])


@pytest.mark.parametrize("status", ["cancelled", "completed"])
def test_who_can_never_fit_ends_with_the_occurrence(status: str) -> None:
    house, _, big, small = a_line()
    house.send(a_close(status))
    assert (house.line(), left(house)) == ([], [(each.entry_id, "occurrence_ended") for each in (big, small)])


def test_who_can_never_fit_does_not_end_with_sales() -> None:
    house, held, big, small = a_line()
    house.send(a_put(capacity=6, ticket_types=[TicketType(key="child")], status="closed"))
    house.send(a_release(held))
    assert (house.offers, house.line(), left(house)) == ([], [big.entry_id, small.entry_id], [])
    assert got(Refused, house.send(a_place(1))).reason is Reason.NOT_ON_SALE
