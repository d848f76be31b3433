"""Money that was said to be paid and was not taken is told of, once and by whatever reason; nothing else is."""

from __future__ import annotations

import json
from typing import Any

import pytest
from msgspec.structs import replace
from tests.support.box_office import HASH, ORDER_ID, TOTAL, BoxOffice
from tests.support.domain import KEYS, NOW, OCCURRENCE, LimitsTable, a_release, request_id

from holdgate_schema.codec import encode
from holdgate_schema.commands.selling import ConvertBooking, PaymentNotice
from holdgate_schema.envelope import Properties
from holdgate_schema.events.selling import PaymentRefused
from holdgate_workers.app.gate.incoming import read
from holdgate_workers.app.ports import Delivery
from holdgate_workers.domain.decide import decide, refuse_unreadable
from holdgate_workers.domain.decision import Context
from holdgate_workers.domain.settings.settings import parse

PAID = PaymentNotice(method="card", amount=TOTAL, currency="EUR", status="paid", reference="pi_1")


def refused(box: BoxOffice) -> list[PaymentRefused]:
    """What was told of money that was not taken."""
    return [event for event in box.events if isinstance(event, PaymentRefused)]


def a_released_hold(box: BoxOffice) -> str:
    hold_id = box.hold()
    box.do(a_release(hold_id))
    return hold_id


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"amount": TOTAL - 1}, "payment_mismatch"),
        ({"payment": replace(PAID, currency="CHF")}, "payment_mismatch"),
        ({"quote_hash": "b" * 64}, "price_changed"),
        ({"session_id": "somebody-else"}, "hold_not_found"),
    ],
)
def test_a_payment_that_is_refused_is_told_with_what_was_paid(fields: dict[str, Any], reason: str) -> None:
    box = BoxOffice()
    hold_id = box.hold()
    answer: Any = box.convert(hold_id, **fields)
    assert answer.reason == reason
    [told] = refused(box)
    paid = fields.get("payment", replace(PAID, amount=fields.get("amount", TOTAL)))
    assert (told.hold_id, told.reason, told.message) == (hold_id, reason, answer.message)
    assert (told.payment.amount, told.payment.currency) == (paid.amount, paid.currency)
    assert told.version == answer.version


def test_a_hold_that_is_over_a_voucher_that_is_gone_and_a_hold_without_a_price_keep_nobodys_money() -> None:
    box = BoxOffice()
    box.convert(a_released_hold(box))
    assert [told.reason for told in refused(box)] == ["hold_final"]


def test_what_was_not_paid_costs_nothing_or_is_kept_by_a_booking_is_no_refused_payment() -> None:
    box = BoxOffice()
    box.convert(box.hold(1), status="pending", amount=1)
    box.convert(box.hold(1, free=True), amount=0, quote_hash="b" * 64)
    assert refused(box) == []
    for state in ("parked (without)", "refund_required"):
        box = BoxOffice()
        box.story(state)
        assert refused(box) == []


def test_a_payment_that_its_booking_has_is_not_refused_by_being_said_again_and_a_second_one_is() -> None:
    box = BoxOffice()
    hold_id = box.hold()
    box.convert(hold_id, payment=PAID)
    box.convert(hold_id, payment=PAID)
    assert refused(box) == []
    box.convert(hold_id, payment=replace(PAID, reference="pi_2"))
    assert [told.payment.reference for told in refused(box)] == ["pi_2"]
    other = box.hold()
    box.convert(other)
    box.settle(other)
    box.convert(other)
    box.convert(other, amount=TOTAL + 5)
    assert [told.payment.amount for told in refused(box)] == [TOTAL, TOTAL + 5]
    assert box.bookings[other].order is not None
    assert box.bookings[other].order.order_id == ORDER_ID


def test_where_there_is_no_occurrence_the_money_is_told_of_all_the_same() -> None:
    command = ConvertBooking(
        request_id=request_id(1),
        occurrence_id="nowhere",
        session_id="ann",
        hold_id=request_id(2),
        quote_hash=HASH,
        payment=PAID,
    )
    [told] = decide(None, command, context()).events
    assert isinstance(told, PaymentRefused)
    assert (told.reason, told.version) == ("unknown_occurrence", 0)


@pytest.mark.parametrize(
    ("spoil", "is_told"),
    [
        ({"customer": {"email": "nobody"}}, True),
        ({"quote_hash": "x"}, True),
        ({"payment": {"amount": "much"}}, False),
    ],
)
def test_a_conversion_that_cannot_be_read_is_told_of_as_far_as_its_payment_can(
    spoil: dict[str, Any], is_told: bool
) -> None:
    command = ConvertBooking(
        request_id=request_id(1),
        occurrence_id=OCCURRENCE,
        session_id="ann",
        hold_id=request_id(2),
        quote_hash=HASH,
        payment=PAID,
    )
    body = json.dumps(json.loads(encode(command)) | spoil).encode()
    item = read(Delivery(0, 1, 1, body, Properties(message_id=command.request_id)))
    assert item.command is None
    assert item.request_id == command.request_id
    decision = refuse_unreadable(
        None, command.request_id, OCCURRENCE, item.errors, context(), payment=item.payment
    )
    told = [event for event in decision.events if isinstance(event, PaymentRefused)]
    assert [(event.reason, event.payment.reference) for event in told] == [("invalid", "pi_1")] * is_told


def context() -> Context:
    """An empty house."""
    return Context(now=NOW, settings=parse({}), sessions=KEYS, limits=LimitsTable())
