"""The text index in the database, where that is a server: any machine searches all of it.

Revision ID: 0012
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import TSVECTOR

revision = "0012"
down_revision = "0011"

_big = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    op.create_table(
        "searched",
        sa.Column("session", _big, autoincrement=False, nullable=False),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.Column("left_out", sa.Boolean(), nullable=False),
        sa.Column("node", sa.String(length=64), nullable=False),
        sa.PrimaryKeyConstraint("session"),
    )
    again = sa.text("state = 'again'")
    op.create_index(
        "ix_searched_again",
        "searched",
        ["node", "session"],
        sqlite_where=again,
        postgresql_where=again,
    )
    op.create_table(
        "chunks",
        sa.Column("id", _big, autoincrement=True, nullable=False),
        sa.Column("session", _big, nullable=False),
        sa.Column("began", _big, nullable=False),
        sa.Column("ended", _big, nullable=False),
        sa.Column("open", sa.Boolean(), nullable=False),
        sa.Column("words", TSVECTOR().with_variant(sa.Text(), "sqlite"), nullable=False),
        sa.Column("body", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
        sqlite_autoincrement=True,
    )
    for name in ("session", "began", "ended"):
        op.create_index(f"ix_chunks_{name}", "chunks", [name])
    op.create_index("ix_chunks_words", "chunks", ["words"], postgresql_using="gin")
