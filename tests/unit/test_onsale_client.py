"""A client of an on-sale notes every sending and every answer, and does not give up too early."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from holdgate_producer.client.client import BookingClient
from holdgate_producer.client.config import ClientConfig
from holdgate_producer.testing import FakeGate
from holdgate_schema.answers.holds import Reason
from holdgate_schema.commands.holds import PlaceHold, ReleaseHold
from holdgate_workers.demo.client import NotingLink, Performer
from holdgate_workers.demo.notes import NoteBook, Sent, read_notes
from holdgate_workers.demo.occurrence import occasion
from holdgate_workers.demo.plan import Scenario, Script, Step, plan
from holdgate_workers.demo.recount.evidence import Story, gather

PLACE = PlaceHold(
    request_id="00000000-0000-4000-8000-000000000001",
    occurrence_id="occ-1",
    items={"adult": 1},
    session_id="s",
)
RELEASE = ReleaseHold(
    request_id="00000000-0000-4000-8000-000000000002",
    occurrence_id="occ-1",
    session_id="s",
    hold_id=PLACE.request_id,
)


def performed(gate: FakeGate, path: Path, script: Script) -> dict[str, Story]:
    notes = NoteBook(path)
    config = ClientConfig(url="amqp://fake", app_id="test", timeout_seconds=0.3)
    with BookingClient(config, link=NotingLink(gate, notes)) as client:
        Performer(client, notes).perform(script, paced=False)
    notes.close()
    return gather(read_notes([path]))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "notes.jsonl"


def test_a_repeat_is_really_sent_and_both_answers_are_noted(path: Path) -> None:
    gate = FakeGate({"occ-1": 5})
    steps = [Step(at_ms=0, why="place", command=PLACE)]
    steps.append(Step(at_ms=1, why="repeat", command=PLACE, after=PLACE.request_id))
    story = performed(gate, path, steps)[PLACE.request_id]
    assert len(gate.requests) == 2
    assert story.repeats == 1
    assert list(story.answers.values()) == [2]
    assert story.latency_ns is not None


def test_a_request_without_an_answer_is_tried_again_under_its_id(path: Path) -> None:
    gate = FakeGate({"occ-1": 5})
    gate.drop_next_answer()
    story = performed(gate, path, [Step(at_ms=0, why="place", command=PLACE)])[PLACE.request_id]
    assert (story.tries, len(story.errors), len(story.answers)) == (1, 1, 1)
    assert gate.available("occ-1") == 4


def test_a_busy_service_is_asked_again(path: Path) -> None:
    gate = FakeGate({"occ-1": 5})
    gate.refuse_next(Reason.UNAVAILABLE)
    story = performed(gate, path, [Step(at_ms=0, why="place", command=PLACE)])[PLACE.request_id]
    assert story.tries == 1
    assert sum(story.answers.values()) == 2


def test_what_is_for_a_hold_is_left_out_if_there_is_none(path: Path) -> None:
    follow = Step(at_ms=1, why="release", command=RELEASE, after=PLACE.request_id, if_held=True)
    script = [Step(at_ms=0, why="place", command=PLACE), follow]
    assert RELEASE.request_id not in performed(FakeGate({"occ-1": 0}), path, script)
    path.unlink()
    assert RELEASE.request_id in performed(FakeGate({"occ-1": 1}), path, script)


def test_a_torn_last_line_is_left_out(path: Path) -> None:
    notes = NoteBook(path)
    notes.write(Sent(PLACE.request_id, "{}", 1))
    notes.close()
    with path.open("ab") as file:
        file.write(b'{"note":"answ')
    assert list(read_notes([path])) == [Sent(PLACE.request_id, "{}", 1)]


def test_a_whole_script_gets_an_answer_to_everything(path: Path) -> None:
    put = occasion(datetime(2030, 1, 1, tzinfo=UTC), 50)
    script, _ = plan(Scenario(put=put, clients=2, places=200, seed=1))
    stories = performed(FakeGate({put.occurrence_id: 50}), path, script)
    assert len(stories) >= 100
    assert all(story.answers and not story.errors for story in stories.values())
