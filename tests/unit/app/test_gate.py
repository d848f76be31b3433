"""The gate's protocol, step by step, where the world answers in the worst way."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

from tests.support.domain import KEYS, NOW, STARTS, a_put, request_id

from holdgate_schema.codec import encode
from holdgate_schema.envelope import Properties
from holdgate_schema.messages import Command, ReleaseHold
from holdgate_workers.app.clock import DatabaseTime
from holdgate_workers.app.effects import Ack, Bury, Commit, Committed, Conflict, Load, Loaded, Pause, Unavailable
from holdgate_workers.app.gate import Gate, GateConfig, Observer
from holdgate_workers.app.incoming import Incoming, read
from holdgate_workers.app.ports import Delivery
from holdgate_workers.domain.catalogue import put
from holdgate_workers.domain.decision import Context
from holdgate_workers.domain.draft import Draft
from holdgate_workers.domain.occurrence import Hold, Occurrence
from holdgate_workers.domain.settings import Settings

Answers = dict[type, Callable[[Any], Any]]


class NoLimits:
    def used(self, limit: object) -> int:
        return 0

    def is_fresh(self, limit: object) -> bool:
        return True


def a_gate() -> Gate:
    return Gate(GateConfig(sessions=KEYS), DatabaseTime(lambda: 0.0), Settings, Observer())


def a_delivery(body: bytes, tag: int = 1) -> Incoming:
    return read(Delivery(0, 1, tag, body, Properties(reply_to="holdgate.reply.test", correlation_id="c")))


def asking(command: Command, tag: int = 1) -> Incoming:
    return a_delivery(encode(command), tag)


def work(gate: Gate, batch: list[Incoming], answers: Answers) -> list[Any]:
    """Drive a batch to its end; the effects, in order."""
    protocol, result, effects = gate.work(batch), None, []
    while True:
        try:
            effect = protocol.send(result)
        except StopIteration:
            return effects
        effects.append(effect)
        answer = answers.get(type(effect))
        result = answer(effect) if answer else None


def an_occurrence() -> Occurrence:
    """An occurrence of which nothing is held."""
    context = Context(now=NOW, settings=Settings(), sessions=KEYS, limits=NoLimits())
    command = a_put(request_id=request_id(1))
    decision = put(Draft(command.request_id, command.occurrence_id, None, context), None, command)
    assert decision.definition is not None
    assert decision.pools is not None
    return Occurrence(command.occurrence_id, decision.definition, decision.pools, version=1)


def a_hold_of(occurrence: Occurrence) -> Hold:
    return Hold(
        id=request_id(2),
        occurrence_id=occurrence.id,
        session_id="ann",
        user_id=None,
        state="active",
        items={"adult": 2},
        extras={},
        draws={"total": 2},
        stock={},
        seats=2,
        ttl_seconds=900,
        created_at=NOW,
        expires_at=NOW + timedelta(minutes=15),
    )


def test_a_fresh_worker_whose_first_batch_nobody_can_read_buries_it() -> None:
    """It has not seen the database's clock yet, and a dead letter says when it died."""
    looks = iter([Unavailable("away"), Loaded(now=NOW)])
    answers: Answers = {Load: lambda _: next(looks), Pause: lambda _: True, Bury: lambda _: True}
    effects = work(a_gate(), [a_delivery(b"{")], answers)
    assert [type(effect).__name__ for effect in effects] == ["Load", "Pause", "Load", "Reply", "Bury", "Ack"]
    letter = effects[-2].messages[0]
    assert letter.properties.headers["x-holdgate-died-at"] == NOW.isoformat()


def test_a_worker_that_is_told_to_stop_before_it_has_seen_the_clock_leaves_the_batch_to_others() -> None:
    answers: Answers = {Load: lambda _: Unavailable("away"), Pause: lambda _: False}
    assert not any(isinstance(effect, Ack) for effect in work(a_gate(), [a_delivery(b"{")], answers))


def test_what_does_not_go_together_is_read_again() -> None:
    """Another worker has made the hold after this one had read the occurrence: to give it back would count below
    zero. The memory is wrong, not the message."""
    occurrence = an_occurrence()
    hold = a_hold_of(occurrence)
    release = ReleaseHold(
        request_id=request_id(3), occurrence_id=occurrence.id, session_id=hold.session_id, hold_id=hold.id
    )

    def fresh() -> Occurrence:
        found = an_occurrence()
        found.version = 2
        found.pools["total"].held = 2
        found.holds[hold.id] = hold
        found.index()
        return found

    reads = iter(
        [
            Loaded(now=NOW, occurrences={occurrence.id: occurrence}, holds={hold.id: hold}),
            Loaded(now=NOW, occurrences={occurrence.id: fresh()}, holds={hold.id: hold}),
        ]
    )
    answers: Answers = {Load: lambda _: next(reads), Commit: lambda _: Committed(NOW, {})}
    effects = work(a_gate(), [asking(release)], answers)
    assert [type(effect).__name__ for effect in effects] == ["Load", "Load", "Commit", "Reply", "Ack"]
    commit = effects[2]
    assert [(fence.before, fence.after) for fence in commit.fences] == [(2, 3)]
    assert [row.outcome for row in commit.journal] == ["released"]


def test_rows_that_never_add_up_cost_one_message_and_not_the_worker() -> None:
    """However often it is read: the message is set aside with the reason, its neighbour is decided."""
    occurrence = an_occurrence()
    hold = a_hold_of(occurrence)
    release = ReleaseHold(
        request_id=request_id(3), occurrence_id=occurrence.id, session_id=hold.session_id, hold_id=hold.id
    )
    neighbour = a_put(
        request_id=request_id(4),
        occurrence_id="another",
        product_id="another",
        starts_at=STARTS + timedelta(days=1),
    )

    def load(wanted: Load) -> Loaded:
        found = {occurrence.id: an_occurrence()} if occurrence.id in wanted.occurrences else {}
        return Loaded(now=NOW, occurrences=found, holds={hold.id: hold})

    answers: Answers = {
        Load: load,
        Commit: lambda _: Committed(NOW, {}),
        Pause: lambda _: True,
        Bury: lambda _: True,
    }
    effects = work(a_gate(), [asking(release), asking(neighbour, 2)], answers)
    letters = [letter for effect in effects if isinstance(effect, Bury) for letter in effect.messages]
    assert [letter.properties.headers["x-holdgate-reason"] for letter in letters] == ["impossible"]
    assert "negative" in str(letters[0].properties.headers["x-holdgate-detail"])
    outcomes = [row.outcome for effect in effects if isinstance(effect, Commit) for row in effect.journal]
    assert outcomes == ["occurrence_stored"]
    assert isinstance(effects[-1], Ack)


def test_a_conflict_is_tried_again_at_once_and_waits_only_if_it_goes_on() -> None:
    results = iter([Conflict("stale"), Conflict("stale"), Committed(NOW, {})])
    answers: Answers = {Load: lambda _: Loaded(now=NOW), Commit: lambda _: next(results)}
    effects = work(a_gate(), [asking(a_put(request_id=request_id(5)))], answers)
    assert not any(isinstance(effect, Pause) for effect in effects)
