"""The consuming side of the embedded queue: one thread and one connection for all partitions of a process.

The session lock of a queue makes one process its active consumer; it goes with the connection, so a crash frees
it at once. Each life on a partition has a channel number from a sequence. A fetched row is marked with it, and
what is fetched next is every row, lowest id first, without that mark: a row that was committed late under a lower
id is found like any other, and after a takeover everything is found again.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field
from time import monotonic
from typing import TypeAlias

from holdgate_schema import topology
from holdgate_schema.envelope import BODY_BYTES_KEPT, BODY_BYTES_MAX
from holdgate_workers.app.installation import Installation
from holdgate_workers.app.ports import ChannelId, Delivery, Oversized, Sink

from .routes import unpack
from .session import Session, SessionThread, notify_channel, translated
from .tables import LOCK_SPACE, sweep_reply_queues

log = logging.getLogger(__name__)

PREFETCH_DEFAULT = 1_000
LOCK_POLL_SECONDS = 0.15
IDLE_POLL_SECONDS = 0.25
"""How late a message is at worst if its NOTIFY is lost."""
SWEEP_SECONDS = 30.0

_FETCH = """
    UPDATE holdgate_queue.messages m SET deliveries = m.deliveries + 1, channel = next.channel
    FROM (
        SELECT want.channel, waiting.id
        FROM unnest(%s::integer[], %s::bigint[], %s::integer[]) AS want (queue, channel, room)
        CROSS JOIN LATERAL (
            SELECT id FROM holdgate_queue.messages
            WHERE queue = want.queue AND channel IS DISTINCT FROM want.channel ORDER BY id LIMIT want.room
        ) AS waiting
    ) AS next
    WHERE m.id = next.id
    RETURNING m.id, m.channel, m.deliveries, m.routing_key, m.properties,
        CASE WHEN octet_length(m.body) <= %s THEN m.body ELSE substr(m.body, 1, %s) END,
        octet_length(m.body), CASE WHEN octet_length(m.body) > %s THEN encode(sha256(m.body), 'hex') END"""

_BURY = """
    WITH poison AS (
        DELETE FROM holdgate_queue.messages WHERE queue = ANY(%s) AND deliveries > %s
        RETURNING id, queue, routing_key, properties, body
    )
    INSERT INTO holdgate_queue.messages (queue, routing_key, properties, body, dead_reason, dead_from, dead_at)
    SELECT dead.id, p.routing_key, p.properties, p.body, 'delivery_limit', p.queue, clock_timestamp()
    FROM poison p, holdgate_queue.queues dead WHERE dead.name = %s ORDER BY p.id"""

_REJECT = """
    WITH rejected AS (
        DELETE FROM holdgate_queue.messages WHERE id = ANY(%s::bigint[])
        RETURNING id, queue, routing_key, properties, body
    )
    INSERT INTO holdgate_queue.messages (queue, routing_key, properties, body, dead_reason, dead_from, dead_at)
    SELECT dead.id, r.routing_key, r.properties, r.body, 'rejected', r.queue, clock_timestamp()
    FROM rejected r, holdgate_queue.queues dead WHERE dead.name = %s ORDER BY r.id"""

_REMOVE = "DELETE FROM holdgate_queue.messages WHERE id = ANY(%s::bigint[])"
_LOCK = "SELECT queue FROM unnest(%s::integer[]) AS wanted (queue) WHERE pg_try_advisory_lock(%s, queue)"
_UNLOCK = "SELECT pg_advisory_unlock(%s, queue) FROM unnest(%s::integer[]) AS freed (queue)"
_NOTIFY = "SELECT pg_notify(name, '') FROM unnest(%s::text[]) AS freed (name)"

_Row: TypeAlias = tuple[int, ChannelId, int, str, bytes, bytes, int, str | None]


@dataclass(slots=True)
class _Channel:
    """One life on one partition."""

    id: ChannelId
    partition: int
    queue: int
    active: bool = False
    hungry: bool = False
    leaving: bool = False
    last_tag: int = 0
    unacknowledged: deque[tuple[int, int]] = field(default_factory=deque)
    """(tag, message id) in the order of delivery."""


class EmbeddedConsumer(SessionThread):
    """Implements `Consumer` on the tables of the embedded queue. `prefetch` is per partition."""

    def __init__(
        self,
        url: str,
        sink: Sink,
        *,
        name: str,
        prefetch: int = PREFETCH_DEFAULT,
        installation: Installation | None = None,
    ) -> None:
        super().__init__(url, f"{name}.consume", installation)
        self._sink = sink
        self._prefetch = prefetch
        self._commands: deque[tuple[str, int, int]] = deque()
        self._wanted: set[int] = set()
        self._channels: dict[ChannelId, _Channel] = {}
        self._acknowledged: list[int] = []
        self._rejected: list[int] = []
        self._next_lock = self._next_poll = self._next_sweep = 0.0
        self.start()

    def subscribe(self, partition: int) -> None:
        self._tell("subscribe", partition)

    def leave(self, channel: ChannelId) -> None:
        self._tell("leave", channel)

    def ack(self, channel: ChannelId, tag: int) -> None:
        self._tell("ack", channel, tag)

    def standing(self) -> dict[int, ChannelId | None]:
        channels = self._channels.copy().values()
        there = {channel.partition: channel.id for channel in channels if not channel.leaving}
        return {partition: there.get(partition) for partition in self._wanted.copy()}

    def reject(self, channel: ChannelId, tag: int) -> None:
        self._tell("reject", channel, tag)

    def close(self) -> None:
        self.stop()

    def _tell(self, what: str, subject: int, tag: int = 0) -> None:
        self._commands.append((what, subject, tag))
        self.wake.set()

    # --- on the thread ------------------------------------------------------------------------------------------

    def opened(self, session: Session) -> None:
        # Nothing that the consumer writes must survive a crash of the server: at worst it is delivered again.
        with translated():
            session.connection.execute("SET synchronous_commit = off")

    def dropped(self, _detail: str) -> None:
        self._obey()
        self._acknowledged.clear()
        self._rejected.clear()
        for channel in list(self._channels.values()):
            self._lose(channel)

    def turn(self, session: Session, touched: set[int]) -> float | None:
        self._obey()
        now = monotonic()
        if self.stopping or any(channel.leaving for channel in self._channels.values()):
            self._depart(session)
        if self.stopping:
            return None
        self._stand_in_line(session)
        self._try_locks(session, now, touched)
        self._move(session, now, touched)
        self._sweep(session, now)
        return self._pause()

    def _obey(self) -> None:
        """Take the commands in the order given. A partition that is left and wanted again gets a new channel."""
        while self._commands:
            what, subject, tag = self._commands.popleft()
            if what == "ack":
                self._acknowledge(subject, tag)
            elif what == "reject":
                self._reject(subject, tag)
            elif what == "subscribe":
                self._wanted.add(subject)
            else:
                self._depart_from(subject)

    def _depart_from(self, channel_id: ChannelId) -> None:
        channel = self._channels.get(channel_id)
        if channel is not None and not channel.leaving:  # else that stay in the line is over
            self._wanted.discard(channel.partition)
            channel.leaving = True

    def _reject(self, channel_id: ChannelId, tag: int) -> None:
        """It stays among the unacknowledged: removing it once more does no harm."""
        channel = self._channels.get(channel_id)
        if channel is not None:
            self._rejected += [message for number, message in channel.unacknowledged if number == tag]

    def _acknowledge(self, channel_id: ChannelId, tag: int) -> None:
        channel = self._channels.get(channel_id)
        if channel is None:
            return
        waiting = channel.unacknowledged
        if waiting and waiting[0][0] <= tag and len(waiting) >= self._prefetch:
            channel.hungry = True  # it stopped because it was full
        while waiting and waiting[0][0] <= tag:
            self._acknowledged.append(waiting.popleft()[1])

    def _stand_in_line(self, session: Session) -> None:
        present = {channel.partition for channel in self._channels.values()}
        missing = {topology.partition_queue(partition): partition for partition in self._wanted - present}
        if not missing:
            return
        with translated():
            found = session.connection.execute(
                "SELECT name, id, nextval('holdgate_queue.channels') FROM holdgate_queue.queues"
                " WHERE name = ANY(%s)",
                (list(missing),),
            ).fetchall()
        session.listen([-queue for _, queue, _ in found])
        for name, queue, number in found:
            channel = _Channel(number, missing[name], queue)
            self._channels[channel.id] = channel
            self._next_lock = 0.0
            self._sink.subscribed(channel.partition, channel.id)

    def _try_locks(self, session: Session, now: float, touched: set[int]) -> None:
        waiting = {channel.queue: channel for channel in self._channels.values() if not channel.active}
        if not waiting or (now < self._next_lock and touched.isdisjoint(-queue for queue in waiting)):
            return
        self._next_lock = now + LOCK_POLL_SECONDS
        with translated():
            won = [queue for (queue,) in session.connection.execute(_LOCK, (list(waiting), LOCK_SPACE))]
        if not won:
            return
        session.listen(won)
        session.unlisten([-queue for queue in won])
        with translated():
            session.connection.execute(_BURY, (won, topology.DELIVERY_LIMIT, topology.DEAD_QUEUE))
        for queue in won:
            waiting[queue].active = waiting[queue].hungry = True

    def _move(self, session: Session, now: float, touched: set[int]) -> None:
        """Remove what was acknowledged and fetch what there is room for, in one round trip."""
        hungry = self._hungry(now, touched)
        both = hungry and self._acknowledged
        rows: Sequence[_Row] = ()
        with translated(), session.connection.pipeline() if both else nullcontext():
            self._remove(session)
            if hungry:
                rooms = [self._prefetch - len(channel.unacknowledged) for channel in hungry]
                wants = ([channel.queue for channel in hungry], [channel.id for channel in hungry], rooms)
                limits = (BODY_BYTES_MAX, BODY_BYTES_KEPT, BODY_BYTES_MAX)
                rows = session.connection.execute(_FETCH, (*wants, *limits)).fetchall()
        self._acknowledged.clear()
        self._deliver(hungry, rows)

    def _hungry(self, now: float, touched: set[int]) -> list[_Channel]:
        """The channels to fetch for: those with room whose queue was touched, or all when the poll is due."""
        due = now >= self._next_poll
        if due:
            self._next_poll = now + IDLE_POLL_SECONDS
        return [
            channel
            for channel in self._channels.values()
            if channel.active
            and len(channel.unacknowledged) < self._prefetch
            and (due or channel.hungry or channel.queue in touched)
        ]

    def _remove(self, session: Session) -> None:
        if self._rejected:
            session.connection.execute(_REJECT, (self._rejected, topology.DEAD_QUEUE))
            self._rejected.clear()
        if self._acknowledged:
            session.connection.execute(_REMOVE, (self._acknowledged,))

    def _deliver(self, fetched: list[_Channel], rows: Sequence[_Row]) -> None:
        for channel in fetched:
            channel.hungry = False
        for message, number, deliveries, routing_key, properties, body, size, sha256 in sorted(rows):
            channel = self._channels[number]
            channel.last_tag += 1
            channel.unacknowledged.append((channel.last_tag, message))
            self._sink.delivered(
                Delivery(
                    partition=channel.partition,
                    channel=channel.id,
                    tag=channel.last_tag,
                    body=body,
                    properties=unpack(properties),
                    redelivered=deliveries > 1,
                    routing_key=routing_key,
                    oversized=None if sha256 is None else Oversized(size, sha256),
                )
            )

    def _depart(self, session: Session) -> None:
        """Flush the acknowledgements, free what is left, tell those who wait for it."""
        leaving = [channel for channel in self._channels.values() if channel.leaving or self.stopping]
        locked = [channel.queue for channel in leaving if channel.active]
        with translated():
            self._remove(session)
            self._acknowledged.clear()
            session.connection.execute(_UNLOCK, (LOCK_SPACE, locked))
            session.connection.execute(_NOTIFY, ([notify_channel(-queue) for queue in locked],))
        session.unlisten([channel.queue if channel.active else -channel.queue for channel in leaving])
        for channel in leaving:
            self._lose(channel)

    def _lose(self, channel: _Channel) -> None:
        del self._channels[channel.id]
        self._sink.lost(channel.partition, channel.id)

    def _sweep(self, session: Session, now: float) -> None:
        if now >= self._next_sweep:
            self._next_sweep = now + SWEEP_SECONDS
            sweep_reply_queues(session.connection)

    def _pause(self) -> float:
        channels = self._channels.values()
        if any(channel.hungry for channel in channels):
            return 0.0
        due = [self._next_sweep]
        if any(channel.active for channel in channels):
            due.append(self._next_poll)
        if any(not channel.active for channel in channels):
            due.append(self._next_lock)
        if len(channels) < len(self._wanted):
            due.append(monotonic() + IDLE_POLL_SECONDS)
        return max(0.0, min(due) - monotonic())
