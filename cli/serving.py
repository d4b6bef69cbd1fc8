"""What `serve` runs: one process that does everything, or one that looks after others."""

import asyncio
import os
import socket
from collections.abc import Callable, Coroutine, Sequence
from functools import partial

import uvloop

from bastion import neighbours, serving, supervising
from bastion.app import Services
from bastion.bulletin import Bulletin
from bastion.config import Settings
from bastion.exposition import Exposition
from bastion.metrics import Meters
from bastion.pulse import Pulse
from bastion.reloading import Started
from bastion.watchdog import Watchdog
from cli import worker
from cli.control import ControlPlane
from cli.desk import Desk
from cli.logs import log_to_stderr
from cli.systemd import interval, keep_notifying, notify

ALONE = "server"
"""What one process that does everything is called, where there are names for several."""


def supervise(desk: Desk, started: Started, count: int) -> None:
    """Start so many workers and a steward, and look after them, until SIGTERM."""
    home, settings = started.home, started.settings
    log_to_stderr("supervisor", settings.log.format)
    listening = supervising.listening_on(settings.listen.address)
    address = serving.addresses(listening)
    asked, text = _metrics(settings), worker.handed(started.text)
    memory = neighbours.shared(count)

    def command(name: str, fds: Sequence[int], pipe: int) -> list[str]:
        own = worker.Own(name, count, pipe, text, memory)
        return worker.command(home.directory, own, listening=fds)

    limits = settings.limits
    patience = supervising.Patience(stalled=limits.stalled, drain=limits.drain)

    async def supervised() -> None:
        supervisor = supervising.Supervisor(
            command,
            listening,
            count,
            patience,
            handed=[text, memory],
            gone=partial(neighbours.vacate, memory),
        )
        beside = _beside(asked, supervisor.bulletin, supervisor.well)
        await supervisor.run(lambda: _ready(desk, address), beside, started.heed)

    asyncio.run(supervised())


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
        tasks = [group.create_task(each) for each in _beside(asked, bulletin, lambda: True)]

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


def _beside(
    asked: Sequence[socket.socket], bulletin: Bulletin, well: Callable[[], bool]
) -> list[Coroutine[object, object, None]]:
    """What goes on beside serving: whoever asks how it is is answered, and systemd told."""
    return [Exposition(bulletin).keep(asked), keep_notifying(bulletin, well, interval(os.environ))]


def _ready(desk: Desk, address: str) -> None:
    desk.output.note(f"{desk.program}: listening on {address}")
    notify("READY=1")
