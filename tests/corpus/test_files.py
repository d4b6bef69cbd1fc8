"""Files: every known way around a grant of them, through the whole bastion to OpenSSH's server.

What OpenSSH's own clients, a real sshd and a real account add to this is in
`tests/e2e/test_hostile_sftp.py`.
"""

import asyncio
import inspect
import os
import struct
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import cast

import asyncssh
import pytest

from bastion.files import parse_files
from bastion.grants import Allows
from bastion.sftp import Output, Proxy, answers, packets
from bastion.sftp.answers import Attributes, Code, Data, Entry, Handle, Names, Status, Version
from bastion.sftp.fields import NOTHING
from bastion.sftp.framer import Framer
from bastion.sftp.opened import MOST
from tests.bastion.sftp.through import SERVER
from tests.corpus.world import HOST, World, until
from tests.e2e.test_hostile_sftp import (
    CLOSE,
    CREATING,
    DATA,
    EXTENDED,
    HANDLE,
    INIT,
    MKDIR,
    NO_ATTRS,
    OPEN,
    OPENDIR,
    READ,
    READING,
    RENAME,
    SETSTAT,
    STATUS,
    SYMLINK,
    TRUNCATING,
    WRITING,
    Raw,
    framed,
    text,
    u32,
)

FSETSTAT, READDIR, REMOVE, RMDIR, REALPATH, STAT, READLINK = 10, 12, 13, 15, 16, 17, 19
ATTRS_ANSWER = 105
OK = u32(0)
SPAN = struct.pack(">QI", 0, 100)
TIME = 20.0
"""Seconds that one of these tests may take."""

Serve = Callable[["asyncssh.SSHServerProcess[bytes]"], Awaitable[None]]


# The world: two places at a target that anybody may sign in to


class Anybody(asyncssh.SSHServer):
    """Lets everybody in: what is tried here is what happens behind that."""

    def __init__(self, serve: Serve) -> None:
        self._serve = serve

    def begin_auth(self, username: str) -> bool:
        return False

    def session_requested(self) -> "Subsystem":
        return Subsystem(self._serve)


class Subsystem(asyncssh.SSHServerProcess[bytes]):
    """One session that is what `serve` does, and not the SFTP server of the library."""

    def __init__(self, serve: Serve) -> None:
        super().__init__(serve, None, 0, allow_scp=False)

    def subsystem_requested(self, subsystem: str) -> bool:
        return True

    def session_started(self) -> None:
        chan, conn = self._chan, self._conn
        assert chan is not None
        assert conn is not None
        out, err = asyncssh.SSHWriter(self, chan), asyncssh.SSHWriter(self, chan, 1)
        handler = self._start_process(asyncssh.SSHReader(self, chan), out, err)
        assert inspect.isawaitable(handler)
        conn.create_task(handler)


@asynccontextmanager
async def target(world: World, serve: Serve) -> AsyncIterator[None]:
    """HOST, where a subsystem is what `serve` does."""
    key = asyncssh.generate_private_key("ssh-ed25519")
    listening = await asyncssh.listen(
        "127.0.0.1",
        0,
        server_host_keys=[key],
        server_factory=lambda: Anybody(serve),
        encoding=None,
    )
    async with listening:
        world.add_host(listening.get_port(), key.export_public_key().decode(), name=HOST)
        yield


async def openssh(process: "asyncssh.SSHServerProcess[bytes]") -> None:
    """OpenSSH's own server, for as long as its channel is there."""
    pipe = asyncio.subprocess.PIPE
    child = await asyncio.create_subprocess_exec(SERVER, stdin=pipe, stdout=pipe)
    assert child.stdin
    assert child.stdout
    async with asyncio.TaskGroup() as group:
        group.create_task(_feed(process, child.stdin))
        with suppress(OSError):
            while data := await child.stdout.read(1 << 16):
                process.stdout.write(data)
        process.exit(await child.wait())


async def _feed(process: "asyncssh.SSHServerProcess[bytes]", sink: asyncio.StreamWriter) -> None:
    with suppress(OSError, asyncssh.Error):
        while data := await process.stdin.read(1 << 16):
            sink.write(data)
            await sink.drain()
    sink.close()


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """`out`, `in` and `secret`, with a file in each."""
    top = tmp_path.resolve() / "place"
    for name in ("out", "in", "secret"):
        (top / name).mkdir(parents=True)
        (top / name / "file").write_text(name)
    (top / "out/way").symlink_to("../secret/file")
    (top / "out/dir").symlink_to(top / "secret")
    return top


@pytest.fixture
async def there(bare: World) -> AsyncIterator[World]:
    """The bastion, with OpenSSH's server behind it."""
    async with target(bare, openssh):
        yield bare


def allows(*files: str) -> Allows:
    """A grant of files."""
    return Allows(sftp=tuple(map(parse_files, files)))


def eve(place: Path) -> Allows:
    """She may read `out` and write `in`, and wants more."""
    return allows(f"read:{place}/out/**", f"write:{place}/in/**")


class Client(Raw):
    """A client in this process."""

    def __init__(self, process: "asyncssh.SSHClientProcess[bytes]") -> None:
        super().__init__(cast(asyncio.subprocess.Process, process))  # its pipes have that shape
        self._ssh = process

    def finish(self) -> None:
        """No more will be sent."""
        self._ssh.stdin.write_eof()

    def hang_up(self) -> None:
        """It is gone, without a word."""
        self._ssh.channel.get_connection().abort()

    async def end(self) -> str:
        """What it was told when the session was over by itself."""
        said = await self._ssh.stderr.read()
        done = await self._ssh.wait()
        assert done.exit_status != 0
        return said.decode()


@asynccontextmanager
async def session(world: World, name: str, granted: Allows) -> AsyncIterator[Client]:
    """A session of somebody who is granted that; from its first byte on."""
    person = world.people.get(name) or world.contractor(name, granted)
    async with asyncio.timeout(TIME), world.jump(person) as inner:
        process = await inner.create_process(subsystem="sftp", encoding=None)
        try:
            yield Client(process)
        finally:
            process.close()


@pytest.fixture
async def raw(there: World, place: Path) -> AsyncIterator[Client]:
    """Eve's session, begun."""
    async with session(there, "eve", eve(place)) as raw:
        yield await raw.begin()


def snapshot(place: Path) -> dict[str, tuple[int, str]]:
    """All that is there: modes, and contents or where it leads."""
    found = {}
    for path in sorted(place.rglob("*")):
        plain = path.is_file() and not path.is_symlink()
        leads = str(path.readlink()) if path.is_symlink() else ""
        found[str(path)] = (path.lstat().st_mode, path.read_text() if plain else leads)
    return found


# Around the path


@pytest.mark.parametrize(
    "path", ["secret/file", "out/../secret/file", "in/../../place/secret/file", "out/way",
             "out/dir/file", "out//./../out/way", "out/dir/../secret/file"]
)  # fmt: skip
async def test_no_way_of_writing_a_path_leads_out(raw: Raw, place: Path, path: str) -> None:
    """By `..`, by links at its end and in its middle: nothing of it is read, written or seen."""
    before = snapshot(place)
    name = text(f"{place}/{path}")
    for kind in (OPENDIR, STAT, REALPATH):
        assert await raw.refused(kind, name), kind
    for flags in (READING, WRITING, WRITING | CREATING | TRUNCATING, READING | WRITING):
        assert await raw.refused(OPEN, name, u32(flags), NO_ATTRS), flags
    for kind in (REMOVE, RMDIR):
        assert await raw.refused(kind, name), kind
    for kind in (SETSTAT, MKDIR):
        assert await raw.refused(kind, name, NO_ATTRS), kind
    assert snapshot(place) == before


async def test_nothing_is_renamed_or_linked_across(raw: Raw, place: Path) -> None:
    """Out of what is granted, into it, and from where it is written to where it is read."""
    before = snapshot(place)
    inside, outside, readable = place / "in/file", place / "secret/file", place / "out/file"
    for old, new in (
        (outside, place / "in/x"),
        (inside, place / "secret/x"),
        (readable, place / "in/x"),
        (inside, place / "out/x"),
        (place / "secret", place / "in/d"),
        (place / "in", place / "out/in"),
        (place / "out/way", place / "in/x"),
    ):
        assert await raw.refused(RENAME, text(old), text(new)), (old, new)
        for name in ("posix-rename@openssh.com", "hardlink@openssh.com"):
            assert await raw.refused(EXTENDED, text(name), text(old), text(new)), (old, new)
    assert snapshot(place) == before


SIZE, OWNERS, PERMISSIONS, TIMES = 1, 2, 4, 8
ATTRS = {
    "size": u32(SIZE) + bytes(8),
    "owners": u32(OWNERS) + bytes(8),
    "permissions": u32(PERMISSIONS) + u32(0o777),
    "times": u32(TIMES) + bytes(8),
    "all": u32(15) + bytes(8) + bytes(8) + u32(0o777) + bytes(8),
}


@pytest.mark.parametrize("attrs", ATTRS.values(), ids=ATTRS)
async def test_what_may_be_read_is_set_by_no_request(raw: Raw, place: Path, attrs: bytes) -> None:
    """Size, owners, mode and times: by path, by link, by handle, and while it is opened."""
    path, before = text(place / "out/file"), (place / "out/file").stat()
    assert await raw.refused(SETSTAT, path, attrs)
    assert await raw.refused(EXTENDED, text("lsetstat@openssh.com"), path, attrs)
    handle = await raw.opened(place / "out/file", READING)
    assert await raw.refused(FSETSTAT, handle, attrs)
    kind, _ = await raw.ask(OPEN, path, u32(READING), attrs)
    assert kind in {HANDLE, STATUS}
    after = (place / "out/file").stat()
    assert (after.st_size, after.st_mode, after.st_mtime, after.st_uid) == (
        *(before.st_size, before.st_mode, before.st_mtime, before.st_uid),
    )


async def test_reading_takes_the_flag_read_and_nothing_else(raw: Raw, place: Path) -> None:
    """READ with TRUNC empties a file where a server takes it as it comes."""
    for flags in range(2, 128):
        assert await raw.refused(OPEN, text(place / "out/file"), u32(flags), NO_ATTRS), flags
    assert (place / "out/file").read_text() == "out"


@pytest.mark.parametrize(
    "name", ["copy-data", "fsync@openssh.com", "check-file-name", "home-directory", "vendor-id",
             "text-seek", "mkfifo@x", "\0", ""]
)  # fmt: skip
async def test_what_is_extended_is_known_or_refused(raw: Raw, place: Path, name: str) -> None:
    """Known ones with what they do not take, unknown ones with what they would."""
    before = snapshot(place)
    paths = text(place / "secret/file"), text(place / "in/x")
    assert await raw.refused(EXTENDED, text(name), *paths)
    assert await raw.refused(EXTENDED, text(name))
    assert snapshot(place) == before


async def test_types_that_nobody_has_defined_are_refused(raw: Raw, place: Path) -> None:
    """Those of later versions (link, block, unblock), answers as requests, and all the others."""
    known = {*range(INIT, READLINK + 2), EXTENDED}
    for kind in set(range(256)) - known | {2}:
        assert await raw.refused(kind, text(place / "in/file"), text(place / "in/x")), kind
    assert not (place / "in/x").exists()


async def test_a_copy_on_the_target_needs_both_files_open(raw: Raw, place: Path) -> None:
    """One that may be read, one that may be written; not the other way round."""
    readable = await raw.opened(place / "out/file", READING)
    writable = await raw.opened(place / "in/file", WRITING)
    name, whole = text("copy-data"), bytes(16)
    assert await raw.refused(EXTENDED, name, writable, whole, readable, bytes(8))
    assert await raw.refused(EXTENDED, name, readable, whole, readable, bytes(8))
    assert await raw.refused(EXTENDED, name, writable, whole, writable, bytes(8))
    kind, body = await raw.ask(EXTENDED, name, readable, whole, writable, bytes(8))
    assert (kind, body[:4]) == (STATUS, OK)
    assert (place / "in/file").read_text().startswith("out")


async def test_arguments_of_a_link_are_not_taken_for_each_other(raw: Raw, place: Path) -> None:
    """OpenSSH reversed them: whichever is meant, what is made leads nowhere new."""
    before = snapshot(place)
    outside, inside = text(place / "secret/file"), text(place / "in/x")
    for first, second in ((outside, inside), (inside, outside), (text(place / "out/x"), inside)):
        assert await raw.refused(SYMLINK, first, second)
    assert await raw.refused(SYMLINK, inside, text(place / "out/x"))
    assert await raw.refused(SYMLINK, text("../secret/file"), inside)
    assert snapshot(place) == before
    kind, body = await raw.ask(SYMLINK, text("file"), inside)
    assert (kind, body[:4]) == (STATUS, OK)
    assert str((place / "in/x").readlink()) == "file"


async def test_what_a_login_reads_is_not_written(there: World, place: Path) -> None:
    """By a grant of everything, by no operation, in no spelling; nothing is moved there."""
    (place / "in/.ssh").mkdir()
    (place / "in/.bashrc").write_text("mine")
    before = snapshot(place)
    created = u32(WRITING | CREATING)
    async with session(there, "mallory", allows("write")) as raw:
        await raw.begin()
        for name in (".ssh/authorized_keys", ".SSH/x", ".ssh", ".bashrc", ".profile", ".zshenv"):
            path = text(place / "in" / name)
            assert await raw.refused(OPEN, path, created, NO_ATTRS), name
            assert await raw.refused(MKDIR, path, NO_ATTRS), name
            assert await raw.refused(REMOVE, path), name
            assert await raw.refused(RENAME, text(place / "in/file"), path), name
            assert await raw.refused(SYMLINK, text("file"), path), name
            two = text(place / "in/file"), path
            assert await raw.refused(EXTENDED, text("hardlink@openssh.com"), *two), name
        assert await raw.refused(RENAME, text(place / "in/.ssh"), text(place / "in/ssh"))
        assert await raw.refused(SYMLINK, text(place / "in/.ssh"), text(place / "in/ssh"))
    assert snapshot(place) == before


# Two sessions at a time


async def test_a_path_that_changes_is_never_read_as_what_it_was_not(
    there: World, place: Path
) -> None:
    """Somebody who may write everywhere swaps a file for a link to a secret, and back, as fast as
    it goes, while somebody else reads it: hundreds of reads give what was granted, or nothing, and
    none of them meets the tree in the middle of a change."""
    real, link, named = (text(place / "out" / name) for name in ("real", "link", "named"))
    (place / "out/real").write_text("out")
    swapping = asyncio.Event()
    swapping.set()
    async with AsyncExitStack() as stack:
        granted = allows(f"write:{place}/**")
        writer = await stack.enter_async_context(session(there, "writer", granted))
        granted = allows(f"read:{place}/out/**")
        reader = await stack.enter_async_context(session(there, "reader", granted))
        await writer.begin()
        await reader.begin()
        kind, body = await writer.ask(SYMLINK, text(place / "secret/file"), link)
        assert (kind, body[:4]) == (STATUS, OK)
        async with asyncio.TaskGroup() as group:
            group.create_task(_swap(writer, (real, link, named), swapping))
            try:
                found = [await _read(reader, named) for _ in range(600)]
            finally:
                swapping.clear()
    assert set(found) <= {"out", "refused", "none"}, set(found)
    assert {"out", "refused"} <= set(found)


async def _swap(raw: Raw, names: tuple[bytes, bytes, bytes], going: asyncio.Event) -> None:
    """A file and a link take turns to be there under one name."""
    real, link, named = names
    posix = text("posix-rename@openssh.com")
    while going.is_set():
        for other in (real, link):
            await raw.ask(EXTENDED, posix, other, named)
            await raw.ask(EXTENDED, posix, named, other)


async def _read(raw: Raw, name: bytes) -> str:
    """What a file has, or why it can't be said."""
    kind, body = await raw.ask(OPEN, name, u32(READING), NO_ATTRS)
    if kind == STATUS:
        said = body.decode(errors="replace")
        missing = body[:4] == u32(2)
        return "changed" if "changed" in said else "none" if missing else "refused"
    read, data = await raw.ask(READ, body, SPAN)
    await raw.ask(CLOSE, body)
    return data[4:].decode() if read == DATA else "refused"


async def test_a_handle_is_of_its_own_session(there: World, place: Path) -> None:
    """Neither another session's name for it, nor the target's own, nor one that was closed."""
    granted = eve(place)
    async with session(there, "eve", granted) as one, session(there, "eve", granted) as other:
        await one.begin()
        await other.begin()
        handle = await one.opened(place / "out/file", READING)
        for guessed in (handle, *(text(bytes([0, 0, 0, n])) for n in range(9)), text(b"x" * 256)):
            assert await other.refused(READ, guessed, SPAN)
            assert await other.refused(READDIR, guessed)
            assert await other.refused(CLOSE, guessed)
        assert (await one.ask(READ, handle, SPAN))[0] == DATA
        assert (await one.ask(CLOSE, handle))[1][:4] == OK
        assert await one.refused(READ, handle, SPAN)


def test_a_hundred_thousand_handles() -> None:
    """As many as are asked for are not open: neither here, nor at the target."""
    proxy = Proxy(tuple(map(parse_files, ["read:/out/**"])), "G-7")
    framer, open_there, answered = Framer(), 0, 0

    def carry_out(out: Output) -> None:
        nonlocal open_there, answered
        while out.to_target:
            back = []
            for packet in out.to_target:
                open_there += _verb(memoryview(packet)[4:]) is packets.Verb.OPENDIR
                back.append(_answered(memoryview(packet)[4:], None))
            answered += len(list(framer.feed(b"".join(out.to_client))))
            out = proxy.from_target(b"".join(back))
        answered += len(list(framer.feed(b"".join(out.to_client))))

    carry_out(proxy.from_client(framed(struct.pack(">BI", INIT, 3))))
    asked = framed(struct.pack(">BI", OPENDIR, 9) + text("/out"))
    for _ in range(100):
        carry_out(proxy.from_client(asked * 1000))
    assert answered == 100_001
    assert open_there == MOST
    assert not proxy.holding


# What is sent


async def test_names_need_not_be_text(there: World, place: Path) -> None:
    """Bytes that are not UTF-8, new lines, escapes: they are judged, listed and told as they are,
    and neither a line of ours nor of the recording is made of them."""
    name = b"\xff\xfe\n\x1b]0;owned\x07"
    odd = os.fsencode(place / "out") + b"/" + name
    await asyncio.to_thread(Path(os.fsdecode(odd)).write_text, "odd")
    async with session(there, "eve", eve(place)) as raw:
        await raw.begin()
        kind, handle = await raw.ask(OPEN, text(odd), u32(READING), NO_ATTRS)
        assert kind == HANDLE
        assert (await raw.ask(READ, handle, SPAN))[1] == text("odd")
        await raw.ask(CLOSE, handle)
        kind, handle = await raw.ask(OPENDIR, text(place / "out"))
        assert name in (await raw.ask(READDIR, handle))[1]
        secret = os.fsencode(place / "secret") + b"/" + name
        assert await raw.refused(OPEN, text(secret), u32(READING), NO_ATTRS)
        assert await raw.refused(OPEN, text(odd + b"\0/x"), u32(READING), NO_ATTRS)
    await until(lambda: not there.sessions[-1].live)
    shown = there.shown(there.sessions[-1])
    assert "sha256" in shown
    assert all(line.startswith(("{", "[")) for line in shown.splitlines())
    assert "\x1b" not in shown


async def test_packets_that_are_cut_or_too_long(there: World, place: Path) -> None:
    """By whichever length they name, wherever they end: a status or the end, and no harm."""
    before = snapshot(place)
    whole = struct.pack(">BI", REMOVE, 7) + text(place / "in/file")
    granted = eve(place)
    for end in (b"", u32(len(whole)) + whole[:-1], u32(1 << 20), u32(0xFFFFFFFF) + whole, u32(0)):
        async with session(there, "eve", granted) as raw:
            await raw.begin()
            raw.send(end)
            raw.finish()
            with suppress(asyncio.IncompleteReadError):
                while True:
                    assert (await raw.answer())[0] == STATUS
    async with session(there, "eve", granted) as raw:
        await raw.begin()
        for length in range(5, len(whole)):
            raw.send(framed(whole[:length]))
            assert (await raw.answer())[0] == STATUS
        raw.send(framed(whole + b"more"))
        assert (await raw.answer())[0] == STATUS
    assert snapshot(place) == before
    await there.still_serves()


async def test_packets_out_of_their_order(there: World, place: Path) -> None:
    """What needs a handle before it is there, the same id for everything, and a request first."""
    opening = struct.pack(">BI", OPEN, 5) + text(place / "out/file") + u32(READING) + NO_ATTRS
    reading = struct.pack(">BI", READ, 5) + text(b"\0\0\0\1") + SPAN
    async with session(there, "eve", eve(place)) as raw:
        await raw.begin()
        raw.send(framed(reading) + framed(opening) + framed(reading))
        kinds = [(await raw.answer())[0] for _ in range(3)]
        assert sorted(kinds) == [STATUS, STATUS, HANDLE]
        raw.send(framed(reading))
        assert (await raw.answer())[0] == DATA
    async with session(there, "eve", eve(place)) as raw:
        raw.send(framed(opening))
        with pytest.raises(asyncio.IncompleteReadError):
            await raw.answer()


# A target that lies


def honest(request: packets.Request) -> answers.Answer:
    """What a target with two files would say."""
    match request:
        case packets.OnPath(verb=packets.Verb.REALPATH):
            path = request.path if request.path != b"." else b"/home"
            return Names(0, (Entry(path, path),))
        case packets.Open() | packets.OnPath(verb=packets.Verb.OPENDIR):
            return Handle(0, b"theirs")
        case packets.Read():
            return Data(0, b"some")
        case packets.OnHandle(verb=packets.Verb.READDIR):
            return Names(0, (Entry(b"file", b"file"),))
        case packets.OnPath():
            return Attributes(0, NOTHING)
    return Status(0, Code.OK)


Lie = tuple[type[packets.Request] | packets.Verb, answers.Answer]

LIES: dict[str, Lie] = {
    "a name with a slash": (packets.Verb.READDIR, Names(0, (Entry(b"../x", b""),))),
    "a name in another directory": (packets.Verb.READDIR, Names(0, (Entry(b"/out/x", b""),))),
    "an empty name": (packets.Verb.READDIR, Names(0, (Entry(b"", b""),))),
    "a path that is none": (packets.Verb.REALPATH, Names(0, (Entry(b"out/file", b""),))),
    "a path that climbs": (packets.Verb.REALPATH, Names(0, (Entry(b"/out/../secret", b""),))),
    "two paths": (packets.Verb.REALPATH, Names(0, (Entry(b"/a", b""), Entry(b"/b", b"")))),
    "no path": (packets.Verb.REALPATH, Names(0, ())),
    "a handle for attributes": (packets.Verb.STAT, Handle(0, b"x")),
    "data for a handle": (packets.Open, Data(0, b"x")),
    "names for a handle": (packets.Verb.OPENDIR, Names(0, ())),
    "well done, for a handle": (packets.Open, Status(0, Code.OK)),
    "well done, for data": (packets.Read, Status(0, Code.OK)),
    "names for data": (packets.Read, Names(0, ())),
    "more data than asked for": (packets.Read, Data(0, bytes(101))),
    "data for a status": (packets.Verb.CLOSE, Data(0, b"x")),
}


def lying(
    lie: Lie | None,
    more: bytes = b"",
    *,
    twice: bool = False,
    silent: packets.Verb | None = None,
) -> Serve:
    """A target that is honest but for one answer; or that says `more` after each, or nothing to
    one kind of request."""

    async def serve(process: "asyncssh.SSHServerProcess[bytes]") -> None:
        framer = Framer()
        while data := await process.stdin.read(1 << 16):
            for packet in framer.feed(data):
                assert isinstance(packet, memoryview)
                if silent is None or _verb(packet) is not silent:
                    process.stdout.write(_answered(packet, lie) * (1 + twice) + more)
        process.exit(0)

    return serve


def _verb(packet: memoryview) -> packets.Verb | None:
    return getattr(packets.parse_request(packet), "verb", None)


def _answered(packet: memoryview, lie: Lie | None) -> bytes:
    request = packets.parse_request(packet)
    if isinstance(request, packets.Init):
        return answers.write_version(Version(3, ()))
    assert not isinstance(request, packets.Unknown | packets.Malformed)
    answer = honest(request)
    if lie is not None and lie[0] in {type(request), getattr(request, "verb", None)}:
        answer = lie[1]
    return answers.write_answer(replace(answer, id=request.id))


async def use(raw: Raw) -> None:
    """Each kind of answer is waited for once."""
    await raw.begin()
    await raw.ask(STAT, text("/out/file"))
    kind, handle = await raw.ask(OPEN, text("/out/file"), u32(READING), NO_ATTRS)
    assert kind == HANDLE
    await raw.ask(READ, handle, SPAN)
    await raw.ask(CLOSE, handle)
    kind, handle = await raw.ask(OPENDIR, text("/out"))
    assert kind == HANDLE
    await raw.ask(READDIR, handle)
    await raw.ask(CLOSE, handle)


async def test_a_target_that_does_not_lie(bare: World) -> None:
    """What the next tests differ from."""
    async with target(bare, lying(None)), session(bare, "eve", allows("read:/out/**")) as raw:
        await use(raw)


@pytest.mark.parametrize("serve", [
    *(lying(lie) for lie in LIES.values()),
    lying(None, twice=True),
    lying(None, answers.write_answer(Status(12345, Code.OK))),
    lying(None, u32(0xFFFFFFFF)),
    lying(None, framed(b"\x65")),
    lying(None, b"Last login: yesterday\r\n" * 10),
], ids=[*LIES, "twice", "not asked", "too long", "too short", "no sftp"])  # fmt: skip
async def test_a_target_that_lies_ends_its_own_session(bare: World, serve: Serve) -> None:
    """With a sentence, and nothing of the lie goes to the client as what it is not."""
    async with target(bare, serve), session(bare, "eve", allows("read:/out/**")) as raw:
        with pytest.raises(asyncio.IncompleteReadError):
            await use(raw)
        assert "bastion: " in await raw.end()
        await bare.still_serves()
    await until(lambda: not bare.sessions[-1].live)


async def test_a_target_that_does_not_answer_holds_nobody_up_for_ever(bare: World) -> None:
    """Who changes something there keeps others out, until the session has to end for it; another
    that is killed in the middle of it lets go too."""
    granted = allows("read:/**", "write:/**")
    async with AsyncExitStack() as stack:
        await stack.enter_async_context(target(bare, lying(None, silent=packets.Verb.MKDIR)))
        stuck, killed, waiting = [
            await stack.enter_async_context(session(bare, "eve", granted)) for _ in range(3)
        ]
        for raw in (stuck, killed, waiting):
            await raw.begin()
        changing = framed(struct.pack(">BI", MKDIR, 1) + text("/x") + NO_ATTRS)
        stuck.send(changing)
        await until(lambda: "mkdir" in bare.shown(bare.sessions[0]))
        killed.send(changing)
        async with asyncio.TaskGroup() as group:
            looking = group.create_task(waiting.ask(STAT, text("/x")))
            said = await stuck.end()
            assert "took more than 10 s while another session waited" in said
            assert not looking.done()
            await until(lambda: "mkdir" in bare.shown(bare.sessions[1]))
            killed.hang_up()
        assert looking.result()[0] == ATTRS_ANSWER
