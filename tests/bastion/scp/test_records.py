"""The lines of the scp protocol: read back as they were written, and nothing else taken."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bastion.errors import BadInput
from bastion.scp.records import End, Entry, Message, Record, Times, parse_record, presentable

NAMES = st.binary(min_size=1, max_size=255).filter(
    lambda name: presentable(name) and b"/" not in name and name not in {b".", b".."}
)
SECONDS = st.integers(0, 2**32 - 1)
RECORDS = st.one_of(
    st.builds(Entry, st.booleans(), st.integers(0, 0o777), st.integers(0, 2**63 - 1), NAMES),
    st.builds(Times, SECONDS, SECONDS),
    st.builds(Message, st.sampled_from([1, 2]), st.text("abc: /").map(str.encode)),
    st.just(End()),
)


@given(RECORDS)
def test_a_record_is_read_as_it_was_written(record: Record) -> None:
    """One line, whole."""
    line = record.encode()
    assert line.endswith(b"\n")
    assert b"\n" not in line[:-1]
    assert parse_record(line[:-1]) == record


@given(st.binary(max_size=400) | st.binary(max_size=40).map(lambda tail: b"C0644 5 " + tail))
def test_whatever_comes_is_a_record_or_refused(line: bytes) -> None:
    """And a name in it stays where it is put."""
    try:
        record = parse_record(line)
    except BadInput:
        return
    if isinstance(record, Entry):
        assert b"/" not in record.name
        assert presentable(record.name)
        assert record.mode <= 0o777


@pytest.mark.parametrize(
    "line",
    [
        *(
            b"",
            b"C",
            b"C0644 5 ",
            b"C0644 5",
            b"C644 5 x",
            b"C0648 5 x",
            b"C0644 -1 x",
            b"c0644 5 x",
        ),
        *(b"C0644 5 ..", b"D0755 0 .", b"C0644 5 a/b", b"C0644 5 /etc/passwd", b"C0644 5 a\0b"),
        *(b"C0644 99999999999999999999 x", b"C0644 9999999999999999999 x", b"C0644 5 a\x1b[2Jb"),
        *(b"T1 0 1", b"T4294967296 0 1 0", b"T-1 0 1 0", b"E ", b"EE", b"\0", b"\3x", b"hello"),
        b"C0644 5 " + b"x" * 256,
    ],
)
def test_what_is_no_record_is_refused(line: bytes) -> None:
    """Names that leave their directory, numbers that no field holds, and noise."""
    with pytest.raises(BadInput, match="The client sent"):
        parse_record(line)


def test_special_bits_are_left_out() -> None:
    """Nobody gets set-user-id by a mode that is sent along."""
    assert parse_record(b"C4755 5 x") == Entry(False, 0o755, 5, b"x")


def test_a_message_can_not_act_on_a_terminal() -> None:
    """Nor end its line early."""
    assert Message(1, b"a\nb\x1b[2J" + b"x" * 2000).encode() == b"\1a?b?[2J" + b"x" * 993 + b"\n"
