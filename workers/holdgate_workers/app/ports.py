"""What the use cases need of the outside world. Each port has one conformance suite, run on every adapter.

Deliveries and acknowledgements are about *channels*: one consumer's one life on one partition. A channel that
was lost never comes back; its tags are void, and acknowledging one is a no-op.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol

from msgspec import Struct

from holdgate_schema.envelope import HeaderValue, Properties

ChannelId = int


class TransportError(Exception):
    """The queue cannot be reached or refused an operation; try again later."""


class Place(NamedTuple):
    """One stay in one partition's line: it begins with a channel and ends with it."""

    partition: int
    channel: ChannelId


class Oversized(Struct, frozen=True, gc=False):
    """What a body was that is over the limit: only its first `BODY_BYTES_KEPT` bytes are kept."""

    size_bytes: int
    sha256: str
    """Of the whole body, in hexadecimal."""


class Delivery(Struct, frozen=True, gc=False):
    """One message as the queue gave it to us."""

    partition: int
    channel: ChannelId
    tag: int
    body: bytes
    properties: Properties
    redelivered: bool = False
    routing_key: str = ""
    oversized: Oversized | None = None
    """Set if the body is over `BODY_BYTES_MAX`; `body` is then only its beginning."""


class Outgoing(Struct, frozen=True, kw_only=True, gc=False):
    """One message to publish. Persistent unless said otherwise; `mandatory` makes an unroutable one a problem."""

    exchange: str
    routing_key: str
    body: bytes
    properties: Properties
    mandatory: bool = False
    persistent: bool = True


class Sink(Protocol):
    """Where a consumer puts what happens. Called on the transport's own thread: must be quick, must not raise."""

    def subscribed(self, partition: int, channel: ChannelId) -> None:
        """The channel stands in the queue's line; deliveries may follow, now or much later."""

    def delivered(self, delivery: Delivery) -> None:
        """A message arrived. Per channel they come in the queue's order."""

    def lost(self, partition: int, channel: ChannelId) -> None:
        """The channel is gone, by our wish or not; what it had not acknowledged will be delivered again."""


class Consumer(Protocol):
    """The consuming side of a transport: at most one *active* consumer per partition, by the queue's own view.

    It reconnects by itself with back-off and jitter for as long as the partition is wanted; each new life is a
    new channel. Deliveries are bounded in number by the prefetch given at construction, and each in size: of a body
    over `BODY_BYTES_MAX` and of headers over `HEADERS_BYTES_MAX` the rest is thrown away as it comes.
    """

    def subscribe(self, partition: int) -> None:
        """Want this partition. Returns at once; idempotent."""

    def leave(self, channel: ChannelId) -> None:
        """Stop wanting the channel's partition, in the way that keeps the queue's order: what is unacknowledged goes
        back to the front before anyone else is served. Returns at once; `Sink.lost` follows.

        It means this stay in the line and no later one: where the channel is gone already it is void, and the
        partition is wanted as before. Idempotent."""

    def ack(self, channel: ChannelId, tag: int) -> None:
        """Acknowledge every delivery of the channel up to and including the tag. Returns at once."""

    def standing(self) -> Mapping[int, ChannelId | None]:
        """The partitions that are wanted now, each with the channel that stands in the queue's line, None while there
        is none. Asked of the connections themselves. From any thread; does not wait."""

    def reject(self, channel: ChannelId, tag: int) -> None:
        """Have the queue itself put this delivery with the dead letters, whole and as it came; it keeps it until there
        is room. Before it is acknowledged. Returns at once; on a lost channel it does nothing."""

    def close(self) -> None:
        """Leave everything, flush acknowledgements, stop the threads. Waits; idempotent."""


@dataclass(slots=True, frozen=True)
class PublishProblem:
    """Why a message did not get through: `unroutable`, `nacked`, `lost` (the outcome is unknown), `blocked`."""

    message: Outgoing
    kind: str
    detail: str = ""


class Receipt(Protocol):
    """The broker's word on a group of published messages."""

    @property
    def is_settled(self) -> bool:
        """Whether each message was confirmed or failed."""

    def on_settled(self, callback: Callable[[], None]) -> None:
        """Call back once each message was confirmed or failed, at once if that is so: on any thread, perhaps twice."""

    def wait(self, timeout_seconds: float) -> Sequence[PublishProblem]:
        """Wait until each message was confirmed or failed. Those still open at the end count as `lost`."""


class Publisher(Protocol):
    """The publishing side: its own connection, asynchronous confirms, messages kept in the order given.

    It reconnects by itself. Messages given while the connection is down are kept up to a bound, then refused
    with `lost`.
    """

    def publish(self, messages: Sequence[Outgoing]) -> Receipt:
        """Send a group. Returns at once."""

    @property
    def unconfirmed(self) -> int:
        """How many messages wait for their confirm: the back-pressure signal."""

    @property
    def blocked(self) -> bool:
        """Whether the broker has blocked the connection (memory or disk alarm) or it is down."""

    def close(self, timeout_seconds: float) -> None:
        """Wait for open confirms up to the time given, then stop. Idempotent."""


@dataclass(slots=True, frozen=True, kw_only=True)
class DeadLetter:
    """A message that could not be worked, as the dead-letter queue has it."""

    id: str
    reason: str
    detail: str
    died_at: str
    partition: int | None
    routing_key: str
    body: bytes
    properties: Properties
    oversized: Oversized | None = None
    """Set if `body` is only the beginning: such a letter cannot be replayed."""
    replays: int = 0
    headers: dict[str, HeaderValue] = field(default_factory=dict)


class DeadLetters(Protocol):
    """The dead-letter queue, for looking and replaying. Looking changes nothing."""

    def list(self, limit: int) -> Sequence[DeadLetter]:
        """The oldest ones first."""

    def count(self) -> int:
        """How many there are."""

    def replay(self, choose: Callable[[DeadLetter], Outgoing | None], limit: int) -> Sequence[DeadLetter]:
        """Publish again what `choose` gives a message for, with a confirm, and only then remove it.

        A crash in between leaves the letter in place: it may then be published twice, under its own request id.
        Returns those that were replayed.
        """


class Transport(Protocol):
    """A queue system: how to get at its consuming and its publishing side."""

    def declare(self, partitions: int) -> None:
        """Make exchanges, queues and bindings what they must be. Idempotent; raises `TransportError`."""

    def consumer(self, sink: Sink, *, name: str, prefetch: int) -> Consumer:
        """A consumer that tells the sink."""

    def served(self, partitions: int) -> frozenset[int]:
        """The partitions whose queue serves a consumer, by the queue's own word; whoever waits behind it does not
        count. Raises `TransportError`."""

    def unbound(self, partitions: int) -> frozenset[int]:
        """The slots whose requests no queue takes. Raises `TransportError`."""

    def publisher(self, *, name: str) -> Publisher:
        """A publisher with a connection of its own."""

    def dead_letters(self) -> DeadLetters:
        """The dead-letter queue."""
