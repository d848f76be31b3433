"""The gate's protocol on a real database, with a queue that does exactly what the test's script says.

Processes race; here nothing does. A test takes a worker to the brink of any effect, leaves it there, lets another
one work, and goes on.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Generator, Sequence
from contextlib import ExitStack
from time import monotonic
from typing import Any

from tests.support import recount

from holdgate_schema.codec import encode
from holdgate_schema.commands.holds import Command, type_name
from holdgate_schema.commands.selling import INTERNAL_TYPES
from holdgate_schema.envelope import Properties
from holdgate_workers.adapters.postgres.gate.store import PostgresStore
from holdgate_workers.adapters.postgres.maintenance import migrations, revision
from holdgate_workers.adapters.postgres.maintenance.installation import House
from holdgate_workers.app.clock import DatabaseTime
from holdgate_workers.app.gate.effects import Ack, AwaitCommit, Bury, Commit, Effect, Load, Pause, Prepare, Reply
from holdgate_workers.app.gate.gate import Gate, GateConfig, Observer
from holdgate_workers.app.gate.incoming import Incoming, read
from holdgate_workers.app.ports import Delivery
from holdgate_workers.app.seals import SEAL_HEADER, Seals
from holdgate_workers.domain.holds.sessions import SessionKeys

_INTERNAL = {type_name(kind) for kind in INTERNAL_TYPES}

ATTEMPTS_MAX = 12
"""So many pauses of one batch, and it is given up: it makes no progress."""


class Station:
    """A database, the queue of one partition, and what its clients have noted."""

    def __init__(self, database_url: str) -> None:
        if not revision.is_current(database_url):
            migrations.migrate(database_url)
        self.url = database_url
        self.waiting: list[tuple[bytes, bool]] = []
        """(body, delivered before)."""
        self.letters: list[str] = []
        self.notes: list[dict[str, Any]] = []
        self.stuck: list[str] = []
        self._house = House(database_url)
        self._secret = self._house.session_secret()
        self.seals = Seals(self._secret)
        self._open = ExitStack()
        self._open.callback(self._house.close)

    def close(self) -> None:
        self._open.close()

    def send(self, *commands: Command) -> None:
        """Put requests into the queue."""
        for command in commands:
            body = encode(command)
            self.notes.append({"sent": json.loads(body)})
            self.waiting.append((body, False))

    def worker(self, name: str) -> Worker:
        """One more gate."""
        gate = Gate(
            GateConfig(sessions=SessionKeys(self._secret)),
            DatabaseTime(monotonic),
            self._house.settings,
            Observer(),
        )
        store = PostgresStore(self.url, name=name)
        self._open.callback(store.close)
        return Worker(self, gate, store)

    def work(self, *commands: Command, by: Worker | None = None) -> list[dict[str, Any]]:
        """Send and have it worked to the end; the last answer to each, in the order of the commands."""
        self.send(*commands)
        (by or self.worker("helper")).take().finish()
        return [answer for command in commands for answer in self.answers_to(command)[-1:]]

    def answers_to(self, command: Command) -> list[dict[str, Any]]:
        """Every answer that a request has got so far."""
        asked = getattr(command, "answers", None) or command.request_id
        return [note["got"] for note in self.notes if note.get("for") == asked]

    def problems(self) -> list[str]:
        """Everything that an outsider can find wrong."""
        books = recount.Books(self.url)
        return [
            *books.problems(),
            *recount.against_notes(books, {"client": self.notes}),
            *(f"dead letter: {letter}" for letter in self.letters),
            *(f"never settled: {why}" for why in self.stuck),
        ]


class Worker:
    """One gate on the station."""

    def __init__(self, station: Station, gate: Gate, store: PostgresStore) -> None:
        self._station = station
        self._gate = gate
        self._store = store
        self._tags = itertools.count(1)
        self._taken: list[tuple[bytes, bool]] = []
        self._unacknowledged: dict[int, tuple[bytes, bool]] = {}
        self._protocol: Generator[Effect, Any, None] | None = None
        self._next: Effect | None = None
        self._pauses = 0

    def take(self, most: int = 1000) -> Worker:
        """Have what waits in the queue delivered, and begin to work it."""
        station = self._station
        messages, station.waiting = station.waiting[:most], station.waiting[most:]
        batch = []
        for body, again in messages:
            tag = next(self._tags)
            self._unacknowledged[tag] = (body, True)
            message = json.loads(body)
            # A second answer is noted for the request that it answers.
            internal = message["type"] in _INTERNAL
            properties = Properties(
                message_id=message["request_id"],
                reply_to="holdgate.reply.client",
                correlation_id=message.get("answers") if internal else None,
                headers={SEAL_HEADER: self._station.seals.seal(body)} if internal else {},
            )
            batch.append(read(Delivery(0, 1, tag, body, properties, redelivered=again)))
        self._protocol = self._both(batch)
        self._pauses = 0
        self._advance(None)
        return self

    def until(self, effect: type[Effect]) -> Worker:
        """Work on until the next such effect is about to be done."""
        while self._next is not None and not isinstance(self._next, effect):
            self.step()
        assert self._next is not None, f"the batch ended without {effect.__name__}"
        return self

    def step(self, result: Any = None) -> None:
        """Do the next effect, or have this be its result without doing it."""
        assert self._next is not None
        self._advance(self._perform(self._next) if result is None else result)

    def finish(self) -> Worker:
        """Work to the end of the batch."""
        while self._next is not None:
            self.step()
        return self

    def lose_queue(self) -> None:
        """What is unacknowledged is delivered again, to whoever comes next; the worker does not know yet."""
        self._station.waiting = [*self._unacknowledged.values(), *self._station.waiting]
        self._unacknowledged.clear()

    def die(self) -> None:
        """Lose everything in memory."""
        self.lose_queue()
        self._protocol = self._next = None
        self._store.close()

    def _both(self, batch: Sequence[Incoming]) -> Generator[Effect, Any, None]:
        yield from self._gate.work(batch)
        yield from self._gate.settle()

    def _advance(self, result: Any) -> None:
        assert self._protocol is not None
        try:
            self._next = self._protocol.send(result)
        except StopIteration:
            self._next = None

    def _perform(self, effect: Effect) -> Any:
        match effect:
            case Load():
                return self._store.load(effect)
            case Prepare():
                return self._store.prepare(effect.commit)
            case Commit():
                return self._store.commit(effect)
            case AwaitCommit():
                return self._store.outcome()
            case Reply():
                return self._reply(effect)
            case Bury():
                self._station.letters += [str(letter.properties.headers) for letter in effect.messages]
                return True
            case Ack():
                for tag in [tag for tag in self._unacknowledged if tag <= effect.tags[1]]:
                    del self._unacknowledged[tag]
                return None
            case Pause():
                return self._pause(effect)

    def _reply(self, effect: Reply) -> None:
        for message in effect.messages:
            self._station.notes.append({"got": json.loads(message.body), "for": message.properties.correlation_id})

    def _pause(self, effect: Pause) -> bool:
        self._pauses += 1
        if self._pauses > ATTEMPTS_MAX:
            self._station.stuck.append(effect.why)
            return False
        return True


def held_of(answers: Sequence[dict[str, Any]]) -> list[str]:
    """The outcomes, with the reason of a refusal."""
    return [answer.get("reason", answer["outcome"]) for answer in answers]
