"""The state table of docs/bookings.md: every booking, every command and event, and what comes of it, decided."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from tests.support.box_office import TOTAL, BoxOffice, stories

PAGE = Path(__file__).parents[3] / "docs" / "bookings.md"

COMMANDS: dict[str, Callable[[BoxOffice, str], object]] = {
    "convert": lambda box, booking: box.convert(booking),
    "settle ordered": lambda box, booking: box.settle(booking),
    "settle failed": lambda box, booking: box.settle(booking, "failed"),
    "settle unknown": lambda box, booking: box.settle(booking, "unknown"),
    "settle waiting": lambda box, booking: box.settle(booking, "waiting"),
    "cancel": lambda box, booking: box.cancel(booking),
    "order pending": lambda box, booking: box.note(booking, "pending", 9),
    "order paid": lambda box, booking: box.note(booking, "paid", 9),
    "order cancelled": lambda box, booking: box.note(booking, "cancelled", 9),
    "order failed": lambda box, booking: box.note(booking, "failed", 9),
    "order refunded": lambda box, booking: box.note(booking, "refunded", 9),
    "order paid, all given back": lambda box, booking: box.note(booking, "paid", 9, refunded=TOTAL),
    "resolve fulfil": lambda box, booking: box.resolve(booking, "fulfil"),
    "resolve refund": lambda box, booking: box.resolve(booking, "refund"),
    "resolve refunded": lambda box, booking: box.resolve(booking, "refunded"),
    "resolve cancel": lambda box, booking: box.resolve(booking, "cancel"),
    "sweep": lambda box, booking: box.sweep(),
}
AFTERWARDS = ("convert", "settle ordered", "cancel", "order paid", "resolve fulfil", "resolve cancel")
"""What is asked for when the occurrence is over, or was called off."""


def told(box: BoxOffice, booking_id: str) -> tuple[str, str]:
    """The booking's state and what is to happen with the money."""
    booking = box.bookings[booking_id]
    return booking.state, booking.refund


def cell(state: str, command: str) -> str:
    """What comes of it: the new state and, if that changes, the refund; `–`: the booking stays as it is."""
    command, _, when = command.partition(", after it ")
    box = BoxOffice()
    booking_id = box.story(state)
    if when == "ended":
        box.pass_its("ends_at")
    elif when:
        box.call_off()
    before, events = told(box, booking_id), len(box.events)
    COMMANDS[command](box, booking_id)
    after = told(box, booking_id)
    if after[0] != before[0]:
        refund = {"due": ", refund due", "done": ", refunded"}.get(after[1], "")
        return f"**{after[0]}**{refund}"
    if after[1] != before[1]:
        return {"due": "refund due", "done": "refunded", "none": "no refund"}[after[1]]
    return "noted" if len(box.events) > events else "–"


def table() -> list[str]:
    """The whole table, as it stands on the page."""
    states = list(stories)
    head = [f"| | {' | '.join(states)} |", f"|---|{'---|' * len(states)}"]
    after = [f"{command}, after it {when}" for when in ("ended", "was cancelled") for command in AFTERWARDS]
    rows = [
        f"| {command} | {' | '.join(cell(state, command) for state in states)} |"
        for command in [*COMMANDS, *after]
    ]
    return head + rows


def test_the_page_shows_what_is_decided() -> None:
    page = PAGE.read_text(encoding="utf-8").splitlines()
    missing = [line for line in table() if line not in page]
    assert missing == [], "\n".join(table())


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize("state", stories)
def test_no_command_breaks_a_booking_and_repeated_it_changes_nothing_more(state: str, command: str) -> None:
    """`BoxOffice` counts the seats after each."""
    box = BoxOffice()
    booking_id = box.story(state)
    COMMANDS[command](box, booking_id)
    once = told(box, booking_id), box.seats
    COMMANDS[command](box, booking_id)
    assert (told(box, booking_id), box.seats) == once
