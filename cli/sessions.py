"""`sessions` and `kill`: what went through, and what goes on. Looking at it is told elsewhere."""

from datetime import datetime

import click

from bastion import happenings
from bastion.app import Services
from bastion.durations import format_duration
from bastion.errors import Conflict, NotFound
from cli import lookup, shapes
from cli.arguments import GRANT, HOST, LOGIN, PAST, SESSION, USER, WORDS
from cli.beside import Beside, beside
from cli.desk import Desk
from cli.listing import Form, listed, tell
from cli.output import printable
from cli.verb import Verb
from recorder import CorruptRecording, Kind, Session, Wanted
from recorder.tombstone import read_tombstone


@click.command(
    cls=Verb,
    examples=[
        "[program] sessions --live",
        "[program] sessions --user alice --since 2026-11-01 --csv",
        "[program] sessions --host web-1 --since 2h",
    ],
)
@click.option("--user", type=USER, help="Only this person's.")
@click.option("--host", type=HOST, help="Only on this host.")
@click.option("--login", type=LOGIN, help="Only as this account.")
@click.option("--grant", "number", type=GRANT, metavar="G-N", help="Only by this grant.")
@click.option("--kind", type=click.Choice([kind.value for kind in Kind]), help="Only of this kind.")
@click.option("--live/--over", "live", default=None, help="Only those that go on, or have ended.")
@click.option(
    "--since", type=PAST, metavar="TIME", help="That began then or later; 2h is two hours ago."
)
@click.option("--until", type=PAST, metavar="TIME", help="That began before then.")
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
    rows = services.index.find(wanted, limit=form.enough)
    known = beside(services, rows)
    found = [(_row(each, known[each.id]), shapes.session(each, known[each.id])) for each in rows]
    if not found:
        lookup.demand_known(services, user, host)
    columns = ("id", "user", "host", "login", "kind", "grant", "began", "lasted", "end", "command")
    tell(desk, form, "sessions", columns, found)


def _row(session: Session, known: Beside) -> tuple[object, ...]:
    return (
        session.name,
        session.user,
        session.host,
        session.login,
        session.kind,
        f"G-{session.grant}",
        session.started_at,
        lasted(session),
        session.end_reason or ("waits for a watcher" if known.waits else "live"),
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


def demand_kept(services: Services, session: Session) -> None:
    """Raises Conflict where there is nothing to look at any more."""
    if session.recording.let_go_at is not None:
        said = f"{session.name} was let go {how_let_go(services, session)}"
        raise Conflict(f"{said}: only its seal and its tombstone are left.")


def how_let_go(services: Services, session: Session) -> str:
    """When, by whom and by which rule, as far as its tombstone can be read."""
    when = f"on {session.recording.let_go_at:%Y-%m-%d}"
    laid = services.tombstones.of(session.id)
    try:
        tombstone = None if laid is None else read_tombstone(laid.text)
    except CorruptRecording:
        tombstone = None
    if tombstone is None:
        return when
    return f"{when} by {tombstone.by}, by the rule {printable(tombstone.rule)}"


def looked_at(desk: Desk, number: int, how: str) -> Session:
    """The session `S-<number>`, for somebody to look at: that is told first.

    Raises NotFound; Conflict for one that was let go.
    """
    found = wanted_session(desk.services, number)
    services = desk.services
    demand_kept(services, found)
    services.store.tell(happenings.of_look(desk.actor, found, how), services.clock.now())
    return found


@click.command(cls=Verb, examples=["[program] kill S-31 --reason 'wrong host'"])
@click.argument("session", type=SESSION, metavar="S-N")
@click.option("--reason", type=WORDS, help="Why, in a few words; the person hears it.")
@click.pass_obj
def kill(desk: Desk, *, session: int, reason: str | None) -> None:
    """End a live session within a second. The grant stays: revoke ends that."""
    services = desk.services
    found = wanted_session(services, session)
    if not found.live:
        raise Conflict(f"{found.name} is over already.")
    why = reason or "no reason was given"
    services.access.kill(desk.actor, session, why, services.clock.now())
    desk.output.note(f"{found.name} of {found.user} on {found.host} is being ended.")
    if reason is None:
        desk.output.note(f"{found.user} hears that no reason was given: --reason WORDS gives one.")
