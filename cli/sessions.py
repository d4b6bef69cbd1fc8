"""`bastion-admin sessions`, `replay`, `watch`, `export`, `kill`: what was, and what is."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import datetime
from pathlib import Path
from typing import BinaryIO

import click

from bastion import happenings
from bastion.app import Services
from bastion.durations import format_duration, parse_duration
from bastion.errors import BadInput, Conflict, NotFound
from cli import lookup, shapes
from cli.arguments import GRANT, HOST, LOGIN, MOMENT, SESSION, USER
from cli.desk import Desk
from cli.listing import Form, listed, tell
from cli.verb import Verb
from recorder import Kind, Session, Stream, Wanted
from recorder import export as exporting
from recorder.following import follow
from recorder.replay import Pace, play

_STREAMS = {"stdout": Stream.OUT, "stderr": Stream.ERR}

LONGEST_IDENTITY = 64 * 1024
"""Bytes of an auditor's identity file."""


@click.command(
    cls=Verb,
    examples=[
        "[program] sessions --live",
        "[program] sessions --user alice --since 2026-11-01 --csv",
    ],
)
@click.option("--user", type=USER, help="Only this person's.")
@click.option("--host", type=HOST, help="Only on this host.")
@click.option("--login", type=LOGIN, help="Only as this account.")
@click.option("--grant", "number", type=GRANT, metavar="G-N", help="Only by this grant.")
@click.option("--kind", type=click.Choice([kind.value for kind in Kind]), help="Only of this kind.")
@click.option("--live/--over", "live", default=None, help="Only those that go on, or have ended.")
@click.option("--since", type=MOMENT, metavar="TIME", help="That began at that time or later.")
@click.option("--until", type=MOMENT, metavar="TIME", help="That began before that time.")
@listed
@click.pass_obj
def sessions(
    desk: Desk,
    *,
    form: Form,
    user: str | None,
    host: str | None,
    login: str | None,
    number: int | None,
    kind: str | None,
    live: bool | None,
    since: datetime | None,
    until: datetime | None,
) -> None:
    """What went through the bastion, the newest first."""
    services = desk.services
    wanted = Wanted(
        user=user,
        host=lookup.name_of_host(services, host),
        login=login,
        grant=number,
        kind=None if kind is None else Kind(kind),
        live=live,
        since=since,
        until=until,
    )
    found = [
        (_row(each), shapes.session(each))
        for each in services.index.find(wanted, limit=form.enough)
    ]
    if not found:
        lookup.demand_known(services, user, host)
    columns = ("id", "user", "host", "login", "kind", "grant", "began", "lasted", "end", "command")
    tell(desk, form, "sessions", columns, found)


def _row(session: Session) -> tuple[object, ...]:
    return (
        session.name,
        session.user,
        session.host,
        session.login,
        session.kind,
        f"G-{session.grant}",
        session.started_at,
        lasted(session),
        session.end_reason or "live",
        session.command,
    )


def lasted(session: Session) -> str:
    """How long a session lasted; nothing while it goes on."""
    if session.ended_at is None:
        return ""
    return format_duration(session.ended_at - session.started_at)


def wanted_session(services: Services, number: int) -> Session:
    """The session `S-<number>`. Raises NotFound."""
    session = services.index.get(number)
    if session is None:
        raise NotFound(f"There is no session S-{number}: bastion-admin sessions lists them.")
    return session


def looked_at(desk: Desk, number: int, how: str) -> Session:
    """The session `S-<number>`, for somebody to look at: that is told first. Raises NotFound."""
    found = wanted_session(desk.services, number)
    services = desk.services
    services.store.tell(happenings.of_look(desk.actor, found, how), services.clock.now())
    return found


@click.command(
    cls=Verb,
    examples=[
        "[program] replay S-31",
        "[program] replay S-31 --speed 4 --idle 1 --from 2m",
        "[program] replay S-31 | less",
    ],
)
@click.argument("session", type=SESSION, metavar="S-N")
@click.option(
    "--speed",
    type=click.FloatRange(0.01, 1000),
    default=1.0,
    show_default=True,
    help="So many times as fast.",
)
@click.option(
    "--idle", type=click.FloatRange(0, 86_400), help="No pause longer than these seconds."
)
@click.option("--from", "start", metavar="DURATION", help="Begin at this point, as in 90s or 2m.")
@click.option("--at", type=MOMENT, metavar="TIME", help="Begin at this time of day.")
@click.pass_obj
def replay(
    desk: Desk,
    *,
    session: int,
    speed: float,
    idle: float | None,
    start: str | None,
    at: datetime | None,
) -> None:
    """Show a session again.

    On a terminal it is paced: space pauses, ctrl-c ends it. Elsewhere it is printed at once. What
    could harm your terminal is left out.
    """
    services = desk.services
    found = looked_at(desk, session, "replay")
    pace = Pace(speed, idle, _start(found, start, at))
    play(services.archive.open(found), pace, sys.stdout)


WATCH_STEP = 0.05
"""Seconds between two looks at a recording that grows: what is typed there is seen at once here."""


@click.command(cls=Verb, examples=["[program] watch S-31"])
@click.argument("session", type=SESSION, metavar="S-N")
@click.pass_obj
def watch(desk: Desk, *, session: int) -> None:
    """Follow a live session from its present screen.

    The session does not notice. ctrl-c ends the watching, and not the session. What could harm your
    terminal is left out.
    """
    found = looked_at(desk, session, "watch")
    if not found.live:
        raise Conflict(f"{found.name} is over: {desk.program} replay {found.name} shows it.")
    services = desk.services

    def over() -> bool:
        latest = services.index.get(session)
        return latest is None or not latest.live

    def wait() -> None:
        desk.pause(WATCH_STEP)

    with suppress(KeyboardInterrupt):
        follow(services.archive.open(found), desk.output.out, over=over, wait=wait)
        desk.output.note(f"{found.name} is over.")


def _start(session: Session, start: str | None, at: datetime | None) -> float:
    """Seconds from the session's beginning."""
    if start is not None and at is not None:
        raise BadInput("Say where to begin once: either --from DURATION or --at TIME.")
    if at is None:
        return _seconds(start) if start is not None else 0.0
    if at < session.started_at or (session.ended_at is not None and at > session.ended_at):
        raise BadInput(f"{session.name} did not go on at {at:%Y-%m-%d %H:%M} UTC.")
    return (at - session.started_at).total_seconds()


def _seconds(text: str) -> float:
    """Seconds of a duration, or of a bare number as in `90` and `1.5`."""
    try:
        seconds = float(text)
    except ValueError:
        return parse_duration(text).total_seconds()
    if not 0 <= seconds < 1e9:
        raise BadInput(f"{text[:40]!a} is not a point in a session: write it as in 90s or 2m.")
    return seconds


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
@click.option(
    "--identity",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="The auditors' private key, for --raw stdin.",
)
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
    key = _identity(identity) if identity is not None else ""
    with _sink(output) as out:
        if raw is None:
            exporting.asciicast(reader, out)
        elif raw == "stdin":
            exporting.sent(reader.sent_path, key, out)
        else:
            exporting.raw(reader, _STREAMS[raw], out)


def _identity(file: Path) -> str:
    try:
        with file.expanduser().open("rb") as opened:
            return opened.read(LONGEST_IDENTITY).decode("utf-8", "replace")
    except OSError as error:
        raise BadInput(f"{ascii(str(file))[1:-1]} can't be read: {error.strerror}.") from None


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


@click.command(cls=Verb, examples=["[program] kill S-31 --reason 'wrong host'"])
@click.argument("session", type=SESSION, metavar="S-N")
@click.option("--reason", default="no reason was given", help="Why, in a few words.")
@click.pass_obj
def kill(desk: Desk, *, session: int, reason: str) -> None:
    """End a live session within a second. The grant stays: revoke ends that."""
    services = desk.services
    found = wanted_session(services, session)
    if not found.live:
        raise Conflict(f"{found.name} is over already.")
    services.access.kill(desk.actor, session, reason, services.clock.now())
    desk.output.note(f"{found.name} of {found.user} on {found.host} is being ended.")
