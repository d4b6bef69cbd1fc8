"""Which recordings are in the object store.

Revision ID: 0011
"""

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"


def upgrade() -> None:
    op.add_column("sessions", sa.Column("shipment", sa.String(length=16), nullable=True))
    op.create_index(
        "ix_sessions_unshipped",
        "sessions",
        ["id"],
        sqlite_where=sa.text("shipment IS NULL"),
        postgresql_where=sa.text("shipment IS NULL"),
    )
