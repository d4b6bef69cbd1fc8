"""The tables of the index: a row for each session, each file that went over, each seal.

Whoever makes or changes them looks at `metadata`; what is asked of them is `index`'s.
"""

from datetime import UTC, datetime

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    DateTime,
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
    literal_column,
)
from sqlalchemy.dialects.postgresql import TSVECTOR


class Moment(TypeDecorator[datetime]):
    """A moment: aware in Python, UTC in the database. A naive datetime is refused."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """To UTC, as SQLite keeps no zone."""
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError("a moment without a zone cannot be stored")
        return value.astimezone(UTC)

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """From UTC, with its zone again."""
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


metadata = MetaData()
_big = BigInteger().with_variant(Integer, "sqlite")

sessions = Table(
    "sessions",
    metadata,
    Column("id", _big, primary_key=True, autoincrement=True),
    Column("connection", _big, nullable=False),
    Column("user", String(64), nullable=False),
    Column("grant_id", _big, nullable=False),
    Column("host", String(255), nullable=False),
    Column("login", String(64), nullable=False),
    Column("kind", String(16), nullable=False),
    Column("command", Text),
    Column("source", String(64), nullable=False),
    Column("started_at", Moment, nullable=False),
    Column("ended_at", Moment),
    Column("end_reason", String(32)),
    Column("exit_status", _big),
    Column("exit_signal", String(32)),
    Column("bytes_in", _big, nullable=False, server_default="0"),
    Column("bytes_out", _big, nullable=False, server_default="0"),
    Column("path", Text, nullable=False),
    Column("sha256", String(64)),
    Column("size", _big, nullable=False, server_default="0"),
    Column("events", _big, nullable=False, server_default="0"),
    Column("sealed", Boolean, nullable=False),
    Column("let_go_at", Moment),
    Column("compaction", String(16)),
    Column("compacted_size", _big),
    Column("points", String(64)),
    Column("runner", String(32)),  # which process records it
    Column("shipment", String(16)),  # what became of it in the object store
    sqlite_autoincrement=True,
)
Index("ix_sessions_user", sessions.c.user, sessions.c.id)
Index("ix_sessions_host", sessions.c.host, sessions.c.id)
Index("ix_sessions_grant", sessions.c.grant_id, sessions.c.id)
Index("ix_sessions_started", sessions.c.started_at)
is_live = sessions.c.ended_at.is_(None)
Index("ix_sessions_live", sessions.c.id, sqlite_where=is_live, postgresql_where=is_live)
is_unsealed = sessions.c.sealed.is_(false())
Index("ix_sessions_unsealed", sessions.c.id, sqlite_where=is_unsealed, postgresql_where=is_unsealed)
is_kept = sessions.c.let_go_at.is_(None)
Index(
    "ix_sessions_kept",
    *(sessions.c.host, sessions.c.started_at),
    sqlite_where=is_kept,
    postgresql_where=is_kept,
)
is_uncompacted = sessions.c.compaction.is_(None)
Index(
    "ix_sessions_uncompacted",
    sessions.c.id,
    sqlite_where=is_uncompacted,
    postgresql_where=is_uncompacted,
)
is_unshipped = sessions.c.shipment.is_(None)
Index(
    "ix_sessions_unshipped",
    sessions.c.id,
    sqlite_where=is_unshipped,
    postgresql_where=is_unshipped,
)

files = Table(
    "files",
    metadata,
    Column("id", _big, primary_key=True, autoincrement=True),
    Column("session", _big, ForeignKey(sessions.c.id, name="fk_files_session"), nullable=False),
    Column("number", Integer, nullable=False),
    Column("at", Moment, nullable=False),
    Column("operation", String(32), nullable=False),
    Column("path", Text, nullable=False),
    Column("other", Text),
    Column("direction", String(8)),
    Column("bytes", _big, nullable=False),
    Column("sha256", String(64)),
    Column("result", Text, nullable=False),
    Column("sequential", Boolean, nullable=False),
    UniqueConstraint("session", "number", name="uq_files_session"),
    sqlite_autoincrement=True,
)
Index("ix_files_path", files.c.path)
Index("ix_files_sha256", files.c.sha256)
Index("ix_files_at", files.c.at)

# The manifests of recordings, signed: `manifest` is what was signed, as it was.
seals = Table(
    "seals",
    metadata,
    Column("number", _big, primary_key=True, autoincrement=False),
    Column("session", _big, nullable=False),
    Column("manifest", Text, nullable=False),
    Column("signature", Text, nullable=False),
    Column("sha256", String(64), nullable=False),
    Column("at", Moment, nullable=False),
    UniqueConstraint("session", name="uq_seals_session"),
)

# How a recording that grows began: the SHA-256 of the first `size` bytes of what was shown, and of
# what was sent. `held` is what became of that when it was interrupted.
prefixes = Table(
    "prefixes",
    metadata,
    Column("session", _big, primary_key=True, autoincrement=False),
    Column("at", Moment, nullable=False),
    Column("size", _big, nullable=False),
    Column("sha256", String(64), nullable=False),
    Column("sent_size", _big, nullable=False),
    Column("sent_sha256", String(64), nullable=False),
    Column("held", String(16)),
)

# What is signed of recordings that were let go: `text` is what was signed, as it was.
tombstones = Table(
    "tombstones",
    metadata,
    Column("session", _big, primary_key=True, autoincrement=False),
    Column("text", Text, nullable=False),
    Column("signature", Text, nullable=False),
    Column("sha256", String(64), nullable=False),
    Column("at", Moment, nullable=False),
    Column("finished", Boolean, nullable=False),
)
is_unfinished = tombstones.c.finished.is_(false())
Index(
    "ix_tombstones_unfinished",
    tombstones.c.session,
    sqlite_where=is_unfinished,
    postgresql_where=is_unfinished,
)

# The text index where the database is a server; on SQLite it is a file of its own, and these stay
# empty. `began` and `ended` are milliseconds since 1970. `words` are `lexemes`.
searched = Table(
    "searched",
    metadata,
    Column("session", _big, primary_key=True, autoincrement=False),
    Column("state", String(16), nullable=False),
    Column("reason", Text),
    Column("left_out", Boolean, nullable=False),
    Column("node", String(64), nullable=False),
)
is_again = searched.c.state == literal_column("'again'")
Index(
    "ix_searched_again",
    *(searched.c.node, searched.c.session),
    sqlite_where=is_again,
    postgresql_where=is_again,
)

chunks = Table(
    "chunks",
    metadata,
    Column("id", _big, primary_key=True, autoincrement=True),
    Column("session", _big, nullable=False),
    Column("began", _big, nullable=False),
    Column("ended", _big, nullable=False),
    Column("open", Boolean, nullable=False),
    Column("words", TSVECTOR().with_variant(Text, "sqlite"), nullable=False),
    Column("body", LargeBinary, nullable=False),
    sqlite_autoincrement=True,
)
Index("ix_chunks_session", chunks.c.session)
Index("ix_chunks_began", chunks.c.began)
Index("ix_chunks_ended", chunks.c.ended)
Index("ix_chunks_words", chunks.c.words, postgresql_using="gin")
