"""What WooCommerce tells us of its own accord: its webhooks `order.created`, `order.updated`, `order.deleted` and
`order.restored`, checked and turned into our event.

The signature covers the body and nothing else: no header may be believed, and there is no time of sending. So
nothing is decided by topic or delivery id, the age is that of the order's last change, and a repetition is known by its
body. The delivery id would not do anyway: WooCommerce makes it of the webhook's id and the second, so two different
deliveries of one second share it.
"""

from __future__ import annotations

import hmac
from base64 import b64encode
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from hashlib import sha256
from typing import Literal

import msgspec
from msgspec import Struct

from holdgate_workers.app.ordering.orders import REFERENCE_PATTERN, OrderEvent, ShopOrder

from .orders import ORDER

SIGNATURE_HEADER = "x-wc-webhook-signature"
DELIVERY_HEADER = "x-wc-webhook-delivery-id"
TOPIC_HEADER = "x-wc-webhook-topic"

BODY_BYTES_MAX = 1 << 20
AGE_MAX = timedelta(hours=24)
AHEAD_MAX = timedelta(minutes=5)
_PING = b"webhook_id="
_DELIVERY_ID_CHARACTERS_MAX = 64


class Ping(Struct, frozen=True):
    """The shop tries the address out, unsigned, when the webhook is set up. Answer 200."""


class NotOurs(Struct, frozen=True):
    """Signed, but not about an order of ours. Answer 200, or the shop gives the webhook up after five failures."""


class LookAgain(Struct, frozen=True):
    """Signed and about an order that may be ours, but the words do not count: too old (perhaps repeated by somebody),
    ahead of our time, without a time, or without an order, which is how one that was deleted is announced. Answer 200
    and ask the shop how the order is: `get` of the gateway."""

    order_id: str
    why: Literal["too_old", "ahead", "no_time", "no_order"]


class Rejected(Struct, frozen=True):
    """Not to be believed, or not to be read. Answer 401; 413 if it is too large; 400 if it is signed but no JSON."""

    reason: Literal["unsigned", "bad_signature", "too_large", "no_json"]


class _Named(Struct, frozen=True):
    id: int


_NAMED = msgspec.json.Decoder(_Named)


def read_delivery(
    headers: Mapping[str, str],
    body: bytes,
    *,
    secrets: Sequence[str],
    now: datetime,
    age_max: timedelta = AGE_MAX,
) -> OrderEvent | LookAgain | NotOurs | Ping | Rejected:
    """Check a delivery with its raw body and say what it is. Never raises for what somebody may send.

    Any of the secrets will do, so that one can be replaced without a gap. `age_max` is longer than the shop's queue
    of deliveries may stand still.
    """
    given = {name.lower(): value for name, value in headers.items()}
    if len(body) > BODY_BYTES_MAX:
        return Rejected("too_large")
    signature = given.get(SIGNATURE_HEADER, "")
    if not signature:
        return Ping() if body.startswith(_PING) and body.removeprefix(_PING).isdigit() else Rejected("unsigned")
    if not _is_signed(signature, body, secrets):
        return Rejected("bad_signature")
    if not given.get(TOPIC_HEADER, "order.").startswith("order."):
        return NotOurs()
    event = _event(body, given.get(DELIVERY_HEADER, ""))
    return _in_time(event, now, age_max) if isinstance(event, OrderEvent) else event


def signature_of(body: bytes, secret: str) -> str:
    """As WooCommerce computes it: base64 of the HMAC-SHA256 of the body."""
    return b64encode(hmac.digest(secret.encode(), body, sha256)).decode()


def _is_signed(signature: str, body: bytes, secrets: Sequence[str]) -> bool:
    right = [signature_of(body, secret).encode() for secret in secrets if secret]
    return any(hmac.compare_digest(signature.encode(), expected) for expected in right)


def _event(body: bytes, delivery_id: str) -> OrderEvent | LookAgain | NotOurs | Rejected:
    try:
        order = ORDER.decode(body)
    except (msgspec.DecodeError, RecursionError):
        return _named(body)
    if not REFERENCE_PATTERN.match(order.reference):
        return NotOurs()
    key = sha256(body).hexdigest()
    return OrderEvent(
        order=order.snapshot(), delivery_key=key, delivery_id=delivery_id[:_DELIVERY_ID_CHARACTERS_MAX]
    )


def _named(body: bytes) -> LookAgain | NotOurs | Rejected:
    try:
        return LookAgain(str(_NAMED.decode(body).id), "no_order")
    except msgspec.ValidationError:
        return NotOurs()
    except (msgspec.DecodeError, RecursionError):
        return Rejected("no_json")


def looked_at(found: ShopOrder) -> OrderEvent | NotOurs:
    """What is to be told when the shop itself says how an order is, after `LookAgain`."""
    if not REFERENCE_PATTERN.match(found.reference):
        return NotOurs()
    return OrderEvent(order=found, delivery_key=sha256(msgspec.json.encode(found)).hexdigest(), is_fresh=True)


def _in_time(event: OrderEvent, now: datetime, age_max: timedelta) -> OrderEvent | LookAgain:
    changed_at, order_id = event.order.changed_at, event.order.order_id
    if changed_at is None:
        return LookAgain(order_id, "no_time")
    if changed_at < now - age_max:
        return LookAgain(order_id, "too_old")
    return LookAgain(order_id, "ahead") if changed_at > now + AHEAD_MAX else event
