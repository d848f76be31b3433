"""GA4's e-commerce events, one of each per booking, with money as it was charged and nobody in them."""

from __future__ import annotations

from datetime import timedelta

import msgspec
import pytest
from tests.support.notices import NOW, a_booking, a_quote

from holdgate_schema.values.quotes import Quote
from holdgate_workers.app.notifications.analytics import AnalyticsEvent, analytics_after
from holdgate_workers.app.notifications.facts import Booking

SALT = b"a secret of the house"
EVENTS = {
    "hold.created": "add_to_cart",
    "booking.converting": "begin_checkout",
    "booking.confirmed": "purchase",
    "booking.cancelled": "refund",
}


def reported(event: str, booking: Booking | None = None, salt: bytes = SALT) -> AnalyticsEvent:
    found = analytics_after(event, booking or a_booking(), NOW, salt=salt)
    assert found is not None
    return found


@pytest.mark.parametrize(("event", "name"), EVENTS.items())
def test_each_step_has_its_event_and_its_key(event: str, name: str) -> None:
    found = reported(event)
    assert (found.name, found.key) == (name, f"analytics/{name}/{a_booking().booking_id}")
    assert found == reported(event)
    assert found.useless_after == NOW + timedelta(hours=72)


@pytest.mark.parametrize("event", ["hold.changed", "hold.expired", "booking.failed", "capacity.full"])
def test_nothing_else_is_reported(event: str) -> None:
    assert analytics_after(event, a_booking(), NOW, salt=SALT) is None


def test_money_is_in_the_major_unit_and_as_charged() -> None:
    params = reported("booking.confirmed").params
    assert (params["currency"], params["value"], params["transaction_id"]) == ("EUR", 156.05, "HG-1042")
    assert [(item["item_variant"], item["quantity"], item["price"]) for item in params["items"]] == [
        ("Adult", 2, 75.0),
        ("Audio guide", 1, 6.05),
    ]
    assert msgspec.json.encode(params["value"]) == b"156.05"


@pytest.mark.parametrize(("currency", "value"), [("JPY", 15605.0), ("KWD", 15.605)])
def test_currencies_with_other_digits_are_right_too(currency: str, value: float) -> None:
    quote = msgspec.structs.replace(a_quote(), currency=currency)
    assert reported("booking.confirmed", a_booking(quote=quote)).params["value"] == value


def test_without_a_price_nothing_is_said_about_money() -> None:
    params = reported("hold.created", a_booking(quote=None)).params
    assert not {"currency", "value"} & set(params)
    assert all("price" not in item for item in params["items"])


@pytest.mark.parametrize(("refunded", "value"), [(None, 156.05), (5000, 50.0)])
def test_a_refund_is_what_was_given_back(refunded: int | None, value: float) -> None:
    booking = a_booking(state="cancelled", refunded=refunded)
    assert reported("booking.cancelled", booking).params["value"] == value


@pytest.mark.parametrize("fields", [{"refunded": 0}, {"quote": None}])
def test_where_nothing_was_given_back_there_is_no_refund(fields: dict[str, Quote | int | None]) -> None:
    booking = a_booking(state="cancelled", **fields)
    assert analytics_after("booking.cancelled", booking, NOW, salt=SALT) is None


def test_a_session_is_one_visitor_whom_nobody_can_name() -> None:
    first, second = reported("hold.created"), reported("booking.confirmed")
    assert first.client_id == second.client_id
    assert first.params["session_id"] == second.params["session_id"]
    assert reported("hold.created", a_booking(session_id="another")).client_id != first.client_id
    assert reported("hold.created", salt=b"another house").client_id != first.client_id
    whole = msgspec.json.encode(msgspec.to_builtins(first)).decode()
    assert "session-of-alex" not in whole


def test_vouchers_stay_at_home() -> None:
    quote = msgspec.structs.replace(a_quote(), voucher="GIFT-1234")
    assert "GIFT" not in str(reported("booking.confirmed", a_booking(quote=quote)).params)
