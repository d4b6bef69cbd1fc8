"""Acts: what contractors, auditors, operators and strangers do, one after the other, by the dice.

Each is whole: it begins what it looks at, looks whether it was as it should be, and leaves nothing
open. It raises where something was not so.
"""

import asyncio
import random
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Final

import asyncssh

from recorder import Kind
from tests.e2e.bastion import free_port
from tests.e2e.contractor import HOST, established
from tests.soak.scene import Person, Scene
from tests.soak.story import step

KILOBYTE: Final = 1000
PATIENCE: Final = 30.0
RUSH, RUSH_EACH = 3, 8
"""Connections of each person in a rush, and sessions of each."""

FLOOD: Final = "yes 'a line of a log' | head -c 3000000"
"""More than a window holds, and soon in the text index."""

Act = Callable[[Scene, random.Random], Awaitable[None]]
Process = asyncssh.SSHClientProcess[bytes]


def somebody(scene: Scene, dice: random.Random) -> Person:
    """One of those who may do all."""
    return dice.choice(scene.people)


def _tag(scene: Scene) -> str:
    """The tag of a command that is about to be tried."""
    tag = scene.book.tag()
    step(f"runs {tag}")
    return tag


async def _printed(
    inner: asyncssh.SSHClientConnection, line: str, data: bytes | None = None
) -> bytes:
    """All that a command prints."""
    printed = (await inner.run(line, input=data, encoding=None)).stdout
    assert isinstance(printed, bytes)
    return printed


@asynccontextmanager
async def shown(
    scene: Scene, inner: asyncssh.SSHClientConnection, then: str, **more: str
) -> AsyncIterator[tuple[str, Process]]:
    """A command that has said `on` and goes on with `then`; its tag, and it."""
    tag = _tag(scene)
    line = f": {tag}; echo on; {then}"
    process: Process = await inner.create_process(line, encoding=None, **more)
    try:
        said = await process.stdout.readline()
        if said not in (b"on\n", b"on\r\n"):
            raise AssertionError(f"{said!r}, {await process.stderr.readline()!r}")
        scene.book.saw(tag)
        step(f"{tag} is on")
        yield tag, process
    finally:
        step(f"closes {tag}")
        process.close()


async def _heard(process: Process, line: bytes) -> None:
    """The session's last line has that in it."""
    said = b""
    step(f"waits to hear {line.decode()!r}")
    while line not in said:
        data = await process.stderr.readline()
        assert data, f"{line!r} was not said, but {said!r}"
        said += data


# Sessions


async def quick(scene: Scene, dice: random.Random) -> None:
    """A command by the stock client."""
    tag = _tag(scene)
    done = await somebody(scene, dice).stock.jump(f": {tag}; echo {tag}", patience=PATIENCE)
    assert (done.status, done.out) == (0, f"{tag}\n"), (done.status, done.err)
    scene.book.saw(tag)


async def several(scene: Scene, dice: random.Random) -> None:
    """Many commands at once on one connection, of which some are closed before they end."""
    async with somebody(scene, dice).jump() as inner:

        async def one(number: int) -> None:
            then = f"exit {number}" if number % 3 else "sleep 30"
            async with shown(scene, inner, then) as (_, process):
                if number % 3:
                    assert (await process.wait()).exit_status == number

        async with asyncio.TaskGroup() as group:
            for number in range(dice.randint(2, 10)):
                group.create_task(one(number))


async def rush(scene: Scene, person: Person) -> None:
    """Several connections of somebody, each with as many sessions as it may have, all at once."""
    begun = asyncio.Barrier(RUSH)

    async def one() -> None:
        async with person.jump() as inner, AsyncExitStack() as stack:
            each = [shown(scene, inner, "sleep 30") for _ in range(RUSH_EACH)]
            for made in asyncio.as_completed(map(stack.enter_async_context, each)):
                await made
            await begun.wait()

    async with asyncio.timeout(2 * PATIENCE), asyncio.TaskGroup() as group:
        for _ in range(RUSH):
            group.create_task(one())


async def idle(scene: Scene, dice: random.Random) -> None:
    """Somebody at a terminal who types now and then."""
    async with (
        somebody(scene, dice).jump() as inner,
        shown(scene, inner, "stty -echo; exec cat", term_type="xterm") as (_, process),
    ):
        for _ in range(dice.randint(1, 5)):
            await asyncio.sleep(dice.random() * 2)
            process.stdin.write(b"typed\n")
            assert b"typed" in await process.stdout.readline()


async def resized(scene: Scene, dice: random.Random) -> None:
    """A shell on a terminal whose window changes."""
    async with somebody(scene, dice).jump() as inner:
        scene.book.tries(Kind.SHELL)
        step("wants a shell")
        process = await inner.create_process(term_type="xterm", encoding=None)
        scene.book.saw(Kind.SHELL)
        for _ in range(dice.randint(1, 8)):
            columns, rows = dice.randint(20, 200), dice.randint(5, 90)
            step(f"has {columns} columns and {rows} rows")
            process.change_terminal_size(columns, rows)
            process.stdin.write(b"stty size\n")
            await process.stdout.readuntil(f"{rows} {columns}\r\n".encode())
        step("types exit")
        process.stdin.write(b"exit\n")
        await process.wait()


async def at_a_terminal(scene: Scene, dice: random.Random) -> None:
    """The same with the stock client."""
    scene.book.tries(Kind.SHELL)
    step("wants a shell")
    async with somebody(scene, dice).stock.jump_terminal() as terminal:
        await terminal.expect(r"recorded as S-\d+", PATIENCE)
        scene.book.saw(Kind.SHELL)
        columns, rows = dice.randint(20, 200), dice.randint(5, 90)
        step(f"has {columns} columns and {rows} rows")
        terminal.resize(columns, rows)
        terminal.send("stty size\r")
        await terminal.expect(f"{rows} {columns}\r\n", PATIENCE)
        step("types exit")
        terminal.send("exit\r")
        await terminal.wait(PATIENCE)


async def hung_up(scene: Scene, dice: random.Random) -> None:
    """A connection that is gone without a word, in the middle of a flood that was not read."""
    async with somebody(scene, dice).outer() as outer:
        person = somebody(scene, dice)
        async with person.jump() as inner, shown(scene, inner, FLOOD):
            await asyncio.sleep(dice.random())
            inner.abort()
        outer.abort()


# Bulk, files, forwards


async def down(scene: Scene, dice: random.Random) -> None:
    """Output, by either client: every byte."""
    size, person, tag = dice.randint(200, 3000) * KILOBYTE, somebody(scene, dice), _tag(scene)
    line = f": {tag}; yes 'a line of a log' | head -c {size}"
    if dice.random() < 0.5:
        printed = (await person.stock.jump(line, patience=PATIENCE)).stdout
    else:
        async with person.jump() as inner:
            printed = await _printed(inner, line)
    assert len(printed) == size, f"{len(printed)} bytes of {size}"
    scene.book.saw(tag)


async def up(scene: Scene, dice: random.Random) -> None:
    """Input, by either client: every byte."""
    data, person, tag = (
        dice.randbytes(dice.randint(200, 2000) * KILOBYTE),
        somebody(scene, dice),
        _tag(scene),
    )
    line = f": {tag}; wc -c"
    if dice.random() < 0.5:
        printed = (await person.stock.jump(line, stdin=data, patience=PATIENCE)).stdout
    else:
        async with person.jump() as inner:
            printed = await _printed(inner, line, data)
    assert int(printed or b"0") == len(data), f"{printed!r} of {len(data)}"
    scene.book.saw(tag)


async def copied(scene: Scene, dice: random.Random) -> None:
    """A file there and back, by sftp or scp of either kind."""
    person, name = somebody(scene, dice).stock, f"file-{dice.getrandbits(48):x}"
    here, there, back = person.home / name, scene.files / name, person.home / f"{name}-back"
    here.write_bytes(dice.randbytes(dice.randint(1, 500) * KILOBYTE))
    how = dice.choice(("sftp", "scp", "scp -O"))
    kind = Kind.EXEC if how == "scp -O" else Kind.SFTP  # whoever has a shell runs the program
    program, *flags = how.split()
    step(f"copies by {how}")
    common = (program, *flags, "-F", str(person.config), "-J", "bastion")
    at = f"{person.login}@{HOST}"
    try:
        if program == "sftp":
            scene.book.tries(kind)
            batch = f"put {here} {there}\nget {there} {back}\nrm {there}\n".encode()
            done = [await person.run(*common, "-b", "-", at, stdin=batch, patience=PATIENCE)]
        else:
            scene.book.tries(kind, 2)
            done = [
                await person.run(*common, *words, patience=PATIENCE)
                for words in ((str(here), f"{at}:{there}"), (f"{at}:{there}", str(back)))
            ]
        assert all(each.status == 0 for each in done), done
        scene.book.saw(kind, len(done))
        assert back.read_bytes() == here.read_bytes()
    finally:
        for path in (here, back, there):
            path.unlink(missing_ok=True)


async def forwarded(scene: Scene, dice: random.Random) -> None:
    """Several forwards on one connection."""
    async with somebody(scene, dice).jump() as inner:

        async def one() -> None:
            data = dice.randbytes(dice.randint(1, 200) * KILOBYTE)
            scene.book.tries(Kind.FORWARD)
            step(f"forwards {len(data)} bytes")
            reader, writer = await inner.open_connection("localhost", scene.echo)
            scene.book.saw(Kind.FORWARD)
            writer.write(data)
            assert await reader.readexactly(len(data)) == data
            step(f"has {len(data)} bytes back")
            writer.close()

        async with asyncio.TaskGroup() as group:
            for _ in range(dice.randint(1, 5)):
                group.create_task(one())


async def led(scene: Scene, dice: random.Random) -> None:
    """A forward by the stock client."""
    person, port = somebody(scene, dice).stock, free_port()
    options = ("-N", "-v", "-L", f"127.0.0.1:{port}:localhost:{scene.echo}")
    step("connects for a forward")
    async with person.jumping(options=options) as going:
        await established(going)
        step("forwards")
        scene.book.tries(Kind.FORWARD)
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"hello\n")
        assert await reader.readline() == b"hello\n"
        scene.book.saw(Kind.FORWARD)
        writer.close()


# Ends


async def killed(scene: Scene, dice: random.Random) -> None:
    """By an operator."""
    async with (
        somebody(scene, dice).jump() as inner,
        shown(scene, inner, "exec sleep 60") as (tag, process),
    ):
        session = await scene.tagged(tag)
        step(f"kills {session.name}")
        await scene.bastion.admin("kill", session.name, "--reason", "soaked")
        await _heard(process, b"soaked")


@asynccontextmanager
async def _guest(scene: Scene, lasting: str) -> AsyncIterator[tuple[Person, str]]:
    """Somebody who has this one grant while it is entered, and none before or after.

    It is taken away again where the act has not come to its end: a session of hers would go on by
    what was left of it. Who may still have one does not come back.
    """
    guest = scene.guests.pop()
    step(f"{guest.stock.name} is given a grant for {lasting}")
    grant = await guest.stock.granted("--shell", lasting=lasting)
    step(f"has {grant}")
    try:
        yield guest, grant
    except BaseException:
        step(f"gives {grant} back")
        await scene.bastion.admin("revoke", grant, "--reason", "left", expect=None)
        scene.guests.append(guest)
        raise
    scene.guests.append(guest)


async def revoked(scene: Scene, dice: random.Random, lasting: str = "1h") -> None:
    """A grant that is taken away again, or is over soon."""
    if not scene.guests:
        return
    async with _guest(scene, lasting) as (guest, grant):
        await guest.certify()
        async with (
            guest.jump() as inner,
            shown(scene, inner, "exec sleep 60") as (tag, process),
        ):
            session = await scene.tagged(tag)
            assert f"G-{session.grant}" == grant, f"{session.name} by G-{session.grant}"
            if lasting == "1h":
                step(f"revokes {grant}")
                await scene.bastion.admin("revoke", grant, "--reason", "soaked")
            await _heard(process, b"this session is over")


async def expired(scene: Scene, dice: random.Random) -> None:
    """A grant that is over soon."""
    await revoked(scene, dice, "12s")
