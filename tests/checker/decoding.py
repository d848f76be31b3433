"""The database's own account: the text of `test_decoding`, read as transactions in commit order."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence, Set
from typing import NamedTuple

from tests.checker.instants import micros

TABLES = (
    "journal", "occurrences", "pools", "holds", "shared_limits", "settings", "bookings", "follow_ups", "waitlist",
)  # fmt: skip
"""What is recorded."""
END = "# end"

Row = dict[str, str | None]

# ` name[type]:'quoted, quotes doubled'` or ` name[type]:bare`
_FIELD = re.compile(r" (\w+)\[([^\]]*)\]:(?:'([^']*(?:''[^']*)*)'|([^ ]+))")
_CHANGE = re.compile(r"table public\.(\w+): (INSERT|UPDATE|DELETE):(?: old-key:)?")
_NEW_TUPLE = " new-tuple:"
_UNCHANGED = "unchanged-toast-datum"


class _Layout(NamedTuple):
    """What lines of a table look like that begin alike."""

    table: str
    operation: str
    start: int
    columns: list[str]
    pattern: re.Pattern[str]


_layouts: dict[str, _Layout] = {}
"""By what stands before the first column's type."""


class Change(NamedTuple):
    """One row that changed. Columns whose value is not in the log (unchanged and stored apart) are missing."""

    table: str
    operation: str
    row: Row


class Transaction(NamedTuple):
    """What became visible at once."""

    xid: int
    committed_at: int
    changes: list[Change]


class Stream:
    """Reads the lines about these tables; afterwards `ended` says whether the record is whole."""

    def __init__(self, lines: Iterable[str], tables: Sequence[str] = TABLES) -> None:
        self._lines, self._tables = lines, frozenset(tables)
        self.ended = False
        self.problem: str | None = None

    def __iter__(self) -> Iterator[Transaction]:
        changes: list[Change] = []
        opened: str | None = None
        for line in self._lines:
            if line.startswith("table "):
                change = change_of(line, self._tables)
                if change is not None:
                    changes.append(change)
            elif line.startswith("BEGIN"):
                if opened is not None:
                    self.problem = f"transaction {opened} is never committed in the stream"
                opened, changes = line.split()[1], []
            elif line.startswith("COMMIT"):
                words = line.split(maxsplit=3)
                if words[1] != opened or len(words) < 4:
                    self.problem = f"{line.strip()!r} without its BEGIN, or without its time"
                    continue
                opened = None
                if changes:
                    yield Transaction(int(words[1]), micros(words[3].strip()[:-1]), changes)
            elif line.startswith(END):
                self.ended = True
        if opened is not None:
            self.problem = f"the stream ends within transaction {opened}"


def change_of(line: str, tables: Set[str]) -> Change | None:
    """A line of the stream; None if it is of another table."""
    layout = _layouts.get(line[: line.find("[")])
    if layout is not None:
        if layout.table not in tables:
            return None
        found = layout.pattern.match(line, layout.start)
        if found is not None:
            return Change(layout.table, layout.operation, dict(zip(layout.columns, found.groups(), strict=True)))
    return _slowly(line.rstrip("\n"), tables)


def _slowly(line: str, tables: Set[str]) -> Change | None:
    """Whatever it is; the first of its kind is remembered."""
    head = _CHANGE.match(line)
    if head is None or head[1] not in tables:
        return None
    start = head.end()
    if line.find(_NEW_TUPLE, start) >= 0 and "old-key:" in head[0]:
        start = line.index(_NEW_TUPLE, start) + len(_NEW_TUPLE)
    fields = _FIELD.findall(line, start)
    if start == head.end() and head[2] != "DELETE" and all(bare != _UNCHANGED for *_, bare in fields):
        columns = [(name, kind) for name, kind, _, _ in fields]
        _layouts.setdefault(line[: line.find("[")], _layout(head[1], head[2], start, columns))
    row = {name: _value(None if bare else quoted, bare) for name, _, quoted, bare in fields
           if bare != _UNCHANGED}  # fmt: skip
    return Change(head[1], head[2], row)


def _value(quoted: str | None, bare: str | None) -> str | None:
    if quoted is not None:
        return quoted.replace("''", "'") if "''" in quoted else quoted
    return None if bare == "null" else bare


def _layout(table: str, operation: str, start: int, columns: list[tuple[str, str]]) -> _Layout:
    """What reads a line that has all of the columns, without any quotes inside: much faster than one after another."""
    parts = [rf" {name}\[{re.escape(kind)}\]:(?:{_BARE_VALUE if kind in _BARE else _QUOTED_VALUE}|null)"
             for name, kind in columns]  # fmt: skip
    return _Layout(table, operation, start, [name for name, _ in columns], re.compile("".join(parts) + r"\n?\Z"))


_BARE_VALUE, _QUOTED_VALUE = "(-?[0-9]+)", "'([^']*)'"
_TYPES = {
    "journal": {
        "request_id": "uuid", "xid": "xid8", "id": "bigint", "fingerprint": "bytea", "version": "bigint",
        "hold_id": "uuid", "reply": "json", "events": "json", "decided_at": "timestamp with time zone",
    },
    "occurrences": {"definition": "jsonb", "version": "bigint"},
    "pools": dict.fromkeys(
        ("capacity", "overbooking_percent", "buffer", "sellable", "held", "sold"), "integer"
    ),
    "holds": {"id": "uuid", "basket": "jsonb", "seats": "integer", "ttl_seconds": "integer"},
    "shared_limits": {"used": "integer", "cap": "integer"},
}  # fmt: skip
_BARE = {"bigint", "integer", "smallint"}


def line_of(change: Change) -> str:
    """The way back: the line that `test_decoding` writes for a change."""
    types = _TYPES.get(change.table, {})
    text = [f"table public.{change.table}: {change.operation}:"]
    for name, value in change.row.items():
        kind = types.get(name, "text")
        if value is None:
            text.append(f"{name}[{kind}]:null")
        elif kind in _BARE:
            text.append(f"{name}[{kind}]:{value}")
        else:
            doubled = value.replace("'", "''")
            text.append(f"{name}[{kind}]:'{doubled}'")
    return " ".join(text)
