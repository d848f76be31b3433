"""The expiry worker's protocol: one command per occurrence with due holds, paced.

It decides nothing. It tells the occurrence's own queue that something is due; whether it is, is decided there,
by the database's clock. So any number of sweepers may run, or none: then holds that stand in somebody's way are
expired by the request that needs the room.

Nobody waits for a sweep, and everybody waits behind one. So a command ends few holds, and only a few commands are
on their way at any time: however many holds are due at once, who asks for a seat meanwhile waits hardly longer.

Now and then it also asks the queues of occurrences that have both room and a waiting list. Whatever frees seats
makes the offers itself, but a limit that stood in the way can be freed elsewhere, and a sale can open by the clock.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Collection, Generator, Sequence, Set
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from holdgate_schema.codec import encode
from holdgate_schema.commands.holds import SweepHolds, type_name
from holdgate_schema.envelope import Properties
from holdgate_schema.routing import routing_key
from holdgate_schema.topology import REQUESTS_EXCHANGE
from holdgate_workers.app.clock import DatabaseTime
from holdgate_workers.app.gate.answers import APP_ID
from holdgate_workers.app.gate.effects import Unavailable
from holdgate_workers.app.ports import Outgoing

DUE_MAX = 5_000
"""So many due holds are looked at in a round; more than are swept before the next."""
HOLDS_PER_COMMAND = 60
COMMAND_WEIGHT = 10
"""What a command costs the gate beside the holds that it ends, in holds."""
WEIGHT_MAX = COMMAND_WEIGHT + HOLDS_PER_COMMAND
"""So much may be on its way: one full command, or several small ones. The rest of a batch is for those who wait.
Measured: one of 60 at a time ends a storm no later than two of 40, and newcomers wait two thirds as long."""
ROUND_SECONDS = 1.0
"""After so long it looks anew what is due."""
SLOW_SECONDS = 0.5
"""A command that takes longer waits in a long queue, or in one that nobody serves; others need not wait for it."""
RESEND_SECONDS = 2.0
"""So long a command counts as on its way. One that was worked with a clock a few milliseconds behind the database's has
found nothing, and leaves no trace; so soon after it the occurrence is asked again."""
RESEND_MAX_SECONDS = 60.0
"""A queue that nobody serves is not filled with commands: each that is not heard of is waited for twice as long."""
LINES_SECONDS = 30.0
"""So often it looks for waiting lists that could be served."""


@dataclass(slots=True, frozen=True)
class ReadDue:
    """Ask which occurrences have due holds, the longest overdue first. Answered by `Due` or `Unavailable`.

    At most so many holds are looked at; the longest overdue ones. `lines_too`: and which occurrences have room for
    somebody in line, as many at most.
    """

    holds_max: int
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


@dataclass(slots=True, frozen=True)
class ReadWorked:
    """Ask which of the commands, request id -> occurrence, were worked: they are in the journal, or there is nothing
    due (any longer) on their occurrence. Answered by a set of request ids, or `Unavailable`.

    `patiently`: there is nothing to do meanwhile, so a few milliseconds are waited first.
    """

    commands: dict[str, str]
    patiently: bool


SweepEffect = ReadDue | SendSweeps | ReadWorked


@dataclass(slots=True, frozen=True)
class Round:
    """What one round found and did."""

    due: int
    sent: int
    lag_seconds: float
    paused: bool = False
    failed: bool = False
    unfinished: bool = False
    """Whether there was more to send than the pace allowed."""

    @property
    def busy(self) -> bool:
        """Whether to look again soon."""
        return self.sent > 0


@dataclass(slots=True, frozen=True)
class _Asked:
    """A command, and how many due holds it is meant for."""

    occurrence_id: str
    holds: int
    at: float = 0.0

    @property
    def weight(self) -> int:
        return COMMAND_WEIGHT + self.holds


class Sweeper:
    """Looks for due holds and asks their queues to expire them."""

    def __init__(
        self,
        time: DatabaseTime,
        monotonic: Callable[[], float],
        new_request_id: Callable[[], str],
        *,
        holds_max: int = DUE_MAX,
        weight_max: int = WEIGHT_MAX,
    ) -> None:
        self._time = time
        self._monotonic = monotonic
        self._new_request_id = new_request_id
        self._holds_max = holds_max
        self._weight_max = weight_max
        self._under_way: dict[str, _Asked] = {}
        """Request id -> what was sent and is not known to have been worked."""
        self._unheard: dict[str, int] = {}
        """Occurrence -> how often in a row its commands were given up, while something is due there."""
        self._lines_at = monotonic()

    def round(self) -> Generator[SweepEffect, Any, Round]:
        """One look, and the commands that it asks for. While the database's clock has jumped ahead nothing is swept."""
        yield from self._look_after(patiently=False)
        asked_at = self._time.mark()
        lines_too = self._monotonic() >= self._lines_at
        due: Due | Unavailable = yield ReadDue(self._holds_max, lines_too)
        if isinstance(due, Unavailable):
            return Round(0, 0, 0.0, failed=True)
        self._time.observe(due.now, asked_at)
        lag = max(((due.now - oldest).total_seconds() for oldest in due.oldest.values()), default=0.0)
        total = sum(due.holds.values())
        if self._time.jump is not None:
            return Round(total, 0, lag, paused=True)
        if lines_too:
            self._lines_at = self._monotonic() + LINES_SECONDS
        plan = deque(self._plan(due))
        sent = yield from self._send(plan)
        if sent is None:
            self._under_way.clear()
            self._lines_at = self._monotonic() if lines_too else self._lines_at
            return Round(total, 0, lag, failed=True)
        return Round(total, sent, lag, unfinished=bool(plan))

    def _plan(self, due: Due) -> list[_Asked]:
        """What to send: for all that is due and not asked for yet, the longest overdue first, and for lines.

        Each occurrence has its first command before any has its second, so that none waits for a larger one.
        """
        self._unheard = {key: times for key, times in self._unheard.items() if key in due.holds}
        asked = Counter[str]()
        for command in self._under_way.values():
            asked[command.occurrence_id] += command.holds
        left = {key: holds - asked[key] for key, holds in due.holds.items() if holds > asked[key]}
        plan: list[_Asked] = []
        while left:
            plan += [_Asked(key, min(holds, HOLDS_PER_COMMAND)) for key, holds in left.items()]
            left = {key: holds - HOLDS_PER_COMMAND for key, holds in left.items() if holds > HOLDS_PER_COMMAND}
        return plan + [_Asked(key, 0) for key in due.lines if key not in due.holds]

    def _send(self, plan: deque[_Asked]) -> Generator[SweepEffect, Any, int | None]:
        """Send as much of the plan as the pace and the time allow; how many, None if not all were confirmed."""
        sent = 0
        until = self._monotonic() + ROUND_SECONDS
        while plan and self._monotonic() < until:
            commands = self._that_fit(plan)
            if not commands:
                yield from self._look_after(patiently=True)
                continue
            confirmed: bool = yield SendSweeps([self._message(key, each) for key, each in commands.items()])
            if not confirmed:
                return None
            self._under_way |= commands
            sent += len(commands)
        return sent

    def _that_fit(self, plan: deque[_Asked]) -> dict[str, _Asked]:
        """The next commands of the plan, by request id, as far as there is room beside those on their way."""
        now = self._monotonic()
        room = self._weight_max - sum(
            command.weight for command in self._under_way.values() if now - command.at < SLOW_SECONDS
        )
        commands: dict[str, _Asked] = {}
        while plan and (plan[0].weight <= room or room == self._weight_max):
            chosen = plan.popleft()
            room -= chosen.weight
            commands[self._new_request_id()] = _Asked(chosen.occurrence_id, chosen.holds, now)
        return commands

    def _look_after(self, *, patiently: bool) -> Generator[SweepEffect, Any, None]:
        """Forget the commands that were worked, and those that must have been lost."""
        if not self._under_way:
            return
        commands = {request_id: command.occurrence_id for request_id, command in self._under_way.items()}
        worked: Collection[str] | Unavailable = yield ReadWorked(commands, patiently)
        if isinstance(worked, Unavailable):
            worked = ()
        self._forget(frozenset(worked))

    def _forget(self, worked: Set[str]) -> None:
        now = self._monotonic()
        heard = {self._under_way[request_id].occurrence_id for request_id in worked}
        for key in heard:
            self._unheard.pop(key, None)
        left = {key: command for key, command in self._under_way.items() if key not in worked}
        given_up = {key for key, command in left.items() if now - command.at >= self._patience(command)}
        for key in {left[request_id].occurrence_id for request_id in given_up} - heard:
            self._unheard[key] = self._unheard.get(key, 0) + 1
        self._under_way = {key: command for key, command in left.items() if key not in given_up}

    def _patience(self, command: _Asked) -> float:
        doubled = min(self._unheard.get(command.occurrence_id, 0), 10)
        return min(RESEND_MAX_SECONDS, RESEND_SECONDS * 2.0**doubled)

    def _message(self, request_id: str, asked: _Asked) -> Outgoing:
        return sweep_message(
            SweepHolds(request_id=request_id, occurrence_id=asked.occurrence_id, holds_max=HOLDS_PER_COMMAND)
        )


def sweep_message(command: SweepHolds) -> Outgoing:
    """The command on its way to the occurrence's queue."""
    return Outgoing(
        exchange=REQUESTS_EXCHANGE,
        routing_key=routing_key(command.occurrence_id),
        body=encode(command),
        properties=Properties(message_id=command.request_id, type=type_name(command), app_id=APP_ID),
        mandatory=True,
    )
