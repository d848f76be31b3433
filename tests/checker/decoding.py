"""The database's own account: the text of `test_decoding`, read as transactions in commit order."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from tests.checker.instants import micros

TABLES = ("journal", "occurrences", "pools", "holds", "shared_limits", "settings", "bookings", "follow_ups")
END = "# end"

Row = dict[str, str | None]

# ` name[type]:'quoted, quotes doubled'` or ` name[type]:bare`
_FIELD = re.compile(r" (\w+)\[([^\]]*)\]:(?:'([^']*(?:''[^']*)*)'|([^ ]+))")
_CHANGE = re.compile(r"table public\.(\w+): (INSERT|UPDATE|DELETE):(?: old-key:)?")
_NEW_TUPLE = " new-tuple:"
_layouts: dict[str, tuple[list[str], re.Pattern[str]]] = {}


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
    """Reads the lines; afterwards `ended` says whether the record is whole."""

    def __init__(self, lines: Iterable[str]) -> None:
        self._lines = lines
        self.ended = False
        self.problem: str | None = None

    def __iter__(self) -> Iterator[Transaction]:
        changes: list[Change] = []
        opened: str | None = None
        for line in self._lines:
            if line.startswith("table "):
                change = change_of(line)
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


def change_of(line: str) -> Change | None:
    """A line of the stream; None if it is of a table that does not matter here."""
    line = line.rstrip("\n")
    head = _CHANGE.match(line)
    if head is None or head[1] not in TABLES:
        return None
    table, start = head[1], head.end()
    layout = _layouts.get(table)
    if layout is not None and head[2] != "DELETE":
        found = layout[1].match(line, start)
        if found is not None:
            return Change(table, head[2], dict(zip(layout[0], found.groups(), strict=True)))
    if line.find(_NEW_TUPLE, start) >= 0 and "old-key:" in head[0]:
        start = line.index(_NEW_TUPLE, start) + len(_NEW_TUPLE)
    fields = _FIELD.findall(line, start)
    if head[2] == "INSERT":
        _layouts[table] = _layout([(name, kind) for name, kind, _, _ in fields])
    row = {name: _value(None if bare else quoted, bare) for name, _, quoted, bare in fields
           if bare != "unchanged-toast-datum"}  # fmt: skip
    return Change(table, head[2], row)


def _value(quoted: str | None, bare: str | None) -> str | None:
    if quoted is not None:
        return quoted.replace("''", "'") if "''" in quoted else quoted
    return None if bare == "null" else bare


def _layout(columns: list[tuple[str, str]]) -> tuple[list[str], re.Pattern[str]]:
    """The columns of a table, and what reads a line that has all of them, without any quotes inside: much faster than
    one after another."""
    parts = [rf" {name}\[{re.escape(kind)}\]:(?:{_BARE_VALUE if kind in _BARE else _QUOTED_VALUE}|null)"
             for name, kind in columns]  # fmt: skip
    return [name for name, _ in columns], re.compile("".join(parts) + r"\Z")


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
