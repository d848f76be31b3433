"""The database: one definition of the tables. Needs the `[service]` extra.

The hot path writes them with statements of its own (see the PostgreSQL adapter); everything else, and the
migrations' check that nothing has drifted, uses these.
"""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Column,
    DateTime,
    ForeignKey,
    Identity,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    SmallInteger,
    Table,
    Text,
    UniqueConstraint,
    text,
)
from sqlalchemy.dialects.postgresql import INET, JSON, JSONB, UUID
from sqlalchemy.types import UserDefinedType


class XID8(UserDefinedType[int]):
    """PostgreSQL's 64-bit transaction id."""

    cache_ok = True

    def get_col_spec(self, **_: object) -> str:
        """The type's name in DDL."""
        return "xid8"


metadata = MetaData(
    naming_convention={
        "pk": "%(table_name)s_pkey",
        "uq": "%(table_name)s_%(column_0_N_name)s_key",
        "ck": "%(table_name)s_%(constraint_name)s",
        "fk": "%(table_name)s_%(column_0_name)s_fkey",
        "ix": "%(table_name)s_%(column_0_N_name)s_idx",
    }
)

Time = DateTime(timezone=True)
_NOW = text("clock_timestamp()")

occurrences = Table(
    "occurrences",
    metadata,
    Column("id", Text, primary_key=True),
    Column("product_id", Text, nullable=False),
    Column("starts_at", Time, nullable=False),
    Column("ends_at", Time, nullable=False),
    Column("status", Text, nullable=False),
    Column("definition", JSONB, nullable=False),
    Column("version", BigInteger, nullable=False),
    Column("created_at", Time, nullable=False, server_default=_NOW),
    UniqueConstraint("product_id", "starts_at"),
    CheckConstraint("status IN ('active', 'closed', 'cancelled', 'completed')", name="status_known"),
    postgresql_with={"fillfactor": "70"},
)

pools = Table(
    "pools",
    metadata,
    Column("occurrence_id", Text, ForeignKey("occurrences.id", ondelete="CASCADE"), primary_key=True),
    Column("key", Text, primary_key=True),
    Column("capacity", Integer),
    Column("overbooking_percent", Integer, nullable=False),
    Column("buffer", Integer, nullable=False),
    Column("sellable", Integer),
    Column("held", Integer, nullable=False),
    Column("sold", Integer, nullable=False),
    CheckConstraint("held >= 0 AND sold >= 0 AND held + sold <= sellable", name="never_oversold"),
    postgresql_with={"fillfactor": "70"},
)

holds = Table(
    "holds",
    metadata,
    Column("id", UUID(as_uuid=False), primary_key=True),
    Column("occurrence_id", Text, nullable=False),
    Column("session_id", Text, nullable=False),
    Column("user_id", Text),
    Column("state", Text, nullable=False),
    Column("basket", JSONB, nullable=False, comment="items, extras, draws (per pool) and stock (shared)"),
    Column("seats", Integer, nullable=False),
    Column("ttl_seconds", Integer, nullable=False),
    Column("created_at", Time, nullable=False),
    Column("expires_at", Time, nullable=False),
    Column("extensions_used", SmallInteger, nullable=False),
    Column("client_address", INET),
    Column("ended_at", Time),
    CheckConstraint(
        "state IN ('active', 'converting', 'confirmed', 'released', 'expired', 'cancelled')", name="state_known"
    ),
    CheckConstraint(
        "(state IN ('active', 'converting', 'confirmed')) = (ended_at IS NULL)", name="ended_means_final"
    ),
    Index("holds_live_idx", "occurrence_id", postgresql_where=text("state IN ('active', 'converting')")),
    Index("holds_due_idx", "expires_at", postgresql_where=text("state = 'active'")),
    Index("holds_session_idx", "session_id"),
    postgresql_with={"fillfactor": "85"},
)

journal = Table(
    "journal",
    metadata,
    Column("request_id", UUID(as_uuid=False), primary_key=True),
    Column("xid", XID8, nullable=False, server_default=text("pg_current_xact_id()")),
    Column("id", BigInteger, Identity(always=True), nullable=False),
    Column("fingerprint", LargeBinary, nullable=False),
    Column("occurrence_id", Text, nullable=False),
    Column("version", BigInteger, nullable=False),
    Column("kind", Text, nullable=False),
    Column("outcome", Text, nullable=False),
    Column("reason", Text),
    Column("session_id", Text),
    Column("hold_id", UUID(as_uuid=False)),
    Column("app_id", Text),
    Column("reply", JSON, nullable=False),
    Column("events", JSON),
    Column("decided_at", Time, nullable=False),
    Index("journal_cursor_idx", "xid", "id"),
    Index("journal_occurrence_idx", "occurrence_id", "version"),
    Index("journal_session_idx", "session_id"),
)

shared_limits = Table(
    "shared_limits",
    metadata,
    Column("scope", Text, primary_key=True),
    Column("key", Text, primary_key=True),
    Column("used", Integer, nullable=False),
    Column("cap", Integer, nullable=False),
    CheckConstraint("used >= 0 AND used <= cap", name="within_cap"),
    postgresql_with={"fillfactor": "70"},
)

relay_cursors = Table(
    "relay_cursors",
    metadata,
    Column("name", Text, primary_key=True),
    Column("xid", XID8, nullable=False),
    Column("id", BigInteger, nullable=False),
    Column("moved_at", Time, nullable=False, server_default=_NOW),
)

workers = Table(
    "workers",
    metadata,
    Column("id", Text, primary_key=True),
    Column("role", Text, nullable=False),
    Column("host", Text, nullable=False),
    Column("pid", Integer, nullable=False),
    Column("version", Text, nullable=False),
    Column("started_at", Time, nullable=False, server_default=_NOW),
    Column("seen_at", Time, nullable=False, server_default=_NOW),
)

partition_lines = Table(
    "partition_lines",
    metadata,
    Column("partition", Integer, primary_key=True),
    Column("worker_id", Text, ForeignKey("workers.id", ondelete="CASCADE"), primary_key=True),
    Column("place", BigInteger, Identity(always=True), nullable=False),
    comment="Who stands in line at which partition queue, in the order in which they joined it",
)

settings = Table(
    "settings",
    metadata,
    Column("name", Text, primary_key=True),
    Column("value", Text, nullable=False),
    Column("changed_at", Time, nullable=False, server_default=_NOW),
    Column("changed_by", Text, nullable=False),
)

settings_history = Table(
    "settings_history",
    metadata,
    Column("id", BigInteger, Identity(always=True), primary_key=True),
    Column("name", Text, nullable=False),
    Column("old_value", Text),
    Column("new_value", Text),
    Column("changed_at", Time, nullable=False, server_default=_NOW),
    Column("changed_by", Text, nullable=False),
)

house = Table(
    "house",
    metadata,
    Column("name", Text, primary_key=True),
    Column("value", Text, nullable=False),
    comment="What all processes must agree on: the number of partitions, the session secret",
)

products = Table(
    "products",
    metadata,
    Column("id", Text, primary_key=True),
    Column("version", Integer, primary_key=True),
    Column("definition", JSONB, nullable=False),
    Column("changed_at", Time, nullable=False, server_default=_NOW),
    Column("changed_by", Text, nullable=False),
    comment="Every version there ever was, so that old prices can be explained; the highest is in force",
)

vouchers = Table(
    "vouchers",
    metadata,
    Column("code", Text, primary_key=True),
    Column("version", Integer, primary_key=True),
    Column("definition", JSONB, nullable=False),
    Column("changed_at", Time, nullable=False, server_default=_NOW),
    Column("changed_by", Text, nullable=False),
    comment="As products; how often one was used is counted in shared_limits",
)
