"""The scripts of an on-sale: the same from the same seed, varied, and consistent in themselves."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime

import msgspec
import pytest
from msgspec.structs import replace

from holdgate_schema.codec import decode_command, encode
from holdgate_schema.commands.holds import ChangeHold, ExtendHold, PlaceHold, ReleaseHold, TicketType
from holdgate_workers.demo.occurrence import occasion
from holdgate_workers.demo.plan import Scenario, Script, Step, plan

NOW = datetime(2030, 1, 1, tzinfo=UTC)
PUT = occasion(NOW, 500)


def scenario(**more: object) -> Scenario:
    fields: dict[str, object] = {"put": PUT, "clients": 4, "places": 1000, "seed": 1, "seconds": 10.0}
    return Scenario(**{**fields, **more})  # type: ignore[arg-type]


def steps(scripts: list[Script], *why: str) -> list[Step]:
    return [step for script in scripts for step in script if step.why in why]


def test_the_same_seed_gives_the_same_scripts() -> None:
    assert plan(scenario()) == plan(scenario())
    assert plan(scenario()) != plan(scenario(seed=2))


def test_another_occurrence_gets_other_ids() -> None:
    """A second run must never meet the answers of the first."""
    other = replace(PUT, occurrence_id="another")
    ids = {step.command.request_id for step in steps(plan(scenario()), "place")}
    assert ids.isdisjoint(step.command.request_id for step in steps(plan(scenario(put=other)), "place"))


@pytest.mark.parametrize("clients", [1, 3, 8])
def test_as_many_baskets_are_asked_for_as_were_ordered(clients: int) -> None:
    places = steps(plan(scenario(clients=clients)), "place")
    assert len({step.command.request_id for step in places}) == len(places) == 1000


def test_everything_that_can_happen_does() -> None:
    scripts = plan(scenario())
    counts = Counter(step.why for script in scripts for step in script)
    assert set(counts) == {
        "place", "twin", "repeat", "conflict", "change", "extend", "release", "stranger", "look",
    }  # fmt: skip
    placed = [step.command for step in steps(scripts, "place") if isinstance(step.command, PlaceHold)]
    assert any(command.ttl_seconds for command in placed)
    assert any(command.ttl_seconds is None for command in placed)
    assert len({tuple(sorted(command.items.items())) for command in placed}) > 20


def test_every_script_is_in_the_order_of_time() -> None:
    for script in plan(scenario()):
        assert [step.at_ms for step in script] == sorted(step.at_ms for step in script)


def test_a_repeat_and_a_twin_are_the_same_body_and_a_conflict_is_another() -> None:
    scripts = plan(scenario())
    first = {step.command.request_id: encode(step.command) for step in steps(scripts, "place")}
    again = steps(scripts, "repeat", "twin")
    assert all(encode(step.command) == first[step.command.request_id] for step in again)
    assert all(encode(step.command) != first[step.command.request_id] for step in steps(scripts, "conflict"))


def test_a_twin_is_sent_by_another_client() -> None:
    """Otherwise the client would notice, and there would be one message only."""
    scripts = plan(scenario())
    owner = {
        step.command.request_id: number
        for number, script in enumerate(scripts)
        for step in script
        if step.why == "place"
    }
    for number, script in enumerate(scripts):
        assert all(owner[step.command.request_id] != number for step in script if step.why == "twin")


def test_what_is_done_to_a_hold_waits_for_it_and_is_done_by_its_owner() -> None:
    scripts = plan(scenario())
    sessions = {
        step.command.request_id: step.command.session_id
        for step in steps(scripts, "place")
        if isinstance(step.command, PlaceHold)
    }
    for step in steps(scripts, "change", "extend", "release"):
        assert isinstance(step.command, ChangeHold | ExtendHold | ReleaseHold)
        assert step.after == step.command.hold_id
        assert step.if_held
        assert step.command.session_id == sessions[step.command.hold_id]
    for step in steps(scripts, "stranger"):
        assert isinstance(step.command, ReleaseHold)
        assert step.command.session_id != sessions[step.command.hold_id]


def test_quantities_respect_the_limits_of_the_ticket_type() -> None:
    narrow = replace(PUT, ticket_types=[TicketType(key="pair", min_per_order=2, max_per_order=2)], pools=[])
    placed = [step.command for step in steps(plan(scenario(put=narrow)), "place")]
    assert {tuple(command.items.items()) for command in placed if isinstance(command, PlaceHold)} == {
        (("pair", 2),)
    }


def test_scripts_are_valid_requests_and_survive_their_file() -> None:
    for script in plan(scenario(places=100)):
        assert msgspec.json.decode(msgspec.json.encode(script), type=Script) == script
        for step in script:
            assert decode_command(encode(step.command))[0] == step.command
