"""A picture: what a recording draws, event by event, and the screen that it leaves.

What goes in are the events as they were recorded; what comes out is safe for any terminal. Where a
picture has come to can be kept as a *keyframe*, and another one goes on from there: the screen, and
all that was begun and is not whole. A keyframe is a convenience and no evidence: it is made of the
events before it, and can be made again.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from recorder.asciicast import STREAM_OF, Code, Event, Header, Stream
from recorder.characters import Characters, Newlines
from recorder.screen import CLEAR, Screen, draw, size_of
from recorder.screen_filter import ScreenFilter
from recorder.session import Size


@dataclass(frozen=True, slots=True)
class Begun:
    """What was begun between two events: characters, a line, a sequence. Made by `Drawing`."""

    out: bytes = b""
    err: bytes = b""
    ours: bool = False
    after_return: bool = False
    sequence: str = ""
    in_string: bool = False


@dataclass(frozen=True, slots=True)
class Keyframe:
    """A picture between two events. `screen` is what draws it on an empty screen of that size."""

    size: Size
    screen: str
    begun: Begun


class Drawing:
    """What a recording's events draw: text ("o") and sizes ("r"), safe for a terminal.

    `terminal` is whether there was one at the target.
    """

    def __init__(self, *, terminal: bool, begun: Begun = Begun()) -> None:
        torn = {Stream.OUT: begun.out, Stream.ERR: begun.err}
        self._characters = Characters(torn, ours=begun.ours)
        self._newlines = None if terminal else Newlines(after_return=begun.after_return)
        self._filter = ScreenFilter(begun.sequence, in_string=begun.in_string)

    @property
    def begun(self) -> Begun:
        """What was begun and is not whole."""
        torn = self._characters.torn
        return Begun(
            torn[Stream.OUT],
            torn[Stream.ERR],
            self._characters.ours,
            self._newlines is not None and self._newlines.after_return,
            self._filter.begun,
            self._filter.in_string,
        )

    def feed(self, event: Event) -> Event | None:
        """What an event draws; None for nothing. Raises CorruptRecording."""
        text = self._characters.feed(event)
        return None if text is None else self._safe(text)

    def all(self, events: Iterable[Event]) -> Iterator[Event]:
        """What these events draw, to the end of the recording. Raises CorruptRecording."""
        time = 0.0
        for event in events:
            time = event.time
            if (drawn := self.feed(event)) is not None:
                yield drawn
        yield from filter(None, map(self._safe, self._characters.end(time)))

    def _safe(self, event: Event) -> Event | None:
        if event.code is Code.RESIZE:
            size_of(event.data)
            return event
        if event.code not in STREAM_OF:
            return None
        if self._newlines is not None:
            event = self._newlines.feed(event)
        text = self._filter.feed(event.data)
        return Event(event.time, Code.OUT, text) if text else None


class Picture:
    """The screen of a terminal of `size` on which a recording is drawn, empty at first.

    `rest` is called between small pieces of drawing; without it they are not small.
    """

    def __init__(
        self, size: Size, drawing: Drawing, rest: Callable[[], object] | None = None
    ) -> None:
        self.drawing = drawing
        self._rest = rest
        self._size = size
        self._screen = Screen(size)

    @classmethod
    def first(cls, header: Header, rest: Callable[[], object] | None = None) -> "Picture":
        """As a recording begins."""
        return cls(Size(header.width, header.height), drawing_of(header), rest)

    @classmethod
    def going_on(
        cls, header: Header, keyframe: Keyframe, rest: Callable[[], object] | None = None
    ) -> "Picture":
        """From a keyframe on."""
        drawing = Drawing(terminal=_terminal(header), begun=keyframe.begun)
        picture = cls(keyframe.size, drawing, rest)
        picture._screen.show(keyframe.screen)
        return picture

    @property
    def size(self) -> Size:
        """The terminal's size now, as the client gave it."""
        return self._size

    def draw(self, event: Event) -> Event | None:
        """Draw an event; what it draws is given back, None for nothing. Raises CorruptRecording."""
        drawn = self.drawing.feed(event)
        if drawn is None:
            return None
        if drawn.code is Code.RESIZE:
            self._size = size_of(drawn.data)
        if self._rest is None and drawn.code is Code.OUT:
            self._screen.take(drawn.data)
        else:
            draw(drawn, self._screen, self._rest or (lambda: None))
        return drawn

    def shown(self) -> str:
        """What draws this screen on any terminal, whatever stands there."""
        return CLEAR + ScreenFilter().feed(self._screen.dump())

    def keyframe(self) -> Keyframe:
        """Where it has come to."""
        return Keyframe(self._size, self._screen.dump(), self.drawing.begun)


def drawing_of(header: Header) -> Drawing:
    """What draws a recording with this header, from its beginning."""
    return Drawing(terminal=_terminal(header))


def _terminal(header: Header) -> bool:
    return header.session.get("terminal") is not False
