"""What people see of themselves by `ssh bastion …`: who I am, my grants, hosts, certificate."""

from collections.abc import Sequence
from datetime import datetime

import click

from bastion.errors import Refused
from bastion.grants import Grant, State, covered
from bastion.policy import Identity
from bastion.store.grants import Wanted
from cli import shapes
from cli.desk import Desk
from cli.listing import Form, as_json, listed, tell
from cli.output import exact
from cli.trust import FORMATS, granted_hosts, key_file, tell_trust
from cli.verb import Verb

RECENT = 10
"""Grants that are told of without being asked for more."""


@click.command(cls=Verb)
@click.pass_context
def overview(ctx: click.Context) -> None:
    """Your access through this bastion: who you are, your grants, what you can do next."""
    if ctx.invoked_subcommand is not None:
        return
    desk: Desk = ctx.obj
    identity, now = _identity(desk), desk.services.clock.now()
    user = identity.user
    roles = exact(user.roles)
    desk.output.line(f"You are {user.name} ({roles}), with the key {identity.key.fingerprint}.")
    mine = desk.services.store.grants(Wanted(user=user.name), limit=RECENT)
    if mine:
        desk.output.line()
        desk.output.table(_COLUMNS, [_row(each, now) for each in mine])
    desk.output.line()
    for sentence in _next(desk, identity, mine, now):
        desk.output.line(sentence)


def _next(desk: Desk, identity: Identity, mine: Sequence[Grant], now: datetime) -> list[str]:
    """What one can do next, the nearest first."""
    active = [each for each in mine if each.state(now) is State.ACTIVE]
    coming = [each for each in mine if each.state(now) is State.SCHEDULED]
    if not active and not coming:
        return ["You have no access now: ask whoever invited you.", _HELP]
    if not active:
        first = min(coming, key=lambda each: each.starts_at)
        return [f"{first} begins at {first.starts_at:%Y-%m-%d %H:%M} UTC.", _HELP]
    user, key = identity.user.name, identity.key.fingerprint
    certified = covered(desk.services.store.certificates(user, key), now)
    lines = []
    if not all(each.id in certified for each in active):
        lines.append(f"Fetch a certificate:  {_fetch(identity)}")
    hosts = granted_hosts(desk.services, identity.user)
    if hosts:
        host, logins = hosts[0]
        lines.append(f"Jump:                 ssh -J bastion {logins[0]}@{host.name}")
    return [*lines, _HELP]


_HELP = "All that you can do here: ssh bastion help"
_COLUMNS = ("id", "hosts", "logins", "allows", "state", "from", "until")


def _row(given: Grant, now: datetime) -> tuple[object, ...]:
    return (
        str(given),
        [str(each) for each in given.hosts],
        given.logins,
        shapes.allows(given),
        given.state(now),
        given.starts_at,
        given.ends_at,
    )


@click.command(cls=Verb, examples=["[program] status", "[program] status --json"])
@listed
@click.pass_obj
def status(desk: Desk, *, form: Form) -> None:
    """Your grants, the newest first, with their states and ends."""
    now = desk.services.clock.now()
    wanted = Wanted(user=_identity(desk).user.name)
    found = [
        (_row(each, now), shapes.grant(each, now))
        for each in desk.services.store.grants(wanted, limit=form.enough)
    ]
    tell(desk, form, "grants", _COLUMNS, found)


@click.command(cls=Verb, examples=["[program] hosts"])
@listed
@click.pass_obj
def hosts(desk: Desk, *, form: Form) -> None:
    """The hosts that you may reach, now or soon, and as whom."""
    found = [
        (
            (host.name, host.aliases, logins, f"ssh -J bastion {logins[0]}@{host.name}"),
            {"name": host.name, "aliases": sorted(host.aliases), "logins": list(logins)},
        )
        for host, logins in granted_hosts(desk.services, _identity(desk).user)
    ]
    tell(desk, form, "hosts", ("name", "aliases", "logins", "try"), found)


@click.command(
    cls=Verb,
    short_help="A certificate for the key that you signed in with.",
    examples=["[program] cert > ~/.ssh/id_ed25519-cert.pub"],
)
@as_json
@click.pass_obj
def cert(desk: Desk, *, json: bool) -> None:
    """A certificate for the key that you signed in with, as the line of a -cert.pub file."""
    identity, services = _identity(desk), desk.services
    issued = services.access.certificate(
        identity.user, identity.key, services.clock.now(), identity.source
    )
    grants = ", ".join(map(str, issued.grants))
    if json:
        desk.output.document(
            {
                "certificate": issued.line.strip(),
                "serial": issued.serial,
                "valid_before": issued.valid_before,
                "grants": [str(each) for each in issued.grants],
            }
        )
    else:
        desk.output.out(issued.line)
    desk.output.note(
        f"Good for {grants} until {issued.valid_before:%Y-%m-%d %H:%M} UTC; "
        f"keep it beside your key: {_fetch(identity)}"
    )


@click.command(
    cls=Verb,
    short_help="What to paste so that your client trusts the bastion.",
    examples=[
        "[program] trust > ~/.ssh/bastion_known_hosts",
        "[program] trust --format ssh_config >> ~/.ssh/config",
    ],
)
@click.option(
    "--format",
    "form",
    type=FORMATS,
    default="known_hosts",
    show_default=True,
    help="Host keys to trust, or settings that name everything.",
)
@click.pass_obj
def trust(desk: Desk, *, form: str) -> None:
    """What to paste: the bastion, and the hosts that you have been granted."""
    identity = _identity(desk)
    tell_trust(desk, identity.user, identity.key, form)


def _identity(desk: Desk) -> Identity:
    if desk.identity is None:
        raise Refused("This tells of whoever signed in by SSH, and nobody did.")
    return desk.identity


def _fetch(identity: Identity) -> str:
    return f"ssh bastion cert > {key_file(identity.key)}-cert.pub"
