"""What is sold and what it costs: products and vouchers, with all their versions.

Revision ID: 0002
"""

from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

UP = """
CREATE TABLE products (
  id text NOT NULL,
  version integer NOT NULL,
  definition jsonb NOT NULL,
  changed_at timestamptz NOT NULL DEFAULT clock_timestamp(),
  changed_by text NOT NULL,
  PRIMARY KEY (id, version)
);
COMMENT ON TABLE products IS
  'Every version there ever was, so that old prices can be explained; the highest is in force';

CREATE TABLE vouchers (
  code text NOT NULL,
  version integer NOT NULL,
  definition jsonb NOT NULL,
  changed_at timestamptz NOT NULL DEFAULT clock_timestamp(),
  changed_by text NOT NULL,
  PRIMARY KEY (code, version)
);
COMMENT ON TABLE vouchers IS 'As products; how often one was used is counted in shared_limits';
"""

DOWN = "DROP TABLE vouchers, products;"


def upgrade() -> None:
    op.execute(UP)


def downgrade() -> None:
    op.execute(DOWN)
