"""`transcript`: what a session showed, as text; on the machine itself also what was typed."""

from collections.abc import Callable, Iterable
from datetime import timedelta
from itertools import takewhile
from math import inf
from pathlib import Path
from typing import Any, Final

import click
import orjson

from bastion.workers import Stay
from cli.arguments import OFFSET, SESSION
from cli.desk import Desk
from cli.identities import (
    AWAY,
    HERE,
    demand_content,
    demand_key_for,
    demand_opened,
    identity_option,
    read_identity,
)
from cli.listing import as_json
from cli.offsets import shown_offset
from cli.output import Output, exact
from cli.redacting import redacted_note, redactor_of
from cli.sessions import looked_at, wanted_session
from cli.verb import Verb
from recorder import Kind, Line, Place, Reader, Session, Transcripts
from recorder.beside import Beside
from recorder.redaction import Redactor
from recorder.sent_reader import Track
from recorder.timeline import What

_MARKS: Final = {Place.SCREEN: " ", Place.COMMAND: "$", Place.FILE: "*", Place.BASTION: "*"}
_TYPED: Final = {
    What.SHOWN: ("screen", " "),
    What.RAN: ("command", "$"),
    What.FILE: ("file", "*"),
    What.SAID: ("bastion", "*"),
    What.TYPED: ("typed", ">"),
    What.PIPED: ("piped", ">"),
}
"""The place of a line of a timeline, and its mark."""


def _about(command: Callable[..., Any]) -> Callable[..., Any]:
    """What says of which session, and which part of it."""
    for option in (
        as_json,
        click.option("--until", "end", type=OFFSET, help="End at this point."),
        click.option(
            "--from", "start", type=OFFSET, default="0", help="Begin at this point, as 0:03:12."
        ),
        click.argument("session", type=SESSION, metavar="S-N"),
    ):
        command = option(command)
    return command


@click.command(
    cls=Verb,
    short_help="What a session showed, as text.",
    examples=[
        "[program] transcript S-31 | less",
        "[program] transcript S-31 --from 0:03:12 --until 0:05:00",
        "[program] transcript S-31 --input --identity auditor.age",
        "[program] transcript S-31 --json",
    ],
)
@_about
@click.option("--input", "typed", is_flag=True, help="Beside it, what was typed or piped.")
@identity_option("--input, and for recordings that are encrypted")
@click.option("--unmask", is_flag=True, help="With --input: also what was not echoed.")
@click.pass_obj
def transcript(
    desk: Desk,
    *,
    session: int,
    start: float,
    end: float | None,
    json: bool,
    typed: bool,
    identity: Path | None,
    unmask: bool,
) -> None:
    """What a session showed, as text: line by line, with the time since its beginning.

    It is how lines ended up: a progress bar is its last state, a command is what was run, and a
    full-screen program is its screens, each line once. A line that is the bastion's own begins with
    *, a command line with $; whatever else is there, the target has shown. What the patterns of
    [recording] redact find is left out. It is for reading: the evidence is the recording, which
    replay shows.

    With --input, lines that begin with > are what was typed or piped in; what the terminal did
    not echo is masked, as replay does.
    """
    demand_key_for(typed=typed, unmask=unmask, identity=identity)
    key = None if identity is None else read_identity(identity)
    demand_opened(desk, session, key, HERE)
    how = f"transcript{' input' if typed else ''}{' unmasked' if unmask else ''}"
    found = looked_at(desk, session, how)
    reader = desk.services.archive.open(found, key=key)
    if not typed or key is None:
        _tell(desk, found, reader, start, end, json=json)
        return
    demand_content(found)
    track, redactor = Track(reader.sent_path, key), redactor_of(desk)
    lines = Beside(reader, track, unmask=unmask, redact=redactor).lines(inf if end is None else end)
    parts = ((line.time, *_TYPED[line.what], line.text) for line in lines)
    _said(desk, found, (part for part in parts if part[0] >= start), json=json)
    _remark(desk, redactor, track)


@click.command(
    "transcript",
    cls=Verb,
    short_help="What a session showed, as text.",
    examples=[
        "[program] transcript S-31 | less",
        "[program] transcript S-31 --from 0:03:12 --until 0:05:00",
        "[program] transcript S-31 --json",
    ],
)
@_about
@click.pass_obj
def transcript_away(
    desk: Desk, *, session: int, start: float, end: float | None, json: bool
) -> None:
    """What a session showed, as text: line by line, with the time since its beginning.

    It is how lines ended up: a progress bar is its last state, a command is what was run, and a
    full-screen program is its screens, each line once. A line that is the bastion's own begins with
    *, a command line with $; whatever else is there, the target has shown. What the patterns of
    [recording] redact find is left out. It is for reading: the evidence is the recording, which
    replay shows.
    """
    wanted_session(desk.services, session)
    desk.settle(Stay.READING)
    demand_opened(desk, session, None, AWAY)
    found = looked_at(desk, session, "transcript")
    _tell(desk, found, desk.services.archive.open(found, desk.breathe), start, end, json=json)


Part = tuple[float, str, str, str]
"""A line's time, place, mark and text."""


def _tell(
    desk: Desk, session: Session, reader: Reader, start: float, end: float | None, *, json: bool
) -> None:
    redactor, events = redactor_of(desk), reader.events()
    if end is not None:
        events = takewhile(lambda event: event.time <= end, events)
    lines = Transcripts(redactor).lines(reader.header(), events)
    parts = ((line.time, line.place.value, _MARKS[line.place], line.text) for line in lines)
    _said(desk, session, (part for part in parts if part[0] >= start), json=json)
    _remark(desk, redactor)


def _remark(desk: Desk, redactor: Redactor, track: Track | None = None) -> None:
    """What is to be said besides. Raises CorruptRecording for a track that could not be read."""
    if redactor.count:
        desk.output.note(redacted_note(redactor.count))
    if track is not None:
        for remark in track.remarks:
            desk.output.note(remark)
        if track.problem is not None:
            raise track.problem


def _said(desk: Desk, session: Session, lines: Iterable[Part], *, json: bool) -> None:
    if json:
        _document(desk.output, session, lines)
    elif not _printed(desk.output, lines):
        desk.output.note(_nothing(session))


def _printed(output: Output, lines: Iterable[Part]) -> bool:
    """Whether there was anything."""
    any_ = False
    for time, _, mark, text in lines:
        any_ = True
        output.line(f"[{shown_offset(time)}] {mark} {text}")
    return any_


def told(line: Line) -> str:
    """A line of a transcript, with its time and what it is."""
    return f"[{shown_offset(line.time)}] {_MARKS[line.place]} {line.text}"


def _document(output: Output, session: Session, lines: Iterable[Part]) -> None:
    """One JSON document, written as it is read."""
    before = "[\n  "
    try:
        for line in lines:
            output.out(f"{before}{orjson.dumps(_shape(session, line)).decode()}")
            before = ",\n  "
    finally:
        output.out("[]\n" if before == "[\n  " else "\n]\n")


def _shape(session: Session, line: Part) -> dict[str, object]:
    time, place, _, text = line
    at = exact(session.started_at + timedelta(seconds=time))
    return {"offset": time, "at": at, "place": place, "text": text}


def _nothing(session: Session) -> str:
    if session.kind is Kind.FORWARD:
        return f"{session.name} is a forward: of what went over, only lengths and hashes are kept."
    return f"{session.name} has shown nothing that can be read."
