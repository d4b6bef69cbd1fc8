"""The text index, in either database: what is kept is found, by whose it is and when."""

import sqlite3
import stat
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from recorder import IndexUnavailable, Kind, Line, Place, Session, Stored
from recorder.chunks import CHUNK, filled
from recorder.fts import SqliteTexts
from recorder.lexemes import lexemes, looked_for
from recorder.needle import Needle
from recorder.shared_texts import SharedTexts
from recorder.texts import MOST_OF_A_SESSION, Hit, Standing, State, Texts, Update, WantedLines
from tests import postgres
from tests.recorder.places import MORNING

ANYWHERE = WantedLines()
WHOLE = Standing(State.WHOLE)


def session(number: int, user: str = "alice", *, host: str = "web-1", hours: int = 0) -> Session:
    return Session(
        id=number,
        connection=number,
        user=user,
        grant=7,
        host=host,
        login="deploy",
        kind=Kind.SHELL,
        command=None,
        source="192.0.2.7",
        started_at=MORNING + timedelta(hours=hours),
        ended_at=None,
        end_reason=None,
        exit_status=None,
        exit_signal=None,
        bytes_in=0,
        bytes_out=0,
        recording=Stored("2026/11/23/S-1.cast"),
    )


def lines(*texts: str) -> list[Line]:
    """A line each second."""
    return [Line(float(number), text) for number, text in enumerate(texts)]


def whole(of: Session, *texts: str) -> Update:
    """All of a session."""
    return Update(of, WHOLE, list(filled(lines(*texts))))


@pytest.fixture
def on_file(tmp_path: Path) -> Iterator[SqliteTexts]:
    """One in a file."""
    made = SqliteTexts(tmp_path / "search.db")
    yield made
    made.close()


@pytest.fixture
def shared() -> Iterator[SharedTexts]:
    """One for several machines."""
    with postgres.recorders() as database:
        yield SharedTexts(database, "here")


@pytest.fixture(params=["on_file", "shared"])
def texts(request: pytest.FixtureRequest) -> Texts:
    """One of either kind: the same is found in both."""
    made: Texts = request.getfixturevalue(request.param)
    return made


def found(
    texts: Texts, text: str, wanted: WantedLines = ANYWHERE, limit: int = 100
) -> list[tuple[int, str]]:
    """Sessions and lines, in the order in which they are given."""
    hits: Sequence[Hit] = texts.find(Needle(text), wanted, limit=limit).hits
    return [(hit.session, hit.line.text) for hit in hits]


def test_a_line_is_found_with_its_time_and_place(texts: Texts) -> None:
    """And where in it."""
    told = [Line(192.5, "db=> DROP  TABLE users;"), Line(0, "psql app", Place.COMMAND)]
    texts.write([Update(session(31), WHOLE, [told])])
    (hit,) = texts.find(Needle("drop table"), ANYWHERE, limit=9).hits
    assert (hit.session, hit.line, hit.spans) == (31, told[0], ((5, 16),))
    assert hit.at == MORNING + timedelta(seconds=192.5)
    (command,) = texts.find(Needle("psql"), ANYWHERE, limit=9).hits
    assert command.line.place is Place.COMMAND


def test_it_is_narrowed(texts: Texts) -> None:
    """By whose session it is, on which host, as whom, by which grant, of which kind, and when."""
    texts.write(
        [
            whole(session(1, "alice", host="web-1"), "cat motd", "cat issue"),
            whole(session(2, "bob", host="web-2", hours=1), "cat motd"),
            whole(replace(session(3, hours=2), kind=Kind.EXEC, login="root", grant=8), "cat motd"),
        ]
    )

    def those(wanted: WantedLines) -> list[int]:
        return [number for number, _ in found(texts, "cat motd", wanted)]

    noon = MORNING + timedelta(hours=1)
    assert those(ANYWHERE) == [3, 2, 1]
    assert those(WantedLines(user="bob")) == [2]
    assert those(WantedLines(host="web-1", login="deploy")) == [1]
    assert those(WantedLines(login="root")) == those(WantedLines(grant=8)) == [3]
    assert those(WantedLines(kind=Kind.EXEC)) == those(WantedLines(session=3)) == [3]
    assert those(WantedLines(since=noon)) == [3, 2]
    assert those(WantedLines(until=noon)) == [1]
    assert those(WantedLines(since=noon, until=noon + timedelta(minutes=1))) == [2]
    assert those(WantedLines(session=99)) == those(WantedLines(user="nobody")) == []
    assert those(WantedLines(until=MORNING)) == those(WantedLines(since=noon + timedelta(9))) == []


def test_the_newest_lines_come_first(texts: Texts) -> None:
    """No more than were asked for; of each session some."""
    many = [f"error {number}" for number in range(50)]
    texts.write([whole(session(1), *many), whole(session(2, hours=1), *many)])
    told = texts.find(Needle("error"), ANYWHERE, limit=15)
    assert [hit.session for hit in told.hits] == [2] * MOST_OF_A_SESSION + [1] * 5
    assert told.hits[0].line.text == "error 49"
    assert (told.more, told.more_in) == (True, (2, 1))
    of_one = texts.find(Needle("error"), WantedLines(session=1), limit=100)
    assert (len(of_one.hits), of_one.more, of_one.more_in) == (50, False, ())


def test_words_of_two_lines_are_no_phrase(texts: Texts) -> None:
    """Nor are those of two chunks."""
    texts.write([whole(session(1), "DROP", "TABLE users", *["x" * 400] * 30, "drop", "table")])
    assert found(texts, "drop table") == []


def test_a_live_session_grows(texts: Texts) -> None:
    """Its tail is replaced each time; nothing is found twice, nor what is gone from the screen."""
    one, growing = session(1), Standing(State.GROWING)
    texts.write([Update(one, growing, tail=lines("$ sleep", "10 %"), anew=True)])
    assert found(texts, "10 %") == [(1, "10 %")]
    texts.write([Update(one, growing, [lines("$ sleep", "100 %")], lines("$ exit"))])
    assert (found(texts, "10 %"), found(texts, "sleep")) == ([], [(1, "$ sleep")])
    texts.write([Update(one, WHOLE, [], lines("$ exit", "logout"))])
    assert found(texts, "exit") == [(1, "$ exit")]
    assert texts.standings([1, 2]) == {1: WHOLE}


def test_what_is_forgotten_is_gone_for_good(on_file: SqliteTexts, tmp_path: Path) -> None:
    """From the answers at once, from the file when it was tidied up; and it does not come back."""
    texts = on_file
    secret = "supercalifragilistic"
    others = [whole(session(number), f"common words {number}") for number in range(2, 40)]
    texts.write([whole(session(1), secret, "common words"), *others])
    texts.forget(1)
    texts.forget(1)
    assert found(texts, secret) == []
    assert len(found(texts, "common words")) == 38
    texts.write([whole(session(1), secret)])
    assert found(texts, secret) == []
    while texts.tidy():
        pass
    texts.close()
    with sqlite3.connect(tmp_path / "search.db") as connection:
        assert connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0] == 0
        words = connection.execute("SELECT block FROM words_data").fetchall()
    connection.close()
    assert not any(secret.encode()[:12] in block for (block,) in words)
    assert secret.encode() not in (tmp_path / "search.db").read_bytes()


def test_all_is_made_anew_only_when_asked_for(texts: Texts) -> None:
    """Until then it is found as before; what is gone stays so."""
    failed = Standing(State.FAILED, "damaged", left_out=True)
    texts.write([whole(session(1), "one"), Update(session(2), failed, [lines("two")])])
    texts.forget(3)
    assert texts.again(9) == []
    texts.make_anew()
    assert texts.again(9) == [1, 2]
    assert found(texts, "one") == [(1, "one")]
    texts.write([Update(session(1), WHOLE, [lines("uno")], anew=True)])
    assert texts.again(9) == [2]
    assert (found(texts, "one"), found(texts, "uno")) == ([], [(1, "uno")])
    assert texts.between(1, 5) == {1: State.WHOLE, 2: State.AGAIN, 3: State.GONE}


def test_the_file_is_private(on_file: SqliteTexts, tmp_path: Path) -> None:
    """It holds what was shown; so do the files that SQLite has beside it."""
    texts = on_file
    assert found(texts, "anything") == []
    assert not list(tmp_path.iterdir())
    texts.write([whole(session(1), "secret")])
    modes = {stat.S_IMODE(file.stat().st_mode) for file in tmp_path.iterdir()}
    assert modes == {0o600}


def test_a_lost_file_is_made_anew(on_file: SqliteTexts, tmp_path: Path) -> None:
    """One that is damaged, removed, or of another version: it is said once, and then it works."""
    texts = on_file
    file = tmp_path / "search.db"
    texts.write([whole(session(1), "one")])
    file.unlink()
    with pytest.raises(IndexUnavailable, match="removed"):
        texts.write([whole(session(1), "one")])
    texts.write([whole(session(1), "one")])
    assert found(texts, "one") == [(1, "one")]
    texts.close()
    for left in tmp_path.iterdir():
        left.unlink()
    file.write_bytes(b"no database at all" * 1000)
    with pytest.raises(IndexUnavailable):
        texts.find(Needle("one"), ANYWHERE, limit=1)
    with pytest.raises(IndexUnavailable):
        texts.write([whole(session(1), "one")])
    texts.write([whole(session(1), "one")])
    assert found(texts, "one") == [(1, "one")]
    texts.close()
    with sqlite3.connect(file) as connection:
        connection.execute("PRAGMA user_version = 99")
    connection.close()
    with pytest.raises(IndexUnavailable, match="another version"):
        texts.find(Needle("one"), ANYWHERE, limit=1)
    texts.write([whole(session(2), "two")])
    assert found(texts, "two") == [(2, "two")]


@settings(
    max_examples=60,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(
    st.text(max_size=30),
    st.lists(st.text(max_size=40), max_size=4),
    st.sampled_from(['"', "NEAR(a b)", "a AND b", "text : x", "^a", "a*", "{x}: y", "a + b", "-a"]),
)
def test_a_search_never_raises(texts: Texts, text: str, shown: list[str], syntax: str) -> None:
    """Whatever is looked for: nothing of it is taken for the language of the index."""
    number = 1 + max((hit for hit, _ in found(texts, "marker", limit=1)), default=0)
    kept = [each.text for each in lines(*shown) if each.text.isprintable() and each.text.strip()]
    texts.write([whole(session(number), f"marker {number}", syntax, *kept)])
    assert (
        (number, syntax) in found(texts, syntax.strip("*"))
        if any(c.isalnum() for c in syntax)
        else True
    )
    for each in (text, f'{text}"', f"{text}*", *kept):
        try:
            needle = Needle(each)
        except ValueError:
            continue
        assert isinstance(texts.find(needle, ANYWHERE, limit=1000).hits, list)


@settings(
    max_examples=60,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(
    st.lists(
        st.text(st.sampled_from("abß1é日 _-/.\"'*:é"), min_size=1, max_size=30),
        min_size=1,
        max_size=6,
    ),
    st.data(),
)
def test_what_was_shown_is_found_by_its_words(
    texts: Texts, shown: list[str], data: st.DataObject
) -> None:
    """From the beginning of any word on."""
    texts.forget(1)
    moment = data.draw(st.integers(0, 10**6))
    texts.write([whole(session(2 + moment), *(line.rstrip() or "x" for line in shown))])
    line = data.draw(st.sampled_from(shown))
    starts = [
        n for n, c in enumerate(line) if c.isalnum() and (n == 0 or not line[n - 1].isalnum())
    ]
    if not starts:
        return
    part = line[data.draw(st.sampled_from(starts)) :].strip()
    told = found(texts, part, WantedLines(session=2 + moment), limit=100)
    assert (2 + moment, line.rstrip()) in told


def test_times_are_those_of_the_lines(texts: Texts) -> None:
    """Also in a session that goes on for days."""
    day = 86_400.0
    told = [Line(day * number, f"backup {number}") for number in range(9)]
    texts.write([Update(session(1), WHOLE, list(filled(told)))])
    since = MORNING + timedelta(days=3)
    hits = texts.find(
        Needle("backup"), WantedLines(since=since, until=since + timedelta(2)), limit=9
    )
    assert [hit.line.text for hit in hits.hits] == ["backup 4", "backup 3"]
    assert hits.hits[-1].at == since


def test_too_long_a_search_says_how_far_it_came(
    texts: Texts, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So that it can go on from there."""
    monkeypatch.setattr("recorder.sieve.LOOKED_AT", 5)
    ordered = [whole(session(number, hours=number), "rm; x") for number in range(1, 20)]
    texts.write(ordered)
    told = texts.find(Needle("rm -x"), ANYWHERE, limit=9)
    assert told.hits == []
    assert told.back_to == MORNING + timedelta(hours=15)
    assert isinstance(told.back_to, datetime)


def test_chunks_hold_what_they_can() -> None:
    """The last one may have room for more."""
    chunks = list(filled(lines(*["x" * 100] * 100)))
    assert sum(map(len, chunks)) == 100
    assert all(sum(len(line.text) for line in chunk) == CHUNK for chunk in chunks[:-1])


def test_what_is_forgotten_is_forgotten_by_all_machines(shared: SharedTexts) -> None:
    """From the answers at once, and it does not come back."""
    shared.write([whole(session(1), "secret"), whole(session(2), "common")])
    shared.forget(1)
    shared.forget(1)
    shared.forget(3)
    shared.write([whole(session(1), "secret")])
    assert found(shared, "secret") == []
    assert shared.between(1, 3) == {1: State.GONE, 2: State.WHOLE, 3: State.GONE}
    assert not shared.tidy()


def test_each_machine_makes_its_own_anew() -> None:
    """Who has the recordings; all are found by all meanwhile."""
    with postgres.recorders() as database:
        here, there = (SharedTexts(database, node) for node in ("here", "there"))
        here.write([whole(session(1), "one")])
        there.write([whole(session(2), "two")])
        assert found(here, "two") == [(2, "two")]
        here.make_anew()
        assert (here.again(9), there.again(9)) == ([1], [2])


def test_who_takes_a_session_over_makes_it_anew(texts: Texts) -> None:
    """Whether anything was made of it before or not; but for what was let go."""
    texts.write([whole(session(1), "one")])
    texts.forget(2)
    for number in (1, 2, 3):
        texts.take_over(number)
    assert texts.between(1, 3) == {1: State.AGAIN, 2: State.GONE, 3: State.AGAIN}
    assert texts.again(9) == [1, 3]
    assert texts.is_made_here(3)


def test_a_lost_machines_transcript_is_anothers_to_make() -> None:
    """From when that one has its recording; what it had made is found meanwhile."""
    with postgres.recorders() as database:
        here, there = (SharedTexts(database, node) for node in ("here", "there"))
        there.write([whole(session(1), "one")])
        assert not here.is_made_here(1)
        here.take_over(1)
        assert (here.again(9), there.again(9)) == ([1], [])
        assert (here.is_made_here(1), there.is_made_here(1)) == (True, False)
        assert found(here, "one") == [(1, "one")]


def test_a_phrase_is_looked_for_by_its_pairs() -> None:
    """The last word may go on; of a line no other line is the end."""
    assert lexemes(["DROP table users", "x"]) == {
        *("drop", "table", "users", "x"),
        *("drop table", "table users"),
    }
    assert looked_for(Needle("drop 'Table' use"), ["abc"]) == "'drop table' & 'table use':* & 'abc'"
    assert looked_for(Needle("-r")) == "'r'"
