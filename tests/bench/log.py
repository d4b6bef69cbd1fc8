"""The log of events: a great many of them, and how long it takes to look at them.

fill(file, count)           many events in a new log, a minute a million
page_times(journal, count)  the first page, with and without filters
verifying(journal, signed)  judging all of it
"""

import itertools
import random
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

from bastion.audit import verified
from bastion.chains import EVENT_COLUMNS, digest_of_written, written
from bastion.events import START, What
from bastion.store.events import Wanted
from bastion.store.journal import Journal
from bastion.verdict import Judge, kept_time

BEGAN = datetime(2026, 1, 1, tzinfo=UTC)
APART = timedelta(seconds=20)
BATCH = 20_000
PEOPLE, HOSTS, GRANTS = 400, 300, 20_000
CHAIN = ("bench", "0123456789abcdef")

_KINDS = (
    *(What.CONNECTION_OPENED, What.CERTIFICATE_SIGNED, What.SESSION_STARTED, What.SESSION_ENDED),
    *(What.CONNECTION_CLOSED, What.SIGNIN_FAILED, What.DOOR_REFUSED, What.GRANT_GIVEN),
)
_INSERT = f"INSERT INTO events VALUES ({', '.join('?' * len(EVENT_COLUMNS))})"  # noqa: S608

_INDEXES = """SELECT name, sql FROM sqlite_master
    WHERE type = 'index' AND tbl_name = 'events' AND sql IS NOT NULL"""

Row = tuple[object, ...]


def fill(file: Path, count: int) -> None:
    """So many events, in one chain, as one process's life: in a store that has none yet.

    They are hashed as they have to be, and written past the store, which takes twice as long.
    """
    with closing(sqlite3.connect(file, isolation_level=None)) as raw:
        raw.execute("PRAGMA synchronous = OFF")
        indexes = raw.execute(_INDEXES).fetchall()
        for name, _ in indexes:
            raw.execute(f"DROP INDEX {name}")
        rows, last = _rows(count), None
        while batch := list(itertools.islice(rows, BATCH)):
            raw.execute("BEGIN")
            raw.executemany(_INSERT, batch)
            raw.execute("COMMIT")
            last = batch[-1]
        for _, index in indexes:
            raw.execute(index)
        if last is not None:
            raw.execute("INSERT INTO heads VALUES (?, ?, ?, ?, 0)", (*CHAIN, count, last[-1]))


def _rows(count: int) -> Iterator[Row]:
    """What happens in a busy place: some people and hosts make half of it."""
    chance, prev = random.Random(1), START  # noqa: S311 (no secret)
    for number in range(1, count + 1):
        what = _KINDS[number % len(_KINDS)].value
        who = f"user-{int(PEOPLE * chance.random() ** 2)}"
        host = f"host-{int(HOSTS * chance.random() ** 2)}"
        why = None if number % 7 else "no grant of yours covers that host"
        details = f'{{"certificate":{number},"client":"OpenSSH_9.2p1","key":"SHA256:{"x" * 43}"}}'
        about = (who, host, "deploy", None, number % GRANTS, number // 5, number // 5)
        at = kept_time(BEGAN + APART * number)
        place = (number, *CHAIN, number, at)
        told = (*place, what, who, "192.0.2.7", None, *about, why, details, prev)
        line = written((*told, ""))
        assert line is not None
        prev = str(digest_of_written(line))
        yield (*told, prev)


def pages(count: int) -> dict[str, Wanted]:
    """What auditors ask for, at `count` events."""
    end = BEGAN + APART * count
    half = BEGAN + APART * count / 2
    return {
        "all": Wanted(),
        "a busy user": Wanted(user="user-1"),
        "a quiet user": Wanted(user=f"user-{PEOPLE - 1}"),
        "nobody": Wanted(user="nobody"),
        "a busy host": Wanted(host="host-1"),
        "user and host": Wanted(user="user-1", host="host-1"),
        "a grant": Wanted(grant=7),
        "a kind": Wanted(what=frozenset({What.GRANT_GIVEN})),
        "two kinds of a user": Wanted(
            what=frozenset({What.GRANT_GIVEN, What.DOOR_REFUSED}), user="user-2"
        ),
        "a kind that never was": Wanted(what=frozenset({What.KRL_WRITTEN})),
        "the last day": Wanted(since=end - timedelta(days=1)),
        "until half": Wanted(until=half),
        "user until half": Wanted(user="user-1", until=half),
        "host the last day": Wanted(host="host-1", since=end - timedelta(days=1)),
        "a session": Wanted(session=count // 10),
        "an unknown login": Wanted(login="root"),
    }


def page_times(journal: Journal, count: int, rounds: int = 5) -> dict[str, float]:
    """Seconds for the first page of each, the middle of some rounds."""
    found = {}
    for name, wanted in pages(count).items():
        times = [timed(lambda: journal.events(wanted, limit=101)) for _ in range(rounds)]  # noqa: B023
        found[name] = sorted(times)[rounds // 2]
    return found


def verifying(journal: Journal, signed: Judge) -> float:
    """Seconds for judging all of it."""
    return timed(lambda: verified(journal, signed, {}))


def timed(work: Callable[[], object]) -> float:
    """Seconds that `work` takes."""
    begun = time.perf_counter()
    work()
    return time.perf_counter() - begun
