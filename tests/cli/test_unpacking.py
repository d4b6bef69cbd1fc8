"""What comes as a backup, byte by byte: the same whatever the pieces, and never worse than no."""

import io
import tarfile
from contextlib import suppress
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bastion.errors import BadInput
from cli.backup.gathering import Member
from cli.backup.members import BLOCK, Entry, may_be, read_about, sums_of, sums_text
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


@given(CONTENTS, st.lists(st.integers(0, 20_000), max_size=8))
def test_what_was_packed_comes_out_in_whatever_pieces(
    contents: dict[str, bytes], cuts: list[int]
) -> None:
    """With its sums and what was signed."""
    kept = unpacked(tar_of(contents), cuts)
    assert {name: kept[name] for name in contents} == contents
    assert kept["SHA256SUMS.sig"] == b"signed"
    assert sums_of(kept["SHA256SUMS"]).keys() == contents.keys()


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
    with suppress(BadInput):
        assert sums_text(sums_of(text.encode("utf-8", "replace"))) or not text.strip()


def test_a_description_that_is_nested_deeply_is_refused() -> None:
    """It has up to a mebibyte for that."""
    with pytest.raises(BadInput, match="can't be read"):
        read_about(b"[" * 1_000_000)
