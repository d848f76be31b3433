"""The expiry worker's protocol: asks once, asks again when it helped, and stops when the clock jumps."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from holdgate_schema.codec import decode_command
from holdgate_schema.messages import SWEEP_HOLDS_MAX, SweepHolds
from holdgate_schema.slots import routing_key
from holdgate_workers.app.clock import DatabaseTime
from holdgate_workers.app.effects import Unavailable
from holdgate_workers.app.ports import Outgoing
from holdgate_workers.app.sweep import (
    COMMANDS_PER_OCCURRENCE,
    LINES_SECONDS,
    RESEND_SECONDS,
    Due,
    ReadDue,
    Round,
    SendSweeps,
    Sweeper,
)

NOON = datetime(2030, 6, 1, 12, tzinfo=UTC)


class World:
    """A database with due holds and a broker that takes commands."""

    def __init__(self) -> None:
        self.seconds = 0.0
        self.due: dict[str, int] = {}
        self.oldest_due_at = -3.0
        self.lines: list[str] = []
        self.jump = timedelta()
        self.confirms = True
        self.sent: list[Outgoing] = []
        ids = itertools.count()
        self.sweeper = Sweeper(
            DatabaseTime(self.monotonic), self.monotonic, lambda: f"00000000-0000-4000-8000-{next(ids):012d}"
        )

    def monotonic(self) -> float:
        return self.seconds

    def round(self, answer: Unavailable | None = None) -> Round:
        protocol = self.sweeper.round()
        asked = next(protocol)
        assert isinstance(asked, ReadDue)
        lines = self.lines if asked.lines_too else []
        now = NOON + timedelta(seconds=self.seconds) + self.jump
        oldest = dict.fromkeys(self.due, NOON + timedelta(seconds=self.oldest_due_at) + self.jump)
        try:
            effect = protocol.send(answer or Due(now, dict(self.due), oldest, lines))
            assert isinstance(effect, SendSweeps)
            self.sent += effect.messages
            protocol.send(self.confirms)
        except StopIteration as done:
            return done.value
        raise AssertionError("the round has more effects than it should")

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
    world.due = {"occ-1": 3}
    world.round()
    world.seconds = RESEND_SECONDS - 0.1
    assert world.round().sent == 0


def test_it_asks_again_after_a_while_in_case_the_command_was_lost() -> None:
    world = World()
    world.due = {"occ-1": 3}
    world.round()
    world.seconds = RESEND_SECONDS + 0.1
    assert world.round().sent == 1


def test_it_asks_again_at_once_when_the_last_command_has_helped() -> None:
    world = World()
    world.due = {"occ-1": 5 * SWEEP_HOLDS_MAX}
    world.round()
    world.due = {"occ-1": 2 * SWEEP_HOLDS_MAX}
    assert world.round().sent == 2


def test_it_asks_again_at_once_for_others_though_they_are_as_many() -> None:
    """One was due and is expired; by the next look another one is due."""
    world = World()
    world.due = {"occ-1": 1}
    world.round()
    world.oldest_due_at += 2
    assert world.round().sent == 1


def test_a_storm_is_bounded_in_flight() -> None:
    world = World()
    world.due = {"occ-1": 100_000}
    assert world.round().sent == COMMANDS_PER_OCCURRENCE


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
