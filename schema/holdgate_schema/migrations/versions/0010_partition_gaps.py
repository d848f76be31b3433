"""Since when a partition queue has been without a consumer, or without one that waits behind it.

Revision ID: 0010
"""

from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None

UP = """
CREATE TABLE partition_gaps (
  partition integer NOT NULL,
  missing text NOT NULL CONSTRAINT partition_gaps_missing_check CHECK (missing IN ('consumer', 'standby')),
  since timestamptz NOT NULL DEFAULT clock_timestamp(),
  CONSTRAINT partition_gaps_pkey PRIMARY KEY (partition, missing)
);
COMMENT ON TABLE partition_gaps IS 'Partition queues without a consumer or without a standby, and since when; empty if all is well';
"""


def upgrade() -> None:
    op.execute(UP)


def downgrade() -> None:
    op.execute("DROP TABLE partition_gaps")
