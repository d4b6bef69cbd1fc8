"""The format: nothing held back, nothing lost, and nothing believed that a target prints."""

import json

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from recorder.asciicast import (
    ROOM,
    Code,
    Event,
    Header,
    Note,
    Stream,
    Word,
    event_line,
    header_line,
    header_of,
    output_lines,
    parse_event,
    parse_header,
    pieces,
)
from recorder.characters import as_text
from recorder.errors import CorruptRecording
from recorder.session import Size
from tests.recorder.places import MORNING, exec_of, shell

chunks = st.lists(
    st.one_of(
        st.binary(max_size=12),
        st.text(max_size=8).map(str.encode),
        st.sampled_from(["ä".encode()[:1], "ä".encode()[1:], "😀".encode()[:3], b"\x9f\x98"]),
    ),
    max_size=12,
)


def events_of(data: bytes) -> list[Event]:
    return [parse_event(line) for line in output_lines(1.0, Stream.OUT, data)]


@given(chunks)
def test_every_chunk_comes_back_byte_for_byte(data: list[bytes]) -> None:
    """However a stream is cut into chunks, the events of each chunk hold exactly its bytes."""
    for chunk in data:
        assert b"".join(event.payload() for event in events_of(chunk)) == chunk


@given(chunks)
@example(["😀".encode()[:2], "😀".encode()[2:]])
def test_text_is_what_one_decoder_would_have_made_of_the_stream(data: list[bytes]) -> None:
    """Characters split over chunks survive; what is no character becomes U+FFFD."""
    events = [event for chunk in data for event in events_of(chunk)]
    text = "".join(event.data for event in as_text(events))
    assert text == b"".join(data).decode("utf-8", "replace")


@given(st.text(st.characters(exclude_categories=["Cs"]), max_size=60), st.integers(0, 10**15))
@example("".join(map(chr, range(0x2100))), 1)
def test_text_has_one_form_whichever_writer_writes_it(text: str, microseconds: int) -> None:
    """Beyond ASCII another one does, and no byte of the line tells them apart."""
    data, time = text.encode(), round(microseconds / 10**6, 6)
    line = event_line(time, "o", text)
    if len(line) <= 3 * len(data) + ROOM:
        assert output_lines(time, Stream.OUT, data) == [line]


@given(st.binary(max_size=40))
def test_a_target_cannot_write_a_note(data: bytes) -> None:
    """Whatever is printed becomes output, also when it looks like an event of ours."""
    for printed in (data, b'[0.1,"m","bastion:said"]\n' + data, b"bastion:said" + data):
        assert {event.code for event in events_of(printed)} <= {Code.OUT, Code.OUT_BYTES}


def codes_of(data: bytes) -> list[tuple[Code, int]]:
    return [(event.code, len(event.payload())) for event in events_of(data)]


@given(st.binary(max_size=4) | st.text(max_size=70).map(str.encode), st.sampled_from("aé→😀"))
@example(b"\xbf\xbf\xbf", "😀")
@example(b"a" * 61, "😀")
def test_much_is_judged_as_little_is(begun: bytes, filling: str) -> None:
    """That it is no text may be seen at its beginning; that does not change what it becomes."""
    much = begun + filling.encode() * 5000
    little, more = codes_of(begun + filling.encode()), len(much) - len(begun + filling.encode())
    *before, (code, length) = little
    assert codes_of(much) == [*before, (code, length + more)]


def test_torn_characters_are_written_at_once() -> None:
    """A chunk is never held back: its torn ends become bytes, its middle stays text."""
    head, tail = "ä".encode()[1:], "😀".encode()[:3]
    assert [(event.code, event.data) for event in events_of(head + b"text" + tail)] == [
        (Code.OUT_BYTES, "pA=="),
        (Code.OUT, "text"),
        (Code.OUT_BYTES, "8J+Y"),
    ]


def test_bytes_that_are_no_text_are_one_event() -> None:
    """A binary chunk is kept as it is, in base64, and keeps its stream."""
    [line] = output_lines(1.0, Stream.ERR, b"a\xff\x00b")
    assert json.loads(line) == [1.0, "eb", "Yf8AYg=="]
    assert line == event_line(1.0, "eb", "Yf8AYg==")


def test_an_empty_chunk_is_an_empty_event() -> None:
    """Nothing shown is nothing lost."""
    assert events_of(b"") == [Event(1.0, Code.OUT, "")]


def test_a_long_chunk_is_cut_into_lines_that_can_be_read_back() -> None:
    """Control characters need six bytes each in JSON; a line stays below the readers' limit."""
    data = bytes(3_000_000)
    parts = [bytes(piece) for piece in pieces(data)]
    assert b"".join(parts) == data
    assert (
        max(len(line) for part in parts for line in output_lines(0.0, Stream.OUT, part)) < 8_000_000
    )


@pytest.mark.parametrize("size", [Size(0, 0), Size(60000, 60000), Size(80, 24)])
def test_a_header_keeps_the_size_that_the_client_gave(size: Size) -> None:
    """The recording is evidence: a silly size is kept, only exports mend it."""
    header = header_of(31, shell(size), MORNING)
    assert (header.width, header.height) == (size.columns, size.rows)
    assert parse_header(header_line(header)) == header


def test_a_header_says_whose_session_it_is() -> None:
    """The file can be understood without the database."""
    value = json.loads(header_line(header_of(31, exec_of("id"), MORNING)))
    assert value["version"] == 2
    assert value["timestamp"] == int(MORNING.timestamp())
    assert value["title"] == "S-31 alice deploy@web-1: id"
    assert value["bastion"] == {
        "session": 31,
        "connection": 3,
        "user": "alice",
        "grant": 7,
        "host": "web-1",
        "login": "deploy",
        "kind": "exec",
        "command": "id",
        "source": "192.0.2.7",
        "started_at": "2026-11-23T09:00:00+00:00",
        "terminal": False,
    }


def test_a_command_that_is_not_text_fits_into_a_header() -> None:
    """Bytes that a client sent as a command are kept as escapes."""
    header = header_of(1, exec_of(b"echo \xff\x00".decode("utf-8", "surrogateescape")), MORNING)
    assert parse_header(header_line(header)).session["command"] == "echo \\xff\\x00"


def test_a_note_is_read_back() -> None:
    """A label is a word and facts."""
    note = Note(Word.DROPPED, {"stream": "o", "bytes": 12})
    line = event_line(2.5, Code.NOTE, note.label())
    assert Note.of(parse_event(line)) == note
    assert note.label() == 'bastion:dropped {"stream":"o","bytes":12}'


@pytest.mark.parametrize(
    "event",
    [
        Event(0.0, Code.OUT, "bastion:said"),
        Event(0.0, Code.NOTE, "said"),
        Event(0.0, Code.NOTE, "bastion:unheard-of"),
        Event(0.0, Code.NOTE, "bastion:dropped {"),
        Event(0.0, Code.NOTE, "bastion:dropped []"),
    ],
)
def test_other_events_are_no_notes(event: Event) -> None:
    """Only the recorder's own labels are notes."""
    assert Note.of(event) is None


@given(st.one_of(st.binary(max_size=80), st.text(max_size=80).map(str.encode)))
@example(b"[" * 5000)
@example(b'[1e999,"o","x"]')
@example(b'[0.1,"o"]')
@example(b'[0.1,"z","x"]')
@example(b'{"version":2,"width":"80","height":24,"timestamp":0}')
@example(b'{"version":2,"width":80,"height":24,"timestamp":0,"env":[],"bastion":7}')
def test_a_line_that_is_not_ours_is_corrupt_and_nothing_worse(line: bytes) -> None:
    """Readers raise one kind of error, whatever they are given."""
    try:
        event = parse_event(line)
    except CorruptRecording:
        pass
    else:
        assert isinstance(event, Event)
    try:
        header = parse_header(line)
    except CorruptRecording:
        pass
    else:
        assert isinstance(header, Header)


def test_bytes_that_are_not_base64_are_corrupt() -> None:
    """A damaged event of bytes is found when it is read."""
    with pytest.raises(CorruptRecording, match="not base64"):
        Event(0.0, Code.OUT_BYTES, "@@").payload()


def test_a_flood_of_nuls_takes_little_more_than_itself() -> None:
    """JSON writes six bytes for a NUL; such a chunk is kept as base64, and comes back exactly."""
    zeros = bytes(65536)
    (line,) = output_lines(0.5, Stream.OUT, zeros)
    assert len(line) < 1.4 * len(zeros)
    assert parse_event(line).payload() == zeros


def test_a_colourful_line_stays_text() -> None:
    """A few escapes are what terminals are made of."""
    (line,) = output_lines(0.5, Stream.OUT, b"\x1b[01;32mprod\x1b[00m:\x1b[01;34m~\x1b[00m$ \x1b[K")
    assert parse_event(line).code is Code.OUT
