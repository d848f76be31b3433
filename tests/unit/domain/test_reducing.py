"""Giving some tickets of a booking back: which seats are free, and how much of the price is owed."""

from __future__ import annotations

from typing import Any

import pytest
from tests.support.box_office import STARTS, TOTAL, BoxOffice
from tests.support.domain import OCCURRENCE, SESSION, a_put

from holdgate_schema.answers.holds import Reason, Refused
from holdgate_schema.answers.selling import Booked
from holdgate_schema.commands.holds import ExtraDefinition, PlaceHold, PoolDefinition, SharedStock, TicketType
from holdgate_schema.events.selling import BookingReduced

PUT: dict[str, Any] = {
    "ticket_types": [TicketType(key="adult"), TicketType(key="child", pools=["kids"])],
    "pools": [PoolDefinition(key="kids", capacity=4)],
    "extras": [ExtraDefinition(key="guide", stock=SharedStock(key="guides", cap=5))],
}
SHARES = {"ticket.adult": 1500, "ticket.child": 700, "extra.guide": 400}


def a_family(**put: Any) -> tuple[BoxOffice, str]:
    """Two adults, two children and two guides, sold and paid."""
    box = BoxOffice(capacity=10, put=PUT | put)
    basket: dict[str, Any] = {"items": {"adult": 2, "child": 2}, "extras": {"guide": 2}}
    answer: Any = box.do(PlaceHold(request_id="", occurrence_id=OCCURRENCE, session_id=SESSION, **basket))
    booking_id: str = answer.hold.hold_id
    box.price(booking_id, shares=SHARES)
    box.convert(booking_id)
    box.settle(booking_id)
    return box, booking_id


def refusal(answer: Any) -> Reason:
    assert isinstance(answer, Refused), answer
    return answer.reason


def test_what_is_given_back_is_free_and_its_share_is_owed() -> None:
    box, booking_id = a_family()
    answer = box.reduce(booking_id, {"adult": 2, "child": 1}, extras={"guide": 1})
    assert isinstance(answer, Booked)
    booking = answer.booking
    assert (booking.items, booking.extras, booking.seats) == ({"adult": 2, "child": 1}, {"guide": 1}, 3)
    assert (booking.refund, booking.refund_due) == ("due", 700 + 400)
    assert box.seats == (0, 3)
    assert box.occurrence is not None
    assert box.occurrence.pools["kids"].sold == 1
    assert [used for limit, used in box.limits.numbers.items() if limit.scope == "stock"] == [1]
    event = box.events[-1]
    assert isinstance(event, BookingReduced)
    assert (event.items, event.extras, event.amount) == ({"child": 1}, {"guide": 1}, 1100)


def test_what_is_left_of_the_money_goes_back_with_what_is_left_of_the_booking() -> None:
    box, booking_id = a_family()
    box.reduce(booking_id, {"adult": 2}, extras={"guide": 2})
    box.resolve(booking_id, "refunded")
    assert box.bookings[booking_id].refunded == 1400
    box.reduce(booking_id, {"adult": 1}, extras={"guide": 2})
    assert box.bookings[booking_id].refund_due == 1500
    box.cancel(booking_id)
    assert box.bookings[booking_id].refund_due == TOTAL - 1400
    assert box.seats == (0, 0)


def test_two_reductions_before_the_money_went_back_are_owed_together_and_never_all_that_is_left() -> None:
    """What is given back completely is over: nobody could keep a ticket of it."""
    box, booking_id = a_family()
    box.note(booking_id, "paid", 5, refunded=TOTAL - 1000)
    box.reduce(booking_id, {"adult": 2, "child": 1}, extras={"guide": 2})
    assert refusal(box.reduce(booking_id, {"adult": 1, "child": 1}, extras={"guide": 2})) is Reason.UNPRICED
    assert box.bookings[booking_id].refund_due == 700


@pytest.mark.parametrize("when", ["before the start", "after the end", "called off"])
def test_a_person_gives_some_of_it_back_at_any_time_and_below_a_buyers_minimum(when: str) -> None:
    box, booking_id = a_family(ticket_types=[TicketType(key="adult", min_per_order=2), *PUT["ticket_types"][1:]])
    if when == "after the end":
        box.pass_its("ends_at")
    elif when == "called off":
        box.call_off()
    box.resolve(booking_id, "reduce", items={"adult": 1}, extras={"guide": 2}, note="The bus was full")
    booking = box.bookings[booking_id]
    assert (booking.state, booking.items, booking.reason) == ("confirmed", {"adult": 1}, "The bus was full")
    assert (booking.refund_due, box.seats) == (1500 + 2 * 700, (0, 1))
    assert isinstance(box.events[-1], BookingReduced)


def test_a_person_says_how_much_goes_back_but_never_all_and_not_of_what_is_not_sold() -> None:
    box, booking_id = a_family()
    kept: dict[str, Any] = {"items": {"adult": 2, "child": 1}, "extras": {"guide": 2}}
    assert refusal(box.resolve(booking_id, "reduce", TOTAL, **kept)) is Reason.INVALID
    assert refusal(box.resolve(booking_id, "reduce", items={})) is Reason.INVALID
    box.resolve(booking_id, "reduce", 0, **kept)
    assert (box.bookings[booking_id].refund, box.seats) == ("none", (0, 3))
    box.resolve(booking_id, "reduce", TOTAL - 1, items={"adult": 1})
    assert (box.bookings[booking_id].refund_due, box.seats) == (TOTAL - 1, (0, 1))
    box.cancel(booking_id)
    assert refusal(box.resolve(booking_id, "reduce", items={"adult": 1})) is Reason.INVALID


def test_a_person_says_how_much_goes_back_where_the_share_is_not_known() -> None:
    box = BoxOffice()
    booking_id = box.hold(2)
    box.convert(booking_id)
    box.settle(booking_id)
    assert refusal(box.resolve(booking_id, "reduce", items={"adult": 1})) is Reason.UNPRICED
    box.resolve(booking_id, "reduce", 100, items={"adult": 1})
    assert box.bookings[booking_id].refund_due == 100


@pytest.mark.parametrize(
    ("items", "extras", "field"),
    [
        ({"adult": 2, "child": 2}, {"guide": 2}, "items"),
        ({"adult": 3}, {"guide": 2}, "items.adult"),
        ({"adult": 1, "senior": 1}, {}, "items.senior"),
        ({"adult": 1}, {"guide": 3}, "extras.guide"),
    ],
)
def test_what_the_booking_does_not_have_cannot_be_kept(
    items: dict[str, int], extras: dict[str, int], field: str
) -> None:
    box, booking_id = a_family()
    answer = box.reduce(booking_id, items, extras=extras)
    assert isinstance(answer, Refused)
    assert (answer.reason, [problem.field for problem in answer.errors]) == (Reason.INVALID, [field])
    assert box.seats == (0, 4)


def test_it_is_refused_to_others_after_the_start_before_it_is_paid_and_for_what_is_over() -> None:
    box, booking_id = a_family()
    assert refusal(box.reduce(booking_id, {"adult": 1}, session_id="eve")) is Reason.BOOKING_NOT_FOUND
    box.pass_its("starts_at")
    assert refusal(box.reduce(booking_id, {"adult": 1})) is Reason.TOO_LATE
    unpaid = BoxOffice(put=PUT)
    pending = unpaid.hold(2)
    unpaid.convert(pending, status="pending")
    unpaid.settle(pending, status="pending")
    assert refusal(unpaid.reduce(pending, {"adult": 1})) is Reason.UNPAID
    unpaid.cancel(pending)
    assert refusal(unpaid.reduce(pending, {"adult": 1})) is Reason.BOOKING_FINAL


def test_no_fewer_than_an_order_must_have_are_kept() -> None:
    box, booking_id = a_family(ticket_types=[TicketType(key="adult", min_per_order=2), *PUT["ticket_types"][1:]])
    answer = box.reduce(booking_id, {"adult": 1, "child": 2}, extras={"guide": 2})
    assert isinstance(answer, Refused)
    assert (answer.reason, answer.subject, answer.limit) == (Reason.BELOW_MIN, "adult", 2)


def test_where_the_share_is_not_known_a_person_has_to_say_it() -> None:
    box = BoxOffice()
    booking_id = box.hold(2)
    box.convert(booking_id)
    box.settle(booking_id)
    answer = box.reduce(booking_id, {"adult": 1})
    assert isinstance(answer, Refused)
    assert (answer.reason, answer.subject) == (Reason.UNPRICED, "ticket.adult")
    assert box.seats == (0, 2)


def test_a_free_booking_gives_seats_back_and_owes_nothing() -> None:
    box = BoxOffice()
    booking_id = box.hold(2, free=True)
    box.convert(booking_id, amount=0, status="pending")
    box.settle(booking_id, status="pending")
    answer = box.reduce(booking_id, {"adult": 1})
    assert isinstance(answer, Booked)
    assert (answer.booking.refund, box.seats) == ("none", (0, 1))


def test_nothing_is_free_that_is_still_sat_on_though_the_catalogue_says_otherwise_today() -> None:
    box, booking_id = a_family()
    assert box.occurrence is not None
    today = [TicketType(key="adult", pools=["kids"]), TicketType(key="child", pools=["kids"])]
    box.do(a_put(OCCURRENCE, **(PUT | {"capacity": 10, "starts_at": STARTS, "ticket_types": today})))
    box.reduce(booking_id, {"child": 2}, extras={"guide": 2})
    assert box.occurrence.pools["kids"].sold == 2, "the children had them"
    assert box.seats == (0, 2)
    box.cancel(booking_id)
    assert box.occurrence.pools["kids"].sold == 0
