"""From a priced hold to a booking: who wins a race, what is paid too late, and which price counts."""

from __future__ import annotations

import random
from datetime import timedelta
from typing import Any, get_args

import pytest
from tests.support.box_office import HASH, TOTAL, BoxOffice
from tests.support.domain import a_change

from holdgate_schema.answers.selling import Booked, Cancelled, Confirmed, Converting
from holdgate_schema.commands.holds import ExtraDefinition, SharedStock
from holdgate_schema.commands.selling import PaymentNotice
from holdgate_schema.events.holds import HoldExpired
from holdgate_schema.values.views import QuoteView
from holdgate_workers.domain.settings.settings import LatePayment, parse

POLICIES = get_args(LatePayment)


def reason(answer: Any) -> str:
    """Why it was refused, or the outcome."""
    return str(getattr(answer, "reason", None) or type(answer).__name__)


# --- races --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("status", ["pending", "paid"])
def test_of_expiry_and_conversion_at_the_same_instant_exactly_one_wins(status: str) -> None:
    """1,000 times, in both orders, from just before the hold's end to just after it."""
    draw = random.Random(29)
    won = {"expired": 0, "converted": 0}
    for number in range(1000):
        box = BoxOffice(policy="park")
        hold_id = box.hold()
        box.now = box.holds[hold_id].expires_at + timedelta(microseconds=draw.randrange(-3, 4))
        steps = [box.sweep, lambda box=box, hold_id=hold_id: box.convert(hold_id, status=status)]
        for step in steps if number % 2 else reversed(steps):
            step()
        expired = sum(isinstance(event, HoldExpired) for event in box.events)
        converting = box.holds[hold_id].state == "converting"
        assert expired + converting == 1, (expired, box.holds[hold_id])
        won["converted" if converting else "expired"] += 1
        assert box.seats == ((2, 0) if converting else (0, 0))
    assert min(won.values()) > 100


def test_a_hold_that_is_converted_never_expires() -> None:
    box = BoxOffice()
    hold_id = box.hold()
    box.convert(hold_id)
    box.now += timedelta(days=3)
    box.sweep()
    assert box.holds[hold_id].state == "converting"
    assert isinstance(box.settle(hold_id), Confirmed)


def test_b29_what_one_session_buys_is_no_other_sessions_and_no_clean_up_gives_it_back() -> None:
    stock = SharedStock(key="guides", cap=5)
    box = BoxOffice(put={"extras": [ExtraDefinition(key="guide", stock=stock)]})
    bought = box.hold(1, session_id="ann", extras={"guide": 2})
    held = box.hold(1, session_id="bob", extras={"guide": 1})
    box.convert(bought)
    box.settle(bought)
    assert box.holds[held].state == "active"
    box.now += timedelta(minutes=16)
    box.sweep()
    assert (box.holds[bought].state, box.holds[held].state) == ("confirmed", "expired")
    assert {key.key: used for key, used in box.limits.numbers.items() if key.scope == "stock"} == {"guides": 2}
    assert box.seats == (0, 1)


def test_b30_nothing_vanishes_when_time_passes_in_the_middle_of_a_clean_up() -> None:
    """Stock, what is reserved and what is sold add up at every instant: `BoxOffice` counts after each command."""
    stock = SharedStock(key="guides", cap=8)
    box = BoxOffice(capacity=8, put={"extras": [ExtraDefinition(key="guide", stock=stock)]})
    holds = []
    for number in range(8):
        holds.append(box.hold(1, session_id=f"s{number}", extras={"guide": 1}))
        box.now += timedelta(seconds=1)
    for number, hold_id in enumerate(holds):
        box.now = box.holds[hold_id].expires_at - timedelta(microseconds=number % 2)
        box.convert(hold_id, status="pending")
        box.sweep()
    ended = [box.holds[hold_id].state for hold_id in holds]
    assert ended == ["expired", "converting"] * 4
    used = [number for key, number in box.limits.numbers.items() if key.scope == "stock"]
    assert used == [4]


# --- paid too late ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("policy", POLICIES)
def test_paid_after_expiry_with_seats_free(policy: str) -> None:
    box = BoxOffice(policy=policy)
    hold_id = box.hold()
    box.now += timedelta(hours=1)
    box.sweep()
    answer = box.convert(hold_id)
    booking = box.bookings[hold_id]
    if policy.startswith("fulfil"):
        assert isinstance(answer, Converting)
        assert booking.hold_id != hold_id
        assert isinstance(box.settle(hold_id), Confirmed)
        assert box.seats == (0, 2)
    else:
        expected = "refund_required" if policy == "refund" else "parked"
        assert (reason(answer), booking.state) == (expected, expected)
        assert box.seats == (0, 0)


@pytest.mark.parametrize("policy", POLICIES)
def test_paid_after_expiry_with_seats_gone(policy: str) -> None:
    box = BoxOffice(policy=policy)
    hold_id = box.hold()
    box.now += timedelta(hours=1)
    box.sweep()
    box.fill()
    answer = box.convert(hold_id)
    expected = "refund_required" if policy.endswith("refund") else "parked"
    assert (reason(answer), box.bookings[hold_id].state) == (expected, expected)
    assert box.seats == (4, 0), "nobody's seats are taken for it"


@pytest.mark.parametrize("seats_are_free", [True, False])
@pytest.mark.parametrize("policy", POLICIES)
def test_an_order_paid_after_its_booking_failed(policy: str, seats_are_free: bool) -> None:
    """The shop says so, which is no other matter than a buyer who does."""
    box = BoxOffice(policy=policy)
    booking_id = box.story("failed")
    if not seats_are_free:
        box.fill()
    box.note(booking_id, "paid")
    if policy.startswith("fulfil") and seats_are_free:
        expected = "confirmed"
    else:
        expected = "refund_required" if policy.endswith("refund") else "parked"
    assert box.bookings[booking_id].state == expected


@pytest.mark.parametrize("outcome", ["failed", "unknown"])
def test_a_conversion_that_was_confirmed_has_had_its_answer_whatever_came_later(outcome: str) -> None:
    """The shop cancelled its order and was paid all the same; only then an orders worker says that it had failed."""
    box = BoxOffice(policy="park")
    booking_id = box.hold()
    box.convert(booking_id)
    box.settle(booking_id)
    box.note(booking_id, "cancelled", 1)
    box.note(booking_id, "paid", 2)
    before = box.bookings[booking_id]
    assert (before.state, before.confirmed_at is None) == ("parked", False)
    assert reason(box.settle(booking_id, outcome)) == "booking_final"
    assert box.bookings[booking_id] == before


# --- prices -------------------------------------------------------------------------------------------------------


def test_a_price_that_changed_between_quote_and_order_is_refused_and_never_charged() -> None:
    box = BoxOffice()
    hold_id = box.hold()
    box.price(hold_id, "b" * 64)
    assert reason(box.convert(hold_id)) == "price_changed"
    assert box.bookings == {}
    assert isinstance(box.convert(hold_id, quote_hash="b" * 64), Converting)
    assert box.bookings[hold_id].quote.hash == "b" * 64


def test_a_quote_that_is_no_longer_valid_says_so() -> None:
    box = BoxOffice()
    hold_id = box.hold()
    box.price(hold_id, "b" * 64, outdated_hash="a" * 64)
    assert reason(box.convert(hold_id)) == "quote_expired"


@pytest.mark.parametrize("amount", [TOTAL - 1, TOTAL + 1, 0])
def test_what_was_paid_is_what_the_quote_says_or_nothing_happens(amount: int) -> None:
    box = BoxOffice()
    hold_id = box.hold()
    assert reason(box.convert(hold_id, amount=amount)) == "payment_mismatch"
    assert box.holds[hold_id].state == "active"


@pytest.mark.parametrize(
    ("quoted", "method", "refused"),
    [
        (None, "credit_card", True),
        (None, "invoice", False),
        (None, "sepa", True),
        ("credit_card", "credit_card", False),
        ("invoice", "credit_card", True),
        ("credit_card", "invoice", True),
    ],
)
def test_a_way_of_paying_that_costs_more_than_the_quote_has_is_refused(
    quoted: str | None, method: str, refused: bool
) -> None:
    """Also where the quote has none: its total is without the fee."""
    box = BoxOffice()
    fees = {"credit_card": {"percent": 2.9}, "sepa": {"fixed": {"USD": 30}}}
    box.settings = parse({"conversion.late_payment": box.policy, "fees.payment": fees})
    hold_id = box.hold()
    box.price(hold_id, quote=_a_quote(TOTAL, quoted))
    answer = box.convert(hold_id, payment=_paid(TOTAL, method))
    assert (getattr(answer, "reason", None) == "payment_mismatch") is refused, answer
    assert box.holds[hold_id].state == ("active" if refused else "converting")


def test_a_way_of_paying_costs_nothing_where_nothing_is_paid() -> None:
    box = BoxOffice()
    hold_id = box.hold()
    box.price(hold_id, quote=_a_quote(0, None))
    assert isinstance(box.convert(hold_id, payment=_paid(0, "credit_card")), Converting)


def _a_quote(total: int, payment_method: str | None) -> QuoteView:
    return QuoteView(
        hash=HASH,
        currency="EUR",
        total=total,
        tickets_total=total,
        extras_total=0,
        payment_method=payment_method,
    )


def _paid(amount: int, method: str) -> PaymentNotice:
    return PaymentNotice(method=method, amount=amount, currency="EUR", status="paid")


def test_a_basket_that_is_changed_has_no_price_until_it_is_priced_anew() -> None:
    box = BoxOffice()
    hold_id = box.hold(1)
    box.do(a_change(hold_id, 2, session_id=box.holds[hold_id].session_id))
    assert reason(box.convert(hold_id)) == "unpriced"


# --- once ---------------------------------------------------------------------------------------------------------


def test_a_voucher_is_redeemed_once_per_booking_and_given_back_with_it() -> None:
    box = BoxOffice()
    first, second = (box.hold(1, voucher="WINTER-26", session_id=name) for name in ("ann", "bob"))
    box.convert(first)
    assert reason(box.convert(second)) == "voucher_used_up"
    box.settle(first, "failed")
    box.settle(first, "failed")
    assert isinstance(box.convert(second), Converting)


@pytest.mark.parametrize("ending", ["failed", "cancelled", "refunded"])
def test_compensation_happens_once_however_often_it_is_asked_for(ending: str) -> None:
    """B31: `BoxOffice` counts the seats after each command."""
    box = BoxOffice()
    booking_id = box.story("converting" if ending == "failed" else "confirmed")
    for _ in range(3):
        if ending == "failed":
            box.settle(booking_id, "failed")
        else:
            box.note(booking_id, ending)
            box.cancel(booking_id)
    assert box.seats == (0, 0)
    assert sum(event.__struct_config__.tag in ENDS for event in box.events) == 1


ENDS = ("booking.failed.v1", "booking.cancelled.v1")


def test_a_booking_is_refunded_once() -> None:
    box = BoxOffice()
    booking_id = box.story("confirmed")
    answer = box.cancel(booking_id)
    assert isinstance(answer, Cancelled)
    assert answer.refund == "due"
    assert isinstance(box.resolve(booking_id, "refunded"), Booked)
    assert box.bookings[booking_id].refund == "done"
    assert reason(box.resolve(booking_id, "refunded")) == "booking_final"
    box.note(booking_id, "paid", 99, refunded=TOTAL)
    assert box.bookings[booking_id].refund == "done", "what was given back is not owed again"
