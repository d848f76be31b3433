"""Request ids, made in one place."""

from __future__ import annotations

import secrets
import time
from uuid import UUID


def new_request_id() -> str:
    """A new request id, which nobody can guess. Keep it with the booking: sending it again is always safe.

    A UUID of version 7 (RFC 9562, section 5.7): milliseconds since 1970, then 74 random bits. Ids of one time stand
    together in the service's indexes, which with many millions of rows costs half as much as ids that stand anywhere.
    """
    milliseconds = time.time_ns() // 1_000_000
    bits = milliseconds << 80 | secrets.randbits(80)
    return str(UUID(int=bits & ~(0xF << 76 | 0x3 << 62) | 0x7 << 76 | 0x2 << 62))
