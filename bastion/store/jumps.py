"""Connections, kills and the latest time: the statements. Each takes a connection of SQL's."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import islice
from typing import Any

from sqlalchemy import Connection, Row, bindparam, delete, func, insert, select, update

from bastion.jumps import Jump, Kill, Passage
from bastion.retention import Leap
from bastion.tables import connections, kills, meta, runners

MOST_ROWS = 1000

_c, _m = connections.c, meta.c
_LATEST = "latest_time"
_LEAPT_FROM, _LEAPT_TO = "leapt_from", "leapt_to"

LEAP = timedelta(days=7)
"""When nothing was kept for longer, nobody can tell whether the clock is right."""

_latest = select(_m.at).where(_m.key == _LATEST)
_leapt = select(_m.key, _m.at).where(_m.key.in_((_LEAPT_FROM, _LEAPT_TO)))
_move_on = (
    update(meta)
    .where(_m.key == _LATEST, _m.at < bindparam("now"), _m.at >= bindparam("not_before"))
    .values(at=bindparam("now"))
)

# Every connection comes by these, so they are made once: to make one takes longer than to run it.
_start = insert(connections).returning(_c.id)
_log_in = update(connections).where(_c.id == bindparam("number"))
_end = (
    update(connections)
    .where(_c.id == bindparam("number"), _c.ended_at.is_(None))
    .values(ended_at=bindparam("now"))
    .returning(connections)
)


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which connections a list is about; what is None does not narrow it.

    `since` and `until` speak of the start: since <= started_at < until.
    """

    user: str | None = None
    host: str | None = None
    login: str | None = None
    live: bool | None = None
    since: datetime | None = None
    until: datetime | None = None


def start(connection: Connection, jump: Jump, runner: str) -> int:
    """Keep a new jump that `runner` carries, and give its number; `jump`'s is not looked at."""
    values = {
        "user": jump.user,
        "fingerprint": jump.fingerprint,
        "certificate": jump.certificate,
        "source": jump.source,
        "host": jump.host,
        "login": jump.login,
        "client_version": jump.client_version,
        "started_at": jump.started_at,
        "runner": runner,
    }
    return int(connection.execute(_start, values).scalar_one())


def passed(connection: Connection, passage: Passage) -> Jump | None:
    """Keep that somebody came in or left; the jump that ended by that, where one did.

    The first end stays. A jump that is not there has nothing to keep.
    """
    number = passage.connection
    if passage.login is not None:
        connection.execute(_log_in, {"number": number, "login": passage.login})
        return None
    row = connection.execute(_end, {"number": number, "now": passage.at}).first()
    return None if row is None else _jump(row)


def end_all(connection: Connection, now: datetime, gone: Collection[str]) -> list[Jump]:
    """End what was left open by those that are `gone`, or have ended; what there was, by number.

    Before processes had names there was one, which is gone.
    """
    ended = select(runners.c.boot).where(runners.c.ended_at.is_not(None))
    theirs = _c.runner.is_(None) | _c.runner.in_(gone) | _c.runner.in_(ended)
    statement = update(connections).where(_c.ended_at.is_(None), theirs).values(ended_at=now)
    over = map(_jump, connection.execute(statement.returning(connections)))
    return sorted(over, key=lambda jump: jump.id)


def get(connection: Connection, number: int) -> Jump | None:
    """The jump `C-<number>`."""
    row = connection.execute(select(connections).where(_c.id == number)).first()
    return None if row is None else _jump(row)


def find(
    connection: Connection, wanted: Wanted, limit: int = MOST_ROWS, before: int | None = None
) -> list[Jump]:
    """The newest first, at most `limit`; for the next page, `before` is the last one's id."""
    statement = select(connections).order_by(_c.id.desc())
    for column, value in ((_c.user, wanted.user), (_c.host, wanted.host), (_c.login, wanted.login)):
        if value is not None:
            statement = statement.where(column == value)
    if wanted.live is not None:
        ended = _c.ended_at.is_(None)
        statement = statement.where(ended if wanted.live else ~ended)
    if wanted.since is not None:
        statement = statement.where(_c.started_at >= wanted.since)
    if wanted.until is not None:
        statement = statement.where(_c.started_at < wanted.until)
    if before is not None:
        statement = statement.where(_c.id < before)
    rows = connection.execute(statement.limit(max(0, min(limit, MOST_ROWS))))
    return [_jump(row) for row in rows]


def ask_kill(connection: Connection, session: int, by: str, reason: str, now: datetime) -> Kill:
    """Ask the process that carries `S-<session>` to cut it."""
    values = {"session": session, "by": by, "reason": reason, "at": now}
    number = connection.execute(insert(kills).values(values).returning(kills.c.id)).scalar_one()
    return Kill(number, session, by, reason, now)


def kills_since(connection: Connection, number: int) -> list[Kill]:
    """The kills after `number`, oldest first, at most 1000."""
    statement = select(kills).where(kills.c.id > number).order_by(kills.c.id).limit(MOST_ROWS)
    return list(map(_kill, connection.execute(statement)))


def kills_of(connection: Connection, sessions: Collection[int]) -> dict[int, Kill]:
    """The first kill of each of `sessions` that has one: it is the one that was felt."""
    found: dict[int, Kill] = {}
    rest = iter(sorted(sessions, reverse=True))
    while part := list(islice(rest, MOST_ROWS)):
        statement = select(kills).where(kills.c.session.in_(part)).order_by(kills.c.id)
        for kill in map(_kill, connection.execute(statement)):
            found.setdefault(kill.session, kill)
    return found


def last_kill(connection: Connection) -> int:
    """The number of the latest kill, 0 where there is none."""
    return connection.execute(select(func.max(kills.c.id))).scalar() or 0


def latest_time(connection: Connection) -> datetime | None:
    """The latest wall time that was ever kept."""
    return connection.execute(_latest).scalar()


def saw_time(connection: Connection, now: datetime) -> None:
    """Keep `now` if it is later than what was kept."""
    if connection.execute(_move_on, {"now": now, "not_before": now - LEAP}).rowcount:
        return
    latest = latest_time(connection)
    if latest is None:
        connection.execute(insert(meta).values(key=_LATEST, at=now))
    elif now > latest:
        connection.execute(update(meta).where(_m.key == _LATEST).values(at=now))
        if now - latest > LEAP and leap(connection) is None:
            ends = [{"key": _LEAPT_FROM, "at": latest}, {"key": _LEAPT_TO, "at": now}]
            connection.execute(insert(meta), ends)


def reset_time(connection: Connection, now: datetime) -> None:
    """Take `now` for the latest time although it is earlier: somebody mended a clock."""
    connection.execute(update(meta).where(_m.key == _LATEST).values(at=now))
    trust_time(connection)


def leap(connection: Connection) -> Leap | None:
    """The first leap of the clock that nobody has looked at."""
    ends = {row.key: row.at for row in connection.execute(_leapt)}
    return Leap(ends[_LEAPT_FROM], ends[_LEAPT_TO]) if len(ends) == 2 else None


def trust_time(connection: Connection) -> None:
    """Somebody has looked at the clock: it is right."""
    connection.execute(delete(meta).where(_m.key.in_((_LEAPT_FROM, _LEAPT_TO))))


def _kill(row: Row[Any]) -> Kill:
    return Kill(row.id, row.session, row.by, row.reason, row.at)


def _jump(row: Row[Any]) -> Jump:
    return Jump(
        id=row.id,
        user=row.user,
        fingerprint=row.fingerprint,
        certificate=row.certificate,
        source=row.source,
        host=row.host,
        login=row.login,
        client_version=row.client_version,
        started_at=row.started_at,
        ended_at=row.ended_at,
    )
