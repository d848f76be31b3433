"""The broker: partition queues with a line of consumers each, of whom the first is served.

What is unacknowledged when a channel goes returns to the front in its order (a seed may choose that it does not),
marked as redelivered. A channel may be gone here long before its owner hears of it.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from typing import Protocol

from holdgate_schema.envelope import Properties
from holdgate_schema.routing import partition_of, routing_key
from holdgate_schema.topology import DEAD_EXCHANGE, EVENTS_EXCHANGE, REPLY_QUEUE_PREFIX, REQUESTS_EXCHANGE
from holdgate_workers.app.ports import Delivery, Outgoing

from .swarm import Options
from .world import MS, Violation, World


class Owner(Protocol):
    """A process at the other end of a channel."""

    def arrive(self, channel: Channel, deliveries: Sequence[Delivery]) -> None:
        """Messages have reached it."""

    def cut(self, channel: Channel) -> None:
        """It has learnt that the channel is gone."""


class Message:
    """One message in a queue."""

    __slots__ = ("body", "deliveries", "properties", "routing_key")

    def __init__(self, body: bytes, properties: Properties, key: str) -> None:
        self.body = body
        self.properties = properties
        self.routing_key = key
        self.deliveries = 0


class Channel:
    """One consumer's one life on one partition."""

    __slots__ = ("arrives_at", "cancelled", "id", "open", "owner", "partition", "tag", "unacked")

    def __init__(self, number: int, partition: int, owner: Owner) -> None:
        self.id = number
        self.partition = partition
        self.owner = owner
        self.open = True
        self.cancelled = False
        self.tag = 0
        self.unacked: dict[int, Message] = {}
        self.arrives_at = 0


class Broker:
    """Queues, lines, bindings and alarms."""

    def __init__(self, world: World, options: Options) -> None:
        self.world = world
        self.options = options
        self.queues: list[deque[Message]] = [deque() for _ in range(options.partitions)]
        self.lines: list[list[Channel]] = [[] for _ in range(options.partitions)]
        self.bindings: dict[str, int] = {}
        self.dead: dict[str, int] = {}
        """Request id -> how often it was buried."""
        self.down = False
        self.alarm_until = 0
        self.rerouted: dict[str, bool] = {}
        self.on_delivered: Callable[[Message], None] = lambda message: None
        self.on_asked: Callable[[Outgoing], None] = lambda message: None
        self.on_settled: Callable[[Message], None] = lambda message: None
        self.on_reply: Callable[[str, Outgoing], None] = lambda to, message: None
        self.on_event: Callable[[Outgoing], None] = lambda message: None
        self._channels = 0

    # --- publishing ---------------------------------------------------------------------------------------------

    def accept(self, message: Outgoing) -> None:
        """Take a message in; a confirm may follow."""
        if message.exchange == REQUESTS_EXCHANGE:
            self.on_asked(message)
            partition = self.bindings[message.routing_key]
            self.queues[partition].append(Message(message.body, message.properties, message.routing_key))
            self._pump(partition)
        elif message.exchange == DEAD_EXCHANGE:
            request_id = message.properties.message_id or "?"
            self.dead[request_id] = self.dead.get(request_id, 0) + 1
            self.world.note("dead", request_id)
        elif message.exchange == EVENTS_EXCHANGE:
            self.on_event(message)
        elif message.exchange == "" and message.routing_key.startswith(REPLY_QUEUE_PREFIX):
            self.on_reply(message.routing_key.removeprefix(REPLY_QUEUE_PREFIX), message)
        else:
            raise Violation(f"published to nowhere: {message.exchange!r} {message.routing_key!r}")

    def bind(self, occurrence_id: str, slot: int) -> None:
        """Bind the occurrence's slot as production does."""
        self.bindings[routing_key(occurrence_id)] = partition_of(slot, self.options.partitions)

    def reroute(self, occurrence_id: str, partition: int) -> None:
        """Bind it elsewhere; what is in the old queue stays there."""
        self.bindings[routing_key(occurrence_id)] = partition
        self.rerouted[occurrence_id] = True
        self.world.note("reroute", occurrence_id, partition)

    # --- consuming ----------------------------------------------------------------------------------------------

    def stand(self, partition: int, owner: Owner) -> Channel | None:
        """A new channel at the end of the partition's line; None if the broker is down."""
        if self.down:
            return None
        self._channels += 1
        channel = Channel(self._channels, partition, owner)
        self.lines[partition].append(channel)
        self.world.after(0, self._pump, partition)
        return channel

    def ack(self, channel: Channel, tag: int) -> None:
        """Settle everything up to the tag."""
        if not channel.open:
            self.world.sometimes("acknowledged on a dead channel")
            return
        unacked = channel.unacked
        while unacked and next(iter(unacked)) <= tag:
            self.on_settled(unacked.pop(next(iter(unacked))))
        self._pump(channel.partition)

    def cancel(self, channel: Channel) -> None:
        """Serve the next in line, and leave with this one what it has. Nothing of ours asks for that."""
        channel.cancelled = True
        self._pump(channel.partition)

    def close(self, channel: Channel, told_after: int) -> None:
        """The channel ends; its owner learns of it later."""
        if not channel.open:
            return
        channel.open = False
        line = self.lines[channel.partition]
        was_head = bool(line) and line[0] is channel
        line.remove(channel)
        self._requeue(channel)
        self.world.after(told_after, channel.owner.cut, channel)
        if was_head and line:
            self.world.sometimes("the next in line took over")
        self.world.after(self.world.between(0, 2 * MS), self._pump, channel.partition)

    def drop(self, owner: Owner, told_after: int) -> None:
        """All channels of a process end."""
        for channel in self.channels(owner):
            self.close(channel, told_after)

    def channels(self, owner: Owner) -> list[Channel]:
        """The open channels of a process."""
        return [channel for line in self.lines for channel in line if channel.owner is owner]

    def restart(self, pause: int) -> None:
        """Everybody is cut off; queues are durable."""
        self.down = True
        self.world.note("broker down")
        for line in self.lines:
            for channel in list(line):
                self.close(channel, self.world.between(0, 20 * MS))
        self.world.after(pause, self._up)

    @property
    def is_empty(self) -> bool:
        """Whether nothing waits and nothing is unacknowledged."""
        return not any(self.queues) and not any(channel.unacked for line in self.lines for channel in line)

    def _up(self) -> None:
        self.down = False
        self.world.note("broker up")

    def _requeue(self, channel: Channel) -> None:
        messages = list(channel.unacked.values())
        channel.unacked = {}
        if not messages:
            return
        self.world.note("requeue", channel.partition, len(messages))
        if self.options.reorder and self.world.fault(0.5):
            self.world.random.shuffle(messages)
            self.world.sometimes("requeued out of order")
        self.queues[channel.partition].extendleft(reversed(messages))

    def _pump(self, partition: int) -> None:
        """Give the head of the line what it may have."""
        queue = self.queues[partition]
        if not queue:
            return
        channel = next((channel for channel in self.lines[partition] if not channel.cancelled), None)
        if channel is None:
            return
        deliveries = []
        while queue and len(channel.unacked) < self.options.prefetch:
            message = queue.popleft()
            channel.tag += 1
            channel.unacked[channel.tag] = message
            again = message.deliveries > 0
            if again:
                self.world.sometimes("redelivered")
            message.deliveries += 1
            self.on_delivered(message)
            deliveries.append(
                Delivery(
                    partition,
                    channel.id,
                    channel.tag,
                    message.body,
                    message.properties,
                    again,
                    message.routing_key,
                )
            )
        if deliveries:
            now = self.world.now
            channel.arrives_at = max(channel.arrives_at, now + self.world.between(100, self.options.latency))
            self.world.after(channel.arrives_at - now, channel.owner.arrive, channel, deliveries)


class Publisher:
    """One process's way to publish: in order, with confirms that may be lost."""

    def __init__(self, broker: Broker, timeout: int) -> None:
        self._broker = broker
        self._world = broker.world
        self._timeout = timeout
        self._arrives_at = 0
        self._sent: deque[_Group] = deque()

    def publish(self, messages: Sequence[Outgoing], told: Callable[[bool], None] | None = None) -> None:
        """Send a group; `told` hears whether all of it was confirmed in time."""
        now = self._world.now
        self._arrives_at = max(self._arrives_at, now + self._world.between(100, self._broker.options.latency))
        self._sent.append((messages, told, now))
        self._world.after(self._arrives_at - now, self._arrive)

    def _arrive(self) -> None:
        """The next group reaches the broker."""
        broker, world = self._broker, self._world
        if broker.alarm_until > world.now:
            world.sometimes("publishers were blocked")
            self._arrives_at = max(self._arrives_at, broker.alarm_until)
            world.after(broker.alarm_until - world.now, self._arrive)
            return
        messages, told, sent_at = self._sent.popleft()
        options = broker.options
        confirmed = True
        for message in messages:
            if broker.down or world.fault(options.p_lost_publish):
                confirmed = False
                break
            broker.accept(message)
            confirmed = confirmed and not world.fault(options.p_lost_confirm)
        if told is not None:
            in_time = world.now - sent_at < self._timeout
            delay = world.between(100, options.latency) if confirmed else world.between(MS, self._timeout)
            world.after(delay, told, confirmed and in_time)


_Group = tuple[Sequence[Outgoing], Callable[[bool], None] | None, int]
