"""Work that follows from decisions.

Revision ID: 0004
"""

from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

UP = """
CREATE TABLE tasks (
  id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  role text NOT NULL,
  kind text NOT NULL,
  key text NOT NULL,
  payload jsonb NOT NULL,
  reply_to text,
  correlation_id text,
  state text NOT NULL,
  attempts integer NOT NULL DEFAULT 0,
  due_at timestamptz NOT NULL,
  wake_at timestamptz NOT NULL,
  claimed_by text,
  claimed_until timestamptz,
  last_error text,
  created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
  ended_at timestamptz,
  CONSTRAINT tasks_kind_key_key UNIQUE (kind, key),
  CONSTRAINT tasks_role_known CHECK (role IN ('pricing', 'orders', 'notifications')),
  CONSTRAINT tasks_state_known CHECK (state IN ('open', 'done', 'dead', 'cancelled')),
  CONSTRAINT tasks_ended_means_final CHECK ((state = 'open') = (ended_at IS NULL)),
  CONSTRAINT tasks_claimed_as_a_whole CHECK ((claimed_by IS NULL) = (claimed_until IS NULL))
) WITH (fillfactor = 70);
COMMENT ON TABLE tasks IS 'Work that follows from decisions';
COMMENT ON COLUMN tasks.key IS 'with the kind: what makes it the same task again';
COMMENT ON COLUMN tasks.reply_to IS 'where a second answer goes';
COMMENT ON COLUMN tasks.due_at IS 'not to be worked before';
COMMENT ON COLUMN tasks.wake_at IS 'when a worker is told of it (again), if it is still open';
CREATE INDEX tasks_wake_idx ON tasks (role, wake_at) WHERE state = 'open';
CREATE INDEX tasks_open_idx ON tasks (kind, due_at) WHERE state = 'open';
CREATE INDEX tasks_dead_idx ON tasks (id) WHERE state = 'dead';
CREATE INDEX tasks_ended_idx ON tasks (ended_at) WHERE state IN ('done', 'cancelled');
"""

DOWN = "DROP TABLE tasks;"


def upgrade() -> None:
    op.execute(UP)


def downgrade() -> None:
    op.execute(DOWN)
