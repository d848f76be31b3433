"""A shop that speaks WooCommerce's REST API v3 as far as orders go, over real HTTP.

It is written from what real shops were seen to do (8.9.3 and 11.0.1), not from what would suit us, and does what the
plugin's own code does where that costs money: `search` looks through the names of items and the billing address,
never through meta data, and leaves out some states; an order whose coupon does not apply is stored and refused; a
refund is stored, then paid, and removed if that fails; `set_paid` changes nothing on an order that needs no payment;
tax is added to what is taxable, whatever total anybody had in mind; and webhooks are sent when somebody runs the cron.
"""

from __future__ import annotations

import itertools
import json
import re
import threading
from base64 import b64decode
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from decimal import ROUND_HALF_UP, Decimal
from typing import Literal

from tests.support.fake_woocommerce_webhooks import Webhooks, signed_delivery
from tests.support.http_peer import HttpPeer, Reply, Request
from tests.support.payment_provider import Declined, PaymentProvider

__all__ = ["KEY", "PRODUCT_ID", "SECRET", "FakeWooCommerce", "fake_woocommerce", "is_email", "signed_delivery"]

KEY, SECRET = "ck_" + "1" * 40, "cs_" + "2" * 40
ROOT = "/wp-json/wc/v3"
STATUSES = ("pending", "processing", "on-hold", "completed", "cancelled", "refunded", "failed", "checkout-draft")
OUTSIDE_ANY = ("trash", "auto-draft", "checkout-draft")
"""What `status=any` leaves out, as do states of the shop's own that are excluded from its search."""
PRODUCT_ID = 93
MAINTENANCE_SECONDS = 600
"""What WordPress says in its Retry-After, however short the update is."""

Version = Literal["8.9.3", "11.0.1"]


class WooError(Exception):
    """WordPress's way to say no."""

    def __init__(self, status: int, code: str, message: str, data: object = None) -> None:
        super().__init__(code)
        content = {"code": code, "message": message, "data": {"status": status} if data is None else data}
        self.reply = Reply(status, content)


class FakeWooCommerce:
    """One shop. Everything that a test wants to be different is an attribute.

    Over plain HTTP it knows nobody, unless it is told that something in front of it takes TLS off.
    """

    def __init__(self, *, version: Version = "11.0.1", is_behind_tls: bool = False) -> None:
        self.version: Version = version
        self.is_behind_tls = is_behind_tls
        self.orders: dict[int, dict] = {}
        self.decimals = 2
        self.tax_percent = Decimal(0)
        self.coupons: dict[str, Decimal] = {}
        self.percent_coupons: dict[str, Decimal] = {}
        """Percentages, which are rounded for each line."""
        self.provider = PaymentProvider()
        self.gateways = {"stripe", "ppcp-gateway"}
        """The ids of the active ones; no other can pay back."""
        self.custom_statuses: dict[str, bool] = {}
        """States of the shop's own, and whether they are excluded from its search."""
        self.is_in_maintenance = False
        self.ignores_search = False
        self.dies_paying_back = False
        """Whether the process is killed while the payment provider is asked: what it has stored stays."""
        self.status_after_payment = "processing"
        self.now = datetime(2026, 10, 6, 9, 30, 15, tzinfo=UTC)
        self._ids = itertools.count(727)
        self._lock = threading.RLock()
        self.peer = HttpPeer(self._work)
        self.webhooks = Webhooks(self._payload)

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
        return signed_delivery(json.dumps(self._payload(topic, order_id)).encode(), topic, secret)

    def close(self) -> None:
        self.peer.close()

    # --- what the shop's people do --------------------------------------------------------------------------------

    def move(self, order_id: int, status: str) -> None:
        """Somebody sets another state."""
        with self._lock:
            self._touched(self.orders[order_id], status=status)

    def trash(self, order_id: int) -> None:
        """Into the trash, which is told as `order.deleted`."""
        with self._lock:
            self._touched(self.orders[order_id], status="trash", topic="order.deleted")

    def delete_for_good(self, order_id: int) -> None:
        """Out of the trash, or past it. Nothing is sent."""
        with self._lock:
            del self.orders[order_id]
            self.webhooks.forget(order_id)

    def add_by_hand(self, order_id: int, name: str, amount: Decimal) -> None:
        """Somebody edits the order: its total is not what the buyer paid any more."""
        with self._lock:
            order = self.orders[order_id]
            order["fee_lines"].append({"id": next(self._ids), "name": name, "total": str(amount)})
            self._add_up(order)
            self._touched(order)

    def refund_by_hand(self, order_id: int, amount: Decimal, reason: str = "") -> None:
        """Somebody pays back by other means and notes it."""
        with self._lock:
            self._refund(self.orders[order_id], {"amount": str(amount), "reason": reason, "api_refund": False})

    def shown_to_customer(self, order_id: int) -> list[str]:
        """What the customer reads of an order, in mails and in the account: names of items, fees that are not empty
        to PHP, and why money was given back."""
        order = self.orders[order_id]
        fees = [fee["name"] for fee in order["fee_lines"] if not _is_empty(fee["total"])]
        refunds = [refund["reason"] or "Refund" for refund in order["_refunds"]]
        return [*(line["name"] for line in order["line_items"]), *fees, *refunds, order["customer_note"]]

    # --- requests -----------------------------------------------------------------------------------------------

    def _work(self, request: Request) -> Reply:
        with self._lock:
            try:
                return self._routed(request)
            except WooError as error:
                return error.reply

    def _routed(self, request: Request) -> Reply:
        if self.is_in_maintenance:
            words = b"<!DOCTYPE html><title>Maintenance</title>Briefly unavailable for scheduled maintenance."
            return Reply(503, words, {"Retry-After": str(MAINTENANCE_SECONDS)}, "text/html; charset=utf-8")
        route = request.path.removeprefix(ROOT).strip("/").split("/")
        if request.method == "OPTIONS" and route == ["orders"]:
            arguments = {"status": {"items": {"type": "string", "enum": ["any", "trash", *self._statuses()]}}}
            return Reply(200, {"namespace": "wc/v3", "endpoints": [{"methods": ["GET"], "args": arguments}]})
        self._let_in(request)
        match request.method, route:
            case "GET", ["orders"]:
                return self._list(request.query)
            case "POST", ["orders"]:
                return Reply(201, self._shown(self._create(request.json())))
            case "GET", ["orders", number] if number.isdigit():
                return Reply(200, self._shown(self._order(number)))
            case "PUT", ["orders", number] if number.isdigit():
                return Reply(200, self._shown(self._update(self._order(number), request.json())))
            case "GET", ["orders", number, "refunds"] if number.isdigit():
                size = min(100, int(request.query.get("per_page", "10")))
                return Reply(200, list(reversed(self._order(number)["_refunds"]))[:size])
            case "POST", ["orders", number, "refunds"]:
                return Reply(201, self._refund(self._order(number), request.json()))
            case "GET", ["orders", number, "refunds", refund] if refund.isdigit():
                return Reply(200, next(r for r in self._order(number)["_refunds"] if r["id"] == int(refund)))
            case "GET", ["webhooks"]:
                return Reply(200, self.webhooks.shown())
            case "GET", ["payment_gateways"]:
                return Reply(200, [{"id": name, "enabled": True} for name in sorted(self.gateways)])
            case "GET", ["products", number] if number == str(PRODUCT_ID):
                taxed = "taxable" if self.tax_percent else "none"
                return Reply(200, {"id": PRODUCT_ID, "status": "publish", "tax_status": taxed})
            case "GET", ["settings", "general", "woocommerce_price_num_decimals"]:
                return Reply(200, {"id": "woocommerce_price_num_decimals", "value": str(self.decimals)})
            case "GET", ["products", _]:
                raise WooError(404, "woocommerce_rest_product_invalid_id", "Invalid ID.")
        raise WooError(404, "rest_no_route", "No route was found matching the URL and request method.")

    def _let_in(self, request: Request) -> None:
        """Whom it does not know it calls nobody, and says what nobody may do; so it is with any key without TLS."""
        login = b64decode(request.headers.get("authorization", "").removeprefix("Basic ")).decode()
        key, _, secret = login.partition(":")
        if not (self.is_behind_tls or self.peer.is_tls) or key != KEY:
            what = {"GET": "view", "POST": "create"}.get(request.method, "edit")
            message = (
                "Sorry, you cannot list resources." if what == "view" else "Sorry, you are not allowed to do that."
            )
            raise WooError(401, f"woocommerce_rest_cannot_{what}", message)
        if secret != SECRET:
            raise WooError(401, "woocommerce_rest_authentication_error", "Consumer secret is invalid.")

    def _order(self, number: str) -> dict:
        order = self.orders.get(int(number))
        if order is None:
            raise WooError(404, "woocommerce_rest_shop_order_invalid_id", "Invalid ID.")
        return order

    def _statuses(self) -> tuple[str, ...]:
        return (*STATUSES, *self.custom_statuses)

    def _list(self, query: dict[str, str]) -> Reply:
        wanted = {status.strip() for status in query.get("status", "any").split(",")}
        if unknown := wanted - {*self._statuses(), "any", "trash"}:
            raise _invalid(
                "status", f"status[0] is not one of any, trash, and {len(self._statuses())} more: {unknown}"
            )
        left_out = {*OUTSIDE_ANY, *(name for name, excluded in self.custom_statuses.items() if excluded)}
        term = "" if self.ignores_search else query.get("search", "").lower()
        found = [
            order
            for order in self.orders.values()
            if (order["status"] not in left_out if "any" in wanted else order["status"] in wanted)
            and any(term in text.lower() for text in _searched(order))
        ]
        found.sort(key=lambda order: order["id"], reverse=query.get("order", "desc") == "desc")
        size, page = min(100, int(query.get("per_page", "10"))), int(query.get("page", "1"))
        shown = [self._shown(order) for order in found[(page - 1) * size : page * size]]
        totals = {"X-WP-Total": str(len(found)), "X-WP-TotalPages": str(-(-len(found) // size))}
        return Reply(200, shown, totals)

    def _create(self, asked: dict) -> dict:
        billing = asked.get("billing", {})
        if "email" in billing and not is_email(billing["email"]):
            raise _invalid("billing", "Invalid email address.", "rest_invalid_email")
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
            "version": self.version,
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
            if coupon["code"] not in {*self.coupons, *self.percent_coupons}:
                # 11.0.1 has given the order no state by then, and what has none is a draft of the checkout.
                self._touched(order, status="pending" if self.version == "8.9.3" else "checkout-draft")
                message = f'Coupon "{coupon["code"]}" cannot be applied because it does not exist.'
                raise WooError(400, "woocommerce_rest_invalid_coupon", message)
            order["coupon_lines"].append({"id": 200, "code": coupon["code"]})
        self._add_up(order)
        return self._update(order, {name: asked[name] for name in ("status", "set_paid") if name in asked})

    def _update(self, order: dict, asked: dict) -> dict:
        status = asked.get("status", order["status"])
        if status not in {*self._statuses(), "trash"}:
            raise _invalid("status", "status is not one of them")
        order["transaction_id"] = asked.get("transaction_id", order["transaction_id"])
        self._add_meta(order, asked.get("meta_data", []))
        if asked.get("set_paid") and status in ("pending", "failed") and Decimal(order["total"]) > 0:
            status = self.status_after_payment
        self._touched(order, status=status)
        return order

    def _refund(self, order: dict, asked: dict) -> dict:
        amount = Decimal(asked["amount"])
        if amount < 0 or amount > Decimal(order["total"]) - _refunded(order):
            raise _no_refund("Invalid refund amount.")
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
            self._pay_back(order, refund, amount)
        self._add_meta(refund, asked.get("meta_data", []))
        is_all = _refunded(order) == Decimal(order["total"])
        self._touched(order, status="refunded" if is_all else order["status"])
        return refund

    def _pay_back(self, order: dict, refund: dict, amount: Decimal) -> None:
        try:
            if order["payment_method"] not in self.gateways:
                raise Declined("The payment gateway for this order does not exist.")
            self.provider.give_back(order["transaction_id"], amount, order["currency"])
        except Declined as declined:
            order["_refunds"].remove(refund)
            raise _no_refund(str(declined)) from None
        if self.dies_paying_back:
            raise WooError(500, "internal_server_error", "There has been a critical error on this website.")
        refund["refunded_payment"] = True

    # --- how it computes ----------------------------------------------------------------------------------------

    def _add_up(self, order: dict) -> None:
        totals = [Decimal(line["total"]) for line in order["line_items"]]
        lines = sum(totals, Decimal(0))
        discount = Decimal(0)
        for coupon in order["coupon_lines"]:
            percent = self.percent_coupons.get(coupon["code"])
            if percent is None:
                discount += self.coupons[coupon["code"]]
            else:
                discount += sum(Decimal(self._money(total * percent / 100)) for total in totals)
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

    def _touched(self, order: dict, *, status: str | None = None, topic: str = "order.updated") -> None:
        order["status"] = status or order["status"]
        if order["status"] in ("processing", "completed"):
            order["date_paid_gmt"] = order["date_paid_gmt"] or self._stamp()
        order["date_modified_gmt"] = self._stamp()
        self.webhooks.happened(topic, order["id"])

    def _add_meta(self, owner: dict, entries: list[dict]) -> None:
        for entry in entries:
            owner["meta_data"].append({"id": next(self._ids), "key": entry["key"], "value": entry["value"]})

    def _payload(self, topic: str, order_id: int) -> dict:
        with self._lock:
            return {"id": order_id} if topic == "order.deleted" else self._shown(self.orders[order_id])

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

_LOCAL_PART = re.compile(r"[a-zA-Z0-9!#$%&'*+/=?^_`{|}~.-]+\Z")
_LABEL = re.compile(r"[a-zA-Z0-9-]+\Z")
_PADDING = " \t\n\r\0\x0b"


def is_email(text: str) -> bool:
    """As WordPress judges: ASCII only, and a domain of two labels at least."""
    local, at, domain = text.partition("@")
    if len(text) < 6 or not at or not local or not _LOCAL_PART.match(local):
        return False
    if ".." in domain or domain != domain.strip(_PADDING + ".") or "." not in domain:
        return False
    return all(_LABEL.match(label) and label == label.strip(_PADDING + "-") for label in domain.split("."))


def _is_empty(text: str) -> bool:
    """`empty()` of PHP, for text."""
    return text in ("", "0")


def _invalid(parameter: str, message: str, code: str = "rest_not_in_enum") -> WooError:
    details = {parameter: {"code": code, "message": message, "data": None}}
    data = {"status": 400, "params": {parameter: message}, "details": details}
    return WooError(400, "rest_invalid_param", f"Invalid parameter(s): {parameter}", data)


def _no_refund(message: str) -> WooError:
    return WooError(500, "woocommerce_rest_cannot_create_order_refund", message, data=500)


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


@contextmanager
def fake_woocommerce(version: Version = "11.0.1") -> Iterator[FakeWooCommerce]:
    """A shop for a while, behind something that takes TLS off."""
    shop = FakeWooCommerce(version=version, is_behind_tls=True)
    try:
        yield shop
    finally:
        shop.close()
