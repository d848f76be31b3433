"""A shop that speaks WooCommerce's REST API v3 as far as orders go, over real HTTP.

It does what the plugin's own code does where that costs money: `search` looks through the names of items and the
billing address, never through meta data; an order whose coupon does not apply is stored and refused; a refund is
stored, then paid, and removed if that fails; `set_paid` changes nothing on an order that needs no payment; and tax is
added to what is taxable, whatever total anybody had in mind.
"""

from __future__ import annotations

import hmac
import itertools
import json
import threading
from base64 import b64encode
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from decimal import ROUND_HALF_UP, Decimal
from hashlib import sha256

from tests.support.http_peer import HttpPeer, Reply, Request

KEY, SECRET = "ck_" + "1" * 40, "cs_" + "2" * 40
ROOT = "/wp-json/wc/v3"
STATUSES = {
    "pending",
    "processing",
    "on-hold",
    "completed",
    "cancelled",
    "refunded",
    "failed",
    "trash",
    "checkout-draft",
}
PRODUCT_ID = 93


class WooError(Exception):
    """WordPress's way to say no."""

    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(code)
        self.reply = Reply(status, {"code": code, "message": message, "data": {"status": status}})


class FakeWooCommerce:
    """One shop. Everything that a test wants to be different is an attribute."""

    def __init__(self) -> None:
        self.orders: dict[int, dict] = {}
        self.decimals = 2
        self.tax_percent = Decimal(0)
        self.coupons: dict[str, Decimal] = {}
        self.provider_pays = True
        self.ignores_search = False
        self.status_after_payment = "processing"
        self.now = datetime(2026, 10, 6, 9, 30, 15, tzinfo=UTC)
        self._ids = itertools.count(727)
        self._lock = threading.RLock()
        self.peer = HttpPeer(self._work)

    @property
    def url(self) -> str:
        return self.peer.url

    def under(self, reference: str) -> list[dict]:
        """The orders under a reference, whatever their state."""
        with self._lock:
            return [order for order in self.orders.values() if _meta(order, "holdgate_reference") == reference]

    def delivery(
        self, order_id: int, topic: str = "order.updated", secret: str = "s" * 32
    ) -> tuple[dict[str, str], bytes]:
        """What the shop's webhook sends about an order: headers and body."""
        order = self.orders.get(order_id)
        content = {"id": order_id} if order is None or topic == "order.deleted" else self._shown(order)
        return signed_delivery(json.dumps(content).encode(), topic, secret)

    def close(self) -> None:
        self.peer.close()

    # --- requests -----------------------------------------------------------------------------------------------

    def _work(self, request: Request) -> Reply:
        with self._lock:
            try:
                return self._routed(request)
            except WooError as error:
                return error.reply

    def _routed(self, request: Request) -> Reply:
        login = b64encode(f"{KEY}:{SECRET}".encode()).decode()
        if request.headers.get("authorization") != f"Basic {login}":
            raise WooError(401, "woocommerce_rest_authentication_error", "Consumer key is invalid.")
        match request.method, request.path.removeprefix(ROOT).strip("/").split("/"):
            case "GET", ["orders"]:
                return self._list(request.query)
            case "POST", ["orders"]:
                return Reply(201, self._shown(self._create(request.json())))
            case "GET", ["orders", number] if number.isdigit():
                return Reply(200, self._shown(self._order(number)))
            case "PUT", ["orders", number] if number.isdigit():
                return Reply(200, self._shown(self._update(self._order(number), request.json())))
            case "POST", ["orders", number, "refunds"]:
                return Reply(201, self._refund(self._order(number), request.json()))
            case "GET", ["orders", number, "refunds", refund] if refund.isdigit():
                return Reply(200, next(r for r in self._order(number)["_refunds"] if r["id"] == int(refund)))
        raise WooError(404, "rest_no_route", "No route was found matching the URL and request method.")

    def _order(self, number: str) -> dict:
        order = self.orders.get(int(number))
        if order is None:
            raise WooError(404, "woocommerce_rest_shop_order_invalid_id", "Invalid ID.")
        return order

    def _list(self, query: dict[str, str]) -> Reply:
        wanted = {status.strip() for status in query.get("status", "any").split(",")}
        if unknown := wanted - STATUSES - {"any"}:
            raise WooError(400, "rest_invalid_param", f"Invalid parameter(s): status {unknown}")
        term = "" if self.ignores_search else query.get("search", "").lower()
        found = [
            order
            for order in self.orders.values()
            if (order["status"] in wanted or ("any" in wanted and order["status"] != "trash"))
            and any(term in text.lower() for text in _searched(order))
        ]
        found.sort(key=lambda order: order["id"], reverse=query.get("order", "desc") == "desc")
        size, page = min(100, int(query.get("per_page", "10"))), int(query.get("page", "1"))
        shown = [self._shown(order) for order in found[(page - 1) * size : page * size]]
        totals = {"X-WP-Total": str(len(found)), "X-WP-TotalPages": str(-(-len(found) // size))}
        return Reply(200, shown, totals)

    def _create(self, asked: dict) -> dict:
        email = asked.get("billing", {}).get("email", "")
        if email and "@" not in email:
            raise WooError(400, "rest_invalid_param", "Invalid parameter(s): billing")
        for line in asked.get("line_items", []):
            if not line.get("product_id") and not line.get("sku"):
                code = "woocommerce_rest_required_product_reference"
                raise WooError(400, code, "Product ID or SKU is required.")
        for fee in asked.get("fee_lines", []):
            if not fee.get("name"):
                raise WooError(400, "woocommerce_rest_invalid_fee_item", "Fee name is required.")
        order = {
            **_EMPTY,
            **{name: asked[name] for name in _TAKEN if name in asked},
            "id": next(self._ids),
            "date_created_gmt": self._stamp(),
            "line_items": [{"id": n, "taxable": True, **line} for n, line in enumerate(asked["line_items"], 1)],
            "fee_lines": [{"id": n, **fee} for n, fee in enumerate(asked.get("fee_lines", []), 100)],
            "coupon_lines": [],
            "meta_data": [],
            "_refunds": [],
        }
        self._add_meta(order, asked.get("meta_data", []))
        self._add_up(order)
        self.orders[order["id"]] = order
        for coupon in asked.get("coupon_lines", []):
            if coupon["code"] not in self.coupons:
                message = f'Coupon "{coupon["code"]}" cannot be applied because it does not exist.'
                raise WooError(400, "woocommerce_rest_invalid_coupon", message)
            order["coupon_lines"].append({"id": 200, "code": coupon["code"]})
        self._add_up(order)
        return self._update(order, {name: asked[name] for name in ("status", "set_paid") if name in asked})

    def _update(self, order: dict, asked: dict) -> dict:
        status = asked.get("status", order["status"])
        if status not in STATUSES:
            raise WooError(400, "rest_invalid_param", "Invalid parameter(s): status")
        order["status"] = status
        order["transaction_id"] = asked.get("transaction_id", order["transaction_id"])
        self._add_meta(order, asked.get("meta_data", []))
        if asked.get("set_paid") and status in ("pending", "failed") and Decimal(order["total"]) > 0:
            order["status"] = self.status_after_payment
        if order["status"] in ("processing", "completed"):
            order["date_paid_gmt"] = order["date_paid_gmt"] or self._stamp()
        order["date_modified_gmt"] = self._stamp()
        return order

    def _refund(self, order: dict, asked: dict) -> dict:
        amount = Decimal(asked["amount"])
        if amount < 0 or amount > Decimal(order["total"]) - _refunded(order):
            raise WooError(500, "woocommerce_rest_cannot_create_order_refund", "Invalid refund amount.")
        refund = {
            "id": next(self._ids),
            "date_created_gmt": self._stamp(),
            "amount": str(amount),
            "reason": asked.get("reason", ""),
            "refunded_by": 1,
            "refunded_payment": False,
            "meta_data": [],
            "line_items": [],
        }
        order["_refunds"].append(refund)
        if asked.get("api_refund", True):
            if not self.provider_pays:
                order["_refunds"].remove(refund)
                message = "The payment gateway for this order does not support automatic refunds."
                raise WooError(500, "woocommerce_rest_cannot_create_order_refund", message)
            refund["refunded_payment"] = True
        if _refunded(order) == Decimal(order["total"]):
            order["status"] = "refunded"
        order["date_modified_gmt"] = self._stamp()
        return refund

    # --- how it computes ----------------------------------------------------------------------------------------

    def _add_up(self, order: dict) -> None:
        lines = sum((Decimal(line["total"]) for line in order["line_items"]), Decimal(0))
        discount = sum((self.coupons[coupon["code"]] for coupon in order["coupon_lines"]), Decimal(0))
        tax = (lines - discount) * self.tax_percent / 100
        total = lines - discount
        for fee in order["fee_lines"]:
            amount = Decimal(fee["total"])
            total += max(amount, -total)
            tax += amount * self.tax_percent / 100 if fee.get("tax_status") != "none" else 0
        order["discount_total"], order["total_tax"] = self._money(discount), self._money(tax)
        order["total"] = self._money(total + tax)

    def _money(self, amount: Decimal) -> str:
        return str(amount.quantize(Decimal(1).scaleb(-self.decimals), ROUND_HALF_UP))

    def _stamp(self) -> str:
        return self.now.strftime("%Y-%m-%dT%H:%M:%S")

    def _add_meta(self, order: dict, entries: list[dict]) -> None:
        for entry in entries:
            order["meta_data"].append({"id": next(self._ids), "key": entry["key"], "value": entry["value"]})

    def _shown(self, order: dict) -> dict:
        refunds = [
            {"id": refund["id"], "reason": refund["reason"], "total": f"-{self._money(Decimal(refund['amount']))}"}
            for refund in order["_refunds"]
        ]
        shown = {name: value for name, value in order.items() if not name.startswith("_")}
        return {**shown, "number": str(order["id"]), "refunds": refunds}


_TAKEN = (
    "currency",
    "payment_method",
    "payment_method_title",
    "transaction_id",
    "billing",
    "customer_note",
    "customer_id",
)
_EMPTY = {
    "parent_id": 0,
    "status": "pending",
    "currency": "EUR",
    "version": "10.3.0",
    "prices_include_tax": False,
    "date_paid_gmt": None,
    "date_completed_gmt": None,
    "discount_total": "0.00",
    "shipping_total": "0.00",
    "total_tax": "0.00",
    "customer_id": 0,
    "customer_note": "",
    "created_via": "rest-api",
    "payment_method": "",
    "payment_method_title": "",
    "transaction_id": "",
    "billing": {},
    "shipping": {},
    "tax_lines": [],
    "shipping_lines": [],
}


def _refunded(order: dict) -> Decimal:
    return sum((Decimal(refund["amount"]) for refund in order["_refunds"]), Decimal(0))


def _searched(order: dict) -> Iterator[str]:
    yield " ".join(order["billing"].values())
    for line in order["line_items"] + order["fee_lines"]:
        yield line.get("name", "")
    for coupon in order["coupon_lines"]:
        yield coupon["code"]


def _meta(order: dict, key: str) -> object:
    return next((entry["value"] for entry in order["meta_data"] if entry["key"] == key), None)


def signed_delivery(body: bytes, topic: str, secret: str) -> tuple[dict[str, str], bytes]:
    """Headers and body as WooCommerce's webhooks have them."""
    signature = b64encode(hmac.new(secret.encode(), body, sha256).digest()).decode()
    resource, _, event = topic.partition(".")
    return {
        "Content-Type": "application/json",
        "User-Agent": "WooCommerce/10.3.0 Hookshot (WordPress/6.8)",
        "X-WC-Webhook-Source": "https://shop.example/",
        "X-WC-Webhook-Topic": topic,
        "X-WC-Webhook-Resource": resource,
        "X-WC-Webhook-Event": event,
        "X-WC-Webhook-Signature": signature,
        "X-WC-Webhook-ID": "5",
        "X-WC-Webhook-Delivery-ID": "c1a1f5a2e2d84e0d9c4e3f4b5a697887",
    }, body


@contextmanager
def fake_woocommerce() -> Iterator[FakeWooCommerce]:
    """A shop for a while."""
    shop = FakeWooCommerce()
    try:
        yield shop
    finally:
        shop.close()
