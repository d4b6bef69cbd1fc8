"""`bastion-admin grant`, `grants`, `revoke` and `certificates`: who may do what, until when."""

from collections.abc import Callable
from datetime import datetime, timedelta
from ipaddress import IPv4Network, IPv6Network
from typing import Any

import click

from bastion import names
from bastion.commands import Command
from bastion.errors import BadInput
from bastion.granting import Proposal
from bastion.grants import Allows, Grant, State
from bastion.inventory import Selector
from bastion.ledger import Entry, Kind
from bastion.store.grants import MOST_ROWS
from bastion.store.grants import Wanted as WantedGrants
from bastion.store.ledger import Wanted as WantedCertificates
from cli import lookup, shapes
from cli.arguments import (
    COMMAND,
    DURATION,
    GRANT,
    HOST,
    LOGIN,
    MOMENT,
    NETWORK,
    SELECTOR,
    USER,
    later,
)
from cli.desk import Desk
from cli.listing import Form, as_json, listed, tell
from cli.verb import Verb

_LATER = (
    ("--sftp", "RULE", "Files: read[:GLOB] or write[:GLOB]."),
    ("--forward", "HOST:PORT", "A port behind the host."),
    ("--hours", "09:00-18:00", "Only at these hours."),
    ("--days", "mon-fri", "Only on these days."),
    ("--tz", "ZONE", "The time zone of hours and days."),
)


def _not_yet(command: Callable[..., Any]) -> Callable[..., Any]:
    """The contract's options that can't be done yet; asking for one is a clear refusal."""
    flags = (
        click.option(
            name, is_flag=True, hidden=True, expose_value=False, callback=later(name), help=""
        )
        for name in ("--watch-required", "--override")
    )
    valued = (
        click.option(
            name,
            metavar=metavar,
            multiple=True,
            hidden=True,
            expose_value=False,
            callback=later(name),
            help=text,
        )
        for name, metavar, text in _LATER
    )
    for option in (*flags, *valued):
        command = option(command)
    return command


@click.command(
    cls=Verb,
    examples=[
        "[program] grant alice --host web-1 --login deploy --shell --for 2h --reason 'disk full'",
        (
            "[program] grant alice --host 'web-*' --login deploy --command 'service nginx reload' "
            "--from 2026-11-24T08:00Z --for 90m --reason 'roll out 4.2' --ticket OPS-17"
        ),
        (
            "[program] grant alice --host label:env=staging --login deploy --shell "
            "--until 2026-12-01T18:00+01:00 --source 192.0.2.0/24 --reason migration"
        ),
    ],
)
@click.argument("user", type=USER)
@click.option(
    "--host",
    "hosts",
    type=SELECTOR,
    multiple=True,
    required=True,
    metavar="NAME|PATTERN|label:K=V…",
    help="Where: a host, a pattern, or labels that must all be there; may be repeated.",
)
@click.option(
    "--login",
    "logins",
    type=LOGIN,
    multiple=True,
    required=True,
    help="An account on the host; may be repeated.",
)
@click.option("--shell", is_flag=True, help="A shell, and with it any command.")
@click.option(
    "--command",
    "commands",
    type=COMMAND,
    multiple=True,
    help="Exactly this command line; may be repeated.",
)
@click.option("--for", "duration", type=DURATION, help="How long, from the start: 90m, 2h, 1d.")
@click.option("--until", type=MOMENT, metavar="TIME", help="Until when.")
@click.option("--from", "starts_at", type=MOMENT, metavar="TIME", help="From when; else now.")
@click.option("--reason", required=True, help="Why, in a few words.")
@click.option("--ticket", help="The id of the matter elsewhere.")
@click.option(
    "--source",
    "sources",
    type=NETWORK,
    multiple=True,
    help="Only from this network; may be repeated.",
)
@_not_yet
@as_json
@click.pass_obj
def grant(
    desk: Desk,
    *,
    user: str,
    hosts: tuple[Selector, ...],
    logins: tuple[str, ...],
    shell: bool,
    commands: tuple[Command, ...],
    duration: timedelta | None,
    until: datetime | None,
    starts_at: datetime | None,
    reason: str,
    ticket: str | None,
    sources: tuple[IPv4Network | IPv6Network, ...],
    json: bool,
) -> None:
    """Give somebody an access, for a time and a reason.

    It allows what is named, at least one of --shell and --command, and nothing else.
    """
    if not shell and not commands:
        raise BadInput("That grant would allow nothing: give --shell, or --command 'WORDS'.")
    services = desk.services
    now = services.clock.now()
    ends_at = _end(starts_at or now, duration, until)
    lookup.user(services, user)
    proposal = Proposal(
        user,
        hosts=hosts,
        logins=frozenset(logins),
        allows=Allows(shell, commands),
        starts_at=starts_at,
        ends_at=ends_at,
        reason=reason,
        ticket=ticket,
        sources=sources,
    )
    given = services.access.grant(desk.actor, proposal, now)
    for warning in given.warnings:
        desk.output.note(f"{desk.program}: {warning}")
    if json:
        desk.output.document(shapes.grant(given.grant, now))
    else:
        desk.output.line(str(given.grant))
        desk.output.note(_summary(given.grant, now))


def _end(start: datetime, duration: timedelta | None, until: datetime | None) -> datetime:
    if until is not None and duration is None:
        return until
    if duration is None or until is not None:
        raise BadInput("Say how long: either --for DURATION or --until TIME.")
    try:
        return start + duration
    except OverflowError:
        raise BadInput("That ends after the year 9999: give a shorter --for.") from None


def _summary(grant: Grant, now: datetime) -> str:
    hosts = ", ".join(map(str, grant.hosts))
    logins = ", ".join(sorted(grant.logins))
    begins = f"from {grant.starts_at:%Y-%m-%d %H:%M} " if grant.starts_at > now else ""
    return (
        f"{grant.user} may reach {hosts} as {logins} {begins}until "
        f"{grant.ends_at:%Y-%m-%d %H:%M} UTC: {shapes.allows(grant)}."
    )


STATES = click.Choice([state.value for state in State], case_sensitive=False)


@click.command(
    cls=Verb,
    examples=[
        "[program] grants --user alice --live",
        "[program] grants --at 2026-10-31T12:00Z --csv",
    ],
)
@click.option("--user", type=USER, help="Only this person's.")
@click.option("--host", type=HOST, help="Only those that let in to this host.")
@click.option("--login", type=LOGIN, help="Only those for this account.")
@click.option("--state", "states", type=STATES, multiple=True, help="May be repeated.")
@click.option("--live", is_flag=True, help="Only active ones.")
@click.option("--at", type=MOMENT, metavar="TIME", help="Those that were active at that time.")
@click.option("--since", type=MOMENT, metavar="TIME", help="That end after this.")
@click.option("--until", type=MOMENT, metavar="TIME", help="That begin before this.")
@listed
@click.pass_obj
def grants(
    desk: Desk,
    *,
    form: Form,
    user: str | None,
    host: str | None,
    login: str | None,
    states: tuple[str, ...],
    live: bool,
    at: datetime | None,
    since: datetime | None,
    until: datetime | None,
) -> None:
    """Who has access, who had, who will have."""
    services = desk.services
    moment = at or services.clock.now()
    wanted = WantedGrants(
        user=None if user is None else lookup.user(services, user).name,
        host=None if host is None else lookup.host(services, host),
        login=login,
        states=_states(states, live or (at is not None and not states)),
        at=moment,
    )
    limit = form.enough if since is None and until is None else MOST_ROWS
    found = [
        (grant_row(each, moment), shapes.grant(each, moment))
        for each in services.store.grants(wanted, limit=limit)
        if (since is None or _over(each) > since) and (until is None or each.starts_at < until)
    ]
    tell(desk, form, "grants", GRANT_COLUMNS, found)


GRANT_COLUMNS = ("id", "user", "hosts", "logins", "allows", "state", "from", "until", "reason")


def grant_row(given: Grant, at: datetime) -> tuple[object, ...]:
    """A grant under `GRANT_COLUMNS`."""
    return (
        str(given),
        given.user,
        [str(each) for each in given.hosts],
        given.logins,
        shapes.allows(given),
        given.state(at),
        given.starts_at,
        _over(given),
        given.reason,
    )


def _states(named: tuple[str, ...], active: bool) -> frozenset[State]:
    chosen = frozenset(map(State, named)) or frozenset(State)
    return frozenset({State.ACTIVE}) if active else chosen


def _over(given: Grant) -> datetime:
    """When it was over, or will be."""
    return min(given.ends_at, given.revoked_at or given.ends_at)


@click.command(
    cls=Verb,
    short_help="End a grant or a certificate now.",
    examples=[
        "[program] revoke G-7 --reason 'laptop lost'",
        "[program] revoke 31 --reason 'key leaked'",
    ],
)
@click.argument("what", metavar="G|SERIAL")
@click.option("--reason", required=True, help="Why, in a few words.")
@click.pass_obj
def revoke(desk: Desk, *, what: str, reason: str) -> None:
    """End a grant (G-7) or a certificate (its serial) now; what is live by it ends too."""
    services = desk.services
    now = services.clock.now()
    if what.strip().upper().startswith("G-"):
        ended = services.access.revoke(desk.actor, names.numbered("G", what), reason, now)
        desk.output.note(f"{ended} of {ended.user} is revoked.")
    elif what.strip().isdecimal():
        serial = names.numbered("", what)
        entry = services.access.revoke_certificate(desk.actor, serial, reason, now)
        desk.output.note(f"The certificate {entry.serial} of {entry.user} is revoked.")
    else:
        raise BadInput(
            f"{what[:40]!a} is neither a grant nor a certificate: write G-7, or a serial as in 31."
        )


@click.command(
    cls=Verb,
    examples=["[program] certificates --user alice --live", "[program] certificates --kind target"],
)
@click.option("--user", type=USER, help="Only this person's.")
@click.option("--grant", "number", type=GRANT, metavar="G-N", help="Only those that count for it.")
@click.option(
    "--kind",
    type=click.Choice([kind.value for kind in Kind]),
    help="Contractors' (user), or those for one connection to a target.",
)
@click.option("--live", is_flag=True, help="Only those that count now.")
@listed
@click.pass_obj
def certificates(
    desk: Desk, *, form: Form, user: str | None, number: int | None, kind: str | None, live: bool
) -> None:
    """What the CAs have signed."""
    services = desk.services
    now = services.clock.now()
    wanted = WantedCertificates(
        kind=Kind(kind) if kind else None,
        user=None if user is None else lookup.user(services, user).name,
        grant=number,
        live_at=now if live else None,
    )
    found = [
        (_certificate_row(each, now), shapes.certificate(each, now))
        for each in services.store.ledger(wanted, limit=form.enough)
    ]
    columns = ("serial", "kind", "user", "grants", "state", "until", "host", "key")
    tell(desk, form, "certificates", columns, found)


def _certificate_row(entry: Entry, now: datetime) -> tuple[object, ...]:
    return (
        entry.serial,
        entry.kind,
        entry.user,
        [f"G-{number}" for number in sorted(entry.grants)],
        shapes.certificate_state(entry, now),
        entry.valid_before,
        entry.host,
        entry.fingerprint,
    )
