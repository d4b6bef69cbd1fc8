"""One process of several that serve a home, as the supervisor starts it: not for people.

python -m cli.worker HOME steward PIPE
python -m cli.worker HOME 'worker 1' PIPE LISTENING…
"""

import asyncio
import socket
import sys
from collections.abc import Sequence
from pathlib import Path

import uvloop

from bastion import serving
from bastion.app import Services, opened
from bastion.errors import BastionError
from bastion.home import Home
from bastion.metrics import Meters
from bastion.pulse import Pulse
from bastion.supervising import STEWARD, Sign
from bastion.watchdog import Watchdog
from cli.control import ControlPlane
from cli.logs import log_to_stderr


def command(home: Path, name: str, count: int, *, listening: Sequence[int], pipe: int) -> list[str]:
    """The command line of one."""
    words = [str(home), name, str(count), str(pipe), *map(str, listening)]
    # -P: a package of that name in the directory that serve was started in is not ours.
    return [sys.executable, "-P", "-m", "cli.worker", *words]


def main(words: Sequence[str]) -> int:
    """Serves until SIGTERM. What goes wrong is said in one line, as the supervisor goes on."""
    home, name = words[:2]
    count, pipe, *listening = map(int, words[2:])
    log_to_stderr(name)
    try:
        with (
            opened(Home.at(Path(home))) as services,
            Watchdog(services.settings.recording.stall) as watchdog,
            asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner,
        ):
            log_to_stderr(name, services.settings.log.format)
            watchdog.follow(runner.get_loop())
            runner.run(_served(services, name, count, pipe, listening))
    except BastionError as error:
        print(f"bastion-admin: {name}: {error}", file=sys.stderr)  # noqa: T201 (no desk here)
        return 1
    return 0


async def _served(
    services: Services, name: str, count: int, pipe: int, listening: Sequence[int]
) -> None:
    pulse = Pulse(Meters())
    sign = Sign(pipe, pulse)
    async with asyncio.TaskGroup() as group:
        signs: list[asyncio.Task[None]] = []

        def ready(*_: object) -> None:
            signs.append(group.create_task(sign.keep()))

        if name == STEWARD:
            await serving.steward(services, ready, pulse)
        else:
            sockets = [socket.socket(fileno=each) for each in listening]
            share = serving.Share(sockets, count)
            await serving.serve(services, ControlPlane(services), ready, pulse, share)
        for task in signs:
            task.cancel()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
