"""What people see of themselves by `ssh bastion …`: who I am, my requests, grants, certificate."""

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta

import click

from bastion.approving import Answer
from bastion.durations import format_duration
from bastion.errors import Refused
from bastion.grants import Grant, State, covered
from bastion.inventory import Role
from bastion.policy import Identity
from bastion.requests import Standing
from bastion.store.grants import Wanted
from bastion.store.requests import Wanted as WantedRequests
from cli import sentences, shapes
from cli.desk import Desk
from cli.listing import Form, as_json, listed, tell
from cli.output import exact, printable, shown
from cli.requests import PENDING, outcome, to_decide, where
from cli.trust import FILE, FORMATS, granted_hosts, strangers, tell_trust
from cli.verb import Verb
from recorder.nouns import counted

RECENT = 10
"""Grants that are told of without being asked for more."""

LATELY = timedelta(days=7)
"""How long a request that came to nothing is told of."""


@click.command(cls=Verb)
@click.pass_context
def overview(ctx: click.Context) -> None:
    """Your access through this bastion: who you are, your grants, what you can do next."""
    if ctx.invoked_subcommand is not None:
        return
    desk: Desk = ctx.obj
    identity, now = signed_in(desk), desk.services.clock.now()
    user = identity.user
    roles = exact(user.roles)
    desk.output.line(f"You are {user.name} ({roles}), with the key {identity.key.fingerprint}.")
    if identity.called is not None:
        called = printable(identity.called[:60])
        desk.output.line(f"You signed in as {user.name}: the name {called} is nobody's here.")
    mine = desk.services.store.grants(Wanted(user=user.name), limit=RECENT)
    if mine:
        desk.output.line()
        desk.output.table(_GRANTS, [_grant_row(each, now) for each in mine])
    desk.output.line()
    for answer in _waiting(desk, RECENT):
        desk.output.line(sentences.waiting(answer))
    for sentence in (*_duties(desk, user.roles), *_next(desk, identity, mine, now)):
        desk.output.line(sentence)


def _duties(desk: Desk, roles: frozenset[Role]) -> Iterator[str]:
    """What waits for this person to be done."""
    requests = to_decide(desk) if Role.APPROVER in roles else 0
    if requests:
        waits = counted(requests, "request waits", "requests wait")
        yield f"{waits} for you to decide: ssh bastion requests"
    if Role.AUDITOR in roles and desk.services.store.grants(Wanted(unreviewed=True), limit=1):
        yield "Break-glass is open for review: ssh bastion review"


def _next(desk: Desk, identity: Identity, mine: Sequence[Grant], now: datetime) -> Iterator[str]:
    """What one can do next, the nearest first."""
    active = [each for each in mine if each.state(now) is State.ACTIVE]
    coming = [each for each in mine if each.state(now) is State.SCHEDULED]
    if active:
        yield from _to_reach(desk, identity, active, now)
    elif coming:
        opens = {each: each.opens_at(now) or each.ends_at for each in coming}
        first = min(coming, key=opens.__getitem__)
        yield f"{first} begins at {shown(opens[first])} UTC."
    elif Role.CONTRACTOR in identity.user.roles:
        yield "You have no access now."
        yield f"Ask for it:           {_ASK}"
    else:
        yield "You have no access now."
    yield from _offices(identity.user.roles)
    yield "All that you can do here: ssh bastion help"


def _offices(roles: frozenset[Role]) -> Iterator[str]:
    """What one's roles are for, beside access of one's own."""
    if roles & {Role.APPROVER, Role.ADMIN}:
        yield "What is asked for:    ssh bastion requests"
    if roles & {Role.AUDITOR, Role.ADMIN}:
        yield "What went through:    ssh bastion sessions --since 1d"
        yield "Follow a live one:    ssh -t bastion watch S-N"
        yield "What has happened:    ssh bastion audit --since 1d"
    if Role.ADMIN in roles:
        yield "End a live one:       ssh bastion kill S-N --reason WORDS"


_ASK = "ssh bastion request HOST --login LOGIN --shell --for 2h --reason WORDS"


def _to_reach(
    desk: Desk, identity: Identity, active: Sequence[Grant], now: datetime
) -> Iterator[str]:
    user, key = identity.user.name, identity.key
    certified = covered(desk.services.store.certificates(user, key.fingerprint), now)
    if not all(each.id in certified for each in active):
        yield f"Fetch a certificate:  {sentences.fetching(key)}"
    hosts = granted_hosts(desk.services, identity.user)
    if hosts:
        host, logins = hosts[0]
        yield f"Jump:                 ssh -J bastion {logins[0]}@{host.name}"


_GRANTS = ("id", "hosts", "logins", "allows", "state", "from", "until")
_REQUESTS = ("id", "hosts", "logins", "allows", "state", "for", "outcome")


def _grant_row(given: Grant, now: datetime) -> tuple[object, ...]:
    return (
        str(given),
        [str(each) for each in given.hosts],
        given.logins,
        shapes.gives(given),
        given.state(now),
        given.starts_at,
        given.over_at,
    )


def _request_row(answer: Answer, now: datetime) -> tuple[object, ...]:
    request = answer.request
    return (
        str(request),
        where(request),
        request.logins,
        shapes.allows(request.allows),
        request.standing(now),
        format_duration(request.duration),
        outcome(answer),
    )


def _like_a_grant(answer: Answer, now: datetime) -> tuple[object, ...]:
    """A request under a grant's columns: when it begins and ends is open, unless it says."""
    request, row = answer.request, _request_row(answer, now)
    ends_at = None if request.starts_at is None else request.starts_at + request.duration
    return (*row[:5], request.starts_at, ends_at)


def _waiting(desk: Desk, limit: int) -> list[Answer]:
    """One's own requests that wait, with what they wait for."""
    services, now = desk.services, desk.services.clock.now()
    wanted = WantedRequests(user=signed_in(desk).user.name, standings=PENDING, at=now)
    found = services.inbox.requests(wanted, limit=limit)
    return services.approving.standings(found, now)


def _in_vain(desk: Desk, limit: int) -> list[Answer]:
    """One's own requests of late that came to nothing."""
    now = desk.services.clock.now()
    wanted = WantedRequests(
        user=signed_in(desk).user.name,
        standings=frozenset(Standing) - PENDING - {Standing.APPROVED},
        at=now,
        since=now - LATELY,
    )
    return [Answer(each) for each in desk.services.inbox.requests(wanted, limit=limit)]


@click.command(
    cls=Verb,
    short_help="Your requests and grants.",
    examples=["[program] status", "[program] status --json"],
)
@listed
@click.pass_obj
def status(desk: Desk, *, form: Form) -> None:
    """Your requests, with what they wait for, and your grants: the newest first.

    A request that came to nothing is told of for a week.
    """
    now = desk.services.clock.now()
    asked = [*_waiting(desk, form.enough), *_in_vain(desk, form.enough)]
    given = desk.services.store.grants(Wanted(user=signed_in(desk).user.name), limit=form.enough)
    grants = [(_grant_row(each, now), shapes.grant(each, now)) for each in given]
    if form.json or form.csv:
        requests = [(_like_a_grant(each, now), shapes.request(each, now)) for each in asked]
        tell(desk, form, "requests and grants", _GRANTS, [*requests, *grants])
        return
    if asked:
        requests = [(_request_row(each, now), shapes.request(each, now)) for each in asked]
        tell(desk, form, "requests", _REQUESTS, requests)
        desk.output.line()
    tell(desk, form, "grants", _GRANTS, grants)


@click.command(
    cls=Verb,
    short_help="A certificate for the key that you signed in with.",
    examples=["[program] cert > ~/.ssh/id_ed25519-cert.pub"],
)
@as_json
@click.pass_obj
def cert(desk: Desk, *, json: bool) -> None:
    """A certificate for the key that you signed in with, as the line of a -cert.pub file."""
    identity, services = signed_in(desk), desk.services
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
        f"Good for {grants} until {shown(issued.valid_before)} UTC; "
        f"keep it beside your key: {sentences.fetching(identity.key)}"
    )
    strange = strangers(services, identity.user)
    if strange:
        desk.output.note(
            f"Your ssh may not know {sentences.either(strange)} yet: if it asks whether that is "
            f"authentic, answer no, and run ssh bastion trust > {FILE}"
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
    """What to paste: the bastion, and the hosts that you may reach, or ask for."""
    identity = signed_in(desk)
    tell_trust(desk, identity.user, identity.key, form)


def signed_in(desk: Desk) -> Identity:
    """Who signed in by SSH. Raises Refused where nobody did."""
    if desk.identity is None:
        raise Refused("This tells of whoever signed in by SSH, and nobody did.")
    return desk.identity
