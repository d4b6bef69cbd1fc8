"""`bastion-admin files`: which files went over."""

import pytest

from recorder import DONE, Archive, Direction, FileEvent, Kind, SessionInfo
from tests.cli.desks import Installation

DIGEST = "ab" * 32


async def moved(archive: Archive, *events: FileEvent) -> None:
    """A session in which these files went over."""
    info = SessionInfo(
        connection=31,
        user="alice",
        grant=1,
        host="web-1",
        login="deploy",
        kind=Kind.SFTP,
        source="192.0.2.7",
    )
    async with archive.record(info) as recording:
        for event in events:
            recording.file(event)


@pytest.fixture
async def busy(furnished: Installation) -> Installation:
    """An installation in which a file was fetched, and another renamed."""
    with furnished.services() as services:
        await moved(
            services.archive,
            FileEvent("get", b"/var/log/app.log", None, Direction.READ, 12345, DIGEST, DONE),
            FileEvent("rename", b"/srv/\x1b[2J\xff", b"/srv/b", None, 0, None, "permission denied"),
        )
    return furnished


def test_files_are_listed(busy: Installation) -> None:
    """As a table, and as JSON with what a program needs; nothing in it acts on a terminal."""
    said = busy("files", width=250).out
    assert "/var/log/app.log" in said
    assert DIGEST in said
    assert "\x1b[2J" not in said
    newest, oldest = busy("files", "--json").json
    assert (oldest["operation"], oldest["path"], oldest["bytes"]) == (
        "get",
        "/var/log/app.log",
        12345,
    )
    assert (oldest["session"], oldest["user"], oldest["sha256"]) == ("S-1", "alice", DIGEST)
    assert (newest["path"], newest["other"]) == ("/srv/\\x1b[2J\\xff", "/srv/b")
    assert newest["result"] == "permission denied"
    assert (
        busy("files", "--csv").out.count("\r\n") == 3 or busy("files", "--csv").out.count("\n") == 3
    )


def test_a_session_is_shown_with_its_files(busy: Installation) -> None:
    """In their order, in one line each, safe to print."""
    said = busy("show", "S-1", width=250).out
    assert f"get /var/log/app.log 12 345 bytes sha256 {DIGEST}" in said
    assert said.index("/var/log/app.log") < said.index("permission denied")
    assert "\x1b[2J" not in said


@pytest.mark.parametrize(
    ("words", "count"),
    [
        (("--path", "/var/*"), 1),
        (("--path", "/srv/b"), 1),
        (("--path", "/nowhere"), 0),
        (("--sha256", DIGEST.upper()), 1),
        (("--sha256", f"SHA256:{DIGEST}"[7:]), 1),
        (("--user", "alice", "--host", "web-1"), 2),
        (("--session", "S-1"), 2),
        (("--session", "S-9"), 0),
        (("--until", "2020-01-01T00:00Z"), 0),
    ],
)
def test_the_list_is_narrowed(busy: Installation, words: tuple[str, ...], count: int) -> None:
    """By each of its options."""
    assert len(busy("files", *words, "--json").json) == count


@pytest.mark.parametrize(
    ("words", "status", "sentence"),
    [
        (("--sha256", "abc"), 2, "give 64 hex digits"),
        (("--user", "alcie"), 1, "Do you mean alice?"),
        (("--host", "wbe-1"), 1, "Do you mean web-1?"),
        (("--session", "nine"), 2, "is not an id"),
    ],
)
def test_what_cannot_be_is_one_sentence(
    busy: Installation, words: tuple[str, ...], status: int, sentence: str
) -> None:
    """With what to write instead."""
    assert sentence in busy("files", *words, status=status).err
