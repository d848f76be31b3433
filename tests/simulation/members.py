"""The heartbeat table and the lines at the partition queues, as adapters/postgres/partitions/members.py keeps them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import takewhile

from holdgate_workers.app.partitions.membership import News

from .database import Database

DEAD_AFTER = timedelta(seconds=5)
FORGOTTEN_AFTER = timedelta(seconds=120)


@dataclass(slots=True, frozen=True)
class View:
    """The live workers and the lines that they stand in, the head first."""

    alive: tuple[str, ...]
    lines: dict[int, tuple[str, ...]]


class Members:
    """Who lives, by the database's clock."""

    def __init__(self, database: Database, partitions: int) -> None:
        self._database = database
        self._seen: dict[str, datetime] = {}
        self._lines: dict[int, dict[str, None]] = {partition: {} for partition in range(partitions)}

    def beat(self, name: str, news: News) -> View | None:
        """One heartbeat; None if the server is away."""
        if self._database.down:
            return None
        now = self._database.clock()
        self._seen[name] = now
        for gone in [key for key, seen in self._seen.items() if seen < now - FORGOTTEN_AFTER]:
            self.goodbye(gone)
        for partition in news.left:
            self._lines[partition].pop(name, None)
        for partition in news.joined:
            self._lines[partition].setdefault(name)
        for partition in news.served:
            self._strike(self._lines[partition], name)
        alive = {key for key, seen in self._seen.items() if seen > now - DEAD_AFTER}
        lines = {
            partition: standing
            for partition, line in self._lines.items()
            if (standing := tuple(key for key in line if key in alive))
        }
        return View(tuple(sorted(alive)), lines)

    @staticmethod
    def _strike(line: dict[str, None], name: str) -> None:
        if name in line:
            for before in takewhile(name.__ne__, tuple(line)):
                del line[before]

    def goodbye(self, name: str) -> None:
        """Forget it."""
        self._seen.pop(name, None)
        for line in self._lines.values():
            line.pop(name, None)
