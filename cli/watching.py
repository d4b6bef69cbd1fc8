"""`watch`: a live session, followed from its present screen.

The same on the machine itself and over SSH, where each watcher has a thread that mostly sleeps.
"""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from types import FrameType
from typing import Never

import click

from bastion.errors import Conflict
from bastion.watching import Look
from bastion.workers import Stay
from cli.afar import Asked, watch_from_afar
from cli.arguments import SESSION
from cli.beside import beside
from cli.desk import Desk
from cli.sessions import demand_kept, wanted_session
from cli.verb import Verb
from recorder import Session
from recorder.following import follow

WATCH_STEP = 0.05
"""Seconds between two looks at a recording that grows: what is typed there is seen at once here."""

MOMENT = 1.5
"""Seconds in which a sentence can be read, before a terminal is cleared."""


@click.command(cls=Verb, examples=["[program] watch S-31"])
@click.argument("session", type=SESSION, metavar="S-N")
@click.pass_obj
def watch(desk: Desk, *, session: int) -> None:
    """Follow a live session from its present screen.

    The session does not notice, unless its grant is one that is used only while somebody watches:
    an auditor or an admin, other than the person in it. Then it goes on for as long as you watch,
    and take what is shown. ctrl-c ends the watching. What could harm your terminal is left out.

    What another machine carries is shown as it comes into the object store, some seconds later:
    watching it from here does not count.
    """
    found = wanted_session(desk.services, session)
    demand_kept(desk.services, found)
    if not found.live:
        raise Conflict(f"{found.name} is over: {desk.program} replay {found.name} shows it.")
    desk.settle(Stay.WATCHING)
    with suppress(KeyboardInterrupt):
        if desk.services.storing.places.is_elsewhere(found):
            watch_from_afar(desk, found)
        else:
            _watch_here(desk, found)
        desk.output.note(f"{found.name} is over.")


watch_away = Verb(
    "watch",
    callback=watch.callback,
    params=watch.params,
    help=watch.help,
    examples=["ssh -t bastion watch S-31", "[program] watch S-31 | tee seen.txt"],
)
"""The same over SSH, with how it is typed there."""


def _watch_here(desk: Desk, session: Session) -> None:
    services = desk.services
    row = Asked(services.index, session)

    def wait() -> None:
        """All that there is was shown: whoever has taken it watches."""
        if desk.output.taken():
            look.beat(services.clock.now())
        desk.pause(WATCH_STEP)

    with _looking(desk, session) as look:
        _say_who(desk, session, look)
        reader = services.archive.open(session, desk.breathe)
        follow(reader, desk.output.out, over=row.is_over, wait=wait)


@contextmanager
def _looking(desk: Desk, session: Session) -> Iterator[Look]:
    """A look, ended however the block ends; also where this process is told to go."""
    services = desk.services
    with _going():
        look = services.watching.begin(desk.actor, session, services.clock.now())
        try:
            yield look
        finally:
            look.end(services.clock.now())


@contextmanager
def _going() -> Iterator[None]:
    """A closed terminal and a SIGTERM are as good as ctrl-c. Over SSH, another's to hear of."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {each: signal.signal(each, _go) for each in (signal.SIGTERM, signal.SIGHUP)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _go(_number: int, _frame: FrameType | None) -> Never:
    raise KeyboardInterrupt


def _say_who(desk: Desk, session: Session, look: Look) -> None:
    """Who else watches, and whether that counts where it has to."""
    services = desk.services
    others = beside(services, [session])[session.id].names
    told = [f"Others who watch {session.name}: {', '.join(others)}."] if others else []
    grant = services.store.grant(session.grant)
    if grant is not None and grant.watch:
        why_not = services.watching.why_not(look, session, services.clock.now())
        goes_on = f"{grant} is used only while somebody watches."
        counts = f"{session.name} goes on while you watch."
        told.append(f"{goes_on} {counts if why_not is None else f'You do not count: {why_not}'}")
    for sentence in told:
        desk.output.note(sentence)
    if told and desk.output.terminal:
        desk.pause(MOMENT)
