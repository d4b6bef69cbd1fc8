"""Checkpoints: the statements. Each takes a connection and gives back values."""

from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row, bindparam, func, insert, select, update

from bastion.checkpoints import MOST_HEADS, Checkpoint, Listed, Listing, Sealed, place_after
from bastion.errors import Conflict
from bastion.events import Chain, Head
from bastion.store.events import hashes
from bastion.store.events import last as last_event
from bastion.tables import checkpoints, heads

MOST_ROWS = 1000

_c, _h = checkpoints.c, heads.c
_rows = select(_c.id, _c.body, _c.signature)
_sealed = (
    update(heads)
    .where(_h.node == bindparam("of_node"), _h.boot == bindparam("of_boot"))
    .where(_h.sealed < bindparam("upto"))
    .values(sealed=bindparam("upto"))
)


def draft(connection: Connection, now: datetime) -> Checkpoint | None:
    """What is to be sealed next; None where no chain has moved."""
    moved = select(heads).where(_h.seq > _h.sealed).order_by(_h.node, _h.boot).limit(MOST_HEADS)
    found = tuple(
        Head(Chain(row.node, row.boot), row.seq, row.hash) for row in connection.execute(moved)
    )
    if not found:
        return None
    before, newest = last(connection), last_event(connection)
    number, after = place_after(before)
    return Checkpoint(number, now, newest, after, found, _since(connection, before, newest))


def _since(connection: Connection, before: Sealed | None, newest: int) -> Listed | None:
    """The list of the events since a checkpoint; none after one that can't be read."""
    try:
        known = 0 if before is None else before.checkpoint.events
    except ValueError:
        return None
    return listed(connection, known, newest)


def listed(connection: Connection, after: int, upto: int) -> Listed:
    """The list of the events after the number `after`, up to `upto`."""
    listing = Listing()
    for hash_ in hashes(connection, after, upto):
        listing.add(hash_)
    return listing.listed()


def keep(connection: Connection, sealed: Sealed) -> None:
    """Keep a checkpoint. Raises Conflict where somebody else has kept the next one meanwhile."""
    checkpoint = sealed.checkpoint
    if place_after(last(connection)) != (sealed.number, checkpoint.after):
        raise Conflict(f"Checkpoint {sealed.number} is sealed already.")
    row = {
        "id": sealed.number,
        "at": checkpoint.at,
        "body": sealed.body,
        "signature": sealed.signature,
    }
    connection.execute(insert(checkpoints), [row])
    moved = [
        {"of_node": head.chain.node, "of_boot": head.chain.boot, "upto": head.seq}
        for head in checkpoint.heads
    ]
    connection.execute(_sealed, moved)


def last(connection: Connection) -> Sealed | None:
    """The newest checkpoint."""
    row = connection.execute(_rows.order_by(_c.id.desc()).limit(1)).first()
    return None if row is None else _read(row)


def find(connection: Connection, limit: int = MOST_ROWS, before: int | None = None) -> list[Sealed]:
    """The newest first, at most `limit`."""
    statement = _rows.order_by(_c.id.desc()).limit(max(0, min(limit, MOST_ROWS)))
    if before is not None:
        statement = statement.where(_c.id < before)
    return [_read(row) for row in connection.execute(statement)]


def after(connection: Connection, number: int, limit: int = MOST_ROWS) -> list[Sealed]:
    """Those after checkpoint `number`, oldest first."""
    statement = _rows.where(_c.id > number).order_by(_c.id).limit(limit)
    return [_read(row) for row in connection.execute(statement)]


def over(connection: Connection, event: int, beyond: int = 0) -> Sealed | None:
    """The first checkpoint, of those after `beyond`, that knew of the event; None where none did.

    One that can't be read knows of nothing. Found by halving: they know of more and more.
    """
    newest = last(connection)
    low, high = beyond + 1, 0 if newest is None else newest.number
    found = None
    while low <= high:
        middle = (low + high) // 2
        here = _read(
            connection.execute(_rows.where(_c.id >= middle).order_by(_c.id).limit(1)).one()
        )
        if _knows(here, event):
            found, high = here, middle - 1
        else:
            low = here.number + 1
    return found


def _knows(sealed: Sealed, event: int) -> bool:
    try:
        return sealed.checkpoint.events >= event
    except ValueError:
        return False


def count(connection: Connection) -> int:
    """How many there are."""
    return connection.execute(select(func.count()).select_from(checkpoints)).scalar_one()


def _read(row: Row[Any, Any, Any]) -> Sealed:
    return Sealed(row.id, row.body, row.signature)
