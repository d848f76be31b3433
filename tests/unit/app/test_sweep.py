"""The expiry worker's protocol: asks once, no faster than the gate can bear, and stops when the clock jumps."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from holdgate_schema.codec import decode_command
from holdgate_schema.commands.holds import SweepHolds
from holdgate_schema.routing import routing_key
from holdgate_workers.app.clock import DatabaseTime
from holdgate_workers.app.expiry.sweep import (
    COMMAND_WEIGHT,
    HOLDS_PER_COMMAND,
    LINES_SECONDS,
    RESEND_SECONDS,
    ROUND_SECONDS,
    SLOW_SECONDS,
    WEIGHT_MAX,
    Due,
    ReadDue,
    ReadWorked,
    Round,
    SendSweeps,
    Sweeper,
)
from holdgate_workers.app.gate.effects import Unavailable
from holdgate_workers.app.ports import Outgoing

NOON = datetime(2030, 6, 1, 12, tzinfo=UTC)


PATIENCE_SECONDS = 0.01


class World:
    """A database with due holds, a broker that takes commands, and a gate that works them or does not."""

    def __init__(self) -> None:
        self.seconds = 0.0
        self.due: dict[str, int] = {}
        self.oldest_due_at = -3.0
        self.lines: list[str] = []
        self.jump = timedelta()
        self.confirms = True
        self.works = True
        """Whether the gate has worked, at each look, all that was sent before it."""
        self.remembers = True
        """Whether the database answers when it is asked what was worked."""
        self.sent: list[Outgoing] = []
        self.waiting: dict[str, str] = {}
        self.heaviest = 0
        ids = itertools.count()
        self.sweeper = Sweeper(
            DatabaseTime(self.monotonic), self.monotonic, lambda: f"00000000-0000-4000-8000-{next(ids):012d}"
        )

    def monotonic(self) -> float:
        return self.seconds

    def round(self, answer: Unavailable | None = None) -> Round:
        protocol = self.sweeper.round()
        reply: Any = None
        try:
            while True:
                effect = protocol.send(reply)
                if isinstance(effect, ReadDue):
                    reply = answer or self.look(effect)
                elif isinstance(effect, ReadWorked):
                    reply = self.worked(effect)
                else:
                    assert isinstance(effect, SendSweeps)
                    reply = self.publish(effect)
        except StopIteration as done:
            told: Round = done.value
            return told

    def look(self, wanted: ReadDue) -> Due:
        now = NOON + timedelta(seconds=self.seconds) + self.jump
        oldest = dict.fromkeys(self.due, NOON + timedelta(seconds=self.oldest_due_at) + self.jump)
        return Due(now, dict(self.due), oldest, self.lines if wanted.lines_too else [])

    def worked(self, wanted: ReadWorked) -> set[str] | Unavailable:
        self.seconds += PATIENCE_SECONDS if wanted.patiently else 0
        if not self.remembers:
            return Unavailable("gone")
        if not self.works:
            return set()
        for request_id, occurrence_id in wanted.commands.items():
            if self.waiting.pop(request_id, None) is not None:
                self.due[occurrence_id] = max(0, self.due.get(occurrence_id, 0) - HOLDS_PER_COMMAND)
        self.due = {key: holds for key, holds in self.due.items() if holds}
        return set(wanted.commands)

    def publish(self, sweeps: SendSweeps) -> bool:
        self.sent += sweeps.messages
        if self.confirms:
            for message in sweeps.messages:
                command, _ = decode_command(message.body)
                self.waiting[command.request_id] = command.occurrence_id
        self.heaviest = max(self.heaviest, len(self.waiting))
        return self.confirms

    def commands(self) -> Sequence[SweepHolds]:
        commands = [decode_command(message.body)[0] for message in self.sent]
        assert all(isinstance(command, SweepHolds) for command in commands)
        return commands  # type: ignore[return-value]


def test_one_command_per_occurrence_goes_to_its_own_queue() -> None:
    world = World()
    world.due = {"occ-1": 1, "occ-2": 7}
    told = world.round()
    assert [command.occurrence_id for command in world.commands()] == ["occ-1", "occ-2"]
    assert [message.routing_key for message in world.sent] == [routing_key("occ-1"), routing_key("occ-2")]
    assert all(message.mandatory for message in world.sent)
    assert (told.due, told.sent, told.lag_seconds) == (8, 2, 3.0)


def test_it_does_not_ask_again_while_nothing_has_changed() -> None:
    world = World()
    world.works = False
    world.due = {"occ-1": 3}
    world.round()
    world.seconds = RESEND_SECONDS - 0.1
    assert world.round().sent == 0


def test_it_asks_again_after_a_while_in_case_the_command_was_lost() -> None:
    world = World()
    world.works = False
    world.due = {"occ-1": 3}
    world.round()
    world.seconds = RESEND_SECONDS
    assert world.round().sent == 1


def test_a_queue_that_nobody_serves_is_asked_less_and_less_often() -> None:
    """An hour later there are not thousands of commands in it; and once it is served, all is as before."""
    world = World()
    world.works = False
    world.due = {"occ-1": 3}
    while world.seconds < 3600:
        world.round()
        world.seconds += 1
    assert 60 < len(world.sent) < 70
    world.works = True
    world.due = {"occ-1": 5 * HOLDS_PER_COMMAND}
    world.round()
    world.works = False
    world.round()
    sent = len(world.sent)
    world.seconds += RESEND_SECONDS
    world.round()
    assert len(world.sent) > sent


def test_it_asks_again_at_once_for_what_came_due_since() -> None:
    world = World()
    world.works = False
    world.due = {"occ-1": 3}
    world.round()
    world.due = {"occ-1": 5}
    assert world.round().sent == 1


def test_it_asks_again_at_once_for_others_though_they_are_as_many() -> None:
    """One was due and is expired; by the next look another one is due."""
    world = World()
    world.due = {"occ-1": 1}
    world.round()
    world.worked(ReadWorked(dict(world.waiting), patiently=False))
    world.due = {"occ-1": 1}
    assert world.round().sent == 1


def test_a_storm_is_worked_off_with_few_commands_on_their_way() -> None:
    """Whoever asks for a seat meanwhile waits behind these, and not behind all of the storm."""
    world = World()
    world.due = {f"occ-{number}": 20 * HOLDS_PER_COMMAND for number in range(10)}
    rounds = 0
    while world.due:
        told = world.round()
        rounds += 1
        assert told.unfinished or not world.due or sum(world.due.values()) <= WEIGHT_MAX
    assert world.heaviest * (HOLDS_PER_COMMAND + COMMAND_WEIGHT) <= WEIGHT_MAX
    assert all(command.holds_max == HOLDS_PER_COMMAND for command in world.commands())
    assert world.seconds <= rounds * (ROUND_SECONDS + PATIENCE_SECONDS)


def test_in_a_storm_each_occurrence_has_its_first_turn_before_any_has_its_second() -> None:
    world = World()
    world.due = {"large": 10_000, "small": 1, "other": 70}
    world.round()
    assert [command.occurrence_id for command in world.commands()][:4] == ["large", "small", "other", "large"]


def test_commands_that_nobody_works_hold_up_nobody_else_for_long() -> None:
    world = World()
    world.works = False
    world.due = {f"stuck-{number}": HOLDS_PER_COMMAND for number in range(2)} | {"other": 1}
    while world.round().unfinished:
        pass
    assert world.commands()[-1].occurrence_id == "other"
    assert world.seconds <= SLOW_SECONDS + ROUND_SECONDS


def test_what_was_worked_cannot_be_read_and_sweeping_goes_on_slowly() -> None:
    world = World()
    world.remembers = False
    world.due = {"occ-1": 5 * HOLDS_PER_COMMAND}
    told = world.round()
    assert not told.failed
    assert told.sent > WEIGHT_MAX // (HOLDS_PER_COMMAND + COMMAND_WEIGHT)


def test_nothing_is_swept_while_the_clock_is_not_believed() -> None:
    world = World()
    world.round()
    world.due = {"occ-1": 1000}
    world.jump = timedelta(hours=1)
    told = world.round()
    assert told.paused
    assert not world.sent


def test_it_goes_on_when_the_clock_is_right_again() -> None:
    world = World()
    world.round()
    world.due = {"occ-1": 1}
    world.jump = timedelta(hours=1)
    world.round()
    world.jump = timedelta()
    assert world.round().sent == 1


def test_unconfirmed_commands_are_sent_again_at_the_next_round() -> None:
    world = World()
    world.due = {"occ-1": 1}
    world.confirms = False
    assert world.round().failed
    world.confirms = True
    assert world.round().sent == 1


def test_a_database_that_is_away_is_told_not_raised() -> None:
    assert World().round(Unavailable("gone")).failed


def test_lines_that_could_be_served_are_asked_for_now_and_then_and_once() -> None:
    """The first time at once: a worker that starts does not know for how long nobody has looked."""
    world = World()
    world.lines = ["occ-3", "occ-1"]
    world.due = {"occ-1": 1}
    assert world.round().sent == 2
    assert sorted(command.occurrence_id for command in world.commands()) == ["occ-1", "occ-3"]
    world.due = {}
    assert world.round().sent == 0
    world.seconds += LINES_SECONDS
    assert world.round().sent == 2
    world.seconds += LINES_SECONDS
    world.confirms = False
    assert world.round().failed
    world.confirms = True
    assert world.round().sent == 2


def test_no_line_is_served_while_the_clock_has_jumped() -> None:
    world = World()
    world.round()
    world.seconds += LINES_SECONDS
    world.jump = timedelta(minutes=5)
    world.lines = ["occ-1"]
    assert world.round().paused
    world.jump = timedelta()
    assert world.round().sent == 1
