"""The defects of the engine before this one that cost money when a hold became an order, by their numbers."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import psycopg
import pytest
from msgspec.structs import replace
from tests.support.pricing import a_product, a_ticket
from tests.support.rabbit import eventually
from tests.support.shop import ADULT, LONG, priced, refused, sell, with_fees
from tests.support.site import TestSite, kinds, open_test_site

from holdgate_producer import (
    BookingClient,
    Cancelled,
    Confirmed,
    Converting,
    Held,
    PaymentNotice,
    Priced,
    Pricing,
    Reason,
    Refused,
    new_request_id,
)
from holdgate_schema.answers.holds import HoldView
from holdgate_schema.commands.selling import ConvertBooking, SettleBooking
from holdgate_schema.values.products import Voucher
from holdgate_schema.values.views import BookedOrder
from holdgate_workers.adapters.postgres.pricing.products import PriceBook
from holdgate_workers.app.seals import internal_message
from holdgate_workers.wiring.carts import house_seals

pytestmark = pytest.mark.services


@pytest.fixture(scope="module", params=kinds())
def shop(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestSite]:
    """A site on which everything runs that sells."""
    with open_test_site(request.param, tmp_path_factory.mktemp("shop")) as shared:
        gate = shared.start("gate", "feeder", "relay", "expiry")
        shared.start("pricing", "orders")
        shared.wait_lines(gate)
        yield shared


@pytest.fixture(scope="module")
def client(shop: TestSite) -> BookingClient:
    return shop.client()


@pytest.fixture
def book(shop: TestSite) -> Iterator[PriceBook]:
    opened = PriceBook(shop.database_url)
    yield opened
    opened.close()


def held(client: BookingClient, name: str, **pricing: Any) -> HoldView:
    """An adult's hold with a price."""
    wanted = Pricing(payment_method="credit_card", **pricing)
    return priced(client.place_priced(name, {"adult": 1}, pricing=wanted).final.result(LONG)).hold


def paid(hold: HoldView, **other: Any) -> PaymentNotice:
    """What the hold costs was paid."""
    assert hold.quote is not None
    said = {"method": "credit_card", "amount": hold.quote.total, "currency": "EUR", "status": "paid"}
    return PaymentNotice(**{**said, **other})


def conversion(hold: HoldView, **other: Any) -> ConvertBooking:
    """The hold is to be booked at its price."""
    assert hold.quote is not None
    fields: dict[str, Any] = {
        "request_id": new_request_id(),
        "occurrence_id": hold.occurrence_id,
        "session_id": hold.session_id,
        "hold_id": hold.hold_id,
        "quote_hash": hold.quote.hash,
        "payment": paid(hold),
    }
    return ConvertBooking(**{**fields, **other})


def test_b18_twenty_consumers_of_one_conversion_make_one_booking(
    shop: TestSite, client: BookingClient, book: PriceBook
) -> None:
    """Webhook and thank-you page both booked. The same request is one; another one finds the hold taken."""
    sell(book, client, "b18")
    hold = held(client, "b18")
    once = conversion(hold)
    clients = [shop.client(f"consumer-{number}") for number in range(4)]

    def convert(number: int) -> Any:
        command = once if number % 2 else conversion(hold)
        return clients[number % 4].follow(command, timeout_seconds=LONG).final.result(LONG)

    with ThreadPoolExecutor(20) as consumers:
        answers = list(consumers.map(convert, range(20)))
    confirmed = {answer.booking.booking_id for answer in answers if isinstance(answer, Confirmed)}
    others = {answer.reason for answer in answers if isinstance(answer, Refused)}
    assert confirmed == {hold.hold_id}
    assert others <= {Reason.HOLD_FINAL}
    assert shop.rows("SELECT held, sold FROM pools WHERE occurrence_id = 'b18' AND key = 'total'") == [(0, 1)]
    assert shop.value("SELECT count(*) FROM orders WHERE reference LIKE %s", f"%{hold.hold_id}%") == 1


def expired(shop: TestSite, client: BookingClient, name: str) -> HoldView:
    """A hold with a price whose time is over."""
    wanted = Pricing(payment_method="credit_card")
    answers = (
        client.place_priced(name, {"adult": 1}, pricing=wanted, ttl_seconds=ttl_seconds).final.result(LONG)
        for ttl_seconds in (1, 5, 25)  # on a slow machine its time may be over before it is priced
    )
    hold = next(answer.hold for answer in answers if isinstance(answer, Priced))
    state = "SELECT state FROM holds WHERE id = %s"
    eventually(lambda: shop.value(state, hold.hold_id) == "expired", "its time is over", LONG)
    return hold


def test_b19_what_was_paid_too_late_is_sold_if_there_is_room_and_else_waits_for_a_person(
    shop: TestSite, client: BookingClient, book: PriceBook
) -> None:
    """It was called a success, with nothing booked."""
    sell(book, client, "b19", capacity=1)
    late = expired(shop, client, "b19")
    sold = client.follow(conversion(late)).final.result(LONG)
    assert isinstance(sold, Confirmed)
    assert (sold.booking.booking_id, sold.booking.hold_id == late.hold_id) == (late.hold_id, False)
    pool = "SELECT held, sold FROM pools WHERE occurrence_id = %s AND key = 'total'"
    assert shop.rows(pool, "b19") == [(0, 1)]
    sell(book, client, "b19-full", capacity=1)
    too_late = expired(shop, client, "b19-full")
    assert isinstance(client.place("b19-full", {"adult": 1}), Held)
    told = refused(client.follow(conversion(too_late)).final.result(LONG))
    assert (told.reason, told.booking_id) == (Reason.PARKED, too_late.hold_id)
    assert shop.rows(pool, "b19-full") == [(1, 0)]
    assert shop.value("SELECT state FROM bookings WHERE id = %s", too_late.hold_id) == "parked"


def test_b21_nothing_is_sold_that_was_not_converted_whoever_says_so(
    shop: TestSite, client: BookingClient, book: PriceBook
) -> None:
    """`booked` was raised by whatever a message said. The database itself would refuse it, too."""
    sell(book, client, "b21", capacity=2)
    hold = held(client, "b21")
    order = BookedOrder(gateway="local", order_id="1", status="paid")
    forged = SettleBooking(
        request_id=new_request_id(),
        occurrence_id="b21",
        booking_id=hold.hold_id,
        outcome="ordered",
        order=order,
    )
    assert refused(client.call(forged)).reason is Reason.FORBIDDEN
    ours = replace(forged, request_id=new_request_id())
    publisher = shop.site.transport.publisher(name="b21")
    try:
        message = internal_message(ours, house_seals(shop.site))
        assert not publisher.publish([message]).wait(LONG)
    finally:
        publisher.close(1.0)
    outcome = "SELECT reason FROM journal WHERE request_id = %s"
    eventually(lambda: shop.rows(outcome, ours.request_id) == [("booking_not_found",)], "it was refused")
    assert shop.rows("SELECT held, sold FROM pools WHERE occurrence_id = 'b21' AND key = 'total'") == [(1, 0)]
    with pytest.raises(psycopg.errors.CheckViolation):
        shop.rows("UPDATE pools SET sold = sold + 2 WHERE occurrence_id = 'b21' AND key = 'total'")


def test_b22_a_conversion_takes_exactly_its_hold(shop: TestSite, client: BookingClient, book: PriceBook) -> None:
    """All holds of the session were deleted with it, those that were placed meanwhile too."""
    sell(book, client, "b22")
    hold = held(client, "b22")
    before = client.place("b22", {"adult": 2}, session_id=hold.session_id)
    sale = client.follow(conversion(hold))
    assert isinstance(sale.first.result(LONG), Converting)
    meanwhile = client.place("b22", {"adult": 3}, session_id=hold.session_id)
    assert isinstance(sale.final.result(LONG), Confirmed)
    assert isinstance(before, Held)
    assert isinstance(meanwhile, Held)
    states = dict(shop.rows("SELECT seats, state FROM holds WHERE occurrence_id = 'b22'"))
    assert states == {1: "confirmed", 2: "active", 3: "active"}


def test_b23_the_quoted_price_is_charged_or_nothing_but_never_the_new_one(
    shop: TestSite, client: BookingClient, book: PriceBook
) -> None:
    sell(book, client, "b23")
    hold = held(client, "b23")
    assert hold.quote is not None
    book.products.put("b23", a_product(product_id="b23", ticket_types=a_ticket(9900)), changed_by="test")
    dearer = held(client, "b23")
    assert dearer.quote is not None
    assert dearer.quote.total > hold.quote.total
    swapped = client.follow(conversion(hold, quote_hash=dearer.quote.hash, payment=paid(dearer)))
    told = refused(swapped.first.result(LONG))
    assert (told.reason, told.quote) == (Reason.PRICE_CHANGED, hold.quote)
    little = client.follow(conversion(dearer, payment=paid(hold)))
    assert refused(little.first.result(LONG)).reason is Reason.PAYMENT_MISMATCH
    confirmed = client.follow(conversion(hold)).final.result(LONG)
    assert isinstance(confirmed, Confirmed)
    assert confirmed.booking.quote == hold.quote
    order = shop.value("SELECT total FROM orders WHERE reference LIKE %s", f"%{hold.hold_id}%")
    assert order == hold.quote.total


def test_b23_what_has_no_price_is_not_sold(client: BookingClient, book: PriceBook) -> None:
    """An unknown price was 0."""
    sell(book, client, "b23-unknown")
    answers = client.place_priced("b23-unknown", {"child": 1})
    taken = answers.first.result(LONG)
    assert isinstance(taken, Held)
    assert refused(answers.final.result(LONG)).reason is Reason.UNPRICED
    free = PaymentNotice(method="credit_card", amount=0, currency="EUR", status="paid")
    ids = ("b23-unknown", taken.hold.session_id, taken.hold.hold_id)
    sale = client.convert(*ids, quote_hash="0" * 64, payment=free)
    assert refused(sale.final.result(LONG)).reason is Reason.UNPRICED


def test_b23_a_quote_that_ran_out_before_the_hold_is_told_apart_from_another_price(
    shop: TestSite, client: BookingClient, book: PriceBook
) -> None:
    sell(book, client, "b23-late")
    quoted = client.quote("b23-late", {"adult": 1}, payment_method="credit_card")
    assert not isinstance(quoted, Refused)
    shop.rows("UPDATE quotes SET valid_until = now() - interval '1 s' WHERE hash = %s", quoted.quote.hash)
    book.products.put("b23-late", a_product(product_id="b23-late", ticket_types=a_ticket(9900)), changed_by="test")
    hold = held(client, "b23-late", quote_hash=quoted.quote.hash)
    sale = client.follow(conversion(hold, quote_hash=quoted.quote.hash))
    told = refused(sale.first.result(LONG))
    assert (told.reason, told.quote) == (Reason.QUOTE_EXPIRED, hold.quote)


def test_a_voucher_is_redeemed_no_more_often_than_it_may_be_on_any_occurrence_and_comes_back(
    shop: TestSite, client: BookingClient, book: PriceBook
) -> None:
    names = ["voucher-a", "voucher-b", "voucher-c"]
    for name in names:
        sell(book, client, name)
    book.vouchers.put("ONCE-26", Voucher(code="ONCE-26", percent=50), changed_by="test")
    holds = [held(client, name, voucher="ONCE-26") for name in names]
    assert {hold.quote.total for hold in holds if hold.quote} == {fees_of(with_card=ADULT // 2)}
    sales = [client.follow(conversion(hold)).final.result(LONG) for hold in holds]
    assert [type(answer) for answer in sales] == [Confirmed, Refused, Refused]
    told = refused(sales[1])
    assert (told.reason, told.limit, told.used) == (Reason.VOUCHER_USED_UP, 1, 1)
    first, second, _ = holds
    cancelled = client.cancel_booking(names[0], first.session_id, first.hold_id)
    assert isinstance(cancelled, Cancelled)
    again = client.follow(conversion(second)).final.result(LONG)
    assert isinstance(again, Confirmed)
    assert shop.value("SELECT used FROM shared_limits WHERE scope = 'voucher' AND key = 'ONCE-26'") == 1


def fees_of(*, with_card: int) -> int:
    """With the platform's 2.5 % and the card's 2.9 %, each rounded half-up."""
    return with_fees(with_card) + (with_card * 29 + 500) // 1000
