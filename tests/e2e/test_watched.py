"""Sessions that somebody has to watch: none begins alone, and none goes on alone.

The watcher is rita, an auditor: by `ssh bastion watch`, and by `bastion-admin watch` from an
account of the machine that acts as her. What befalls her is what befalls processes.
"""

import asyncio
import getpass
import json
import os
import re
import signal
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, suppress
from itertools import count
from pathlib import Path

import pytest

from tests.e2e.bastion import Bastion
from tests.e2e.contractor import HOST, Contractor, multiplexed
from tests.e2e.sshd import Sshd
from tests.e2e.test_bulk import MIB, STALLED, idle
from tests.e2e.test_forwards import echo as echo  # noqa: PLC0414 (a fixture)
from tests.e2e.test_forwards import led
from tests.e2e.warm import Warm
from tests.e2e.watching import PATIENCE, Running, Terminal

GONE = 10.0
"""Seconds: a lease, and what a busy machine may add."""

WAITS = (
    r"bastion: (S-\d+) waits for an auditor who watches; ask one to run: ssh bastion watch \1\r?\n"
)
BEGINS = r"bastion: somebody watches S-\d+ now; it begins\.\r?\n"
GOES_ON = r"bastion: somebody watches S-\d+ now; it goes on\.\r?\n"
FROZEN = r"bastion: nobody watches S-\d+ any more; it waits until somebody does\.\r?\n"


@pytest.fixture(scope="module")
def watching(tmp_path_factory: pytest.TempPathFactory, sshd: Sshd, warm: Warm) -> Iterator[Bastion]:
    """A bastion where whoever runs the tests acts as rita, an auditor."""
    made = Bastion(tmp_path_factory.mktemp("watching") / "home", warm)
    made.set("accounts", getpass.getuser(), "rita")
    sshd.trust(made.admin_now("ca", "show", "target").out)
    pinned = ("--host-key", str(sshd.host_key_file), "--shell-type", "bash")
    made.admin_now("host", "add", HOST, "--address", sshd.address, *pinned)
    made.start()
    yield made
    made.stop()


@pytest.fixture(scope="module")
def rita(watching: Bastion, sshd: Sshd, tmp_path_factory: pytest.TempPathFactory) -> Contractor:
    """An auditor, on the machine and over SSH."""
    home = tmp_path_factory.mktemp("rita") / "rita"
    person = Contractor.enrolled(home, "rita", watching, sshd.login)
    watching.admin_now("user", "set", "rita", "--role", "auditor")
    return person


Enrol = Callable[..., Contractor]


@pytest.fixture(scope="module")
def watched(watching: Bastion, sshd: Sshd, tmp_path_factory: pytest.TempPathFactory) -> Enrol:
    """Makes contractors with a grant that somebody has to watch: a shell, if nothing is said."""
    numbers = count(1)

    def enrol(*what: str) -> Contractor:
        name = f"alice{next(numbers)}"
        home = tmp_path_factory.mktemp(name) / name
        person = Contractor.enrolled(home, name, watching, sshd.login)
        person.granted_now(*(what or ("--shell",)), "--watch-required")
        person.certified_now()
        return person

    return enrol


@pytest.fixture(scope="module")
def alice(watched: Enrol) -> Contractor:
    """Somebody with a shell while somebody watches."""
    return watched()


async def waiting(terminal: Terminal) -> str:
    """The session that a terminal waits for."""
    return (await terminal.expect(WAITS))[1].decode()


async def row(bastion: Bastion, session: str) -> dict[str, object]:
    """A session as it is shown."""
    shown: dict[str, object] = json.loads((await bastion.admin("show", session, "--json")).out)
    return shown


async def until_over(bastion: Bastion, session: str) -> dict[str, object]:
    """The same, once it has an end."""
    async with asyncio.timeout(PATIENCE):
        while not (shown := await row(bastion, session))["ended_at"]:
            continue
    return shown


@pytest.mark.usefixtures("rita")
async def test_a_shell_begins_only_when_somebody_watches(
    alice: Contractor, watching: Bastion
) -> None:
    """What is typed before that is for nobody. The list says what it waits for, the log all."""
    async with alice.jump_terminal() as terminal:
        session = await waiting(terminal)
        terminal.send("echo to''o early\r")
        rows = await watching.rows("sessions", "--live")
        assert [(each["id"], each["waits"], each["watchers"]) for each in rows] == [
            (session, True, [])
        ]
        async with watching.running("watch", session) as look:
            await look.stderr.expect(f"{session} goes on while you watch")
            await terminal.expect(BEGINS)
            await terminal.expect(rf"recorded as {session}, ")
            await terminal.expect(r"\$ ")
            terminal.send("echo i''n time\r")
            await terminal.expect("in time\r\n")
            await look.stdout.expect("in time\r\n")
            shown = await row(watching, session)
            assert shown["waits"] is False
            assert [(w["name"], w["counts"]) for w in shown["watchers"]] == [("rita", True)]  # type: ignore[attr-defined]
            terminal.send("exit 3\r")
            assert await terminal.wait() == 3
            assert "early" not in terminal.text
    happened = [f"session.{what}" for what in ("ended", "resumed", "started", "waiting")]
    async with asyncio.timeout(PATIENCE):  # the client hears of the end before the log does
        while "session.ended" not in (told := await what_happened(watching, session)):
            continue
    assert sorted(told) == happened


@asynccontextmanager
async def looks(rita: Contractor, session: str) -> AsyncIterator[Running]:
    """Rita watches a session, and leaves by ctrl-c."""
    async with rita.start("bastion", "watch", session) as look:
        yield look
        with suppress(ProcessLookupError):  # it may be over
            look.signal(signal.SIGINT)
        await look.wait()


@pytest.mark.parametrize("how", ["killed here", "stopped there"])
async def test_it_is_frozen_when_the_last_one_is_gone(
    alice: Contractor, rita: Contractor, watching: Bastion, how: str
) -> None:
    """By kill -9 on the machine, or with a client that was stopped: nothing passes, until another
    one comes."""
    here = how == "killed here"
    async with alice.jump_terminal() as terminal:
        session = await waiting(terminal)
        line = ("watch", session)
        async with watching.running(*line) if here else rita.start("bastion", *line) as one:
            await terminal.expect(r"\$ ")
            one.signal(signal.SIGKILL if here else signal.SIGSTOP)
            await terminal.expect(FROZEN, GONE)
            terminal.send("echo st''ill here\r")
            assert (await row(watching, session))["waits"] is True
            async with looks(rita, session) as other:
                await other.stdout.expect("nobody watches")
                await terminal.expect(GOES_ON)
                await terminal.expect("still here\r\n")
                await other.stdout.expect("still here\r\n")
                terminal.send("exit\r")
                assert await terminal.wait() == 0
            seen = terminal.text
    assert seen.index("it waits until") < seen.index("it goes on") < seen.index("still here")


async def next_waiting(bastion: Bastion, person: Contractor) -> str:
    """The session of somebody's that waits."""
    async with asyncio.timeout(PATIENCE):
        while True:
            for each in await bastion.rows("sessions", "--live", "--user", person.name):
                if each["waits"]:
                    return str(each["id"])


async def test_a_command_has_all_of_its_input(
    alice: Contractor, rita: Contractor, watching: Bastion
) -> None:
    """What is piped in waits at the client; and the exit status comes as it is."""
    text = os.urandom(300_000).hex()
    async with alice.jumping("cat; exit 7") as going:
        send = asyncio.ensure_future(going.send(text))  # noqa: TID251 (it waits for the watcher)
        session = (await going.stderr.expect(WAITS))[1].decode()
        assert going.stdout.seen == b""
        async with looks(rita, session):
            await going.stderr.expect(BEGINS)
            await send
            going.close_stdin()
            assert await going.wait() == 7
    assert going.stdout.text == text


async def test_what_ends_while_nobody_watches_is_heard_of_later(
    alice: Contractor, rita: Contractor, watching: Bastion, place: Path
) -> None:
    """Last words and the exit status wait together; so does the window's new size."""
    go, done = place / "in" / "go", place / "in" / "done"
    ready = f"while [ ! -e {go} ]; do sleep 0.02; done"
    command = f"echo on; {ready}; echo last words; stty size; touch {done}; exit 4"
    async with alice.jump_terminal(command, options=("-t",)) as terminal:
        session = await waiting(terminal)
        async with looks(rita, session):
            await terminal.expect("on\r\n")
        await terminal.expect(FROZEN, GONE)
        terminal.resize(100, 40)
        go.touch()
        await until(done.exists)
        assert (await row(watching, session))["ended_at"] is None
        assert "last words" not in terminal.text
        async with looks(rita, session):
            await terminal.expect(GOES_ON)
            await terminal.expect("last words\r\n24 80\r\n")
            assert await terminal.wait() == 4


async def test_ctrl_c_ends_the_waiting(alice: Contractor, watching: Bastion) -> None:
    """Nothing was started; the recording says no more than that somebody waited."""
    async with alice.jump_terminal() as terminal:
        session = await waiting(terminal)
        terminal.send("\x03")
        assert await terminal.wait() == 130
    shown = await until_over(watching, session)
    assert (shown["end_reason"], shown["exit_status"], shown["bytes_in"]) == ("closed", None, 0)


@pytest.mark.parametrize("inner", [False, True])
async def test_who_hangs_up_waits_no_more(
    alice: Contractor, watching: Bastion, short: Path, inner: bool
) -> None:
    """With the connection, or with one channel of one that stays: also with input on its way."""
    if not inner:
        async with alice.jumping("cat") as going:
            await going.send("x" * 100_000)
            session = (await going.stderr.expect(WAITS))[1].decode()
    else:
        async with multiplexed(alice, short):
            line = ("-o", f"ControlPath={short}/inner")
            async with alice.jumping("cat", options=line) as going:
                await going.send("x" * 100_000)
                session = (await going.stderr.expect(WAITS))[1].decode()
            await until_over(watching, session)
    assert (await until_over(watching, session))["end_reason"] == "closed"


async def test_much_that_is_frozen_costs_no_memory_and_loses_no_byte(
    alice: Contractor, rita: Contractor, watching: Bastion
) -> None:
    """Both ways at once: each side waits with what it has, and all of it comes when it goes on."""
    sent = os.urandom(MIB) * 24
    async with alice.jumping("cat") as going, asyncio.TaskGroup() as group:
        session = (await going.stderr.expect(WAITS))[1].decode()
        before = watching.resident
        async with looks(rita, session):
            await going.stderr.expect(BEGINS)
            sending = group.create_task(going.send(sent))
            await going.stdout.expect(re.escape(sent[:100]))
        await going.stderr.expect(FROZEN, GONE)
        await idle(watching.pid)
        arrived = len(going.stdout.seen)
        assert arrived < len(sent)
        assert not sending.done()
        assert watching.resident - before < STALLED
        async with looks(rita, session):
            assert len(going.stdout.seen) == arrived
            await sending
            going.close_stdin()
            assert await going.wait(60) == 0
    assert going.stdout.seen == sent


async def test_a_copy_waits_and_stops_and_is_whole(
    watched: Enrol, rita: Contractor, watching: Bastion, place: Path
) -> None:
    """`scp -O`: the file comes while somebody watches."""
    contents = os.urandom(5_000_000)
    (place / "out" / "large").write_bytes(contents)
    person = await asyncio.to_thread(watched, "--sftp", f"read:{place}/out/**")
    there, here = f"{person.login}@{HOST}:{place}/out/large", person.home / "large"
    line = ("scp", "-O", "-l", "8000", "-F", str(person.config), "-J", "bastion", there)
    async with Running(*line, str(here), env=person.env) as copying:
        session = (await copying.stderr.expect(WAITS))[1].decode()
        assert not here.exists()
        async with looks(rita, session):
            await until(lambda: here.exists() and here.stat().st_size > 0)
        await copying.stderr.expect(FROZEN, GONE)
        await idle(watching.pid)
        assert here.stat().st_size < len(contents)
        async with looks(rita, session):
            await copying.stderr.expect(GOES_ON)
            assert await copying.wait() == 0
    assert here.read_bytes() == contents


async def test_sftp_waits_and_stops(
    watched: Enrol, rita: Contractor, watching: Bastion, place: Path
) -> None:
    """What is asked for while nobody watches is answered when somebody does."""
    (place / "out" / "one").write_text("1")
    person = await asyncio.to_thread(watched, "--sftp", f"read:{place}/out/**")
    line = ("sftp", "-F", str(person.config), "-J", "bastion", f"{person.login}@{HOST}")
    async with Running(*line, env=person.env) as files:
        session = (await files.stderr.expect(WAITS))[1].decode()
        async with looks(rita, session) as look:
            await files.send(f"get {place}/out/one {person.home}/one\n")
            await look.stdout.expect(f"{place}/out/one")
            await until((person.home / "one").exists)
        await files.stderr.expect(FROZEN, GONE)
        await files.send(f"get {place}/out/one {person.home}/two\nexit\n")
        await idle(watching.pid)
        assert not (person.home / "two").exists()
        async with looks(rita, session):
            assert await files.wait() == 0
    assert (person.home / "two").read_text() == "1"


async def until(happened: Callable[[], bool]) -> None:
    """Waits until it is so."""
    async with asyncio.timeout(PATIENCE):
        while not happened():  # noqa: ASYNC110 (files do not tell)
            await asyncio.sleep(0.01)


async def test_a_forward_waits_and_stops(
    watched: Enrol,
    rita: Contractor,
    watching: Bastion,
    echo: int,
    free_port: int,
) -> None:
    """It has nowhere to say so; its recording has it. Revoked, it is closed."""
    person = await asyncio.to_thread(watched, "--forward", f"localhost:{echo}")
    async with led(person, free_port, f"localhost:{echo}") as connect:
        reader, writer = await connect()
        writer.write(b"one\n")
        session = await next_waiting(watching, person)
        async with looks(rita, session):
            assert await reader.readline() == b"one\n"
        assert await next_waiting(watching, person) == session
        async with asyncio.timeout(GONE):
            while "session.frozen" not in await what_happened(watching, session):
                continue
        writer.write(b"two\n")
        answer = asyncio.ensure_future(reader.readline())  # noqa: TID251 (it waits for the watcher)
        await idle(watching.pid)
        assert not answer.done()
        async with looks(rita, session):
            assert await answer == b"two\n"
            grants = await watching.rows("grants", "--user", person.name)
            await watching.admin("revoke", grants[0]["id"], "--reason", "a test")
            assert await reader.read() == b""
        writer.close()
    assert (await until_over(watching, session))["end_reason"] == "revoked"
    shown = (await watching.admin("replay", session, "--speed", "1000")).out
    assert "nobody watches" in shown


async def test_each_line_of_a_prompt_waits(
    watched: Enrol, rita: Contractor, watching: Bastion
) -> None:
    """As each is a session. ctrl-c ends one that waits, and the next line is asked for."""
    person = await asyncio.to_thread(watched, "--command", "echo one two")
    async with person.jump_terminal() as terminal:
        await terminal.expect(f"{HOST}> ")
        terminal.send("echo one two\r")
        await waiting(terminal)
        terminal.send("\x03")
        await terminal.expect(rf"\^C\r\n.*{HOST}> ")
        terminal.send("echo one two\r")
        session = await waiting(terminal)
        async with looks(rita, session):
            await terminal.expect(rf"one two\r\n.*{HOST}> ")
            terminal.send("exit\r")
            assert await terminal.wait() == 0


async def what_happened(bastion: Bastion, session: str) -> list[str]:
    """The events of a session, the newest first."""
    told = (await bastion.admin("audit", "--what", "session", "--json")).out
    return [
        each["what"] for each in map(json.loads, told.splitlines()) if each["session"] == session
    ]
