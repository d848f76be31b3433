"""One client process: `python -m holdgate_workers.demo.client SCRIPT NOTES [paced]`.

Says `ready` once it is connected, starts when a line comes in, and ends when every step has its answer or was
tried often enough. Finds the service by HOLDGATE_DATABASE_URL, or HOLDGATE_AMQP_URL where that is set. Imports as
little as it can: many of these start at once.
"""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Sequence
from pathlib import Path
from time import monotonic, monotonic_ns

import msgspec

from holdgate_producer.amqp.link import AmqpLink
from holdgate_producer.client.client import BookingClient
from holdgate_producer.client.config import ClientConfig
from holdgate_producer.core.entry import AnswerFuture
from holdgate_producer.core.errors import ProducerError
from holdgate_producer.core.link import Link, LinkEvents, Request
from holdgate_schema.answers.holds import Answer, Held, Refused
from holdgate_schema.codec import encode
from holdgate_workers.adapters.embedded.queue.link import EmbeddedLink

from .notes import Answered, Failed, NoteBook, Sent
from .plan import Script, Step

APP_ID = "holdgate-onsale"
TIMEOUT_SECONDS = 12.0
ATTEMPTS_MAX = 4
IN_FLIGHT_MAX = 64
CONNECT_SECONDS = 30.0

_scripts = msgspec.json.Decoder(Script)


class NotingLink:
    """A link that writes every answer down as it comes off the wire, wanted or not."""

    def __init__(self, inner: Link, notes: NoteBook) -> None:
        self._inner = inner
        self._notes = notes

    def open(self, events: LinkEvents) -> None:
        """Begin to connect."""
        self._inner.open(_NotingEvents(events, self._notes))

    def send(self, requests: Sequence[Request]) -> None:
        """Send in this order."""
        self._inner.send(requests)

    def close(self) -> None:
        """Hang up."""
        self._inner.close()


class _NotingEvents:
    def __init__(self, inner: LinkEvents, notes: NoteBook) -> None:
        self._notes = notes
        self._inner = inner
        self.up, self.down = inner.up, inner.down
        self.blocked, self.unblocked = inner.blocked, inner.unblocked
        self.confirmed, self.unroutable, self.nacked = inner.confirmed, inner.unroutable, inner.nacked

    def answered(self, correlation_id: str, body: bytes, type_: str | None) -> None:
        """Write it down first."""
        self._notes.write(Answered(correlation_id, body.decode(errors="replace"), monotonic_ns()))
        self._inner.answered(correlation_id, body, type_)


class Performer:
    """Goes through a script."""

    def __init__(self, client: BookingClient, notes: NoteBook) -> None:
        self._client = client
        self._notes = notes
        self._open: dict[str, tuple[Step, AnswerFuture]] = {}
        self._answers: dict[str, Answer | None] = {}
        self._clock = threading.Event()

    def perform(self, script: Script, *, paced: bool) -> None:
        """Every step in its order, at its time if paced, and then wait for what is open."""
        started = monotonic()
        for step in script:
            if paced:
                self._clock.wait(max(0.0, started + step.at_ms / 1000 - monotonic()))
            if step.after is not None:
                answer = self._answer_to(step.after)
                if step.if_held and not isinstance(answer, Held):
                    continue
            self._send(step, 1)
        for request_id in list(self._open):
            self._answer_to(request_id)

    def _send(self, step: Step, attempt: int) -> None:
        command = step.command
        # One at a time per id: what is open under this id is finished first, or the client would join the two.
        if command.request_id in self._open:
            self._answer_to(command.request_id)
        self._notes.write(Sent(command.request_id, encode(command).decode(), monotonic_ns(), attempt))
        self._open[command.request_id] = (step, self._client.send(command))

    def _answer_to(self, request_id: str) -> Answer | None:
        """The answer, trying again under the same id where there is none yet; None if there never is."""
        attempt = 1
        while request_id in self._open:
            step, future = self._open.pop(request_id)
            try:
                answer = future.result()
            except ProducerError as exc:
                self._notes.write(Failed(request_id, f"{type(exc).__name__}: {exc}", monotonic_ns()))
                answer = None
            if answer is not None and not (isinstance(answer, Refused) and answer.retryable):
                self._answers.setdefault(request_id, answer)
            elif attempt < ATTEMPTS_MAX:
                self._clock.wait(0.1 * 2**attempt)
                attempt += 1
                self._send(step, attempt)
        return self._answers.get(request_id)


def link_of(environment: dict[str, str], notes: NoteBook) -> tuple[ClientConfig, Link]:
    """The configuration and the link, from the environment that the service's processes have."""
    amqp_url = environment.get("HOLDGATE_AMQP_URL")
    config = ClientConfig(
        url=amqp_url or "amqp://embedded",
        app_id=APP_ID,
        timeout_seconds=TIMEOUT_SECONDS,
        in_flight_max=IN_FLIGHT_MAX,
        reconnect_max_seconds=1.0,
    )
    inner: Link = (
        AmqpLink(config) if amqp_url else EmbeddedLink(environment["HOLDGATE_DATABASE_URL"], app_id=APP_ID)
    )
    return config, NotingLink(inner, notes)


def main(arguments: Sequence[str]) -> None:
    """See the module."""
    script = _scripts.decode(Path(arguments[0]).read_bytes())
    notes = NoteBook(Path(arguments[1]))
    config, link = link_of(dict(os.environ), notes)
    client = BookingClient(config, link=link)
    try:
        client.wait_connected(CONNECT_SECONDS)
        sys.stdout.write("ready\n")
        sys.stdout.flush()
        if sys.stdin.readline():
            Performer(client, notes).perform(script, paced="paced" in arguments[2:])
    finally:
        client.close()
        notes.close()


if __name__ == "__main__":
    main(sys.argv[1:])
