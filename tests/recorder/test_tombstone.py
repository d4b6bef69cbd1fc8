"""Tombstones: one line of JSON that reads back to the byte, or is none."""

from dataclasses import replace
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from recorder.errors import CorruptRecording
from recorder.manifest import Part
from recorder.tombstone import MOST_FILES, Tombstone, is_companion, read_tombstone
from tests.recorder.places import MORNING

SHA = "5e" * 32
TOMBSTONE = Tombstone(
    session=31,
    manifest=12,
    sha256=SHA,
    at=MORNING,
    by="bastion",
    rule="label:env=dev: 30d",
    retention=SHA,
    ended_at=MORNING,
    files=(Part("S-31.cast.zst", SHA, 9), Part("S-31.sent", SHA, 0)),
    node="gate",
)

NUMBERS = st.integers(0, 2**63 - 1)
TIMES = st.datetimes(
    datetime(1, 1, 1),  # noqa: DTZ001 (a bound)
    datetime(9999, 12, 31),  # noqa: DTZ001 (a bound)
    timezones=st.just(UTC),
)
HASHES = st.text("0123456789abcdef", min_size=64, max_size=64)
TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=50)
PARTS = st.builds(
    Part,
    st.from_regex(r"S-[0-9]{1,19}(-[0-9]{1,2})?\.[A-Za-z0-9][A-Za-z0-9._-]{0,60}", fullmatch=True),
    HASHES,
    NUMBERS,
)
TOMBSTONES = st.builds(
    Tombstone,
    NUMBERS,
    NUMBERS,
    HASHES,
    TIMES,
    by=TEXTS,
    rule=TEXTS,
    retention=HASHES,
    ended_at=TIMES,
    files=st.lists(PARTS, max_size=4).map(tuple),
    node=TEXTS,
)


@given(TOMBSTONES)
def test_what_was_written_reads_back(tombstone: Tombstone) -> None:
    """One line, the same value, the same bytes."""
    text = tombstone.text()
    assert text.count("\n") == 1
    assert read_tombstone(text) == tombstone


@given(TOMBSTONES, st.data())
def test_no_other_text_is_the_same_tombstone(tombstone: Tombstone, data: st.DataObject) -> None:
    """A sign more, less or other: refused with a sentence, or another tombstone."""
    text = tombstone.text()
    at = data.draw(st.integers(0, len(text) - 1))
    sign = data.draw(st.text(max_size=2))
    changed = text[:at] + sign + text[at + 1 :]
    try:
        found = read_tombstone(changed)
    except CorruptRecording:
        assert changed != text
    else:
        assert changed == text or found != tombstone


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ('"S-31"', '"S-x"', "tombstone is not written S-N"),
        ("S-31.sent", "../S-31.sent", "has a name that no recording has"),
        ('"files":[', '"files":[3,', "files are not a list of objects"),
        ('"by":"bastion"', '"by":null', "by is not a text"),
        ('"node":', '"knot":', "it lacks node"),
        ('"node"', '"more":1,"node"', "is not written as tombstones are"),
        ("{", "[", "is not JSON"),
    ],
)
def test_what_is_wrong_is_named(old: str, new: str, said: str) -> None:
    """In one sentence."""
    with pytest.raises(CorruptRecording, match=said):
        read_tombstone(TOMBSTONE.text().replace(old, new, 1))


def test_it_is_bounded() -> None:
    """In files and in length."""
    many = replace(TOMBSTONE, files=TOMBSTONE.files[:1] * (MOST_FILES + 1))
    for text in (many.text(), replace(TOMBSTONE, rule="x" * 70_000).text()):
        with pytest.raises(CorruptRecording):
            read_tombstone(text)


@pytest.mark.parametrize(
    "name", ["S-31.cast", "S-31.cast.zst", "S-31-2.sent", "S-31.cast.keys", "S-1.manifest.new"]
)
def test_a_recording_has_such_files(name: str) -> None:
    """Whatever is made of it later."""
    assert is_companion(name)


@pytest.mark.parametrize(
    "name",
    [
        "S-31",
        "S-31.",
        "S-31..",
        "S-.cast",
        "S-31/x.cast",
        "user_ca.pub",
        "S-31.\x1bx",
        "S-31-x.cast",
    ],
)
def test_a_recording_has_no_such_files(name: str) -> None:
    """They are somebody else's."""
    assert not is_companion(name)
