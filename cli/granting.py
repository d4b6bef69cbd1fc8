"""`bastion-admin grant`: giving somebody an access, by the rules or in spite of them."""

from datetime import datetime, timedelta

import click

from bastion.errors import BadInput
from bastion.granting import Proposal
from bastion.grants import Grant
from bastion.inventory import Selector
from cli import lookup, sentences, shapes
from cli.arguments import MOMENT, SELECTOR, USER
from cli.desk import Desk
from cli.listing import as_json
from cli.terms import Terms, termed
from cli.verb import Verb


@click.command(
    cls=Verb,
    examples=[
        "[program] grant alice --host web-1 --login deploy --shell --for 2h --reason 'disk full'",
        (
            "[program] grant alice --host 'web-*' --login deploy "
            "--command 'service {nginx,php-fpm} reload' "
            "--from 2026-11-24T08:00Z --for 90m --reason 'roll out 4.2' --ticket OPS-17"
        ),
        (
            "[program] grant alice --host label:env=staging --login deploy --shell --for 30d "
            "--days mon-fri --hours 09:00-18:00 --tz Europe/Berlin --reason migration"
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
@termed
@click.option("--until", type=MOMENT, metavar="TIME", help="Until when.")
@click.option("--reason", required=True, help="Why, in a few words.")
@click.option(
    "--watch-required", "watch", is_flag=True, help="Only while an auditor watches each session."
)
@click.option(
    "--override", is_flag=True, help="Don't ask the rules; this is kept, and told to others."
)
@as_json
@click.pass_obj
def grant(
    desk: Desk,
    *,
    user: str,
    hosts: tuple[Selector, ...],
    terms: Terms,
    until: datetime | None,
    reason: str,
    watch: bool,
    override: bool,
    json: bool,
) -> None:
    """Give somebody an access, for a time and a reason.

    It allows what is named, at least one of --shell, --command, --sftp and --forward, and nothing
    else. It has to be what the rules (policy.toml) let an operator give.
    """
    if not terms.logins:
        raise BadInput("The grant names no account: give --login LOGIN.")
    if terms.allows is None:
        kinds = "--shell, --command, --sftp or --forward"
        raise BadInput(f"That grant would allow nothing: give {kinds}.")
    services = desk.services
    now = services.clock.now()
    lookup.user(services, user)
    proposal = Proposal(
        user,
        hosts=hosts,
        logins=frozenset(terms.logins),
        allows=terms.allows,
        starts_at=terms.starts_at,
        ends_at=_end(terms.starts_at or now, terms.duration, until),
        reason=reason,
        ticket=terms.ticket,
        sources=terms.sources,
        window=terms.window,
        watch=watch,
    )
    given = services.access.grant(desk.actor, proposal, now, override=override)
    for warning in (*given.warnings, *_warnings(desk, given.grant)):
        desk.output.note(f"{desk.program}: {warning}")
    if json:
        desk.output.document(shapes.grant(given.grant, now))
    else:
        desk.output.line(str(given.grant))
        desk.output.note(sentences.about_grant(given.grant, now))


def _end(start: datetime, duration: timedelta | None, until: datetime | None) -> datetime:
    if until is not None and duration is None:
        return until
    if duration is None or until is not None:
        raise BadInput("Say how long: either --for DURATION or --until TIME.")
    try:
        return start + duration
    except OverflowError:
        raise BadInput("That ends after the year 9999: give a shorter --for.") from None


def _warnings(desk: Desk, grant: Grant) -> list[str]:
    """What a grant's giver should know of how it was given."""
    told = []
    if grant.override:
        told.append(f"The rules were not asked for {grant}: that is kept, and others are told.")
    if grant.watch:
        told.append(f"{grant} starts nothing until an auditor watches.")
        services = desk.services
        if not services.watching.anybody_for(grant.user, services.clock.now()):
            told.append(
                f"Nobody could watch {grant.user} as things are: give somebody else the role "
                f"auditor ({desk.program} user set NAME --role auditor)."
            )
    return told
