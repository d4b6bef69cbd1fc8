"""What comes as a backup, byte by byte: the same whatever the pieces, and never worse than no."""

import io
import tarfile
from collections.abc import Callable
from datetime import UTC, datetime
from hashlib import sha256

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bastion.errors import BadInput
from cli.backup.gathering import Member
from cli.backup.listed import LONGEST, Listed
from cli.backup.members import BLOCK, Entry, may_be, read_about, sums_text
from cli.backup.packing import Packing
from cli.backup.unpacking import Unpacking

AT = datetime(2026, 11, 29, 12, tzinfo=UTC)
NAMES = st.sampled_from(
    ["bastion.toml", "policy.toml", "keys/seal", "recordings/2026/11/29/S-1.cast"]
)
CONTENTS = st.dictionaries(NAMES, st.binary(max_size=2000), max_size=4)


class Taken(io.BytesIO):
    """What was taken of a member, kept when it is closed."""

    def __init__(self, entry: Entry, kept: dict[str, bytes]) -> None:
        super().__init__()
        self._entry = entry
        self._kept = kept

    def close(self) -> None:
        self._kept[self._entry.name] = self.getvalue()
        super().close()


def tar_of(contents: dict[str, bytes]) -> bytes:
    members = (Member(name, io.BytesIO(text), len(text)) for name, text in contents.items())
    return b"".join(Packing(AT, lambda _: "signed").pieces(members))


def unpacked(tar: bytes, cuts: list[int]) -> dict[str, bytes]:
    """What is in it, given in pieces."""
    kept: dict[str, bytes] = {}
    unpacking = Unpacking(lambda entry: Taken(entry, kept))
    before = 0
    for cut in [*sorted(cut % (len(tar) + 1) for cut in cuts), len(tar)]:
        unpacking.write(tar[before:cut])
        before = cut
    unpacking.finish()
    return kept


def heard(text: bytes, contents: dict[str, bytes], cuts: list[int]) -> str | None:
    """What is said of a list of hashes, given in pieces, beside what lies there."""
    listed = Listed({name: sha256(content).digest() for name, content in contents.items()})
    before = 0
    for cut in [*sorted(cut % (len(text) + 1) for cut in cuts), len(text)]:
        listed.write(text[before:cut])
        before = cut
    listed.close()
    try:
        listed.demand_same()
    except BadInput as error:
        return str(error)
    assert listed.sums.keys() == contents.keys()
    return None


@given(CONTENTS, st.lists(st.integers(0, 20_000), max_size=8))
def test_what_was_packed_comes_out_in_whatever_pieces(
    contents: dict[str, bytes], cuts: list[int]
) -> None:
    """With its sums and what was signed."""
    kept = unpacked(tar_of(contents), cuts)
    assert {name: kept[name] for name in contents} == contents
    assert kept["SHA256SUMS.sig"] == b"signed"
    assert heard(kept["SHA256SUMS"], contents, cuts) is None


@given(CONTENTS, st.integers(0, 20_000), st.binary(min_size=1, max_size=40))
def test_a_tar_that_was_changed_is_taken_or_refused(
    contents: dict[str, bytes], at: int, other: bytes
) -> None:
    """It never raises anything else, and never gives a name that a backup has not."""
    tar = bytearray(tar_of(contents))
    at %= len(tar)
    tar[at : at + len(other)] = other
    try:
        kept = unpacked(bytes(tar), [])
    except BadInput:
        return
    assert all(map(may_be, kept))


def test_tar_reads_it_too() -> None:
    """Everything lies in one directory, and only its owner reads it."""
    with tarfile.open(fileobj=io.BytesIO(tar_of({"keys/seal": b"secret"}))) as tar:
        names = tar.getnames()
        assert names[0] == "bastion-20261129T120000Z/keys/seal"
        assert {member.mode for member in tar} == {0o600}


def test_a_member_twice_is_refused() -> None:
    """The second could be another one than was looked at."""
    once = tar_of({"keys/seal": b"one"})
    member = once[: 2 * BLOCK]
    with pytest.raises(BadInput, match="keys/seal twice"):
        unpacked(member + once, [])


@given(st.text(max_size=300))
def test_a_list_or_a_description_that_can_not_be_read_is_refused(text: str) -> None:
    """In words."""
    with pytest.raises(BadInput):
        read_about(text.encode("utf-8", "replace"))
    said = heard(text.encode("utf-8", "replace"), {}, [7, 80])
    assert said is None if not text else "its list of hashes has the line" in str(said)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda sums: sums | {"keys/seal": "0" * 64}, "keys/seal in it was changed"),
        (lambda sums: sums | {"keys/host": "0" * 64}, "keys/host is missing in it"),
        (lambda sums: {"policy.toml": sums["policy.toml"]}, "keys/seal was added to it"),
    ],
)
def test_a_list_that_is_not_of_what_lies_there(
    change: Callable[[dict[str, str]], dict[str, str]], said: str
) -> None:
    """It is named; a name twice, lines in another order and a cut one are no list."""
    contents = {"keys/seal": b"one", "policy.toml": b"two"}
    sums = {name: sha256(text).hexdigest() for name, text in contents.items()}
    assert heard(sums_text(sums), contents, [70]) is None
    assert heard(sums_text(change(sums)), contents, []) == said
    lines = sums_text(sums).splitlines(keepends=True)
    for wrong in ([*reversed(lines)], [lines[0], *lines], [lines[0], lines[1][:-1]]):
        assert "its list of hashes has the line" in str(heard(b"".join(wrong), contents, []))


def test_a_list_of_one_endless_line_is_not_kept() -> None:
    """Whatever comes before its signature: it costs no memory."""
    listed = Listed({})
    for _ in range(1000):
        listed.write(bytes(100_000))
    assert len(listed._line) <= 100_000 + LONGEST
    with pytest.raises(BadInput, match="has the line"):
        listed.demand_same()


def test_a_description_that_is_nested_deeply_is_refused() -> None:
    """It has up to a mebibyte for that."""
    with pytest.raises(BadInput, match="can't be read"):
        read_about(b"[" * 1_000_000)
