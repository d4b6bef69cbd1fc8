"""Runners: the statements. Each takes a connection and gives back values."""

from collections.abc import Collection
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row, insert, select, update

from bastion.events import Chain
from bastion.runners import Runner
from bastion.tables import runners

MOST_ROWS = 10_000

_r = runners.c


def enter(connection: Connection, chain: Chain, now: datetime) -> None:
    """A process carries sessions from now on."""
    row = {"boot": chain.boot, "node": chain.node, "began": now, "beats": 0, "beat_at": now}
    connection.execute(insert(runners), [row])


def beat(connection: Connection, boot: str, now: datetime) -> bool:
    """It lives. False where somebody has taken it for gone: from now on it is there again."""
    before = select(_r.ended_at).where(_r.boot == boot)
    ended = connection.execute(before).scalar_one_or_none()
    moved = update(runners).where(_r.boot == boot)
    connection.execute(moved.values(beats=_r.beats + 1, beat_at=now, ended_at=None))
    return ended is None


def end(connection: Connection, boot: str, now: datetime) -> None:
    """It carries nothing any more, or is gone."""
    ended = update(runners).where(_r.boot == boot, _r.ended_at.is_(None))
    connection.execute(ended.values(ended_at=now))


def there(connection: Connection) -> list[Runner]:
    """Those that nobody has ended, the oldest first."""
    statement = select(runners).where(_r.ended_at.is_(None)).order_by(_r.began).limit(MOST_ROWS)
    return [_runner(row) for row in connection.execute(statement)]


def node_of(connection: Connection, boot: str) -> str | None:
    """The machine of a process; None for one that was never there."""
    return connection.execute(select(_r.node).where(_r.boot == boot)).scalar()


def ended(connection: Connection, boots: Collection[str]) -> frozenset[str]:
    """Those of `boots` that have ended."""
    statement = select(_r.boot).where(_r.ended_at.is_not(None), _r.boot.in_(boots))
    return frozenset(connection.execute(statement).scalars())


def _runner(row: Row[Any]) -> Runner:
    return Runner(row.boot, row.node, row.began, row.beats, row.beat_at)
