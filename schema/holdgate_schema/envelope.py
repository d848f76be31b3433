"""The AMQP 0-9-1 properties of our messages, used the way the field uses them, without AMQP.

`message_id` is the request id, `correlation_id` comes back with the answer, `reply_to` says where the answer
goes, `type` names the body, `app_id` the sender's program, `user_id` the login (the broker checks it), `timestamp`
whole seconds, the header `traceparent` the W3C trace.
"""

from __future__ import annotations

from msgspec import Struct

from .codec import BODY_BYTES_MAX, CONTENT_TYPE
from .errors import FieldError, ProblemCode
from .topology import may_reply_to

HeaderValue = str | int | bool | float | bytes | None

TEXT_CHARS_MAX = 255
HEADERS_MAX = 32
HEADERS_BYTES_MAX = 8 * 1024
"""All headers together, names included, as AMQP encodes them."""
HEADERS_BYTES_HEADER = "x-holdgate-headers-bytes"
"""Stands in for headers that were over the limit and therefore not kept: how many bytes they were."""
BODY_BYTES_HEADER = "x-holdgate-body-bytes"
BODY_SHA256_HEADER = "x-holdgate-body-sha256"
"""On a dead letter that has only the beginning of its body: how long the body was, and its SHA-256 in hexadecimal."""
BODY_BYTES_KEPT = 1024
"""So much is kept of a body over the limit."""


class Properties(Struct, frozen=True, kw_only=True, gc=False):
    """The properties of one message. Absent ones are None."""

    message_id: str | None = None
    correlation_id: str | None = None
    reply_to: str | None = None
    type: str | None = None
    app_id: str | None = None
    user_id: str | None = None
    timestamp: int | None = None
    content_type: str | None = CONTENT_TYPE
    content_encoding: str | None = None
    expiration: str | None = None
    headers: dict[str, HeaderValue] = {}


def property_errors(
    properties: Properties, *, request_id: str | None, message_type: str | None
) -> list[FieldError]:
    """What a request's properties may not say; empty if all is well.

    `expiration`, `CC` and `BCC` are honoured by the broker before we see the message: a sender that sets them
    lets his own request vanish or multiply.
    """
    errors: list[FieldError] = []
    if properties.content_type is not None and properties.content_type != CONTENT_TYPE:
        errors.append(_wrong("content_type", f"must be {CONTENT_TYPE} or left out"))
    if properties.content_encoding:
        errors.append(_wrong("content_encoding", "must be left out; bodies are plain UTF-8"))
    if properties.expiration is not None:
        errors.append(_wrong("expiration", "must be left out; a request may not expire in the queue"))
    if properties.headers:
        errors.extend(_header_errors(properties.headers))
    if properties.message_id is not None and request_id is not None and properties.message_id != request_id:
        errors.append(_wrong("message_id", "must equal the body's request_id or be left out"))
    if properties.type is not None and message_type is not None and properties.type != message_type:
        errors.append(_wrong("type", f"must equal the body's type ({message_type}) or be left out"))
    if properties.reply_to is not None and not may_reply_to(properties.reply_to):
        errors.append(_wrong("reply_to", "must be direct reply-to or a queue named holdgate.reply.<name>"))
    return errors


def _wrong(name: str, reason: str) -> FieldError:
    return FieldError(name, reason, ProblemCode.PROPERTY)


def _header_errors(headers: dict[str, HeaderValue]) -> list[FieldError]:
    if HEADERS_BYTES_HEADER in headers:
        size = headers[HEADERS_BYTES_HEADER]
        return [FieldError("headers", f"are {size!s} bytes together, at most {HEADERS_BYTES_MAX} are read")]
    errors = [
        _wrong(name, "must be left out; a request goes to one queue") for name in ("CC", "BCC") if name in headers
    ]
    if len(headers) > HEADERS_MAX:
        errors.append(_wrong("headers", f"at most {HEADERS_MAX} are read"))
    return errors


__all__ = [
    "BODY_BYTES_HEADER",
    "BODY_BYTES_KEPT",
    "BODY_BYTES_MAX",
    "BODY_SHA256_HEADER",
    "HEADERS_BYTES_HEADER",
    "HEADERS_BYTES_MAX",
    "HEADERS_MAX",
    "HeaderValue",
    "Properties",
    "property_errors",
]
