"""The recorders: the database's change stream, and taps on the broker. They look from outside and change nothing
but their own slot and their own queues."""

from __future__ import annotations

import json
import threading
from collections.abc import Sequence
from io import TextIOWrapper
from pathlib import Path
from time import monotonic_ns, time_ns
from typing import Any

import pika
import psycopg
from pika.exceptions import AMQPError
from tests.checker.decoding import END, TABLES

PAUSE_SECONDS = 0.05
CHANGES_MAX = 20_000
REQUESTS_EXCHANGE = "holdgate.requests"
EVENTS_EXCHANGE = "holdgate.events"
DEAD_QUEUE = "holdgate.dead"
SLOT_KEYS = tuple(f"slot.{number:03d}" for number in range(256))


class _Recorder:
    """A thread that writes one file. Trouble with the far side is waited out: servers are killed on purpose."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._path = path
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name=path.name, daemon=True)
        self._failure: BaseException | None = None
        self.written = 0

    def start(self) -> None:
        self._thread.start()

    def stop(self, timeout_seconds: float = 60.0) -> None:
        """Write down what is left, and the end mark. Raises what went wrong."""
        self._stop.set()
        self._thread.join(timeout_seconds)
        if self._thread.is_alive():
            raise TimeoutError(f"{self._path.name} does not end")
        if self._failure is not None:
            raise self._failure

    def _run(self) -> None:
        try:
            with self._path.open("w", encoding="utf-8", newline="\n") as file:
                self._record(file)
        except BaseException as exc:  # noqa: BLE001 - kept for stop(), in the thread of the test
            self._failure = exc

    def _record(self, file: TextIOWrapper) -> None:
        raise NotImplementedError


class ChangeStream(_Recorder):
    """Every committed change in commit order, through a replication slot of its own.

    The slot is moved on only after its lines are in the file, so a crash of the server costs nothing. Needs
    `wal_level = logical`.
    """

    def __init__(self, database_url: str, path: Path, slot: str = "holdgate_checker") -> None:
        super().__init__(path)
        self._url, self._slot = database_url, slot
        self._last = 0
        with psycopg.connect(database_url, autocommit=True) as connection:
            connection.execute("SELECT pg_create_logical_replication_slot(%s, 'test_decoding')", [slot])

    def _record(self, file: TextIOWrapper) -> None:
        connection: psycopg.Connection[Any] | None = None
        while True:
            asked_to_stop = self._stop.is_set()
            try:
                connection = connection or self._connect()
                moved = self._copy(connection, file)
            except psycopg.Error:
                if asked_to_stop:
                    raise
                connection = None
                self._stop.wait(PAUSE_SECONDS)
                continue
            if not moved and asked_to_stop:
                break
            if not moved:
                self._stop.wait(PAUSE_SECONDS)
        file.write(f"{END}\n")
        connection.execute("SELECT pg_drop_replication_slot(%s)", [self._slot])
        connection.close()

    def _connect(self) -> psycopg.Connection[Any]:
        connection = psycopg.connect(self._url, autocommit=True)
        connection.execute("SET TimeZone = 'UTC'; SET DateStyle = 'ISO'")
        return connection

    def _copy(self, connection: psycopg.Connection[Any], file: TextIOWrapper) -> bool:
        rows = connection.execute(
            "SELECT lsn - '0/0', data FROM pg_logical_slot_peek_changes(%s, NULL, %s, "
            "'include-timestamp', 'on', 'skip-empty-xacts', 'on')",
            [self._slot, CHANGES_MAX],
        ).fetchall()
        if not rows:
            return False
        wanted = tuple(f"table public.{table}:" for table in TABLES)
        transaction: list[str] = []
        for position, text in rows:
            if not text.startswith("table ") or text.startswith(wanted):
                transaction.append(text.replace("\n", " "))
            if text.startswith("COMMIT"):
                # Seen before, if the server died between our writing and the slot's moving on.
                if position > self._last and len(transaction) > 2:
                    file.writelines(f"{line}\n" for line in transaction)
                    self.written += 1
                self._last = max(self._last, int(position))
                transaction.clear()
        file.flush()
        connection.execute("SELECT pg_replication_slot_advance(%s, '0/0'::pg_lsn + %s)", [self._slot, self._last])
        return True


class Tap(_Recorder):
    """Everything that goes through an exchange, in the order in which the broker gives it to one queue."""

    def __init__(self, amqp_url: str, path: Path, exchange: str, keys: Sequence[str], text_name: str) -> None:
        super().__init__(path)
        self._parameters = pika.URLParameters(amqp_url)
        self._queue = f"checker.tap.{exchange}"
        self._text_name = text_name
        self._unsure: set[int] = set()
        """Messages that were written and perhaps not acknowledged."""
        self.ids: set[str] = set()
        connection = pika.BlockingConnection(self._parameters)
        channel = connection.channel()
        channel.queue_declare(self._queue, durable=True)
        for key in keys:
            channel.queue_bind(self._queue, exchange, key)
        connection.close()

    def _record(self, file: TextIOWrapper) -> None:
        while not self._finished(file):
            self._stop.wait(PAUSE_SECONDS)
        file.write('{"end":true}\n')

    def _finished(self, file: TextIOWrapper) -> bool:
        """Work one connection, until it breaks or everything is written and we were asked to stop."""
        try:
            connection = pika.BlockingConnection(self._parameters)
            channel = connection.channel()
            channel.basic_qos(prefetch_count=2000)
            for method, properties, body in channel.consume(self._queue, inactivity_timeout=PAUSE_SECONDS):
                if method is None:
                    if self._stop.is_set() and _length(channel, self._queue) == 0:
                        channel.queue_delete(self._queue)
                        connection.close()
                        return True
                    continue
                self._write(file, body.decode("utf-8", "replace"), properties, method.redelivered)
                channel.basic_ack(method.delivery_tag)
        except (AMQPError, OSError):
            return False
        return False

    def _write(self, file: TextIOWrapper, text: str, properties: Any, redelivered: bool) -> None:
        note: dict[str, Any] = {self._text_name: text, "t": monotonic_ns(), "w": time_ns() // 1000}
        if self._text_name == "event":
            note["id"] = properties.message_id
            self.ids.add(properties.message_id)
        if redelivered and hash(text) in self._unsure:
            note["again"] = True
        if not redelivered and len(self._unsure) > 5000:
            self._unsure.clear()
        self._unsure.add(hash(text))
        file.write(json.dumps(note, ensure_ascii=False, separators=(",", ":")) + "\n")
        file.flush()
        self.written += 1


def tap_requests(amqp_url: str, path: Path) -> Tap:
    """A tap on what the broker takes."""
    return Tap(amqp_url, path, REQUESTS_EXCHANGE, SLOT_KEYS, "body")


def tap_events(amqp_url: str, path: Path) -> Tap:
    """A tap on what the world is told."""
    return Tap(amqp_url, path, EVENTS_EXCHANGE, ("#",), "event")


def write_final(amqp_url: str, path: Path, partitions: int) -> None:
    """What is left in the queues, and the dead letters, which stay where they are."""
    connection = pika.BlockingConnection(pika.URLParameters(amqp_url))
    try:
        channel = connection.channel()
        names = [f"holdgate.requests.{number:02d}" for number in range(partitions)]
        queued = {name: _length(channel, name) for name in names}
        dead = []
        while True:
            method, properties, body = channel.basic_get(DEAD_QUEUE)
            if method is None:
                break
            letter = {
                "request_id": _request_id(body),
                "reason": (properties.headers or {}).get("x-holdgate-reason"),
            }
            if letter["request_id"] is None:
                letter["body"] = body.decode("utf-8", "replace")
            dead.append(letter)
    finally:
        connection.close()
    path.write_text(json.dumps({"queued": queued, "dead": dead, "events_drained": True}), encoding="utf-8")


def _length(channel: Any, queue: str) -> int:
    return int(channel.queue_declare(queue, passive=True).method.message_count)


def _request_id(body: bytes) -> str | None:
    try:
        command = json.loads(body)
        found = command["request_id"] if command["occurrence_id"] else None
    except (ValueError, TypeError, KeyError):
        return None
    return found if isinstance(found, str) else None


class Nemesis:
    """Writes down what was broken, and whether it really was."""

    def __init__(self, path: Path) -> None:
        self._path = path
        path.write_text("", encoding="utf-8")

    def note(self, fault: str, target: str, t_start: float, t_end: float, *, really_applied: bool) -> None:
        """One fault, times in seconds since 1970."""
        self._append(
            {
                "fault": fault,
                "target": target,
                "t_start": t_start,
                "t_end": t_end,
                "really_applied": really_applied,
            }
        )

    def close(self) -> None:
        self._append({"end": True})

    def _append(self, note: dict[str, Any]) -> None:
        with self._path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(note) + "\n")
