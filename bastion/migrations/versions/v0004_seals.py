"""Seals of recordings, and checkpoints of those that grow.

Revision ID: 0004
"""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"

_big = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    op.create_table(
        "seals",
        sa.Column("number", _big, autoincrement=False, nullable=False),
        sa.Column("session", _big, nullable=False),
        sa.Column("manifest", sa.Text(), nullable=False),
        sa.Column("signature", sa.Text(), nullable=False),
        sa.Column("sha256", sa.String(length=64), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("number", name=op.f("pk_seals")),
        sa.UniqueConstraint("session", name=op.f("uq_seals_session")),
    )
    op.create_table(
        "prefixes",
        sa.Column("session", _big, autoincrement=False, nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("size", _big, nullable=False),
        sa.Column("sha256", sa.String(length=64), nullable=False),
        sa.Column("held", sa.String(length=16), nullable=True),
        sa.PrimaryKeyConstraint("session", name=op.f("pk_prefixes")),
    )

    op.create_index(
        "ix_sessions_unsealed",
        "sessions",
        ["id"],
        sqlite_where=sa.text("sealed IS 0"),
        postgresql_where=sa.text("sealed IS false"),
    )
