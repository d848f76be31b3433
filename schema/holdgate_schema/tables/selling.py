"""What is sold and what follows from that: prices, carts, tasks, orders, mails."""

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
    Table,
    Text,
    UniqueConstraint,
    text,
)
from sqlalchemy.dialects.postgresql import ARRAY, JSONB, UUID

from .base import NOW, Time, metadata

products = Table(
    "products",
    metadata,
    Column("id", Text, primary_key=True),
    Column("version", Integer, primary_key=True),
    Column("definition", JSONB, nullable=False),
    Column("changed_at", Time, nullable=False, server_default=NOW),
    Column("changed_by", Text, nullable=False),
    comment="Every version there ever was, so that old prices can be explained; the highest is in force",
)

vouchers = Table(
    "vouchers",
    metadata,
    Column("code", Text, primary_key=True),
    Column("version", Integer, primary_key=True),
    Column("definition", JSONB, nullable=False),
    Column("changed_at", Time, nullable=False, server_default=NOW),
    Column("changed_by", Text, nullable=False),
    comment="As products; how often one was used is counted in shared_limits",
)

quotes = Table(
    "quotes",
    metadata,
    Column("hash", Text, primary_key=True),
    Column("occurrence_id", Text, nullable=False),
    Column("document", JSONB, nullable=False),
    Column("created_at", Time, nullable=False, server_default=NOW),
    Column("valid_until", Time, comment="for whoever holds the same basket with it; null: made for a hold"),
    Index("quotes_created_idx", "created_at"),
)

carts = Table(
    "carts",
    metadata,
    Column("id", UUID(as_uuid=False), primary_key=True),
    Column("session_id", Text, nullable=False),
    Column("state", Text, nullable=False),
    Column("document", JSONB, nullable=False, comment="the legs, and what became of each"),
    Column("created_at", Time, nullable=False, server_default=NOW),
    Column("changed_at", Time, nullable=False, server_default=NOW),
    CheckConstraint("state IN ('placing', 'held', 'refused')", name="state_known"),
    Index("carts_session_idx", "session_id"),
    Index("carts_placing_idx", "created_at", postgresql_where=text("state = 'placing'")),
)

tasks = Table(
    "tasks",
    metadata,
    Column("id", BigInteger, Identity(always=True), primary_key=True),
    Column("role", Text, nullable=False),
    Column("kind", Text, nullable=False),
    Column("key", Text, nullable=False, comment="with the kind: what makes it the same task again"),
    Column("payload", JSONB, nullable=False),
    Column("reply_to", Text, comment="where a second answer goes"),
    Column("correlation_id", Text),
    Column("state", Text, nullable=False),
    Column("attempts", Integer, nullable=False, server_default=text("0")),
    Column("due_at", Time, nullable=False, comment="not to be worked before"),
    Column("wake_at", Time, nullable=False, comment="when a worker is told of it (again), if it is still open"),
    Column("claimed_by", Text),
    Column("claimed_until", Time),
    Column("last_error", Text),
    Column("created_at", Time, nullable=False, server_default=NOW),
    Column("ended_at", Time),
    UniqueConstraint("kind", "key"),
    CheckConstraint("role IN ('pricing', 'orders', 'notifications')", name="role_known"),
    CheckConstraint("state IN ('open', 'done', 'dead', 'cancelled')", name="state_known"),
    CheckConstraint("(state = 'open') = (ended_at IS NULL)", name="ended_means_final"),
    CheckConstraint("(claimed_by IS NULL) = (claimed_until IS NULL)", name="claimed_as_a_whole"),
    Index("tasks_wake_idx", "role", "wake_at", postgresql_where=text("state = 'open'")),
    Index("tasks_open_idx", "kind", "due_at", postgresql_where=text("state = 'open'")),
    Index("tasks_dead_idx", "id", postgresql_where=text("state = 'dead'")),
    Index("tasks_ended_idx", "ended_at", postgresql_where=text("state IN ('done', 'cancelled')")),
    comment="Work that follows from decisions",
    postgresql_with={"fillfactor": "70"},
)

sagas = Table(
    "sagas",
    metadata,
    Column("booking_id", UUID(as_uuid=False), primary_key=True),
    Column("rev", BigInteger, nullable=False, comment="each write is made on top of the one that was read"),
    Column("step", Text, nullable=False),
    Column("begun_at", Time, comment="when the call in hand began; null: none is"),
    Column("quiet_until", Time, comment="until then a request without an answer may still be at work in the shop"),
    Column("sent_at", Time, comment="when an order was first asked for"),
    Column("order_id", Text),
    Column("attempts", Integer, nullable=False),
    Column("last_result", Text, nullable=False),
    Column("document", JSONB, nullable=False),
    Column("created_at", Time, nullable=False, server_default=NOW),
    Column("changed_at", Time, nullable=False, server_default=NOW),
    comment="What was asked of the shop about a booking, written down before it is asked",
)

orders = Table(
    "orders",
    metadata,
    Column("id", BigInteger, Identity(always=True), primary_key=True),
    Column("reference", Text, nullable=False, unique=True),
    Column("status", Text, nullable=False),
    Column("currency", Text, nullable=False),
    Column("total", BigInteger, nullable=False),
    Column("refunded", BigInteger, nullable=False, server_default=text("0")),
    Column("content", JSONB, nullable=False, comment="lines, fees, coupon, payment, details"),
    Column("customer", JSONB, nullable=False, comment="Personal; erased to {} without the order"),
    Column("end_reason", Text),
    Column("created_at", Time, nullable=False, server_default=NOW),
    Column("changed_at", Time, nullable=False, server_default=NOW),
    CheckConstraint("status IN ('pending', 'paid', 'cancelled', 'refunded')", name="status_known"),
    CheckConstraint("total >= 0 AND refunded >= 0 AND refunded <= total", name="never_more_back"),
    comment="Orders of whoever has no shop of their own",
)

refused_payments = Table(
    "refused_payments",
    metadata,
    Column("request_id", UUID(as_uuid=False), primary_key=True),
    Column("occurrence_id", Text, nullable=False),
    Column("hold_id", UUID(as_uuid=False), nullable=False),
    Column(
        "payment",
        Text,
        nullable=False,
        comment="what tells one payment for a hold from another: its reference, or how much it is",
    ),
    Column("session_id", Text),
    Column("method", Text, nullable=False),
    Column("amount", BigInteger, nullable=False),
    Column("currency", Text, nullable=False),
    Column("reference", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("message", Text, nullable=False),
    Column("refused_at", Time, nullable=False),
    Column("settled_at", Time, comment="when a person said what became of the money"),
    Column("settled_by", Text),
    Column("note", Text),
    UniqueConstraint("hold_id", "payment"),
    CheckConstraint("amount > 0", name="is_money"),
    CheckConstraint("(settled_at IS NULL) = (settled_by IS NULL)", name="settled_by_somebody"),
    Index("refused_payments_open_idx", "refused_at", postgresql_where=text("settled_at IS NULL")),
    comment="Conversions that were refused although they said that they were paid; written with the refusal",
)

order_refunds = Table(
    "order_refunds",
    metadata,
    Column("id", BigInteger, Identity(always=True), primary_key=True),
    Column("order_id", BigInteger, ForeignKey("orders.id", ondelete="CASCADE"), nullable=False),
    Column("reference", Text, nullable=False),
    Column("amount", BigInteger, nullable=False),
    Column("reason", Text, nullable=False),
    Column("created_at", Time, nullable=False, server_default=NOW),
    CheckConstraint("amount > 0", name="gives_back"),
    UniqueConstraint("order_id", "reference"),
)

told_slots = Table(
    "told_slots",
    metadata,
    Column("booking_id", UUID(as_uuid=False), primary_key=True),
    Column("occurrence_id", Text, nullable=False),
    Column("starts_at", Time, nullable=False),
    Column("ends_at", Time, nullable=False),
    Column("timezone", Text, nullable=False),
    Column("is_cancelled", Boolean, nullable=False),
    Column("round", Integer, nullable=False, comment="how often it came back after it was cancelled"),
    Column("planned", ARRAY(Text), nullable=False, comment="the keys of its mails, so that they can be withdrawn"),
    Column("changed_at", Time, nullable=False, server_default=NOW),
    Index("told_slots_occurrence_idx", "occurrence_id"),
    comment="When a booking is, as its customer was last told",
)

deliveries = Table(
    "deliveries",
    metadata,
    Column("task_id", BigInteger, ForeignKey("tasks.id", ondelete="CASCADE"), primary_key=True),
    Column("receiver", Text, nullable=False),
    Column("status", Text, nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("due_at", Time, nullable=False),
    Column("useless_after", Time),
    Column("detail", Text, nullable=False, comment="what the receiver last said, in codes; nothing personal"),
    Column("created_at", Time, nullable=False, server_default=NOW),
    Column("changed_at", Time, nullable=False, server_default=NOW),
    CheckConstraint("status IN ('waiting', 'delivered', 'failed', 'lapsed', 'withdrawn')", name="status_known"),
    Index("deliveries_receiver_idx", "receiver", "changed_at"),
    comment="What became of each mail, webhook and analytics event; gone with its task",
)
