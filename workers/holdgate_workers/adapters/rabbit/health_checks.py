"""What the doctor asks the broker. Declares nothing that is not there, takes no message, leaves none behind."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from time import monotonic
from typing import Any

from pika import exceptions

from holdgate_schema import topology

from .connection import explain
from .topology import NOT_PERMITTED, PRECONDITION_FAILED, Found, connected, inspect

PROBE_SECONDS = 2.0
NOBODY = "holdgate.doctor.nobody"
"""A routing key that no queue has: the broker gives the probe back."""


@dataclass(slots=True)
class Broker:
    """What was found. `different` and `forbidden` name what is there with other arguments, and what the login may
    not declare. `takes_messages` is None if the broker said neither yes nor no."""

    product: str
    version: str
    found: list[Found]
    different: dict[str, str] = field(default_factory=dict)
    forbidden: dict[str, str] = field(default_factory=dict)
    takes_messages: bool | None = None
    problem: str = ""

    @property
    def missing(self) -> list[str]:
        """The exchanges and queues that are not there."""
        return [item.name for item in self.found if not item.exists]


def examine(url: str, partitions: int) -> Broker:
    """Look at everything that a house with so many partitions needs. Raises `TransportError`."""
    found = inspect(url, partitions)
    there = {item.name for item in found if item.exists}
    with connected(_impatient(url), "holdgate-doctor") as connection:
        said = getattr(connection._impl, "server_properties", None) or {}
        broker = Broker(str(said.get("product", "?")), str(said.get("version", "?")), found)
        for name, declare in _declarations(connection, partitions):
            if name in there:
                _compare(broker, name, declare)
    _probe(broker, url)
    return broker


def _declarations(connection: Any, partitions: int) -> Iterator[tuple[str, Any]]:
    """Declaring again what is there changes nothing, and fails where it is there with other arguments."""
    for exchange in topology.EXCHANGES:
        yield (
            exchange.name,
            lambda item=exchange: connection.channel().exchange_declare(
                item.name, item.kind, durable=True, arguments=dict(item.arguments)
            ),
        )
    for queue in (*topology.queues(partitions), *topology.task_queues()):
        yield (
            queue.name,
            lambda item=queue: connection.channel().queue_declare(
                item.name, durable=True, arguments=dict(item.arguments)
            ),
        )


def _compare(broker: Broker, name: str, declare: Any) -> None:
    try:
        declare()
    except exceptions.ChannelClosedByBroker as exc:
        if exc.reply_code == PRECONDITION_FAILED:
            broker.different[name] = exc.reply_text
        elif exc.reply_code == NOT_PERMITTED:
            broker.forbidden[name] = exc.reply_text
        else:
            raise


def _probe(broker: Broker, url: str) -> None:
    """Publish to nobody: a broker in alarm blocks the connection instead of giving the message back."""
    answers: list[tuple[bool, str]] = []
    try:
        with connected(_impatient(url), "holdgate-doctor-probe") as connection:
            connection.add_on_connection_blocked_callback(
                lambda _connection, frame: answers.append((False, f"blocked: {frame.method.reason}"))
            )
            channel = connection.channel()
            channel.add_on_return_callback(lambda *_: answers.append((True, "")))
            channel.basic_publish("", NOBODY, b"", mandatory=True)
            deadline = monotonic() + PROBE_SECONDS
            while not answers and monotonic() < deadline:
                connection.process_data_events(time_limit=0.1)
    except Exception as exc:  # noqa: BLE001
        # A blocked connection also ends badly; what was heard before that counts.
        if not answers:
            answers.append((False, explain(exc)))
    if answers:
        broker.takes_messages, broker.problem = answers[0]


def _impatient(url: str) -> str:
    """A connection that the broker blocks is given up soon."""
    if "blocked_connection_timeout=" in url:
        return url
    return f"{url}{'&' if '?' in url else '?'}blocked_connection_timeout=3"
