"""Compaction: what became of the file of a recording that is over.

Revision ID: 0009
"""

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"

_big = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    op.add_column("sessions", sa.Column("compaction", sa.String(length=16), nullable=True))
    op.add_column("sessions", sa.Column("compacted_size", _big, nullable=True))
    op.add_column("sessions", sa.Column("points", sa.String(length=64), nullable=True))
    op.create_index(
        "ix_sessions_uncompacted",
        "sessions",
        ["id"],
        sqlite_where=sa.text("compaction IS NULL"),
        postgresql_where=sa.text("compaction IS NULL"),
    )
