"""A start belongs to what takes place then: not to what was cancelled, nor to what is about to move away.

Revision ID: 0009
"""

from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None

# An exclusion constraint, because a unique one can be either partial or deferred, and this must be both: a batch that
# moves a row of dates by one slot is right only at its end.
UP = """
ALTER TABLE occurrences ADD COLUMN yields_start boolean NOT NULL DEFAULT false;
ALTER TABLE occurrences DROP CONSTRAINT occurrences_product_id_starts_at_key;
ALTER TABLE occurrences ADD CONSTRAINT occurrences_product_id_starts_at_key
  EXCLUDE USING btree (product_id WITH =, starts_at WITH =)
  WHERE (status <> 'cancelled' AND NOT yields_start) DEFERRABLE INITIALLY DEFERRED;
CREATE INDEX occurrences_product_idx ON occurrences (product_id, starts_at, id);
COMMENT ON COLUMN occurrences.yields_start IS 'another occurrence of the product may take the start: this one is to move';
"""

DOWN = """
DROP INDEX occurrences_product_idx;
ALTER TABLE occurrences DROP CONSTRAINT occurrences_product_id_starts_at_key;
ALTER TABLE occurrences ADD CONSTRAINT occurrences_product_id_starts_at_key UNIQUE (product_id, starts_at);
ALTER TABLE occurrences DROP COLUMN yields_start;
"""


def upgrade() -> None:
    op.execute(UP)


def downgrade() -> None:
    op.execute(DOWN)
