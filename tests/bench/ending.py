"""How soon a session is over when its grant is: from the moment of the end to the last line.

    revoked   many grants by one transaction; the moment is when it is on the disk
    ended     many at one moment of the clock
    by one    one grant of many sessions that two processes carry, by `ssh bastion revoke`; the
              moment is the one that the log has

Every session is recorded, on a connection of its own, in a bastion that is a process of its own.
The clients share another process, so their own work is in the figures too.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from datetime import datetime, timedelta

import asyncssh
import uvloop
from sqlalchemy import update

from bastion import tables
from bastion.inventory import Role
from bastion.store import grants
from tests.bench.crowd import LAST_WORDS, crowd
from tests.bench.figures import Row, below, known, percentile
from tests.bench.house import HOST, LOGIN, House, Person, house
from tests.bench.quiet_target import READY
from tests.corpus.world import JUMP, Tunnel

SECOND = 1000.0
"""The goal, in milliseconds: over means over within a second."""

PATIENCE = 60.0

_AT_ONCE = 8
_SOON = timedelta(seconds=3)


def measure(people: int, each: int) -> list[Row]:
    """`people` with a grant of their own and `each` so many sessions; all of them end at once."""
    with house() as made:
        return uvloop.run(_measure(Crowd(made, people, each)))


async def _measure(crowd: "Crowd") -> list[Row]:
    said = f"{crowd.size} live sessions, {len(crowd.people)} grants"
    rows: list[Row] = []
    async with AsyncExitStack() as stack:
        for what, end in (("revoked", crowd.revoke), ("ended by the clock", crowd.let_end)):
            watched, opening = await crowd.opened(stack)
            waits = await watched.ended_by(end)
            rows += _told(f"{said} {what}", waits)
            if what == "revoked":
                rows.append(known(f"{crowd.size} sessions opened, each", "ms", opening * 1000))
    return rows


def measure_by_one(sessions: int) -> list[Row]:
    """So many of one person, ten on a connection, in clients' processes of their own."""
    with house(workers=2) as made:
        person, admin = made.enrolled("alice"), made.enrolled("adam", Role.ADMIN)
        made.granted(person)
        with crowd(made.way(person, each=10), 2) as people:
            people.open(sessions)
            people.begin_to_end()
            uvloop.run(_revoke(made, admin, person.grant))
            ends = people.ends()
        grant = made.services.store.grant(person.grant)
    assert grant is not None
    assert grant.revoked_at is not None
    waits = [(at - grant.revoked_at.timestamp()) * 1000 for at in ends]
    return _told(f"{len(ends)} live sessions of 2 workers by one revoke", waits)


async def _revoke(made: House, admin: Person, grant: int) -> None:
    connect = asyncssh.connect(
        "127.0.0.1", made.bastion.port, username=admin.user.name, options=_options(admin.key)
    )
    async with connect as connection:
        await connection.run(f"revoke G-{grant} --reason measured", check=True)


def _told(said: str, waits: Sequence[float]) -> list[Row]:
    return [
        known(f"{said}: to the last line, p50", "ms", percentile(waits, 50)),
        below(f"{said}: to the last line, p99", "ms", None, percentile(waits, 99), SECOND),
        known(f"{said}: to the last line, at most", "ms", max(waits)),
    ]


# The people


@dataclass(slots=True)
class Watched:
    """When each session said its last line (seconds of the monotonic clock)."""

    size: int
    lines: list[float] = field(default_factory=list)
    all_over: asyncio.Event = field(default_factory=asyncio.Event)

    def over(self) -> None:
        """One more has said it, now."""
        self.lines.append(time.monotonic())
        if len(self.lines) == self.size:
            self.all_over.set()

    async def ended_by(self, end: Callable[[], Awaitable[float]]) -> list[float]:
        """Milliseconds from the moment that `end` gives to the last line of each."""
        moment = await end()
        async with asyncio.timeout(PATIENCE):
            await self.all_over.wait()
        return [(line - moment) * 1000 for line in self.lines]


class _Session(asyncssh.SSHClientSession[bytes]):
    """Waits for its last line."""

    def __init__(self, watched: Watched) -> None:
        self._watched = watched
        self._tail = b""
        self._over = False
        self.ready = asyncio.Event()

    def data_received(self, data: bytes, datatype: int | None) -> None:
        self._tail = (self._tail + data)[-500:]
        if READY in self._tail:
            self.ready.set()
        if LAST_WORDS in self._tail and not self._over:
            self._over = True
            self._watched.over()


class Crowd:
    """People, each with the same number of sessions."""

    def __init__(self, house: House, people: int, each: int) -> None:
        self._house = house
        self._each = each
        self._store = house.services.store
        self.people = [house.enrolled(f"user-{number}") for number in range(people)]

    @property
    def size(self) -> int:
        """All their sessions."""
        return len(self.people) * self._each

    def _granted(self) -> None:
        """A grant for each, and a certificate."""
        for person in self.people:
            self._house.granted(person)

    # Sessions

    async def opened(self, stack: AsyncExitStack) -> tuple[Watched, float]:
        """All sessions, and the seconds that each took (several at once)."""
        await asyncio.to_thread(self._granted)
        watched, gate = Watched(self.size), asyncio.Semaphore(_AT_ONCE)

        async def one(person: Person) -> None:
            async with gate:
                await self._session(stack, person, watched)

        begun = time.monotonic()
        async with asyncio.TaskGroup() as group:
            for person in self.people * self._each:
                group.create_task(one(person))
        return watched, (time.monotonic() - begun) / self.size

    async def _session(self, stack: AsyncExitStack, person: Person, watched: Watched) -> None:
        options = _options(person.key)
        port = self._house.bastion.port
        outer = await stack.enter_async_context(
            asyncssh.connect("127.0.0.1", port, username=person.user.name, options=options)
        )
        inner = await stack.enter_async_context(
            asyncssh.connect(HOST, 22, tunnel=Tunnel(outer, JUMP), username=LOGIN, options=options)
        )
        session = _Session(watched)
        await inner.create_session(lambda: session, "wait", term_type="xterm", encoding=None)
        async with asyncio.timeout(PATIENCE):
            await session.ready.wait()

    # Ends

    async def revoke(self) -> float:
        """All grants, by one transaction: the moment at which it was on the disk."""
        return await asyncio.to_thread(self._revoke)

    def _revoke(self) -> float:
        now = self._house.now
        with self._store.writing(now) as connection:
            for person in self.people:
                grants.revoke(connection, person.grant, "os:root", "to measure", now)
        return time.monotonic()

    async def let_end(self) -> float:
        """All grants are to end soon, together: the moment at which they do."""
        ends_at = self._house.now + _SOON
        await asyncio.to_thread(self._shorten, ends_at)
        return time.monotonic() + (ends_at - self._house.now).total_seconds()

    def _shorten(self, ends_at: datetime) -> None:
        numbers = [person.grant for person in self.people]
        statement = update(tables.grants).where(tables.grants.c.id.in_(numbers))
        with self._store.writing(self._house.now) as connection:
            connection.execute(statement.values(ends_at=ends_at))


def _options(key: asyncssh.SSHKey) -> asyncssh.SSHClientConnectionOptions:
    return asyncssh.SSHClientConnectionOptions(
        config=None,
        known_hosts=None,  # what is measured is at the other end
        client_keys=[key],
        agent_path=None,
        kex_algs=["curve25519-sha256"],
        encryption_algs=["aes128-gcm@openssh.com"],
        keepalive_interval=0,
    )
