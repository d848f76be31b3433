"""The relay's protocol: the cursor never moves before the confirms."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import msgspec

from holdgate_schema.answers.holds import HoldView
from holdgate_schema.codec import decode_event, encode
from holdgate_schema.events.holds import HoldCreated, HoldReleased
from holdgate_schema.topology import EVENTS_EXCHANGE
from holdgate_workers.app.gate.effects import Unavailable
from holdgate_workers.app.relay.relay import (
    Advance,
    Announce,
    JournalPage,
    Page,
    Position,
    ReadJournal,
    relay_round,
)

NOON = datetime(2030, 6, 1, 12, tzinfo=UTC)
START, END = Position(7, 1), Position(9, 4)


def view() -> HoldView:
    return HoldView(
        hold_id="h",
        occurrence_id="occ-1",
        session_id="s",
        state="active",
        items={"adult": 1},
        seats=1,
        created_at=NOON,
        expires_at=NOON,
    )


def event(number: int, kind: type[HoldCreated] | type[HoldReleased] = HoldCreated) -> str:
    made = kind(event_id=f"r/{number}", occurrence_id="occ-1", version=number, occurred_at=NOON, hold=view())
    return encode(made).decode()


def drive(*answers: Any) -> tuple[list[Any], Page]:
    protocol = relay_round(100)
    effects = [next(protocol)]
    try:
        for answer in answers:
            effects.append(protocol.send(answer))  # noqa: PERF401 - the last one stops it
    except StopIteration as done:
        return effects, done.value
    raise AssertionError(f"not finished after {effects[-1]}")


def page(*events: str | None) -> JournalPage:
    return JournalPage(START, END, events, 1.5)


def test_events_are_announced_in_order_and_then_the_cursor_moves() -> None:
    effects, told = drive(page(f"[{event(0)},{event(1, HoldReleased)}]", None, f"[{event(2)}]"), True, True)
    assert effects[0] == ReadJournal(100)
    announced = effects[1]
    assert isinstance(announced, Announce)
    assert [decode_event(message.body).event_id for message in announced.messages] == ["r/0", "r/1", "r/2"]
    assert [message.routing_key for message in announced.messages] == [
        "hold.created",
        "hold.released",
        "hold.created",
    ]
    assert effects[2] == Advance(START, END)
    assert (told.rows, told.announced, told.failed) == (3, 3, False)


def test_the_cursor_stays_when_the_broker_does_not_confirm() -> None:
    effects, told = drive(page(f"[{event(0)}]"), False)
    assert not any(isinstance(effect, Advance) for effect in effects)
    assert told.failed


def test_rows_without_events_only_move_the_cursor() -> None:
    effects, told = drive(page(None, None), True)
    assert effects[1:] == [Advance(START, END)]
    assert (told.rows, told.announced) == (2, 0)


def test_another_relay_that_was_faster_is_noticed() -> None:
    _, told = drive(page(None), False)
    assert told.failed


def test_nothing_new_is_nothing_to_do() -> None:
    effects, told = drive(JournalPage(START, START, (), 0.0))
    assert len(effects) == 1
    assert told.rows == 0


def test_a_database_that_is_away_is_told_not_raised() -> None:
    assert drive(Unavailable("gone"))[1].failed


def test_an_event_carries_the_cloudevents_attributes() -> None:
    effects, _ = drive(page(f"[{event(0)}]"), True, True)
    message = effects[1].messages[0]
    assert message.exchange == EVENTS_EXCHANGE
    assert message.properties.headers == {
        "cloudEvents_specversion": "1.0",
        "cloudEvents_id": "r/0",
        "cloudEvents_source": "/holdgate",
        "cloudEvents_type": "hold.created.v1",
        "cloudEvents_subject": "occ-1",
        "cloudEvents_time": msgspec.to_builtins(NOON),
    }
