"""Judging the log: what was changed, taken away or added is found, and named; nothing else is."""

import re
import sqlite3
from pathlib import Path

import orjson
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bastion.chains import EVENT_COLUMNS, Wrong
from bastion.events import START, Chain, Head, following
from bastion.verdict import Verdict
from tests.bastion.forger import add, chains, rehash, renumber
from tests.bastion.logs import Log, happened, made_log
from tests.bastion.worlds import NOW


@pytest.fixture(scope="module")
def pristine(tmp_path_factory: pytest.TempPathFactory) -> Log:
    """A log that nobody touched; not to be touched."""
    return made_log(tmp_path_factory.mktemp("log") / "bastion.db")


@pytest.fixture
def log(pristine: Log, tmp_path: Path) -> Log:
    """A copy of it, to be forged."""
    return pristine.copy(tmp_path / "bastion.db")


def found(verdict: Verdict) -> set[tuple[Wrong, str]]:
    """What was found, and where."""
    return {(finding.wrong, finding.where) for finding in verdict.findings}


def test_nothing_is_found_where_nothing_was_done(pristine: Log) -> None:
    """And it is said how far a checkpoint speaks for it."""
    verdict = pristine.verdict()
    assert verdict.findings == ()
    assert (verdict.events, verdict.chains, verdict.checkpoints) == (27, 3, 3)
    assert verdict.sealed is not None
    assert (verdict.sealed.number, verdict.sealed.events) == (3, 22)
    assert (verdict.unsealed, verdict.anchored) == (5, 0)


def test_an_empty_log_is_sound(tmp_path: Path) -> None:
    """No event, no chain, no checkpoint."""
    log = Log(tmp_path / "bastion.db")
    with log.life(migrate=True) as journal:
        log.seal(journal)
    verdict = log.verdict()
    assert verdict.sound
    assert (verdict.events, verdict.checkpoints, verdict.sealed) == (0, 0, None)


# The database itself


@pytest.mark.parametrize("table", ["events", "checkpoints"])
@pytest.mark.parametrize(
    "act",
    [
        "UPDATE {} SET id = id + 100",
        "DELETE FROM {}",
        "INSERT OR REPLACE INTO {0} SELECT * FROM {0} WHERE id = 2",
    ],
)
def test_the_database_refuses_to_change_and_to_forget(log: Log, table: str, act: str) -> None:
    """Also for somebody who has the file and a client."""
    raw = sqlite3.connect(log.file)
    with pytest.raises(sqlite3.IntegrityError, match="are never changed"):
        raw.execute(act.format(table))
    raw.close()


@pytest.mark.parametrize("trigger", ["events_no_update", "checkpoints_no_delete"])
def test_a_guard_that_is_gone_is_found(log: Log, trigger: str) -> None:
    """So is one that was replaced by another of the same name."""
    raw = sqlite3.connect(log.file)
    raw.execute(f"DROP TRIGGER {trigger}")
    where = (Wrong.OPEN, f"table {trigger.partition('_')[0]}")
    assert found(log.verdict()) == {where}
    table, _, act = trigger.split("_")
    raw.execute(f"CREATE TRIGGER {trigger} BEFORE {act} ON {table} BEGIN SELECT 1; END")
    raw.close()
    assert found(log.verdict()) == {where}


# One bit of one column


def spoilt(value: object, bit: int) -> object:
    """The value with one bit turned; nothing becomes something."""
    if value is None:
        return "x" if bit % 2 else 1
    if isinstance(value, int):
        return value ^ (1 << (bit % 40))
    assert isinstance(value, str)
    if not value:
        return "x"
    raw = bytearray(value.encode())
    raw[bit // 8 % len(raw)] ^= 1 << (bit % 8)
    return bytes(raw)


COLUMNS = [("events", name, 27) for name in EVENT_COLUMNS]
COLUMNS += [("checkpoints", name, 3) for name in ("id", "at", "body", "signature")]
COLUMNS += [("heads", name, 3) for name in ("node", "boot", "seq", "hash", "sealed")]


@pytest.mark.parametrize(("table", "column", "rows"), COLUMNS, ids=str)
@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_one_bit_is_found(  # noqa: PLR0917 (fixtures)
    pristine: Log, tmp_path: Path, table: str, column: str, rows: int, data: st.DataObject
) -> None:
    """Of any column of any row; the finding names it, and there is no traceback."""
    row, bit = data.draw(st.integers(0, rows - 1)), data.draw(st.integers(0, 2**14))
    log = pristine.copy(tmp_path / "bastion.db")
    with log.forged() as raw:
        one = f'SELECT rowid, "{column}" FROM {table} ORDER BY rowid LIMIT 1 OFFSET ?'  # noqa: S608
        rowid, old = raw.execute(one, (row,)).fetchone()
        new = spoilt(old, bit)
        cast = "CAST(? AS TEXT)" if isinstance(new, bytes) else "?"
        try:
            raw.execute(f'UPDATE {table} SET "{column}" = {cast} WHERE rowid = ?', (new, rowid))  # noqa: S608
        except sqlite3.IntegrityError:
            return  # it would have been two rows with one number
    verdict = log.verdict()
    assert not verdict.sound, (table, column, rowid, old, new)
    if table == "events" and column != "id":
        assert f"event {rowid}" in {finding.where for finding in verdict.findings}
    if table == "checkpoints" and column != "id":
        assert f"checkpoint {rowid}" in {finding.where for finding in verdict.findings}


@pytest.mark.parametrize("column", EVENT_COLUMNS[1:])
@pytest.mark.parametrize(
    "value",
    [None, b"\xff\xfe", b"", 1.5, 7, "7", "", "x" * 100_000, b"\xff", "é", 2**62],
    ids=lambda value: ascii(value)[:12],
)
def test_whatever_stands_in_a_row_is_a_finding(log: Log, column: str, value: object) -> None:
    """Other types, no UTF-8, nothing: never an error."""
    with log.forged() as raw:
        (old,) = raw.execute(f'SELECT "{column}" FROM events WHERE id = 12').fetchone()  # noqa: S608
        try:
            raw.execute(f'UPDATE events SET "{column}" = ? WHERE id = 12', (value,))  # noqa: S608
        except sqlite3.IntegrityError:
            return
        (new,) = raw.execute(f'SELECT "{column}" FROM events WHERE id = 12').fetchone()  # noqa: S608
    if (old, type(old)) != (new, type(new)):
        assert {where for _, where in found(log.verdict())} == {"event 12"}


def test_text_that_is_no_utf8_is_one_finding_among_others(log: Log) -> None:
    """What comes after it is judged all the same."""
    with log.forged() as raw:
        raw.execute("UPDATE events SET why = CAST(x'ff41' AS TEXT) WHERE id = 4")
        raw.execute("UPDATE events SET why = CAST(x'fe41' AS TEXT) WHERE id = 14")
        raw.execute("UPDATE events SET why = 'another' WHERE id = 24")
        raw.execute("UPDATE heads SET node = CAST(x'ff41' AS TEXT) WHERE seq = 8")
    where = {where for _, where in found(log.verdict())}
    assert {"event 4", "event 14", "event 24"} < where


def test_writing_the_same_otherwise_is_a_change(log: Log) -> None:
    """A blank in the details, another form of the time: it is not what was hashed."""
    with log.forged() as raw:
        raw.execute("UPDATE events SET details = replace(details, ':', ': ') WHERE id = 3")
        raw.execute("UPDATE events SET at = replace(at, ' ', 'T') WHERE id = 5")
        raw.execute("UPDATE checkpoints SET signature = signature || char(10) WHERE id = 2")
    assert {where for _, where in found(log.verdict())} == {"event 3", "event 5", "checkpoint 2"}


def test_a_row_that_nobody_can_read_is_named(log: Log) -> None:
    """With what can't be read in it."""
    with log.forged() as raw:
        raw.execute("UPDATE events SET what = 'coffee.made' WHERE id = 3")
        raw.execute("UPDATE events SET details = '{' WHERE id = 4")
        raw.execute("UPDATE events SET at = '2026-13-99 99:99:99.000000' WHERE id = 9")
    sentences = [finding.sentence for finding in log.verdict().findings]
    assert sentences == [
        "Event 3 was changed: 'coffee.made' is nothing that can happen.",
        "Event 4 was changed: its details are not JSON.",
        "Event 9 was changed: '2026-13-99 99:99:99.000000' is not a time.",
    ]


def test_what_fits_its_hash_and_can_not_be_read_is_found_too(log: Log) -> None:
    """Somebody made the hash anew."""
    with log.forged() as raw:
        raw.execute("UPDATE events SET what = 'coffee.made' WHERE id = 27")
        rehash(raw, 27)
    assert (Wrong.UNREADABLE, "event 27") in found(log.verdict())


# Rows that are gone, added or moved


@pytest.mark.parametrize("number", range(1, 28))
def test_one_event_that_is_gone_is_named(log: Log, number: int) -> None:
    """At the beginning, in the middle, at the end of the log or of a chain."""
    with log.forged() as raw:
        raw.execute("DELETE FROM events WHERE id = ?", (number,))
    verdict = log.verdict()
    assert {finding.wrong for finding in verdict.findings} == {Wrong.MISSING}
    if number != 27:
        assert {where for _, where in found(verdict)} == {f"event {number}"}
    else:
        (finding,) = verdict.findings
        assert re.search(r"number 8 is missing: its head knows of it", finding.sentence)


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.sets(st.integers(1, 27), min_size=1))
def test_any_events_that_are_gone_are_found(
    pristine: Log, tmp_path: Path, numbers: set[int]
) -> None:
    """Each of those before the last one that is left is named."""
    log = pristine.copy(tmp_path / "bastion.db")
    with log.forged() as raw:
        raw.executemany("DELETE FROM events WHERE id = ?", [(number,) for number in numbers])
    verdict = log.verdict()
    named = set()
    for finding in verdict.findings:
        ends = [int(number) for number in re.findall(r"\d+", finding.where)]
        if finding.where.startswith("event") and finding.wrong is Wrong.MISSING:
            named |= set(range(ends[0], ends[-1] + 1))
    assert not verdict.sound
    assert numbers - {23, 24, 25, 26, 27} <= named <= numbers


@pytest.mark.parametrize("keep", [22, 16, 10, 5, 0])
def test_a_tail_that_is_cut_with_its_heads_is_found_by_checkpoints(log: Log, keep: int) -> None:
    """As far as the newest checkpoint knew of it, by number."""
    with log.forged() as raw:
        raw.execute("DELETE FROM events WHERE id > ?", (keep,))
        raw.execute("DELETE FROM heads")
        raw.execute(
            "INSERT INTO heads SELECT node, boot, seq, hash, "
            "CASE WHEN seq > 8 THEN 8 ELSE seq END FROM events "
            "WHERE id IN (SELECT max(id) FROM events GROUP BY node, boot)"
        )
    verdict = log.verdict()
    if keep == 22:  # nothing but these five events said that they had been
        assert verdict.unsealed == 0
    else:
        known = {16: 22, 10: 16, 5: 10, 0: 10}[keep]
        gone = f"events {keep + 1} to {known}"
        assert (Wrong.MISSING, gone) in found(verdict)


def test_a_chain_that_vanished_is_known_to_a_checkpoint(log: Log) -> None:
    """Though its head is gone too, and the numbers were mended and hashed anew."""
    with log.forged() as raw:
        third = chains(raw)[2]
        raw.execute("DELETE FROM events WHERE boot = ?", (third,))
        raw.execute("DELETE FROM heads WHERE boot = ?", (third,))
        renumber(raw)
    verdict = log.verdict()
    assert any(third in finding.where for finding in verdict.findings)


def test_a_chain_that_vanished_is_known_to_a_later_one(tmp_path: Path) -> None:
    """Without any checkpoint: a chain says which event was the newest when it began."""
    log = Log(tmp_path / "bastion.db")
    with log.life(migrate=True) as first, log.life() as second, log.life() as third:
        log.tell(first, 2)
        log.tell(second, 2)
        log.tell(third, 2)
    with log.forged() as raw:
        gone = chains(raw)[1]
        raw.execute("DELETE FROM events WHERE boot = ?", (gone,))
        raw.execute("DELETE FROM heads WHERE boot = ?", (gone,))
        renumber(raw)
    assert not log.verdict().sound


def test_two_events_that_changed_places_are_found(log: Log) -> None:
    """Their numbers, or all but their numbers."""
    with log.forged() as raw:
        raw.execute("UPDATE events SET id = 100 WHERE id = 3")
        raw.execute("UPDATE events SET id = 3 WHERE id = 4")
        raw.execute("UPDATE events SET id = 4 WHERE id = 100")
    assert {(Wrong.CHANGED, "event 3"), (Wrong.CHANGED, "event 4")} <= found(log.verdict())


@pytest.mark.parametrize("headed", [False, True])
@pytest.mark.parametrize("own_chain", [False, True])
def test_an_event_that_was_added_is_found(log: Log, *, headed: bool, own_chain: bool) -> None:
    """Even one that fits its chain, unless its maker moved the head too: then only that it is
    under no checkpoint is known."""
    with log.forged() as raw:
        boot = chains(raw)[0]
        head = raw.execute(
            "SELECT node, boot, seq, hash FROM heads WHERE boot = ?", (boot,)
        ).fetchone()
        chain = Chain(head[0], "forged" if own_chain else boot)
        before = None if own_chain else Head(chain, head[2], head[3])
        (last,) = raw.execute("SELECT hash FROM events WHERE id = 27").fetchone()
        event = following(28, chain, before, happened(0), NOW, after=(27, last))
        add(raw, event)
        if headed:
            raw.execute(
                "INSERT OR REPLACE INTO heads VALUES (?, ?, ?, ?, ?)",
                (chain.node, chain.boot, event.seq, event.hash, 0 if own_chain else 8),
            )
    verdict = log.verdict()
    if headed:
        assert (verdict.sound, verdict.unsealed) == (True, 6)
    else:
        assert {wrong for wrong, _ in found(verdict)} == {Wrong.ADDED}


@pytest.mark.parametrize("number", [-5, 0])
def test_an_event_before_the_first_is_found(log: Log, number: int) -> None:
    """Numbers begin at 1."""
    with log.forged() as raw:
        add(raw, following(number, Chain("a", "b"), None, happened(0), NOW))
    assert (Wrong.ADDED, f"event {number}") in found(log.verdict())


def test_an_event_between_two_checkpoints_is_found(tmp_path: Path) -> None:
    """The checkpoint would have named its chain."""
    log = Log(tmp_path / "bastion.db")
    with log.life(migrate=True) as journal:
        log.tell(journal, 3)
        log.seal(journal)
        log.tell(journal, 1)
        log.seal(journal)
    with log.forged() as raw:
        # The fourth goes to a chain of its own; the second checkpoint knows only of the first's.
        raw.execute("UPDATE events SET boot = 'forged', seq = 1, prev = ? WHERE id = 4", (START,))
        (hash_,) = raw.execute("SELECT hash FROM events WHERE id = 3").fetchone()
        details = orjson.dumps({"after": [3, hash_]}).decode()
        raw.execute("UPDATE events SET details = ? WHERE id = 4", (details,))
        rehash(raw, 4)
    assert {(Wrong.ADDED, "event 4")} <= found(log.verdict())
