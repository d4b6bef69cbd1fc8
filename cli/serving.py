"""What `serve` runs: one process that does everything, or the one that looks after others."""

import asyncio
import socket
from collections.abc import Sequence
from typing import NoReturn

import uvloop

from bastion import neighbours, serving, supervising
from bastion.app import Services
from bastion.bulletin import Bulletin
from bastion.config import Settings
from bastion.metrics import Meters
from bastion.pulse import Pulse
from bastion.reloading import Started
from bastion.watchdog import Watchdog
from cli.control import ControlPlane
from cli.desk import Desk
from cli.logs import log_to_stderr
from cli.supervisor import Watch, beside, handed
from cli.systemd import notify

ALONE = "server"
"""What one process that does everything is called, where there are names for several."""


def supervise(desk: Desk, started: Started, count: int, lock: int) -> NoReturn:
    """Start so many workers and a steward, and look after them, until SIGTERM.

    This program ends with that: `cli.supervisor` goes on in its process, with the home's `lock`.
    """
    settings = started.settings
    listening = supervising.listening_on(settings.listen.address)
    asked = _metrics(settings)
    Watch(
        program=desk.program,
        home=str(started.home.directory),
        address=serving.addresses(listening),
        count=count,
        stalled=settings.limits.stalled,
        drain=settings.limits.drain,
        form=settings.log.format,
        lock=lock,
        settings=handed(started.text),
        memory=neighbours.shared(count),
        listening=[each.fileno() for each in listening],
        asked=[each.fileno() for each in asked],
    ).begin()


def listen(desk: Desk, services: Services, started: Started) -> None:
    """Serve in this process, until SIGTERM."""
    log_to_stderr(form=services.settings.log.format)
    asked = _metrics(services.settings)
    with (
        Watchdog(services.settings.recording.stall) as watchdog,
        asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner,
    ):
        watchdog.follow(runner.get_loop())
        runner.run(_alone(desk, services, started, asked))


async def _alone(
    desk: Desk, services: Services, started: Started, asked: Sequence[socket.socket]
) -> None:
    """One process for everything; it says itself how it is."""
    pulse, bulletin = Pulse(Meters()), Bulletin([ALONE])
    bulletin.started(ALONE)
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(each) for each in beside(asked, bulletin, lambda: True)]

        def ready(address: str) -> None:
            tasks.append(group.create_task(_keep_saying(pulse, bulletin)))
            _ready(desk, address)

        plane = ControlPlane(services)
        await serving.serve(services, plane, ready, pulse, started=started)
        for task in tasks:
            task.cancel()


async def _keep_saying(pulse: Pulse, bulletin: Bulletin) -> None:
    while True:
        bulletin.heard(ALONE, pulse.said())
        await asyncio.sleep(1)


def _metrics(settings: Settings) -> list[socket.socket]:
    """Where metrics are asked for; nowhere where the settings name no address."""
    address = settings.metrics.listen
    return [] if address is None else supervising.listening_on(address)


def _ready(desk: Desk, address: str) -> None:
    desk.output.note(f"{desk.program}: listening on {address}")
    notify("READY=1")
