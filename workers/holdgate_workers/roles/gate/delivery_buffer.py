"""Between the transport's thread and the engine's: what was delivered and not yet taken into a batch."""

from __future__ import annotations

import threading
import time
from collections import deque

from holdgate_workers.app.gate.incoming import Incoming, read
from holdgate_workers.app.partitions.membership import Change
from holdgate_workers.app.ports import ChannelId, Delivery, Place


class Intake:
    """A `Sink` that decodes on the transport's thread, so that messages are read while the last batch commits."""

    def __init__(self) -> None:
        self._queue: deque[Incoming] = deque()
        self._live: dict[ChannelId, int] = {}
        """Channel -> its partition."""
        self._leaving: set[ChannelId] = set()
        self._served: set[ChannelId] = set()
        self._arrived = threading.Event()
        self._changes: deque[tuple[Change, Place]] = deque()
        self.changed = threading.Event()
        """Set when a channel was won, served or lost: the membership should tell the others."""

    def subscribed(self, partition: int, channel: ChannelId) -> None:
        """The channel stands in the queue's line."""
        self._live[channel] = partition
        self._change("joined", Place(partition, channel))

    def delivered(self, delivery: Delivery) -> None:
        """A message arrived."""
        channel = delivery.channel
        self._live[channel] = delivery.partition
        if channel not in self._served:
            self._served.add(channel)
            self._change("served", Place(delivery.partition, channel))
        incoming = read(delivery)
        incoming.received_at = time.monotonic()
        self._queue.append(incoming)
        if not self._arrived.is_set():
            self._arrived.set()

    def lost(self, partition: int, channel: ChannelId) -> None:
        """The channel is gone, and with it whatever of it is still here."""
        self._live.pop(channel, None)
        self._leaving.discard(channel)
        self._served.discard(channel)
        self._change("lost", Place(partition, channel))
        self._arrived.set()

    def take(self, messages_max: int, timeout_seconds: float) -> list[Incoming]:
        """The next batch: what is there, at most so many; waits if there is nothing. May be empty."""
        if not self._queue:
            self._arrived.clear()
            if not self._queue:
                self._arrived.wait(timeout_seconds)
        batch: list[Incoming] = []
        queue, live, leaving = self._queue, self._live, self._leaving
        while queue and len(batch) < messages_max:
            incoming = queue.popleft()
            channel = incoming.delivery.channel
            if channel not in leaving and channel in live:  # `lost` forgets it in the other order
                batch.append(incoming)
        return batch

    def drop(self, channel: ChannelId) -> bool:
        """Leave the channel's messages to whoever comes next, those that still arrive on it included; False if the
        channel is gone already, and its messages with it.

        To work one of those would be to decide it before all that was dropped, and to acknowledge it would be to
        acknowledge them.
        """
        if channel not in self._live:
            return False
        self._leaving.add(channel)
        if channel not in self._live:  # `lost` came in between, and forgot it before it was here
            self._leaving.discard(channel)
            return False
        return True

    def changes(self) -> list[tuple[Change, Place]]:
        """What was joined, served and lost since the last call, in order."""
        self.changed.clear()
        changes = []
        while self._changes:
            changes.append(self._changes.popleft())
        return changes

    def _change(self, change: Change, place: Place) -> None:
        self._changes.append((change, place))
        self.changed.set()

    def wake(self) -> None:
        """Let a waiting `take` return."""
        self._arrived.set()

    def __len__(self) -> int:
        return len(self._queue)
