"""The sessions of a pack on its page: what each was, showed and did to files. Pure."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Final

from bastion.events import Event
from cli import shapes
from cli.evidence.facts import Facts, Held
from cli.evidence.markup import Html, joined, lines, link, said, tag
from cli.evidence.parts import cut, hash_of, properties, short, table
from cli.evidence.words import said as at_second
from cli.sessions import lasted
from recorder import FileRow, Session
from recorder.nouns import counted

MOST_SESSIONS: Final = 500
MOST_FILES: Final = 200
MOST_FILES_IN_ALL: Final = 2000
"""Of one session, and of all of them."""
MOST_LINES: Final = 400
MOST_LINES_IN_ALL: Final = 10_000
"""Of the transcript of one session, and of all of them."""


@dataclass(frozen=True, slots=True)
class Told:
    """What the page is told beside the facts: the events; the files of a session; and what it
    showed, as lines of text."""

    events: Iterable[Event]
    files: Callable[[Held], Iterable[FileRow]]
    shown: Callable[[Held], Iterable[str]]


def of_sessions(facts: Facts, told: Told) -> Iterator[Html]:
    """The section of each session, as far as the page has room."""
    if not facts.held:
        yield tag("p", "There were none.", class_="quiet")
    rows, lines_left = MOST_FILES_IN_ALL, MOST_LINES_IN_ALL
    for held in facts.held[:MOST_SESSIONS]:
        most = min(rows, MOST_FILES)
        files = list(islice(told.files(held), most + 1))
        rows -= min(len(files), most)
        longest = min(lines_left, MOST_LINES)
        shown = list(islice(told.shown(held), longest + 1))
        lines_left -= min(len(shown), longest)
        yield _session(held, _files(files, most), _shown(held, shown, longest))
    yield cut(len(facts.held) - MOST_SESSIONS, "session", "sessions.json")


def _session(held: Held, files: Html | None, shown: Html | None) -> Html:
    session = held.session
    kind = "wrong" if held.findings else "good" if held.sound else "care"
    status = session.exit_signal if session.exit_status is None else session.exit_status
    ended = "it goes on" if session.live else session.end_reason
    kill = held.beside.kill
    seal = held.kept and f"manifest {held.kept.number}, sealed {at_second(held.kept.at)}"
    return tag(
        "section",
        tag("h3", session.name, " ", tag("span", held.standing, class_=f"mark {kind}")),
        *(tag("p", finding.sentence, class_="verdict wrong") for finding in held.findings),
        properties(
            [
                ("what", f"{session.kind} at {session.host} as {session.login}"),
                ("command", session.command and tag("code", said(short(session.command)))),
                ("from", f"{session.source}, C-{session.connection}"),
                ("began", session.started_at),
                ("ended", session.ended_at),
                ("lasted", lasted(session)),
                ("how it ended", ended),
                ("ended by", kill and said(f"{kill.by}: {kill.reason}")),
                ("exit", status),
                ("shown", counted(session.bytes_out, "byte")),
                ("sent", counted(session.bytes_in, "byte")),
                ("recording", None if held.laid else _recording(session)),
                ("seal", seal),
            ]
        ),
        shown,
        files,
        class_="session",
        id=session.name,
    )


def _shown(held: Held, shown: Sequence[str], most: int) -> Html | None:
    """The beginning of what a session showed."""
    if not shown:
        return None
    file = f"transcripts/{held.session.name}.txt"
    what = "What it showed, as text; the evidence is the recording."
    more = tag("p", "There is more: ", link(file, file), " has all.", class_="quiet")
    screen = tag("pre", lines("\n".join(shown[:most])), class_="screen")
    return joined(
        [
            tag("p", what, class_="quiet"),
            screen if most else None,
            more if len(shown) > most else None,
        ]
    )


def _recording(session: Session) -> Html:
    """Where it lies in the pack, and its hash."""
    name = session.recording.path.rpartition("/")[2]
    return joined([link(name, f"recordings/{name}"), " ", hash_of(session.recording.sha256)])


def _files(rows: Sequence[FileRow], most: int) -> Html | None:
    """The first files of a session, and that there are more."""
    if not rows:
        return None
    columns = ("file", "#bytes", "sha256", "result")
    cells = [
        (_path(row), row.event.bytes, hash_of(row.event.sha256), said(row.event.result))
        for row in rows[:most]
    ]
    every = link("files.csv", "files.csv")
    more = tag("p", "There are more files: ", every, " has all.", class_="quiet")
    return joined([table(columns, cells), more if len(rows) > most else None])


def _path(row: FileRow) -> Html:
    shape = shapes.file(row)
    other = shape["other"]
    path = tag("code", said(shape["path"]))
    to = None if other is None else joined([" to ", tag("code", said(other))])
    return joined([row.event.operation, " ", path, to])
