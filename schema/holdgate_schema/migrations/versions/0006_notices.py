"""What customers were told, and what became of everything that the world was to be told.

Revision ID: 0006
"""

from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

UP = """
CREATE TABLE told_slots (
  booking_id uuid PRIMARY KEY,
  occurrence_id text NOT NULL,
  starts_at timestamptz NOT NULL,
  ends_at timestamptz NOT NULL,
  timezone text NOT NULL,
  is_cancelled boolean NOT NULL,
  round integer NOT NULL,
  planned text[] NOT NULL,
  changed_at timestamptz NOT NULL DEFAULT clock_timestamp()
);
COMMENT ON TABLE told_slots IS 'When a booking is, as its customer was last told';
COMMENT ON COLUMN told_slots.round IS 'how often it came back after it was cancelled';
COMMENT ON COLUMN told_slots.planned IS 'the keys of its mails, so that they can be withdrawn';
CREATE INDEX told_slots_occurrence_idx ON told_slots (occurrence_id);

CREATE TABLE deliveries (
  task_id bigint PRIMARY KEY CONSTRAINT deliveries_task_id_fkey REFERENCES tasks (id) ON DELETE CASCADE,
  receiver text NOT NULL,
  status text NOT NULL,
  attempts integer NOT NULL,
  due_at timestamptz NOT NULL,
  useless_after timestamptz,
  detail text NOT NULL,
  created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
  changed_at timestamptz NOT NULL DEFAULT clock_timestamp(),
  CONSTRAINT deliveries_status_known CHECK (
    status IN ('waiting', 'delivered', 'failed', 'lapsed', 'withdrawn'))
);
COMMENT ON TABLE deliveries IS 'What became of each mail, webhook and analytics event; gone with its task';
COMMENT ON COLUMN deliveries.detail IS 'what the receiver last said, in codes; nothing personal';
CREATE INDEX deliveries_receiver_idx ON deliveries (receiver, changed_at);

CREATE INDEX journal_slots_idx ON journal (occurrence_id, version)
  WHERE kind IN ('occurrence.put.v1', 'occurrence.close.v1');
"""

DOWN = """
DROP INDEX journal_slots_idx;
DROP TABLE deliveries, told_slots;
"""


def upgrade() -> None:
    op.execute(UP)


def downgrade() -> None:
    op.execute(DOWN)
