"""The client's wire in embedded mode: requests into the tables, answers out of a reply queue of its own."""

from __future__ import annotations

import logging
import secrets
import threading
from collections import deque
from collections.abc import Sequence
from time import monotonic

from holdgate_producer.core.link import LinkEvents, Request
from holdgate_schema import topology
from holdgate_schema.envelope import Properties
from holdgate_schema.routing import routing_key
from holdgate_workers.app.ports import Outgoing, TransportError

from .routes import Posting, Routes, unpack
from .session import Address, Session, SessionThread, broken, translated
from .tables import changing, drop_queues, sweep_reply_queues

log = logging.getLogger(__name__)

HEARTBEAT_SECONDS = 15.0
IDLE_POLL_SECONDS = 0.25
"""How late an answer is at worst if its NOTIFY is lost."""
TRANSACTION_MAX = 1_000

_TAKE = """DELETE FROM holdgate_queue.messages WHERE queue = %s RETURNING id, properties, body"""
_BEAT = """
    INSERT INTO holdgate_queue.queues (name, heartbeat_at) VALUES (%s, clock_timestamp())
    ON CONFLICT (name) DO UPDATE SET heartbeat_at = excluded.heartbeat_at
    RETURNING id"""


class EmbeddedLink:
    """Implements the client's `Link` on the tables of the embedded queue, with one connection and one thread.

    `app_id` names the program that sends, as on RabbitMQ.
    """

    def __init__(
        self, address: str | Address, *, name: str = "holdgate-client", app_id: str | None = None
    ) -> None:
        self._address = address
        self._name = name
        self._app_id = app_id
        self._given: deque[Request] = deque()
        self._thread: _LinkThread | None = None
        self._closing = threading.Lock()

    def open(self, events: LinkEvents) -> None:
        self._thread = _LinkThread(self._address, self._name, self._app_id, events, self._given)
        self._thread.start()

    def send(self, requests: Sequence[Request]) -> None:
        self._given.extend(requests)
        if self._thread is not None:
            self._thread.wake.set()

    def close(self) -> None:
        with self._closing:
            if self._thread is not None:
                self._thread.stop()


class _LinkThread(SessionThread):
    def __init__(
        self, address: str | Address, name: str, app_id: str | None, events: LinkEvents, given: deque[Request]
    ) -> None:
        super().__init__(address, f"{name}.link")
        self._app_id = app_id
        self._events = events
        self._given = given
        self._routes = Routes()
        self._reply_address = f"{topology.REPLY_QUEUE_PREFIX}{secrets.token_hex(12)}"
        self._queue = 0
        self._next_beat = self._next_poll = 0.0

    def opened(self, session: Session) -> None:
        # To lose the removal of an answer with the server only brings it twice; a posting says for itself what
        # it needs.
        with translated():
            session.connection.execute("SET synchronous_commit = off")
        self._beat(session)
        self._events.up(self._reply_address)

    def dropped(self, detail: str) -> None:
        self._events.down(detail)
        self._given.clear()

    def turn(self, session: Session, touched: set[int]) -> float | None:
        if self.stopping:
            self._remove_queue(session)
            return None
        now = monotonic()
        if now >= self._next_beat:
            self._beat(session)
            sweep_reply_queues(session.connection)
        if self._queue in touched or now >= self._next_poll:
            self._take_answers(session)
            self._next_poll = now + IDLE_POLL_SECONDS
        self._send(session)
        return 0.0 if self._given else max(0.0, min(self._next_beat, self._next_poll) - monotonic())

    def _beat(self, session: Session) -> None:
        """Say that the reply queue has an owner; make it if it is not there, or no more."""
        with translated():
            row = session.connection.execute(_BEAT, (self._reply_address,)).fetchone()
        if row is None:
            raise TransportError("the reply queue could not be made")
        self._queue = row[0]
        session.listen([self._queue])
        self._next_beat = monotonic() + HEARTBEAT_SECONDS

    def _remove_queue(self, session: Session) -> None:
        with translated(), changing(session.connection):
            drop_queues(session.connection, [self._queue])

    def _take_answers(self, session: Session) -> None:
        with translated():
            rows = session.connection.execute(_TAKE, (self._queue,)).fetchall()
        for _, raw, body in sorted(rows):
            properties = unpack(raw)
            self._events.answered(properties.correlation_id or "", body, properties.type)

    def _send(self, session: Session) -> None:
        requests = [self._given.popleft() for _ in range(min(len(self._given), TRANSACTION_MAX))]
        if not requests:
            return
        posting = Posting([self._outgoing(request) for request in requests])
        try:
            posting.commit(session.connection, self._routes)
        except TransportError as exc:
            if broken(session.connection):
                raise
            for request in requests:
                self._events.nacked(request.request_id, str(exc))
            return
        for place, request in enumerate(requests):
            problem = posting.problems.get(place)
            if problem is None:
                self._events.confirmed(request.request_id)
            elif problem.kind == "unroutable":
                self._events.unroutable(request.request_id, problem.detail)
            else:
                self._events.nacked(request.request_id, problem.detail)

    def _outgoing(self, request: Request) -> Outgoing:
        properties = Properties(
            message_id=request.request_id,
            correlation_id=request.request_id,
            reply_to=self._reply_address,
            type=request.type,
            app_id=self._app_id,
            headers={"traceparent": request.traceparent} if request.traceparent else {},
        )
        return Outgoing(
            exchange=topology.REQUESTS_EXCHANGE,
            routing_key=routing_key(request.occurrence_id),
            body=request.body,
            properties=properties,
            mandatory=True,
        )
