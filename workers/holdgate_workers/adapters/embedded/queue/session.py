"""One connection that listens, and the thread that keeps it: what consumer, publisher and link have in common."""

from __future__ import annotations

import logging
import secrets
import selectors
import socket
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any, LiteralString, TypeAlias

import psycopg

from holdgate_workers.app.installation import Installation
from holdgate_workers.app.ports import TransportError

from . import stamp

Connection: TypeAlias = psycopg.Connection[tuple[Any, ...]]
Address: TypeAlias = Callable[[], str]
"""Where the database is now, asked before each attempt to connect. Raises `TransportError` if there is none."""

log = logging.getLogger(__name__)

CONNECT_TIMEOUT_SECONDS = 5
BACKOFF_FIRST_SECONDS = 0.1
BACKOFF_MAX_SECONDS = 5.0
STOP_SECONDS = 10.0

_CHANNEL_PREFIX = "holdgate_queue."
# A peer that vanished without a word is noticed after about 10 seconds by both sides; sockets of the
# same machine ignore these.
_KEEPALIVES: dict[str, Any] = {"keepalives_idle": 5, "keepalives_interval": 2, "keepalives_count": 3}
_SERVER_SETTINGS = {"tcp_keepalives_idle": "5", "tcp_keepalives_interval": "2", "tcp_keepalives_count": "3"}
# The tables are empty one second and full the next, so the planner's statistics are always wrong; every
# statement of the queue is right with its index.
_PLANNER_SETTINGS = {"enable_seqscan": "off", "enable_hashjoin": "off", "enable_mergejoin": "off", "jit": "off"}


def notify_channel(queue: int) -> str:
    """The NOTIFY channel of a queue, by its id: for messages. By the negative id: for its lock becoming free."""
    return f"{_CHANNEL_PREFIX}{queue}"


@contextmanager
def translated() -> Iterator[None]:
    """Turn what the driver raises into `TransportError`."""
    try:
        yield
    except psycopg.Error as exc:
        raise TransportError(f"{type(exc).__name__}: {str(exc).strip()}") from exc


def connect(url: str, name: str) -> Connection:
    """A connection in autocommit mode, set up for the queue's statements. Raises `TransportError`."""
    settings = " ".join(f"-c {key}={value}" for key, value in {**_SERVER_SETTINGS, **_PLANNER_SETTINGS}.items())
    with translated():
        return psycopg.connect(
            url,
            autocommit=True,
            connect_timeout=CONNECT_TIMEOUT_SECONDS,
            application_name=name,
            options=settings,
            **_KEEPALIVES,
        )


def broken(connection: Connection) -> bool:
    """Whether the connection is gone, so that the outcome of its last statement may be unknown."""
    return connection.broken or connection.closed


class Wake:
    """Ends a `Session.wait` from another thread; remembered if nobody waits yet."""

    def __init__(self) -> None:
        self.reader, self._writer = socket.socketpair()
        self.reader.setblocking(False)
        self._writer.setblocking(False)
        self._lock = threading.Lock()
        self._is_set = False
        self._closed = False

    def set(self) -> None:
        with self._lock:
            if not self._is_set and not self._closed:
                self._is_set = True
                self._writer.send(b"!")

    def clear(self) -> None:
        with self._lock:
            if self._is_set:
                self._is_set = False
                self.reader.recv(16)

    def close(self) -> None:
        with self._lock:
            self._closed = True
            self.reader.close()
            self._writer.close()


class Session:
    """A connection with its selector. Used by one thread; every method raises `TransportError`."""

    def __init__(self, url: str, name: str, wake: Wake) -> None:
        self.connection = connect(url, name)
        self._wake = wake
        self._selector = selectors.DefaultSelector()
        self._selector.register(self.connection.fileno(), selectors.EVENT_READ)
        self._selector.register(wake.reader, selectors.EVENT_READ)

    def listen(self, queues: Sequence[int]) -> None:
        """Hear of these queues from now on."""
        self._each("LISTEN {}", queues)

    def unlisten(self, queues: Sequence[int]) -> None:
        """Hear of them no more."""
        self._each("UNLISTEN {}", queues)

    def _each(self, statement: LiteralString, queues: Sequence[int]) -> None:
        if queues:
            name = psycopg.sql.Identifier
            commands = [psycopg.sql.SQL(statement).format(name(notify_channel(queue))) for queue in queues]
            with translated():
                self.connection.execute(psycopg.sql.SQL("; ").join(commands))

    def wait(self, timeout_seconds: float) -> set[int]:
        """Sleep until something is notified, the wake is set or the time is up: the ids of the queues touched."""
        touched = self._notified()
        if touched:
            return touched
        self._selector.select(timeout_seconds)
        self._wake.clear()
        return self._notified()

    def _notified(self) -> set[int]:
        with translated():
            channels = {notice.channel for notice in self.connection.notifies(timeout=0)}
        return {int(channel.removeprefix(_CHANNEL_PREFIX)) for channel in channels}

    def close(self) -> None:
        self._selector.close()
        with suppress(psycopg.Error):
            self.connection.close()


class SessionThread:
    """A thread with a session, which it makes again with back-off and jitter whenever it breaks.

    A session on a queue that does not bear the installation's stamp, if one is given, counts as broken.
    """

    def __init__(self, address: str | Address, name: str, installation: Installation | None = None) -> None:
        self._installation = installation
        self._address: Address = address if callable(address) else lambda: address
        self._name = name
        self.wake = Wake()
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._opening = threading.Lock()

    def start(self) -> None:
        self._thread.start()

    def stop(self, timeout_seconds: float = STOP_SECONDS) -> None:
        """Ask the thread to end and wait for it. Idempotent."""
        with self._opening:
            first = not self._stopping.is_set()
            self._stopping.set()
        self.wake.set()
        if self._thread.ident is not None:
            self._thread.join(timeout_seconds)
        if first and not self._thread.is_alive():
            self.wake.close()

    @property
    def stopping(self) -> bool:
        return self._stopping.is_set()

    def opened(self, session: Session) -> None:
        """A new session is there."""

    def turn(self, session: Session, touched: set[int]) -> float | None:
        """Do what there is to do; how many seconds to sleep at most, or None to end."""
        raise NotImplementedError

    def dropped(self, detail: str) -> None:
        """There is no session any more, or it could not be made."""

    def _run(self) -> None:
        failures = 0
        while True:
            session = None
            try:
                session = Session(self._address(), self._name, self.wake)
                self._live(session)
                return
            except TransportError as exc:
                failures = 1 if session is not None else failures + 1
                log.warning("%s: connection lost: %s", self._name, exc)
                self.dropped(str(exc))
            except Exception as exc:
                # The thread must outlive our own mistakes: nobody would start it again.
                failures += 1
                log.exception("%s: an error reached the thread; going on with a new connection", self._name)
                self.dropped(f"{type(exc).__name__}: {exc}")
            finally:
                if session is not None:
                    session.close()
            if self._stopping.wait(_backoff(failures)):
                return

    def _live(self, session: Session) -> None:
        if self._installation is not None:
            with translated():
                stamp.check(session.connection, self._installation)
        self.opened(session)
        pause = self.turn(session, set())
        while pause is not None:
            pause = self.turn(session, session.wait(pause))


def _backoff(failures: int) -> float:
    """Doubling, with full jitter on the upper half, so that a restarted server is not met by all at once."""
    longest = min(BACKOFF_MAX_SECONDS, BACKOFF_FIRST_SECONDS * (1 << min(failures - 1, 10)))
    return longest * (0.5 + secrets.randbelow(500) / 1000)
