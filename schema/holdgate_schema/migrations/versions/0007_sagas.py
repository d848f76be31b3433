"""What was asked of the shop about each booking, and what is known of the answer.

Revision ID: 0007
"""

from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

UP = """
CREATE TABLE sagas (
  booking_id uuid PRIMARY KEY,
  rev bigint NOT NULL,
  step text NOT NULL,
  begun_at timestamptz,
  quiet_until timestamptz,
  sent_at timestamptz,
  order_id text,
  attempts integer NOT NULL,
  last_result text NOT NULL,
  document jsonb NOT NULL,
  created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
  changed_at timestamptz NOT NULL DEFAULT clock_timestamp()
);
COMMENT ON TABLE sagas IS 'What was asked of the shop about a booking, written down before it is asked';
COMMENT ON COLUMN sagas.rev IS 'each write is made on top of the one that was read';
COMMENT ON COLUMN sagas.begun_at IS 'when the call in hand began; null: none is';
COMMENT ON COLUMN sagas.quiet_until IS 'until then a request without an answer may still be at work in the shop';
COMMENT ON COLUMN sagas.sent_at IS 'when an order was first asked for';
"""

DOWN = """
DROP TABLE sagas;
"""


def upgrade() -> None:
    op.execute(UP)


def downgrade() -> None:
    op.execute(DOWN)
