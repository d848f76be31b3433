"""Each change of a booking is told to its buyer, or deliberately is not: the table of docs/notifications.md.

Every booking of `box_office.stories`, every command and event that there is, in time, after the end and after the
occurrence was called off, under each way of treating late money. A change that is not in the table is red.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from functools import cache
from itertools import product
from pathlib import Path

import pytest
from tests.support.box_office import TOTAL, BoxOffice, stories
from tests.support.notices import a_slot
from tests.unit.domain.test_booking_table import COMMANDS as OF_THE_TABLE

from holdgate_schema.events.holds import Event, event_routing_key, event_type
from holdgate_workers.app.notifications.facts import Booking, Piece, state_for_buyer
from holdgate_workers.app.notifications.planning import PLAN_MAILS, plan_mails
from holdgate_workers.app.notifications.telling import Told, tell
from holdgate_workers.app.tasks.tasks import DecidedRow
from holdgate_workers.domain.settings.settings import parse

PAGE = Path(__file__).parents[3] / "docs" / "notifications.md"


@dataclass
class Buyer:
    """What one buyer was told, as the tables keep it."""

    box: BoxOffice
    booking_id: str
    told: Told | None = None
    keys: set[str] = field(default_factory=set)
    read: int = 0

    def hear(self) -> list[str]:
        """The kinds of mails that follow from what happened since."""
        new, self.read = self.box.events[self.read :], len(self.box.events)
        kinds: list[str] = []
        for event in new:
            for task in plan_mails(decided(event, self.box.now)):
                assert task.kind == PLAN_MAILS
                kinds += self._plan(event_routing_key(event_type(event)))
        return kinds

    def _plan(self, event: str) -> list[str]:
        telling = tell(event, self._booking(), self.told, self.box.now)
        if telling is None:
            return []
        self.told = telling.told
        fresh = [notice for notice in telling.plan.send if notice.key not in self.keys]
        self.keys |= {notice.key for notice in fresh}
        return sorted({str(notice.kind) for notice in fresh} - {"reminder"})

    def _booking(self) -> Booking:
        known, occurrence = self.box.bookings[self.booking_id], self.box.occurrence
        assert occurrence is not None
        what = occurrence.definition
        times = {"ends_at": what.ends_at, "status": what.status, "version": occurrence.version}
        return Booking(
            booking_id=known.id,
            session_id=known.session_id,
            reference=known.id,
            slot=a_slot(what.starts_at, **times),
            tickets=tuple(Piece(key=key, label=key, quantity=n) for key, n in known.items.items()),
            version=occurrence.version,
            changed_at=self.box.now,
            state=state_for_buyer(known),
            refunded=known.refunded + known.refund_due,
        )


def decided(event: Event, now: datetime) -> DecidedRow:
    """A decision with this event."""
    return DecidedRow(
        request_id="r",
        kind="k",
        outcome="o",
        occurrence_id=event.occurrence_id,
        version=event.version,
        session_id=None,
        hold_id=None,
        events=[event],
        decided_at=now,
    )


POLICIES = ("fulfil_or_park", "fulfil_or_refund", "park", "refund")
WHEN = ("in time", "ended", "called off")
COMMANDS: dict[str, Callable[[BoxOffice, str], object]] = {
    **OF_THE_TABLE,
    "reduce": lambda box, booking: box.reduce(booking, {"adult": 1}),
    "settle ordered, unpaid": lambda box, booking: box.settle(booking, status="pending"),
    "resolve cancel, nothing back": lambda box, booking: box.resolve(booking, "cancel", 0),
    "resolve refund, nothing back": lambda box, booking: box.resolve(booking, "refund", 0),
}
ANSWERED = "the request is answered so"
NOTED = "nothing changes that a visitor must know; who gives money back tells of it"
DECIDED = "a person decides, and that is told"
SHARES = {"ticket.adult": TOTAL // 2}

SILENT = {
    ("held", "converting"): ANSWERED,
    ("held", "parked"): f"{ANSWERED}, and {DECIDED}",
    ("held", "refund_required"): f"{ANSWERED}, and the cancellation tells that the money went back",
    ("converting", "failed"): f"{ANSWERED}, and no money was taken",
    ("converting", "parked"): f"{ANSWERED}, and {DECIDED}",
    ("converting", "refund_required"): f"{ANSWERED}, and the cancellation tells that the money went back",
    ("parked", "refund_required"): "the cancellation tells that the money went back",
    ("refund_required", "parked"): DECIDED,
    ("cancelled", "parked"): f"it was told as cancelled; {DECIDED}",
    ("cancelled", "refund_required"): "it was told as cancelled, with what goes back",
    ("failed", "parked"): f"it was told as cancelled, if it was paid; {DECIDED}",
    ("failed", "refund_required"): "it was told as cancelled, with what goes back",
    ("failed", "failed"): NOTED,
    ("cancelled", "cancelled"): NOTED,
    ("confirmed", "confirmed"): NOTED,
    ("converting", "converting"): NOTED,
    ("parked", "parked"): NOTED,
    ("refund_required", "refund_required"): NOTED,
}
"""What nobody is told of, unless the occurrence was called off, and why."""
TOLD = {
    ("converting", "confirmed"): "confirmation",
    ("parked", "confirmed"): "confirmation",
    ("refund_required", "confirmed"): "confirmation",
    ("failed", "confirmed"): "confirmation",
    ("cancelled", "confirmed"): "confirmation",
    ("confirmed", "confirmed"): "reduction",
    ("confirmed", "cancelled"): "cancellation",
    ("confirmed", "parked"): "cancellation",
    ("converting", "failed"): "cancellation",
    ("parked", "failed"): "cancellation",
    ("parked", "cancelled"): "cancellation",
    ("refund_required", "cancelled"): "cancellation",
}
"""What is told, once."""


Seen = dict[tuple[str, str], dict[str, set[str]]]


@cache
def seen() -> Seen:
    """(before, after) -> what the buyer heard -> by which commands."""
    found: Seen = defaultdict(lambda: defaultdict(set))
    for policy, state, when, name in product(POLICIES, ("held", *stories), WHEN, COMMANDS):
        for status in ("paid", "pending") if state in ("held", "converting") else ("paid",):
            move = _moved(policy, state, when, name, status)
            if move is not None:
                before, after, heard = move
                found[before, after][heard].add(f"{state} ({status}): {name}, {when}, {policy}")
    return found


def _moved(policy: str, state: str, when: str, name: str, status: str) -> tuple[str, str, str] | None:
    """The move of one booking by one command, and what its buyer heard; None: there is no booking."""
    box = BoxOffice()
    booking_id = box.hold()
    box.price(booking_id, shares=SHARES)
    if state == "converting":
        box.convert(booking_id, status=status)
    elif state != "held":
        stories[state](box, booking_id)
    box.settings = parse({"conversion.late_payment": policy})
    buyer = Buyer(box, booking_id)
    if booking_id in box.bookings:
        buyer.hear()
    if when == "ended":
        box.pass_its("ends_at")
    elif when == "called off":
        box.call_off()
        if booking_id in box.bookings:
            buyer.hear()
    before = box.bookings[booking_id].state if booking_id in box.bookings else "held"
    if name == "convert":
        box.convert(booking_id, status=status)
    elif before != "held":
        COMMANDS[name](box, booking_id)
    if booking_id not in box.bookings:
        return None
    was_cancelled = buyer.told is not None and buyer.told.is_cancelled
    heard = "+".join(buyer.hear()) or ("told before" if was_cancelled else "nothing")
    if when == "called off" and heard == "cancellation":
        heard = "told before"  # by its being called off, or with the first word after that
    return before, box.bookings[booking_id].state, heard


@pytest.mark.parametrize("move", sorted(seen()), ids=lambda move: " to ".join(move))
def test_a_change_is_told_or_is_silent_for_a_reason(move: tuple[str, str]) -> None:
    heard = {what: sorted(by) for what, by in seen()[move].items()}
    told = TOLD.get(move)
    assert heard.keys() <= {told, "told before", *(["nothing"] if move in SILENT else [])}, heard
    if told is not None:
        assert told in heard, heard


def test_every_promise_of_the_table_was_seen_and_the_page_has_it() -> None:
    assert {*SILENT, *TOLD} == seen().keys()
    page = PAGE.read_text(encoding="utf-8").splitlines()
    assert [line for line in table() if line not in page] == [], "\n".join(table())


def table() -> list[str]:
    """As it stands on the page."""
    lines = ["| from | to | the buyer |", "|---|---|---|"]
    for before, after in sorted({*SILENT, *TOLD}):
        told, why = TOLD.get((before, after)), SILENT.get((before, after))
        parts = [f"gets a {told}" if told else "", f"is not told: {why}" if why else ""]
        lines.append(f"| `{before}` | `{after}` | {'; else '.join(filter(None, parts))} |")
    return lines
