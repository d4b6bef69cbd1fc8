"""Who watches: each method is one transaction, as in `store`.

Beginning and ending are told, each with its event. A beat is the one write that tells nothing: it
says what was true a moment ago, and is of no worth later.
"""

from collections.abc import Collection
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import islice
from typing import Any, Final

from sqlalchemy import ColumnElement, Connection, Row, delete, func, insert, select, update

from bastion import happenings
from bastion.actor import Actor
from bastion.errors import Conflict
from bastion.inventory import User
from bastion.store import events, users
from bastion.store.store import Store
from bastion.tables import watchers
from bastion.watchers import MOST, Watcher
from recorder.index_tables import sessions
from recorder.session import Session

FORGOTTEN: Final = timedelta(minutes=2)
"""So long after her last sign a watcher is taken out: she needs that long to begin, at most."""

MOST_SESSIONS: Final = 500
"""Sessions in one statement."""

_w, _s = watchers.c, sessions.c


@dataclass(frozen=True, slots=True)
class Sights:
    """Who watches, and what it is judged from whether that counts (`bastion.watchers.Eyes`)."""

    watchers: tuple[Watcher, ...] = ()
    users: dict[str, User] = field(default_factory=dict)
    givers: dict[str, frozenset[str]] = field(default_factory=dict)


class Watchers:
    """The watchers in the database of `store`."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def begin(self, session: Session, by: Actor, now: datetime) -> Watcher:
        """Somebody begins to watch: a look, which is told. Raises Conflict where too many do."""
        with self._store.writing(now) as connection:
            mine = select(func.count()).select_from(watchers).where(_w.session == session.id)
            if connection.execute(mine).scalar_one() >= MOST:
                raise Conflict(
                    f"{MOST} people watch {session.name} already: wait for one to leave."
                )
            # Read to its end at once: SQLite commits nothing beside a statement that goes on, and
            # this one would, in the traceback of an event that can't be told.
            row = connection.execute(
                insert(watchers).returning(watchers), _columns(session, by, now)
            ).one()
            looked = happenings.of_look(by, session, "watch")
            events.append(connection, self._store.chain, looked, now)
            return _watcher(row)

    def beat(self, watcher: int, now: datetime) -> bool:
        """She has taken all that there is to see. False where she counts as gone already."""
        statement = update(watchers).where(_w.id == watcher)
        with self._store.write() as connection:
            done = connection.execute(statement.values(seen_at=now, beats=_w.beats + 1))
            return done.rowcount == 1

    def end(self, watcher: int, now: datetime) -> None:
        """She watches no more. Nothing where that was known already."""
        self._end(_w.id == watcher, "left", now)

    def forget(self, now: datetime) -> None:
        """End those who have gone without a word, long ago."""
        silent = _w.seen_at < now - FORGOTTEN
        with self._store.read() as connection:
            if connection.execute(select(_w.id).where(silent).limit(1)).first() is None:
                return
        self._end(silent, "lost", now)

    def of(self, sessions: Collection[int]) -> list[Watcher]:
        """Those of these sessions, whoever came first coming first."""
        with self._store.read() as connection:
            return _of(connection, sessions)

    def sights(self, sessions: Collection[int]) -> Sights:
        """The same, and what it is judged from whether they count, in one view."""
        with self._store.read() as connection:
            found = tuple(_of(connection, sessions))
            names = {each.name for each in found}
            return Sights(found, users.called(connection, names), users.givers(connection, names))

    def users(self) -> list[User]:
        """Everybody, with what it is judged from whether they may watch."""
        return self._store.users()

    def _end(self, which: ColumnElement[bool], why: str, now: datetime) -> None:
        with self._store.writing(now) as connection:
            ended = connection.execute(delete(watchers).where(which).returning(watchers))
            gone = list(map(_watcher, ended))
            whose = _whose(connection, {each.session for each in gone})
            told = [
                (happenings.of_watch_over(each, why, **whose.get(each.session, {})), now)
                for each in gone
            ]
            events.append_all(connection, self._store.chain, told)


def _whose(connection: Connection, numbers: Collection[int]) -> dict[int, dict[str, object]]:
    """Whose sessions these are, as events have it."""
    names = ("user", "host", "login", "connection")
    columns = (_s.id, _s.grant_id.label("grant"), *(_s[name] for name in names))
    rows = connection.execute(select(*columns).where(_s.id.in_(numbers)))
    return {row["id"]: {k: row[k] for k in ("grant", *names)} for row in rows.mappings()}


def _of(connection: Connection, sessions: Collection[int]) -> list[Watcher]:
    found: list[Watcher] = []
    rest = iter(sorted(sessions))
    while part := list(islice(rest, MOST_SESSIONS)):
        statement = select(watchers).where(_w.session.in_(part)).order_by(_w.id)
        found += map(_watcher, connection.execute(statement))
    return found


def _columns(session: Session, by: Actor, now: datetime) -> dict[str, object]:
    return {
        "session": session.id,
        "name": by.name,
        "source": by.source,
        "account": by.account,
        "fingerprint": None if by.key is None else by.key.fingerprint,
        "began": now,
        "seen_at": now,
        "beats": 0,
    }


def _watcher(row: Row[Any]) -> Watcher:
    return Watcher(
        id=row.id,
        session=row.session,
        name=row.name,
        source=row.source,
        began=row.began,
        seen_at=row.seen_at,
        beats=row.beats,
        account=row.account,
        fingerprint=row.fingerprint,
    )
