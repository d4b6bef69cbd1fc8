"""`export`: a recording for other programs, or exact bytes of it."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

import click

from bastion.errors import BadInput, Conflict
from cli.arguments import SESSION
from cli.desk import Desk
from cli.identities import identity_option, read_identity
from cli.sessions import looked_at
from cli.verb import Verb
from recorder import Stream
from recorder import export as exporting

_STREAMS = {"stdout": Stream.OUT, "stderr": Stream.ERR}


@click.command(
    cls=Verb,
    short_help="A recording for other programs, or exact bytes.",
    examples=[
        "[program] export S-31 -o S-31.cast",
        "[program] export S-31 --raw stdout | sha256sum",
        "[program] export S-31 --raw stdin --identity auditor.age -o sent.bin",
    ],
)
@click.argument("session", type=SESSION, metavar="S-N")
@click.option(
    "--raw",
    type=click.Choice(["stdout", "stderr", "stdin"]),
    help="The exact bytes of one stream, not an asciicast.",
)
@identity_option("--raw stdin")
@click.option(
    "-o", "--output", type=click.Path(path_type=Path), metavar="FILE", help="A new file to write."
)
@click.pass_obj
def export(
    desk: Desk, *, session: int, raw: str | None, identity: Path | None, output: Path | None
) -> None:
    """A recording for other programs: an asciicast v2, or exact bytes.

    It is evidence and holds everything that was shown, escape sequences too: look at it with
    replay.
    """
    if (raw == "stdin") != (identity is not None):
        raise BadInput("--raw stdin and --identity FILE belong together.")
    how = "export" if raw is None else f"export {raw}"
    reader = desk.services.archive.open(looked_at(desk, session, how))
    key = read_identity(identity) if identity is not None else ""
    with _sink(output) as out:
        if raw is None:
            exporting.asciicast(reader, out)
        elif raw == "stdin":
            exporting.sent(reader.sent_path, key, out)
        else:
            exporting.raw(reader, _STREAMS[raw], out)


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
