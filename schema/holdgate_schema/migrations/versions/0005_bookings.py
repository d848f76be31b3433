"""Quotes, bookings, waiting lists and carts.

Revision ID: 0005
"""

from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

UP = """
ALTER TABLE holds ADD COLUMN quote jsonb, ADD COLUMN cart_id uuid;
COMMENT ON COLUMN holds.quote IS 'which price it has';

CREATE TABLE follow_ups (
  request_id uuid PRIMARY KEY,
  reply_to text,
  correlation_id text,
  wish json NOT NULL,
  answered_by uuid
);
COMMENT ON COLUMN follow_ups.request_id IS 'a request that gets a second answer';
COMMENT ON COLUMN follow_ups.reply_to IS 'where it goes';
COMMENT ON COLUMN follow_ups.wish IS 'what is needed for it and is nobody else''s business';
COMMENT ON COLUMN follow_ups.answered_by IS 'the request whose answer it is';

CREATE TABLE quotes (
  hash text PRIMARY KEY,
  occurrence_id text NOT NULL,
  document jsonb NOT NULL,
  created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
  valid_until timestamptz
);
COMMENT ON COLUMN quotes.valid_until IS 'for whoever holds the same basket with it; null: made for a hold';
CREATE INDEX quotes_created_idx ON quotes (created_at);

CREATE TABLE bookings (
  id uuid PRIMARY KEY,
  occurrence_id text NOT NULL,
  hold_id uuid NOT NULL,
  session_id text NOT NULL,
  state text NOT NULL,
  document jsonb NOT NULL,
  customer jsonb,
  created_at timestamptz NOT NULL,
  timeout_at timestamptz NOT NULL,
  changed_at timestamptz NOT NULL,
  CONSTRAINT bookings_state_known CHECK (
    state IN ('converting', 'confirmed', 'cancelled', 'failed', 'parked', 'refund_required'))
);
COMMENT ON COLUMN bookings.id IS 'the hold that was converted';
COMMENT ON COLUMN bookings.hold_id IS 'the hold that has the seats';
CREATE UNIQUE INDEX bookings_hold_idx ON bookings (hold_id);
CREATE INDEX bookings_session_idx ON bookings (session_id);
CREATE INDEX bookings_occurrence_idx ON bookings (occurrence_id);
CREATE INDEX bookings_open_idx ON bookings (timeout_at)
  WHERE state IN ('converting', 'parked', 'refund_required');

CREATE TABLE waitlist (
  id uuid PRIMARY KEY,
  occurrence_id text NOT NULL,
  session_id text NOT NULL,
  user_id text,
  state text NOT NULL,
  basket jsonb NOT NULL,
  seats integer NOT NULL,
  place bigint NOT NULL,
  joined_at timestamptz NOT NULL,
  ended_at timestamptz,
  CONSTRAINT waitlist_state_known CHECK (state IN ('waiting', 'offered', 'left'))
);
COMMENT ON COLUMN waitlist.id IS 'the request that joined, and the hold of the offer';
COMMENT ON COLUMN waitlist.place IS 'the occurrence''s version at which it joined';
CREATE INDEX waitlist_line_idx ON waitlist (occurrence_id, place) WHERE state = 'waiting';
CREATE INDEX waitlist_session_idx ON waitlist (session_id);

CREATE TABLE carts (
  id uuid PRIMARY KEY,
  session_id text NOT NULL,
  state text NOT NULL,
  document jsonb NOT NULL,
  created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
  changed_at timestamptz NOT NULL DEFAULT clock_timestamp(),
  CONSTRAINT carts_state_known CHECK (state IN ('placing', 'held', 'refused'))
);
COMMENT ON COLUMN carts.document IS 'the legs, and what became of each';
CREATE INDEX carts_session_idx ON carts (session_id);
CREATE INDEX carts_placing_idx ON carts (created_at) WHERE state = 'placing';
"""

DOWN = """
DROP TABLE carts, waitlist, bookings, quotes, follow_ups;
ALTER TABLE holds DROP COLUMN cart_id, DROP COLUMN quote;
"""


def upgrade() -> None:
    if UP:
        op.execute(UP)


def downgrade() -> None:
    if DOWN:
        op.execute(DOWN)
