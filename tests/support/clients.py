"""Client processes that write down what they sent and what came back: `python -m tests.support.clients SPEC`.

The notes are taken on the wire, one JSON object a line: {"sent": body} for each time that a request is given to
the wire, {"got": body, "for": correlation id} for each answer that arrives, wanted or not, {"connected": n}, and
at the end {"gave_up": [request ids]}. What they amount to is for `tests.support.recount` to say, which shares no code
with the product.
"""

from __future__ import annotations

import json
import random
import subprocess
import sys
import threading
import uuid
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from dataclasses import asdict, dataclass
from pathlib import Path
from time import monotonic
from typing import Any

from tests.support.processes import ROOT
from tests.support.site import TestSite, open_client, open_link

from holdgate_producer.client.client import BookingClient
from holdgate_producer.core.errors import ProducerError
from holdgate_producer.core.link import Link, LinkEvents, Request
from holdgate_schema.answers.holds import Answer, Held
from holdgate_schema.commands.holds import ChangeHold, Command, ExtendHold, PlaceHold, ReleaseHold

ATTEMPT_SECONDS = 15.0
"""After so long without an answer the same request is sent again."""
PATIENCE_SECONDS = 240.0


class Tap:
    """A `Link` that writes down what goes over it."""

    def __init__(self, link: Link, write: Callable[[str], object]) -> None:
        self._link = link
        self._write = write
        self._connects = 0
        self._writing = threading.Lock()

    def note(self, **what: Any) -> None:
        line = json.dumps(what) + "\n"
        with self._writing:  # requests and answers are noted on two threads
            self._write(line)

    # --- the link ---

    def open(self, events: LinkEvents) -> None:
        self._events = events
        self._link.open(self)

    def send(self, requests: Sequence[Request]) -> None:
        for request in requests:
            self.note(sent=json.loads(request.body))
        self._link.send(requests)

    def close(self) -> None:
        self._link.close()

    # --- its events ---

    def up(self, reply_address: str) -> None:
        self._connects += 1
        self.note(connected=self._connects)
        self._events.up(reply_address)

    def down(self, detail: str) -> None:
        self._events.down(detail)

    def blocked(self, reason: str) -> None:
        self._events.blocked(reason)

    def unblocked(self) -> None:
        self._events.unblocked()

    def confirmed(self, request_id: str) -> None:
        self._events.confirmed(request_id)

    def unroutable(self, request_id: str, detail: str) -> None:
        self._events.unroutable(request_id, detail)

    def nacked(self, request_id: str, detail: str) -> None:
        self._events.nacked(request_id, detail)

    def answered(self, correlation_id: str, body: bytes, type_: str | None) -> None:
        self.note(**{"got": json.loads(body), "for": correlation_id})
        self._events.answered(correlation_id, body, type_)


class NotedClient:
    """A client in the test's own process whose notes are kept."""

    def __init__(self, site: TestSite, name: str, *, timeout_seconds: float = 30.0) -> None:
        self.name = name
        self._lines: list[str] = []
        self.client = site.client(
            name, timeout_seconds=timeout_seconds, link=Tap(site.link(name), self._lines.append)
        )

    @property
    def notes(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in list(self._lines)]


@dataclass(frozen=True, slots=True)
class Spec:
    """What one client process does."""

    name: str
    database_url: str
    amqp_url: str | None
    occurrence_ids: tuple[str, ...]
    requests: int
    seed: int
    notes: str
    window: int = 20
    duplicates_percent: int = 10


class Crowd:
    """One process's buyers: baskets taken, changed, extended, given back, and asked for twice."""

    def __init__(self, spec: Spec, client: BookingClient, twin: BookingClient) -> None:
        self._spec = spec
        self._random = random.Random(spec.seed)
        self._client = client
        self._twin = twin
        self._live: list[Held] = []
        self._deadline = monotonic() + PATIENCE_SECONDS

    def run(self) -> list[str]:
        """Send everything, a window at a time; the ids that got no answer."""
        left = self._spec.requests
        gave_up: list[str] = []
        while left > 0:
            commands = [self._command() for _ in range(min(left, self._spec.window))]
            left -= len(commands)
            gave_up += self._ask(commands)
        return gave_up

    def _ask(self, commands: list[Command]) -> list[str]:
        repeats = [c for c in commands if self._random.randrange(100) < self._spec.duplicates_percent]
        while (commands or repeats) and monotonic() < self._deadline:
            futures = self._client.send_many(commands, timeout_seconds=ATTEMPT_SECONDS)
            again = self._twin.send_many(repeats, timeout_seconds=ATTEMPT_SECONDS)
            commands = [c for c, future in zip(commands, futures, strict=True) if not self._settled(future)]
            repeats = [c for c, future in zip(repeats, again, strict=True) if not self._settled(future)]
        return [command.request_id for command in commands + repeats]

    def _settled(self, future: Future[Answer]) -> bool:
        try:
            answer = future.result()
        except ProducerError:
            return False
        if isinstance(answer, Held):
            self._live.append(answer)
        return True

    def _command(self) -> Command:
        request_id = str(uuid.UUID(int=self._random.getrandbits(128), version=4))
        if self._live and self._random.randrange(100) < 25:
            held = self._live.pop(self._random.randrange(len(self._live)))
            ids: dict[str, Any] = {
                "request_id": request_id,
                "occurrence_id": held.occurrence_id,
                "session_id": held.hold.session_id,
                "hold_id": held.hold.hold_id,
            }
            kind = self._random.choice("rrrce")
            if kind == "r":
                return ReleaseHold(**ids)
            return ExtendHold(**ids) if kind == "e" else ChangeHold(**ids, items=self._basket())
        return PlaceHold(
            request_id=request_id,
            occurrence_id=self._random.choice(self._spec.occurrence_ids),
            items=self._basket(),
            session_id=f"{self._spec.name}-{request_id}" if self._random.randrange(2) else None,
            ttl_seconds=2 if self._random.randrange(10) == 0 else None,
        )

    def _basket(self) -> dict[str, int]:
        basket = {key: self._random.choice((0, 0, 1, 2)) for key in ("child", "senior")}
        return {key: count for key, count in {"adult": self._random.randrange(1, 4), **basket}.items() if count}


def crowd(site: TestSite, *occurrence_ids: str, processes: int, requests: int) -> Iterator[Spec]:
    """The specifications of so many client processes that send so many requests in all."""
    for number in range(processes):
        name = f"crowd-{number}"
        yield Spec(
            name=name,
            database_url=site.database_url,
            amqp_url=site.amqp_url,
            occurrence_ids=occurrence_ids,
            requests=requests // processes,
            seed=1000 + number,
            notes=str(site.folder / f"{name}.jsonl"),
        )


def start(spec: Spec) -> subprocess.Popen[bytes]:
    """Start one client process; it ends with 0 once everything is answered."""
    text = json.dumps(asdict(spec))
    command = [sys.executable, "-m", "tests.support.clients", text]
    with Path(f"{spec.notes}.log").open("wb") as log:
        return subprocess.Popen(command, cwd=ROOT, stdin=subprocess.DEVNULL, stdout=log, stderr=log)


def notes_of(specs: Sequence[Spec]) -> dict[str, list[dict[str, Any]]]:
    """The notes of every process, by its name, those of its second client under `<name>+`."""
    paths = {spec.name + suffix: Path(spec.notes + suffix) for spec in specs for suffix in ("", "+")}
    return {
        name: [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
        for name, path in paths.items()
    }


def main() -> int:
    fields = json.loads(sys.argv[1])
    spec = Spec(**{**fields, "occurrence_ids": tuple(fields["occurrence_ids"])})
    with (
        Path(spec.notes).open("w", encoding="utf-8") as notes,
        Path(f"{spec.notes}+").open("w", encoding="utf-8") as twin_notes,
    ):
        taps = [
            Tap(open_link(spec.database_url, spec.amqp_url, spec.name), file.write) for file in (notes, twin_notes)
        ]
        client, twin = (open_client(tap, spec.name, ATTEMPT_SECONDS) for tap in taps)
        gave_up = Crowd(spec, client, twin).run()
        for one in (client, twin):
            one.close()
        taps[0].note(gave_up=gave_up)
    return 1 if gave_up else 0


if __name__ == "__main__":
    sys.exit(main())
