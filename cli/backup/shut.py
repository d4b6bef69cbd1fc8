"""`bastion-admin shut`: all that gives access is taken back at once."""

from dataclasses import asdict

import click

from bastion.shutting import Shutting
from bastion.store.copying import leap
from cli.arguments import USER, WORDS
from cli.desk import Desk
from cli.listing import as_json
from cli.verb import Verb


@click.command(
    cls=Verb,
    short_help="Take back all access, of everybody, now.",
    examples=[
        "[program] shut --reason 'the bastion may have been broken into'",
        "[program] shut --reason 'restored to 14:00' --restored --keep bob --keep carol",
    ],
)
@click.option("--reason", type=WORDS, required=True, help="Why, in a few words.")
@click.option("--keep", type=USER, multiple=True, help="An account that stays open; repeatable.")
@click.option(
    "--restored",
    is_flag=True,
    help="The database was restored to an earlier time: leave a gap in its numbers too.",
)
@as_json
@click.pass_obj
def shut(desk: Desk, *, reason: str, keep: tuple[str, ...], restored: bool, json: bool) -> None:
    """Take back all access: every grant, certificate and request, and every account.

    What is live ends. Whoever is to come in again is let in one by one, by user enable and a new
    grant; an account that is kept keeps no grant either.
    """
    services = desk.services
    shutting = Shutting(services.store, desk.actor, reason)
    done = shutting.everything(services.clock.now(), keep)
    if restored:
        leap(services.store)
    if json:
        desk.output.document(asdict(done))
    else:
        desk.output.note(f"{done}.")
