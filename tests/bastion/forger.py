"""A forger: somebody who has the database, drops its triggers and puts them back."""

import hashlib
import sqlite3

from bastion.audit import seal_with
from bastion.chains import EVENT_COLUMNS, digest_of_written, written
from bastion.checkpoints import Checkpoint
from bastion.events import START, Chain, Event, Head
from bastion.verdict import kept_time
from tests.bastion.logs import SEAL
from tests.bastion.test_events import row_of
from tests.bastion.worlds import NOW


def chains(raw: sqlite3.Connection) -> list[str]:
    """The boots, by their first event."""
    found = raw.execute("SELECT boot FROM events GROUP BY boot ORDER BY min(id)").fetchall()
    return [boot for (boot,) in found]


def rehash(raw: sqlite3.Connection, number: int) -> str:
    """Give the event the hash that fits it."""
    names = ", ".join(f'"{name}"' for name in EVENT_COLUMNS)
    row = raw.execute(f"SELECT {names} FROM events WHERE id = ?", (number,)).fetchone()  # noqa: S608
    told = written(row)
    assert told is not None
    digest = digest_of_written(told)
    assert digest is not None
    raw.execute("UPDATE events SET hash = ? WHERE id = ?", (digest, number))
    return digest


def relink(raw: sqlite3.Connection, number: int) -> None:
    """Hash an event anew, then all that follow it in any way, and move the heads."""
    rehash(raw, number)
    for later, boot, seq in raw.execute(
        "SELECT id, boot, seq FROM events WHERE id > ? ORDER BY id", (number,)
    ).fetchall():
        if seq == 1:
            (before,) = raw.execute("SELECT hash FROM events WHERE id = ?", (later - 1,)).fetchone()
            raw.execute(
                "UPDATE events SET details = json_set(details, '$.after[1]', ?) WHERE id = ?",
                (before, later),
            )
        else:
            raw.execute(
                "UPDATE events SET prev = (SELECT b.hash FROM events b WHERE b.boot = ? "
                "AND b.seq = ?) WHERE id = ?",
                (boot, seq - 1, later),
            )
        rehash(raw, later)
    raw.execute(
        "UPDATE heads SET hash = (SELECT hash FROM events "
        "WHERE events.boot = heads.boot AND events.seq = heads.seq)"
    )


def renumber(raw: sqlite3.Connection) -> None:
    """Close the gaps between numbers, and hash what was moved; links between chains stay."""
    old = [number for (number,) in raw.execute("SELECT id FROM events ORDER BY id").fetchall()]
    for new, number in enumerate(old, 1):
        if new != number:
            raw.execute("UPDATE events SET id = ? WHERE id = ?", (new, number))
    hashes: dict[str, str] = {}
    for number, boot, seq in raw.execute("SELECT id, boot, seq FROM events ORDER BY id").fetchall():
        if seq > 1:
            raw.execute("UPDATE events SET prev = ? WHERE id = ?", (hashes[boot], number))
        hashes[boot] = rehash(raw, number)
    for boot, hash_ in hashes.items():
        raw.execute("UPDATE heads SET hash = ? WHERE boot = ?", (hash_, boot))


def add(raw: sqlite3.Connection, event: Event) -> None:
    """One more row."""
    row = row_of(event)
    raw.execute(f"INSERT INTO events VALUES ({', '.join('?' * len(row))})", row)  # noqa: S608


def resealed(raw: sqlite3.Connection, number: int, events: int) -> str:
    """What root can do: another checkpoint with the right signature, over what is there now."""
    rows = raw.execute(
        "SELECT node, boot, seq, hash FROM events WHERE id IN "
        "(SELECT max(id) FROM events WHERE id <= ? GROUP BY node, boot) AND boot IN "
        "(SELECT boot FROM events WHERE id > ? AND id <= ?)",
        (events, {1: 0, 2: 10, 3: 16}[number], events),
    ).fetchall()
    heads = tuple(Head(Chain(node, boot), seq, hash_) for node, boot, seq, hash_ in rows)
    after = START
    if number > 1:
        (before,) = raw.execute(
            "SELECT body FROM checkpoints WHERE id = ?", (number - 1,)
        ).fetchone()
        after = hashlib.sha256(before.encode()).hexdigest()
    body = Checkpoint(number, NOW, events, after, heads).body()
    raw.execute(
        "UPDATE checkpoints SET body = ?, at = ?, signature = ? WHERE id = ?",
        (body, kept_time(NOW), seal_with(SEAL)(body.encode()), number),
    )
    return body
