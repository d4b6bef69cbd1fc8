"""Looking at recordings over SSH: who may, what each look leaves, what never leaves the bastion."""

import json
from collections.abc import Iterator

import pytest

from bastion.app import Services
from bastion.errors import Unavailable
from bastion.workers import Stay
from recorder import Kind
from tests.cli.desks import Caller, Installation, Remote
from tests.cli.recordings import recorded, session

LOOKS = (
    ("replay", "S-1"),
    ("replay", "S-2"),
    ("transcript", "S-1"),
    ("transcript", "S-2", "--json"),
    ("watch", "S-2"),
    ("export", "S-1"),
    ("export", "S-1", "--raw", "stdout"),
    ("export", "S-2", "--raw", "sent"),
)
"""Every way to look at a recording, live and over."""


@pytest.fixture
async def seen(furnished: Installation) -> Installation:
    """With a session S-1 that is over, and S-2 that goes on."""
    with furnished.services() as services:
        await recorded(services.archive, Kind.SHELL, None)
        live = await services.archive.begin(session(Kind.SHELL, None))
        live.shown(b"top\x1b[H\x1b[2Jpresent\x1b]0;title\x07")
    return furnished


@pytest.fixture
def services(seen: Installation) -> Iterator[Services]:
    """As the server has them."""
    with seen.services() as found:
        yield found


@pytest.fixture
def olga(services: Services) -> Remote:
    """An auditor, among other things."""
    return Remote(services, "olga")


def enough() -> None:
    """ctrl-c."""
    raise KeyboardInterrupt


def looks(installation: Installation) -> list[str]:
    """What was told of looks, the oldest first."""
    events = [json.loads(line) for line in installation("audit", "--json").out.splitlines()]
    told = [each for each in events if each["what"] == "recording.looked_at"]
    return [f"{each['actor']} {each['session']} {each['details']['how']}" for each in told[::-1]]


@pytest.mark.parametrize("role", ["contractor", "approver"])
def test_whoever_is_no_auditor_looks_at_nothing(
    seen: Installation, services: Services, role: str
) -> None:
    """Not at a recording of hers, nor at one that is not there; nothing is told or shown."""
    seen("user", "set", "alice", "--role", role)
    for line in (*LOOKS, ("replay", "S-9"), ("watch", "S-9"), ("export", "S-9")):
        for terminal in (False, True):
            said = Remote(services, "alice")(*line, status=2, terminal=terminal)
            assert said.err.startswith(f"ssh bastion: No such command '{line[0]}'.")
            assert (said.out, said.data) == ("", b"")
    assert looks(seen) == []


@pytest.mark.parametrize("role", ["auditor", "admin"])
def test_each_look_is_an_event(seen: Installation, services: Services, role: str) -> None:
    """Before anything is shown; also an auditor's look at a session of her own."""
    seen("user", "set", "alice", "--role", role, "--role", "contractor")
    for line in LOOKS:
        Remote(services, "alice")(*line, meanwhile=[enough])
    assert looks(seen) == [
        *("alice S-1 replay", "alice S-2 replay"),
        *("alice S-1 transcript", "alice S-2 transcript", "alice S-2 watch"),
        *("alice S-1 export", "alice S-1 export stdout", "alice S-2 export sent"),
    ]


@pytest.mark.parametrize(
    ("line", "status", "sentence"),
    [
        ("replay S-9", 1, "There is no session S-9"),
        ("watch S-1", 1, "S-1 is over: ssh bastion replay S-1 shows it."),
        ("replay S-1 --from 2m --at 2026-01-01T00:00Z", 2, "once"),
        ("replay S-1 --at 2020-01-01T00:00Z", 2, "did not go on"),
        ("export S-1 --raw stdin", 2, "never on the bastion: take --raw sent."),
        ("export S-1 --raw stdin --identity auditor.age", 2, "No such option"),
        ("export S-1 -o S-1.cast", 2, "No such option"),
        ("export S-1 --raw all", 2, "is not one of"),
    ],
)
def test_what_shows_nothing_is_no_look(
    seen: Installation, olga: Remote, line: str, status: int, sentence: str
) -> None:
    """One sentence, and no event."""
    said = olga.typed(line, status)
    assert sentence in said.err
    assert said.err.count("\n") == 1
    assert (said.out, said.data) == ("", b"")
    assert looks(seen) == []


class Crowded(Caller):
    """Somebody for whom there is no room."""

    def settle(self, stay: Stay) -> None:
        """Too many are there."""
        raise Unavailable("Too many are there.")


def test_who_finds_no_room_has_not_looked(seen: Installation, olga: Remote) -> None:
    """The sentence is heard, and nothing is told."""
    for line in LOOKS:
        said = olga.calls(Crowded(" ".join(line)), 1)
        assert said.err == "ssh bastion: Too many are there.\n"
        assert (said.out, said.data) == ("", b"")
    assert looks(seen) == []


def test_each_stays_among_its_like(olga: Remote) -> None:
    """What reads a whole recording apart from what follows one at somebody's pace."""
    for line, terminal, stay in (
        ("export S-1", False, Stay.READING),
        ("replay S-1", False, Stay.READING),
        ("replay S-1", True, Stay.WATCHING),
        ("watch S-2", False, Stay.WATCHING),
    ):
        caller = Caller(line, terminal=terminal, keys="q", meanwhile=[enough])
        olga.calls(caller)
        assert caller.stays == [stay]


def test_exports_are_the_files_byte_by_byte(seen: Installation, olga: Remote) -> None:
    """Nothing but they on stdout; what was typed is the track as it lies on the disk."""
    said = olga("export", "S-1", "--raw", "stdout")
    assert (said.data, said.out, said.err) == (b"hello\r\n\x1b]0;title\x07", "", "")
    assert olga("export", "S-1", "--raw", "stderr").data == b"\xff\xfe oops\r\n"
    (track,) = seen.home.recordings.rglob("S-1.sent")
    assert olga("export", "S-1", "--raw", "sent").data == track.read_bytes()
    assert b"secret" not in track.read_bytes()
    assert olga("export", "S-1").data.startswith(b'{"version":2,')


def test_bytes_do_not_go_to_a_terminal(seen: Installation, olga: Remote) -> None:
    """Escape sequences and all: the sentence says what to do instead."""
    for raw in ((), ("--raw", "stdout"), ("--raw", "sent")):
        said = olga("export", "S-1", *raw, status=2, terminal=True)
        assert "leave out -t, and write > FILE." in said.err
        assert (said.out, said.data) == ("", b"")
    assert looks(seen) == []


def test_what_was_shown_is_harmless(olga: Remote) -> None:
    """Replayed, paced and not, and watched; a terminal is put right in the end."""
    for line, terminal in (("replay S-1", False), ("replay S-1", True), ("watch S-2", True)):
        leaves = [enough] if line.startswith("watch") else []
        said = olga.calls(Caller(line, terminal=terminal, meanwhile=leaves))
        assert ("hello" in said.out) != ("present" in said.out)
        assert "title" not in said.out
        assert ("\x1b[?1049l" in said.out) is terminal


async def test_a_torn_recording_gives_what_can_be_read(seen: Installation, olga: Remote) -> None:
    """Then a sentence, and status 1."""
    (cast,) = seen.home.recordings.rglob("S-1.cast")
    cast.write_bytes(cast.read_bytes().replace(b'"e', b'"e!!'))
    said = olga("export", "S-1", "--raw", "stdout", status=1)
    assert said.data == b"hello\r\n\x1b]0;title\x07"
    assert said.err.startswith("ssh bastion: S-1.cast, line 3:")


def test_a_recording_that_is_gone_is_a_sentence(seen: Installation, olga: Remote) -> None:
    """No traceback, whoever has removed it."""
    for found in seen.home.recordings.rglob("S-*.*"):
        found.unlink()
    for line in LOOKS:
        said = olga(*line, status=1)
        assert "missing" in said.err or "cannot be read" in said.err
        assert said.err.count("\n") == 1


def test_a_role_that_is_taken_away_ends_a_look(seen: Installation, services: Services) -> None:
    """While it waits: she is told, and sees no more."""

    def demote() -> None:
        seen("user", "set", "olga", "--role", "approver")

    caller = Caller("watch S-2", terminal=True, meanwhile=[demote])
    said = Remote(services, "olga").calls(caller, 1)
    assert said.err == "ssh bastion: Your roles have changed meanwhile: run it again.\n"
