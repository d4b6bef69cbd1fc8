"""Transcripts on the command line: lines with their times, as text and as JSON."""

import json
from dataclasses import replace

import pytest

from recorder import Archive, FileEvent, Kind, Size
from tests.cli.desks import Installation
from tests.cli.recordings import session

CHECK = "systemctl restart nginx; echo \x1b[31mred"


class Ticks:
    """A clock that is moved by hand."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def __call__(self) -> float:
        return self.seconds


@pytest.fixture
async def shown(furnished: Installation) -> Installation:
    """S-1 a shell, S-2 a command, S-3 by sftp, S-4 a forward."""
    ticks = Ticks()
    with furnished.services() as services:
        archive = Archive(
            services.home.recordings, services.index, recipients=[], limit=10**6, clock=ticks
        )
        async with archive.record(session(Kind.SHELL, None)) as recording:
            recording.said("bastion: recorded as S-1\r\n")
            recording.shown(b"$ ")
            ticks.seconds += 60
            recording.shown(b"ls\r\nnotes \x1b]0;title\x07\r\n$ ")
            ticks.seconds += 3600
            recording.resized(Size(100, 30))
            recording.shown(b"exit\r\n")
        async with archive.record(session(Kind.EXEC, CHECK)) as recording:
            recording.shown(b"\xe2\x80\xaeoops\n")
        async with archive.record(replace(session(Kind.SFTP, None))) as recording:
            recording.file(FileEvent("remove", b"/etc/motd", None, None, 0, None, "done"))
        async with archive.record(session(Kind.FORWARD, None)) as recording:
            recording.sent(b"opaque")
    return furnished


def test_a_transcript_tells_when_and_whose(shown: Installation) -> None:
    """Each line with its time; the bastion's own and the command line are marked."""
    assert shown("transcript", "S-1").out == (
        "[0:00:00] * bastion: recorded as S-1\n"
        "[0:01:00]   $ ls\n"
        "[0:01:00]   notes\n"
        "[1:01:00]   $ exit\n"
    )
    assert shown("transcript", "S-2").out == (
        "[0:00:00] $ systemctl restart nginx; echo \ufffd[31mred\n[0:00:00]   oops\n"
    )
    assert shown("transcript", "S-3").out == "[0:00:00] * remove /etc/motd\n"


def test_a_transcript_can_be_cut(shown: Installation) -> None:
    """From a point, until a point: what stood there then is told as it was."""
    assert "exit" not in shown("transcript", "S-1", "--until", "0:01:30").out
    assert shown("transcript", "S-1", "--from", "1h").out == "[1:01:00]   $ exit\n"
    assert shown("transcript", "S-1", "--until", "30s").out.endswith("[0:00:00]   $\n")
    assert "is not a point" in shown("transcript", "S-1", "--from", "x:y", status=2).err


def test_a_transcript_is_one_document(shown: Installation) -> None:
    """For programs; with nothing in it, too."""
    first, *_ = told = shown("transcript", "S-1", "--json").json
    assert first["place"] == "bastion"
    assert [each["offset"] for each in told] == [0, 60, 60, 3660]
    assert first["at"].endswith("Z")
    assert shown("transcript", "S-1", "--from", "9h", "--json").json == []


def test_what_has_no_text_is_said(shown: Installation) -> None:
    """A forward's content is not kept; a session that is not there is named."""
    assert "S-4 is a forward" in shown("transcript", "S-4").err
    assert "There is no session S-9" in shown("transcript", "S-9", status=1).err


def test_a_damaged_recording_is_told_as_far_as_it_goes(shown: Installation) -> None:
    """Then the mistake is named; the document of JSON is whole all the same."""
    (file,) = shown.home.recordings.glob("*/*/*/S-1.cast")
    kept = file.read_bytes().splitlines(keepends=True)
    file.write_bytes(b"".join(kept[:5]) + b"damaged\n")
    said = shown("transcript", "S-1", status=1)
    assert "[0:01:00]   $ ls\n" in said.out
    assert "line 6" in said.err
    assert json.loads(shown("transcript", "S-1", "--json", status=1).out)
