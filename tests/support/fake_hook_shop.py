"""A small shop that takes signed requests as `adapters/shops/webhook.py` says, and checks each signature by itself."""

from __future__ import annotations

import hmac
import itertools
import threading
from base64 import b64decode, b64encode
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from hashlib import sha256

from tests.support.http_peer import HttpPeer, Reply, Request

SECRET = "whsec_" + b64encode(b"a key of exactly thirty-two byte").decode()
NOW = datetime(2026, 10, 6, 9, 30, tzinfo=UTC)
PATH = "/hooks/orders"
SIGNED_SECONDS = 300


class FakeHookShop:
    """One shop."""

    def __init__(self) -> None:
        self.orders: dict[str, dict] = {}
        self.surcharge = 0
        self.now = NOW
        self._asked: dict[str, dict] = {}
        self._refunds: dict[str, dict] = {}
        self._ids = itertools.count(1)
        self._lock = threading.Lock()
        self.peer = HttpPeer(self._work)

    @property
    def url(self) -> str:
        return self.peer.url + PATH

    def under(self, reference: str) -> list[dict]:
        return [order for order in self.orders.values() if order["reference"] == reference]

    def close(self) -> None:
        self.peer.close()

    def _work(self, request: Request) -> Reply:
        if request.path != PATH:
            return Reply(404, {"reason": "no such page"})
        if not _is_signed(request, self.now):
            return Reply(401, {"reason": "who are you?"})
        asked = request.json()
        with self._lock:
            match asked["type"]:
                case "order.create.v1":
                    return self._create(asked["order"])
                case "order.find.v1":
                    return Reply(200, {"order": next(iter(self.under(asked["reference"])), None)})
                case "order.get.v1":
                    return Reply(200, {"order": self.orders.get(asked["order_id"])})
                case "order.cancel.v1":
                    return self._cancel(asked["order_id"])
                case "order.refund.v1":
                    return self._refund(asked["order_id"], asked["refund"])
        return Reply(422, {"reason": "unknown_command"})

    def _create(self, asked: dict) -> Reply:
        there = next(iter(self.under(asked["reference"])), None)
        if there is None:
            there = {
                "order_id": f"A-{next(self._ids)}",
                "reference": asked["reference"],
                "status": "paid" if asked["payment"]["is_paid"] and not self.surcharge else "pending",
                "currency": asked["currency"],
                "total": asked["total"] + self.surcharge,
                "refunded": 0,
                "changed_at": self.now.isoformat(),
            }
            self.orders[there["order_id"]] = there
            self._asked[asked["reference"]] = asked
            return Reply(200, {"order": there, "created": True})
        if self._asked[asked["reference"]]["total"] != asked["total"]:
            return Reply(422, {"reason": "reference_taken"})
        if asked["payment"]["is_paid"] and there["status"] == "pending" and not self.surcharge:
            there["status"] = "paid"
        return Reply(200, {"order": there, "created": False})

    def _cancel(self, order_id: str) -> Reply:
        order = self.orders.get(order_id)
        if order is not None and order["status"] != "refunded":
            order["status"] = "cancelled"
        return Reply(200, {"order": order})

    def _refund(self, order_id: str, asked: dict) -> Reply:
        order = self.orders.get(order_id)
        if order is None:
            return Reply(200, {"refund": None})
        if asked["reference"] not in self._refunds:
            if order["status"] == "pending":
                return Reply(422, {"reason": "not_paid"})
            if asked["amount"] > order["total"] - order["refunded"]:
                return Reply(422, {"reason": "more_than_is_left"})
            self._refunds[asked["reference"]] = {"refund_id": f"R-{next(self._ids)}", "amount": asked["amount"]}
            order["refunded"] += asked["amount"]
            order["status"] = "refunded" if order["refunded"] == order["total"] else order["status"]
        return Reply(200, {"refund": self._refunds[asked["reference"]]})


def _is_signed(request: Request, now: datetime) -> bool:
    """By the words of the specification, not by our own code."""
    names = ("webhook-id", "webhook-timestamp", "webhook-signature")
    message_id, timestamp, signature = (request.headers[name] for name in names)
    key = b64decode(SECRET.removeprefix("whsec_"))
    right = hmac.new(key, f"{message_id}.{timestamp}.".encode() + request.body, sha256).digest()
    return (
        signature == "v1," + b64encode(right).decode() and abs(int(timestamp) - now.timestamp()) <= SIGNED_SECONDS
    )


@contextmanager
def fake_hook_shop() -> Iterator[FakeHookShop]:
    """A shop for a while."""
    shop = FakeHookShop()
    try:
        yield shop
    finally:
        shop.close()
