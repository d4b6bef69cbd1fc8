"""One process of several that serve a home, as the supervisor starts it: not for people.

python -m cli.worker HOME steward PIPE SETTINGS MEMORY
python -m cli.worker HOME 'worker 1' PIPE SETTINGS MEMORY LISTENING…

SETTINGS is a descriptor: all have the ones that the service was started with, whatever the file in
the home says when one is started again. MEMORY is what workers count together in.
"""

import asyncio
import gc
import os
import socket
import sys
from collections.abc import Sequence
from pathlib import Path

import uvloop

from bastion import serving
from bastion.app import Services, opened
from bastion.config import Settings
from bastion.errors import BastionError, single
from bastion.home import Home
from bastion.metrics import Meters
from bastion.neighbours import Neighbours
from bastion.pulse import Pulse, Sign
from bastion.reloading import Started
from bastion.supervising import STEWARD
from bastion.text_files import LIMIT
from bastion.watchdog import Watchdog
from cli.logs import log_to_stderr
from cli.supervisor import Own
from recorder.errors import RecorderError


def main(words: Sequence[str]) -> int:
    """Serves until SIGTERM. What goes wrong is said in one line, as the supervisor goes on."""
    home, name = Home(Path(words[0])), words[1]
    pipe, settings, memory, *listening = map(int, words[2:])
    log_to_stderr(name)
    try:
        started = _read(home, settings)
        with (
            opened(home, started.settings) as services,
            Watchdog(services.settings.recording.stall) as watchdog,
            asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner,
        ):
            log_to_stderr(name, services.settings.log.format)
            watchdog.follow(runner.get_loop())
            own = Own(name, pipe, settings, memory)
            runner.run(_served(services, started, own, listening))
    except Exception as error:
        said = single(error)
        if not isinstance(said, (BastionError, RecorderError)):
            raise
        print(f"bastion-admin: {name}: {said}", file=sys.stderr)  # noqa: T201 (no desk here)
        return 1
    return 0


def _read(home: Home, descriptor: int) -> Started:
    text = os.pread(descriptor, LIMIT, 0).decode()
    return Started(home, Settings.parse(text, home.settings), text)


async def _served(services: Services, started: Started, own: Own, listening: Sequence[int]) -> None:
    pulse = Pulse(Meters())
    sign = Sign(own.pipe, pulse)
    async with asyncio.TaskGroup() as group:
        signs: list[asyncio.Task[None]] = []

        def ready(*_: object) -> None:
            signs.append(group.create_task(sign.keep()))

        if own.name == STEWARD:
            await serving.steward(services, ready, pulse, started)
        else:
            # Who speaks with nobody needs no verbs: five megabytes of them.
            from cli.control import ControlPlane  # noqa: PLC0415

            sockets = [socket.socket(fileno=each) for each in listening]
            share = serving.Share(sockets, Neighbours(own.memory, own.number))
            await serving.serve(services, ControlPlane(services), ready, pulse, share=share)
        for task in signs:
            task.cancel()


if __name__ == "__main__":
    gc.freeze()  # what was imported is never garbage
    sys.exit(main(sys.argv[1:]))
