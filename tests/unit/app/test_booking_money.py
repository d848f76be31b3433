"""What goes back to the buyer: at most what was paid, once, and what cannot go back is never said to have gone."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from msgspec.structs import replace
from tests.support.saga_desk import TERMS, SagaDesk

from holdgate_workers.app.ordering.facts import Cancel, Create, Find, Refund
from holdgate_workers.app.ordering.orders import Unavailable

PAID = 25616
BY_HAND = replace(TERMS, pays_back=False)


# --- never more than was paid -------------------------------------------------------------------------------------


def test_an_order_of_another_total_gives_back_what_was_paid_for_it() -> None:
    """A product was made taxable: the shop would have 310.72, and 256.16 were paid."""
    desk = SagaDesk(PAID)
    desk.shop.charges = 31072
    desk.settle()
    assert (desk.booking.state, desk.booking.refund) == ("failed", "done")
    assert desk.shop.given_back == PAID


def test_an_order_that_was_edited_gives_back_what_was_paid_for_it() -> None:
    desk = SagaDesk(PAID)
    order_id = desk.confirmed()
    desk.shop.change(order_id, total=26316)
    desk.box.cancel(desk.id)
    desk.settle()
    assert desk.shop.given_back == PAID
    assert desk.booking.refund == "done"
    assert desk.shop.orders[order_id].is_over


@pytest.mark.parametrize(
    ("total", "currency", "rounds_to", "back"),
    [(37473, "KWD", 10, 37470), (5000, "JPY", 1, 5000), (37473, "KWD", 1, 37473), (12345, "BHD", 1000, 12000)],
)
def test_less_than_is_owed_is_never_done(total: int, currency: str, rounds_to: int, back: int) -> None:
    """A shop with fewer decimals than the currency cannot give all of it back."""
    desk = SagaDesk(total, currency=currency)
    desk.shop.charges = None if rounds_to == 1 else total - total % rounds_to
    if rounds_to == 1:
        desk.confirmed()
        desk.box.cancel(desk.id)
    looked = desk.settle()
    assert desk.shop.given_back == back
    assert desk.booking.refund == ("done" if back == total else "due")
    assert bool(looked.stuck) == (back != total)


def test_what_people_gave_back_in_the_shop_is_not_given_back_again() -> None:
    desk = SagaDesk(5000)
    order_id = desk.confirmed()
    desk.shop.change(order_id, refunded=2000)
    desk.box.cancel(desk.id)
    desk.settle()
    assert desk.shop.given_back == 3000


def test_the_share_of_a_ticket_goes_back_and_the_order_lives_on() -> None:
    desk = SagaDesk(5001)
    order_id = desk.confirmed()
    desk.box.reduce(desk.id, {"adult": 1})
    desk.settle()
    assert desk.shop.given_back == 2500
    assert (desk.booking.state, desk.booking.refund, desk.booking.refunded) == ("confirmed", "done", 2500)
    assert not desk.shop.orders[order_id].is_over
    assert not desk.settle().stuck
    desk.box.cancel(desk.id)
    desk.settle()
    assert (desk.shop.given_back, desk.booking.refunded) == (5001, 5001)


def test_what_came_to_be_owed_while_money_went_back_still_is() -> None:
    """The share of the first ticket is given back, and before the gate hears of it the next one is given back, too."""
    box = SagaDesk(5000).box
    (booking_id,) = box.bookings
    box.settle(booking_id)
    box.reduce(booking_id, {"adult": 1})
    owed = box.bookings[booking_id].refund_due
    box.cancel(booking_id)
    box.resolve(booking_id, "refunded", owed)
    booking = box.bookings[booking_id]
    assert (booking.refunded, booking.refund_due) == (2500, 2500)


def test_a_shop_that_refuses_the_share_leaves_the_booking_and_the_debt() -> None:
    desk = SagaDesk(5000)
    desk.confirmed()
    desk.shop.refuses = "cannot be refunded"
    desk.box.reduce(desk.id, {"adult": 1})
    looked = desk.settle()
    assert "cannot be refunded" in (looked.stuck or "")
    assert (desk.booking.state, desk.booking.refund_due) == ("confirmed", 2500)


# --- a refusal stays ----------------------------------------------------------------------------------------------


def refused() -> SagaDesk:
    desk = SagaDesk(5000)
    desk.confirmed()
    desk.shop.refuses = "cannot be refunded"
    desk.box.cancel(desk.id)
    assert "gives no money back" in desk.settle().stuck
    return desk


def test_a_refused_refund_is_not_asked_for_again_whatever_happens_to_the_booking() -> None:
    desk = refused()
    desk.shop.refuses = ""
    for _ in range(5):
        looked = desk.look()
        assert "cannot be refunded" in looked.stuck
        desk.box.now += timedelta(hours=1)
    assert len(desk.shop.asked_refunds) == 1
    assert desk.booking.refund == "due"


def test_a_person_has_it_asked_for_once_more() -> None:
    desk = refused()
    desk.look(asked_again_at="noon")
    desk.look(asked_again_at="noon")
    assert len(desk.shop.asked_refunds) == 2
    desk.shop.refuses = ""
    desk.look(asked_again_at="one")
    desk.look()
    assert desk.shop.given_back == 5000
    assert desk.booking.refund == "done"


def test_a_persons_word_is_not_used_up_by_a_look_that_came_to_nothing() -> None:
    """Another worker was at the booking, so this look wrote nothing; the next one of the same task still asks."""
    desk = refused()
    desk.shop.refuses = ""
    rows, desk.is_overtaken = desk.rows, True
    desk.look(asked_again_at="noon")
    assert desk.rows == rows
    desk.is_overtaken = False
    desk.look(asked_again_at="noon")
    desk.look()
    assert desk.booking.refund == "done"


# --- where people pay back ----------------------------------------------------------------------------------------


def test_where_people_pay_back_a_debt_stays_due_until_they_say_that_they_did() -> None:
    desk = SagaDesk(5000, terms=BY_HAND)
    order_id = desk.confirmed()
    desk.box.cancel(desk.id)
    assert not desk.settle().stuck
    assert desk.shop.asked_refunds == []
    assert desk.shop.orders[order_id].status == "cancelled"
    assert desk.booking.refund == "due"
    desk.box.resolve(desk.id, "refunded")
    assert desk.booking.refund == "done"


# --- zero is not a sum --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("terms", [TERMS, BY_HAND], ids=["shop", "by hand"])
@pytest.mark.parametrize("status", ["paid", "pending"])
def test_what_costs_nothing_is_confirmed_and_cancelled_without_a_debt(status: str, terms: Any) -> None:
    desk = SagaDesk(0, status=status, terms=terms)
    order_id = desk.confirmed()
    desk.box.cancel(desk.id)
    assert not desk.settle().stuck
    assert not desk.look(asked_again_at="noon").stuck
    assert desk.booking.refund == "none"
    assert desk.shop.asked_refunds == []
    assert desk.shop.orders[order_id].status == "cancelled"


# --- a second order -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("ends", [None, "owner"], ids=["confirmed", "cancelled"])
def test_a_second_order_that_comes_late_is_ended_by_the_next_look(ends: str | None) -> None:
    """Long after it could have been at work. It would else wait to be paid."""
    desk = SagaDesk(5000)
    order_id = desk.confirmed()
    if ends is not None:
        desk.box.cancel(desk.id)
        desk.settle()
    second = desk.shop.add(desk.reference, 5000)
    desk.settle(watches=ends is None)
    assert desk.shop.orders[second.order_id].status == "cancelled"
    assert desk.booking.state == ("confirmed" if ends is None else "cancelled")
    assert ends is not None or desk.shop.orders[order_id].status == "paid"


def test_the_order_of_the_booking_is_never_the_one_too_many() -> None:
    """Also where the search brings the other one first, or only that."""
    desk = SagaDesk(5000)
    order_id = desk.confirmed()
    second = desk.shop.add(desk.reference, 5000)
    desk.shop.change(order_id, status="other")
    desk.settle(watches=True)
    assert desk.shop.orders[order_id].status == "other"
    assert desk.shop.orders[second.order_id].status == "cancelled"
    assert [call.order_id for call in desk.calls if isinstance(call, Cancel)] == [second.order_id]


def test_an_order_that_was_deleted_for_good_is_left_to_a_person() -> None:
    """Nothing is sent for it, so the next look is what finds out."""
    desk = SagaDesk(5000)
    del desk.shop.orders[desk.confirmed()]
    looked = desk.look(watches=True)
    assert "deleted in the shop for good" in looked.stuck
    assert looked.is_new
    assert desk.booking.state == "confirmed"
    assert [type(call) for call in desk.calls].count(Create) == 1


# --- what the shop itself says now --------------------------------------------------------------------------------


@pytest.mark.parametrize("ahead", [timedelta(minutes=4), timedelta(days=365)])
def test_what_the_shop_answers_now_is_believed_over_an_older_word_with_a_later_time(ahead: timedelta) -> None:
    desk = SagaDesk(5000, status="pending")
    order_id = desk.confirmed()
    order = desk.booking.order
    assert order is not None
    desk.box.bookings[desk.id] = replace(
        desk.booking, order=replace(order, status="pending", changed_at=desk.box.now + ahead)
    )
    desk.shop.change(order_id, status="cancelled", changed_at=desk.box.now)
    desk.look(watches=True)
    assert desk.booking.state == "cancelled"


@pytest.mark.parametrize("changed_at", [None, "early"])
def test_a_shop_without_a_clock_is_believed_as_well(changed_at: str | None) -> None:
    desk = SagaDesk(5000, status="pending")
    order_id = desk.confirmed()
    at = None if changed_at is None else desk.box.now - timedelta(days=1)
    desk.shop.change(order_id, status="cancelled", changed_at=at)
    desk.look(watches=True)
    assert desk.booking.state == "cancelled"


# --- waits that the shop asks for ---------------------------------------------------------------------------------


def test_a_wait_that_the_shop_asks_for_is_never_the_end_of_a_conversion() -> None:
    """Ten minutes are asked for, and ten minutes are all that there is."""
    desk = SagaDesk(5000)
    desk.shop.is_down = Unavailable("HTTP 503", 600.0)
    looks = 0
    while desk.box.now < desk.booking.timeout_at - timedelta(seconds=10):
        looked = desk.look()
        left = (desk.booking.timeout_at - desk.box.now).total_seconds()
        assert looked.again_seconds is not None
        assert looked.again_seconds <= max(1.0, left / 4)
        desk.box.now += timedelta(seconds=looked.again_seconds)
        looks += 1
    assert 10 < looks < 200
    desk.shop.is_down = None
    desk.look()
    assert desk.booking.state == "confirmed"


def test_while_the_shop_is_left_alone_a_booking_comes_back_when_it_may_be_asked_again() -> None:
    """It has not failed this booking, so the pauses of its own do not grow."""
    desk = SagaDesk(5000)
    desk.shop.is_down = Unavailable("left alone", 5.0, is_left_alone=True)
    waits = [desk.look().again_seconds or 0.0 for _ in range(10)]
    assert all(5.0 <= wait <= 11.0 for wait in waits), waits
    assert desk.rows.saga.failures == 0


def test_a_look_at_what_is_confirmed_searches_once() -> None:
    desk = SagaDesk(5000)
    desk.confirmed()
    desk.calls.clear()
    desk.look(watches=True)
    assert [type(call) for call in desk.calls].count(Find) == 1
    assert not [call for call in desk.calls if isinstance(call, Refund | Cancel | Create)]
