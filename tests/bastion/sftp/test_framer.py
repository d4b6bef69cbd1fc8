"""Whole packets, out of any slices."""

from hypothesis import given
from hypothesis import strategies as st

from bastion.sftp.framer import LARGEST, Framer
from bastion.sftp.packets import Malformed, framed


@given(st.lists(st.binary(min_size=1, max_size=50), max_size=8), st.data())
def test_packets_are_the_same_however_they_come(some: list[bytes], data: st.DataObject) -> None:
    """Sliced anywhere."""
    stream = b"".join(map(framed, some))
    framer, found, at = Framer(), [], 0
    while at < len(stream):
        size = data.draw(st.integers(1, 40))
        found += framer.feed(stream[at : at + size])
        at += size
    assert [bytes(p) for p in found if isinstance(p, memoryview)] == some
    assert not framer.truncated


def test_a_length_that_no_packet_has_is_the_end() -> None:
    """Too long, or none at all: once, and then silence."""
    for length in (0, LARGEST + 1, 0xFFFF_FFFF):
        framer = Framer()
        start = framed(b"x") + length.to_bytes(4, "big")
        first, second = framer.feed(start)
        assert isinstance(first, memoryview)
        assert bytes(first) == b"x"
        assert isinstance(second, Malformed)
        assert framer.feed(framed(b"y")) == []


def test_a_packet_that_has_not_ended_is_known() -> None:
    """For who hears that no more will come."""
    framer = Framer()
    assert framer.feed(b"\0\0\0\5ab") == []
    assert framer.truncated
