"""New ids for what this service sends on its own."""

from __future__ import annotations

import secrets
from uuid import uuid4  # noqa: TID251 - the service's one place for it


def new_request_id() -> str:
    """A request id."""
    return str(uuid4())


def short_id() -> str:
    """Six characters that tell two processes apart."""
    return secrets.token_hex(3)
