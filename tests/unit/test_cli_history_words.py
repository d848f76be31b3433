"""Each event of the journal is told in words that a person understands."""

from __future__ import annotations

from typing import Any

import pytest

from holdgate_schema.contract.examples.holds import as_json, examples
from holdgate_schema.events.holds import EVENT_TYPES, event_type
from holdgate_workers.cli.output.event_text import id_of, in_words, is_about

EXAMPLES = {name: as_json(message) for name, message in examples().items()}
EVENTS = [event_type(kind) for kind in EVENT_TYPES]


def told(name: str, outcome: str = "") -> str:
    return in_words(EXAMPLES[name], outcome)


@pytest.mark.parametrize("name", EVENTS)
def test_no_event_is_shown_as_it_was_sent(name: str) -> None:
    """No braces, no names with underscores or versions, and never nothing."""
    words = told(name)
    assert words.strip()
    for technical in ("{", "}", "_", ".v1", "None"):
        assert technical not in words.replace(EXAMPLES[name]["occurrence_id"], "")


@pytest.mark.parametrize("name", EVENTS)
def test_each_event_belongs_to_one_thing_or_to_its_occurrence(name: str) -> None:
    """Rooms, occurrences and prices without a hold are nobody's."""
    event = EXAMPLES[name]
    thing_id = id_of(event)
    assert (thing_id is None) == name.startswith(("capacity.", "occurrence.", "quote."))
    if thing_id is not None:
        assert is_about(event, thing_id)
    assert not is_about(event, "00000000-0000-0000-0000-000000000000")


HOLD: dict[str, Any] = {"hold_id": "h", "items": {"adult": 2}, "cart_id": "c"}
BOOKING: dict[str, Any] = {
    "booking_id": "b",
    "hold_id": "h",
    "state": "confirmed",
    "items": {"adult": 2},
    "quote": {"total": 5000, "currency": "EUR"},
}


@pytest.mark.parametrize(
    ("event", "outcome", "words"),
    [
        ({"type": "hold.created.v1", "hold": HOLD}, "held", "2 adult"),
        (
            {"type": "hold.expired.v1", "hold": HOLD, "reason": "seats_needed"},
            "held",
            "expired 2 adult (seats needed)",
        ),
        ({"type": "hold.priced.v1", "hold": HOLD, "quote": BOOKING["quote"]}, "priced", "priced at 50.00 EUR"),
        ({"type": "booking.confirmed.v1", "booking": BOOKING}, "confirmed", "2 adult, 50.00 EUR"),
        (
            {
                "type": "booking.parked.v1",
                "booking": BOOKING | {"state": "refund_required", "refund": "due", "reason": "seats are gone"},
            },
            "refused",
            "booking refund required, 2 adult, 50.00 EUR, refund due (seats are gone)",
        ),
        (
            {"type": "capacity.nearly_full.v1", "pool": "deck", "sellable": 20, "taken": 19},
            "held",
            "deck nearly full: 19 of 20 taken",
        ),
        ({"type": "waitlist.left.v1", "reason": "occurrence_ended"}, "", "left the line (occurrence ended)"),
        ({"type": "cart.settled.v1", "outcome": "refused", "reason": "sold_out"}, "", "cart refused: sold out"),
    ],
)
def test_what_matters_is_said(event: dict[str, Any], outcome: str, words: str) -> None:
    """What the outcome says already is not said again."""
    assert in_words(event, outcome) == words


def test_a_thing_is_found_by_every_id_that_it_goes_by() -> None:
    """A booking by the hold that it was and by the one that has its seats; a hold by its cart."""
    for thing_id in ("b", "h"):
        assert is_about({"booking": BOOKING}, thing_id)
    for thing_id in ("h", "c"):
        assert is_about({"hold": HOLD}, thing_id)
    assert not is_about({"booking": BOOKING}, "c")
