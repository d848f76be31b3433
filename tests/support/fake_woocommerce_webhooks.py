"""The webhooks of the fake shop, as real ones were seen: what happened waits until the cron is run, is told once as it
is then, and a webhook is disabled, without a word to anybody, with its seventh failure in a row."""

from __future__ import annotations

import hmac
import itertools
import json
import threading
from base64 import b64encode
from collections.abc import Callable
from hashlib import sha256
from urllib.error import HTTPError, URLError
from urllib.request import Request, urlopen

FAILURES_MAX = 6
PATIENCE_SECONDS = 15.0


class Webhooks:
    """`payload` gives what is told about an order, as it is when it is told."""

    def __init__(self, payload: Callable[[str, int], object]) -> None:
        self._payload = payload
        self._hooks: list[dict] = []
        self._waiting: list[tuple[str, int]] = []
        self._ids = itertools.count(5)
        self._lock = threading.Lock()

    def add(self, url: str, secret: str, topic: str = "order.updated") -> dict:
        """Somebody sets one up."""
        hook = {
            "id": next(self._ids),
            "name": f"Holdgate {topic}",
            "status": "active",
            "topic": topic,
            "delivery_url": url,
            "date_modified_gmt": "2026-10-06T09:30:15",
            "_secret": secret,
            "_failures": 0,
        }
        self._hooks.append(hook)
        return hook

    def shown(self) -> list[dict]:
        """As the API lists them: without the secret, and without how often they failed."""
        return [{key: value for key, value in hook.items() if not key.startswith("_")} for hook in self._hooks]

    def happened(self, topic: str, order_id: int) -> None:
        """Something to tell. The same about the same order waits once."""
        with self._lock:
            if (topic, order_id) not in self._waiting:
                self._waiting.append((topic, order_id))

    def forget(self, order_id: int) -> None:
        """The order is gone for good: of what waits only that it went into the trash is told."""
        with self._lock:
            self._waiting = [one for one in self._waiting if one[1] != order_id or one[0] == "order.deleted"]

    def waiting(self) -> int:
        """How much waits for the cron."""
        return len(self._waiting)

    def run_cron(self) -> None:
        """Somebody visits the shop."""
        with self._lock:
            due, self._waiting = self._waiting, []
        for topic, order_id in due:
            for hook in self._hooks:
                if hook["topic"] == topic and hook["status"] == "active":
                    self._deliver(hook, topic, order_id)

    def _deliver(self, hook: dict, topic: str, order_id: int) -> None:
        body = json.dumps(self._payload(topic, order_id)).encode()
        headers, body = signed_delivery(body, topic, hook["_secret"], hook["id"])
        if _is_taken(hook["delivery_url"], headers, body):
            hook["_failures"] = 0
        elif hook["_failures"] >= FAILURES_MAX:
            hook["status"] = "disabled"
        else:
            hook["_failures"] += 1


def _is_taken(url: str, headers: dict[str, str], body: bytes) -> bool:
    try:
        with urlopen(Request(url, body, headers), timeout=PATIENCE_SECONDS) as answer:
            return 200 <= answer.status < 303
    except HTTPError as refused:
        with refused:
            return False
    except URLError:
        return False


def signed_delivery(body: bytes, topic: str, secret: str, webhook_id: int = 5) -> tuple[dict[str, str], bytes]:
    """Headers and body as WooCommerce's webhooks have them."""
    signature = b64encode(hmac.new(secret.encode(), body, sha256).digest()).decode()
    resource, _, event = topic.partition(".")
    return {
        "Content-Type": "application/json",
        "User-Agent": "WooCommerce/11.0.1 Hookshot (WordPress/7.0.4)",
        "X-WC-Webhook-Source": "https://shop.example/",
        "X-WC-Webhook-Topic": topic,
        "X-WC-Webhook-Resource": resource,
        "X-WC-Webhook-Event": event,
        "X-WC-Webhook-Signature": signature,
        "X-WC-Webhook-ID": str(webhook_id),
        "X-WC-Webhook-Delivery-ID": "c1a1f5a2e2d84e0d9c4e3f4b5a697887",
    }, body
