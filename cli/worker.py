"""One process of several that serve a home, as the supervisor starts it: not for people.

python -m cli.worker HOME steward COUNT PIPE SETTINGS MEMORY
python -m cli.worker HOME 'worker 1' COUNT PIPE SETTINGS MEMORY LISTENING…

SETTINGS is a descriptor: all have the ones that the service was started with, whatever the file in
the home says when one is started again. MEMORY is what workers count together in.
"""

import asyncio
import os
import socket
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import uvloop

from bastion import serving
from bastion.app import Services, opened
from bastion.config import Settings
from bastion.errors import BastionError
from bastion.home import Home
from bastion.metrics import Meters
from bastion.neighbours import Neighbours
from bastion.pulse import Pulse
from bastion.supervising import STEWARD, Sign
from bastion.text_files import LIMIT
from bastion.watchdog import Watchdog
from cli.control import ControlPlane
from cli.logs import log_to_stderr


@dataclass(frozen=True, slots=True)
class Own:
    """What one is: one of `count`, with the descriptors of its pipe, of the settings, and of what
    it shares with the others (`bastion.neighbours`)."""

    name: str
    count: int
    pipe: int
    settings: int
    memory: int

    @property
    def number(self) -> int:
        """Which worker it is, from 0."""
        return int(self.name.rpartition(" ")[2]) - 1


def handed(settings: str) -> int:
    """A descriptor by which the text of the settings is handed to all, again and again."""
    descriptor = os.memfd_create("settings")
    os.write(descriptor, settings.encode())
    return descriptor


def command(home: Path, own: Own, *, listening: Sequence[int]) -> list[str]:
    """The command line of one."""
    numbers = (own.count, own.pipe, own.settings, own.memory, *listening)
    words = [str(home), own.name, *map(str, numbers)]
    # -P: a package of that name in the directory that serve was started in is not ours.
    return [sys.executable, "-P", "-m", "cli.worker", *words]


def main(words: Sequence[str]) -> int:
    """Serves until SIGTERM. What goes wrong is said in one line, as the supervisor goes on."""
    home, name = Home(Path(words[0])), words[1]
    count, pipe, settings, memory, *listening = map(int, words[2:])
    log_to_stderr(name)
    try:
        with (
            opened(home, _read(home, settings)) as services,
            Watchdog(services.settings.recording.stall) as watchdog,
            asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner,
        ):
            log_to_stderr(name, services.settings.log.format)
            watchdog.follow(runner.get_loop())
            own = Own(name, count, pipe, settings, memory)
            runner.run(_served(services, own, listening))
    except BastionError as error:
        print(f"bastion-admin: {name}: {error}", file=sys.stderr)  # noqa: T201 (no desk here)
        return 1
    return 0


def _read(home: Home, descriptor: int) -> Settings:
    return Settings.parse(os.pread(descriptor, LIMIT, 0).decode(), home.settings)


async def _served(services: Services, own: Own, listening: Sequence[int]) -> None:
    pulse = Pulse(Meters())
    sign = Sign(own.pipe, pulse)
    async with asyncio.TaskGroup() as group:
        signs: list[asyncio.Task[None]] = []

        def ready(*_: object) -> None:
            signs.append(group.create_task(sign.keep()))

        if own.name == STEWARD:
            await serving.steward(services, ready, pulse)
        else:
            sockets = [socket.socket(fileno=each) for each in listening]
            beside = Neighbours(own.memory, own.number)
            share = serving.Share(sockets, own.count, beside)
            await serving.serve(services, ControlPlane(services), ready, pulse, share=share)
        for task in signs:
            task.cancel()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
