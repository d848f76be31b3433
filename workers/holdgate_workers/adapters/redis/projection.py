"""The read side's entries in Redis. Every call ends within the timeouts, whatever Redis does."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from functools import partial
from math import ceil
from typing import TypeVar

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from holdgate_schema.cache import (
    availability_key,
    due_key,
    marker_key,
    product_key,
)
from holdgate_workers.app.installation import Installation
from holdgate_workers.app.projection.audit import Stored
from holdgate_workers.app.projection.effects import (
    BeginGeneration,
    CacheState,
    CacheUnavailable,
    LookAtCache,
    MarkFresh,
    Superseded,
    WriteEntries,
    Written,
)
from holdgate_workers.app.projection.entries import Entry, Kind

from . import scripts

TIMEOUT_SECONDS = 1.0
"""For connecting, and for each answer."""
ENTRIES_PER_CALL = 100
"""Redis does nothing else while a script runs."""
MARKER_KEPT_MS = 30 * 24 * 3600 * 1000
SCAN_COUNT = 500

T = TypeVar("T")
Value = bytes | str | int
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_KEYS: dict[Kind, Callable[[str, str], str]] = {"availability": availability_key, "product": product_key}


class CacheError(Exception):
    """Redis did not do what was asked; the message does not repeat the URL."""


class ProjectionCache:
    """The entries of one house. Not thread-safe. `name` is the house's in the keys.

    `installation_name` says for people where the database of the entries is that are begun here.
    """

    def __init__(
        self, url: str, name: str, *, installation_name: str = "", timeout_seconds: float = TIMEOUT_SECONDS
    ) -> None:
        self._url = url
        self._name = name
        self._installation_name = installation_name
        try:
            self._redis = redis.Redis.from_url(
                url,
                socket_timeout=timeout_seconds,
                socket_connect_timeout=timeout_seconds,
                retry=Retry(NoBackoff(), 0),
                client_name="holdgate-projection",
            )
        except ValueError as exc:
            raise CacheError(str(exc).replace(url, "…")) from exc
        self._marker = marker_key(name)
        self._due = due_key(name)
        self._look, self._begin, self._write, self._mark = (
            self._redis.register_script(text)
            for text in (scripts.LOOK, scripts.BEGIN, scripts.WRITE, scripts.MARK)
        )

    # --- the protocol -------------------------------------------------------------------------------------------

    def look(self, wanted: LookAtCache) -> CacheState | CacheUnavailable:
        """The marker, and what is due."""

        def work() -> CacheState:
            generation, house, writes, due = self._look(keys=[self._marker, self._due], args=[wanted.due_max])
            return CacheState(_text(generation), _text(house), writes, [name.decode() for name in due])

        return self._asked(work)

    def begin(self, wanted: BeginGeneration) -> bool | CacheUnavailable:
        """Give the cache a generation."""
        args = [wanted.generation, wanted.house, "1" if wanted.replace else "0", self._installation_name]
        return self._asked(lambda: bool(self._begin(keys=[self._marker, self._due], args=args)))

    def write(self, wanted: WriteEntries) -> Written | Superseded | CacheUnavailable:
        """Write what is not older than what is there, in calls of a bounded size."""
        rows = [*(self._row(entry) for entry in wanted.entries), *self._gone(wanted)]
        age = ceil(wanted.age_seconds * 1000)

        def work() -> Written | Superseded:
            written, stale, number = 0, 0, 0
            left: set[str] = set()
            for start in range(0, len(rows), ENTRIES_PER_CALL):
                part = rows[start : start + ENTRIES_PER_CALL]
                keys = [self._marker, self._due, *(key for key, _ in part)]
                args: list[Value] = [wanted.generation, age]
                args += [value for _, values in part for value in values]
                done = self._write(keys=keys, args=args)
                if done is None:
                    return Superseded()
                written, stale = written + done[0], stale + done[1]
                left |= {name.decode() for name in done[2]}
                number = done[3]
            return Written(written, stale, sorted(left), number)

        return self._asked(work)

    def mark(self, wanted: MarkFresh) -> bool | Superseded | CacheUnavailable:
        """Say how fresh everything is."""
        age = ceil(wanted.age_seconds * 1000)
        args: list[Value] = [wanted.generation, age, wanted.writes, MARKER_KEPT_MS]
        return self._asked(
            lambda: True if self._mark(keys=[self._marker], args=args) is not None else Superseded()
        )

    # --- looking ------------------------------------------------------------------------------------------------

    def owner(self) -> Installation | None:
        """Whose the entries are; None if they are nobody's yet. Raises `CacheError`."""
        house, name = self._checked(lambda: self._redis.hmget(self._marker, "house", "name"))
        return Installation(_text(house) or "", _text(name or b"") or "") if isinstance(house, bytes) else None

    def age_seconds(self) -> float | None:
        """How long ago the cache was as the rows were; None if nobody has said so. Raises `CacheError`."""
        fresh, now = self._checked(lambda: (self._redis.hget(self._marker, "fresh"), self._now()))
        return None if fresh is None else max(0, now - int(fresh)) / 1000

    def stored(self, kind: Kind, ids: Sequence[str]) -> dict[str, Stored]:
        """The entries of the generation that counts. Raises `CacheError`."""

        def work() -> dict[str, Stored]:
            generation = self._redis.hget(self._marker, "generation")
            pipeline = self._redis.pipeline(transaction=False)
            for name in ids:
                pipeline.hmget(_KEYS[kind](self._name, name), "generation", "version", "until", "body")
            found = zip(ids, pipeline.execute(), strict=True)
            now = self._now()
            return {
                name: Stored(int(row[1]), row[3], bool(row[2]) and int(row[2]) <= now)
                for name, row in found
                if generation is not None and row[0] == generation
            }

        return self._checked(work)

    def ids(self, kind: Kind) -> Iterator[list[str]]:
        """The ids of all entries, whatever their generation, page by page, some perhaps twice. Raises `CacheError`."""
        start = _KEYS[kind](self._name, "")
        cursor, first = 0, True
        while first or cursor:
            first = False
            scan = partial(self._redis.scan, cursor, match=f"{_escaped(start)}*", count=SCAN_COUNT)
            cursor, keys = self._checked(scan)
            yield [key.decode().removeprefix(start) for key in keys if isinstance(key, bytes)]

    def close(self) -> None:
        """Hang up. Idempotent."""
        self._redis.close()

    # --- inside -------------------------------------------------------------------------------------------------

    def _row(self, entry: Entry) -> tuple[str, list[Value]]:
        values: list[Value] = [
            entry.id if entry.kind == "availability" else "",
            entry.version,
            _microseconds(entry.decided_at),
            "" if entry.true_until is None else _span(entry.true_until - entry.decided_at),
            _span(entry.kept_until - entry.decided_at),
            entry.body,
            entry.product_id,
        ]
        return _KEYS[entry.kind](self._name, entry.id), values

    def _gone(self, wanted: WriteEntries) -> Iterator[tuple[str, list[Value]]]:
        for kind, name in wanted.gone:
            values: list[Value] = [
                name if kind == "availability" else "",
                0,
                _microseconds(wanted.read_at),
                "",
                0,
                "",
                "",
            ]
            yield _KEYS[kind](self._name, name), values

    def _now(self) -> int:
        seconds, microseconds = self._redis.time()
        return int(seconds) * 1000 + int(microseconds) // 1000

    def _asked(self, work: Callable[[], T]) -> T | CacheUnavailable:
        try:
            return self._checked(work)
        except CacheError as exc:
            return CacheUnavailable(str(exc))

    def _checked(self, work: Callable[[], T]) -> T:
        try:
            return work()
        except (redis.RedisError, OSError) as exc:
            raise CacheError(str(exc).replace(self._url, "…") or type(exc).__name__) from exc


def _text(value: bytes | str) -> str | None:
    return (value.decode() if isinstance(value, bytes) else value) or None


def _microseconds(instant: datetime) -> int:
    return (instant - _EPOCH) // timedelta(microseconds=1)


def _span(span: timedelta) -> int:
    """In whole milliseconds, rounded up: an entry is looked at again when its time is over, not just before."""
    return -(-span // timedelta(milliseconds=1))


def _escaped(text: str) -> str:
    """The text for a pattern that means only itself."""
    return "".join(f"\\{char}" if char in "*?[]\\" else char for char in text)
