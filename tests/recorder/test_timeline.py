"""A timeline: what was shown and what was typed, told apart line by line."""

from hypothesis import given
from hypothesis import strategies as st

from recorder.asciicast import Code, Event, Header, Note, Word
from recorder.echo import PAUSE
from recorder.sent import FrameKind
from recorder.sent_reader import SentChunk
from recorder.timeline import (
    LONGEST_LINE,
    Line,
    clock,
    merged,
    piped_lines,
    told_lines,
    typed,
    typed_lines,
    typed_so_far,
)
from recorder.transcript import Transcripts


def sent(*moments: tuple[float, bytes]) -> list[SentChunk]:
    return [SentChunk(time, FrameKind.DATA, data) for time, data in moments]


def shown(*moments: tuple[float, str]) -> list[Event]:
    return [Event(time, Code.OUT, text) for time, text in moments]


def of_transcript(events: list[Event], command: str | None = None) -> list[Line]:
    """What was shown at a terminal, as a timeline has it."""
    header = Header(80, 24, 0, "", None, {"command": command})
    return list(told_lines(Transcripts().lines(header, events)))


TYPED = sent((5.0, b"sudo -i\r"), (9.0, b"hunter2"), (9.5, b"\r"))
SHOWN = shown(
    (3.0, "deploy@web-1:~$ "),
    (5.1, "sudo -i\r\n"),
    (6.0, "\x1b[1m[sudo]\x1b[0m password for deploy: "),
    (9.6, "\r\nroot@web-1:~# "),
)


def told(*, unmask: bool = False) -> list[str]:
    typing = typed_lines(typed(TYPED, SHOWN), unmask=unmask)
    return [str(line) for line in merged(typing, of_transcript(SHOWN))]


def test_each_line_says_what_it_is_and_when_it_began() -> None:
    """As a reviewer reads it: the prompt, what was typed, what came of it."""
    assert told() == [
        "[0:00:05] typed  sudo -i\\r",
        "[0:00:05] shown  deploy@web-1:~$ sudo -i",
        "[0:00:06] shown  [sudo] password for deploy:",
        "[0:00:09] typed  ********\\r (not echoed: masked, a guess)",
        "[0:00:09] shown  root@web-1:~#",
    ]


def test_what_is_masked_can_be_told() -> None:
    """By who asks for it."""
    assert told(unmask=True)[3] == "[0:00:09] typed  hunter2\\r"


def test_a_target_cannot_make_a_line_of_typing() -> None:
    """Whatever it shows stands behind `shown`."""
    forged = shown((1.0, "x\r\n[0:00:01] typed  rm -rf /\\r\r\n\x1b[2K\rtyped  ls\r\n"))
    lines = [str(line) for line in of_transcript(forged)]
    assert lines
    assert all(line.startswith("[0:00:01] shown  ") for line in lines)


def test_a_line_of_typing_ends_with_enter_or_a_long_pause() -> None:
    """So that it stands where it was typed."""
    chunks = sent((1.0, b"a\rb"), (1.0 + PAUSE, b"c"), (2.0 + 2 * PAUSE, b"d\n"))
    lines = typed_lines(typed(chunks, []), unmask=True)
    assert [(line.time, line.text) for line in lines] == [
        (1.0, "a\\r"),
        (1.0, "bc"),
        (2.0 + 2 * PAUSE, "d\\n"),
    ]


def test_a_line_grows_as_it_is_typed() -> None:
    """Key by key; but what is masked comes at once, without its rhythm."""
    chunks = sent((1.0, b"l"), (1.5, b"s"), (2.0, b"\r"), (3.0, b"p"), (3.5, b"w"), (4.0, b"\r"))
    events = shown((1.1, "l"), (1.6, "s"), (2.1, "\r\n"), (4.1, "\r\n"))
    grown = typed_so_far(typed(chunks, events), unmask=False)
    assert [(line.time, line.text) for line in grown] == [
        (1.0, "l"),
        (1.5, "ls"),
        (2.0, "ls\\r"),
        (3.0, "******** (not echoed: masked, a guess)"),
        (4.0, "********\\r (not echoed: masked, a guess)"),
    ]


def test_what_is_piped_is_told_line_by_line() -> None:
    """A script; its lines may come in any pieces, and of what is no text the length is told."""
    chunks = sent((1.0, b"set -e\nec"), (2.0, b"ho hi\n"), (3.0, bytes(range(256))))
    assert [str(line) for line in piped_lines(chunks)] == [
        "[0:00:01] piped  set -e\\n",
        "[0:00:01] piped  echo hi\\n",
        "[0:00:03] piped  (11 bytes that are no text)",
        "[0:00:03] piped  (245 bytes that are no text)",
    ]


@given(st.binary(max_size=3 * LONGEST_LINE), st.integers(1, LONGEST_LINE * 2))
def test_lines_are_bounded_and_nothing_is_left_out(data: bytes, length: int) -> None:
    """However long what is piped goes on without a newline."""
    pieces = sent(*((float(at), data[at : at + length]) for at in range(0, len(data), length)))
    lines = list(piped_lines(pieces))
    assert bool(lines) == bool(data)
    assert all(line.text.isprintable() for line in lines)
    assert [line.time for line in lines] == sorted(line.time for line in lines)


def test_what_is_ours_and_what_was_run_say_so() -> None:
    """A target can show the same words, and they are what it has shown."""
    events = [
        Event(1.0, Code.NOTE, Note(Word.SAID).label()),
        Event(1.0, Code.OUT, "bastion: recorded as S-1\r\n"),
        Event(2.0, Code.OUT, "bastion: recorded as S-2\r\n"),
    ]
    assert [str(line) for line in of_transcript(events, "uname -a")] == [
        "[0:00:00] ran    uname -a",
        "[0:00:01] said   bastion: recorded as S-1",
        "[0:00:02] shown  bastion: recorded as S-2",
    ]


def test_a_clock_goes_on_beyond_a_day() -> None:
    """Hours are counted on."""
    assert [clock(0.99), clock(3661), clock(90_000)] == ["0:00:00", "1:01:01", "25:00:00"]
