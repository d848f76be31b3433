"""Finding and changing things in a history."""

from __future__ import annotations

import json
import pickle
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from tests.checker.decoding import Change, Row, Transaction
from tests.checker.history import History, Note, compact

Edit = Callable[[History], None]


@dataclass(frozen=True, slots=True)
class BadHistory:
    """What was done to it, and what must be said about it."""

    name: str
    property: str
    edit: Edit
    verdict: str = "invalid"


EDITS: list[BadHistory] = []


def edit(property_: str, verdict: str = "invalid") -> Callable[[Edit], Edit]:
    """Add a function to the list of edits, under its own name."""

    def add(function: Edit) -> Edit:
        EDITS.append(BadHistory(function.__name__, property_, function, verdict))
        return function

    return add


def copy_of(history: History) -> History:
    """A copy that may be edited."""
    return pickle.loads(pickle.dumps(history))


# --- finding things ---------------------------------------------------------------------------------------------


def changes(history: History, table: str) -> Iterator[tuple[Transaction, Change]]:
    """Every change of a table."""
    for transaction in history.transactions:
        for change in transaction.changes:
            if change.table == table:
                yield transaction, change


def decision(history: History, outcome: str, reason: str | None = None, nth: int = 0) -> tuple[Transaction, Row]:
    """The n-th journal row with an outcome; buyers' only."""
    found = [
        (transaction, change.row)
        for transaction, change in changes(history, "journal")
        if change.row["outcome"] == outcome and change.row["reason"] == reason
    ]
    return found[nth]


def hold_change(history: History, state: str, operation: str = "UPDATE") -> tuple[Transaction, Change]:
    """The first change of a hold that left it in a state."""
    return next(
        (transaction, change)
        for transaction, change in changes(history, "holds")
        if change.row["state"] == state and change.operation == operation
    )


def notes(history: History, name: str, request_id: str | None) -> Iterator[tuple[list[Note], Note]]:
    """The clients' notes of one kind about one request."""
    key = {"got": "for", "sent": "id", "confirmed": "confirmed"}[name]
    for lines in history.clients.values():
        for note in list(lines):
            if name in note and note[key] == request_id:
                yield lines, note


def forget(history: History, request_id: str | None, *kinds: str) -> None:
    """Take a request's notes out."""
    for kind in kinds:
        for lines, note in list(notes(history, kind, request_id)):
            lines.remove(note)


def drop_row(transaction: Transaction, row: Row) -> None:
    """Take one change out of a transaction."""
    transaction.changes[:] = [change for change in transaction.changes if change.row is not row]


def after(history: History, transaction: Transaction, *changed: Change) -> None:
    """One more transaction, right behind another."""
    place = history.transactions.index(transaction) + 1
    made = Transaction(transaction.xid + 500_000, transaction.committed_at + 1, list(changed))
    history.transactions.insert(place, made)


def reword(history: History, row: Row, **fields: Any) -> None:
    """Change an answer everywhere: in its row and at the clients."""
    reply = {**json.loads(str(row["reply"])), **fields}
    row["reply"] = compact(reply)
    for name in ("outcome", "reason"):
        if name in fields:
            row[name] = fields[name]
    for _, note in notes(history, "got", row["request_id"]):
        note["got"] = row["reply"]


def pool_of(transaction: Transaction, held: bool = True) -> Row:
    """A pool's row in a transaction; one with held seats."""
    return next(
        change.row
        for change in transaction.changes
        if change.table == "pools" and (int(change.row["held"] or 0) > 0) == held
    )
