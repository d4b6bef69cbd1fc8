"""Working alone where somebody has to watch: watching oneself, in another's name, or not at all.

Both sides come over SSH by hand, to a bastion that serves; what would be a minute for people is
a second here.
"""

import asyncio
import shlex
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path

import asyncssh
import pytest

from bastion.actor import Actor
from bastion.events import Happened, What
from bastion.grants import Allows
from bastion.inventory import Role, User
from bastion.store.journal import Journal
from bastion.store.watchers import Watchers
from tests.corpus.world import (
    OPERATOR,
    SHELL,
    Person,
    World,
    served,
    target_for,
    until,
)

LONG = timedelta(hours=1)


@pytest.fixture
def mark(tmp_path: Path) -> Path:
    """A file that only a command at the target makes."""
    return tmp_path / "mark"


def watched(
    world: World, *roles: Role, allows: Allows = SHELL, lasting: timedelta = LONG
) -> Person:
    """alice, who may do this only while somebody watches."""
    alice = world.enrol("alice", *(roles or (Role.CONTRACTOR,)))
    world.grant(alice, allows, lasting=lasting, watch=True)
    world.certify(alice)
    return alice


@dataclass
class Session:
    """A command of alice's, and what she has heard."""

    process: asyncssh.SSHClientProcess[str]
    heard: str = ""

    async def hears(self, words: str) -> None:
        """Waits until she has heard that."""
        async with asyncio.timeout(10):
            while words not in self.heard:
                more = await self.process.stdout.read(4096)
                assert more, f"it ended; what she heard: {self.heard}"
                self.heard += more

    async def status(self) -> int | None:
        """What it exits with; all that she heard until then is kept."""
        async with asyncio.timeout(10):
            while more := await self.process.stdout.read(4096):
                self.heard += more
            await self.process.wait_closed()
        return self.process.exit_status


@asynccontextmanager
async def begun(world: World, person: Person, command: str) -> AsyncIterator[Session]:
    """`ssh -t -J bastion HOST COMMAND`, which waits by now."""
    async with world.jump(person) as inner:
        session = Session(await inner.create_process(command, term_type="xterm"))
        await session.hears("waits for an auditor")
        yield session


@asynccontextmanager
async def watches(
    world: World, person: Person, key: asyncssh.SSHKey | None = None, *, session: str = "S-1"
) -> AsyncIterator[asyncssh.SSHClientProcess[str]]:
    """`ssh bastion watch S-1`, once what there is has been seen."""
    async with world.outer(key or person.key, name=person.name) as connection:
        process = await connection.create_process(f"watch {session}")
        assert "waits for an auditor" in await process.stdout.readuntil("watch S-")
        yield process


async def seen(world: World) -> None:
    """Waits until a watcher of S-1 has beaten twice: the bastion has looked at her in between."""
    book = Watchers(world.services.store)
    async with asyncio.timeout(10):
        while not any(each.beats >= 2 for each in await asyncio.to_thread(book.of, [1])):
            continue


async def test_her_own_eyes_do_not_count(world: World, mark: Path) -> None:
    """An auditor may be a contractor too; nobody is both at once. Nor by her second key."""
    alice = watched(world, Role.CONTRACTOR, Role.AUDITOR)
    second = asyncssh.generate_private_key("ssh-ed25519")
    world.services.store.enrol_key("alice", replace(alice, key=second).public, OPERATOR, world.now)
    async with begun(world, alice, f"echo ran > {mark}") as session:
        for key in (alice.key, second):
            async with watches(world, alice, key) as herself:
                await herself.stderr.readuntil("You do not count: Nobody watches herself")
                await seen(world)
        assert not _made(mark)
        assert "it begins" not in session.heard
    await until(lambda: len(looks_over(world)) == 2)
    end = looks_over(world)[0]
    assert (end.actor, end.user, end.grant, end.session) == ("alice", "alice", 1, 1)


def looks_over(world: World) -> list[Happened]:
    """Which looks the log says are over."""
    events = [each.happened for each in Journal(world.services.store).after(0)]
    return [each for each in events if each.what is What.WATCH_ENDED]


@pytest.mark.parametrize("how", ["enrolled", "sponsored", "key"])
async def test_a_puppet_does_not_count(world: World, mark: Path, how: str) -> None:
    """An account that she made, one that she vouches for, a key that she gave to an auditor."""
    alice, by = watched(world, Role.CONTRACTOR, Role.ADMIN), Actor("alice", "192.0.2.7")
    puppet = Person("puppet", asyncssh.generate_private_key("ssh-ed25519"))
    roles, key = frozenset({Role.AUDITOR}), puppet.public
    store, enrolment = world.services.store, world.services.enrolment
    if how == "enrolled":
        store.add_user(User("puppet", roles, keys=(key,)), by, world.now)
    elif how == "sponsored":
        store.add_user(User("puppet", roles, keys=(key,), sponsor="alice"), OPERATOR, world.now)
    else:
        world.enrol("puppet", Role.AUDITOR)
        enrolment.add_key(by, "puppet", key, world.now)
    async with begun(world, alice, f"echo ran > {mark}") as session:
        async with watches(world, puppet) as pulled:
            await pulled.stderr.readuntil("You do not count: alice ")
            await seen(world)
        assert not _made(mark)
        assert "it begins" not in session.heard


async def test_an_auditor_who_is_none_any_more_does_not_count(world: World) -> None:
    """At once, though her connection is open still."""
    alice, rita = watched(world), world.enrol("rita", Role.AUDITOR)
    async with begun(world, alice, "cat") as session, watches(world, rita):
        await session.hears("it begins")
        user = world.services.store.user("rita")
        assert user is not None
        contractor = replace(user, roles=frozenset({Role.CONTRACTOR}))
        world.services.store.update_user(contractor, OPERATOR, world.now)
        await session.hears("nobody watches S-1 any more")


async def test_a_row_that_nobody_keeps_warm_counts_for_nothing(world: World, mark: Path) -> None:
    """Somebody who was killed leaves one behind; and who watches nothing could write one."""
    alice = watched(world)
    world.enrol("rita", Role.AUDITOR)
    book = Watchers(world.services.store)
    async with begun(world, alice, f"echo ran > {mark}; cat") as session:
        left = book.begin(world.sessions[0], Actor("rita"), world.now - timedelta(minutes=1))
        book.beat(left.id, world.now - timedelta(minutes=1))
        await asyncio.sleep(0.5)
        assert not _made(mark)
        book.beat(left.id, world.now)
        await session.hears("it begins")
        await session.hears("nobody watches S-1 any more")


async def test_what_was_typed_before_is_run_by_nobody(world: World, mark: Path) -> None:
    """At a terminal; what was piped in is run when somebody watches, and not before."""
    alice, rita = watched(world), world.enrol("rita", Role.AUDITOR)
    async with world.jump(alice) as inner:
        shell = await inner.create_process(term_type="xterm")
        await shell.stdout.readuntil("watch S-1")
        shell.stdin.write(f"echo ran > {mark}\n")
        async with watches(world, rita):
            await shell.stdout.readuntil("recorded as S-1")
            shell.stdin.write("echo th''ere; exit\n")
            await shell.stdout.readuntil("there")
    assert not _made(mark)
    async with world.jump(alice) as inner, asyncio.TaskGroup() as group:
        piping = group.create_task(inner.run(f"cat > {mark}", input="piped"))
        await until(lambda: len(world.sessions) == 2)
        assert not piping.done()
        async with watches(world, rita, session="S-2"):
            assert (await piping).exit_status == 0
    assert _text(mark) == "piped"


async def test_nothing_gets_through_while_nobody_watches(world: World, mark: Path) -> None:
    """Neither a signal, nor a line, nor an end of file; what can wait comes when somebody does."""
    alice, rita = watched(world), world.enrol("rita", Role.AUDITOR)
    line = f"trap 'echo caught' INT; echo ready; read line; echo $line > {mark}; cat; echo over"
    async with begun(world, alice, f"sh -c {shlex.quote(line)}") as session:
        async with watches(world, rita):
            await session.hears("ready")
        await session.hears("it waits until somebody does")
        session.process.send_signal("INT")
        session.process.stdin.write("typed\n\x04")
        session.process.stdin.write_eof()
        await seen_again(world)
        assert not _made(mark)
        async with watches(world, rita):
            assert await session.status() == 0
    assert _text(mark) == "typed\n"
    assert "over" in session.heard
    assert "caught" not in session.heard


async def seen_again(world: World) -> None:
    """Waits until the bastion has looked at what is open a few times more."""
    latest = world.now
    await until(lambda: world.now > latest + timedelta(seconds=1))


@pytest.mark.parametrize("end", ["expired", "revoked", "killed"])
async def test_over_means_over_for_who_waits(world: World, end: str) -> None:
    """To begin (and then it was refused), or to go on: the end comes, and is said."""
    lasting = timedelta(seconds=5) if end == "expired" else LONG
    alice, rita = watched(world, lasting=lasting), world.enrol("rita", Role.AUDITOR)
    async with begun(world, alice, "cat") as frozen, begun(world, alice, "cat") as waiting:
        async with watches(world, rita):
            await frozen.hears("it begins")
        await frozen.hears("it waits until somebody does")
        if end == "revoked":
            world.services.access.revoke(OPERATOR, 1, "enough", world.now)
        for number in (1, 2) if end == "killed" else ():
            world.services.access.kill(OPERATOR, number, "enough", world.now)
        assert (await frozen.status(), await waiting.status()) == (255, 254)
        line = {"expired": "G-1 ended", "revoked": "was revoked", "killed": "operator: enough"}
        assert line[end] in frozen.heard
        assert line[end] in waiting.heard
    await until(lambda: [each.end_reason for each in world.sessions] == [end, end])


async def test_nobody_waits_for_ever(template: Path, tmp_path: Path) -> None:
    """Neither to begin nor to go on."""
    async with served(template, tmp_path / "home", watch_wait="2s") as world, target_for(world):
        alice, rita = watched(world), world.enrol("rita", Role.AUDITOR)
        async with begun(world, alice, "cat") as frozen:
            async with watches(world, rita):
                await frozen.hears("it begins")
            async with begun(world, alice, "cat") as waiting:
                assert (await frozen.status(), await waiting.status()) == (255, 254)
                assert "nobody came to watch S-1 for 2s, so this session is over" in frozen.heard
                assert "nobody came to watch S-2 for 2s, so nothing was started" in waiting.heard
        await until(lambda: [each.end_reason for each in world.sessions] == ["limit", "limit"])


async def test_each_channel_waits_for_itself(world: World, mark: Path) -> None:
    """One connection, kept open (ControlMaster): who watches one channel sees nothing of others."""
    alice, rita = watched(world), world.enrol("rita", Role.AUDITOR)
    async with world.jump(alice) as inner:
        first = Session(await inner.create_process("cat", term_type="xterm"))
        await first.hears("watch S-1")
        async with watches(world, rita):
            await first.hears("it begins")
            second = Session(await inner.create_process(f"echo > {mark}", term_type="xterm"))
            await second.hears("S-2 waits for an auditor")
            await seen(world)
            assert "it begins" not in second.heard
            assert not _made(mark)


def _made(mark: Path) -> bool:
    return mark.exists()


def _text(mark: Path) -> str:
    return mark.read_text()
