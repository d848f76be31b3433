"""The consuming side of a process, as its port promises it: a channel's one life per line, and another after it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from holdgate_workers.app.ports import Delivery
from holdgate_workers.roles.gate.delivery_buffer import Intake

from .broker import Channel
from .world import MS

if TYPE_CHECKING:
    from .gate_worker import GateWorker


class Line:
    """Our wish for one partition, and the channel that there is for it."""

    __slots__ = ("channel", "leaving", "partition", "subscribed", "wanted")

    def __init__(self, partition: int) -> None:
        self.partition = partition
        self.wanted = True
        self.channel: Channel | None = None
        self.leaving = False
        self.subscribed = False


class Consumer:
    """Stands in lines for a gate worker and tells its intake. Its own thread lags a little behind its owner's."""

    def __init__(self, process: GateWorker, intake: Intake) -> None:
        self._process = process
        self._broker = process.site.broker
        self._intake = intake
        self._lines: dict[int, Line] = {}
        self._called_at = 0

    def subscribe(self, partition: int) -> None:
        """Want this partition."""
        self._call(self._want, partition)

    def leave(self, channel_id: int) -> None:
        """Stop wanting its partition, if it is there still."""
        self._call(self._depart, channel_id)

    def standing(self) -> dict[int, int | None]:
        """The wanted partitions, each with the channel that stands in line."""
        return {
            partition: line.channel.id if line.channel and line.subscribed and not line.leaving else None
            for partition, line in self._lines.items()
            if line.wanted
        }

    def ack(self, channel_id: int, tag: int) -> None:
        """Acknowledge up to the tag; a no-op on a channel known to be gone."""
        for line in self._lines.values():
            if line.channel is not None and line.channel.id == channel_id:
                if not line.wanted:
                    self._process.world.sometimes("acknowledged while leaving")
                self._process.send(self._broker.ack, line.channel, tag)

    def close(self) -> None:
        """Leave everything."""
        for line in list(self._lines.values()):
            self._unwant(line)

    def arrive(self, channel: Channel, deliveries: Sequence[Delivery]) -> None:
        """Messages came over the wire."""
        line = self._lines.get(channel.partition)
        if line is None or line.channel is not channel or line.leaving:
            return
        for delivery in deliveries:
            self._intake.delivered(delivery)
        self._process.wake()

    def cut(self, channel: Channel) -> None:
        """The channel is gone."""
        line = self._lines.get(channel.partition)
        if line is None or line.channel is not channel:
            return
        line.channel = None
        self._process.world.note("lost", self._process.name, channel.partition)
        if line.subscribed:
            self._intake.lost(channel.partition, channel.id)
            self._process.wake()
            self._process.beat_soon()
        line.leaving = line.subscribed = False
        if line.wanted:
            self._process.later(self._process.world.between(20 * MS, 400 * MS), self._stand, line)
        else:
            del self._lines[channel.partition]

    def _call(self, action: Callable[[int], None], partition: int) -> None:
        """Have the I/O thread do something; it does things in the order asked."""
        now = self._process.world.now
        self._called_at = max(self._called_at, now + self._process.world.choice((0, 0, MS, 20 * MS)))
        self._process.later(self._called_at - now, action, partition)

    def _want(self, partition: int) -> None:
        line = self._lines.get(partition)
        if line is None:
            line = self._lines[partition] = Line(partition)
            self._process.later(2 * self._process.delay(), self._stand, line)
        line.wanted = True

    def _depart(self, channel_id: int) -> None:
        for line in self._lines.values():
            if line.channel is not None and line.channel.id == channel_id and not line.leaving:
                self._unwant(line)
                return
        self._process.world.sometimes("a leave came too late for the channel that it meant")

    def _unwant(self, line: Line) -> None:
        line.wanted = False
        if line.channel is None:
            del self._lines[line.partition]
        elif not line.leaving:
            # The connection is dropped once the broker has settled what was acknowledged before.
            line.leaving = True
            self._process.later(2 * self._process.delay(), self._drop, line.channel)

    def _drop(self, channel: Channel) -> None:
        self._process.send(self._broker.close, channel, self._process.delay())

    def _stand(self, line: Line) -> None:
        if self._lines.get(line.partition) is not line or line.channel is not None:
            return
        line.channel = self._broker.stand(line.partition, self._process)
        if line.channel is None:
            self._process.later(self._process.world.between(50 * MS, 300 * MS), self._stand, line)
        else:
            self._process.later(self._process.delay(), self._stands, line, line.channel)

    def _stands(self, line: Line, channel: Channel) -> None:
        if line.channel is channel and not line.leaving:
            line.subscribed = True
            self._process.world.note("in line", self._process.name, line.partition)
            self._intake.subscribed(line.partition, channel.id)
            self._process.beat_soon()
