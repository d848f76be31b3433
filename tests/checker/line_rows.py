"""P19 again: who stands in line by the rows, against the model. Only the place in the row says in which order."""

from __future__ import annotations

from typing import Any

from tests.checker.books import basket_of
from tests.checker.decoding import Change, Row, Transaction
from tests.checker.verdict import Report
from tests.checker.world import Entry, World

_NEVER_CHANGES = ("occurrence_id", "session_id", "user_id", "basket", "seats", "place")


class LineRows:
    """Fold the rows of waiting lists in commit order."""

    def __init__(self, report: Report) -> None:
        self.report = report
        self.touched: set[str] = set()
        """The occurrences whose lines a transaction changed, by its rows or by its word."""
        self._lines: dict[str, dict[str, Row]] = {}
        """By occurrence, in the order of their places."""
        self._written: dict[str, Row] = {}
        """Those that stand in line by this transaction."""
        self._over: dict[str, str] = {}
        """Entry -> how it ended."""
        self._ended: list[tuple[str, str]] = []

    def take(self, transaction: Transaction) -> None:
        """The entries that a transaction wrote."""
        self.touched.clear()
        self._written.clear()
        self._ended.clear()
        for change in transaction.changes:
            if change.table == "waitlist":
                self._row(change)

    def _row(self, change: Change) -> None:
        row = change.row
        entry_id = str(row["id"])
        if change.operation == "DELETE":
            self.report.flag("P19", f"entry {entry_id} was deleted")
            return
        self.report.count("P19")
        occurrence_id, state = str(row["occurrence_id"]), str(row["state"])
        line = self._lines.setdefault(occurrence_id, {})
        self.touched.add(occurrence_id)
        known = line.pop(entry_id, None)
        if change.operation == "INSERT" and (known is not None or entry_id in self._over):
            self.report.flag("P19", f"entry {entry_id} is made a second time")
        if entry_id in self._over:
            self.report.flag("P19", f"entry {entry_id}: {self._over[entry_id]} became {state}")
        if known is not None:
            other = [name for name in _NEVER_CHANGES if name in row and row[name] != known[name]]
            if other:
                self.report.flag("P19", f"entry {entry_id} has another {', '.join(other)}")
        if (row["ended_at"] is None) != (state == "waiting"):
            self.report.flag("P19", f"entry {entry_id} is {state} and ended at {row['ended_at']}")
        if state == "waiting":
            last = next(reversed(line.values()), None)
            line[entry_id] = self._written[entry_id] = row
            if last is not None and _place(row) < _place(last):
                self._lines[occurrence_id] = dict(sorted(line.items(), key=lambda pair: _place(pair[1])))
        else:
            self._over[entry_id] = state
            self._ended.append((entry_id, state))

    def check(self, world: World, lost: set[str], xid: int) -> None:
        """What a transaction left behind is what the model has."""
        for entry_id, state in self._ended:
            wanted = "offered" if entry_id in world.offered else "left"
            if state != wanted:
                self.report.flag("P19", f"entry {entry_id} is {state} after transaction {xid}, not {wanted}")
        for occurrence_id in self.touched - lost:
            occasion = world.occasions.get(occurrence_id)
            entries = {} if occasion is None else occasion.line
            told = list(self._lines.get(occurrence_id, ()))
            if told != list(entries):
                what = f"{told}, by the model {list(entries)}"
                self.report.flag("P19", f"the line of {occurrence_id} after transaction {xid}: {what}")
        for entry_id, row in self._written.items():
            occasion = world.occasions.get(str(row["occurrence_id"]))
            entry = None if occasion is None or occasion.id in lost else occasion.line.get(entry_id)
            if entry is not None and _told(row) != _wanted(entry):
                what = f"{_told(row)}, by the model {_wanted(entry)}"
                self.report.flag("P19", f"entry {entry_id} after transaction {xid} is {what}")


def _place(row: Row) -> int:
    return int(row["place"] or 0)


def _told(row: Row) -> tuple[Any, ...]:
    basket = basket_of(str(row["basket"]))
    seats = int(row["seats"] or 0)
    return row["id"], row["session_id"], row["user_id"], basket["items"], basket.get("extras") or {}, seats


def _wanted(entry: Entry) -> tuple[Any, ...]:
    return entry.id, entry.session, entry.user, entry.items, entry.extras, entry.seats
