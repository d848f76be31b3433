"""Seals: what tells the commands of Holdgate's own workers from everybody else's.

Whoever may publish requests could otherwise give a hold any price, or call a booking paid.
"""

from __future__ import annotations

import hmac
from dataclasses import dataclass, field
from hashlib import sha256

from holdgate_schema.codec import encode
from holdgate_schema.commands.holds import Command, type_name
from holdgate_schema.envelope import HeaderValue, Properties
from holdgate_schema.routing import routing_key
from holdgate_schema.topology import REQUESTS_EXCHANGE

from .gate.answers import APP_ID
from .ports import Outgoing

SEAL_HEADER = "holdgate-seal"
_CONTEXT = b"holdgate internal command\0"


@dataclass(slots=True, frozen=True)
class Seals:
    """Seals bodies and knows its own seals, with the house's secret."""

    secret: bytes = field(repr=False)

    def seal(self, body: bytes) -> str:
        """The seal of a body."""
        return hmac.new(self.secret, _CONTEXT + body, sha256).hexdigest()

    def is_sealed(self, body: bytes, seal: HeaderValue) -> bool:
        """Whether that is the seal of this body."""
        return isinstance(seal, str) and hmac.compare_digest(seal.encode(), self.seal(body).encode())


def internal_message(
    command: Command, seals: Seals, *, reply_to: str | None = None, correlation_id: str | None = None
) -> Outgoing:
    """An internal command on its way to its occurrence's queue; its answer goes to where the first answer went."""
    body = encode(command)
    return Outgoing(
        exchange=REQUESTS_EXCHANGE,
        routing_key=routing_key(command.occurrence_id),
        body=body,
        properties=Properties(
            message_id=command.request_id,
            type=type_name(command),
            app_id=APP_ID,
            reply_to=reply_to,
            correlation_id=correlation_id,
            headers={SEAL_HEADER: seals.seal(body)},
        ),
        mandatory=True,
    )
