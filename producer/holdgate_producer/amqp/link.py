"""The link over RabbitMQ: one thread with pika's loop, one connection at a time, replaced whenever it is in doubt.

One connection is enough for both directions. While the broker has it blocked it reads nothing from us, but it
still writes answers to us, and consuming them without acknowledgements asks nothing of it.
"""

from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import Sequence
from random import SystemRandom

from pika.adapters.select_connection import IOLoop

from holdgate_producer.client.config import ClientConfig
from holdgate_producer.core.link import LinkEvents, Request

from .session import AmqpSession

CLOSE_SECONDS = 5.0
STABLE_SECONDS = 30.0
PUBLISH_BATCH = 256
"""So many are published before the loop reads again."""

logger = logging.getLogger("holdgate_producer")


class AmqpLink:
    """A `Link` to the broker of the configuration."""

    def __init__(self, config: ClientConfig) -> None:
        self._config = config
        self._random = SystemRandom()
        self._loop = IOLoop()
        self._thread = threading.Thread(target=self._run, name="holdgate-amqp", daemon=True)
        self._events: LinkEvents | None = None
        self._session: AmqpSession | None = None
        self._outbox: deque[Request] = deque()
        self._flush_is_due = False
        self._attempts = 0
        self._closing = False
        self._opened = False
        self._state = threading.Lock()

    # --- Link ---------------------------------------------------------------------------------------------------

    def open(self, events: LinkEvents) -> None:
        """Start the thread and the first connection."""
        self._events = events
        self._opened = True
        self._loop.add_callback_threadsafe(self._connect)
        self._thread.start()

    def send(self, requests: Sequence[Request]) -> None:
        """Queue for the thread and wake it, once for all that is queued until it comes to it."""
        self._outbox.extend(requests)
        if not self._flush_is_due:
            self._flush_is_due = True
            self._loop.add_callback_threadsafe(self._flush)

    def close(self) -> None:
        """Hang up politely, and after `CLOSE_SECONDS` without manners."""
        with self._state:
            first, self._closing = not self._closing, True
        if not self._opened:
            if first:
                self._loop.close()
            return
        if first:
            self._loop.add_callback_threadsafe(self._hang_up)
        if threading.current_thread() is not self._thread:
            self._thread.join()

    # --- the thread ---------------------------------------------------------------------------------------------

    def _run(self) -> None:
        while not self._turn_loop():
            logger.warning("the connection thread goes on with a new connection")
        self._loop.close()

    def _turn_loop(self) -> bool:
        """Run the loop until it is stopped; false if it fell over instead.

        Nothing here should raise, but without this thread every request would time out until the process is
        started again. While closing, an error is expected: pika 1.4 trips over its own assertion when a connection
        is closed that is still opening.
        """
        try:
            self._loop.start()
        except Exception as exc:
            session = self._session
            if self._closing and session is None:
                return True
            logger.exception("an accident on the connection thread")
            self._flush_is_due = False
            if session is not None:
                session.drop(f"{type(exc).__name__}: {exc}")
            return False
        return True

    def _connect(self) -> None:
        if self._closing:
            self._loop.stop()
            return
        self._session = AmqpSession(
            self._config, self._loop, on_ready=self._ready, on_unblocked=self._flush, on_end=self._ended
        )
        self._session.start(self._listener())

    def _listener(self) -> LinkEvents:
        assert self._events is not None
        return self._events

    def _ready(self, session: AmqpSession) -> None:
        logger.info("connected to the broker as %s", session.reply_queue)
        self._loop.call_later(STABLE_SECONDS, lambda: self._is_stable(session))
        self._listener().up(session.reply_queue)

    def _is_stable(self, session: AmqpSession) -> None:
        if session is self._session:
            self._attempts = 0

    def _ended(self, session: AmqpSession, detail: str) -> None:
        if session is not self._session:
            return
        self._session = None
        if self._closing:
            self._loop.stop()
            return
        self._listener().down(detail)
        self._outbox.clear()
        pause = self._pause()
        logger.warning("no connection to the broker (%s); next attempt in %.1f s", detail, pause)
        self._loop.call_later(pause, self._connect)

    def _pause(self) -> float:
        """Full jitter, so that a thousand clients do not come back in the same instant."""
        bound = self._config.reconnect_min_seconds * 2.0 ** min(self._attempts, 20)
        self._attempts += 1
        return self._random.uniform(0.0, min(bound, self._config.reconnect_max_seconds))

    def _flush(self) -> None:
        self._flush_is_due = False
        session = self._session
        if session is None or not session.takes_requests:
            return
        outbox = self._outbox
        session.publish([outbox.popleft() for _ in range(min(PUBLISH_BATCH, len(outbox)))])
        if outbox and not self._flush_is_due:
            self._flush_is_due = True
            self._loop.add_callback_threadsafe(self._flush)

    def _hang_up(self) -> None:
        if self._session is None:
            self._loop.stop()
            return
        self._loop.call_later(CLOSE_SECONDS, self._session.abort)
        self._session.close()
