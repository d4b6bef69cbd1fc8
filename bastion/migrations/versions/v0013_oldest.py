"""Which programs may still use the database: whoever is older than a change goes on beside it.

Revision ID: 0013
"""

import sqlalchemy as sa
from alembic import op

revision = "0013"
down_revision = "0012"


def upgrade() -> None:
    oldest = op.create_table(
        "schema_oldest",
        sa.Column("version", sa.String(length=32), nullable=False),
        sa.PrimaryKeyConstraint("version"),
    )
    op.bulk_insert(oldest, [{"version": revision}])
