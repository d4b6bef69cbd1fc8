"""`watch`: a live session, followed from its present screen."""

from contextlib import suppress

import click

from bastion.errors import Conflict
from cli.arguments import SESSION
from cli.desk import Desk
from cli.sessions import looked_at
from cli.verb import Verb
from recorder.following import follow

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
