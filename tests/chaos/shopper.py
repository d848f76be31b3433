"""A client process: `python -m tests.chaos.shopper SPEC`. Asks until SIGTERM, then until everything is answered."""

from __future__ import annotations

import json
import random
import signal
import sys
import threading
import uuid
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from time import monotonic
from typing import Any

from tests.chaos.notes import NotingClient

from holdgate_producer.core.errors import ProducerError
from holdgate_schema.answers.holds import Answer, Held
from holdgate_schema.commands.holds import ChangeHold, Command, ExtendHold, GetAvailability, PlaceHold, ReleaseHold

ATTEMPT_SECONDS = 6.0
"""After so long without an answer the same request is sent again."""
PATIENCE_SECONDS = 90.0
"""So long after the end it still asks for what is unanswered."""
HURRY_SECONDS = 1.0
_TOGETHER = 20
_REMEMBERED = 200


@dataclass(frozen=True, slots=True)
class Spec:
    """What one process does."""

    name: str
    amqp_url: str
    notes: str
    occurrence_ids: tuple[str, ...]
    seed: int
    window: int
    """So many requests may be open at one time."""
    rate: float
    """Requests a second, as long as they are answered."""

    def command(self) -> list[str]:
        """How to start it."""
        return [sys.executable, "-m", "tests.chaos.shopper", json.dumps(asdict(self))]

    @classmethod
    def parse(cls, text: str) -> Spec:
        fields = json.loads(text)
        return cls(**{**fields, "occurrence_ids": tuple(fields["occurrence_ids"])})


class Shopper:
    """Keeps a window of requests open: baskets taken, changed, extended, given back, looked at, asked for twice."""

    def __init__(self, spec: Spec, noting: NotingClient) -> None:
        self._spec = spec
        self._client, self._link = noting.client, noting.link
        self._random = random.Random(spec.seed)
        self._live: deque[Held] = deque(maxlen=_REMEMBERED)
        self._answered: deque[Command] = deque(maxlen=_REMEMBERED)
        self._again: deque[Command] = deque()
        self._open = 0
        self._changed = threading.Condition()

    def run(self, stop: threading.Event) -> list[str]:
        """The ids of requests that were never answered."""
        due = monotonic()
        while not stop.wait(max(0.0, due - monotonic())):
            self._send(self._take_again() or [self._command() for _ in range(_TOGETHER)])
            # Who was held up may hurry afterwards, but not for everything that was missed.
            due = max(due + _TOGETHER / self._spec.rate, monotonic() - HURRY_SECONDS)
        deadline = monotonic() + PATIENCE_SECONDS
        while monotonic() < deadline and (self._wait_idle(ATTEMPT_SECONDS) or self._again):
            self._send(self._take_again())
        with self._changed:
            self._changed.wait_for(lambda: not self._open, ATTEMPT_SECONDS + 2)
        return [command.request_id for command in self._again]

    def _take_again(self) -> list[Command]:
        return [self._again.popleft() for _ in range(min(_TOGETHER, len(self._again)))]

    def _wait_idle(self, seconds: float) -> bool:
        """Wait until nothing is open, or something must be sent again; whether something is open."""
        with self._changed:
            self._changed.wait_for(lambda: not self._open or self._again, seconds)
            return self._open > 0

    def _send(self, commands: list[Command]) -> None:
        if not commands:
            return
        with self._changed:
            self._open += len(commands)
        for command, future in zip(commands, self._client.send_many(commands), strict=True):
            future.add_done_callback(partial(self._done, command))

    def _done(self, command: Command, future: Future[Answer]) -> None:
        try:
            answer = future.result()
        except ProducerError:
            if not self._link.is_done(command.request_id):
                self._again.append(command)
        else:
            if isinstance(answer, Held):
                self._live.append(answer)
            if not self._link.is_done(command.request_id):
                self._answered.append(command)
        with self._changed:
            self._open -= 1
            self._changed.notify_all()

    # --- what is asked ------------------------------------------------------------------------------------------

    def _command(self) -> Command:
        chance = self._random.randrange(100)
        if chance < 4 and self._answered:
            return self._answered[self._random.randrange(len(self._answered))]
        request_id = str(uuid.UUID(int=self._random.getrandbits(128), version=4))
        if chance < 26 and self._live:
            return self._about_a_hold(request_id)
        occurrence_id = self._random.choice(self._spec.occurrence_ids)
        if chance < 30:
            return GetAvailability(request_id=request_id, occurrence_id=occurrence_id)
        return PlaceHold(
            request_id=request_id,
            occurrence_id=occurrence_id,
            items=self._basket(),
            session_id=self._session(request_id),
            ttl_seconds=self._random.randrange(2, 25) if self._random.randrange(5) else None,
        )

    def _about_a_hold(self, request_id: str) -> Command:
        held = self._live.pop()
        ids: dict[str, Any] = {
            "request_id": request_id,
            "occurrence_id": held.occurrence_id,
            "session_id": held.hold.session_id,
            "hold_id": held.hold.hold_id,
        }
        match self._random.randrange(5):
            case 0:
                return ChangeHold(**ids, items=self._basket())
            case 1:
                return ExtendHold(**ids)
            case _:
                return ReleaseHold(**ids)

    def _session(self, request_id: str) -> str | None:
        """One of our own for this request alone, one that others of our requests use too, or one to be issued."""
        ways: tuple[Callable[[], str | None], ...] = (
            lambda: f"{self._spec.name}-{request_id}",
            lambda: f"{self._spec.name}-{self._random.randrange(500)}",
            lambda: None,
        )
        return self._random.choice(ways)()

    def _basket(self) -> dict[str, int]:
        basket = {key: self._random.choice((0, 0, 1, 2)) for key in ("child", "senior")}
        return {key: count for key, count in {"adult": self._random.randrange(1, 4), **basket}.items() if count}


def main() -> int:
    spec = Spec.parse(sys.argv[1])
    stop = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stop.set())
    noting = NotingClient(
        spec.amqp_url,
        spec.name,
        Path(spec.notes),
        in_flight_max=spec.window,
        attempt_seconds=ATTEMPT_SECONDS,
    )
    gave_up = Shopper(spec, noting).run(stop)
    noting.close(gave_up)
    return 1 if gave_up else 0


if __name__ == "__main__":
    sys.exit(main())
