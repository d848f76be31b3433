"""Orders in the words of WooCommerce's REST API v3: what we send, and what we take from its answers."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Literal

import idna
import msgspec
from msgspec import Struct

from holdgate_workers.adapters.shops.amounts import to_decimal_text, to_minor_units
from holdgate_workers.app.ordering.orders import NewOrder, NewRefund, OrderStatus, ShopOrder

REFERENCE_KEY = "holdgate_reference"
ASKED_KEY = "holdgate_total"
CANCELLED_KEY = "holdgate_cancelled"
EMAIL_KEY = "holdgate_email"
REFUND_KEY = "holdgate_refund"
REFERENCE_LINE = "Holdgate "
"""Before our reference in the name of a free fee line. The API cannot search meta data (woocommerce #31016); what
`search` looks through in every version and either order storage is the names of an order's items."""
NOTHING = "0"
"""What a free fee comes to. The shop leaves a fee out of what customers see if its total is empty to PHP, which "0" is
and "0.00" is not."""

_STATUSES: Mapping[str, OrderStatus] = {
    "pending": "pending",
    "checkout-draft": "pending",
    "auto-draft": "pending",
    "on-hold": "pending",
    "processing": "paid",
    "completed": "paid",
    "cancelled": "cancelled",
    "trash": "cancelled",
    "refunded": "refunded",
    "failed": "failed",
}


@dataclass(slots=True, frozen=True, kw_only=True)
class WooCommerceShop:
    """How the shop is set up. The key and the secret belong to the HTTP client.

    `product_id` is the shop's product that bookings are sold as, `product_ids` one for single keys of lines. They
    must not be taxable, for the shop would add tax to a total that is final. `payment_methods` says which of the shop's
    payment gateways a way of paying is; it pays back only through one that is active, else `refunds_payment` is off and
    people pay back. `coupons_as="coupon"` needs every voucher as a coupon in the shop, of a fixed amount.
    `settle_seconds` must be longer than the shop lets a request run.
    """

    product_id: int
    product_ids: Mapping[str, int] = field(default_factory=dict)
    payment_methods: Mapping[str, str] = field(default_factory=dict)
    coupons_as: Literal["fee", "coupon"] = "fee"
    refunds_payment: bool = True
    settle_seconds: float = 90.0


# --- what we send -----------------------------------------------------------------------------------------------


def order_body(order: NewOrder, shop: WooCommerceShop, *, with_email: bool = True) -> bytes:
    """A pending order: it is looked at before it is marked as paid, which is what the customer is told about.

    The shop takes no address with a letter outside of ASCII: a domain is sent as mail servers have it. An address that
    was changed or, without `with_email`, left out, is meta data.
    """

    def text(amount: int) -> str:
        return to_decimal_text(amount, order.currency)

    lines = [
        {
            "product_id": shop.product_ids.get(line.key, shop.product_id),
            "name": line.name,
            "quantity": line.quantity,
            "subtotal": text(line.amount),
            "total": text(line.amount),
        }
        for line in order.lines
    ]
    fees = [(fee.name, fee.amount) for fee in order.fees]
    if order.coupon and shop.coupons_as == "fee":
        fees.append((f"Voucher {order.coupon.code}", -order.coupon.discount))
    fees.append((REFERENCE_LINE + order.reference, 0))
    billing = {name: value for name, value in msgspec.to_builtins(order.customer).items() if name != "note"}
    details = {**order.details, ASKED_KEY: asked(order), REFERENCE_KEY: order.reference}
    email = billing.pop("email", "")
    sent = in_ascii(email) if with_email else ""
    if sent:
        billing["email"] = sent
    if sent != email:
        details[EMAIL_KEY] = email
    body: dict[str, Any] = {
        "status": "pending",
        "currency": order.currency,
        "payment_method": shop.payment_methods.get(order.payment.method, order.payment.method),
        "payment_method_title": order.payment.title or order.payment.method,
        "transaction_id": order.payment.reference,
        "billing": billing,
        "customer_note": order.customer.note,
        "line_items": lines,
        "fee_lines": [
            {"name": name, "total": text(amount) if amount else NOTHING, "tax_status": "none"}
            for name, amount in fees
        ],
        "meta_data": _meta(details),
    }
    if order.coupon and shop.coupons_as == "coupon":
        body["coupon_lines"] = [{"code": order.coupon.code}]
    return msgspec.json.encode(body)


def asked(order: NewOrder) -> str:
    """What the order was asked for with, whatever the shop makes of it."""
    return f"{order.total} {order.currency}"


def in_ascii(email: str) -> str:
    """The same address with its domain as mail servers have it (RFC 5891); as it is if that cannot be."""
    local, at, domain = email.rpartition("@")
    if not at or domain.isascii():
        return email
    try:
        return f"{local}@{idna.encode(domain, uts46=True).decode()}"
    except idna.IDNAError:
        return email


def paid_body(order: NewOrder, *, is_draft: bool = False) -> bytes:
    """Marks a pending order as paid. For one that costs nothing the shop ignores `set_paid` on a later call, and a
    draft has to be pending first."""
    if order.total == 0:
        return msgspec.json.encode({"status": "processing"})
    body = {"set_paid": True, "transaction_id": order.payment.reference}
    return msgspec.json.encode({**body, "status": "pending"} if is_draft else body)


def cancelled_body(reason: str) -> bytes:
    """Ends an order."""
    return msgspec.json.encode({"status": "cancelled", "meta_data": _meta({CANCELLED_KEY: reason})})


def refund_body(refund: NewRefund, currency: str) -> bytes:
    """A refund without lines. The customer reads the reason, so our reference is meta data of the refund, although that
    is only stored once the payment provider has answered: see `ours_among`."""
    return msgspec.json.encode(
        {
            "amount": to_decimal_text(refund.amount, currency),
            "reason": _one_line(refund.reason),
            "api_refund": True,
            "meta_data": _meta({REFUND_KEY: refund.reference}),
        }
    )


def _one_line(text: str) -> str:
    return " ".join(text.split())


def _meta(entries: Mapping[str, str]) -> list[dict[str, str]]:
    return [{"key": key, "value": value} for key, value in entries.items()]


# --- what we take from its answers ------------------------------------------------------------------------------


class WooFee(Struct, frozen=True):
    """A fee line."""

    name: str = ""


class WooOrderRefund(Struct, frozen=True):
    """A refund as its order shows it; the total is negative."""

    id: int
    total: str


class WooRefund(Struct, frozen=True):
    """A refund by itself."""

    id: int
    amount: str
    reason: str = ""
    refunded_payment: bool = False
    meta_data: Any = None

    @property
    def reference(self) -> str:
        """Ours, if it is one of ours and came to its end."""
        return _value(self.meta_data, REFUND_KEY)


def ours_among(refunds: Iterable[WooRefund], wanted: NewRefund, currency: str) -> WooRefund | None:
    """The refund that we asked for: by its reference or, where the shop was cut off before it could store that, by
    amount and reason."""
    unmarked = None
    for refund in refunds:
        if refund.reference == wanted.reference:
            return refund
        is_alike = not refund.reference and _one_line(refund.reason) == _one_line(wanted.reason)
        if is_alike and to_minor_units(refund.amount, currency) == wanted.amount:
            unmarked = refund
    return unmarked


class WooOrder(Struct, frozen=True):
    """What we need of an order, whose money makes sense. PHP writes a list with gaps as an object, so of meta data
    nothing is expected. Raises `InvalidAmount`, which a decoder turns into its own error."""

    id: int
    status: str
    currency: str
    total: str
    meta_data: Any = None
    fee_lines: tuple[WooFee, ...] = ()
    refunds: tuple[WooOrderRefund, ...] = ()
    date_modified_gmt: str | None = None

    def __post_init__(self) -> None:
        self.snapshot()

    @property
    def reference(self) -> str:
        """Ours, or nothing if the order is not ours."""
        lines = (fee.name for fee in self.fee_lines if fee.name.startswith(REFERENCE_LINE))
        return _value(self.meta_data, REFERENCE_KEY) or next(lines, "").removeprefix(REFERENCE_LINE)

    @property
    def asked(self) -> str:
        """What it was asked for with, see `asked`."""
        return _value(self.meta_data, ASKED_KEY)

    @property
    def is_draft(self) -> bool:
        """Whether it is one of the checkout, which cannot be paid as it is."""
        return self.status in ("checkout-draft", "auto-draft")

    def snapshot(self) -> ShopOrder:
        """The order in our words."""
        return ShopOrder(
            order_id=str(self.id),
            reference=self.reference,
            status=_STATUSES.get(self.status, "other"),
            currency=self.currency,
            total=to_minor_units(self.total, self.currency),
            refunded=-sum(to_minor_units(refund.total, self.currency) for refund in self.refunds),
            changed_at=_as_utc(self.date_modified_gmt),
        )


class WooError(Struct, frozen=True):
    """How WordPress says no."""

    code: str
    message: str = ""


ORDER = msgspec.json.Decoder(WooOrder)
ORDERS = msgspec.json.Decoder(list[WooOrder])
REFUND = msgspec.json.Decoder(WooRefund)
REFUNDS = msgspec.json.Decoder(list[WooRefund])
ERROR = msgspec.json.Decoder(WooError)


def _value(meta_data: object, key: str) -> str:
    values = (entry.get("value") for entry in _entries(meta_data) if entry.get("key") == key)
    return next((value for value in values if isinstance(value, str)), "")


def _entries(meta_data: object) -> Iterator[Mapping[str, object]]:
    values: Iterable[object] = meta_data.values() if isinstance(meta_data, dict) else ()
    if isinstance(meta_data, list):
        values = meta_data
    return (entry for entry in values if isinstance(entry, dict))


def _as_utc(text: str | None) -> datetime | None:
    try:
        moment = datetime.fromisoformat(text or "")
    except ValueError:
        return None
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
