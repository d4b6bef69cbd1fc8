"""`grants`, `extend`, `revoke`, `review`: who may do what until when, and the end of it."""

from datetime import datetime, timedelta

import click

from bastion import names
from bastion.errors import BadInput, NotFound
from bastion.grants import Grant, State
from bastion.store.grants import MOST_ROWS, Wanted
from cli import lookup, shapes
from cli.arguments import DURATION, GRANT, HOST, LOGIN, PAST, USER, WORDS
from cli.desk import Desk
from cli.listing import Form, as_json, listed, tell
from cli.requests import tell_answer
from cli.verb import Verb

STATES = click.Choice([state.value for state in State], case_sensitive=False)


@click.command(
    cls=Verb,
    examples=[
        "[program] grants --user alice --live",
        "[program] grants --at 2026-10-31T12:00Z --csv",
        "[program] grants --override --since 30d",
    ],
)
@click.option("--user", type=USER, help="Only this person's.")
@click.option("--host", type=HOST, help="Only those that let in to this host.")
@click.option("--login", type=LOGIN, help="Only those for this account.")
@click.option("--state", "states", type=STATES, multiple=True, help="May be repeated.")
@click.option("--live", is_flag=True, help="Only active ones.")
@click.option("--override", is_flag=True, help="Only those that were given past the rules.")
@click.option(
    "--at", type=PAST, metavar="TIME", help="Those that were active then; 2h is two hours ago."
)
@click.option(
    "--since", type=PAST, metavar="TIME", help="That end after then; 2h is two hours ago."
)
@click.option("--until", type=PAST, metavar="TIME", help="That begin before then.")
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
    override: bool,
    at: datetime | None,
    since: datetime | None,
    until: datetime | None,
) -> None:
    """Who has access, who had, who will have."""
    services = desk.services
    moment = at or services.clock.now()
    wanted = Wanted(
        user=None if user is None else lookup.user(services, user).name,
        host=None if host is None else lookup.host(services, host),
        login=login,
        states=_states(states, live or (at is not None and not states)),
        at=moment,
    )
    narrowed = override or since is not None or until is not None
    limit = MOST_ROWS if narrowed else form.enough
    found = [
        (_row(each, moment), shapes.grant(each, moment))
        for each in services.store.grants(wanted, limit=limit)
        if (since is None or each.over_at > since) and (until is None or each.starts_at < until)
        if each.override or not override
    ]
    tell(desk, form, "grants", COLUMNS, found)


COLUMNS = ("id", "user", "hosts", "logins", "allows", "state", "from", "until", "reason")


def _row(given: Grant, at: datetime) -> tuple[object, ...]:
    """A grant under `COLUMNS`."""
    return (
        str(given),
        given.user,
        [str(each) for each in given.hosts],
        given.logins,
        shapes.gives(given),
        given.state(at),
        given.starts_at,
        given.over_at,
        given.reason,
    )


def _states(named: tuple[str, ...], active: bool) -> frozenset[State]:
    chosen = frozenset(map(State, named)) or frozenset(State)
    return frozenset({State.ACTIVE}) if active else chosen


@click.command(
    cls=Verb,
    examples=["[program] extend G-7 --for 1h", "[program] extend G-7 --for 1h --reason 'not done'"],
)
@click.argument("number", type=GRANT, metavar="G-N")
@click.option("--for", "duration", type=DURATION, required=True, help="How much longer: 30m, 2h.")
@click.option("--reason", type=WORDS, metavar="WORDS", help="Why; else for the grant's reason.")
@as_json
@click.pass_obj
def extend(desk: Desk, *, number: int, duration: timedelta, reason: str | None, json: bool) -> None:
    """Let a grant last longer; nobody is thrown out meanwhile.

    Where the rules want more people to agree, it is a request that waits for them.
    """
    services = desk.services
    now = services.clock.now()
    answer = services.approving.extend(desk.actor, number, duration, now, reason)
    tell_answer(desk, answer, now, json=json)


@click.command(
    cls=Verb,
    short_help="End a grant or a certificate now.",
    examples=[
        "[program] revoke G-7 --reason 'laptop lost'",
        "[program] revoke 31 --reason 'key leaked'",
    ],
)
@click.argument("what", metavar="G|SERIAL")
@click.option("--reason", type=WORDS, required=True, help="Why, in a few words.")
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
    "revoke",
    cls=Verb,
    short_help="Give back a grant of yours.",
    examples=["[program] revoke G-7 --reason done"],
)
@click.argument("number", type=GRANT, metavar="G-N")
@click.option("--reason", type=WORDS, required=True, help="Why, in a few words.")
@click.pass_obj
def give_back(desk: Desk, *, number: int, reason: str) -> None:
    """Give back a grant of yours: it ends now, and so does what is live by it."""
    services = desk.services
    grant = services.store.grant(number)
    if grant is None or desk.identity is None or grant.user != desk.identity.user.name:
        raise NotFound(f"There is no grant G-{number} of yours: {desk.program} status lists them.")
    ended = services.access.revoke(desk.actor, number, reason, services.clock.now())
    desk.output.note(f"{ended} is given back.")


@click.command(
    cls=Verb,
    short_help="Break-glass that nobody has looked at; and closing it.",
    examples=["[program] review", "[program] review G-7 --comment 'as described in OPS-17'"],
)
@click.argument("number", type=GRANT, metavar="[G-N]", required=False)
@click.option("--comment", type=WORDS, metavar="WORDS", help="What was found; closes the review.")
@listed
@click.pass_obj
def review(desk: Desk, *, form: Form, number: int | None, comment: str | None) -> None:
    """Break-glass grants that are open for review; with G-N and --comment, close one.

    Look first at what was done by it: the sessions of the grant and their recordings.

    What was given past the rules has no review: `grants --override` lists it.
    """
    services = desk.services
    now = services.clock.now()
    if number is None and comment is None:
        found = services.store.grants(Wanted(unreviewed=True), limit=form.enough)
        rows = [(_row(each, now), shapes.grant(each, now)) for each in found]
        tell(desk, form, "grants to review", COLUMNS, rows)
        if found and not form.json and not form.csv:
            desk.output.note(f"Look at it:  {desk.program} sessions --grant {found[0]}")
            desk.output.note(f"Close it:    {desk.program} review {found[0]} --comment WORDS")
        return
    if number is None or comment is None:
        raise BadInput("To close a review, say which and what was found: G-7 --comment WORDS.")
    closed = services.access.review(desk.actor, number, comment, now)
    if form.json:
        desk.output.document(shapes.grant(closed, now))
    else:
        desk.output.note(f"{closed} of {closed.user} is reviewed.")
