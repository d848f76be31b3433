"""New ids for what this service sends on its own."""

from __future__ import annotations

import secrets
from hashlib import sha256
from uuid import UUID

from holdgate_producer.core.ids import new_request_id

__all__ = ["DERIVED_VERSION", "derived_id", "is_derived", "new_request_id", "short_id"]

DERIVED_VERSION = "8"
"""The version digit of derived ids (RFC 9562, section 5.8). What is derived can be guessed, so under such an id the
gate takes nothing that is not sealed: otherwise anybody could take the id before the one whom it is meant for."""
_VERSION_AT = 14


def derived_id(kind: str, *parts: str) -> str:
    """The id of a request that follows from others: made again, it is the same one."""
    digest = bytearray(sha256("\0".join((kind, *parts)).encode()).digest()[:16])
    digest[6] = digest[6] & 0x0F | 0x80
    digest[8] = digest[8] & 0x3F | 0x80
    return str(UUID(bytes=bytes(digest)))


def is_derived(request_id: str) -> bool:
    """Whether the id is of the kind that only this service makes."""
    return request_id[_VERSION_AT] == DERIVED_VERSION


def short_id() -> str:
    """Six characters that tell two processes apart."""
    return secrets.token_hex(3)
