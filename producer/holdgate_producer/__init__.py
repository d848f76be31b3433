"""The client that upstream services install: pika and the language, nothing else.

    from holdgate_producer import BookingClient, ClientConfig, Held

    with BookingClient(ClientConfig(url="amqp://…", app_id="webshop")) as client:
        answer = client.place("occ-1", {"adult": 2})

For your own tests see `holdgate_producer.testing`.
"""

from holdgate_schema.outcomes import Availability, Changed, Extended, Held, Reason, Refused, Released

from .aio import AsyncBookingClient
from .client import BookingClient
from .config import ClientConfig
from .errors import (
    Blocked,
    ClientClosed,
    ConnectionLost,
    InvalidConfig,
    InvalidRequest,
    Nacked,
    ProducerError,
    TimedOut,
    UnreadableAnswer,
    Unroutable,
)
from .ids import new_request_id

__all__ = [
    "AsyncBookingClient",
    "Availability",
    "Blocked",
    "BookingClient",
    "Changed",
    "ClientClosed",
    "ClientConfig",
    "ConnectionLost",
    "Extended",
    "Held",
    "InvalidConfig",
    "InvalidRequest",
    "Nacked",
    "ProducerError",
    "Reason",
    "Refused",
    "Released",
    "TimedOut",
    "UnreadableAnswer",
    "Unroutable",
    "new_request_id",
]
