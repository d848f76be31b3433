"""Payments that were said to be made and were not taken, until somebody has seen to each.

Revision ID: 0013
"""

from alembic import op

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None

UP = """
CREATE TABLE refused_payments (
  request_id uuid NOT NULL,
  occurrence_id text NOT NULL,
  hold_id uuid NOT NULL,
  payment text NOT NULL,
  session_id text,
  method text NOT NULL,
  amount bigint NOT NULL CONSTRAINT refused_payments_is_money_check CHECK (amount > 0),
  currency text NOT NULL,
  reference text NOT NULL,
  reason text NOT NULL,
  message text NOT NULL,
  refused_at timestamptz NOT NULL,
  settled_at timestamptz,
  settled_by text,
  note text,
  CONSTRAINT refused_payments_pkey PRIMARY KEY (request_id),
  CONSTRAINT refused_payments_hold_id_payment_key UNIQUE (hold_id, payment),
  CONSTRAINT refused_payments_settled_by_somebody_check CHECK ((settled_at IS NULL) = (settled_by IS NULL))
);
COMMENT ON TABLE refused_payments IS 'Conversions that were refused although they said that they were paid; written with the refusal';
COMMENT ON COLUMN refused_payments.payment IS 'what tells one payment for a hold from another: its reference, or how much it is';
COMMENT ON COLUMN refused_payments.settled_at IS 'when a person said what became of the money';
CREATE INDEX refused_payments_open_idx ON refused_payments (refused_at) WHERE settled_at IS NULL;
"""


def upgrade() -> None:
    op.execute(UP)


def downgrade() -> None:
    op.execute("DROP TABLE refused_payments")
