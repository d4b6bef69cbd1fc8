"""Checkpoints of recordings that grow speak of both files. The table was never written before.

Revision ID: 0005
"""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"

_big = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    op.drop_table("prefixes")
    op.create_table(
        "prefixes",
        sa.Column("session", _big, autoincrement=False, nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("size", _big, nullable=False),
        sa.Column("sha256", sa.String(length=64), nullable=False),
        sa.Column("sent_size", _big, nullable=False),
        sa.Column("sent_sha256", sa.String(length=64), nullable=False),
        sa.Column("held", sa.String(length=16), nullable=True),
        sa.PrimaryKeyConstraint("session", name=op.f("pk_prefixes")),
    )
