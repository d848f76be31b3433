"""What the gate writes in its commits: occurrences, counters, holds, the journal, what comes of holds."""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    ForeignKey,
    Identity,
    Index,
    Integer,
    LargeBinary,
    SmallInteger,
    Table,
    Text,
    text,
)
from sqlalchemy.dialects.postgresql import INET, JSON, JSONB, UUID, ExcludeConstraint

from .base import NOW, XID8, Time, metadata

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
    Column("created_at", Time, nullable=False, server_default=NOW),
    Column(
        "yields_start",
        Boolean,
        nullable=False,
        server_default=text("false"),
        comment="another occurrence of the product may take the start: this one is to move",
    ),
    ExcludeConstraint(
        ("product_id", "="),
        ("starts_at", "="),
        name="occurrences_product_id_starts_at_key",
        using="btree",
        where=text("status <> 'cancelled' AND NOT yields_start"),
        deferrable=True,
        initially="DEFERRED",
    ),
    Index("occurrences_product_idx", "product_id", "starts_at", "id"),
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
    Column("quote", JSONB, comment="which price it has"),
    Column("cart_id", UUID(as_uuid=False)),
    CheckConstraint(
        "state IN ('active', 'converting', 'confirmed', 'released', 'expired', 'cancelled')", name="state_known"
    ),
    CheckConstraint(
        "(state IN ('active', 'converting', 'confirmed')) = (ended_at IS NULL)", name="ended_means_final"
    ),
    Index("holds_live_idx", "occurrence_id", postgresql_where=text("state IN ('active', 'converting')")),
    Index("holds_sold_idx", "occurrence_id", postgresql_where=text("state = 'confirmed'")),
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
    Index(
        "journal_slots_idx",
        "occurrence_id",
        "version",
        postgresql_where=text("kind IN ('occurrence.put.v1', 'occurrence.close.v1')"),
    ),
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

follow_ups = Table(
    "follow_ups",
    metadata,
    Column("request_id", UUID(as_uuid=False), primary_key=True, comment="a request that gets a second answer"),
    Column("reply_to", Text, comment="where it goes"),
    Column("correlation_id", Text),
    Column("wish", JSON, nullable=False, comment="what is needed for it and is nobody else's business"),
    Column("answered_by", UUID(as_uuid=False), comment="the request whose answer it is"),
)

bookings = Table(
    "bookings",
    metadata,
    Column("id", UUID(as_uuid=False), primary_key=True, comment="the hold that was converted"),
    Column("occurrence_id", Text, nullable=False),
    Column("hold_id", UUID(as_uuid=False), nullable=False, comment="the hold that has the seats"),
    Column("session_id", Text, nullable=False),
    Column("state", Text, nullable=False),
    Column("document", JSONB, nullable=False),
    Column("customer", JSONB),
    Column("created_at", Time, nullable=False),
    Column("timeout_at", Time, nullable=False),
    Column("changed_at", Time, nullable=False),
    CheckConstraint(
        "state IN ('converting', 'confirmed', 'cancelled', 'failed', 'parked', 'refund_required')",
        name="state_known",
    ),
    Index("bookings_hold_idx", "hold_id", unique=True),
    Index(
        "bookings_refund_due_idx",
        "changed_at",
        postgresql_where=text("document ->> 'refund' = 'due'"),
    ),
    Index("bookings_session_idx", "session_id"),
    Index("bookings_occurrence_idx", "occurrence_id"),
    Index(
        "bookings_open_idx",
        "timeout_at",
        postgresql_where=text("state IN ('converting', 'parked', 'refund_required')"),
    ),
)

waitlist = Table(
    "waitlist",
    metadata,
    Column(
        "id", UUID(as_uuid=False), primary_key=True, comment="the request that joined, and the hold of the offer"
    ),
    Column("occurrence_id", Text, nullable=False),
    Column("session_id", Text, nullable=False),
    Column("user_id", Text),
    Column("state", Text, nullable=False),
    Column("basket", JSONB, nullable=False),
    Column("seats", Integer, nullable=False),
    Column("place", BigInteger, nullable=False, comment="the occurrence's version at which it joined"),
    Column("joined_at", Time, nullable=False),
    Column("ended_at", Time),
    CheckConstraint("state IN ('waiting', 'offered', 'left')", name="state_known"),
    Index("waitlist_line_idx", "occurrence_id", "place", postgresql_where=text("state = 'waiting'")),
    Index("waitlist_session_idx", "session_id"),
)
