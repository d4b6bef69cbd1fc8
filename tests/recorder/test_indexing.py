"""Indexing: what was recorded is found, while it grows and later, whatever else is broken."""

import os
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import pytest

from bastion.store.postgres import Postgres
from recorder import (
    Archive,
    Direction,
    FileEvent,
    Index,
    Kind,
    Reader,
    Recording,
    Session,
    Transcripts,
)
from recorder.database import Database
from recorder.errors import IndexUnavailable, RecordingFailed
from recorder.fts import SqliteTexts
from recorder.indexing import AGAIN, PIECE, Indexer
from recorder.needle import Needle
from recorder.shared_texts import SharedTexts
from recorder.texts import State, Texts, Update, WantedLines
from tests.postgres import on_sqlite
from tests.recorder.places import Clock, exec_of, shell


@pytest.fixture
def texts(tmp_path: Path, database: Database) -> Iterator[Texts]:
    """Of the kind that the database has."""
    made: Texts = SqliteTexts(tmp_path / "search.db")
    if isinstance(database, Postgres):
        made = SharedTexts(database, "here")
    yield made
    made.close()


class Bench:
    """An indexer, and what it has to do with."""

    def __init__(self, index: Index, archive: Archive, texts: Texts, clock: Clock) -> None:
        self.index = index
        self.archive = archive
        self.texts = texts
        self.clock = clock
        self.rests = 0
        self.shows = True
        self.mine: Callable[[Session], bool] = lambda _: True
        self.begin()

    def begin(self) -> None:
        """Another process begins."""
        self.indexer = Indexer(
            self.index,
            self.archive,
            self.texts,
            Transcripts(),
            clock=self.clock,
            rest=self._rest,
            shows=lambda _: self.shows,
            mine=self._is_mine,
        )

    def work(self) -> None:
        """All that there is to do at this moment."""
        while self.indexer.turn():
            pass

    def found(self, text: str) -> list[tuple[int, str]]:
        """Which sessions and lines."""
        hits = self.texts.find(Needle(text), WantedLines(), limit=100).hits
        return [(hit.session, hit.line.text) for hit in hits]

    def state(self, session: int) -> State | None:
        """How far a session is."""
        standing = self.texts.standings([session]).get(session)
        return None if standing is None else standing.state

    def later(self, seconds: float = AGAIN) -> None:
        """Time goes by, and it works again."""
        self.clock.seconds += seconds
        self.work()

    def _is_mine(self, session: Session) -> bool:
        return self.mine(session)

    def _rest(self) -> None:
        self.rests += 1


@pytest.fixture
def bench(index: Index, archive: Archive, texts: Texts, clock: Clock) -> Bench:
    return Bench(index, archive, texts, clock)


async def shown(archive: Archive, text: bytes, command: str = "uname -a") -> Recording:
    """A command that has shown it, and is over."""
    async with archive.record(exec_of(command)) as recording:
        recording.shown(text)
    return recording


async def test_what_is_over_is_found(bench: Bench, archive: Archive) -> None:
    """What it showed, the command, the files that went over."""
    await shown(archive, b"Linux web-1\n", "uname --all")
    async with archive.record(replace(exec_of(), kind=Kind.SFTP, command=None)) as sftp:
        sftp.file(FileEvent("get", b"/etc/shadow", None, Direction.READ, 9, "ab" * 32, "done"))
    bench.work()
    assert bench.found("linux") == [(1, "Linux web-1")]
    assert bench.found("--all") == [(1, "uname --all")]
    assert bench.found("/etc/shad") == [(2, f"get /etc/shadow 9 bytes sha256 {'ab' * 32}")]
    assert (bench.state(1), bench.state(2)) == (State.WHOLE, State.WHOLE)


async def test_each_machine_makes_what_it_has_recorded(
    bench: Bench, archive: Archive, index: Index, texts: Texts, clock: Clock
) -> None:
    """They share what is searched; nobody is told that another's recording is missing."""
    await shown(archive, b"here\n")
    await shown(archive, b"there\n")
    other = Bench(index, archive, texts, clock)
    bench.mine, other.mine = lambda session: session.id == 1, lambda session: session.id == 2
    bench.work()
    bench.later()
    assert (bench.state(1), bench.state(2)) == (State.WHOLE, None)
    other.work()
    assert bench.found("there") == other.found("there") == [(2, "there")]
    assert bench.found("here") == [(1, "here")]


async def test_a_live_session_is_found_as_far_as_it_came(
    bench: Bench, archive: Archive, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What stands on its screen too; it is read on from where it was left."""
    opened: list[int] = []
    async with archive.record(shell()) as recording:
        recording.shown(b"$ psql\r\n")
        bench.work()
        assert bench.found("psql") == [(1, "$ psql")]
        recording.shown(b"db=> DROP TABLE users;\r\n" + b"row\r\n" * 100)
        bench.work()
        assert bench.found("drop table") == []  # it is not due yet
        bench.later()
        assert bench.found("drop table") == [(1, "db=> DROP TABLE users;")]
        assert bench.state(1) is State.GROWING
        monkeypatch.setattr("recorder.reader.Reader.header", lambda _: opened.append(1))
        recording.shown(b"$ exit\r\n")
    bench.work()
    assert (bench.found("exit"), bench.state(1)) == ([(1, "$ exit")], State.WHOLE)
    assert opened == []


async def test_an_idle_session_is_not_written_again(bench: Bench, archive: Archive) -> None:
    """However often it is looked at."""
    written: list[Update] = []
    write = bench.texts.write

    def counted(updates: list[Update]) -> None:
        written.extend(updates)
        write(updates)

    bench.texts.write = counted  # type: ignore[method-assign,assignment]
    async with archive.record(shell()) as recording:
        recording.shown(b"$ ")
        for _ in range(5):
            bench.later()
        assert len(written) == 1


async def test_it_goes_on_after_an_end(bench: Bench, archive: Archive) -> None:
    """What was begun is made anew, what was missed is made up for, what was done stays."""
    await shown(archive, b"first\n")
    async with archive.record(shell()) as recording:
        recording.shown(b"$ live\r\n")
        bench.work()
        bench.begin()
        await shown(archive, b"missed\n")
        recording.shown(b"more\r\n")
        bench.work()
        assert bench.found("live") == [(2, "$ live")]
        assert bench.found("more") == [(2, "more")]
    bench.begin()
    bench.work()
    for text, hit in (("first", (1, "first")), ("missed", (3, "missed")), ("live", (2, "$ live"))):
        assert bench.found(text) == [hit]
    assert {bench.state(number) for number in (1, 2, 3)} == {State.WHOLE}


async def test_more_live_ones_than_can_be_followed_keep_nobody_busy(
    bench: Bench, archive: Archive, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Those beyond wait for their end, without being asked for; what is over waits for none."""
    monkeypatch.setattr("recorder.indexing.FOLLOWED", 2)
    live = [await archive.begin(exec_of("tail -f")) for _ in range(3)]
    bench.work()
    assert [bench.state(each.session) for each in live] == [State.GROWING, State.GROWING, None]
    await shown(archive, b"short\n")
    await archive.finish(live[2])
    bench.later()
    assert (bench.state(live[2].session), bench.found("short")) == (State.WHOLE, [(4, "short")])
    for each in live[:2]:
        await archive.finish(each)


async def test_one_that_can_t_be_read_keeps_no_other(bench: Bench, archive: Archive) -> None:
    """Damaged or missing: marked with the reason, and not tried again until all is."""
    damaged, missing = [await shown(archive, b"one\n" * 3) for _ in range(2)]
    await shown(archive, b"sound\n")
    kept = damaged.path.read_bytes().splitlines(keepends=True)
    damaged.path.write_bytes(b"".join([*kept[:2], b"damaged\n", *kept[2:]]))
    missing.path.unlink()
    for _ in range(4):
        bench.later()
    assert bench.found("sound") == [(3, "sound")]
    assert bench.found("one") == [(1, "one")] * 3
    standings = bench.texts.standings([1, 2, 3])
    assert "is not JSON" in (standings[1].reason or "")
    assert "missing" in (standings[2].reason or "")
    damaged.path.write_bytes(b"".join(kept))
    bench.later()
    assert bench.state(1) is State.FAILED
    bench.texts.make_anew()
    bench.work()
    assert bench.state(1) is State.WHOLE


async def test_a_mistake_of_ours_keeps_no_other(
    bench: Bench, archive: Archive, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is logged, and the session is marked."""
    await shown(archive, b"poison\n")
    await shown(archive, b"sound\n")

    def broken(text: str) -> str:
        if "poison" in text:
            raise KeyError(text)
        return text

    bench.indexer._transcripts = Transcripts(broken)
    bench.work()
    assert (bench.state(1), bench.state(2)) == (State.FAILED, State.WHOLE)


async def test_a_long_recording_keeps_no_short_one_waiting(bench: Bench, archive: Archive) -> None:
    """They are read in pieces, one after the other."""
    async with archive.record(exec_of("yes")) as long:
        for number in range(60):
            long.shown(f"{number} {'spam ' * 100}\n".encode() * 200)
    bench.indexer.turn()
    await shown(archive, b"short\n")
    bench.indexer.turn()
    assert long.path.stat().st_size > 20 * PIECE
    assert (bench.state(1), bench.state(2)) == (State.GROWING, State.WHOLE)
    bench.work()
    assert bench.state(1) is State.WHOLE
    assert bench.rests > 20


async def test_many_long_ones_are_not_all_open_at_once(
    bench: Bench, archive: Archive, tmp_path: Path
) -> None:
    """A burst of floods takes sixteen descriptors, and what is short behind it is found soon."""
    await shown(archive, b"first\n")
    bench.work()
    for _ in range(24):
        async with archive.record(exec_of("yes")) as long:
            for _ in range(6):
                long.shown(f"{'spam ' * 200}\n".encode() * 64)
    await shown(archive, b"last\n")
    most, turns = 0, 0
    while bench.indexer.turn():
        most, turns = max(most, still_open(tmp_path)), turns + 1
        bench.clock.seconds += 0.1
        if turns == 6:
            assert bench.state(26) is State.WHOLE
    assert 8 <= most <= 16
    assert {bench.state(number) for number in range(1, 27)} == {State.WHOLE}
    assert still_open(tmp_path) == 0


def still_open(place: Path) -> int:
    """How many recordings below `place` this process has open."""
    links = []
    for entry in Path("/proc/self/fd").iterdir():
        with suppress(FileNotFoundError):
            links.append(entry.readlink())
    return sum(link.suffix == ".cast" and link.is_relative_to(place) for link in links)


@on_sqlite("its text index is a file, which somebody may remove")
async def test_what_could_not_be_kept_is_made_up_for(
    bench: Bench, archive: Archive, tmp_path: Path
) -> None:
    """The index was removed: nothing is missing later, and nothing is there twice."""
    await shown(archive, b"first\n")
    async with archive.record(shell()) as recording:
        recording.shown(b"$ one\r\n")
        bench.work()
        (tmp_path / "search.db").unlink()
        recording.shown(b"$ two\r\n")
        bench.clock.seconds += AGAIN
        with pytest.raises(IndexUnavailable):
            bench.work()
        bench.work()
        for text, hit in (("first", (1, "first")), ("one", (2, "$ one")), ("two", (2, "$ two"))):
            assert bench.found(text) == [hit]


async def test_a_turn_that_is_broken_off_loses_nothing(bench: Bench, archive: Archive) -> None:
    """As at the end of the service, in the middle of a recording."""

    class EndError(Exception):
        pass

    async with archive.record(exec_of("yes")) as recording:
        for number in range(3000):
            recording.shown(f"line {number}\n".encode())
    rests = 0

    def rest() -> None:
        nonlocal rests
        rests += 1
        if rests == 2:
            raise EndError

    bench.indexer._rest = rest
    bench.indexer._recordings = _Restless(archive)
    with pytest.raises(EndError):
        bench.work()
    bench.work()
    told = bench.texts.find(Needle("line 2999"), WantedLines(session=1), limit=9).hits
    assert [hit.line.text for hit in told] == ["line 2999"]


class _Reader(Reader):
    """Rests after each event."""

    def rest(self) -> None:
        self._between()


class _Restless:
    def __init__(self, archive: Archive) -> None:
        self._archive = archive

    def open(self, session: Session, between: Callable[[], object] = lambda: None) -> Reader:
        return _Reader(self._archive.open(session).path, between)


async def test_what_was_let_go_is_not_looked_for(bench: Bench, archive: Archive) -> None:
    """It is gone for good, also when all is made anew."""
    await shown(archive, b"secret\n")
    bench.work()
    bench.texts.forget(1)
    bench.texts.make_anew()
    bench.begin()
    bench.work()
    assert (bench.found("secret"), bench.state(1)) == ([], State.GONE)


async def test_what_is_encrypted_has_no_plain_copy(bench: Bench, archive: Archive) -> None:
    """Of such a session its command and its files are found, as its rows have them."""
    bench.shows = False
    bench.begin()
    async with archive.record(exec_of("cat token.txt")) as recording:
        recording.shown(b"secret\n")
        bench.work()
        assert (bench.found("token"), bench.state(1)) == ([(1, "cat token.txt")], State.GROWING)
    async with archive.record(replace(exec_of(), kind=Kind.SFTP, command=None)) as sftp:
        sftp.file(FileEvent("get", b"/etc/shadow", None, Direction.READ, 9, "ab" * 32, "done"))
    bench.later()
    assert bench.found("token") == [(1, "cat token.txt")]
    assert [number for number, _ in bench.found("/etc/shadow")] == [2]
    assert bench.found("secret") == []
    assert (bench.state(1), bench.state(2)) == (State.CLOSED, State.CLOSED)


async def test_a_session_that_could_not_be_recorded_is_searched_too(
    bench: Bench, archive: Archive
) -> None:
    """As far as it came."""
    recording = await archive.begin(exec_of())
    recording.shown(b"before\n")
    os.close(recording._cast._descriptor)
    recording._cast._descriptor = os.open("/dev/full", os.O_WRONLY)
    with pytest.raises(RecordingFailed):
        await archive.finish(recording)
    bench.work()
    assert bench.found("before") == [(1, "before")]
