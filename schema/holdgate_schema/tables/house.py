"""Who works, where the cursors stand, and what operators have set."""

from __future__ import annotations

from sqlalchemy import BigInteger, CheckConstraint, Column, ForeignKey, Identity, Integer, Table, Text

from .base import NOW, XID8, Time, metadata

relay_cursors = Table(
    "relay_cursors",
    metadata,
    Column("name", Text, primary_key=True),
    Column("xid", XID8, nullable=False),
    Column("id", BigInteger, nullable=False),
    Column("moved_at", Time, nullable=False, server_default=NOW),
)

workers = Table(
    "workers",
    metadata,
    Column("id", Text, primary_key=True),
    Column("role", Text, nullable=False),
    Column("host", Text, nullable=False),
    Column("pid", Integer, nullable=False),
    Column("version", Text, nullable=False),
    Column("started_at", Time, nullable=False, server_default=NOW),
    Column("seen_at", Time, nullable=False, server_default=NOW),
)

partition_lines = Table(
    "partition_lines",
    metadata,
    Column("partition", Integer, primary_key=True),
    Column("worker_id", Text, ForeignKey("workers.id", ondelete="CASCADE"), primary_key=True),
    Column("place", BigInteger, Identity(always=True), nullable=False),
    comment="Who stands in line at which partition queue, in the order in which they joined it",
)

partition_gaps = Table(
    "partition_gaps",
    metadata,
    Column("partition", Integer, primary_key=True, autoincrement=False),
    Column("missing", Text, primary_key=True),
    Column("since", Time, nullable=False, server_default=NOW),
    CheckConstraint("missing IN ('consumer', 'standby')", name="partition_gaps_missing_check"),
    comment="Partition queues without a consumer or without a standby, and since when; empty if all is well",
)

settings = Table(
    "settings",
    metadata,
    Column("name", Text, primary_key=True),
    Column("value", Text, nullable=False),
    Column("changed_at", Time, nullable=False, server_default=NOW),
    Column("changed_by", Text, nullable=False),
)

settings_history = Table(
    "settings_history",
    metadata,
    Column("id", BigInteger, Identity(always=True), primary_key=True),
    Column("name", Text, nullable=False),
    Column("old_value", Text),
    Column("new_value", Text),
    Column("changed_at", Time, nullable=False, server_default=NOW),
    Column("changed_by", Text, nullable=False),
)

house = Table(
    "house",
    metadata,
    Column("name", Text, primary_key=True),
    Column("value", Text, nullable=False),
    comment="What all processes must agree on: the number of partitions, the session secret",
)
