"""Signed requests after the Standard Webhooks specification, version 1.0.0 (standardwebhooks.com), which has
ready-made verifiers for most languages.

Three headers: `webhook-id` names the message and stays the same when it is sent again, `webhook-timestamp` is the
time of sending in Unix seconds, and `webhook-signature` holds one or more `v1,<base64>` parted by spaces, each the
HMAC-SHA256 of `<id>.<timestamp>.<body>`.
"""

from __future__ import annotations

import binascii
import hmac
from base64 import b64decode, b64encode
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from typing import Literal

ID_HEADER = "webhook-id"
TIMESTAMP_HEADER = "webhook-timestamp"
SIGNATURE_HEADER = "webhook-signature"

WINDOW = timedelta(minutes=5)
"""How far the time of sending may be from now, both ways."""
KEY_BYTES_MIN = 24
SIGNATURES_MAX = 16

_PREFIX = "whsec_"


class InvalidKey(ValueError):
    """The signing secret cannot be used; says what would be right, not what it is."""


class SigningKey:
    """A shared secret: `whsec_` and base64, or any other text of at least 24 bytes. Raises `InvalidKey`."""

    def __init__(self, text: str) -> None:
        try:
            key = (
                b64decode(text.removeprefix(_PREFIX), validate=True) if text.startswith(_PREFIX) else text.encode()
            )
        except binascii.Error:
            raise InvalidKey(f"secret: what follows {_PREFIX} must be base64") from None
        if len(key) < KEY_BYTES_MIN:
            raise InvalidKey(f"secret: must have at least {KEY_BYTES_MIN} bytes")
        self._key = key

    def sign(self, message_id: str, sent_at: datetime, body: bytes) -> dict[str, str]:
        """The three headers of a message. Its id has no full stop, which parts what is signed."""
        assert "." not in message_id, "not an id that can be signed"
        timestamp = str(int(sent_at.timestamp()))
        return {
            ID_HEADER: message_id,
            TIMESTAMP_HEADER: timestamp,
            SIGNATURE_HEADER: self.signature(message_id, timestamp, body),
        }

    def signature(self, message_id: str, timestamp: str, body: bytes) -> str:
        """`v1,` and the signature."""
        digest = hmac.digest(self._key, b".".join([message_id.encode(), timestamp.encode(), body]), sha256)
        return f"v1,{b64encode(digest).decode()}"

    def __repr__(self) -> str:
        return "SigningKey(…)"


@dataclass(slots=True, frozen=True)
class Signed:
    """Words of somebody who has the secret. Inside the window they can be repeated by anybody who heard them: whoever
    acts on them remembers `message_id` for twice the window."""

    message_id: str
    sent_at: datetime


@dataclass(slots=True, frozen=True)
class NotSigned:
    """Not to be believed, and why."""

    reason: Literal["missing_header", "bad_timestamp", "bad_signature", "too_old", "too_new"]


def verify(
    headers: Mapping[str, str], body: bytes, keys: Iterable[SigningKey], now: datetime, window: timedelta = WINDOW
) -> Signed | NotSigned:
    """Check a message with its raw body. Any of the keys will do, so that one can be replaced without a gap."""
    given = {name.lower(): value for name, value in headers.items()}
    message_id, timestamp = given.get(ID_HEADER, ""), given.get(TIMESTAMP_HEADER, "")
    signatures = given.get(SIGNATURE_HEADER, "").split()[:SIGNATURES_MAX]
    if not (message_id and timestamp and signatures):
        return NotSigned("missing_header")
    if not (timestamp.isascii() and timestamp.isdigit() and len(timestamp) <= 11):
        return NotSigned("bad_timestamp")
    if not _matches(signatures, [key.signature(message_id, timestamp, body) for key in keys]):
        return NotSigned("bad_signature")
    sent_at = datetime.fromtimestamp(int(timestamp), UTC)
    if abs(now - sent_at) > window:
        return NotSigned("too_old" if sent_at < now else "too_new")
    return Signed(message_id, sent_at)


def _matches(given: Iterable[str], right: Iterable[str]) -> bool:
    """Whether one of them is one of those; takes as long if it is not."""
    expected = [signature.encode() for signature in right]
    found = False
    for signature in given:
        for wanted in expected:
            found |= hmac.compare_digest(signature.encode(), wanted)
    return found
