"""How the waiting lists were served, by the rows and the journal alone: nothing of the product is used here.

For occurrences whose capacity does not change, that stay on sale, and whose parties have no other holds.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

import psycopg
from tests.support.recount import Books, Broken

Draws = Mapping[str, int]
_ENDS = ("hold.released.v1", "hold.expired.v1")


class LineBooks:
    """Every line, replayed decision by decision."""

    def __init__(self, database_url: str) -> None:
        self.books = Books(database_url)
        with psycopg.connect(database_url) as connection:
            rows = connection.execute(
                "SELECT id::text, occurrence_id, state, basket -> 'items', place FROM waitlist ORDER BY place"
            ).fetchall()
        self.entries = {row[0]: row for row in rows}

    def problems(self) -> list[Broken]:
        """Whatever was not served as it should have been; empty if all is well."""
        found = list(self._rows())
        for occurrence_id in {row[1] for row in self.entries.values()}:
            replay = _Replay(self, occurrence_id)
            for _, where, version, kind, outcome, reply, events in self.books.journal:
                if where == occurrence_id:
                    replay.take(version, kind, outcome, reply, events or [])
            found += replay.problems
            left = [row[0] for row in self.entries.values() if row[1] == occurrence_id and row[2] == "waiting"]
            if left != replay.line:
                found.append(f"{occurrence_id}: in line by the rows {left}, by the events {replay.line}")
        return [Broken(problem) for problem in found]

    def draws(self, entry_id: str) -> Draws:
        """What an entry wants from each pool."""
        _, occurrence_id, _, items, _ = self.entries[entry_id]
        return self.books._draws(occurrence_id, items, {})

    def _rows(self) -> Iterable[str]:
        holds = {row[0]: row for row in self.books.holds}
        for entry_id, occurrence_id, state, items, _ in self.entries.values():
            hold = holds.get(entry_id)
            if (state == "offered") != (hold is not None):
                yield f"entry {entry_id} is {state}, its hold is {hold}"
            if hold is not None and hold[1] != occurrence_id:
                yield f"entry {entry_id}: its hold is on {hold[1]}"
            if hold is not None and hold[3] == "active" and hold[4]["items"] != items:
                yield f"entry {entry_id}: wanted {items}, has {hold[4]['items']}"


class _Replay:
    """One occurrence."""

    def __init__(self, line_books: LineBooks, occurrence_id: str) -> None:
        self._of = line_books
        self._occurrence_id = occurrence_id
        self._sellable = {row[1]: row[3] for row in line_books.books.pools if row[0] == occurrence_id}
        self._holds: dict[str, Draws] = {}
        self._taken: Counter[str] = Counter()
        self._offered: set[str] = set()
        self.line: list[str] = []
        self.problems: list[str] = []

    def take(self, version: int, kind: str, outcome: str, reply: Any, events: list[Any]) -> None:
        """One decision."""
        before = list(self.line)
        offered = [entry for event in events if (entry := self._event(version, event)) is not None]
        if not events:
            return
        if offered != [entry_id for entry_id in before if entry_id in offered]:
            self._say(version, f"offers out of order: {offered}")
        for entry_id in self.line:
            if self._fits(entry_id, {}):
                self._say(version, f"{entry_id} fits and was passed over")
        if kind == "hold.place.v1" and outcome == "held":
            walk_in = self._holds[reply["hold"]["hold_id"]]
            overtaken = [entry_id for entry_id in self.line if self._fits(entry_id, walk_in)]
            if overtaken:
                self._say(version, f"a walk-in took what {overtaken} could have had")
        for entry_id in offered:
            wants = self._of.draws(entry_id)
            for earlier in before[: before.index(entry_id)]:
                if earlier in self.line and all(wants.get(k, 0) >= n for k, n in self._of.draws(earlier).items()):
                    self._say(version, f"{earlier} was overtaken by {entry_id}")

    def _event(self, version: int, event: Any) -> str | None:
        """Take an event in; the entry, if it is an offer."""
        kind = event["type"]
        if kind == "waitlist.joined.v1":
            self.line.append(event["entry_id"])
        elif kind == "waitlist.left.v1":
            self.line.remove(event["entry_id"])
        elif kind == "waitlist.offered.v1":
            entry_id: str = event["entry_id"]
            if entry_id not in self.line or entry_id in self._offered or entry_id != event["hold"]["hold_id"]:
                self._say(version, f"an offer to {entry_id}, which does not stand in line")
                return None
            if self._holds.get(entry_id) != self._of.draws(entry_id):
                self._say(version, f"the offer to {entry_id} is not what it wants")
            self._offered.add(entry_id)
            self.line.remove(entry_id)
            return entry_id
        elif kind.startswith("hold."):
            hold = event["hold"]
            self._taken.subtract(self._holds.pop(hold["hold_id"], {}))
            if kind not in _ENDS:
                self._holds[hold["hold_id"]] = self._of.books._draws(
                    self._occurrence_id, hold["items"], hold.get("extras", {})
                )
                self._taken.update(self._holds[hold["hold_id"]])
        return None

    def _fits(self, entry_id: str, more: Draws) -> bool:
        return all(
            self._sellable[pool] is None or wanted <= self._sellable[pool] - self._taken[pool] + more.get(pool, 0)
            for pool, wanted in self._of.draws(entry_id).items()
        )

    def _say(self, version: int, what: str) -> None:
        self.problems.append(f"{self._occurrence_id} at version {version}: {what}")
