"""Session ids that Holdgate issues: signed, so that nobody can make one up, and the same for the same request."""

from __future__ import annotations

import hmac
from dataclasses import dataclass, field
from hashlib import sha256

PREFIX = "hgs."
_SIGNATURE_CHARS = 40


@dataclass(slots=True, frozen=True)
class SessionKeys:
    """Issues and checks session ids with a secret of at least 16 bytes."""

    secret: bytes = field(repr=False)

    def __post_init__(self) -> None:
        assert len(self.secret) >= 16, "the session secret must have at least 16 bytes"

    def issue(self, request_id: str) -> str:
        """The session id for a request that came without one. Only who knows the secret can compute it."""
        return f"{PREFIX}{request_id}.{self._signature(request_id)}"

    def is_forged(self, session_id: str) -> bool:
        """Whether the id claims to be one of ours and is not. Ids of any other shape are the caller's own."""
        if not session_id.startswith(PREFIX):
            return False
        request_id, _, signature = session_id.removeprefix(PREFIX).rpartition(".")
        return not hmac.compare_digest(signature.encode(), self._signature(request_id).encode())

    def _signature(self, request_id: str) -> str:
        return hmac.new(self.secret, request_id.encode(), sha256).hexdigest()[:_SIGNATURE_CHARS]
