"""A house that sells: products with prices, holds that have one, conversions, and the shop that gets the orders."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from contextlib import closing
from decimal import Decimal
from typing import Any

from tests.support.fake_woocommerce import KEY, PRODUCT_ID, SECRET, FakeWooCommerce
from tests.support.pricing import a_product, a_ticket
from tests.support.rabbit import eventually
from tests.support.recount import Broken
from tests.support.requests import put
from tests.support.site import TestSite

from holdgate_producer import BookingClient, Priced
from holdgate_schema.commands.selling import CancelBooking, ConvertBooking, Customer, PaymentNotice
from holdgate_workers.adapters.postgres.pricing.products import PriceBook
from holdgate_workers.ids import new_request_id

ADULT = 2500
PATIENCE_SECONDS = 60.0
OVER = ("cancelled", "refunded", "trash")

Row = Mapping[str, Any]


def sell(
    site: TestSite, client: BookingClient, name: str, capacity: int = 20, *, price: int = ADULT, **fields: Any
) -> None:
    """An occurrence `name` of a product of the same name, adults at 25.00."""
    with closing(PriceBook(site.database_url)) as book:
        book.products.put(name, a_product(product_id=name, ticket_types=a_ticket(price)), changed_by="test")
    put(client, name, capacity, product_id=name, **fields)


def priced(client: BookingClient, occurrence_id: str, adults: int = 1) -> Priced:
    """A hold that has its price."""
    told = client.place_priced(occurrence_id, {"adult": adults}).final.result(PATIENCE_SECONDS)
    assert isinstance(told, Priced), told
    return told


def convert_of(hold: Priced, *, status: Any = "paid", **fields: Any) -> ConvertBooking:
    """The buyer pays what the quote says."""
    quote = hold.quote
    payment = PaymentNotice(
        method="card", amount=quote.total, currency=quote.currency, status=status, reference="pi_1"
    )
    defaults: dict[str, Any] = {
        "request_id": new_request_id(),
        "occurrence_id": hold.occurrence_id,
        "session_id": hold.hold.session_id,
        "hold_id": hold.hold.hold_id,
        "quote_hash": quote.hash,
        "payment": payment,
        "customer": Customer(name="Ada Lovelace", email="ada@example.org"),
    }
    return ConvertBooking(**(defaults | fields))


def cancel_of(hold: Priced, **fields: Any) -> CancelBooking:
    """The buyer gives the booking back."""
    return CancelBooking(
        request_id=new_request_id(),
        occurrence_id=hold.occurrence_id,
        session_id=hold.hold.session_id,
        booking_id=hold.hold.hold_id,
        reason="changed plans",
        **fields,
    )


def woocommerce(shop: FakeWooCommerce, **more: str) -> dict[str, str]:
    """What a worker is told of the shop."""
    return {
        "HOLDGATE_ORDER_GATEWAY": "woocommerce",
        "HOLDGATE_ORDER_URL": shop.url,
        "HOLDGATE_ORDER_KEY": KEY,
        "HOLDGATE_ORDER_SECRET": SECRET,
        "HOLDGATE_ORDER_PRODUCT_ID": str(PRODUCT_ID),
        "HOLDGATE_ORDER_PAYMENT_METHODS": "card=stripe",
        **more,
    }


def state_of(site: TestSite, booking_id: str) -> str:
    """The booking's state in the rows."""
    state: str = site.value("SELECT state FROM bookings WHERE id = %s", booking_id)
    return state


def document_of(site: TestSite, booking_id: str) -> dict[str, Any]:
    """The booking in the rows."""
    document: dict[str, Any] = site.value("SELECT document FROM bookings WHERE id = %s", booking_id)
    return document


def wait_state(site: TestSite, booking_id: str, *states: str, timeout: float = PATIENCE_SECONDS) -> str:
    """Wait until the booking is in one of these states."""
    return str(
        eventually(
            lambda: (state := state_of(site, booking_id)) in states and state,
            f"booking {booking_id} is {' or '.join(states)}",
            timeout,
        )
    )


def sold(site: TestSite, occurrence_id: str) -> int:
    """What the counter says is sold."""
    number: int = site.value("SELECT sold FROM pools WHERE occurrence_id = %s AND key = 'total'", occurrence_id)
    return number


def alive(orders: Iterable[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """The orders that are not over."""
    return [order for order in orders if order["status"] not in OVER]


_REDUCED = """
SELECT count(*) FROM journal WHERE kind = 'booking.reduce.v1' AND outcome = 'booking'
AND reply #>> '{booking,booking_id}' = %s"""


def shop_problems(site: TestSite, shop: FakeWooCommerce) -> list[Broken]:
    """The shop's orders against the house's bookings, past our own code."""
    problems = []
    references = set()
    for booking_id, state, document in site.rows("SELECT id::text, state, document FROM bookings"):
        reference = f"hg-{booking_id}"
        references.add(reference)
        orders = shop.under(reference)
        living = alive(orders)
        if len(living) > 1:
            problems.append(f"{booking_id}: ordered {len(living)} times")
        if state == "confirmed" and len(living) != 1:
            problems.append(f"{booking_id}: confirmed with {len(living)} orders")
        if state in ("cancelled", "failed") and living:
            problems.append(f"{booking_id}: {state}, its order is {living[0]['status']}")
        total = f"{document['quote']['total'] / 100:.2f}"
        problems += [
            f"{booking_id}: the order charges {order['total']}, the quote {total}"
            for order in orders
            if order["total"] != total
        ]
        refunds = [refund for order in orders for refund in order["_refunds"]]
        # One for each time that something was given back, and they come to what the booking says.
        back = sum(round(Decimal(refund["amount"]) * 100) for refund in refunds)
        given = 1 + site.value(_REDUCED, booking_id)
        if len(refunds) > given:
            problems.append(f"{booking_id}: {len(refunds)} refunds, and something was given back {given} times")
        if document.get("refund") == "done" and (not refunds or back != document.get("refunded", 0)):
            problems.append(f"{booking_id}: said to be refunded {document.get('refunded')}, and {back} went back")
    for order in list(shop.orders.values()):
        reference = next(m["value"] for m in order["meta_data"] if m["key"] == "holdgate_reference")
        if reference not in references:
            problems.append(f"order {order['id']} is of no booking: {reference}")
    return [Broken(problem) for problem in problems]
