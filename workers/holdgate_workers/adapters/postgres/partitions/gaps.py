"""Partition queues that have no consumer, or nobody behind it, and since when."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any, Literal

from psycopg import Connection

from holdgate_workers.adapters.postgres.session import Session

from .members import DEAD_AFTER_SECONDS

Missing = Literal["consumer", "standby"]

_RECORDED = """
SELECT l.partition, count(*) FROM partition_lines l JOIN workers w ON w.id = l.worker_id
WHERE w.seen_at > clock_timestamp() - make_interval(secs => %s) GROUP BY l.partition"""
_CLOSED = """
DELETE FROM partition_gaps g WHERE NOT EXISTS (
  SELECT FROM unnest(%(partitions)s::integer[], %(missing)s::text[]) AS now (partition, missing)
  WHERE now.partition = g.partition AND now.missing = g.missing)"""
_OPENED = """
INSERT INTO partition_gaps (partition, missing)
SELECT * FROM unnest(%(partitions)s::integer[], %(missing)s::text[]) ORDER BY 1, 2 ON CONFLICT DO NOTHING"""
_GAPS = """
SELECT partition, missing, extract(epoch FROM clock_timestamp() - since)::float8
FROM partition_gaps ORDER BY partition, missing"""


@dataclass(slots=True, frozen=True)
class Gap:
    """One queue and what it lacks, for how long."""

    partition: int
    missing: Missing
    seconds: float


class PartitionGaps:
    """What the queues say and what the gates have recorded, put together. Not thread-safe; every call raises
    `DatabaseUnavailable` or `DatabaseError`."""

    def __init__(self, url: str) -> None:
        self._session = Session(url, name="partition gaps")

    def found(self, served: Collection[int], partitions: int) -> list[Gap]:
        """Given the queues that serve a consumer: which do not, and which have fewer than two living gates in line."""
        return self._session.run(lambda connection: _found(connection, served, partitions))

    def note(self, served: Collection[int], partitions: int) -> list[Gap]:
        """The same, and remember since when; what was closed is forgotten."""

        def work(connection: Connection[tuple[Any, ...]]) -> list[Gap]:
            gaps = _found(connection, served, partitions)
            now = {"partitions": [gap.partition for gap in gaps], "missing": [gap.missing for gap in gaps]}
            connection.execute(_CLOSED, now)
            connection.execute(_OPENED, now)
            return gaps

        return self._session.run(work)

    def close(self) -> None:
        """Close the connection. Idempotent."""
        self._session.close()


def _found(connection: Connection[tuple[Any, ...]], served: Collection[int], partitions: int) -> list[Gap]:
    recorded: dict[int, int] = dict(connection.execute(_RECORDED, [DEAD_AFTER_SECONDS]).fetchall())
    known = {(partition, missing): seconds for partition, missing, seconds in connection.execute(_GAPS).fetchall()}
    gaps: list[Gap] = []
    for partition in range(partitions):
        if partition not in served:
            gaps.append(Gap(partition, "consumer", known.get((partition, "consumer"), 0.0)))
        if partition not in served or recorded.get(partition, 0) < 2:
            gaps.append(Gap(partition, "standby", known.get((partition, "standby"), 0.0)))
    return gaps
