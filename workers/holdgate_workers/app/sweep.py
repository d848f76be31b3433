"""The expiry worker's protocol: one command per occurrence with due holds, bounded in flight.

It decides nothing. It tells the occurrence's own queue that something is due; whether it is, is decided there,
by the database's clock. So any number of sweepers may run, or none: then holds that stand in somebody's way are
expired by the request that needs the room.

Now and then it also asks the queues of occurrences that have both room and a waiting list. Whatever frees seats
makes the offers itself, but a limit that stood in the way can be freed elsewhere, and a sale can open by the clock.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from holdgate_schema.codec import encode
from holdgate_schema.envelope import Properties
from holdgate_schema.messages import SWEEP_HOLDS_MAX, SweepHolds, type_name
from holdgate_schema.slots import routing_key
from holdgate_schema.topology import REQUESTS_EXCHANGE

from .answers import APP_ID
from .clock import DatabaseTime
from .effects import Unavailable
from .ports import Outgoing

COMMANDS_PER_OCCURRENCE = 4
RESEND_SECONDS = 5.0
LINES_SECONDS = 30.0
"""So often it looks for waiting lists that could be served."""


@dataclass(slots=True, frozen=True)
class ReadDue:
    """Ask which occurrences have due holds, the longest overdue first. Answered by `Due` or `Unavailable`.

    `lines_too`: and which have room for somebody in line.
    """

    occurrences_max: int
    lines_too: bool = False


@dataclass(slots=True, frozen=True)
class Due:
    """Occurrence -> how many of its holds are due, and since when the oldest of them is."""

    now: datetime
    holds: dict[str, int]
    oldest: dict[str, datetime]
    lines: Sequence[str] = ()
    """Occurrences that seem to have room for somebody in line."""


@dataclass(slots=True, frozen=True)
class SendSweeps:
    """Publish the commands. Answered by whether all were confirmed."""

    messages: Sequence[Outgoing]


SweepEffect = ReadDue | SendSweeps


@dataclass(slots=True, frozen=True)
class Round:
    """What one round found and did."""

    due: int
    sent: int
    lag_seconds: float
    paused: bool = False
    failed: bool = False

    @property
    def busy(self) -> bool:
        """Whether to look again at once."""
        return self.sent > 0


class Sweeper:
    """Looks for due holds and asks their queues to expire them."""

    def __init__(
        self,
        time: DatabaseTime,
        monotonic: Callable[[], float],
        new_request_id: Callable[[], str],
        *,
        occurrences_max: int = 200,
    ) -> None:
        self._time = time
        self._monotonic = monotonic
        self._new_request_id = new_request_id
        self._occurrences_max = occurrences_max
        self._asked: dict[str, tuple[int, datetime, float]] = {}
        """Occurrence -> (how many were due when it was asked, since when the oldest was, when that was)."""
        self._lines_at = monotonic()

    def round(self) -> Generator[SweepEffect, Any, Round]:
        """One look. While the database's clock has jumped ahead nothing is swept."""
        asked_at = self._time.mark()
        lines_too = self._monotonic() >= self._lines_at
        due: Due | Unavailable = yield ReadDue(self._occurrences_max, lines_too)
        if isinstance(due, Unavailable):
            return Round(0, 0, 0.0, failed=True)
        self._time.observe(due.now, asked_at)
        lag = max(((due.now - oldest).total_seconds() for oldest in due.oldest.values()), default=0.0)
        total = sum(due.holds.values())
        if self._time.jump is not None:
            return Round(total, 0, lag, paused=True)
        self._asked = {key: asked for key, asked in self._asked.items() if key in due.holds}
        messages = [
            message
            for occurrence_id, holds in due.holds.items()
            if self._should_ask(occurrence_id, holds, due.oldest[occurrence_id])
            for message in self._commands(occurrence_id, holds)
        ]
        if lines_too:
            self._lines_at = self._monotonic() + LINES_SECONDS
            messages += [
                self._command(occurrence_id) for occurrence_id in due.lines if occurrence_id not in due.holds
            ]
        if not messages:
            return Round(total, 0, lag)
        confirmed: bool = yield SendSweeps(messages)
        if not confirmed:
            self._asked.clear()
            self._lines_at = self._monotonic()
        return Round(total, len(messages), lag, failed=not confirmed)

    def _should_ask(self, occurrence_id: str, holds: int, oldest: datetime) -> bool:
        """Not again while the last commands are on their way, unless they have made a difference.

        As many as before may be others than before: those that were due first are the first to go.
        """
        asked = self._asked.get(occurrence_id)
        now = self._monotonic()
        if asked is not None and asked[:2] == (holds, oldest) and now - asked[2] < RESEND_SECONDS:
            return False
        self._asked[occurrence_id] = (holds, oldest, now)
        return True

    def _commands(self, occurrence_id: str, holds: int) -> list[Outgoing]:
        count = min(COMMANDS_PER_OCCURRENCE, -(-holds // SWEEP_HOLDS_MAX))
        return [self._command(occurrence_id) for _ in range(count)]

    def _command(self, occurrence_id: str) -> Outgoing:
        return sweep_message(SweepHolds(request_id=self._new_request_id(), occurrence_id=occurrence_id))


def sweep_message(command: SweepHolds) -> Outgoing:
    """The command on its way to the occurrence's queue."""
    return Outgoing(
        exchange=REQUESTS_EXCHANGE,
        routing_key=routing_key(command.occurrence_id),
        body=encode(command),
        properties=Properties(message_id=command.request_id, type=type_name(command), app_id=APP_ID),
        mandatory=True,
    )
