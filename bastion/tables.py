"""The tables of the database, and the column type that only they need.

Everything that SQL knows about is named here; the statements are in `store`. Times are aware and
in UTC on the Python side, and kept so that SQLite and PostgreSQL sort them alike. Lists that are
only ever read whole (roles, labels, selectors) are JSON in a text column.
"""

from typing import TypeAlias

import orjson
from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Dialect,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
    TypeDecorator,
    UniqueConstraint,
    false,
    text,
)

from recorder.index_tables import Moment

SCHEMA = "0013"
"""The newest migration (`bastion/migrations/versions`), which this program reads and writes."""

Json: TypeAlias = "str | int | bool | list[Json] | dict[str, Json] | None"


class JsonText(TypeDecorator[Json]):
    """A list or an object as JSON text, keys in order, so that equal values are equal texts."""

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: Json, dialect: Dialect) -> str | None:
        return orjson.dumps(value, option=orjson.OPT_SORT_KEYS).decode()

    def process_result_value(self, value: str | None, dialect: Dialect) -> Json:
        read: Json = None if value is None else orjson.loads(value)
        return read


metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s",
        "pk": "pk_%(table_name)s",
    }
)

users = Table(
    "users",
    metadata,
    Column("name", String(63), primary_key=True),
    Column("roles", JsonText, nullable=False),
    Column("groups", JsonText, nullable=False),
    Column("email", Text),
    Column("sponsor", String(63)),
    Column("until", Moment),
    Column("disabled_at", Moment),
    Column("enrolled_by", Text),
    Column("enrolled_at", Moment, nullable=False),
    Column("changed_by", Text),
    Column("changed_at", Moment),
)

# A key belongs to one user: the blob, the key itself, is unique.
user_keys = Table(
    "user_keys",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("user", ForeignKey("users.name"), nullable=False, index=True),
    Column("algorithm", String(64), nullable=False),
    Column("blob", LargeBinary, nullable=False, unique=True),
    Column("fingerprint", String(64), nullable=False, index=True),
    Column("comment", Text, nullable=False),
    Column("enrolled_by", Text),
    Column("enrolled_at", Moment, nullable=False),
)

# Who has ever enrolled a key for whom: it outlives the key, as who lets in may not approve.
enrolments = Table(
    "enrolments",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("user", ForeignKey("users.name"), nullable=False, index=True),
    Column("fingerprint", String(64), nullable=False),
    Column("by", Text, nullable=False),
    Column("at", Moment, nullable=False),
    sqlite_autoincrement=True,
)

hosts = Table(
    "hosts",
    metadata,
    Column("name", String(253), primary_key=True),
    Column("address", String(253), nullable=False),
    Column("port", Integer, nullable=False),
    Column("shell_type", String(16)),
    Column("target_ca", String(64)),  # the fingerprint of the CA that last let us in there
)

# Every name that a client may type, the host's own among them: unique, so it means one host.
host_names = Table(
    "host_names",
    metadata,
    Column("name", String(253), primary_key=True),
    Column("host", ForeignKey("hosts.name", ondelete="CASCADE"), nullable=False, index=True),
)

# `kind` is `key` for a pinned host key, `ca` for a CA whose host certificates are taken.
host_keys = Table(
    "host_keys",
    metadata,
    Column("host", ForeignKey("hosts.name", ondelete="CASCADE"), primary_key=True),
    Column("kind", String(3), primary_key=True),
    Column("blob", LargeBinary, primary_key=True),
    Column("algorithm", String(64), nullable=False),
    Column("fingerprint", String(64), nullable=False),
    Column("comment", Text, nullable=False),
)

host_labels = Table(
    "host_labels",
    metadata,
    Column("host", ForeignKey("hosts.name", ondelete="CASCADE"), primary_key=True),
    Column("key", String(63), primary_key=True),
    Column("value", String(63), primary_key=True),
)

grants = Table(
    "grants",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("user", ForeignKey("users.name"), nullable=False),
    Column("hosts", JsonText, nullable=False),
    Column("logins", JsonText, nullable=False),
    Column("allows", JsonText, nullable=False),
    Column("sources", JsonText, nullable=False),
    Column("starts_at", Moment, nullable=False),
    Column("ends_at", Moment, nullable=False, index=True),
    Column("reason", Text, nullable=False),
    Column("ticket", Text),
    Column("granted_by", Text, nullable=False),
    Column("approved_by", JsonText, nullable=False),
    Column("granted_at", Moment),
    Column("revoked_at", Moment),
    Column("revoked_by", Text),
    Column("revoke_reason", Text),
    Column("window", JsonText),
    Column("request", Integer),
    Column("rule", Text),
    Column("policy", String(64)),
    Column("override", Boolean, nullable=False, server_default=false()),
    Column("emergency", Boolean, nullable=False, server_default=false()),
    Column("watch", Boolean, nullable=False, server_default=false()),
    Column("hardware", Boolean, nullable=False, server_default=false()),
    Column("reviewed_at", Moment),
    Column("reviewed_by", Text),
    Column("review_comment", Text),
    # Door 1 reads a user's live grants by this one, however many others there are.
    Index(None, "user", "revoked_at", "ends_at"),
    sqlite_autoincrement=True,  # the number of a grant is never given to another
)

# What was asked for. `decision` is empty while nobody has decided.
requests = Table(
    "requests",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("user", ForeignKey("users.name"), nullable=False),
    Column("asked_by", Text, nullable=False),
    Column("hosts", JsonText, nullable=False),
    Column("logins", JsonText, nullable=False),
    Column("allows", JsonText, nullable=False),
    Column("sources", JsonText, nullable=False),
    Column("window", JsonText),
    Column("duration", Integer, nullable=False),  # seconds
    Column("starts_at", Moment),
    Column("reason", Text, nullable=False),
    Column("ticket", Text),
    Column("extends", ForeignKey("grants.id")),
    Column("emergency", Boolean, nullable=False),
    Column("source", Text, nullable=False),
    Column("sponsor", String(63)),
    Column("rule", Text),
    Column("policy", String(64)),
    Column("asked_at", Moment, nullable=False),
    Column("stale_at", Moment, nullable=False),
    Column("decision", String(16)),
    Column("decided_at", Moment),
    Column("decided_by", Text),
    Column("comment", Text),
    Column("grant", Integer),
    Index(None, "decision", "stale_at"),
    Index(None, "user", "id"),
    sqlite_autoincrement=True,
)

# Who agreed to what: nobody twice to the same.
approvals = Table(
    "approvals",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("request", ForeignKey("requests.id"), nullable=False),
    Column("by", Text, nullable=False),
    Column("at", Moment, nullable=False),
    Column("duration", Integer),  # seconds
    Column("comment", Text),
    Column("source", Text, nullable=False),
    Column("fingerprint", String(64)),
    Column("policy", String(64)),
    Column("machines", String(64)),
    UniqueConstraint("request", "by"),
    sqlite_autoincrement=True,
)

# Each version of policy.toml that has ever been in force, by its SHA-256.
policies = Table(
    "policies",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("version", String(64), nullable=False, index=True),
    Column("text", Text, nullable=False),
    Column("by", Text, nullable=False),
    Column("at", Moment, nullable=False),
    sqlite_autoincrement=True,
)

# The ledger: whatever the CAs signed for users and targets.
certificates = Table(
    "certificates",
    metadata,
    Column("serial", Integer, primary_key=True),
    Column("kind", String(6), nullable=False),
    Column("user", String(63), nullable=False),  # or an account that tries a target
    Column("fingerprint", String(64), nullable=False),
    Column("sha256", String(64), nullable=False, unique=True),
    Column("key_id", Text, nullable=False),
    Column("principals", JsonText, nullable=False),
    Column("grants", JsonText, nullable=False),
    Column("valid_after", Moment, nullable=False),
    Column("valid_before", Moment, nullable=False),
    Column("signed_at", Moment, nullable=False),
    Column("source", Text),
    Column("connection", Integer),
    Column("host", String(253)),
    Column("revoked_at", Moment),
    Column("revoked_by", Text),
    Column("revoke_reason", Text),
    Index(None, "user", "fingerprint", "kind", "serial"),
    sqlite_autoincrement=True,
)

connections = Table(
    "connections",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("user", ForeignKey("users.name"), nullable=False, index=True),
    Column("fingerprint", String(64), nullable=False),
    Column("certificate", Integer),
    Column("source", Text, nullable=False),
    Column("host", String(253), nullable=False, index=True),
    Column("login", String(32)),
    Column("client_version", Text, nullable=False),
    Column("started_at", Moment, nullable=False, index=True),
    Column("ended_at", Moment, index=True),
    Column("runner", String(32)),  # which process carries it
    sqlite_autoincrement=True,
)

# The processes that carry sessions, each by the name of its chain of events. `beats` grows while
# one lives.
runners = Table(
    "runners",
    metadata,
    Column("boot", String(32), primary_key=True),
    Column("node", String(64), nullable=False),
    Column("began", Moment, nullable=False),
    Column("beats", Integer, nullable=False),
    Column("beat_at", Moment, nullable=False),
    Column("ended_at", Moment),
)

# "Please cut this live session": written by whoever may, read by the process that carries it.
kills = Table(
    "kills",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("session", Integer, nullable=False),
    Column("by", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("at", Moment, nullable=False),
    Index(None, "session"),
    sqlite_autoincrement=True,
)

# Who follows which live session: a row for as long as she does. Each beat of hers is a write.
watchers = Table(
    "watchers",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("session", Integer, nullable=False, index=True),
    Column("name", Text, nullable=False),
    Column("source", Text, nullable=False),
    Column("account", Text),
    Column("fingerprint", String(64)),
    Column("began", Moment, nullable=False),
    Column("seen_at", Moment, nullable=False),
    Column("beats", Integer, nullable=False),
    sqlite_autoincrement=True,
)

# What is to be kept whatever the rules of retention say: a session, or all sessions of a grant.
holds = Table(
    "holds",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("session", BigInteger().with_variant(Integer, "sqlite")),
    Column("grant", Integer),
    Column("by", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("at", Moment, nullable=False),
    Column("released_at", Moment),
    Column("released_by", Text),
    Column("release_reason", Text),
    Index(None, "session"),
    Index(None, "grant"),
    sqlite_autoincrement=True,
)

meta = Table(
    "meta",
    metadata,
    Column("key", String(63), primary_key=True),
    Column("at", Moment, nullable=False),
)

# One row: the oldest schema whose programs can use the database as it is. A migration that takes
# away what older programs need moves it.
schema_oldest = Table(
    "schema_oldest",
    metadata,
    Column("version", String(32), primary_key=True),
)

# What happened, in chains (`bastion.events`). Triggers refuse to change or to take away a row.
events = Table(
    "events",
    metadata,
    Column("id", BigInteger().with_variant(Integer, "sqlite"), primary_key=True),
    Column("node", String(64), nullable=False),
    Column("boot", String(32), nullable=False),
    Column("seq", Integer, nullable=False),
    Column("at", Moment, nullable=False, index=True),
    Column("what", String(32), nullable=False),
    Column("actor", Text, nullable=False),
    Column("source", Text, nullable=False),
    Column("account", Text),
    Column("user", String(63)),
    Column("host", String(253)),
    Column("login", String(32)),
    Column("request", Integer),
    Column("grant", Integer),
    Column("connection", Integer),
    Column("session", Integer),
    Column("why", Text),
    Column("details", JsonText, nullable=False),
    Column("prev", String(64), nullable=False),
    Column("hash", String(64), nullable=False),
    UniqueConstraint("node", "boot", "seq"),
    Index(None, "what", "id"),
    Index(None, "actor", "id"),
    Index(None, "user", "id"),
    Index(None, "host", "id"),
    Index(None, "grant", "id"),
    *(
        Index(
            f"ix_events_{name}_id",
            name,
            "id",
            sqlite_where=text(f'"{name}" IS NOT NULL'),
            postgresql_where=text(f'"{name}" IS NOT NULL'),
        )
        for name in ("request", "connection", "session", "login")
    ),
)

# The end of each chain, moved along with every event: a chain that was cut short is shorter.
heads = Table(
    "heads",
    metadata,
    Column("node", String(64), primary_key=True),
    Column("boot", String(32), primary_key=True),
    Column("seq", Integer, nullable=False),
    Column("hash", String(64), nullable=False),
    Column("sealed", Integer, nullable=False, server_default="0"),
)

# The heads that had moved, signed; `body` is what was signed, as it was.
checkpoints = Table(
    "checkpoints",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("at", Moment, nullable=False),
    Column("body", Text, nullable=False),
    Column("signature", Text, nullable=False),
    sqlite_autoincrement=True,
)

# How far somebody who passes events on has come: the id of the last one.
cursors = Table(
    "cursors",
    metadata,
    Column("name", String(128), primary_key=True),
    Column("event", BigInteger().with_variant(Integer, "sqlite"), nullable=False),
    Column("at", Moment, nullable=False),
)

# A message on its way to somebody: tried again until `done_at`. `key` is said once only.
notices = Table(
    "notices",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("key", String(200), nullable=False),
    Column("channel", String(128), nullable=False),
    Column("body", JsonText, nullable=False),
    Column("made_at", Moment, nullable=False),
    Column("tries", Integer, nullable=False, server_default="0"),
    Column("next_at", Moment, nullable=False),
    Column("done_at", Moment),
    Column("error", Text),
    UniqueConstraint("channel", "key"),
    Index(None, "done_at", "next_at"),
    sqlite_autoincrement=True,
)
