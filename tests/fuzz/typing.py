"""What is fuzzed of what was sent: keys, their echo, and what is redacted. Each part of the input
is typed where it begins with an even byte, and shown where it does not."""

from collections.abc import Iterator
from functools import cache

from recorder.asciicast import Code, Event
from recorder.canvas import Canvas
from recorder.echo import Shown, judged
from recorder.keys import Key, Keys, spelled
from recorder.redacted import redacted
from recorder.redaction import Redaction, Redactor
from recorder.screen import Screen
from recorder.screen_filter import ScreenFilter
from recorder.sent import FrameKind
from recorder.sent_reader import SentChunk
from recorder.session import Size
from recorder.timeline import piped_lines, typed_lines


def _moments(data: bytes) -> Iterator[Key | Shown]:
    keys, screen = Keys(), ScreenFilter()
    for time, part in enumerate(data.split(b"\x1e")):
        if part[:1] and not part[0] & 1:
            yield from keys.read(time / 10, part[1:])
        else:
            yield Shown(time / 10, screen.feed(part[1:].decode("utf-8", "replace")))
    yield from keys.end(1e6)


def typed(data: bytes) -> None:
    """Each key is told once and in its order, masked or not, in characters that print."""
    moments = list(_moments(data))
    pieces = list(judged(moments))
    keys = [moment for moment in moments if isinstance(moment, Key)]
    assert [key for piece in pieces for key in piece.keys] == keys
    assert spelled(keys).isprintable()
    for unmask in (False, True):
        assert all(line.text.isprintable() for line in typed_lines(pieces, unmask=unmask))


def piped(data: bytes) -> None:
    """However a script is cut up, its lines print, and there is one for each."""
    parts = [
        SentChunk(float(at), FrameKind.DATA, part) for at, part in enumerate(data.split(b"\0"))
    ]
    lines = list(piped_lines(parts))
    assert all(line.text.isprintable() for line in lines)
    assert len(lines) >= data.replace(b"\0", b"").count(b"\n")


@cache
def _redaction() -> Redaction:
    return Redaction(["set:all", r"(a+)+b", r"x(y)?z"])


def leaving_out(data: bytes) -> None:
    """What is left is of what was there, in its order; nothing else comes in."""
    parts = data.decode("utf-8", "replace").split("\x1e")
    events = [Event(float(time), Code.OUT, part) for time, part in enumerate(parts)]
    redactor = Redactor(_redaction())
    told = list(redacted(events, redactor))
    assert [event.time for event in told] == sorted(event.time for event in told)
    rest = iter("".join(parts))
    left = "".join(event.data for event in told).replace("[redacted]", "")
    assert all(character in rest for character in left)
    if not redactor.count:
        assert left == "".join(parts).replace("[redacted]", "")


def drawn(data: bytes) -> None:
    """Our line stays ours, whatever is drawn above it."""
    canvas, reviewer, screen = Canvas(Size(20, 4), 9), Screen(Size(30, 8)), ScreenFilter()
    reviewer.show(canvas.whole() + canvas.say("ours"))
    for part in data.split(b"\x1e"):
        reviewer.show(canvas.show(screen.feed(part.decode("utf-8", "replace"))))
    assert reviewer.lines()[4:] == ["ours", "", "", ""]


READERS = (typed, piped, leaving_out, drawn)
