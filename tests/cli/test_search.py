"""Searching on the command line: what is found, how it is told, and that it is told of."""

import json
from collections.abc import Callable

import pytest

from bastion.app import Services
from recorder import Archive, Direction, EndReason, FileEvent, Kind
from recorder.indexing import Indexer
from tests.cli.desks import Installation, Remote
from tests.cli.recordings import session


class Ticks:
    """A clock that is moved by hand."""

    seconds = 0.0

    def __call__(self) -> float:
        return self.seconds


def index(services: Services) -> None:
    """What the service does beside serving."""
    indexer = Indexer(
        services.index,
        services.archive,
        services.texts,
        services.transcripts,
        clock=Ticks(),
    )
    while indexer.turn():
        pass


@pytest.fixture
async def shown(furnished: Installation) -> Installation:
    """S-1 a shell, S-2 a command with a great deal of output, S-3 by sftp: all indexed."""
    ticks = Ticks()
    with furnished.services() as services:
        archive = Archive(
            services.home.recordings, services.index, recipients=[], limit=10**7, clock=ticks
        )
        async with archive.record(session(Kind.SHELL, None)) as recording:
            ticks.seconds += 192.5
            recording.shown(b"db=> \x1b[31mDROP  TABLE\x1b[0m users; -- AKIAIOSFODNN7EXAMPLE\r\n")
        async with archive.record(session(Kind.EXEC, "grep -r TODO .")) as recording:
            recording.shown(b"".join(b"src/%d.c: TODO drop table %d\n" % (n, n) for n in range(50)))
            recording.shown(b"x" * 300 + b" needle " + b"y" * 300 + b"\n")
        async with archive.record(session(Kind.SFTP, None)) as recording:
            recording.file(
                FileEvent("get", b"/etc/shadow", None, Direction.READ, 9, "ab" * 32, "done")
            )
        index(services)
    return furnished


def test_a_line_is_found_with_where_to_look(shown: Installation) -> None:
    """Session, person, host, offset, and the line as it was on the screen."""
    said = shown("search", "drop table", "--kind", "shell")
    heading, line = said.out.splitlines()
    assert heading.split() == ["SESSION", "USER", "HOST", "OFFSET", "IN", "LINE"]
    assert line.split()[:5] == ["S-1", "alice", "web-1", "0:03:12", "screen"]
    assert line.endswith("db=> DROP  TABLE users; -- [redacted]")
    assert said.err == "Look at it: bastion-admin replay S-1 --from 0:03:12\n"
    with shown.services() as services:
        again = Remote(services, "olga")("replay", "S-1", "--from", "0:03:12")
    assert "DROP  TABLE" in again.out


def test_what_was_found_stands_out_on_a_terminal(shown: Installation) -> None:
    """And is text otherwise; of a long line, what is around it is shown."""
    with shown.services() as services:
        seen = Remote(services, "olga")("search", "users", terminal=True).out
    assert "\x1b[1;31musers\x1b[0m" in seen
    line = shown("search", "needle").out.splitlines()[1]
    assert f"…{'x' * 39} needle {'y' * 113}…" in line
    assert "\x1b" not in shown("search", "users", terminal=True).out


def test_commands_and_files_are_found_in_their_places(shown: Installation) -> None:
    """Which a list says."""
    (command,) = shown("search", "grep -r", "--json").json
    assert (command["session"], command["place"], command["offset"]) == ("S-2", "command", 0)
    (file,) = shown("search", "/etc/shad", "--json").json
    assert (file["session"], file["place"], file["spans"]) == ("S-3", "file", [[4, 13]])


def test_names_of_the_contract(shown: Installation) -> None:
    """One document; a list in CSV has the table's columns."""
    (hit,) = shown("search", "drop table", "--session", "S-1", "--json").json
    names = "session user host login grant kind at offset from place text spans"
    assert hit.keys() == set(names.split())
    assert (hit["from"], hit["offset"], hit["grant"]) == ("0:03:12", 192.5, "G-1")
    assert hit["at"].endswith("Z")
    assert shown("search", "drop", "--csv", "--limit", "1").out.count("\n") == 2
    assert shown("search", "no such thing", "--json").json == []


def test_of_each_session_some_lines_are_given(shown: Installation) -> None:
    """With how to have all; no more than the limit."""
    said = shown("search", "drop table", "--json")
    assert sorted(hit["session"] for hit in said.json) == ["S-1", *["S-2"] * 10]
    assert "S-2 has more of it: --session gives all of one." in said.err
    assert len(shown("search", "todo", "--session", "S-2", "--json").json) == 51
    few = shown("search", "todo", "--session", "S-2", "--limit", "5")
    assert "There are more such lines" in few.err


def test_words_may_come_without_quotes(shown: Installation) -> None:
    """As over SSH; what begins with a dash stands behind two."""
    assert len(shown("search", "drop", "table", "users;", "--json").json) == 1
    assert len(shown("search", "--json", "--", "-r", "TODO").json) == 1


def test_what_can_t_be_looked_for_is_said(shown: Installation) -> None:
    """Signs alone, too long a text, names that are not there."""
    assert "there is no letter and no digit in it" in shown("search", "$!", status=2).err
    assert "over 1000" in shown("search", "x" * 1001, status=2).err
    assert "Do you mean alice?" in shown("search", "x", "--user", "alcie", status=1).err
    assert shown("search", "x", "--host", "db-1").err == "No such lines.\n"
    assert shown("search", 'NEAR("a b" *) AND').err == "No such lines.\n"


def test_each_search_is_an_event(shown: Installation) -> None:
    """Who, for what, where, and how much was found; also where nothing was."""
    shown("search", "drop table", "--user", "alice", "--since", "2020-01-01T00:00Z", "--json")
    shown("search", "\x1b[2Jnothing", "--json")
    events = [json.loads(line) for line in shown("audit", "--json").out.splitlines()]
    nothing, found = [each for each in events if each["what"] == "recording.searched"]
    told = {"text": "drop table", "user": "alice", "since": "2020-01-01T00:00:00.000000Z"}
    assert found["details"].items() >= {**told, "hits": 11}.items()
    assert found["details"].keys() <= {*told, "hits", "after"}
    assert nothing["details"]["hits"] == 0
    assert "searched recordings for drop table: 11 lines" in shown("audit").out


async def test_what_was_not_searched_is_said(shown: Installation) -> None:
    """Sessions that nobody has indexed yet, one that can't be, one of which not all is there."""
    with shown.services() as services:
        for number in range(2):
            async with services.archive.record(session(Kind.EXEC, f"echo {number}")) as recording:
                recording.shown(b"new\n")
        (file,) = shown.home.recordings.glob("*/*/*/S-4.cast")
        file.write_bytes(file.read_bytes() + b"damaged\n")
        assert "Not searched yet: S-5, S-4." in shown("search", "new").err
        assert shown("search", "drop", "--session", "S-1").err.startswith("Look at it")
        async with services.archive.record(session(Kind.EXEC, "yes")) as recording:
            for _ in range(9):
                recording.shown((b"spam " * 600 + b"\n") * 333)
        index(services)
    said = shown("search", "new")
    assert "S-4 can't be searched: S-4.cast: a line is not JSON." in said.err
    assert "Not all was searched of S-6" in said.err


async def test_of_what_goes_on_it_is_said_that_the_newest_is_not_there(
    shown: Installation,
) -> None:
    """So that nobody takes a plain no for an answer."""
    with shown.services() as services:
        live = await services.archive.begin(session(Kind.EXEC, "make"))
        said = shown("search", "new", "--session", live.name)
        live.end(EndReason.CLOSED)
        await services.archive.finish(live)
    assert said.err == (
        "No such lines.\n"
        f"{live.name} goes on: what was shown in the last minute may not be searched yet.\n"
    )


def test_all_can_be_made_anew(shown: Installation) -> None:
    """From the recordings, while it is searched as before."""
    said = shown("reindex")
    assert said.err.startswith("The text index is made anew")
    assert len(shown("search", "users", "--json").json) == 1
    with shown.services() as services:
        assert services.texts.again(9) == [1, 2, 3]
        index(services)
        assert services.texts.again(9) == []
    assert len(shown("search", "users", "--json").json) == 1


def test_what_was_let_go_is_found_no_more(shown: Installation) -> None:
    """Its words are dropped with its recording."""
    with shown.services() as services:
        forget: Callable[[int], None] = services.texts.forget
        assert forget in services.pruning.removal._forget
        forget(1)
    assert shown("search", "users").err == "No such lines.\n"


@pytest.mark.parametrize("role", ["auditor", "admin"])
def test_auditors_search_over_ssh(shown: Installation, role: str) -> None:
    """The same verb, by words without quotes."""
    shown("user", "set", "olga", "--role", role)
    with shown.services() as services:
        said = Remote(services, "olga").typed("search DROP TABLE --kind shell")
        assert said.out.splitlines()[1].startswith("S-1")
        assert "Look at it: ssh bastion replay S-1 --from 0:03:12" in said.err
        assert "No such command" in Remote(services, "alice").typed("search x", 2).err
