"""The screen filter: of what a program writes to a terminal, only what draws.

A recording is hostile: it can hold sequences that set a window's title, write the clipboard,
make the terminal answer as if the reviewer had typed, or change how it works. Let through are
printable text, the movements \\b \\t \\n \\v \\f \\r, and the sequences listed here, each of
them whole and in its 7-bit form; all else is dropped. What goes out is made of these only, so
it does not matter whether a terminal would have parsed the rest as it is parsed here.

Pure, and bounded: it holds back the beginning of one sequence at most.
Source: ECMA-48; https://invisible-island.net/xterm/ctlseqs/ctlseqs.html
"""

import re

_LONGEST_PARAMETERS = 256

_TOKEN = re.compile(
    # The commonest drawing sequences are taken along with text, which is ten times as quick.
    # The group is not possessive: before Python 3.11.5 such a group matches too much (gh-106052).
    r"(?P<text>(?:[^\x00-\x07\x0e-\x1f\x7f-\x9f]++"
    r"|\x1b\[(?:[\d;]{0,32}m|\d{0,4}(?:;\d{0,4})?[A-H]|[0-3]?[JK])){1,4096})"
    rf"|(?:\x1b\[|\x9b)(?P<csi>[0-?]{{0,{_LONGEST_PARAMETERS}}}[ -/]{{0,2}}[@-~])"
    r"|(?P<string>\x1b[PX\]^_k]|[\x90\x98\x9d-\x9f])"
    r"|\x1b(?P<escape>[ -/]{1,2}[0-~]|[0-Z\\-~])"
    r"|(?P<shift>[\x0e\x0f])"
)
_BEGUN = re.compile(
    rf"(?:(?:\x1b\[|\x9b)[0-?]{{0,{_LONGEST_PARAMETERS}}}[ -/]{{0,2}}|\x1b[ -/]{{0,2}})\Z"
)
_STRING_END = re.compile(r"[\x07\x18\x1a\x1b\x9c]")

_NUMBERS = r"\d{0,4}(?:;\d{0,4}){0,4}"
_DRAWING_CSI = re.compile(
    rf"[\d;:]{{0,{_LONGEST_PARAMETERS}}}m"  # colours
    rf"|{_NUMBERS}[A-IZ`adef]"  # the cursor moves
    r"|\??[0-3]?[JK]"  # erase
    r"|\d{0,4}[LMP@XSTb]"  # insert, delete, scroll, repeat
    rf"|{_NUMBERS}r"  # scroll region
    r"|[03]?g"  # tab stops
    r"|[su]"  # save and restore the cursor
    r"|4[hl]"  # insert mode
    r"|!p"  # soft reset
)
_MODES = re.compile(r"\?(?P<modes>\d{1,4}(?:;\d{1,4}){0,15})(?P<final>[hl])")
# Reverse video, origin, wrap, blink, cursor, alternate screens (47, 1047, 1048, 1049).
_DRAWING_MODES = frozenset({"5", "6", "7", "12", "25", "47", "1047", "1048", "1049"})
# Save and restore the cursor, index, next line, tab stop, reverse index, charsets.
_DRAWING_ESCAPE = re.compile(r"[78DEHM]|[()*+][0AB]")
_FULL_RESET = "\x1b[!p\x1b[H\x1b[2J"

RESET = (
    "\x1b[?1049l\x1b[!p\x1b[0m\x1b(B\x0f\x1b[4l"  # alternate screen, colours, charset, insert
    "\x1b[?5l\x1b[?7h\x1b[?25h\x1b7\x1b[r\x1b8"  # reverse, wrap, cursor, scroll region
)
"""What leaves a reviewer's terminal as usual after a replay that ended anywhere."""

LEAVE = f"{RESET}\x1b[999;1H\r\n"
"""The same, and below all that was shown, wherever its cursor was."""


class ScreenFilter:
    """One terminal's worth of state: give it the stream in any pieces.

    `begun` is the sequence that is held back as it is not whole, `in_string` whether what comes is
    a string that is not shown: with them, one goes on where another was.
    """

    def __init__(self, begun: str = "", *, in_string: bool = False) -> None:
        self._begun = begun
        self._in_string = in_string

    @property
    def begun(self) -> str:
        """What is held back: a few hundred characters at most."""
        return self._begun

    @property
    def in_string(self) -> bool:
        """Whether a title or the like has begun and is not over."""
        return self._in_string

    def feed(self, text: str) -> str:
        """What may be shown of this piece, with what was held back before."""
        text, self._begun = self._begun + text, ""
        passed: list[str] = []
        at = 0
        while at < len(text):
            if self._in_string:
                at = self._skip_string(text, at)
            elif token := _TOKEN.match(text, at):
                passed.append(self._judged(token))
                at = token.end()
            elif _BEGUN.match(text, at):
                self._begun = text[at:]
                break
            else:
                at += 1
        return "".join(passed)

    def _skip_string(self, text: str, at: int) -> int:
        """Past the end of a title, clipboard or device string; an escape ends it and stays."""
        end = _STRING_END.search(text, at)
        if end is None:
            return len(text)
        self._in_string = False
        return end.start() if end.group() == "\x1b" else end.end()

    def _judged(self, token: re.Match[str]) -> str:
        match token.lastgroup:
            case "csi":
                return _csi(token["csi"])
            case "escape":
                return _escape(token["escape"])
            case "string":
                self._in_string = True
                return ""
        return token.group()


def _csi(body: str) -> str:
    if _DRAWING_CSI.fullmatch(body):
        return f"\x1b[{body}"
    modes = _MODES.fullmatch(body)
    if modes is None:
        return ""
    drawing = [mode for mode in modes["modes"].split(";") if mode in _DRAWING_MODES]
    return f"\x1b[?{';'.join(drawing)}{modes['final']}" if drawing else ""


def _escape(body: str) -> str:
    if body == "c":
        return _FULL_RESET
    return f"\x1b{body}" if _DRAWING_ESCAPE.fullmatch(body) else ""
