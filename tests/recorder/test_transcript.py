"""Transcripts: the same whenever they are made, bounded, and of what prints only."""

import json
from base64 import b64encode
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recorder import CorruptRecording, Line, Reader, Transcripts
from recorder.asciicast import Code, Event, Note, Word
from recorder.lines import LONGEST
from recorder.screen import fed
from recorder.transcript import GOES_ON, LEFT_OUT, TEXT, TEXT_RATE
from tests.recorder.tellings import header, lines, ours, shown, texts

CASTS = Path(__file__).parent / "casts"

MEBIBYTE = 1024 * 1024


def _base64(raw: bytes) -> str:
    return b64encode(raw).decode()


_PIECES = st.sampled_from(
    [
        *(
            "a",
            "word ",
            "\r\n",
            "\n",
            "\r",
            "\b",
            "\t",
            "x" * 30,
            "日本",
            "e\u0301",
            "\x00",
            "\x9b",
        ),
        *(
            "\x1b[A",
            "\x1b[H",
            "\x1b[2;3r",
            "\x1b[K",
            "\x1b[J",
            "\x1b[2J",
            "\x1b7",
            "\x1b8",
            "\x1b[",
        ),
        *("\x1b[?1049h", "\x1b[?1049l", "\x1b[?47;7h", "\x1b[?7l", "\x1b(0", "\x1b(B", "\x1bc"),
        *("\x1b[9S", "\x1b[65535b", "\x1b]0;", "\x07", "\x1bP", "\u202e", "\ue000", "7;1"),
    ]
)
_SIZES = st.sampled_from(["80x24", "0x0", "60000x60000", "3x2", "1x1", "1x9", "nonsense", "9" * 30])
_EVENTS = st.lists(
    st.one_of(
        st.tuples(st.just("o"), st.lists(_PIECES, max_size=12).map("".join)),
        st.tuples(st.just("e"), st.text(max_size=20)),
        st.tuples(
            st.just("ob"),
            st.binary(max_size=20).map(_base64),
        ),
        st.tuples(st.just("r"), _SIZES),
        st.tuples(st.just("m"), st.sampled_from([Note(word).label() for word in Word])),
        st.tuples(st.just("x"), st.just("0")),
    ),
    max_size=30,
)


def timed(events: Sequence[tuple[str, str]], pauses: Sequence[float]) -> list[Event]:
    time, made = 0.0, []
    for (code, data), pause in zip(events, pauses, strict=False):
        time += pause
        made.append(Event(time, Code(code), data))
    return made


_PAUSES = st.lists(st.sampled_from([0.0, 0.01, 0.3, 0.7, 5.0]), min_size=30, max_size=30)


@settings(max_examples=150, deadline=None)
@given(_EVENTS, _PAUSES, _SIZES, st.booleans())
def test_nothing_breaks_it(
    drawn: list[tuple[str, str]], pauses: list[float], size: str, terminal: bool
) -> None:
    """Any bytes, sizes and notes: lines that print, not too long, at times that there were."""
    columns, _, rows = size.partition("x") if "x" in size else ("80", "", "24")
    head = header(int(columns), int(rows), terminal=terminal)
    events = timed(drawn, pauses)
    for line in lines(events, head):
        assert line.text.isprintable()
        assert line.text == line.text.rstrip()
        assert 0 < len(line.text) <= LONGEST
        assert 0 <= line.time <= round(events[-1].time if events else 0, 3)


@settings(max_examples=100, deadline=None)
@given(_EVENTS, _PAUSES, st.lists(st.booleans(), min_size=30, max_size=30), st.booleans())
def test_bit_by_bit_it_is_the_same(
    drawn: list[tuple[str, str]], pauses: list[float], rests: list[bool], terminal: bool
) -> None:
    """Put aside after any event, with a look at what stands there: as of a live session."""
    events, head = timed(drawn, pauses), header(20, 6, terminal=terminal)
    transcriber = Transcripts().begun(head)
    made: list[Line] = []
    for event, rest in zip(events, rests, strict=False):
        made += transcriber.feed(event)
        if rest:
            made += transcriber.draw()
            standing = transcriber.pending()
            assert transcriber.pending() == standing
            transcriber.sleep()
    assert [*made, *transcriber.end()] == lines(events, head)


def test_what_stands_there_can_be_had_before_it_is_told() -> None:
    """Of a live session; it is told later as what it became."""
    transcriber = Transcripts().begun(header())
    made = [
        line for event in shown((0, "$ ls\r\n"), (9, "10 %")) for line in transcriber.feed(event)
    ]
    assert made + transcriber.draw() == []
    assert [line.text for line in transcriber.pending()] == ["$ ls", "10 %"]
    for event in shown((20, "\x1b[?1049hmenu")):
        made += transcriber.feed(event)
    made += transcriber.draw()
    assert [line.text for line in made] == ["$ ls", "10 %"]
    assert [line.text for line in transcriber.pending()] == ["menu"]


def test_of_a_flood_something_is_left_out_and_said() -> None:
    """What comes after it, at the pace of a person, is told again."""
    flood = [(1.0, f"{'spam ' * 12}{n:08}\r\n" * 1000) for n in range(300)]
    made = lines(shown((0, "$ flood\r\n"), *flood, (40, "$ rm evidence\r\n"), (60, "$ exit\r\n")))
    assert ours(made) == [LEFT_OUT, GOES_ON]
    assert sum(len(line.text) for line in made) < TEXT + 60 * TEXT_RATE + 1000
    assert [line.text for line in made[-2:]] == ["$ rm evidence", "$ exit"]
    assert made[0].text == "$ flood"


@pytest.mark.parametrize(
    "piece",
    [
        "x" * MEBIBYTE,
        "\n" * MEBIBYTE,
        "\x1b[2J" * 200_000,
        "\x1b[999S" * 150_000,
        "a\x1b[60000b" * 90_000,
    ],
    ids=["no newline", "newlines", "clears", "scrolls", "repeats"],
)
@pytest.mark.parametrize("size", [(80, 24), (60_000, 60_000)], ids=str)
def test_hostile_output_has_an_end(piece: str, size: tuple[int, int]) -> None:
    """Dear sequences on a huge screen, a line of a hundred megabytes: it says what it left out."""
    transcriber = Transcripts().begun(header(*size))
    made = [line for n in range(100) for line in transcriber.feed(Event(n / 1000, Code.OUT, piece))]
    made += transcriber.end()
    assert transcriber.left_out
    assert LEFT_OUT in ours(made)


def test_where_the_terminal_fails_something_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    """And the rest is told: no target can keep a whole session from being found."""

    def failing(terminal: Any, text: str) -> object:  # noqa: ANN401 (the engine's)
        if "poison" in text:
            raise CorruptRecording("the terminal's engine fails")
        return fed(terminal, text)

    monkeypatch.setattr("recorder.scroll.fed", failing)
    events = shown((0, "before\r\n"), (9, "poison\r\n"), (60, "after\r\n"))
    assert texts(events) == ["before", LEFT_OUT, GOES_ON, "after"]


def test_sizes_that_never_stop_changing_have_an_end() -> None:
    """Without output they cost nothing."""
    resized = (Event(n / 1000, Code.RESIZE, f"{n % 1000}x{n % 500}") for n in range(200_000))
    assert texts([*resized, *shown((300, "still here\r\n"))]) == ["still here"]


def test_what_a_recording_says_of_itself_is_told() -> None:
    """That it reached its limit, that it was torn, that files were not listed."""
    events = [
        *shown((0, "$ ls\r\n")),
        Event(1, Code.NOTE, Note(Word.LIMIT, {"limit": 5}).label()),
        Event(2, Code.NOTE, Note(Word.UNLISTED, {"count": 3}).label()),
        Event(2, Code.NOTE, Note(Word.UNLISTED, {"count": 7}).label()),
        Event(3, Code.NOTE, Note(Word.INTERRUPTED).label()),
    ]
    made = lines(events)
    assert made[0].text == "$ ls"
    told = ours(made)
    assert "limit" in told[0]
    assert "without closing" in told[1]
    assert "7 more files" in told[2]


def test_redaction_has_the_last_word() -> None:
    """On every line, also the command."""
    events, head = shown((0, "token=hunter2\r\n")), header(command="login hunter2")
    made = lines(events, head, lambda text: text.replace("hunter2", "[redacted]"))
    assert [line.text for line in made] == ["login [redacted]", "token=[redacted]"]


def test_a_damaged_recording_is_told_as_far_as_it_goes() -> None:
    """Then its error is raised."""

    def events() -> list[Event]:
        return [*shown((0, "before\r\n")), Event(1, Code.OUT_BYTES, "no base64")]

    made = Transcripts().lines(header(), events())
    assert next(made).text == "before"
    with pytest.raises(CorruptRecording):
        next(made)


@pytest.mark.parametrize("name", ["bash", "vim", "less", "top", "tmux", "vt100", "resized"])
def test_real_programs_read_as_they_were_seen(name: str) -> None:
    """Recorded in a terminal; what a person would say that she saw is beside it."""
    reader = Reader(CASTS / f"{name}.cast")
    told = [line.text for line in Transcripts().lines(reader.header(), reader.events())]
    expected = json.loads((CASTS / f"{name}.json").read_text())
    for text in expected["seen"]:
        assert told.count(text) == 1, text
    for text in expected["not_seen"]:
        assert not any(text in line for line in told), text
    assert len(told) <= expected["lines"]
