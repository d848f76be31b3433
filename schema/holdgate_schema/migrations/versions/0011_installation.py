"""The id that broker, queue and Redis are stamped with.

Revision ID: 0011
"""

from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute(
        "INSERT INTO house (name, value) VALUES ('installation_id', gen_random_uuid()::text) ON CONFLICT DO NOTHING"
    )


def downgrade() -> None:
    op.execute("DELETE FROM house WHERE name = 'installation_id'")
