"""Asking, approving, accounting: requests, approvals, rules, the chained log of events.

Revision ID: 0002
"""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"

_big = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
_moment = sa.DateTime(timezone=True)


def upgrade() -> None:
    _columns()
    _asking()
    _log()
    _telling()
    if op.get_context().dialect.name == "sqlite":
        _refusals()


def _columns() -> None:
    op.add_column("hosts", sa.Column("target_ca", sa.String(length=64), nullable=True))
    for name in ("window", "rule", "reviewed_by", "review_comment"):
        op.add_column("grants", sa.Column(name, sa.Text(), nullable=True))
    op.add_column("grants", sa.Column("request", sa.Integer(), nullable=True))
    op.add_column("grants", sa.Column("policy", sa.String(length=64), nullable=True))
    op.add_column("grants", sa.Column("reviewed_at", _moment, nullable=True))
    for name in ("override", "emergency", "watch", "hardware"):
        flag: sa.Column[bool] = sa.Column(
            name, sa.Boolean(), nullable=False, server_default=sa.false()
        )
        op.add_column("grants", flag)
    # A target is tried by whoever administers, who need not be a user.
    with op.batch_alter_table(
        "certificates", table_kwargs={"sqlite_autoincrement": True}
    ) as certificates:
        certificates.drop_constraint("fk_certificates_user", type_="foreignkey")


def _asking() -> None:
    op.create_table(
        "enrolments",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("user", sa.String(length=63), nullable=False),
        sa.Column("fingerprint", sa.String(length=64), nullable=False),
        sa.Column("by", sa.Text(), nullable=False),
        sa.Column("at", _moment, nullable=False),
        sa.ForeignKeyConstraint(["user"], ["users.name"], name=op.f("fk_enrolments_user")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_enrolments")),
        sqlite_autoincrement=True,
    )
    op.create_index(op.f("ix_enrolments_user"), "enrolments", ["user"])
    op.execute(
        'INSERT INTO enrolments ("user", fingerprint, "by", at) '
        'SELECT "user", fingerprint, enrolled_by, enrolled_at FROM user_keys '
        "WHERE enrolled_by IS NOT NULL"
    )
    op.create_table(
        "requests",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("user", sa.String(length=63), nullable=False),
        sa.Column("asked_by", sa.Text(), nullable=False),
        sa.Column("hosts", sa.Text(), nullable=False),
        sa.Column("logins", sa.Text(), nullable=False),
        sa.Column("allows", sa.Text(), nullable=False),
        sa.Column("sources", sa.Text(), nullable=False),
        sa.Column("window", sa.Text(), nullable=True),
        sa.Column("duration", sa.Integer(), nullable=False),
        sa.Column("starts_at", _moment, nullable=True),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("ticket", sa.Text(), nullable=True),
        sa.Column("extends", sa.Integer(), nullable=True),
        sa.Column("emergency", sa.Boolean(), nullable=False),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("sponsor", sa.String(length=63), nullable=True),
        sa.Column("rule", sa.Text(), nullable=True),
        sa.Column("policy", sa.String(length=64), nullable=True),
        sa.Column("asked_at", _moment, nullable=False),
        sa.Column("stale_at", _moment, nullable=False),
        sa.Column("decision", sa.String(length=16), nullable=True),
        sa.Column("decided_at", _moment, nullable=True),
        sa.Column("decided_by", sa.Text(), nullable=True),
        sa.Column("comment", sa.Text(), nullable=True),
        sa.Column("grant", sa.Integer(), nullable=True),
        sa.ForeignKeyConstraint(["user"], ["users.name"], name=op.f("fk_requests_user")),
        sa.ForeignKeyConstraint(["extends"], ["grants.id"], name=op.f("fk_requests_extends")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_requests")),
        sqlite_autoincrement=True,
    )
    op.create_index(op.f("ix_requests_decision_stale_at"), "requests", ["decision", "stale_at"])
    op.create_index(op.f("ix_requests_user_id"), "requests", ["user", "id"])
    op.create_table(
        "approvals",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("request", sa.Integer(), nullable=False),
        sa.Column("by", sa.Text(), nullable=False),
        sa.Column("at", _moment, nullable=False),
        sa.Column("duration", sa.Integer(), nullable=True),
        sa.Column("comment", sa.Text(), nullable=True),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("fingerprint", sa.String(length=64), nullable=True),
        sa.Column("policy", sa.String(length=64), nullable=True),
        sa.Column("machines", sa.String(length=64), nullable=True),
        sa.ForeignKeyConstraint(["request"], ["requests.id"], name=op.f("fk_approvals_request")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_approvals")),
        sa.UniqueConstraint("request", "by", name=op.f("uq_approvals_request_by")),
        sqlite_autoincrement=True,
    )
    op.create_table(
        "policies",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("version", sa.String(length=64), nullable=False),
        sa.Column("text", sa.Text(), nullable=False),
        sa.Column("by", sa.Text(), nullable=False),
        sa.Column("at", _moment, nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_policies")),
        sqlite_autoincrement=True,
    )
    op.create_index(op.f("ix_policies_version"), "policies", ["version"])


def _log() -> None:
    op.create_table(
        "events",
        sa.Column("id", _big, nullable=False),
        sa.Column("node", sa.String(length=64), nullable=False),
        sa.Column("boot", sa.String(length=32), nullable=False),
        sa.Column("seq", sa.Integer(), nullable=False),
        sa.Column("at", _moment, nullable=False),
        sa.Column("what", sa.String(length=32), nullable=False),
        sa.Column("actor", sa.Text(), nullable=False),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("account", sa.Text(), nullable=True),
        sa.Column("user", sa.String(length=63), nullable=True),
        sa.Column("host", sa.String(length=253), nullable=True),
        sa.Column("login", sa.String(length=32), nullable=True),
        sa.Column("request", sa.Integer(), nullable=True),
        sa.Column("grant", sa.Integer(), nullable=True),
        sa.Column("connection", sa.Integer(), nullable=True),
        sa.Column("session", sa.Integer(), nullable=True),
        sa.Column("why", sa.Text(), nullable=True),
        sa.Column("details", sa.Text(), nullable=False),
        sa.Column("prev", sa.String(length=64), nullable=False),
        sa.Column("hash", sa.String(length=64), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_events")),
        sa.UniqueConstraint("node", "boot", "seq", name=op.f("uq_events_node_boot_seq")),
    )
    op.create_index(op.f("ix_events_at"), "events", ["at"])
    for column in ("what", "actor", "user", "host", "grant"):
        op.create_index(op.f(f"ix_events_{column}_id"), "events", [column, "id"])
    for column in ("request", "connection", "session", "login"):
        known = sa.text(f'"{column}" IS NOT NULL')
        op.create_index(
            op.f(f"ix_events_{column}_id"),
            "events",
            [column, "id"],
            sqlite_where=known,
            postgresql_where=known,
        )
    op.create_table(
        "heads",
        sa.Column("node", sa.String(length=64), nullable=False),
        sa.Column("boot", sa.String(length=32), nullable=False),
        sa.Column("seq", sa.Integer(), nullable=False),
        sa.Column("hash", sa.String(length=64), nullable=False),
        sa.Column("sealed", sa.Integer(), server_default="0", nullable=False),
        sa.PrimaryKeyConstraint("node", "boot", name=op.f("pk_heads")),
    )
    op.create_table(
        "checkpoints",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("at", _moment, nullable=False),
        sa.Column("body", sa.Text(), nullable=False),
        sa.Column("signature", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_checkpoints")),
        sqlite_autoincrement=True,
    )


def _telling() -> None:
    op.create_table(
        "cursors",
        sa.Column("name", sa.String(length=128), nullable=False),
        sa.Column("event", _big, nullable=False),
        sa.Column("at", _moment, nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_cursors")),
    )
    op.create_table(
        "notices",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("key", sa.String(length=200), nullable=False),
        sa.Column("channel", sa.String(length=128), nullable=False),
        sa.Column("body", sa.Text(), nullable=False),
        sa.Column("made_at", _moment, nullable=False),
        sa.Column("tries", sa.Integer(), server_default="0", nullable=False),
        sa.Column("next_at", _moment, nullable=False),
        sa.Column("done_at", _moment, nullable=True),
        sa.Column("error", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_notices")),
        sa.UniqueConstraint("channel", "key", name=op.f("uq_notices_channel_key")),
        sqlite_autoincrement=True,
    )
    op.create_index(op.f("ix_notices_done_at_next_at"), "notices", ["done_at", "next_at"])


def _refusals() -> None:
    """Written once: the database itself refuses to change, forget or replace a row of these."""
    twins = {"events": "id = NEW.id OR (node = NEW.node AND boot = NEW.boot AND seq = NEW.seq)"}
    for table in ("events", "checkpoints", "policies"):
        refused = f"BEGIN SELECT RAISE(ABORT, '{table} are never changed'); END"
        for act in ("update", "delete"):
            op.execute(f"CREATE TRIGGER {table}_no_{act} BEFORE {act} ON {table} {refused}")
        twin = f"SELECT 1 FROM {table} WHERE {twins.get(table, 'id = NEW.id')}"  # noqa: S608 (ours)
        op.execute(
            f"CREATE TRIGGER {table}_no_replace BEFORE insert ON {table} "
            f"WHEN EXISTS ({twin}) {refused}"
        )
