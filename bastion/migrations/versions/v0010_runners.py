"""Which process carries what: several serve one home.

Revision ID: 0010
"""

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"


def upgrade() -> None:
    op.create_table(
        "runners",
        sa.Column("boot", sa.String(length=32), nullable=False),
        sa.Column("node", sa.String(length=64), nullable=False),
        sa.Column("began", sa.DateTime(timezone=True), nullable=False),
        sa.Column("beats", sa.Integer(), nullable=False),
        sa.Column("beat_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("ended_at", sa.DateTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("boot", name=op.f("pk_runners")),
    )
    op.add_column("connections", sa.Column("runner", sa.String(length=32), nullable=True))
    op.add_column("sessions", sa.Column("runner", sa.String(length=32), nullable=True))
