"""The format: asciicast v2 with four event codes of our own. Lines in, values out, and back.

    {"version": 2, "width": 80, "height": 24, "timestamp": …, "env": {"TERM": …},
     "title": …, "bastion": {"session": 31, "user": …}}
    [0.25, "o", "text"]        shown on stdout or the terminal     (asciicast)
    [0.25, "r", "132x50"]      the terminal's size changed         (asciicast)
    [0.25, "m", "bastion:…"]   a note of the recorder, see `Note`  (asciicast)
    [0.25, "e", "text"]        shown on stderr
    [0.25, "ob", "aGk="]       bytes on stdout that are not UTF-8, base64; "eb" on stderr
    [0.25, "x", "0"]           how it exited: a status, or a signal such as "SIGTERM"

Readers of asciicast skip the codes they do not know. A target can print anything, but only
into "o", "e", "ob" and "eb": it cannot make a note. Pure: no file, no clock.
Source: https://docs.asciinema.org/manual/asciicast/v2/
"""

from codecs import utf_8_decode
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import TypeAlias

import orjson
from pybase64 import b64decode, b64encode
from pydantic_core import to_json

from recorder.errors import CorruptRecording
from recorder.session import SessionInfo, Size, session_name

LONGEST_LINE = 16 * 1024 * 1024
ROOM = 64
"""Bytes of a line beside its data, and as many more as a few escapes may take."""

_MUCH, _BEGINNING = 4096, 64
"""From how many bytes on the first few are looked at by themselves, and how many these are."""

LONGEST_CHUNK = 1024 * 1024
NO_TERMINAL = Size(80, 24)

Data: TypeAlias = bytes | bytearray | memoryview


class Stream(StrEnum):
    """Where something was shown; the value is its event code."""

    OUT = "o"
    ERR = "e"


class Code(StrEnum):
    """An event's code."""

    OUT = "o"
    ERR = "e"
    OUT_BYTES = "ob"
    ERR_BYTES = "eb"
    RESIZE = "r"
    NOTE = "m"
    EXIT = "x"


STREAM_OF = {
    Code.OUT: Stream.OUT,
    Code.OUT_BYTES: Stream.OUT,
    Code.ERR: Stream.ERR,
    Code.ERR_BYTES: Stream.ERR,
}
_CODES = {code.value: code for code in Code}


class Word(StrEnum):
    """What a note is about.

    SAID     the next event is the bastion's own line, not the target's
    FILE     what became of a file, as `FileEvent.facts` has it; the next event is its line, ours
    BEGUN    the same of what is about to be asked of the target; no line follows
    UNLISTED how many more files there were so far, of which nothing was kept: count
    LIMIT    from here on nothing that is shown is kept
    DROPPED  how much of a stream was not kept so far: bytes, sha256 (of those bytes)
    INTERRUPTED  the recorder ended without closing; `cut` bytes of a torn line were removed
    REDACTED in an export alone, its last line: how many places are left out; it is no evidence
    ENDED    the last line of a whole recording: reason, bytes, what became of the sent track
    """

    SAID = "said"
    FILE = "file"
    BEGUN = "begun"
    UNLISTED = "unlisted"
    LIMIT = "limit"
    DROPPED = "dropped"
    INTERRUPTED = "interrupted"
    REDACTED = "redacted"
    ENDED = "ended"


OURS = frozenset({Word.SAID, Word.FILE})
"""Notes before a line of the bastion's own."""


@dataclass(frozen=True, slots=True)
class Header:
    """The first line. `session` holds what the recorder was told about the session."""

    width: int
    height: int
    timestamp: int
    title: str
    term: str | None = None
    session: dict[str, object] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Event:
    """One line after the first. `time` is in seconds since the start."""

    time: float
    code: Code
    data: str

    def payload(self) -> bytes:
        """The bytes that an output event stands for. Raises CorruptRecording."""
        if self.code in (Code.OUT, Code.ERR):
            return self.data.encode()
        try:
            return b64decode(self.data, validate=True)
        except ValueError as error:
            raise CorruptRecording(f"an event at {self.time} s is not base64") from error


@dataclass(frozen=True, slots=True)
class Note:
    """What the recorder says about a recording: the label is `bastion:WORD {facts}`."""

    word: Word
    facts: dict[str, object] = field(default_factory=dict)

    def label(self) -> str:
        """The text of its "m" event."""
        facts = f" {orjson.dumps(self.facts).decode()}" if self.facts else ""
        return f"bastion:{self.word.value}{facts}"

    @classmethod
    def of(cls, event: Event) -> "Note | None":
        """The note that an event is, or None."""
        if event.code is not Code.NOTE or not event.data.startswith("bastion:"):
            return None
        word, _, facts = event.data.removeprefix("bastion:").partition(" ")
        try:
            parsed = orjson.loads(facts) if facts else {}
            return cls(Word(word), parsed) if isinstance(parsed, dict) else None
        except ValueError:
            return None


def header_of(session: int, info: SessionInfo, started_at: datetime) -> Header:
    """The header of a session's recording."""
    size = info.terminal or NO_TERMINAL
    what = info.command if info.command is not None else info.kind.value
    return Header(
        width=size.columns,
        height=size.rows,
        timestamp=int(started_at.timestamp()),
        title=f"{session_name(session)} {info.user} {info.login}@{info.host}: {what}",
        term=info.term,
        session=_facts(session, info, started_at),
    )


def header_line(header: Header) -> bytes:
    """The header as a line."""
    value: dict[str, object] = {
        "version": 2,
        "width": header.width,
        "height": header.height,
        "timestamp": header.timestamp,
        "env": {"TERM": header.term} if header.term is not None else {},
        "title": header.title,
        "bastion": header.session,
    }
    return orjson.dumps(value, option=orjson.OPT_APPEND_NEWLINE)


def event_line(time: float, code: str, data: str) -> bytes:
    """Any event as a line."""
    return orjson.dumps((time, code, data), option=orjson.OPT_APPEND_NEWLINE)


def output_lines(time: float, stream: Stream, data: Data) -> list[bytes]:
    """What was shown, as lines, at once: nothing is held back for a character to be whole.

    Text is an "o" or "e" event. Of a chunk that begins or ends inside a character, the torn
    ends (at most three bytes each) become events of bytes; any other chunk becomes one. So does a
    chunk that JSON would blow up, as it does NULs, six bytes for each.
    """
    data = bytes(data)
    if _is_no_text(data):
        return [_bytes_line(time, stream, data)]
    try:
        line = _text_line(time, stream, data)
    except ValueError:
        return _bytes_lines(time, stream, data)
    return [line] if len(line) <= 3 * len(data) + ROOM else [_bytes_line(time, stream, data)]


def pieces(data: Data) -> Iterator[Data]:
    """`data` in chunks that make lines well below LONGEST_LINE."""
    if len(data) <= LONGEST_CHUNK:
        yield data
        return
    for start in range(0, len(data), LONGEST_CHUNK):
        yield memoryview(data)[start : start + LONGEST_CHUNK]


def parse_header(line: bytes) -> Header:
    """The header that a line is. Raises CorruptRecording."""
    value = _json(line)
    if not isinstance(value, dict) or value.get("version") != 2:
        raise CorruptRecording("the first line is not an asciicast v2 header")
    width, height, timestamp = (value.get(key) for key in ("width", "height", "timestamp"))
    if not (isinstance(width, int) and isinstance(height, int) and isinstance(timestamp, int)):
        raise CorruptRecording("the header lacks width, height or timestamp")
    env, session = value.get("env"), value.get("bastion")
    term = env.get("TERM") if isinstance(env, dict) else None
    return Header(
        width=width,
        height=height,
        timestamp=timestamp,
        title=str(value.get("title", "")),
        term=term if isinstance(term, str) else None,
        session=session if isinstance(session, dict) else {},
    )


def parse_event(line: bytes) -> Event:
    """The event that a line is. Raises CorruptRecording."""
    match _json(line):
        case [float() | int() as time, str() as code, str() as data] if code in _CODES:
            return Event(float(time), _CODES[code], data)
    raise CorruptRecording("a line is not an event")


def _json(line: bytes) -> object:
    try:
        value: object = orjson.loads(line)
    except orjson.JSONDecodeError as error:
        raise CorruptRecording("a line is not JSON") from error
    return value


def _facts(session: int, info: SessionInfo, started_at: datetime) -> dict[str, object]:
    return {
        "session": session,
        "connection": info.connection,
        "user": info.user,
        "grant": info.grant,
        "host": info.host,
        "login": info.login,
        "kind": info.kind.value,
        "command": info.command,
        "source": info.source,
        "started_at": started_at.isoformat(),
        "terminal": info.terminal is not None,
    }


def _text_line(time: float, stream: Stream, data: bytes) -> bytes:
    """An event of UTF-8, as `event_line` has it. Raises ValueError where it is none.

    Beyond ASCII the other writer takes two thirds of the time: it needs no `str` of Python's.
    """
    if data.isascii():
        return event_line(time, stream.value, str(data, "ascii"))
    return to_json((time, stream.value, data)) + b"\n"


def _is_no_text(data: bytes) -> bool:
    """Whether that is seen at the beginning of much: to have it tried, and cut at its ends, takes
    longer than to write it. Of little it is never said."""
    if len(data) < _MUCH:
        return False
    try:
        utf_8_decode(data[_ended(data) : _BEGINNING])  # what is begun at its end may go on
    except ValueError:
        return True
    return False


def _bytes_lines(time: float, stream: Stream, data: bytes) -> list[bytes]:
    head, middle, tail = _parted(data)
    try:
        text = _text_line(time, stream, middle)
    except ValueError:
        return [_bytes_line(time, stream, data)]
    lines = [_bytes_line(time, stream, head)] if head else []
    if middle:
        lines.append(text)
    if tail:
        lines.append(_bytes_line(time, stream, tail))
    return lines


def _bytes_line(time: float, stream: Stream, data: Data) -> bytes:
    before = orjson.dumps((time, f"{stream.value}b"))[:-1]
    return b"".join((before, b',"', b64encode(data), b'"]\n'))


def _parted(data: bytes) -> tuple[bytes, bytes, bytes]:
    """The end of a character (at most 3 bytes), what may be text, the beginning of one."""
    start = _ended(data)
    end = len(data) - _begun(data[max(start, len(data) - 3) :])
    return data[:start], data[start:end], data[end:]


def _ended(data: bytes) -> int:
    """How many of the first bytes, at most 3, can only end a character."""
    start = 0
    while start < min(3, len(data)) and data[start] & 0xC0 == 0x80:
        start += 1
    return start


def _begun(tail: bytes) -> int:
    """How many of the last bytes begin a character without ending it (RFC 3629, section 4)."""
    for length in range(1, len(tail) + 1):
        lead = tail[-length]
        if lead & 0xC0 != 0x80:
            needed = 2 if 0xC2 <= lead < 0xE0 else 3 if lead < 0xF0 else 4
            return length if 0xC2 <= lead <= 0xF4 and length < needed else 0
    return 0
