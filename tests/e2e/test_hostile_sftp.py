"""SFTP as no honest client speaks it, packet by packet, over real ssh to a real sshd.

What is answered is a status, or the session ends with a sentence; what is not granted stays as it
was.
"""

import asyncio
import struct
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Self

import pytest

from tests.e2e.bastion import Bastion
from tests.e2e.contractor import HOST, Contractor
from tests.e2e.test_bulk import MIB, STALLED, idle
from tests.e2e.watching import PATIENCE

INIT, OPEN, CLOSE, READ, WRITE, SETSTAT, OPENDIR = 1, 3, 4, 5, 6, 9, 11
MKDIR, RENAME, SYMLINK, EXTENDED = 14, 18, 20, 200
VERSION, STATUS, HANDLE, DATA = 2, 101, 102, 103
READING, WRITING, CREATING, TRUNCATING = 1, 2, 8, 16
FAILURES = frozenset({2, 3, 4, 5, 8})

Answer = tuple[int, bytes]


class Raw:
    """A client that sends what it is told to."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        assert process.stdin
        assert process.stdout
        self._process = process
        self._to, self._from = process.stdin, process.stdout
        self._number = 0

    @classmethod
    @asynccontextmanager
    async def of(cls, person: Contractor) -> AsyncIterator[Self]:
        """`ssh -s … sftp`, which carries whatever goes in."""
        line = ("ssh", "-F", str(person.config), "-J", "bastion", "-s")
        process = await asyncio.create_subprocess_exec(
            *line,
            f"{person.login}@{HOST}",
            "sftp",
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            env=person.env,
        )
        try:
            async with asyncio.timeout(PATIENCE):
                yield cls(process)
        finally:
            if process.returncode is None:
                process.kill()
            assert process.stdin
            process.stdin.close()
            with suppress(BrokenPipeError, ConnectionResetError):
                await process.stdin.wait_closed()
            for pipe in (process.stdout, process.stderr):
                while pipe and await pipe.read(MIB):
                    pass  # until its end, so that the pipe is closed
            await process.wait()

    def send(self, packet: bytes) -> None:
        """Any bytes."""
        self._to.write(packet)

    async def drained(self) -> None:
        """Until all of it has been taken."""
        await self._to.drain()

    async def answer(self) -> Answer:
        """The next packet: its type and its body, with its id."""
        (length,) = struct.unpack(">I", await self._from.readexactly(4))
        packet = await self._from.readexactly(length)
        return packet[0], packet[1:]

    async def begin(self) -> Self:
        """The first packets."""
        self.send(framed(struct.pack(">BI", INIT, 3)))
        kind, _ = await self.answer()
        assert kind == VERSION
        return self

    async def ask(self, kind: int, *fields: bytes) -> Answer:
        """One request and its answer, without the id."""
        self._number += 1
        self.send(framed(struct.pack(">BI", kind, self._number) + b"".join(fields)))
        answered, body = await self.answer()
        assert struct.unpack(">I", body[:4])[0] == self._number
        return answered, body[4:]

    async def refused(self, kind: int, *fields: bytes) -> bool:
        """Whether the answer is a status that says no."""
        answered, body = await self.ask(kind, *fields)
        return answered == STATUS and struct.unpack(">I", body[:4])[0] in FAILURES

    async def opened(self, path: Path, flags: int) -> bytes:
        """A handle, as a field."""
        kind, body = await self.ask(OPEN, text(path), u32(flags), NO_ATTRS)
        assert kind == HANDLE, body
        return body

    async def end(self) -> str:
        """What it says on stderr when the session is over by itself."""
        self._to.close()
        assert self._process.stderr
        said = await self._process.stderr.read()
        assert await self._process.wait() != 0
        return said.decode()


def framed(packet: bytes) -> bytes:
    """A packet with its length."""
    return u32(len(packet)) + packet


def u32(number: int) -> bytes:
    """A number."""
    return struct.pack(">I", number)


def text(value: Path | bytes | str) -> bytes:
    """A string."""
    data = value if isinstance(value, bytes) else str(value).encode()
    return u32(len(data)) + data


NO_ATTRS = u32(0)


@pytest.fixture
def place(place: Path) -> Path:
    """A file in each directory."""
    for name in ("out", "in", "secret"):
        (place / name / "file").write_text(name)
        (place / name / "file").chmod(0o666)
    return place


@pytest.fixture
async def eve(newly_enrolled: Callable[[], Contractor], place: Path) -> Contractor:
    """She may read `out` and write `in`, and wants more."""
    person = await asyncio.to_thread(newly_enrolled)
    await person.granted("--sftp", f"read:{place}/out/**", "--sftp", f"write:{place}/in/**")
    await person.certified()
    return person


async def test_reading_takes_no_other_flag(eve: Contractor, place: Path) -> None:
    """Not to truncate, not to create, not to append; and a size set by setstat is a write."""
    async with Raw.of(eve) as raw:
        await raw.begin()
        for more in (WRITING, CREATING, TRUNCATING, 4, CREATING | TRUNCATING | 32, 64):
            flags = u32(READING | more)
            assert await raw.refused(OPEN, text(place / "out/file"), flags, NO_ATTRS), more
        assert await raw.refused(SETSTAT, text(place / "out/file"), u32(1) + bytes(8))
    assert (place / "out/file").read_text() == "out"


async def test_nothing_is_brought_in_or_out_by_another_name(eve: Contractor, place: Path) -> None:
    """Links and renames, of the draft and of OpenSSH, both ways across what is granted."""
    inside, outside = text(place / "in/x"), text(place / "secret/file")
    readable = text(place / "out/x")
    async with Raw.of(eve) as raw:
        await raw.begin()
        assert await raw.refused(SYMLINK, outside, inside)
        assert await raw.refused(SYMLINK, text("../secret/file"), inside)
        assert await raw.refused(SYMLINK, inside, outside)
        for source, sink in ((outside, inside), (text(place / "in/file"), readable)):
            assert await raw.refused(RENAME, source, sink)
            for name in ("posix-rename@openssh.com", "hardlink@openssh.com"):
                assert await raw.refused(EXTENDED, text(name), source, sink), name
    assert (place / "secret/file").read_text() == "secret"
    assert await asyncio.to_thread(_names, place) == ["in/file", "out/file", "secret/file"]


def _names(place: Path) -> list[str]:
    """All files below a place."""
    found = (path for path in place.rglob("*") if not path.is_dir())
    return sorted(str(path.relative_to(place)) for path in found)


async def test_what_nobody_knows_is_refused(eve: Contractor, place: Path) -> None:
    """Packets and extensions that are not known are answered, and never passed on."""
    async with Raw.of(eve) as raw:
        await raw.begin()
        assert await raw.refused(EXTENDED, text("check-file-handle"), text("x"))
        assert await raw.refused(EXTENDED, text("space-available"), text(place / "out"))
        assert await raw.refused(99, text("x"))
        assert await raw.refused(MKDIR, text(place / "in/d") + NO_ATTRS + b"more")
        assert not (place / "in/d").exists()


async def test_a_handle_is_of_its_own_session(eve: Contractor, place: Path) -> None:
    """The name of another session's handle is none, and the target's own names are none."""
    async with Raw.of(eve) as one, Raw.of(eve) as other:
        await one.begin()
        await other.begin()
        handle = await one.opened(place / "out/file", READING)
        span = struct.pack(">QI", 0, 10)
        kind, body = await one.ask(READ, handle, span)
        assert (kind, body) == (DATA, text("out"))
        assert await other.refused(READ, handle, span)
        for guessed in (b"", bytes(4), b"\0\0\0\1", b"x" * 256):
            assert await other.refused(READ, text(guessed), span), guessed
            assert await other.refused(CLOSE, text(guessed)), guessed


async def test_what_is_open_is_bounded(eve: Contractor, place: Path) -> None:
    """The handles of a session run out in a status, and closing one gives one back."""
    async with Raw.of(eve) as raw:
        await raw.begin()
        handles = []
        while True:
            kind, body = await raw.ask(OPENDIR, text(place / "out"))
            if kind != HANDLE:
                break
            handles.append(body)
            assert len(handles) < 5000
        assert (await raw.ask(CLOSE, handles[0]))[1][:4] == u32(0)
        assert (await raw.ask(OPENDIR, text(place / "out")))[0] == HANDLE


async def test_what_is_over_the_limit_fails_also_when_it_is_closed(
    newly_enrolled: Callable[[], Contractor], place: Path
) -> None:
    """A client may look at the last answer only; nothing beyond the limit is written."""
    person = await asyncio.to_thread(newly_enrolled)
    await person.granted("--sftp", f"write,10:{place}/in/*")
    await person.certified()
    async with Raw.of(person) as raw:
        await raw.begin()
        for offset, data in ((0, b"x" * 11), (2**63, b"x"), (2**64 - 1, b"x")):
            handle = await raw.opened(place / "in/new", WRITING | CREATING)
            at = struct.pack(">Q", offset)
            assert await raw.refused(WRITE, handle, at, text(data))
            assert not await raw.refused(WRITE, handle, bytes(8), text(b"x"))
            assert await raw.refused(CLOSE, handle)
    assert (place / "in/new").read_bytes() == b"x"


async def test_answers_that_nobody_reads_cost_no_memory(eve: Contractor, bastion: Bastion) -> None:
    """A client that asks on and on, and takes no answer, is not heard any more."""
    before = bastion.resident
    asked = framed(struct.pack(">BI", READ, 1) + text(b"none") + bytes(12))
    async with Raw.of(eve) as raw:
        await raw.begin()
        raw.send(asked * (32 * MIB // len(asked)))
        async with asyncio.TaskGroup() as group:
            sending = group.create_task(raw.drained())
            await idle(bastion.pid)
            assert bastion.resident - before < STALLED
            assert not sending.done()
            sending.cancel()


async def test_keys_are_not_put_where_sshd_reads_them(
    newly_enrolled: Callable[[], Contractor], place: Path
) -> None:
    """Nor what shells run, by a grant to write anywhere."""
    person = await asyncio.to_thread(newly_enrolled)
    await person.granted("--sftp", f"write:{place}/**")
    await person.certified()
    created = u32(WRITING | CREATING)
    (place / "in/.ssh").mkdir(mode=0o777)
    (place / "in/.ssh").chmod(0o777)
    async with Raw.of(person) as raw:
        await raw.begin()
        for name in (".ssh/authorized_keys", ".bashrc", ".profile", ".ssh/rc"):
            assert await raw.refused(OPEN, text(place / "in" / name), created, NO_ATTRS), name
            assert not (place / "in" / name).exists()
        assert await raw.refused(SYMLINK, text("file"), text(place / "in/.profile"))
        assert await raw.refused(RENAME, text(place / "in/file"), text(place / "in/.profile"))
        names = (text(place / "in/file"), text(place / "in/.bash_login"))
        assert await raw.refused(EXTENDED, text("posix-rename@openssh.com"), *names)


@pytest.mark.parametrize(
    "bytes_",
    [b"GET / HTTP/1.0\r\n\r\n" * 40, u32(0), u32(0xFFFF_FFFF), framed(struct.pack(">BI", 1, 2))],
)
async def test_what_is_no_sftp_ends_the_session(eve: Contractor, bytes_: bytes) -> None:
    """With a sentence, whatever else might follow."""
    async with Raw.of(eve) as raw:
        raw.send(bytes_)
        assert "bastion: " in await raw.end()


async def test_a_second_beginning_ends_the_session(eve: Contractor) -> None:
    """Nobody may change what was agreed."""
    async with Raw.of(eve) as raw:
        await raw.begin()
        raw.send(framed(struct.pack(">BI", INIT, 3)))
        assert "began twice" in await raw.end()


async def test_what_is_replaced_by_a_link_is_not_read(eve: Contractor, place: Path) -> None:
    """Somebody else on the target puts a link where a file was: what it leads to is not granted."""
    (place / "out/file").unlink()
    (place / "out/file").symlink_to(place / "secret/file")
    async with Raw.of(eve) as raw:
        await raw.begin()
        assert await raw.refused(OPEN, text(place / "out/file"), u32(READING), NO_ATTRS)
