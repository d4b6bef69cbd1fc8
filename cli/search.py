"""`search`: which lines of what was shown hold a text. The same on the machine and over SSH."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Final

import click

from bastion import happenings
from bastion.errors import BadInput
from bastion.events import Details, moment
from cli import lookup
from cli.arguments import GRANT, HOST, LOGIN, PAST, SESSION, USER
from cli.desk import Desk
from cli.listing import Form, listed, tell
from cli.offsets import shown_offset
from cli.output import Marked, Row
from cli.shapes import Shape
from cli.verb import Verb
from recorder import Kind, Session, Wanted
from recorder.needle import Needle
from recorder.nouns import counted
from recorder.texts import Found, Hit, Standing, State, WantedLines

NEWEST: Final = 200
"""Sessions of which it is said when they could not be searched, the newest."""

NAMED: Final = 5
"""Of so many it is said which they are."""

BEFORE, AROUND = 40, 160
"""Characters of a long line that are shown in a table: before what was found, and in all."""


@click.command(
    cls=Verb,
    short_help="Lines of what was shown that hold a text.",
    examples=[
        "[program] search 'DROP TABLE' --user alice --since 2026-11-01",
        "[program] search /etc/shadow --host web-1",
        "[program] search --session S-31 -- --force",
    ],
)
@click.argument("text", nargs=-1, required=True, metavar="TEXT…")
@click.option("--session", "number", type=SESSION, metavar="S-N", help="Only of this session.")
@click.option("--user", type=USER, help="Only this person's.")
@click.option("--host", type=HOST, help="Only on this host.")
@click.option("--login", type=LOGIN, help="Only as this account.")
@click.option("--grant", type=GRANT, metavar="G-N", help="Only by this grant.")
@click.option("--kind", type=click.Choice([kind.value for kind in Kind]), help="Only of this kind.")
@click.option(
    "--since", type=PAST, metavar="TIME", help="Shown then or later; 2h is two hours ago."
)
@click.option("--until", type=PAST, metavar="TIME", help="Shown before then.")
@listed
@click.pass_obj
def search(
    desk: Desk,
    *,
    form: Form,
    text: tuple[str, ...],
    number: int | None,
    user: str | None,
    host: str | None,
    login: str | None,
    grant: int | None,
    kind: str | None,
    since: datetime | None,
    until: datetime | None,
) -> None:
    """Lines that hold TEXT, the newest first: what sessions showed, their commands, their files.

    Case does not matter, and all signs mean themselves. TEXT begins where a word begins; its last
    word may go on, so `/etc/shad` finds /etc/shadow. What begins with - stands behind --.

    It is searched in transcripts, within seconds of a session's end; of a live one it is what was
    shown until a minute ago. Of each session ten lines are given, of --session all.
    """
    services = desk.services
    wanted = WantedLines(
        session=number,
        user=user,
        host=lookup.name_of_host(services, host),
        login=login,
        grant=grant,
        kind=None if kind is None else Kind(kind),
        since=since,
        until=until,
    )
    needle = _needle(" ".join(text))
    found = services.texts.find(needle, wanted, limit=form.limit, rest=desk.breathe)
    told = happenings.of_search(desk.actor, needle.text, _told(wanted), len(found.hits))
    services.store.tell(told, services.clock.now())
    rows = list(_rows(services.index.read({hit.session for hit in found.hits}), found.hits))
    if not rows:
        lookup.demand_known(services, user, host)
    tell(desk, form, "such lines", _COLUMNS, [(each.row, each.shape) for each in rows])
    for sentence in _remarks(desk, form, wanted, found, rows):
        desk.output.note(sentence)


_COLUMNS = ("session", "user", "host", "offset", "in", "line")


_NONE: Final = Standing(State.GROWING)


@dataclass(frozen=True, slots=True)
class _Line:
    session: Session
    hit: Hit

    @property
    def offset(self) -> str:
        """Where a replay is to begin to show it."""
        return shown_offset(self.hit.line.time)

    @property
    def row(self) -> Row:
        """As a table has it."""
        place = self.hit.line.place
        line = _excerpt(self.hit)
        return (self.session.name, self.session.user, self.session.host, self.offset, place, line)

    @property
    def shape(self) -> Shape:
        """As JSON."""
        session, line = self.session, self.hit.line
        return {
            "session": session.name,
            "user": session.user,
            "host": session.host,
            "login": session.login,
            "grant": f"G-{session.grant}",
            "kind": session.kind,
            "at": self.hit.at,
            "offset": line.time,
            "from": self.offset,
            "place": line.place,
            "text": line.text,
            "spans": [list(span) for span in self.hit.spans],
        }


def _needle(text: str) -> Needle:
    try:
        return Needle(text)
    except ValueError as error:
        raise BadInput(
            f"{text[:60]!a} can't be looked for, as {error}: it is searched by words."
        ) from None


def _told(wanted: WantedLines) -> dict[str, Details]:
    """What the log of events has of it."""
    return {
        "session": None if wanted.session is None else f"S-{wanted.session}",
        "user": wanted.user,
        "host": wanted.host,
        "login": wanted.login,
        "grant": None if wanted.grant is None else f"G-{wanted.grant}",
        "kind": wanted.kind,
        "since": None if wanted.since is None else moment(wanted.since),
        "until": None if wanted.until is None else moment(wanted.until),
    }


def _rows(sessions: dict[int, Session | None], hits: Iterable[Hit]) -> Iterator[_Line]:
    for hit in hits:
        session = sessions.get(hit.session)
        if session is not None:
            yield _Line(session, hit)


def _excerpt(hit: Hit) -> Marked:
    """The line, or of a long one what is around the place that was found."""
    text, (first, *_) = hit.line.text, hit.spans
    start = max(0, min(first[0] - BEFORE, len(text) - AROUND))
    end = min(len(text), max(start + AROUND, first[1]))
    before, behind = "…" if start else "", "…" if end < len(text) else ""
    shift = len(before) - start
    inside = (span for span in hit.spans if span[0] >= start and span[1] <= end)
    spans = [(begin + shift, stop + shift) for begin, stop in inside]
    return Marked(f"{before}{text[start:end]}{behind}", spans)


def _remarks(
    desk: Desk, form: Form, wanted: WantedLines, found: Found, rows: list[_Line]
) -> Iterator[str]:
    if rows and not form.json and not form.csv:
        newest = rows[0]
        yield f"Look at it: {desk.program} replay {newest.session.name} --from {newest.offset}"
    if found.more:
        yield "There are more such lines: narrow the search, or give a higher --limit."
    if found.more_in:
        names = _names(found.more_in)
        yield f"{names} {_has(found.more_in)} more of it: --session gives all of one."
    if found.back_to is not None:
        back = f"{found.back_to:%Y-%m-%dT%H:%M:%SZ}"
        yield f"That took too long: it was not searched further back. Go on with --until {back}"
    yield from _not_searched(desk, wanted)


def _not_searched(desk: Desk, wanted: WantedLines) -> Iterator[str]:
    """Of the newest sessions that were meant: those of which not everything was searched."""
    services = desk.services
    meant = _meant(desk, wanted)
    known = services.texts.standings([session.id for session in meant])
    live = [each.id for each in meant if each.live]
    if live:
        goes = "go on" if live[1:] else "goes on"
        yield f"{_names(live)} {goes}: what was shown in the last minute may not be searched yet."
    late = [each.id for each in meant if not each.live and _is_late(each, known.get(each.id))]
    if late:
        yield f"Not searched yet: {_names(late)}."
    for each in meant:
        standing = known.get(each.id)
        if standing is not None and standing.state is State.FAILED:
            yield f"{each.name} can't be searched: {standing.reason}."
    closed = [each.id for each in meant if known.get(each.id, _NONE).state is State.CLOSED]
    if closed:
        yield f"Only commands and files were searched of {_names(closed)}: the rest is encrypted."
    cut = [number for number, standing in known.items() if standing.left_out]
    if cut:
        yield f"Not all was searched of {_names(sorted(cut))}: more was shown than anybody reads."


def _meant(desk: Desk, wanted: WantedLines) -> list[Session]:
    index = desk.services.index
    if wanted.session is not None:
        found = index.get(wanted.session)
        return [] if found is None else [found]
    narrowed = Wanted(
        user=wanted.user,
        host=wanted.host,
        login=wanted.login,
        grant=wanted.grant,
        kind=wanted.kind,
        until=wanted.until,
    )
    sessions = index.find(narrowed, limit=NEWEST)
    since = wanted.since
    return [each for each in sessions if since is None or (each.ended_at or since) >= since]


def _is_late(session: Session, standing: Standing | None) -> bool:
    if session.recording.let_go_at is not None:
        return False
    return standing is None or standing.state is State.GROWING


def _names(sessions: Iterable[int]) -> str:
    """`S-3, S-2 and 14 others`."""
    names = [f"S-{number}" for number in sessions]
    shown, others = names[:NAMED], len(names) - NAMED
    if others > 0:
        return f"{', '.join(shown)} and {counted(others, 'other')}"
    return ", ".join(shown)


def _has(sessions: tuple[int, ...]) -> str:
    return "has" if len(sessions) == 1 else "have"


@click.command(cls=Verb, examples=["[program] reindex"])
@click.pass_obj
def reindex(desk: Desk) -> None:
    """Make the text index anew, from the recordings.

    After other patterns say what is redacted, and for recordings that could not be read. The
    service does it by and by; until then it is searched as it was.
    """
    desk.services.texts.make_anew()
    desk.output.note(
        "The text index is made anew by the service, while it runs or when it is started next. "
        "It is searched meanwhile."
    )
