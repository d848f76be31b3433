"""The gate's protocol, step by step, where the world answers in the worst way."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

from tests.support.domain import KEYS, NOW, STARTS, a_put, request_id

from holdgate_schema.codec import encode
from holdgate_schema.commands.holds import Command, PlaceHold, ReleaseHold
from holdgate_schema.envelope import Properties
from holdgate_workers.app.clock import DatabaseTime
from holdgate_workers.app.gate.effects import (
    Ack,
    AwaitCommit,
    Bury,
    Commit,
    Committed,
    Conflict,
    Load,
    Loaded,
    Pause,
    Prepare,
    Reply,
    Unavailable,
)
from holdgate_workers.app.gate.gate import Gate, GateConfig, Observer, Protocol
from holdgate_workers.app.gate.incoming import Incoming, read
from holdgate_workers.app.ports import Delivery
from holdgate_workers.domain.decision import Context, LimitKey
from holdgate_workers.domain.draft import Draft
from holdgate_workers.domain.occurrences.catalogue import put
from holdgate_workers.domain.occurrences.occurrence import Hold, Occurrence
from holdgate_workers.domain.settings.settings import Settings

Answers = dict[type, Callable[[Any], Any]]


class NoLimits:
    def used(self, limit: object) -> int:
        return 0

    def is_fresh(self, limit: object) -> bool:
        return True

    def cap(self, limit: object) -> None:
        return None


def a_gate() -> Gate:
    return Gate(GateConfig(sessions=KEYS), DatabaseTime(lambda: 0.0), Settings, Observer())


def a_delivery(body: bytes, tag: int = 1) -> Incoming:
    return read(Delivery(0, 1, tag, body, Properties(reply_to="holdgate.reply.test", correlation_id="c")))


def asking(command: Command, tag: int = 1) -> Incoming:
    return a_delivery(encode(command), tag)


def work(gate: Gate, batch: list[Incoming], answers: Answers) -> list[Any]:
    """Drive a batch to its end; the effects, in order."""
    return [*drive(gate.work(batch), answers), *drive(gate.settle(), answers)]


def drive(protocol: Protocol, answers: Answers) -> list[Any]:
    """Drive one protocol to its end; the effects, in order."""
    result: Any = None
    effects: list[Any] = []
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
        return found

    reads = iter(
        [
            Loaded(now=NOW, occurrences={occurrence.id: occurrence}, holds={hold.id: hold}),
            Loaded(now=NOW, occurrences={occurrence.id: fresh()}, holds={hold.id: hold}),
        ]
    )
    answers: Answers = {Load: lambda _: next(reads), AwaitCommit: lambda _: Committed(NOW, {})}
    effects = work(a_gate(), [asking(release)], answers)
    assert [type(effect).__name__ for effect in effects] == [
        "Load",
        "Load",
        "Commit",
        "AwaitCommit",
        "Reply",
        "Ack",
    ]
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
        AwaitCommit: lambda _: Committed(NOW, {}),
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
    answers: Answers = {Load: lambda _: Loaded(now=NOW), AwaitCommit: lambda _: next(results)}
    effects = work(a_gate(), [asking(a_put(request_id=request_id(5)))], answers)
    assert not any(isinstance(effect, Pause) for effect in effects)


# --- one batch ahead ----------------------------------------------------------------------------------------


def a_place(number: int) -> PlaceHold:
    return PlaceHold(
        request_id=request_id(number), occurrence_id=an_occurrence().id, items={"adult": 1}, session_id="ann"
    )


def ahead(first: list[Incoming], second: list[Incoming], results: list[Any]) -> tuple[list[Any], list[Any]]:
    """Two batches, the second decided while the first is on its way; what was asked for in each step."""
    outcomes = iter(results)
    answers: Answers = {
        Load: lambda wanted: Loaded(now=NOW, occurrences={name: an_occurrence() for name in wanted.occurrences}),
        AwaitCommit: lambda _: next(outcomes),
        Pause: lambda _: True,
    }
    gate = a_gate()
    begun = drive(gate.work(first), answers)
    assert [type(effect) for effect in begun] == [Load, Commit]
    assert gate.is_committing
    gone_on = drive(gate.work(second), answers)
    ended = drive(gate.settle(), answers)
    assert not gate.is_committing
    return [*begun, *gone_on], ended


def test_a_batch_is_decided_on_top_of_the_one_on_its_way_and_sent_after_it() -> None:
    effects, ended = ahead([asking(a_place(2))], [asking(a_place(3), 2)], [Committed(NOW, {}), Committed(NOW, {})])
    assert [type(effect) for effect in effects] == [Load, Commit, Prepare, AwaitCommit, Reply, Ack, Commit]
    assert effects[2].commit is effects[6]
    assert [(fence.before, fence.after) for effect in (effects[1], effects[6]) for fence in effect.fences] == [
        (1, 2),
        (2, 3),
    ]
    assert [effect.tags for effect in [*effects, *ended] if isinstance(effect, Ack)] == [{1: 1}, {1: 2}]


def test_what_was_decided_on_top_of_a_batch_that_failed_is_decided_anew() -> None:
    """The first batch is refused by the fence: neither of them is believed, both are read and decided again."""
    effects, ended = ahead(
        [asking(a_place(2))],
        [asking(a_place(3), 2)],
        [Conflict("stale"), Committed(NOW, {}), Committed(NOW, {})],
    )
    order = [Load, Commit, Prepare, AwaitCommit, Load, Commit, AwaitCommit, Reply, Ack]
    assert [type(effect) for effect in effects][: len(order)] == order
    assert ended == []  # after a failure nothing runs ahead
    commits = [effect for effect in effects if isinstance(effect, Commit)]
    assert effects[2].commit not in commits, "what was made ready is not sent"
    assert [[row.request_id for row in commit.journal] for commit in commits] == [
        [request_id(2)],
        [request_id(2)],
        [request_id(3)],
    ]
    assert [effect.tags for effect in effects if isinstance(effect, Ack)] == [{1: 1}, {1: 2}]


def test_a_repeated_request_whose_answer_is_on_its_way_gets_that_answer_once_it_is_durable() -> None:
    effects, ended = ahead([asking(a_place(2))], [asking(a_place(2), 2)], [Committed(NOW, {}), Committed(NOW, {})])
    assert [type(effect) for effect in [*effects, *ended]].count(Commit) == 1
    replies = [message.body for effect in effects if isinstance(effect, Reply) for message in effect.messages]
    assert len(replies) == 2
    assert replies[0] == replies[1]


def test_claims_that_are_on_their_way_count() -> None:
    """Ten holds of one session are on their way, and an eleventh is asked for: the number is read, once the ten
    have arrived, and not counted twice."""
    limit = LimitKey("session", "ann")
    ten = [asking(a_place(number), number) for number in range(2, 12)]
    outcomes = iter([Committed(NOW, {limit: 10}), Committed(NOW, {})])
    answers: Answers = {
        Load: lambda wanted: Loaded(
            now=NOW,
            occurrences={name: an_occurrence() for name in wanted.occurrences},
            limits=dict.fromkeys(wanted.limits, 10),
        ),
        AwaitCommit: lambda _: next(outcomes),
    }
    gate = a_gate()
    drive(gate.work(ten), answers)
    effects = [*drive(gate.work([asking(a_place(12), 12)]), answers), *drive(gate.settle(), answers)]
    assert [type(effect) for effect in effects] == [AwaitCommit, Reply, Ack, Load, Commit, AwaitCommit, Reply, Ack]
    assert set(effects[3].limits) == {limit}
    assert [(row.outcome, row.reason) for row in effects[4].journal] == [("refused", "limit_per_session")]
