"""The gate: occurrences, pools, holds, the journal, and who works on what.

Revision ID: 0001
"""

from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

UP = """
CREATE TABLE occurrences (
  id text PRIMARY KEY,
  product_id text NOT NULL,
  starts_at timestamptz NOT NULL,
  ends_at timestamptz NOT NULL,
  status text NOT NULL,
  definition jsonb NOT NULL,
  version bigint NOT NULL,
  created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
  CONSTRAINT occurrences_product_id_starts_at_key UNIQUE (product_id, starts_at),
  CONSTRAINT occurrences_status_known CHECK (status IN ('active', 'closed', 'cancelled', 'completed'))
) WITH (fillfactor = 70);

CREATE TABLE pools (
  occurrence_id text NOT NULL CONSTRAINT pools_occurrence_id_fkey REFERENCES occurrences (id) ON DELETE CASCADE,
  key text NOT NULL,
  capacity integer,
  overbooking_percent integer NOT NULL,
  buffer integer NOT NULL,
  sellable integer,
  held integer NOT NULL,
  sold integer NOT NULL,
  PRIMARY KEY (occurrence_id, key),
  CONSTRAINT pools_never_oversold CHECK (held >= 0 AND sold >= 0 AND held + sold <= sellable)
) WITH (fillfactor = 70);

CREATE TABLE holds (
  id uuid PRIMARY KEY,
  occurrence_id text NOT NULL,
  session_id text NOT NULL,
  user_id text,
  state text NOT NULL,
  basket jsonb NOT NULL,
  seats integer NOT NULL,
  ttl_seconds integer NOT NULL,
  created_at timestamptz NOT NULL,
  expires_at timestamptz NOT NULL,
  extensions_used smallint NOT NULL,
  client_address inet,
  ended_at timestamptz,
  CONSTRAINT holds_state_known
    CHECK (state IN ('active', 'converting', 'confirmed', 'released', 'expired', 'cancelled')),
  CONSTRAINT holds_ended_means_final
    CHECK ((state IN ('active', 'converting', 'confirmed')) = (ended_at IS NULL))
) WITH (fillfactor = 85);
COMMENT ON COLUMN holds.basket IS 'items, extras, draws (per pool) and stock (shared)';
CREATE INDEX holds_live_idx ON holds (occurrence_id) WHERE state IN ('active', 'converting');
CREATE INDEX holds_due_idx ON holds (expires_at) WHERE state = 'active';
CREATE INDEX holds_session_idx ON holds (session_id);

CREATE TABLE journal (
  request_id uuid PRIMARY KEY,
  xid xid8 NOT NULL DEFAULT pg_current_xact_id(),
  id bigint GENERATED ALWAYS AS IDENTITY NOT NULL,
  fingerprint bytea NOT NULL,
  occurrence_id text NOT NULL,
  version bigint NOT NULL,
  kind text NOT NULL,
  outcome text NOT NULL,
  reason text,
  session_id text,
  hold_id uuid,
  app_id text,
  reply json NOT NULL,
  events json,
  decided_at timestamptz NOT NULL
);
CREATE INDEX journal_cursor_idx ON journal (xid, id);
CREATE INDEX journal_occurrence_idx ON journal (occurrence_id, version);
CREATE INDEX journal_session_idx ON journal (session_id);

CREATE TABLE shared_limits (
  scope text NOT NULL,
  key text NOT NULL,
  used integer NOT NULL,
  cap integer NOT NULL,
  PRIMARY KEY (scope, key),
  CONSTRAINT shared_limits_within_cap CHECK (used >= 0 AND used <= cap)
) WITH (fillfactor = 70);

CREATE TABLE relay_cursors (
  name text PRIMARY KEY,
  xid xid8 NOT NULL,
  id bigint NOT NULL,
  moved_at timestamptz NOT NULL DEFAULT clock_timestamp()
);

CREATE TABLE workers (
  id text PRIMARY KEY,
  role text NOT NULL,
  host text NOT NULL,
  pid integer NOT NULL,
  version text NOT NULL,
  started_at timestamptz NOT NULL DEFAULT clock_timestamp(),
  seen_at timestamptz NOT NULL DEFAULT clock_timestamp()
);

CREATE TABLE partition_lines (
  partition integer NOT NULL,
  worker_id text NOT NULL CONSTRAINT partition_lines_worker_id_fkey REFERENCES workers (id) ON DELETE CASCADE,
  place bigint GENERATED ALWAYS AS IDENTITY NOT NULL,
  PRIMARY KEY (partition, worker_id)
);
COMMENT ON TABLE partition_lines IS
  'Who stands in line at which partition queue, in the order in which they joined it';

CREATE TABLE settings (
  name text PRIMARY KEY,
  value text NOT NULL,
  changed_at timestamptz NOT NULL DEFAULT clock_timestamp(),
  changed_by text NOT NULL
);

CREATE TABLE settings_history (
  id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  name text NOT NULL,
  old_value text,
  new_value text,
  changed_at timestamptz NOT NULL DEFAULT clock_timestamp(),
  changed_by text NOT NULL
);

CREATE TABLE house (
  name text PRIMARY KEY,
  value text NOT NULL
);
COMMENT ON TABLE house IS 'What all processes must agree on: the number of partitions, the session secret';
INSERT INTO house (name, value)
VALUES ('session_secret', replace(gen_random_uuid()::text || gen_random_uuid()::text, '-', ''));

CREATE FUNCTION holdgate_require(ok boolean, code text, message text) RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
  IF ok IS NOT TRUE THEN
    RAISE EXCEPTION '%', message USING ERRCODE = code;
  END IF;
END
$$;
COMMENT ON FUNCTION holdgate_require IS
  'Rolls the transaction back unless the condition holds; lets a whole batch travel in one round trip';
"""

DOWN = """
DROP FUNCTION holdgate_require;
DROP TABLE house, settings_history, settings, partition_lines, workers, relay_cursors, shared_limits, journal, holds,
  pools, occurrences;
"""


def upgrade() -> None:
    op.execute(UP)


def downgrade() -> None:
    op.execute(DOWN)
