"""What the contract asks of a command's body before anything is looked up (docs/contract.md §3, §8, §9)."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from datetime import datetime
from typing import Any

from tests.checker.bodies import INTERNAL

Check = Callable[[Any], bool]

_UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}\Z")
_KEY = re.compile(r"[a-z0-9][a-z0-9_.-]{0,49}\Z")
_OFFSET = re.compile(r"(Z|z|[+-]\d\d:\d\d)\Z")
BODY_BYTES_MAX = 16384


class _Twice(ValueError):
    pass


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise _Twice
    return found


def faults_of_text(text: str) -> list[str]:
    """Everything wrong with a body, keys given twice included; slow, for those that were refused."""
    if len(text.encode()) > BODY_BYTES_MAX:
        return ["too long"]
    try:
        body = json.loads(text, object_pairs_hook=_once, parse_constant=_never)
    except _Twice:
        return ["a key is given twice"]
    except (ValueError, RecursionError):
        return ["no JSON"]
    return faults(body)


def _never(text: str) -> Any:
    raise ValueError(text)


def _whole(low: int, high: int) -> Check:
    return lambda value: type(value) is int and low <= value <= high


def _visible(longest: int) -> Check:
    def check(value: Any) -> bool:
        return type(value) is str and 0 < len(value) <= longest and (value.isprintable() and " " not in value)

    return check


def _uuid(value: Any) -> bool:
    return type(value) is str and _UUID.match(value) is not None


def _like(pattern: str) -> Check:
    found = re.compile(rf"{pattern}\Z")
    return lambda value: type(value) is str and found.match(value) is not None


def _key(value: Any) -> bool:
    return type(value) is str and _KEY.match(value) is not None


def _label(value: Any) -> bool:
    return type(value) is str and len(value) <= 100


def _keys(value: Any) -> bool:
    return type(value) is list and len(value) <= 50 and all(_key(one) for one in value)


def _basket(least: int) -> Check:
    def check(value: Any) -> bool:
        if type(value) is not dict or not least <= len(value) <= 50:
            return False
        return all(type(number) is int and 0 < number <= 500 and _KEY.match(key) for key, number in value.items())

    return check


def _instant(value: Any) -> bool:
    return type(value) is str and _OFFSET.search(value) is not None and _iso(value)


def _wall(value: Any) -> bool:
    return type(value) is str and _OFFSET.search(value) is None and "T" in value.upper() and _iso(value)


def _iso(value: str) -> bool:
    try:
        datetime.fromisoformat(value)
    except ValueError:
        return False
    return True


def _one_of(*values: str) -> Check:
    return lambda value: value in values


def _record(required: dict[str, Check], optional: dict[str, Check]) -> Check:
    return lambda value: not _record_faults(value, required, optional)


def _record_faults(value: Any, required: dict[str, Check], optional: dict[str, Check]) -> list[str]:
    if type(value) is not dict:
        return ["no object"]
    found = []
    for name, check in required.items():
        if name not in value or not check(value[name]):
            found.append(name)
    for name, one in value.items():
        if name in required:
            continue
        rule = optional.get(name)
        if rule is None or not (one is None or rule(one)):
            found.append(name)
    return found


def _list_of(check: Check, least: int, most: int = 50) -> Check:
    return lambda value: type(value) is list and least <= len(value) <= most and all(check(one) for one in value)


_CAPACITY = _whole(0, 1_000_000)
_ANY_INT = _whole(-(2**31), 2**31 - 1)
_SESSION = _visible(128)
_ID = _visible(64)
_BASE: dict[str, Check] = {"type": lambda value: type(value) is str, "request_id": _uuid, "occurrence_id": _ID}
_OWN: dict[str, Check] = {**_BASE, "session_id": _SESSION, "hold_id": _uuid}
_TICKET = _record(
    {"key": _key},
    {"label": _label, "min_per_order": _whole(0, 500), "max_per_order": _whole(0, 500), "pools": _keys},
)
_POOL = _record({"key": _key}, {"capacity": _CAPACITY, "overbooking_percent": _ANY_INT, "buffer": _ANY_INT})
_STOCK = _record({"key": _ID, "cap": _whole(0, 2**31 - 1)}, {})
_EXTRA = _record(
    {"key": _key}, {"label": _label, "max_per_order": _whole(0, 500), "pools": _keys, "stock": _STOCK}
)
_HOLD = _record(
    {},
    {
        "ttl_minutes": _whole(5, 120),
        "lifetime_max_minutes": _whole(5, 240),
        "extensions_max": _whole(0, 10),
        "max_seats_per_request": _whole(1, 500),
        "max_seats_per_hold": _whole(1, 500),
    },
)
_ALERTS = _record({}, dict.fromkeys(("low", "nearly_full", "full"), _whole(1, 100)))
_CLIENT = _record(
    {}, {"address": lambda value: type(value) is str, "forwarded_for": lambda value: type(value) is list}
)
_METHOD = _key
_HASH = _like(r"[0-9a-f]{64}")
_AMOUNT = _whole(0, 1_000_000_000)
_PRICING = _record(
    {}, {"payment_method": _METHOD, "voucher": _like(r"[A-Z0-9][A-Z0-9-]{3,49}"), "quote_hash": _HASH}
)
_PAYMENT = _record(
    {"method": _METHOD, "amount": _AMOUNT, "currency": _like("[A-Z]{3}"), "status": _one_of("pending", "paid")},
    {"reference": _label},
)
_CUSTOMER = _record({}, dict.fromkeys(("name", "email", "phone", "locale"), lambda value: type(value) is str))
_BOOKING: dict[str, Check] = {**_BASE, "session_id": _SESSION, "booking_id": _uuid}
_LEG = _record({"occurrence_id": _ID, "items": _basket(1)}, {"extras": _basket(0)})
_COMMANDS: dict[str, tuple[dict[str, Check], dict[str, Check]]] = {
    "hold.place.v1": (
        {**_BASE, "items": _basket(1)},
        {
            "extras": _basket(0),
            "session_id": _SESSION,
            "user_id": _ID,
            "client": _CLIENT,
            "ttl_seconds": _whole(1, 7200),
            "pricing": _PRICING,
        },
    ),
    "hold.change.v1": ({**_OWN, "items": _basket(1)}, {"extras": _basket(0), "pricing": _PRICING}),
    "hold.extend.v1": (_OWN, {}),
    "hold.release.v1": (_OWN, {}),
    "hold.get.v1": (_OWN, {}),
    "availability.get.v1": (_BASE, {}),
    "hold.sweep.v1": (_BASE, {"holds_max": _whole(1, 500)}),
    "occurrence.put.v1": (
        {
            **_BASE,
            "product_id": _ID,
            "starts_at": _instant,
            "ends_at": _instant,
            "timezone": lambda value: type(value) is str,
            "capacity": _CAPACITY,
            "ticket_types": _list_of(_TICKET, 1),
        },
        {
            "overbooking_percent": _ANY_INT,
            "buffer": _ANY_INT,
            "pools": _list_of(_POOL, 0),
            "extras": _list_of(_EXTRA, 0),
            "sales_open": _wall,
            "sales_close": _wall,
            "cutoff_minutes": _whole(0, 2**31 - 1),
            "status": _one_of("active", "closed"),
            "hold": _HOLD,
            "alerts": _ALERTS,
            "yields_start": lambda value: type(value) is bool,
        },
    ),
    "quote.get.v1": (
        {**_BASE, "items": _basket(1)},
        {"extras": _basket(0), "payment_method": _METHOD, "voucher": _like(r"[A-Z0-9][A-Z0-9-]{3,49}")},
    ),
    "booking.convert.v1": ({**_OWN, "quote_hash": _HASH, "payment": _PAYMENT}, {"customer": _CUSTOMER}),
    "booking.cancel.v1": (_BOOKING, {"reason": _label}),
    "booking.reduce.v1": ({**_BOOKING, "items": _basket(1)}, {"extras": _basket(0), "reason": _label}),
    "booking.get.v1": (_BOOKING, {}),
    "cart.place.v1": (
        {**_BASE, "legs": _list_of(_LEG, 2, 10)},
        {"session_id": _SESSION, "user_id": _ID, "ttl_seconds": _whole(1, 7200)},
    ),
    "waitlist.join.v1": (
        {**_BASE, "items": _basket(1)},
        {"extras": _basket(0), "session_id": _SESSION, "user_id": _ID},
    ),
    "waitlist.get.v1": ({**_BASE, "session_id": _SESSION, "entry_id": _uuid}, {}),
    "waitlist.leave.v1": ({**_BASE, "session_id": _SESSION, "entry_id": _uuid}, {}),
    "occurrence.close.v1": (_BASE, {"status": _one_of("closed", "cancelled", "completed")}),
    "occurrence.capacity.v1": ({**_BASE}, {"pool": _key, "capacity": _CAPACITY}),
}


def faults(body: Any) -> list[str]:
    """The fields of a parsed body that break the contract; empty if it may be worked."""
    kind = body.get("type") if type(body) is dict else None
    if type(kind) is str and kind in INTERNAL:
        return []  # the service's own, under its seal
    rules = _COMMANDS.get(kind) if type(kind) is str else None
    if rules is None:
        return ["type"]
    return _record_faults(body, *rules)
