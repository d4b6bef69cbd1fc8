"""Holds: the statements. Each takes a connection and gives back values."""

from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Connection, Row, and_, insert, or_, select, update

from bastion.errors import Conflict, NotFound
from bastion.retention import Hold
from bastion.tables import holds

MOST_ROWS = 1000

_c = holds.c
_in_force = _c.released_at.is_(None)


def place(connection: Connection, hold: Hold) -> Hold:
    """A new hold with its number. Raises Conflict where the same person has one already."""
    twin = connection.execute(
        select(holds).where(_on(hold.session, hold.grant), _in_force, _c.by == hold.by)
    ).first()
    if twin is not None:
        raise Conflict(f"{hold.name} is on hold by {hold.by} already ({twin.reason}).")
    values = {
        "session": hold.session,
        "grant": hold.grant,
        "by": hold.by,
        "reason": hold.reason,
        "at": hold.at,
    }
    return _hold(connection.execute(insert(holds).values(values).returning(holds)).one())


def release(
    connection: Connection,
    *,
    session: int | None,
    grant: int | None,
    of: str,
    by: str,
    reason: str,
    now: datetime,
) -> Hold:
    """End the hold that `of` has on a session or on a grant. Raises NotFound."""
    statement = (
        update(holds)
        .where(_on(session, grant), _in_force, _c.by == of)
        .values(released_at=now, released_by=by, release_reason=reason)
    )
    row = connection.execute(statement.returning(holds)).first()
    if row is None:
        held = f"{_name(session, grant)} is not on hold by {of}"
        raise NotFound(f"{held}: holds lists whose it is, and --of USER ends another's.")
    return _hold(row)


def find(
    connection: Connection,
    limit: int = MOST_ROWS,
    *,
    released: bool = False,
    session: int | None = None,
    grant: int | None = None,
) -> list[Hold]:
    """The newest first, at most `limit`; with those that were released if they are wanted.

    With a session or a grant, only what was said of it.
    """
    statement = select(holds) if released else select(holds).where(_in_force)
    if (session, grant) != (None, None):
        statement = statement.where(_on(session, grant))
    rows = connection.execute(statement.order_by(_c.id.desc()).limit(min(limit, MOST_ROWS)))
    return [_hold(row) for row in rows]


def keeping(connection: Connection, session: int, grant: int, at: datetime | None) -> Hold | None:
    """A hold that kept this session of this grant at that moment; None is now."""
    then: ColumnElement[bool] = _in_force
    if at is not None:
        then = and_(_c.at <= at, or_(_in_force, _c.released_at > at))
    either = or_(_c.session == session, _c.grant == grant)
    row = connection.execute(select(holds).where(either, then).order_by(_c.id).limit(1)).first()
    return None if row is None else _hold(row)


def all_held(connection: Connection) -> tuple[frozenset[int], frozenset[int]]:
    """The sessions, and the grants, that are on hold."""
    rows = connection.execute(select(_c.session, _c.grant).where(_in_force)).all()
    sessions = frozenset(row.session for row in rows if row.session is not None)
    return sessions, frozenset(row.grant for row in rows if row.grant is not None)


def _on(session: int | None, grant: int | None) -> ColumnElement[bool]:
    return _c.session == session if session is not None else _c.grant == grant


def _name(session: int | None, grant: int | None) -> str:
    return f"S-{session}" if session is not None else f"G-{grant}"


def _hold(row: Row[Any]) -> Hold:
    return Hold(
        id=row.id,
        session=row.session,
        grant=row.grant,
        by=row.by,
        reason=row.reason,
        at=row.at,
        released_at=row.released_at,
        released_by=row.released_by,
        release_reason=row.release_reason,
    )
