"""Orders of the local shop.

Revision ID: 0003
"""

from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

UP = """
CREATE TABLE orders (
  id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  reference text NOT NULL CONSTRAINT orders_reference_key UNIQUE,
  status text NOT NULL,
  currency text NOT NULL,
  total bigint NOT NULL,
  refunded bigint NOT NULL DEFAULT 0,
  content jsonb NOT NULL,
  customer jsonb NOT NULL,
  end_reason text,
  created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
  changed_at timestamptz NOT NULL DEFAULT clock_timestamp(),
  CONSTRAINT orders_status_known CHECK (status IN ('pending', 'paid', 'cancelled', 'refunded')),
  CONSTRAINT orders_never_more_back CHECK (total >= 0 AND refunded >= 0 AND refunded <= total)
);
COMMENT ON TABLE orders IS 'Orders of whoever has no shop of their own';
COMMENT ON COLUMN orders.content IS 'lines, fees, coupon, payment, details';
COMMENT ON COLUMN orders.customer IS 'Personal; erased to {} without the order';

CREATE TABLE order_refunds (
  id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  order_id bigint NOT NULL CONSTRAINT order_refunds_order_id_fkey REFERENCES orders (id) ON DELETE CASCADE,
  reference text NOT NULL,
  amount bigint NOT NULL,
  reason text NOT NULL,
  created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
  CONSTRAINT order_refunds_order_id_reference_key UNIQUE (order_id, reference),
  CONSTRAINT order_refunds_gives_back CHECK (amount > 0)
);
"""

DOWN = "DROP TABLE order_refunds, orders;"


def upgrade() -> None:
    op.execute(UP)


def downgrade() -> None:
    op.execute(DOWN)
