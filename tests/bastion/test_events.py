"""Events as values: one written form, a hash that covers it, and nothing that can't be written."""

import hashlib
import json
from datetime import UTC, datetime, timedelta, timezone

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bastion.chains import EVENT_COLUMNS, Findings, Walk, digest_of_written, written
from bastion.checkpoints import Checkpoint, Sealed, read_checkpoint
from bastion.events import (
    DETAIL_LIMIT,
    DETAILS_LIMIT,
    START,
    WHY_LIMIT,
    Chain,
    Details,
    Event,
    Happened,
    Head,
    What,
    following,
)
from bastion.verdict import kept_time
from tests.bastion.worlds import NOW

CHAIN = Chain("node", "boot")

TEXTS = st.text(st.characters(), max_size=30)  # half pairs and NUL among them
NUMBERS = st.none() | st.integers(1, 2**62)
DETAILS: st.SearchStrategy[Details] = st.recursive(
    st.none() | st.booleans() | st.integers() | TEXTS,
    lambda deeper: st.lists(deeper, max_size=4) | st.dictionaries(TEXTS, deeper, max_size=4),
    max_leaves=12,
)
HAPPENED = st.builds(
    Happened,
    st.sampled_from(What),
    TEXTS,
    TEXTS,
    account=st.none() | TEXTS,
    user=st.none() | TEXTS,
    host=st.none() | TEXTS,
    login=st.none() | TEXTS,
    request=NUMBERS,
    grant=NUMBERS,
    connection=NUMBERS,
    session=NUMBERS,
    why=st.none() | TEXTS,
    details=st.dictionaries(TEXTS, DETAILS, max_size=5),
)
TIMES = st.datetimes(
    datetime(1990, 1, 1),  # noqa: DTZ001 (a bound)
    datetime(2200, 1, 1),  # noqa: DTZ001 (a bound)
    timezones=st.just(UTC),
)


def row_of(event: Event) -> tuple[object, ...]:
    """The row that the database keeps of an event."""
    told = event.happened
    columns = {
        "id": event.id,
        "node": event.chain.node,
        "boot": event.chain.boot,
        "seq": event.seq,
        "at": kept_time(event.at),
        "what": told.what.value,
        "details": orjson.dumps(dict(told.details), option=orjson.OPT_SORT_KEYS).decode(),
        "prev": event.prev,
        "hash": event.hash,
    }
    return tuple(columns.get(name, getattr(told, name, None)) for name in EVENT_COLUMNS)


@given(HAPPENED, TIMES)
def test_a_row_and_an_event_have_the_same_hash(happened: Happened, at: datetime) -> None:
    """Whatever strangers put into it: what was told can be kept, and judged as it was kept."""
    event = following(1, CHAIN, None, happened, at)
    row = row_of(event)
    told = written(row)
    assert told is not None
    assert digest_of_written(told) == event.hash == event.digest()
    findings = Findings()
    Walk(findings).take(row)
    assert findings.kept == []


@given(HAPPENED, TIMES)
def test_whoever_has_the_line_can_check_it(happened: Happened, at: datetime) -> None:
    """Take `hash` away, write the rest with its keys in order, and hash that."""
    event = following(1, CHAIN, None, happened, at)
    line = event.line()
    assert b"\n" not in line
    read = orjson.loads(line)
    hash_ = read.pop("hash")
    again = json.dumps(read, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    assert hashlib.sha256(again.encode()).hexdigest() == hash_


@given(st.lists(st.tuples(HAPPENED, TIMES), max_size=8))
def test_a_chain_holds_together(told: list[tuple[Happened, datetime]]) -> None:
    """Each follows the one before, from number 1."""
    head, findings = None, Findings()
    walk = Walk(findings)
    for number, (happened, at) in enumerate(told, 1):
        event = following(number, CHAIN, head, happened, at)
        assert (event.seq, event.prev) == ((1, START) if head is None else (number, head.hash))
        head = Head(CHAIN, event.seq, event.hash)
        walk.take(row_of(event))
    assert findings.kept == []


def test_times_are_written_in_utc() -> None:
    """Wherever they come from, to the microsecond."""
    east = timezone(timedelta(hours=2))
    event = following(1, CHAIN, None, Happened(What.GRANT_GIVEN, "bob"), NOW.astimezone(east))
    assert event.written()["at"] == "2026-11-23T12:00:00.000000Z"
    assert event.hash == following(1, CHAIN, None, Happened(What.GRANT_GIVEN, "bob"), NOW).hash


def test_ids_are_written_as_people_write_them() -> None:
    """So that a line can be looked for by what one has."""
    told = Happened(What.SESSION_STARTED, "alice", request=12, grant=7, connection=31, session=3)
    line = orjson.loads(following(1, CHAIN, None, told, NOW).line())
    found = (line["request"], line["grant"], line["connection"], line["session"])
    assert found == ("R-12", "G-7", "C-31", "S-3")


@pytest.mark.parametrize("length", [1000, 1001, 100_000])
def test_what_strangers_say_is_cut(length: int) -> None:
    """Where it was cut it ends in an ellipsis."""
    told = Happened(What.SIGNIN_FAILED, "x" * length, why="y" * length)
    kept = following(1, CHAIN, None, told, NOW).happened
    assert kept.actor == "x" * 127 + "…"
    assert kept.why is not None
    assert len(kept.why) == WHY_LIMIT
    assert kept.why.endswith("…") is (length > WHY_LIMIT)


def test_details_are_bounded() -> None:
    """A long text is cut; when all together are too many, only how many they were is kept."""
    long: dict[str, Details] = {"command": "z" * 100_000}
    kept = following(1, CHAIN, None, Happened(What.DOOR_REFUSED, "a", details=long), NOW)
    command = kept.happened.details["command"]
    assert isinstance(command, str)
    assert len(command) == DETAIL_LIMIT
    many: dict[str, Details] = {str(number): "z" * 1000 for number in range(100)}
    kept = following(1, CHAIN, None, Happened(What.DOOR_REFUSED, "a", details=many), NOW)
    size = kept.happened.details["too_long"]
    assert isinstance(size, int)
    assert size > DETAILS_LIMIT


def test_bytes_that_were_no_text_are_kept_as_escapes() -> None:
    """A command line may be anything; the log is UTF-8 without NUL."""
    raw = b"ls \xff\x00".decode("utf-8", "surrogateescape")
    kept = following(1, CHAIN, None, Happened(What.DOOR_REFUSED, "a", why=raw), NOW).happened
    assert kept.why == "ls \\udcff\\x00"


# Checkpoints


def checkpoint(number: int = 3, heads: int = 2) -> Checkpoint:
    """One of some heads."""
    found = tuple(Head(Chain("node", f"boot-{n}"), n + 1, f"{n:064x}") for n in range(heads))
    return Checkpoint(number, NOW, 40, "a" * 64, found)


def test_a_checkpoint_is_read_from_what_was_signed() -> None:
    """Everything is in the body, so that the body alone can be checked."""
    sealed = Sealed(3, checkpoint().body(), "signature")
    assert read_checkpoint(sealed.body) == sealed.checkpoint == checkpoint()
    assert sealed.sha256 == hashlib.sha256(sealed.body.encode()).hexdigest()


@pytest.mark.parametrize(
    ("found", "put"),
    [
        (":", ": "),
        ("Z", "+00:00"),
        ('"events":40', '"events":"40"'),
        ('"events":40', '"events":true'),
        ('"events":40', '"events":4e1'),
        ('"heads":[', '"heads":[3,'),
        ('"heads":', '"heads":null,"x":'),
        ("}]}", "}]"),
        ("}]}", "}]} "),
    ],
)
def test_a_body_that_is_written_otherwise_is_none(found: str, put: str) -> None:
    """To the byte."""
    body = checkpoint().body()
    assert found in body
    with pytest.raises(ValueError, match=r"."):
        read_checkpoint(body.replace(found, put, 1))


@given(st.text())
def test_what_is_no_body_is_none(text: str) -> None:
    """Never another error."""
    with pytest.raises(ValueError, match=r"."):
        read_checkpoint(text)


def test_what_anchors_are_told_is_short() -> None:
    """However many heads were sealed: it has to fit a datagram."""
    many = Sealed(3, checkpoint(heads=1000).body(), "s" * 300)
    assert len(many.line()) < 512
