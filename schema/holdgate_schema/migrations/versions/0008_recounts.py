"""The sold holds of an occurrence, found without reading all others.

Revision ID: 0008
"""

from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("CREATE INDEX holds_sold_idx ON holds (occurrence_id) WHERE state = 'confirmed'")


def downgrade() -> None:
    op.execute("DROP INDEX holds_sold_idx")
