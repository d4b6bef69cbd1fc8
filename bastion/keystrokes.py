"""What a person types at a terminal of the control plane: one line when one is asked for.

The terminal itself is raw (RFC 4254 section 8), so what is typed comes key by key, and what is
to be seen of it is sent back. Pure: bytes in, text to show and lines out. Nothing is kept beyond
`LONGEST` characters of a line and `MOST_AHEAD` that were typed before anybody asked.
"""

import codecs
import unicodedata
from dataclasses import dataclass, field
from enum import Enum, auto

LONGEST = 1000
"""Characters of an answer."""

MOST_AHEAD = 4096
"""Characters that may be typed ahead of a question."""

LONGEST_SEQUENCE = 32
"""Characters of an escape sequence, as an arrow key sends one; then it is over, whatever it is."""

_BELL = "\a"
_INTERRUPT, _END, _ESCAPE = "\x03", "\x04", "\x1b"
_ERASE, _ERASE_WORD, _ERASE_LINE = "\x7f\b", "\x17", "\x15"
_RETURNS = "\r\n"


class State(Enum):
    """How far a line is."""

    OPEN = auto()
    ENTERED = auto()
    GIVEN_UP = auto()


@dataclass
class Line:
    """One line that is being typed. `text` is what it holds so far."""

    state: State = State.OPEN
    _characters: list[str] = field(default_factory=list)

    @property
    def text(self) -> str:
        """What has been typed."""
        return "".join(self._characters)

    def key(self, character: str) -> str:
        """Take one character, and give what is to be shown for it."""
        if character in _RETURNS:
            self.state = State.ENTERED
            return "\n"
        if character in (_INTERRUPT, _END):
            return self._give_up(character)
        if character in _ERASE:
            return self._erase(1)
        if character == _ERASE_LINE:
            return self._erase(len(self._characters))
        if character == _ERASE_WORD:
            return self._erase(self._last_word())
        return self._take(" " if character == "\t" else character)

    def end(self) -> None:
        """Nobody types any more: what stands there counts, if anything does."""
        self.state = State.ENTERED if self._characters else State.GIVEN_UP

    def _give_up(self, character: str) -> str:
        """ctrl-c at any time; ctrl-d where nothing stands there."""
        if character == _END and self._characters:
            return _BELL
        self.state = State.GIVEN_UP
        return "^C\n" if character == _INTERRUPT else "\n"

    def _take(self, character: str) -> str:
        lonely = _cells(character) == 0 and not self._characters
        if lonely or not _can_stand(character) or len(self._characters) >= LONGEST:
            return _BELL
        self._characters.append(character)
        return character

    def _erase(self, number: int) -> str:
        """Erase so many characters; marks that stand on the last one go with it."""
        if not self._characters:
            return _BELL
        keep = len(self._characters) - number
        while keep > 0 and _cells(self._characters[keep]) == 0:
            keep -= 1
        gone = self._characters[keep:]
        del self._characters[keep:]
        return "\b \b" * sum(map(_cells, gone))

    def _last_word(self) -> int:
        """How many characters the last word has, with the blanks behind it."""
        text = self.text.rstrip(" ")
        return len(self._characters) - (text.rfind(" ") + 1)


class Keystrokes:
    """All that is typed at one terminal."""

    def __init__(self) -> None:
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._ahead = ""
        self._sequence = ""
        self._returned = False
        self._over = False
        self._line: Line | None = None
        self._interrupted = False

    def ask(self) -> tuple[Line, str]:
        """Open a line; what was typed ahead goes into it. With it comes what is to be shown."""
        self._line = line = Line()
        ahead, self._ahead = self._ahead, ""
        shown = self._keys(ahead)
        if self._over and line.state is State.OPEN:
            line.end()
        return line, shown

    def withdraw(self) -> None:
        """The line is not wanted any more."""
        self._line = None

    def typed(self, data: bytes) -> str:
        """Take what has been typed (UTF-8), and give what is to be shown for it."""
        return self._keys(self._decoder.decode(data))

    def ahead(self) -> str:
        """What was typed where no line was open: it is taken, and no line will have it."""
        taken, self._ahead = self._ahead, ""
        return taken

    def interrupted(self) -> bool:
        """Whether ctrl-c was typed, where no line was open, since this was asked last."""
        heard, self._interrupted = self._interrupted, False
        return heard

    def end(self) -> None:
        """Nobody types any more."""
        self._over = True
        if self._line is not None and self._line.state is State.OPEN:
            self._line.end()

    def _keys(self, text: str) -> str:
        shown = []
        for number, character in enumerate(text):
            if self._line is None or self._line.state is not State.OPEN:
                self._keep(text[number:])
                break
            if not self._swallowed(character):
                shown.append(self._line.key(character))
        return "".join(shown)

    def _keep(self, text: str) -> None:
        """Keep what is typed ahead; ctrl-c takes away what came before it."""
        *_, behind = text.rpartition(_INTERRUPT)
        if _INTERRUPT in text:
            self._ahead, self._interrupted = "", True
        self._ahead = (self._ahead + behind)[:MOST_AHEAD]

    def _swallowed(self, character: str) -> bool:
        """Whether the character is part of an escape sequence, or the second half of a CR LF."""
        second, self._returned = self._returned and character == "\n", character == "\r"
        if self._sequence:
            self._sequence += character
            if _is_whole(self._sequence):
                self._sequence = ""
            return True
        if character == _ESCAPE:
            self._sequence = character
        return second or character == _ESCAPE


def _is_whole(sequence: str) -> bool:
    """Whether an escape sequence has ended (ECMA-48 section 5.4; SS3 takes one character more)."""
    if len(sequence) >= LONGEST_SEQUENCE:
        return True
    if sequence[1] == "O":
        return len(sequence) > 2
    if sequence[1] == "[":
        return len(sequence) > 2 and "@" <= sequence[-1] <= "~"
    return True


def _can_stand(character: str) -> bool:
    """Whether it may be part of an answer: what prints, and marks that stand on a letter."""
    return character.isprintable() and character != "\N{REPLACEMENT CHARACTER}"


def _cells(character: str) -> int:
    """How many columns it takes on a terminal (Unicode Standard Annex 11)."""
    if unicodedata.category(character) in ("Mn", "Me"):
        return 0
    return 2 if unicodedata.east_asian_width(character) in ("W", "F") else 1
