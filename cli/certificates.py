"""`bastion-admin certificates`: what the CAs have signed."""

from datetime import datetime

import click

from bastion.ledger import Entry, Kind
from bastion.store.ledger import Wanted
from cli import lookup, shapes
from cli.arguments import GRANT, USER
from cli.desk import Desk
from cli.listing import Form, listed, tell
from cli.verb import Verb

_COLUMNS = ("serial", "kind", "user", "grants", "state", "until", "host", "key")


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
    wanted = Wanted(
        kind=Kind(kind) if kind else None,
        user=None if user is None else lookup.user(services, user).name,
        grant=number,
        live_at=now if live else None,
    )
    found = [
        (_row(each, now), shapes.certificate(each, now))
        for each in services.store.ledger(wanted, limit=form.enough)
    ]
    tell(desk, form, "certificates", _COLUMNS, found)


def _row(entry: Entry, now: datetime) -> tuple[object, ...]:
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
