"""`transcript`: what a session showed, as text. The same on the machine itself and over SSH."""

from collections.abc import Iterable, Iterator
from datetime import timedelta
from itertools import takewhile

import click
import orjson

from bastion.workers import Stay
from cli.arguments import OFFSET, SESSION
from cli.desk import Desk
from cli.listing import as_json
from cli.offsets import shown_offset
from cli.output import Output, exact
from cli.sessions import looked_at, wanted_session
from cli.verb import Verb
from recorder import Kind, Line, Place, Reader, Session

_MARKS = {Place.SCREEN: " ", Place.COMMAND: "$", Place.FILE: "*", Place.BASTION: "*"}


@click.command(
    cls=Verb,
    short_help="What a session showed, as text.",
    examples=[
        "[program] transcript S-31 | less",
        "[program] transcript S-31 --from 0:03:12 --until 0:05:00",
        "[program] transcript S-31 --json",
    ],
)
@click.argument("session", type=SESSION, metavar="S-N")
@click.option("--from", "start", type=OFFSET, default="0", help="Begin at this point, as 0:03:12.")
@click.option("--until", "end", type=OFFSET, help="End at this point.")
@as_json
@click.pass_obj
def transcript(desk: Desk, *, session: int, start: float, end: float | None, json: bool) -> None:
    """What a session showed, as text: line by line, with the time since its beginning.

    It is how lines ended up: a progress bar is its last state, a command is what was run, and a
    full-screen program is its screens, each line once. A line that is the bastion's own begins with
    *, a command line with $; whatever else is there, the target has shown. It is for reading: the
    evidence is the recording, which replay shows.
    """
    services = desk.services
    wanted_session(services, session)
    desk.settle(Stay.READING)
    found = looked_at(desk, session, "transcript")
    reader = services.archive.open(found, desk.breathe)
    lines = (line for line in _lines(desk, reader, end) if line.time >= start)
    if json:
        _document(desk.output, found, lines)
    elif not _printed(desk.output, lines):
        desk.output.note(_nothing(found))


def _lines(desk: Desk, reader: Reader, end: float | None) -> Iterator[Line]:
    events = reader.events()
    if end is not None:
        events = takewhile(lambda event: event.time <= end, events)
    return desk.services.transcripts.lines(reader.header(), events)


def _printed(output: Output, lines: Iterable[Line]) -> bool:
    """Whether there was anything."""
    any_ = False
    for line in lines:
        any_ = True
        output.line(told(line))
    return any_


def told(line: Line) -> str:
    """A line of a transcript, with its time and what it is."""
    return f"[{shown_offset(line.time)}] {_MARKS[line.place]} {line.text}"


def _document(output: Output, session: Session, lines: Iterable[Line]) -> None:
    """One JSON document, written as it is read."""
    before = "[\n  "
    try:
        for line in lines:
            output.out(f"{before}{orjson.dumps(_shape(session, line)).decode()}")
            before = ",\n  "
    finally:
        output.out("[]\n" if before == "[\n  " else "\n]\n")


def _shape(session: Session, line: Line) -> dict[str, object]:
    return {
        "offset": line.time,
        "at": exact(session.started_at + timedelta(seconds=line.time)),
        "place": line.place.value,
        "text": line.text,
    }


def _nothing(session: Session) -> str:
    if session.kind is Kind.FORWARD:
        return f"{session.name} is a forward: of what went over, only lengths and hashes are kept."
    return f"{session.name} has shown nothing that can be read."
