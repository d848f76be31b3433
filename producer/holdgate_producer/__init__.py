"""The client that upstream services install: pika and the language, nothing else.

    from holdgate_producer import BookingClient, ClientConfig, Held

    with BookingClient(ClientConfig(url="amqp://…", app_id="webshop")) as client:
        answer = client.place("occ-1", {"adult": 2})

For your own tests see `holdgate_producer.testing`.
"""

from holdgate_schema.answers.holds import (
    Availability,
    Changed,
    Extended,
    Held,
    HoldShown,
    Reason,
    Refused,
    Released,
)
from holdgate_schema.answers.selling import (
    Booked,
    Cancelled,
    CartHeld,
    CartStarted,
    Confirmed,
    Converting,
    LeftWaitlist,
    Priced,
    Quoted,
    Quoting,
    Waiting,
    WaitlistPlace,
)
from holdgate_schema.commands.selling import CartLeg, Customer, PaymentNotice, Pricing

from .client.aio import AsyncBookingClient
from .client.client import BookingClient
from .client.config import ClientConfig
from .core.answers import AsyncTwoAnswers, TwoAnswers
from .core.entry import Answers
from .core.errors import (
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
from .core.ids import new_request_id

__all__ = [
    "Answers",
    "AsyncBookingClient",
    "AsyncTwoAnswers",
    "Availability",
    "Blocked",
    "Booked",
    "BookingClient",
    "Cancelled",
    "CartHeld",
    "CartLeg",
    "CartStarted",
    "Changed",
    "ClientClosed",
    "ClientConfig",
    "Confirmed",
    "ConnectionLost",
    "Converting",
    "Customer",
    "Extended",
    "Held",
    "HoldShown",
    "InvalidConfig",
    "InvalidRequest",
    "LeftWaitlist",
    "Nacked",
    "PaymentNotice",
    "Priced",
    "Pricing",
    "ProducerError",
    "Quoted",
    "Quoting",
    "Reason",
    "Refused",
    "Released",
    "TimedOut",
    "TwoAnswers",
    "UnreadableAnswer",
    "Unroutable",
    "Waiting",
    "WaitlistPlace",
    "new_request_id",
]
