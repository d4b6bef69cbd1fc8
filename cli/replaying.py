"""`replay`: a session shown again.

On the machine itself asciinema plays it, and what was typed can be shown beside it. Over SSH
nothing is started: it is paced here, its keys come through the connection, and no private key does.
"""

import sys
import time
from collections.abc import Callable
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import Any, Final

import click

from bastion.errors import BadInput
from bastion.workers import Stay
from cli.arguments import OFFSET, PAST, SESSION
from cli.desk import Desk
from cli.identities import (
    AWAY,
    HERE,
    demand_content,
    demand_key_for,
    demand_opened,
    identity_option,
    read_identity,
)
from cli.sessions import looked_at, wanted_session
from cli.verb import Verb
from recorder import Session
from recorder.beside import Beside
from recorder.playing import perform
from recorder.replay import Pace, play, printed
from recorder.sent_reader import Track

_SPEED: Final = click.FloatRange(0.01, 1000)


def _paced(command: Callable[..., Any]) -> Callable[..., Any]:
    """Which session, how fast, and where it begins."""
    for option in (
        click.option(
            "--at",
            type=PAST,
            metavar="TIME",
            help="Begin with what was shown then; 2h is two hours ago.",
        ),
        click.option(
            "--from",
            "start",
            type=OFFSET,
            metavar="POINT",
            help="Begin at this point: 3:20:00, 20:00, 2m, 90.",
        ),
        click.option(
            "--idle", type=click.FloatRange(0, 86_400), help="No pause longer than these seconds."
        ),
        click.option(
            "--speed", type=_SPEED, default=1.0, show_default=True, help="So many times as fast."
        ),
        click.argument("session", type=SESSION, metavar="S-N"),
    ):
        command = option(command)
    return command


@click.command(
    cls=Verb,
    examples=[
        "[program] replay S-31",
        "[program] replay S-31 --speed 4 --idle 1 --from 3:20:00",
        "[program] replay S-31 | less",
        "[program] replay S-31 --input --identity auditor.age",
    ],
)
@_paced
@click.option("--input", "typed", is_flag=True, help="Beside it, what was typed or piped.")
@identity_option("--input, and for recordings that are encrypted")
@click.option("--unmask", is_flag=True, help="With --input: also what was not echoed.")
@click.pass_obj
def replay(
    desk: Desk,
    *,
    session: int,
    speed: float,
    idle: float | None,
    start: float | None,
    at: datetime | None,
    typed: bool,
    identity: Path | None,
    unmask: bool,
) -> None:
    """Show a session again.

    On a terminal it is paced: space pauses, ctrl-c ends it; with --from or --at it begins with the
    screen as it stood then. Elsewhere it is printed at once. What could harm your terminal is left
    out.

    With --input a line below tells what was typed; elsewhere both are told line by line. What the
    terminal did not echo, as a password, is masked: that is a guess. Nothing is masked of what was
    piped in, without a terminal.
    """
    demand_key_for(typed=typed, unmask=unmask, identity=identity)
    services = desk.services
    key = None if identity is None else read_identity(identity)
    how = f"replay{' input' if typed else ''}{' unmasked' if unmask else ''}"
    demand_opened(desk, session, key, HERE)
    found = looked_at(desk, session, how)
    pace = Pace(speed, idle, _start(found, start, at))
    reader = services.archive.open(found, key=key)
    if key is None or not typed:
        play(reader, pace, sys.stdout, desk.output.note)
        return
    demand_content(found)
    track = Track(reader.sent_path, key)
    try:
        Beside(reader, track, unmask=unmask).play(pace, sys.stdout)
    finally:
        for remark in track.remarks:
            desk.output.note(remark)


@click.command(
    "replay",
    cls=Verb,
    examples=[
        "ssh -t bastion replay S-31",
        "ssh -t bastion replay S-31 --speed 4 --idle 1 --from 2m",
        "[program] replay S-31 | less",
    ],
)
@_paced
@click.pass_obj
def replay_away(
    desk: Desk,
    *,
    session: int,
    speed: float,
    idle: float | None,
    start: float | None,
    at: datetime | None,
) -> None:
    """Show a session again.

    On a terminal (ssh -t) it is paced: space pauses, . shows the next thing of what is paused, q or
    ctrl-c ends it; with --from or --at it begins with the screen as it stood then. Elsewhere it is
    printed at once. What could harm your terminal is left out.
    """
    pace = Pace(speed, idle, _start(wanted_session(desk.services, session), start, at))
    demand_opened(desk, session, None, AWAY)
    paced = desk.output.terminal
    desk.settle(Stay.WATCHING if paced else Stay.READING)
    reader = desk.services.archive.open(looked_at(desk, session, "replay"), desk.breathe)
    out = desk.output.out
    if paced:
        with suppress(KeyboardInterrupt):
            perform(reader, pace, out, key=desk.key, clock=time.monotonic, note=desk.output.note)
    else:
        for text in printed(reader, pace.start):
            out(text)


def _start(session: Session, start: float | None, at: datetime | None) -> float:
    """Seconds from the session's beginning."""
    if start is not None and at is not None:
        raise BadInput("Say where to begin once: either --from POINT or --at TIME.")
    if at is None:
        return 0.0 if start is None else start
    if at < session.started_at or (session.ended_at is not None and at > session.ended_at):
        raise BadInput(f"{session.name} did not go on at {at:%Y-%m-%d %H:%M} UTC.")
    return (at - session.started_at).total_seconds()
