"""Holds, and tombstones of recordings that were let go.

Revision ID: 0007
"""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"

_big = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    op.create_table(
        "holds",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("session", _big, nullable=True),
        sa.Column("grant", sa.Integer(), nullable=True),
        sa.Column("by", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("released_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("released_by", sa.Text(), nullable=True),
        sa.Column("release_reason", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_holds")),
        sqlite_autoincrement=True,
    )
    op.create_index(op.f("ix_holds_session"), "holds", ["session"])
    op.create_index(op.f("ix_holds_grant"), "holds", ["grant"])

    op.create_table(
        "tombstones",
        sa.Column("session", _big, autoincrement=False, nullable=False),
        sa.Column("text", sa.Text(), nullable=False),
        sa.Column("signature", sa.Text(), nullable=False),
        sa.Column("sha256", sa.String(length=64), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("finished", sa.Boolean(), nullable=False),
        sa.PrimaryKeyConstraint("session", name=op.f("pk_tombstones")),
    )
    op.create_index(
        "ix_tombstones_unfinished",
        "tombstones",
        ["session"],
        sqlite_where=sa.text("finished IS 0"),
        postgresql_where=sa.text("finished IS false"),
    )

    op.add_column("sessions", sa.Column("let_go_at", sa.DateTime(timezone=True), nullable=True))
    op.create_index(
        "ix_sessions_kept",
        "sessions",
        ["host", "started_at"],
        sqlite_where=sa.text("let_go_at IS NULL"),
        postgresql_where=sa.text("let_go_at IS NULL"),
    )
