"""Random single edits of a good history. Each one changes what the history says."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from typing import Any

from tests.checker.decoding import Change
from tests.checker.editing import changes
from tests.checker.history import History, Note, compact
from tests.checker.instants import SECOND, micros, row_stamp

Mutation = Callable[[History, random.Random], str]

_COLUMNS = {
    "holds": ("occurrence_id", "session_id", "state", "basket", "seats", "ttl_seconds", "created_at", "expires_at",
              "extensions_used", "user_id", "quote"),
    "pools": ("held", "sold", "sellable", "capacity", "buffer", "overbooking_percent"),
    "shared_limits": ("used",),
    "occurrences": ("version", "status"),
    "bookings": ("state", "hold_id", "session_id", "occurrence_id"),
    "follow_ups": ("answered_by",),
    "waitlist": ("state", "session_id", "user_id", "occurrence_id", "basket", "seats"),
    "journal": ("request_id", "version", "outcome", "reason", "kind", "decided_at", "occurrence_id", "xid"),
}  # fmt: skip
_STATES = ("active", "released", "expired", "converting", "confirmed")
_SAYS_NOTHING = ("message", "errors", "limit")
_OTHER = {
    "status": "closed",
    "outcome": "swept",
    "kind": "hold.touch.v1",
    "reason": "unavailable",
    "occurrence_id": "occ-x",
}


def a_row_says_something_else(history: History, rng: random.Random) -> str:
    """One column of one row."""
    table = rng.choice(list(_COLUMNS))
    _, change = rng.choice(list(changes(history, table)))
    column = rng.choice(_COLUMNS[table])
    before = change.row[column]
    change.row[column] = _another(column, before, rng)
    return f"{table}.{column} {before} -> {change.row[column]}"


def _another(column: str, value: str | None, rng: random.Random) -> str:
    if column == "quote":
        return compact({**json.loads(value or '{"total":0}'), "total": 1})
    if column == "state":
        return rng.choice([state for state in _STATES if state != value])
    if column == "basket":
        basket = json.loads(str(value))
        part = basket[rng.choice([name for name in basket if basket[name]])]
        part[rng.choice(list(part))] += rng.choice((1, 2))
        return compact(basket)
    if column.endswith("_at"):
        return row_stamp(micros(str(value)) + rng.choice((-7, 7, 100)) * SECOND)
    if column in ("session_id", "user_id", "request_id", "hold_id", "answered_by"):
        return "00000000-0000-4000-8000-000000000000"
    if column in _OTHER:
        return _OTHER[column] if value != _OTHER[column] else "other"
    number = int(value or 0)
    # A percentage or two of a small capacity may round to the same number of seats.
    return str(number + (50 if column == "overbooking_percent" else rng.choice((1, 2, 3))))


def a_change_is_lost(history: History, rng: random.Random) -> str:
    """A row that one transaction wrote is not there."""
    transaction = rng.choice(history.transactions)
    written = [change for change in transaction.changes if _matters(history, change)]
    if not written:
        return a_row_says_something_else(history, rng)
    lost = rng.choice(written)
    transaction.changes.remove(lost)
    return f"{lost.table} {lost.operation} lost from {transaction.xid}"


def _matters(history: History, lost: Change) -> bool:
    """Whether a row is not written just as it was before. The service writes no such rows."""
    if lost.table in ("journal", "holds", "bookings", "follow_ups", "waitlist"):
        return True
    names = {"pools": ("occurrence_id", "key"), "shared_limits": ("scope", "key"), "occurrences": ("id",)}[
        lost.table
    ]
    before = None
    for _, change in changes(history, lost.table):
        if change is lost:
            return before is None or before.row != lost.row
        if all(change.row[name] == lost.row[name] for name in names):
            before = change
    return True


def a_hold_is_written_twice(history: History, rng: random.Random) -> str:
    """In another transaction once more."""
    transaction, change = rng.choice(list(changes(history, "holds")))
    others = [one for one in history.transactions if one.xid > transaction.xid]
    if not others:
        return a_row_says_something_else(history, rng)
    other = rng.choice(others)
    other.changes.append(change)
    return f"hold {change.operation} of {transaction.xid} again in {other.xid}"


def a_decision_is_recorded_twice(history: History, rng: random.Random) -> str:
    """In another transaction once more."""
    transaction, change = rng.choice(list(changes(history, "journal")))
    other = rng.choice([one for one in history.transactions if one is not transaction])
    other.changes.append(change)
    return f"journal row of {transaction.xid} again in {other.xid}"


def a_transaction_is_lost(history: History, rng: random.Random) -> str:
    """All of it."""
    lost = history.transactions.pop(rng.randrange(len(history.transactions)))
    return f"transaction {lost.xid} lost"


def two_transactions_change_places(history: History, rng: random.Random) -> str:
    """Neighbours that worked on the same occurrence."""
    pairs = [
        number
        for number, (one, two) in enumerate(zip(history.transactions, history.transactions[1:], strict=False))
        if _worked_on(one.changes) & _worked_on(two.changes)
    ]
    number = rng.choice(pairs)
    there = history.transactions
    there[number], there[number + 1] = there[number + 1], there[number]
    return f"{there[number].xid} before {there[number + 1].xid}"


def _worked_on(written: list[Change]) -> set[str | None]:
    return {change.row["id"] for change in written if change.table == "occurrences"}


def a_commit_is_later(history: History, rng: random.Random) -> str:
    """By a minute: its answers come before it."""
    answered = {note["for"] for notes in history.clients.values() for note in notes if "got" in note}
    places = [
        number
        for number, transaction in enumerate(history.transactions)
        if any(
            change.table == "journal" and change.row["request_id"] in answered for change in transaction.changes
        )
    ]
    number = rng.choice(places)
    one = history.transactions[number]
    history.transactions[number] = one._replace(committed_at=one.committed_at + 60 * SECOND)
    return f"{one.xid} a minute later"


def an_answer_in_the_record_differs(history: History, rng: random.Random) -> str:
    """One field of a reply in the journal."""
    _, change = rng.choice(list(changes(history, "journal")))
    reply = json.loads(str(change.row["reply"]))
    what = _change_json(reply, rng)
    change.row["reply"] = compact(reply)
    return f"reply {what}"


def an_event_in_the_record_differs(history: History, rng: random.Random) -> str:
    """One field of an event in the journal."""
    _, change = rng.choice([one for one in changes(history, "journal") if one[1].row["events"]])
    events = json.loads(str(change.row["events"]))
    what = _change_json(rng.choice(events), rng)
    change.row["events"] = compact(events)
    return f"event {what}"


def a_client_was_told_something_else(history: History, rng: random.Random) -> str:
    """One field of an answer."""
    note = rng.choice([note for notes in history.clients.values() for note in notes if "got" in note])
    reply = json.loads(note["got"])
    what = _change_json(reply, rng)
    note["got"] = compact(reply)
    return f"told {what}"


def the_world_was_told_something_else(history: History, rng: random.Random) -> str:
    """One field of an event."""
    note = rng.choice(history.tap_events)
    event = json.loads(note["event"])
    what = _change_json(event, rng)
    note["event"] = compact(event)
    return f"event told {what}"


def _change_json(value: dict[str, Any], rng: random.Random) -> str:
    place = value
    while True:
        name = rng.choice([name for name in place if name not in _SAYS_NOTHING and place[name] != {}])
        if not isinstance(place[name], dict):
            break
        place = place[name]
    before = place[name]
    if isinstance(before, bool) or before is None:
        place[name] = not before
    elif isinstance(before, int):
        place[name] = before + 1
    elif isinstance(before, str) and before[:2] == "20" and before.endswith("Z"):
        place[name] = "2031-01-01T00:00:00Z"
    else:
        place[name] = "something else"
    return f"{name} {before} -> {place[name]}"


def a_note_is_lost(history: History, rng: random.Random) -> str:
    """The only note of a request or an answer, on the tap or at a client, or an event."""
    kind = rng.choice(("sent", "got", "tap", "event"))
    if kind == "event":
        return f"event {history.tap_events.pop(rng.randrange(len(history.tap_events)))['id']} lost"
    if kind == "tap":
        return f"tap {_pop_single(history.tap_requests, 'id', rng)} lost"
    by = "id" if kind == "sent" else "for"
    notes = rng.choice([lines for lines in history.clients.values() if any(kind in note for note in lines)])
    return f"{kind} {_pop_single(notes, by, rng)} lost"


def _pop_single(notes: list[Note], by: str, rng: random.Random) -> str:
    ids = [note[by] for note in notes if by in note]
    chosen = rng.choice([one for one in ids if ids.count(one) == 1])
    notes[:] = [note for note in notes if note.get(by) != chosen]
    return str(chosen)


MUTATIONS: tuple[Mutation, ...] = (
    a_row_says_something_else,
    a_row_says_something_else,
    a_row_says_something_else,
    a_change_is_lost,
    a_hold_is_written_twice,
    a_decision_is_recorded_twice,
    a_transaction_is_lost,
    two_transactions_change_places,
    a_commit_is_later,
    an_answer_in_the_record_differs,
    an_event_in_the_record_differs,
    a_client_was_told_something_else,
    the_world_was_told_something_else,
    a_note_is_lost,
)
