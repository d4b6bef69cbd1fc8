"""`clock`: what time it is here, and what to do where it was later before.

Only here on the machine: whoever says that a clock is right has looked at another one.
"""

from datetime import datetime

import click

from bastion import names
from bastion.denials import clock as shown
from bastion.durations import format_duration
from bastion.timekeeping import Standing, Timekeeping
from cli.arguments import MOMENT, WORDS
from cli.desk import Desk
from cli.listing import as_json
from cli.shapes import Shape
from cli.verb import Noun


@click.group(
    cls=Noun,
    short_help="The time here, and the latest that was kept.",
    examples=[
        "[program] clock show",
        "[program] clock reset --now 2026-11-23T18:00Z --reason 'NTP was an hour ahead'",
    ],
)
def clock() -> None:
    """The time here, and the latest that was ever kept.

    Nothing is opened while that one is later: the clock is behind, or it was ahead before.
    """


@clock.command(short_help="What time it is here.", examples=["[program] clock show --json"])
@as_json
@click.pass_obj
def show(desk: Desk, *, json: bool) -> None:
    """What the clock says, and the latest time that was kept; whether nothing is opened."""
    services = desk.services
    standing = Timekeeping(services.store).standing(services.clock.now())
    if json:
        desk.output.document(_shape(standing))
        return
    desk.output.line(f"The clock says {shown(standing.now)}.")
    if standing.latest is not None:
        desk.output.line(f"The latest time that was kept is {shown(standing.latest)}.")
    if standing.locked:
        ahead = format_duration(standing.ahead)
        desk.output.line(f"That lies {ahead} ahead: nothing is opened until then.")


@clock.command(
    short_help="Say that the clock is right, though it was later before.",
    examples=["[program] clock reset --now 2026-11-23T18:00Z --reason 'NTP was an hour ahead'"],
)
@click.option("--now", type=MOMENT, required=True, metavar="TIME", help="What another clock says.")
@click.option("--reason", type=WORDS, required=True, help="Why it was wrong, in a few words.")
@as_json
@click.pass_obj
def reset(desk: Desk, *, now: datetime, reason: str, json: bool) -> None:
    """Say that the clock is right now, though it was later before: what is granted opens again.

    It counts at once, also while the service runs. What was over by the wrong time stays over:
    sessions that it has ended do not come back.
    """
    services = desk.services
    reason = names.free_text(reason, "reason")
    keeping = Timekeeping(services.store)
    before = keeping.reset(desk.actor, services.clock.now(), now, reason)
    if json:
        desk.output.document(_shape(before))
        return
    desk.output.note(
        f"{shown(before.now)} is taken for right; {shown(before.latest)} was kept before. If "
        f"{desk.program} clock show names a later time again, restart the service: it was started "
        "by the wrong one."
    )


def _shape(standing: Standing) -> Shape:
    latest = standing.latest
    return {
        "now": standing.now.isoformat(),
        "latest": None if latest is None else latest.isoformat(),
        "ahead_seconds": round(standing.ahead.total_seconds(), 3),
        "opens": not standing.locked,
    }
