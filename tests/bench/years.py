"""A database that has been in use for years: people, hosts, requests, grants, certificates.

Filled past the store, as one grant at a time would take an hour; with the store's own columns,
and with the log's own hashes (`log.fill`). Indexes are built when the rows are there.
"""

import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

import orjson

from bastion.store import Store
from bastion.tables import Json
from bastion.verdict import kept_time
from tests.bench import log

DAY = timedelta(days=1)
KEPT_FOR = 5 * 365 * DAY
BUSIEST = "user-0"
"""Who has as many live grants as one user may have."""

Column = str | int | bytes | None
Row = Mapping[str, Column]
Rows = Iterator[Row]


@dataclass(frozen=True, slots=True)
class Years:
    """How much there is. Of the grants two of a hundred are not over, and `busiest` of `BUSIEST`.

    Half of the `certificates` were signed for contractors, and half for connections to targets.
    """

    users: int
    hosts: int
    requests: int
    grants: int
    certificates: int
    events: int
    busiest: int = 500

    @property
    def now(self) -> datetime:
        """When the last of all this has happened: the noon after the last event."""
        return (log.BEGAN + log.APART * self.events + DAY).replace(hour=12)

    @property
    def first_live(self) -> int:
        """The number of the first grant that is not over."""
        return self.grants - self.busiest - self.grants // 50 + 1

    def owner(self, grant: int) -> str:
        """Whose a grant is."""
        if grant > self.grants - self.busiest:
            return BUSIEST
        return f"user-{grant * 7919 % self.users}"


def fill(file: Path, years: Years) -> None:
    """A new database in `file`."""
    now = years.now
    Store.open(f"sqlite:///{file}", migrate=True).close()
    with _indexed_later(file):
        log.fill(file, years.events)
        with closing(sqlite3.connect(file, isolation_level=None)) as raw:
            raw.execute("PRAGMA synchronous = OFF")
            raw.execute("BEGIN")
            for table, rows in _tables(years, now):
                _insert(raw, table, rows)
            raw.execute("COMMIT")


@contextmanager
def _indexed_later(file: Path) -> Iterator[None]:
    """Without indexes for the length of the block: to sort once is quicker than to insert."""
    with closing(sqlite3.connect(file, isolation_level=None)) as raw:
        found = raw.execute(
            "SELECT name, sql FROM sqlite_master WHERE type='index' AND sql NOTNULL"
        )
        indexes = found.fetchall()
        for name, _ in indexes:
            raw.execute(f'DROP INDEX "{name}"')
        raw.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    yield
    with closing(sqlite3.connect(file, isolation_level=None)) as raw:
        raw.execute("PRAGMA synchronous = OFF")
        for _, sql in indexes:
            raw.execute(sql)
        raw.execute("PRAGMA wal_checkpoint(TRUNCATE)")


def _insert(raw: sqlite3.Connection, table: str, rows: Rows) -> None:
    first = next(rows)
    names = ", ".join(f'"{name}"' for name in first)
    marks = ", ".join("?" * len(first))
    statement = f"INSERT INTO {table} ({names}) VALUES ({marks})"  # noqa: S608 (names of ours)
    raw.execute(statement, tuple(first.values()))
    raw.executemany(statement, (tuple(row.values()) for row in rows))


def _tables(years: Years, now: datetime) -> Iterator[tuple[str, Rows]]:
    yield "users", _users(years, now)
    yield "user_keys", _user_keys(years, now)
    yield "hosts", ({"name": f"host-{n}", **_HOST} for n in range(years.hosts))
    yield "host_names", _host_names(years)
    yield "host_keys", ({"host": f"host-{n}", **_key(f"host-{n}")} for n in range(years.hosts))
    yield "host_labels", _host_labels(years)
    yield "requests", _requests(years, now)
    yield "approvals", _approvals(years, now)
    yield "grants", _grants(years, now)
    yield "certificates", _certificates(years, now)


# People and hosts

_HOST: Row = {"address": "192.0.2.1", "port": 22, "shell_type": "bash"}


def fingerprint(name: str) -> str:
    """Of the one key that a user or a host has."""
    return f"SHA256:{name}".ljust(50, "x")


def _key(name: str) -> Row:
    blob = name.encode().ljust(51, b"\0")
    key: Row = {"algorithm": "ssh-ed25519", "blob": blob, "fingerprint": fingerprint(name)}
    return {**key, "comment": name, "kind": "key"}


def _users(years: Years, now: datetime) -> Rows:
    for number in range(years.users):
        role = "approver" if number % 20 == 1 else "contractor"
        yield {
            "name": f"user-{number}",
            "roles": _json([role]),
            "groups": _json([f"team-{number % 40}"]),
            "sponsor": "user-1",
            "enrolled_by": "os:root",
            "enrolled_at": _moment(now - KEPT_FOR),
        }


def _user_keys(years: Years, now: datetime) -> Rows:
    for number in range(years.users):
        name = f"user-{number}"
        key = {name: value for name, value in _key(name).items() if name != "kind"}
        yield {"user": name, **key, "enrolled_at": _moment(now - KEPT_FOR)}


def _host_names(years: Years) -> Rows:
    for number in range(years.hosts):
        host = f"host-{number}"
        yield {"name": host, "host": host}
        yield {"name": f"alias-{number}", "host": host}


def _host_labels(years: Years) -> Rows:
    for number in range(years.hosts):
        yield {"host": f"host-{number}", "key": "env", "value": ("prod", "staging")[number % 2]}
        yield {"host": f"host-{number}", "key": "team", "value": f"team-{number % 40}"}


# What they asked for, and got


def _requests(years: Years, now: datetime) -> Rows:
    """Every one was granted, save the latest fifty: those wait."""
    for number in range(1, years.requests + 1):
        grant = _granted(years, number)
        asked_at, waits = _when(years, grant, now), number > years.requests - 50
        decided: Row = {
            "decision": "approved",
            "decided_at": _moment(asked_at),
            "decided_by": "user-1",
            "grant": grant,
        }
        yield {
            "id": number,
            "user": years.owner(grant),
            "asked_by": years.owner(grant),
            **_access(years, grant),
            "duration": 7200,
            "reason": f"to look after worker {number}",
            "emergency": 0,
            "source": "192.0.2.7",
            "asked_at": _moment(asked_at),
            "stale_at": _moment(asked_at + DAY if not waits else now + DAY),
            **(dict.fromkeys(decided) if waits else decided),
        }


def _granted(years: Years, request: int) -> int:
    return request * (years.grants // years.requests)


def _approvals(years: Years, now: datetime) -> Rows:
    for number in range(1, years.requests - 50):
        at = _moment(_when(years, _granted(years, number), now))
        yield {"request": number, "by": "user-1", "at": at, "source": "192.0.2.7"}


def _grants(years: Years, now: datetime) -> Rows:
    """One of ten that are over was revoked."""
    for number in range(1, years.grants + 1):
        starts_at = _when(years, number, now)
        live = number >= years.first_live
        ends_at = now + DAY if live else starts_at + timedelta(hours=2)
        revoked = number % 10 == 0 and not live
        yield {
            "id": number,
            "user": years.owner(number),
            **_access(years, number),
            "starts_at": _moment(starts_at),
            "ends_at": _moment(ends_at),
            "reason": f"to look after worker {number}",
            "granted_by": "user-1",
            "approved_by": _json(["user-1"]),
            "granted_at": _moment(starts_at),
            "revoked_at": _moment(starts_at + timedelta(hours=1)) if revoked else None,
            "rule": "everyday",
        }


def _certificates(years: Years, now: datetime) -> Rows:
    """The latest for each user is live, and counts for all that she has now."""
    for serial in range(1, years.certificates - years.users + 1):
        grant = serial * years.first_live // years.certificates + 1
        signed_at = _when(years, grant, now)
        kind = ("user", "target")[serial % 2]
        yield _certificate(serial, kind, years.owner(grant), [grant], signed_at)
    live: dict[str, list[int]] = {}
    for number in range(years.first_live, years.grants + 1):
        live.setdefault(years.owner(number), []).append(number)
    for number in range(years.users):
        user = f"user-{number}"
        serial = years.certificates - number
        yield _certificate(serial, "user", user, live.get(user, []), now - timedelta(hours=1))


def _certificate(
    serial: int, kind: str, user: str, grants: Sequence[int], signed_at: datetime
) -> Row:
    return {
        "serial": serial,
        "kind": kind,
        "user": user,
        "fingerprint": fingerprint(user),
        "sha256": f"{serial:064x}",
        "key_id": f"{user} C-{serial}",
        "principals": _json([user, f"C-{serial}"]),
        "grants": _json(list(grants)),
        "valid_after": _moment(signed_at),
        "valid_before": _moment(signed_at + timedelta(hours=8)),
        "signed_at": _moment(signed_at),
        "source": "192.0.2.7",
    }


def _when(years: Years, grant: int, now: datetime) -> datetime:
    """When a grant began: one after the other."""
    return now - KEPT_FOR * (years.grants - grant + 1) / (years.grants + 1)


def _access(years: Years, grant: int) -> Row:
    """Where, as whom, what: of three, one names a host, one has patterns and one has labels."""
    number = grant * 104_729 % years.hosts
    selectors: tuple[list[Json], ...] = (
        [{"pattern": f"host-{number}"}],
        [{"pattern": f"host-{number // 10}?"}, {"pattern": f"host-{number}"}],
        [{"labels": [["env", "staging"], ["team", f"team-{number % 40}"]]}],
    )
    commands: list[Json] = [["systemctl", "restart", "worker"], ["journalctl", "-u", "worker"]]
    hours: Json = ["mon-sun", "08:00-20:00", "Europe/Berlin"]
    allows: Json = {"shell": grant % 4 > 0, "commands": [] if grant % 4 else commands}
    return {
        "hosts": _json(selectors[grant % 3]),
        "logins": _json(["deploy", "postgres"]),
        "allows": _json(allows),
        "sources": _json([] if grant % 10 else ["192.0.2.0/24"]),
        "window": _json(None if grant % 5 else hours),
    }


def _json(value: Json) -> str:
    return orjson.dumps(value, option=orjson.OPT_SORT_KEYS).decode()


def _moment(at: datetime) -> str:
    """As SQLite keeps it."""
    return kept_time(at)
