"""The proxy before OpenSSH's sftp-server: what goes through, what does not, and what is told."""

import hashlib
import os
from pathlib import Path
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bastion.sftp.answers import Attributes, Data, Handle, Names, Status
from bastion.sftp.fields import NOTHING, Attrs
from bastion.sftp.opened import MOST, MOST_EARLY, Allowance, Track
from bastion.sftp.packets import (
    CopyData,
    Flags,
    OnHandle,
    OnPath,
    OnTwo,
    Open,
    Plain,
    Read,
    Request,
    Verb,
    Write,
)
from recorder import DONE, Direction, FileEvent
from tests.bastion.sftp.through import Through, code, through

PUT = Flags.WRITE | Flags.CREAT | Flags.TRUNC


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A home with a log, an upload directory, and a secret beside them."""
    root = tmp_path.resolve() / "home"
    for name in ("log/old", "up", ".ssh", "secret"):
        (root / name).mkdir(parents=True)
    (root / "log/app.log").write_bytes(b"x" * 100_000)
    (root / "log/old/1.log").write_bytes(b"old")
    (root / "secret/key").write_bytes(b"secret")
    (root / "up/there").write_bytes(b"there")
    (root / "log/out").symlink_to(root / "secret/key")
    (root / "up/away").symlink_to(root / "secret")
    return root


def reads(home: Path) -> str:
    """The log may be read."""
    return f"read:{home}/log/**"


def writes(home: Path) -> str:
    """The upload directory may be written."""
    return f"write:{home}/up/**"


def last(session: Through) -> FileEvent:
    """The newest event."""
    return session.events[-1]


def read_all(session: Through, path: Path | str) -> bytes:
    """A whole file, as a client fetches it."""
    handle, data = session.opened(str(path)), b""
    while isinstance(part := session.ask(Read(0, handle, len(data), 32768)), Data):
        data += bytes(part.data)
    session.close(handle)
    return data


def put(session: Through, path: Path | str, data: bytes) -> str:
    """A whole file, as a client sends it; the code of what failed first."""
    opened = session.open(str(path), PUT)
    if not isinstance(opened, Handle):
        return code(opened)
    wrote = session.ask(Write(0, opened.handle, 0, data))
    session.close(opened.handle)
    return code(wrote)


def test_a_file_is_read_and_told(home: Path) -> None:
    """Path, bytes, and the hash of what went over; that it began was told before."""
    with through(home, reads(home)) as session:
        data = read_all(session, "log/app.log")
        event = last(session)
    assert data == b"x" * 100_000
    assert event == FileEvent(
        "get", os.fsencode(home / "log/app.log"), None, Direction.READ, 100_000,
        hashlib.sha256(data).hexdigest(), DONE,
    )  # fmt: skip
    assert [(e.operation, e.path) for e in session.begun] == [("get", event.path)]


def test_a_file_is_written_and_told(home: Path) -> None:
    """It is on the target, as it was sent."""
    with through(home, writes(home)) as session:
        assert put(session, "up/new", b"content") == "OK"
        event = last(session)
    assert (home / "up/new").read_bytes() == b"content"
    assert event.line() == (
        f"put {home}/up/new 7 bytes sha256 {hashlib.sha256(b'content').hexdigest()}"
    )


def test_out_of_order_is_hashed_as_it_lies_in_the_file(home: Path) -> None:
    """A client may send pieces ahead of their turn."""
    with through(home, writes(home)) as session:
        handle = session.opened("up/new", PUT)
        session.ask(Write(0, handle, 3, b"def"))
        session.ask(Write(0, handle, 0, b"abc"))
        session.close(handle)
        event = last(session)
    assert (home / "up/new").read_bytes() == b"abcdef"
    assert event.sequential
    assert event.sha256 == hashlib.sha256(b"abcdef").hexdigest()


def test_what_went_twice_or_never_is_told_as_pieces(home: Path) -> None:
    """The hash is of the bytes as they went, and says so."""
    with through(home, writes(home)) as session:
        for pieces in (((0, b"abc"), (0, b"xyz")), ((3, b"def"),), ((3, b"de"), (3, b"xy"))):
            handle = session.opened("up/new", PUT)
            for at, data in pieces:
                session.ask(Write(0, handle, at, data))
            session.close(handle)
            event = last(session)
            assert not event.sequential
            assert event.sha256 == hashlib.sha256(b"".join(data for _, data in pieces)).hexdigest()


@given(st.lists(st.binary(min_size=1, max_size=40), min_size=1, max_size=12), st.randoms())
def test_any_order_of_all_pieces_is_the_file(pieces: list[bytes], order: Random) -> None:
    """Whatever order a client sends them in; and nothing is kept afterwards."""
    starts = [sum(map(len, pieces[:n])) for n in range(len(pieces))]
    sent = list(zip(starts, pieces, strict=True))
    order.shuffle(sent)
    allowance = Allowance()
    track = Track(allowance)
    for at, data in sent:
        track.went(at, data)
    track.over()
    assert track.sequential
    assert track.sha256 == hashlib.sha256(b"".join(pieces)).hexdigest()
    assert allowance.left == MOST_EARLY


def test_what_comes_early_is_kept_within_bounds() -> None:
    """A client that never sends the first piece costs a session so much and no more."""
    allowance = Allowance()
    tracks = [Track(allowance) for _ in range(100)]
    for number in range(1000):
        tracks[number % 100].went(1 + number * 32768, bytes(32768))
        assert allowance.left >= 0
    for track in tracks:
        track.over()
        assert not track.sequential
    assert allowance.left == MOST_EARLY


def test_what_is_open_at_the_end_is_told(home: Path) -> None:
    """As far as it went."""
    with through(home, reads(home)) as session:
        handle = session.opened("log/app.log")
        session.ask(Read(0, handle, 0, 10))
        session.end()
    assert (last(session).bytes, last(session).result) == (10, "the session ended")


@pytest.mark.parametrize(
    "path",
    ["secret/key", "log/../secret/key", "/etc/passwd", "log/out", "up/away/key", "./log//out"],
)
def test_what_is_not_granted_is_not_opened(home: Path, path: str) -> None:
    """By no way of writing it, and through no link; the person is told."""
    with through(home, reads(home), writes(home)) as session:
        assert code(session.open(path)) == "PERMISSION_DENIED"
        assert last(session).result == "refused: not granted"
        assert session.said
        assert not session.begun


@pytest.mark.parametrize(
    "flags",
    [
        PUT,
        Flags.WRITE,
        Flags.READ | Flags.WRITE,
        Flags.READ | Flags.TRUNC,
        Flags.READ | Flags.CREAT,
        Flags.APPEND,
        Flags(0),
    ],
)
def test_reading_takes_no_other_flag(home: Path, flags: Flags) -> None:
    """TRUNC on a read grant would empty the file."""
    with through(home, reads(home)) as session:
        assert code(session.open("log/app.log", flags)) in {"PERMISSION_DENIED", "OP_UNSUPPORTED"}
    assert (home / "log/app.log").stat().st_size == 100_000


def test_a_grant_to_read_changes_nothing(home: Path) -> None:
    """Every operation that could, on what may be read."""
    name = os.fsencode(home / "log/app.log")
    new = os.fsencode(home / "log/new")
    size, mode = Attrs(size=0), Attrs(permissions=0o777)
    with through(home, reads(home)) as session:
        handle = session.opened("log/app.log")
        refused: list[Request] = [
            OnPath(Verb.REMOVE, 0, name),
            OnPath(Verb.RMDIR, 0, os.fsencode(home / "log/old")),
            OnPath(Verb.MKDIR, 0, new),
            OnPath(Verb.SETSTAT, 0, name, size),
            OnPath(Verb.LSETSTAT, 0, name, mode),
            OnHandle(Verb.FSETSTAT, 0, handle, size),
            OnHandle(Verb.FSETSTAT, 0, handle, mode),
            OnTwo(Verb.RENAME, 0, name, new),
            OnTwo(Verb.POSIX_RENAME, 0, name, new),
            OnTwo(Verb.HARDLINK, 0, name, new),
            OnTwo(Verb.SYMLINK, 0, name, new),
        ]
        for request in refused:
            assert code(session.ask(request)) == "PERMISSION_DENIED", request
        assert code(session.ask(Write(0, handle, 0, b"!"))) == "FAILURE"
        copied = CopyData(0, handle, 0, 0, handle, 0)
        assert code(session.ask(copied)) == "FAILURE"
    assert (home / "log/app.log").read_bytes() == b"x" * 100_000
    assert {e.result for e in session.events} >= {"refused: not granted"}


def test_a_grant_to_write_reads_nothing(home: Path) -> None:
    """Neither the contents nor the names of what others put there."""
    with through(home, writes(home)) as session:
        assert code(session.open("up/there")) == "PERMISSION_DENIED"
        assert code(session.open("up/there", Flags.READ | Flags.WRITE)) == "PERMISSION_DENIED"
        assert code(session.on(Verb.OPENDIR, "up")) == "PERMISSION_DENIED"
        handle = session.opened("up/there", Flags.WRITE)
        assert code(session.ask(Read(0, handle, 0, 10))) == "FAILURE"
        assert isinstance(session.on(Verb.STAT, "up/there"), Attributes)


def test_directories_show_what_is_granted(home: Path) -> None:
    """On the way down only what leads there; there, everything."""
    with through(home, reads(home)) as session:
        assert session.names(str(home)) == {b"log"}
        assert session.names("log") == {b"app.log", b"old", b"out"}
        assert b"etc" not in session.names("/")
        assert code(session.on(Verb.OPENDIR, "secret")) == "PERMISSION_DENIED"
        assert last(session).operation == "list"


def test_what_is_not_granted_is_not_told_apart_from_what_is_not_there(home: Path) -> None:
    """No operation says whether a path outside exists."""
    with through(home, reads(home), writes(home)) as session:
        for verb in (Verb.STAT, Verb.LSTAT, Verb.REALPATH, Verb.READLINK, Verb.STATVFS):
            for path in ("secret/key", "secret/none", "/etc/passwd", "/etc/none/none"):
                assert code(session.on(verb, path)) == "PERMISSION_DENIED", (verb, path)
        assert code(session.on(Verb.STAT, "log/out")) == "PERMISSION_DENIED"
        assert code(session.on(Verb.STAT, "log/none")) == "NO_SUCH_FILE"
        assert isinstance(session.on(Verb.REALPATH, "."), Names)


def test_names_change_within_what_is_granted(home: Path) -> None:
    """Files and whole directories; nothing out of it, nothing into it."""
    with through(home, writes(home)) as session:
        assert code(session.on(Verb.MKDIR, "up/dir")) == "OK"
        assert put(session, "up/dir/f", b"1") == "OK"
        assert code(session.ask(OnTwo(Verb.RENAME, 0, b"up/dir", b"up/moved"))) == "OK"
        assert (home / "up/moved/f").exists()
        for old, new in [
            (b"up/moved/f", b"log/f"),
            (b"log/app.log", b"up/app.log"),
            (b"up/moved", b"moved"),
            (b"secret", b"up/secret"),
            (b"up/away/key", b"up/key"),
            (b"up/moved/f", b"up/away/f"),
        ]:
            for verb in (Verb.RENAME, Verb.POSIX_RENAME, Verb.HARDLINK):
                assert code(session.ask(OnTwo(verb, 0, old, new))) == "PERMISSION_DENIED"
    assert (home / "secret/key").exists()
    assert (home / "log/app.log").exists()


def test_nothing_is_moved_to_where_it_may_be_read(home: Path) -> None:
    """Or linked there: what can only be written stays unread."""
    both = f"read:{home}/up/pub/**"
    (home / "up/pub").mkdir()
    (home / "up/dir").mkdir()
    with through(home, writes(home), both) as session:
        for verb in (Verb.RENAME, Verb.POSIX_RENAME, Verb.HARDLINK):
            moved = OnTwo(verb, 0, b"up/there", b"up/pub/there")
            assert code(session.ask(moved)) == "PERMISSION_DENIED"
        tree = OnTwo(Verb.RENAME, 0, b"up/dir", b"up/pub/dir")
        assert code(session.ask(tree)) == "PERMISSION_DENIED"
        link = OnTwo(Verb.SYMLINK, 0, os.fsencode(home / "up/there"), b"up/pub/link")
        assert code(session.ask(link)) == "PERMISSION_DENIED"


@pytest.mark.parametrize(
    ("aim", "made"),
    [
        (b"there", True),
        (b"../secret/key", False),
        (b"/etc/passwd", False),
        (b"away/key", False),
        (b"../up/there", False),
    ],
)
def test_links_lead_to_what_is_granted(home: Path, aim: bytes, made: bool) -> None:
    """And have no `..`, which would lead elsewhere once they are moved."""
    with through(home, writes(home)) as session:
        answer = session.ask(OnTwo(Verb.SYMLINK, 0, aim, b"up/link"))
    assert code(answer) == ("OK" if made else "PERMISSION_DENIED")
    assert (home / "up/link").is_symlink() is made


def test_a_link_is_not_moved_to_where_it_leads_out(home: Path) -> None:
    """Its text is the same, its meaning is not."""
    (home / "up/rel").symlink_to("../secret/key")
    with through(home, writes(home)) as session:
        for name in (b"up/rel", b"up/away"):
            moved = OnTwo(Verb.RENAME, 0, name, b"up/x")
            assert code(session.ask(moved)) == "PERMISSION_DENIED"


@pytest.mark.parametrize("path", [".ssh/authorized_keys", ".bashrc", ".SSH", "up/.profile", ".ssh"])
def test_what_login_reads_has_to_be_named(home: Path, path: str) -> None:
    """`write` alone does not let anybody in by another door."""
    with through(home, f"write:{home}/**") as session:
        assert put(session, path, b"x") == "PERMISSION_DENIED"
        assert put(session, "new", b"x") == "OK"
        renamed = OnTwo(Verb.RENAME, 0, b"new", os.fsencode(path))
        assert code(session.ask(renamed)) == "PERMISSION_DENIED"
    if path.startswith(".ssh/"):
        with through(home, f"write:{home}/.ssh/authorized_keys") as session:
            assert put(session, path, b"x") == "OK"


def test_nobody_becomes_somebody_else(home: Path) -> None:
    """Set-user-id and set-group-id are not set, in none of the ways."""
    special = Attrs(permissions=0o4755)
    with through(home, writes(home)) as session:
        opened = session.ask(Open(0, b"up/new", PUT, special))
        assert code(opened) == "PERMISSION_DENIED"
        assert code(session.ask(OnPath(Verb.SETSTAT, 0, b"up/there", special))) == code(opened)
        handle = session.opened("up/there", Flags.WRITE)
        assert code(session.ask(OnHandle(Verb.FSETSTAT, 0, handle, special))) == code(opened)
        ordinary = OnHandle(Verb.FSETSTAT, 0, handle, Attrs(permissions=0o600))
        assert code(session.ask(ordinary)) == "OK"
        assert last(session).operation == "chmod"


def test_a_file_may_be_no_larger_than_was_granted(home: Path) -> None:
    """Neither way, by no offset, no truncation and no copy; what fits goes over."""
    limited = [f"read,10K:{home}/**", f"write,10K:{home}/up/**"]
    with through(home, *limited) as session:
        handle = session.opened("log/app.log")
        assert isinstance(session.ask(Read(0, handle, 0, 10240)), Data)
        assert code(session.ask(Read(0, handle, 10240, 1))) == "FAILURE"
        assert put(session, "up/new", b"x" * 10240) == "OK"
        assert put(session, "up/large", b"x" * 10241) == "FAILURE"
        assert last(session).result == "refused: more than 10K is not granted"
        sink = session.opened("up/new", Flags.WRITE)
        assert code(session.ask(Write(0, sink, 2**63, b"x"))) == "FAILURE"
        grown = OnPath(Verb.SETSTAT, 0, b"up/new", Attrs(size=10241))
        assert code(session.ask(grown)) == "PERMISSION_DENIED"
        assert code(session.ask(OnHandle(Verb.FSETSTAT, 0, sink, Attrs(size=10241)))) == "FAILURE"
        assert code(session.ask(CopyData(0, handle, 0, 0, sink, 0))) == "FAILURE"
        assert code(session.ask(CopyData(0, handle, 0, 10, sink, 10240))) == "FAILURE"
        assert code(session.ask(CopyData(0, handle, 0, 10, sink, 0))) == "OK"
        assert last(session).operation == "copy"
        assert code(session.open("up/new", Flags.WRITE | Flags.APPEND)) == "PERMISSION_DENIED"
    assert (home / "up/large").stat().st_size == 0
    assert any("more than 10K is not granted" in said for said in session.said)


def test_handles_are_the_sessions_own(home: Path) -> None:
    """The target's own, those of another session, and those that were closed stand for nothing."""
    with through(home, reads(home)) as one, through(home, reads(home)) as other:
        theirs = one.opened("log/app.log")
        one.opened("log/old/1.log")
        other.close(other.opened("log/app.log"))
        for handle in (theirs, b"\0\0\0\0", b"", b"\0\0\0\2", b"x" * 256):
            assert code(other.ask(Read(0, handle, 0, 10))) == "FAILURE"
            assert code(other.ask(OnHandle(Verb.CLOSE, 0, handle))) == "FAILURE"
            assert code(other.ask(OnHandle(Verb.READDIR, 0, handle))) == "FAILURE"


def test_open_files_are_counted(home: Path) -> None:
    """One more than may be is refused, until one is closed."""
    with through(home, reads(home)) as session:
        handles = []
        while isinstance(answer := session.open("log/app.log"), Handle):
            handles.append(answer.handle)
        assert len(handles) <= MOST
        session.close(handles[0])
        assert isinstance(session.open("log/app.log"), Handle)


def test_only_known_extensions_are_told(home: Path) -> None:
    """And none of the others is passed on."""
    with through(home, reads(home)) as session:
        assert session.version is not None
        names = {name for name, _ in session.version.extensions}
        assert b"posix-rename@openssh.com" in names
        assert b"home-directory" not in names
        limits = session.ask(Plain(Verb.LIMITS, 0))
        assert code(limits) == "Reply"
        session.send(b"\0\0\0\x0e" + bytes([200]) + (77).to_bytes(4, "big") + b"\0\0\0\5no@no")
        answer = session.answer(77)
        assert isinstance(answer, Status)
        assert code(answer) == "OP_UNSUPPORTED"


def test_a_request_that_cannot_be_read_gets_a_status(home: Path) -> None:
    """The session goes on; a length that no packet has ends it."""
    with through(home, reads(home)) as session:
        session.send(b"\0\0\0\7" + bytes([3]) + (78).to_bytes(4, "big") + b"\xff\xff")
        assert code(session.answer(78)) == "BAD_MESSAGE"
        assert code(session.on(Verb.STAT, "log")) == "Attributes"
        session.send(b"\xff\xff\xff\xff")
        assert session.fault is not None


def test_what_is_sent_at_once_is_done_in_its_order(home: Path) -> None:
    """A client need not wait: a directory is there for the file that is put into it."""
    with through(home, writes(home)) as session:
        asked = [
            session.begin(OnPath(Verb.MKDIR, 0, b"up/d", NOTHING)),
            session.begin(Open(0, b"up/d/f", PUT, NOTHING)),
            session.begin(OnTwo(Verb.RENAME, 0, b"up/d/f", b"up/d/g")),
            session.begin(OnPath(Verb.STAT, 0, b"up/d/g")),
        ]
        assert [code(session.answer(n)) for n in asked] == ["OK", "Handle", "OK", "Attributes"]
