"""Request ids, made in one place."""

from __future__ import annotations

import uuid


def new_request_id() -> str:
    """A new random request id. Keep it with the booking: sending it again is always safe."""
    return str(uuid.uuid4())  # noqa: TID251  (the one place where the client makes ids)
