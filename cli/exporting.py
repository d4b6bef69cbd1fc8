"""`export`: a recording for other programs, or exact bytes of it.

On the machine itself it may go to a file, and what was typed is decrypted with a key that lies
there. Over SSH it goes through the connection only, and what was typed stays encrypted.
"""

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO, Final

import click

from bastion.errors import BadInput, Conflict
from bastion.workers import Stay
from cli.arguments import SESSION
from cli.desk import Desk
from cli.identities import AWAY, HERE, demand_opened, identity_option, read_identity
from cli.redacting import demanded_redactor, redact_option, redacted_note, redactor_of
from cli.sessions import looked_at, wanted_session
from cli.verb import Verb
from recorder import Reader, RecorderError, Stream
from recorder import export as exporting
from recorder.redaction import Redactor

FORMATS: Final = ("v2", "v3", "text")

_STREAMS = {"stdout": Stream.OUT, "stderr": Stream.ERR}

SENT = "sent"
"""What names the track of what was typed, as it lies there: encrypted."""

ENCRYPTED = "encrypted"
"""What names a recording that is encrypted, as it lies there."""

STDIN = "stdin"
"""What names the same, decrypted."""

PIECE = 64 * 1024
"""Bytes that are handed to a connection at once."""


def _formed(command: Callable[..., Any]) -> Callable[..., Any]:
    """In which form, where it is not exact bytes; and compressed or not."""
    for option in (
        click.option("--gzip", is_flag=True, help="Compressed, as gzip does."),
        click.option(
            "--format",
            "form",
            type=click.Choice(FORMATS),
            help="asciicast v2 (unless told) or v3, or plain text.",
        ),
    ):
        command = option(command)
    return command


@click.command(
    cls=Verb,
    short_help="A recording for other programs, or exact bytes.",
    examples=[
        "[program] export S-31 -o S-31.cast",
        "[program] export S-31 --format v3 --gzip -o S-31.cast.gz",
        "[program] export S-31 --format text | less",
        "[program] export S-31 --redact -o for-the-vendor.cast",
        "[program] export S-31 --raw stdout | sha256sum",
        "[program] export S-31 --raw stdin --identity auditor.age -o sent.bin",
    ],
)
@click.argument("session", type=SESSION, metavar="S-N")
@click.option(
    "--raw",
    type=click.Choice([*_STREAMS, STDIN, SENT, ENCRYPTED]),
    help="The exact bytes of one stream, not an asciicast; sent is stdin as it lies there, and "
    "encrypted is a recording that is.",
)
@identity_option("--raw stdin, and for recordings that are encrypted")
@_formed
@redact_option
@click.option(
    "-o", "--output", type=click.Path(path_type=Path), metavar="FILE", help="A new file to write."
)
@click.pass_obj
def export(
    desk: Desk,
    *,
    session: int,
    raw: str | None,
    identity: Path | None,
    form: str | None,
    gzip: bool,
    redact: bool,
    output: Path | None,
) -> None:
    """A recording for other programs: an asciicast, plain text, or exact bytes.

    It is evidence and holds everything that was shown, escape sequences too: look at it with
    replay. Only plain text has none; what the patterns of [recording] redact find is left out of
    it. With --redact that is left out of an asciicast too: a copy for others, marked as such.
    """
    if raw == STDIN and identity is None:
        raise BadInput("--raw stdin needs --identity FILE, the auditors' private key.")
    wanted = _wanted(raw, form)
    redactor = _redactor(desk, raw, form, redact=redact)
    key = None if identity is None else read_identity(identity)
    _demand_lying(desk, session, raw, key, HERE)
    reader = desk.services.archive.open(looked_at(desk, session, _how(raw, redact)), key=key)
    with _sink(output) as sink, _packed(sink, gzip=gzip) as out:
        if raw == STDIN and key is not None:
            exporting.sent(reader.sent_path, key, out)
        else:
            _write(reader, wanted, redactor, out)
    _say_redacted(desk, redactor)


class _Streams(click.Choice[str]):
    """What can be had over SSH."""

    def convert(self, value: str, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """One of them. Raises BadInput for what was typed in the clear."""
        if value == STDIN:
            raise BadInput(
                "What was typed is opened where the auditors' private key is, and never on the "
                "bastion: take --raw sent."
            )
        return super().convert(value, param, ctx)


@click.command(
    "export",
    cls=Verb,
    short_help="A recording for other programs, or exact bytes.",
    examples=[
        "[program] export S-31 > S-31.cast",
        "[program] export S-31 --format text | less",
        "[program] export S-31 --raw stdout | sha256sum",
        "[program] export S-31 --raw sent > S-31.sent",
    ],
)
@click.argument("session", type=SESSION, metavar="S-N")
@click.option(
    "--raw",
    type=_Streams([*_STREAMS, SENT, ENCRYPTED]),
    help="The exact bytes of one stream, not an asciicast; sent is what was typed, encrypted, and "
    "encrypted a recording that is.",
)
@_formed
@redact_option
@click.pass_obj
def export_away(
    desk: Desk, *, session: int, raw: str | None, form: str | None, gzip: bool, redact: bool
) -> None:
    """A recording for other programs: an asciicast, plain text, or exact bytes.

    It is evidence and holds everything that was shown, escape sequences too: look at it with
    replay. Only plain text has none. What was typed comes encrypted, and is opened where the
    auditors' key is.
    """
    if desk.output.terminal:
        raise BadInput("That would go to your terminal as it is: leave out -t, and write > FILE.")
    wanted = _wanted(raw, form)
    wanted_session(desk.services, session)
    desk.settle(Stay.READING)
    redactor = _redactor(desk, raw, form, redact=redact)
    _demand_lying(desk, session, raw, None, AWAY)
    found = looked_at(desk, session, _how(raw, redact))
    reader = desk.services.archive.open(found, desk.breathe)
    out = _Gathered(desk)
    try:
        with _packed(out, gzip=gzip) as packed:
            _write(reader, wanted, redactor, packed)
    except RecorderError:
        out.flush()  # what could be read is theirs
        raise
    out.flush()
    _say_redacted(desk, redactor)


def _how(raw: str | None, redact: bool) -> str:
    return f"export{'' if raw is None else f' {raw}'}{' redacted' if redact else ''}"


def _redactor(desk: Desk, raw: str | None, form: str | None, *, redact: bool) -> Redactor | None:
    """What redacts: always of text, which is for reading; else where it is asked for.

    Raises BadInput, Conflict.
    """
    if not redact:
        redactor = redactor_of(desk)
        return redactor if form == "text" and redactor.active else None
    if raw is not None:
        raise BadInput("Exact bytes are never redacted: leave out --redact or --raw.")
    return demanded_redactor(desk)


def _say_redacted(desk: Desk, redactor: Redactor | None) -> None:
    if redactor is not None:
        desk.output.note(redacted_note(redactor.count))


def _wanted(raw: str | None, form: str | None) -> str:
    """A format, or a stream. Raises BadInput for both."""
    if raw is not None and form is not None:
        raise BadInput("Exact bytes have no format: leave out --format or --raw.")
    return raw or form or FORMATS[0]


def _write(reader: Reader, wanted: str, redactor: Redactor | None, out: exporting.Sink) -> None:
    match wanted:
        case "v2" | "v3":
            exporting.asciicast(reader, out, redactor, version=2 if wanted == "v2" else 3)
        case "text":
            exporting.text(reader, out, redactor)
        case _ if wanted == SENT:
            exporting.track(reader, out)
        case _ if wanted == ENCRYPTED:
            exporting.covered(reader, out)
        case _:
            exporting.raw(reader, _STREAMS[wanted], out)


@contextmanager
def _packed(out: exporting.Sink, *, gzip: bool) -> Iterator[exporting.Sink]:
    """Compressed where that is wanted: whole also where not all of it could be read."""
    if not gzip:
        yield out
        return
    packed = exporting.Gzipped(out)
    try:
        yield packed
    except RecorderError:
        packed.end()
        raise
    packed.end()


def _demand_lying(desk: Desk, number: int, raw: str | None, key: str | None, instead: str) -> None:
    """Raises Conflict where what is asked for does not lie there, or not in plain."""
    if raw not in (STDIN, SENT, ENCRYPTED):
        demand_opened(desk, number, key, instead)
    session = wanted_session(desk.services, number)
    if raw == ENCRYPTED and not desk.services.archive.is_covered(session):
        raise Conflict(f"{session.name} is not encrypted: leave out --raw encrypted.")


class _Gathered:
    """Bytes on their way through a connection, some at a time."""

    def __init__(self, desk: Desk) -> None:
        self._hand_over = desk.output.data
        self._held = bytearray()

    def write(self, data: bytes, /) -> None:
        """Take all of them."""
        self._held += data
        if len(self._held) >= PIECE:
            self.flush()

    def flush(self) -> None:
        """Hand over what is held."""
        held, self._held = bytes(self._held), bytearray()
        self._hand_over(held)


@contextmanager
def _sink(file: Path | None) -> Iterator[BinaryIO]:
    """Where bytes go: standard output, or a new file that vanishes if it can't be finished."""
    if file is None:
        if sys.stdout.isatty():
            raise BadInput("That would go to your terminal as it is: give -o FILE, or a pipe.")
        yield sys.stdout.buffer
        sys.stdout.buffer.flush()
        return
    try:
        descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    except FileExistsError:
        raise Conflict(f"{file} is there already: name another, or remove it.") from None
    try:
        with os.fdopen(descriptor, "wb") as out:
            yield out
    except BaseException:
        file.unlink(missing_ok=True)
        raise
