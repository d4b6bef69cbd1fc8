"""SFTP's packets: what is written is read again, and what can't be read is a value."""

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bastion.sftp import answers, packets
from bastion.sftp.answers import Answer, parse_answer, write_answer
from bastion.sftp.fields import NOTHING, Attrs
from bastion.sftp.packets import Flags, Malformed, Request, Unknown, Verb, parse_request

u32 = st.integers(0, 2**32 - 1)
u64 = st.integers(0, 2**64 - 1)
texts = st.binary(max_size=40)
paths = texts.filter(lambda raw: b"\0" not in raw)
two = st.tuples(u32, u32)
attrs = st.builds(
    Attrs,
    size=st.none() | u64,
    owners=st.none() | two,
    permissions=st.none() | u32,
    times=st.none() | two,
    extended=st.lists(st.tuples(texts, texts), max_size=2).map(tuple),
)
_parsers = packets._PARSERS
with_attrs = packets._WITH_ATTRS


def verbs(parser: object) -> list[Verb]:
    """The verbs of one shape."""
    return [verb for verb, used in _parsers.items() if used is parser]


def on_path(verb: Verb) -> st.SearchStrategy[Request]:
    """A request about a path, with attributes where they belong."""
    given_attrs = attrs if verb in with_attrs else st.just(NOTHING)
    return st.builds(packets.OnPath, st.just(verb), u32, paths, given_attrs)


def on_handle(verb: Verb) -> st.SearchStrategy[Request]:
    """A request about a handle, with attributes where they belong."""
    given_attrs = attrs if verb in with_attrs else st.just(NOTHING)
    return st.builds(packets.OnHandle, st.just(verb), u32, texts, given_attrs)


requests = st.one_of(
    st.builds(packets.Open, u32, paths, st.integers(0, 63).map(Flags), attrs),
    st.sampled_from(verbs(packets._on_path)).flatmap(on_path),
    st.sampled_from(verbs(packets._on_handle)).flatmap(on_handle),
    st.builds(packets.OnTwo, st.sampled_from(verbs(packets._on_two)), u32, paths, paths),
    st.builds(packets.Read, u32, texts, u64, u32),
    st.builds(packets.Write, u32, texts, u64, st.binary(max_size=200)),
    st.builds(packets.CopyData, u32, texts, u64, u64, texts, u64),
    st.builds(packets.Plain, st.sampled_from(verbs(packets._plain)), u32, texts),
)
given_answers = st.one_of(
    st.builds(answers.Status, u32, st.sampled_from(answers.Code), texts),
    st.builds(answers.Handle, u32, texts),
    st.builds(answers.Data, u32, st.binary(max_size=200)),
    st.builds(
        answers.Names,
        u32,
        st.lists(st.builds(answers.Entry, paths, texts, attrs), max_size=3).map(tuple),
    ),
    st.builds(answers.Attributes, u32, attrs),
    st.builds(answers.Reply, u32, texts),
)


def body(packet: bytes) -> bytes:
    """A packet without its length, which has to be right."""
    assert struct.unpack_from(">I", packet)[0] == len(packet) - 4
    return packet[4:]


@given(requests)
def test_a_request_that_is_written_is_read_again(request: Request) -> None:
    """Every shape, every verb."""
    assert parse_request(body(packets.write_request(request))) == request


@given(given_answers)
def test_an_answer_that_is_written_is_read_again(answer: Answer) -> None:
    """Every shape."""
    assert parse_answer(body(write_answer(answer))) == answer


@given(requests, st.data())
def test_a_request_that_is_cut_is_no_request(request: Request, data: st.DataObject) -> None:
    """Wherever it is cut; only one whose end is free text may be shorter."""
    whole = body(packets.write_request(request))
    cut = whole[: data.draw(st.integers(0, len(whole) - 1))]
    parsed = parse_request(cut)
    if isinstance(request, packets.Plain):
        assert isinstance(parsed, Malformed | packets.Plain)
    else:
        assert isinstance(parsed, Malformed)


@given(requests.filter(lambda r: not isinstance(r, packets.Plain)), st.binary(min_size=1))
def test_nothing_may_follow_a_request(request: Request, more: bytes) -> None:
    """A field that we don't know of is one that we can't judge."""
    assert isinstance(parse_request(body(packets.write_request(request)) + more), Malformed)


@given(st.binary(max_size=300))
def test_whatever_comes_is_a_value(noise: bytes) -> None:
    """Neither reader raises; and what is taken for a request is written as it came."""
    parse_answer(noise)
    request = parse_request(noise)
    if not isinstance(request, Malformed | Unknown | packets.Init):
        assert parse_request(body(packets.write_request(request))) == request


@pytest.mark.parametrize(
    "packet",
    [
        b"",
        b"\3",
        struct.pack(">BII", 3, 1, 0xFFFFFFFF) + b"/x",
        struct.pack(">BII", 3, 1, 3) + b"/\0x" + struct.pack(">II", 1, 0),
        struct.pack(">BII", 3, 1, 2) + b"/x" + struct.pack(">II", 64, 0),
        struct.pack(">BII", 9, 1, 2) + b"/x" + struct.pack(">I", 0x10),
        struct.pack(">BII", 9, 1, 2) + b"/x" + struct.pack(">II", 0x80000000, 0xFFFFFFFF),
        struct.pack(">BII", 17, 1, 5000) + b"/" * 5000,
        struct.pack(">BII", 4, 1, 300) + b"h" * 300,
    ],
)
def test_fields_are_what_they_should_be(packet: bytes) -> None:
    """Cut, with a NUL, with flags that nobody has defined, longer than any path or handle."""
    assert isinstance(parse_request(packet), Malformed)


def test_what_is_not_known_is_told_apart() -> None:
    """It can be answered by its id."""
    assert parse_request(struct.pack(">BI", 99, 5)) == Unknown(5, b"type 99")
    named = struct.pack(">BII", 200, 6, 3) + b"x@y"
    assert parse_request(named) == Unknown(6, b"x@y")
