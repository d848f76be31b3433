"""Money that comes when nothing can be bought any more: nothing is sold in silence, and what is in the way is said."""

from __future__ import annotations

from typing import Any

import pytest
from tests.support.box_office import TOTAL, BoxOffice
from tests.support.domain import SESSION, a_place

from holdgate_schema.answers.selling import Confirmed, Converting
from holdgate_workers.domain.decision import LimitKey
from holdgate_workers.domain.settings.settings import parse

VOUCHER = LimitKey("voucher", "WINTER-26")


def reason(answer: Any) -> str:
    """Why it was refused, or the outcome."""
    return str(getattr(answer, "reason", None) or type(answer).__name__)


# --- what is over ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("until", ["start", "end"])
@pytest.mark.parametrize("is_live", [True, False], ids=["live hold", "expired hold"])
def test_what_is_paid_when_it_is_over_is_parked_and_its_seats_are_free(until: str, is_live: bool) -> None:
    box = BoxOffice()
    box.settings = parse({"conversion.until": until})
    hold_id = box.hold()
    if not is_live:
        box.pass_its("starts_at" if until == "start" else "ends_at")
        box.sweep()
    else:
        box.live_past(hold_id, "starts_at" if until == "start" else "ends_at")
    assert reason(box.convert(hold_id)) == "parked"
    booking = box.bookings[hold_id]
    assert (booking.state, booking.payment.status, box.seats) == ("parked", "paid", (0, 0))
    assert {"start": "started at", "end": "ended at"}[until] in booking.reason


def test_between_start_and_end_the_setting_decides() -> None:
    box = BoxOffice()
    hold_id = box.hold()
    box.live_past(hold_id, "starts_at")
    assert isinstance(box.convert(hold_id), Converting)
    assert isinstance(box.settle(hold_id), Confirmed)


@pytest.mark.parametrize("policy", ["fulfil_or_refund", "refund"])
def test_money_for_what_is_over_goes_back_if_the_setting_says_so(policy: str) -> None:
    box = BoxOffice(policy=policy)
    hold_id = box.hold()
    box.live_past(hold_id, "ends_at")
    assert reason(box.convert(hold_id)) == "refund_required"
    booking = box.bookings[hold_id]
    assert (booking.refund, booking.refund_due) == ("due", TOTAL)


def test_who_has_not_paid_is_refused_when_it_is_over_and_nothing_has_happened() -> None:
    box = BoxOffice()
    hold_id = box.hold()
    box.live_past(hold_id, "ends_at")
    answer: Any = box.convert(hold_id, status="pending")
    assert (reason(answer), answer.not_on_sale) == ("not_on_sale", "started")
    assert box.bookings == {}


@pytest.mark.parametrize("status", ["pending", "paid"])
@pytest.mark.parametrize("what", ["ended", "called off"])
def test_an_order_that_is_made_when_it_is_too_late_confirms_nothing(status: str, what: str) -> None:
    box = BoxOffice()
    booking_id = box.hold(voucher="WINTER-26")
    box.convert(booking_id, status=status)
    if what == "ended":
        box.pass_its("ends_at")
    else:
        box.call_off()
    expected = "parked" if status == "paid" else "order_failed"
    assert reason(box.settle(booking_id, status=status)) == expected
    booking = box.bookings[booking_id]
    assert (booking.state, box.seats) == ("parked" if status == "paid" else "failed", (0, 0))
    assert box.limits.numbers[VOUCHER] == 0


@pytest.mark.parametrize("policy", ["fulfil_or_park", "fulfil_or_refund"])
def test_an_order_that_is_paid_after_the_end_is_not_sold_again(policy: str) -> None:
    box = BoxOffice(policy=policy)
    booking_id = box.story("failed")
    box.pass_its("ends_at")
    box.note(booking_id, "paid")
    assert box.bookings[booking_id].state == ("parked" if policy == "fulfil_or_park" else "refund_required")
    assert box.seats == (0, 0)


def test_a_person_may_fulfil_what_is_over_and_never_what_was_called_off() -> None:
    box = BoxOffice()
    booking_id = box.story("parked (without)")
    box.pass_its("ends_at")
    assert isinstance(box.resolve(booking_id, "fulfil"), Confirmed)
    box = BoxOffice()
    booking_id = box.story("parked (with seats)")
    box.call_off()
    answer: Any = box.resolve(booking_id, "fulfil")
    assert (reason(answer), answer.not_on_sale) == ("not_on_sale", "cancelled")


# --- what was called off --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("is_live", [True, False], ids=["live hold", "expired hold"])
def test_what_is_paid_for_what_was_called_off_is_parked(is_live: bool) -> None:
    """It was refused before, and nobody knew of the money."""
    box = BoxOffice()
    hold_id = box.hold()
    if not is_live:
        box.now = box.holds[hold_id].expires_at
        box.sweep()
    box.call_off()
    assert reason(box.convert(hold_id)) == "parked"
    assert "cancelled" in box.bookings[hold_id].reason
    assert box.seats == (0, 0)


# --- what stands in the way -----------------------------------------------------------------------------------------


def used_up() -> tuple[BoxOffice, str]:
    """A booking that was paid too late, and a voucher that somebody else has redeemed since."""
    box = BoxOffice()
    booking_id, other = (box.hold(1, voucher="WINTER-26", session_id=name) for name in ("ann", "bob"))
    box.convert(other)
    box.settle(other)
    box.now = box.holds[booking_id].expires_at
    box.sweep()
    assert reason(box.convert(booking_id)) == "parked"
    return box, booking_id


def test_late_money_is_not_lost_over_a_voucher_and_the_reason_names_it() -> None:
    box, booking_id = used_up()
    assert "voucher was redeemed 1 times" in box.bookings[booking_id].reason
    answer: Any = box.resolve(booking_id, "fulfil")
    assert (reason(answer), answer.subject) == ("voucher_used_up", "voucher_uses")
    assert "uses_max" in answer.message


def test_a_voucher_whose_uses_were_raised_counts_with_them() -> None:
    box, booking_id = used_up()
    box.limits.caps[VOUCHER] = 2
    assert isinstance(box.resolve(booking_id, "fulfil"), Confirmed)
    assert box.limits.numbers[VOUCHER] == 2


def test_a_hold_that_was_priced_before_its_voucher_was_raised_converts() -> None:
    box = BoxOffice()
    first, second = (box.hold(1, voucher="WINTER-26", session_id=name) for name in ("ann", "bob"))
    box.convert(first)
    assert reason(box.convert(second)) == "voucher_used_up"
    box.limits.caps[VOUCHER] = 2
    assert isinstance(box.convert(second), Converting)


def test_another_basket_of_the_session_is_said_and_does_not_bind_a_person() -> None:
    box = BoxOffice()
    box.settings = parse({"hold.max_per_session": 1})
    booking_id = box.hold(1)
    box.now = box.holds[booking_id].expires_at
    box.sweep()
    box.do(a_place(1, session_id=SESSION))
    assert reason(box.convert(booking_id)) == "parked"
    assert "the session has 1 other holds" in box.bookings[booking_id].reason
    assert isinstance(box.resolve(booking_id, "fulfil"), Confirmed)


def test_what_is_sold_at_once_does_not_count_among_the_sessions_holds() -> None:
    box = BoxOffice()
    box.settings = parse({"hold.max_per_session": 1})
    booking_id = box.story("failed")
    box.do(a_place(1, session_id=SESSION))
    box.note(booking_id, "paid")
    assert box.bookings[booking_id].state == "confirmed"


def test_seats_that_are_gone_are_still_called_so() -> None:
    box = BoxOffice()
    booking_id = box.story("parked (without)")
    box.fill()
    assert reason(box.resolve(booking_id, "fulfil")) == "sold_out"


# --- given back by a person -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(("amount", "due"), [(None, TOTAL), (0, 0), (1200, 1200)])
@pytest.mark.parametrize("when", ["before", "started", "called off"])
def test_a_person_cancels_at_any_time_and_says_how_much_goes_back(amount: int | None, due: int, when: str) -> None:
    box = BoxOffice()
    booking_id = box.story("confirmed")
    if when == "started":
        box.pass_its("starts_at")
    elif when == "called off":
        box.call_off()
    box.resolve(booking_id, "cancel", amount)
    booking = box.bookings[booking_id]
    assert (booking.state, booking.ended_by, booking.refund_due) == ("cancelled", "staff", due)
    assert booking.refund == ("due" if due else "none")
    assert box.seats == (0, 0)
    box.resolve(booking_id, "refunded")
    assert box.bookings[booking_id].refunded == due


def test_no_more_goes_back_than_was_paid_less_what_went_back() -> None:
    box = BoxOffice()
    booking_id = box.story("confirmed")
    box.note(booking_id, "paid", 2, refunded=1000)
    answer: Any = box.resolve(booking_id, "cancel", TOTAL)
    assert (reason(answer), answer.errors[0].field) == ("invalid", "refund_amount")
    assert str(TOTAL - 1000) in answer.errors[0].reason
    box.resolve(booking_id, "cancel")
    assert box.bookings[booking_id].refund_due == TOTAL - 1000


def test_what_was_kept_at_first_can_be_given_back_later() -> None:
    box = BoxOffice()
    booking_id = box.story("confirmed")
    box.resolve(booking_id, "cancel", 0)
    box.note(booking_id, "paid", 9)
    assert box.bookings[booking_id].refund_due == 0, "a person kept it: the shop's word changes nothing"
    box.resolve(booking_id, "refund", 700)
    assert (box.bookings[booking_id].refund, box.bookings[booking_id].refund_due) == ("due", 700)


def test_what_costs_nothing_owes_nothing() -> None:
    box = BoxOffice()
    booking_id = box.hold(free=True)
    box.convert(booking_id, amount=0)
    box.settle(booking_id)
    box.cancel(booking_id)
    assert (box.bookings[booking_id].state, box.bookings[booking_id].refund) == ("cancelled", "none")
