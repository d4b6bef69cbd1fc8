"""The versions of the rules: the statements. Each takes a connection and gives back values."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row, insert, select

from bastion.tables import policies

_p = policies.c


@dataclass(frozen=True, slots=True)
class Kept:
    """A version of `policy.toml`: its SHA-256 in hex, its text, since when, by whom."""

    version: str
    text: str
    by: str
    at: datetime


def add(connection: Connection, text: str, version: str, by: str, now: datetime) -> None:
    """The rules in force from now on; an earlier version may come back."""
    row = {"version": version, "text": text, "by": by, "at": now}
    connection.execute(insert(policies), [row])


def last(connection: Connection) -> Kept | None:
    """The rules that came into force last."""
    return _kept(connection.execute(select(policies).order_by(_p.id.desc()).limit(1)).first())


def find(connection: Connection, version: str) -> Kept | None:
    """The rules whose version begins with `version`, where that says which."""
    starts = _p.version.startswith(version, autoescape=True)
    rows = connection.execute(select(policies).where(starts).order_by(_p.id)).all()
    return _kept(rows[0]) if len({row.version for row in rows}) == 1 else None


def _kept(row: Row[Any] | None) -> Kept | None:
    return None if row is None else Kept(row.version, row.text, row.by, row.at)
