"""AMQP properties to our own and back. What others sent is never trusted to be well-formed, and never raises."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal
from typing import Any

from pika import spec

from holdgate_schema.envelope import HEADERS_MAX, HeaderValue, Properties
from holdgate_workers.app.dead_letters.replay import OF_US

READ_MAX = HEADERS_MAX + 1
"""More headers than this are not looked at: it is enough to see that there are too many."""
WRITE_MAX = READ_MAX + 15
"""Room for our own on top."""
VALUE_CHARS_MAX = 512
"""Longer header values are cut: all headers together must fit into one frame (128 KB), at 4 bytes a character."""
SHORT_BYTES_MAX = 255

PERSISTENT = 2
TRANSIENT = 1

INT_MAX = 2**63 - 1


def from_wire(found: Any) -> Properties:
    """Ours, from pika's. Bytes that are no UTF-8 are replaced, odd header values become text."""
    headers = found.headers
    return Properties(
        message_id=_text(found.message_id),
        correlation_id=_text(found.correlation_id),
        reply_to=_text(found.reply_to),
        type=_text(found.type),
        app_id=_text(found.app_id),
        user_id=_text(found.user_id),
        timestamp=found.timestamp,
        content_type=_text(found.content_type),
        content_encoding=_text(found.content_encoding),
        expiration=_text(found.expiration),
        headers=plain_headers(headers) if headers else {},
    )


def to_wire(properties: Properties, *, persistent: bool) -> Any:
    """Pika's, from ours. What AMQP cannot hold is cut, so that an echoed property cannot spoil an answer."""
    timestamp = properties.timestamp
    if timestamp is not None and not 0 <= timestamp <= INT_MAX:
        timestamp = None
    return spec.BasicProperties(
        content_type=short(properties.content_type),
        content_encoding=short(properties.content_encoding),
        headers=table(properties.headers) if properties.headers else None,
        delivery_mode=PERSISTENT if persistent else TRANSIENT,
        correlation_id=short(properties.correlation_id),
        reply_to=short(properties.reply_to),
        expiration=short(properties.expiration),
        message_id=short(properties.message_id),
        timestamp=timestamp,
        type=short(properties.type),
        user_id=short(properties.user_id),
        app_id=short(properties.app_id),
    )


def plain_headers(found: Mapping[Any, Any], maximum: int = READ_MAX) -> dict[str, HeaderValue]:
    """At most so many headers, each a plain value of bounded length. Our own are never cut off."""
    headers: dict[str, HeaderValue] = {}
    for name, value in found.items():
        text = str(_text(name))
        if len(headers) < maximum or text in OF_US:
            headers[text] = _plain(value)
    return headers


def _plain(value: Any) -> HeaderValue:
    if isinstance(value, str):
        return value[:VALUE_CHARS_MAX]
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, int):
        return int(value)  # pika has a subclass of its own
    if isinstance(value, bytes):
        return value[:VALUE_CHARS_MAX]
    if isinstance(value, float):
        return value
    if isinstance(value, Decimal):
        return float(value)
    if isinstance(value, datetime):
        return value.isoformat()
    try:
        return str(value)[:VALUE_CHARS_MAX]
    except (ValueError, RecursionError):
        return type(value).__name__


def table(headers: Mapping[str, HeaderValue]) -> dict[str, Any]:
    """A table that pika can write. It knows no floats, so they go as text."""
    return {str(short(name)): _writable(value) for name, value in plain_headers(headers, WRITE_MAX).items()}


def _writable(value: HeaderValue) -> Any:
    if isinstance(value, str):
        return value.encode("utf-8", "replace").decode()
    if isinstance(value, float) or (isinstance(value, int) and not -INT_MAX <= value <= INT_MAX):
        return str(value)
    return value


def _text(value: Any) -> str | None:
    """Pika gives bytes where it found no UTF-8."""
    return value.decode("utf-8", "replace") if value.__class__ is bytes else value


def short(text: str | None) -> str | None:
    if text is None or (len(text) < 64 and text.isascii()):
        return text
    encoded = text.encode("utf-8", "replace")
    if len(encoded) > SHORT_BYTES_MAX:
        encoded = encoded[:SHORT_BYTES_MAX]
    return encoded.decode("utf-8", "ignore")
