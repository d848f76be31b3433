"""An index of the bookings whose money has still to be given back.

Revision ID: 0012
"""

from alembic import op

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("CREATE INDEX bookings_refund_due_idx ON bookings (changed_at) WHERE document ->> 'refund' = 'due'")


def downgrade() -> None:
    op.execute("DROP INDEX bookings_refund_due_idx")
