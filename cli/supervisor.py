"""Who looks after the processes that serve a home: not for people.

python -m cli.supervisor VALUES

`serve` reads the settings, takes the home's lock and listens. Then this program takes its place, in
the same process, with none of what reading settings and opening homes needs: that would be 75 MB
for as long as the service lasts. VALUES is a `Watch`, as JSON.
"""

import asyncio
import gc
import json
import logging
import os
import socket
import sys
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Final, NoReturn, Self

from bastion import neighbours
from bastion.bulletin import Bulletin
from bastion.exposition import Exposition
from bastion.supervising import Patience, Supervisor
from cli.logs import Form, log_to_stderr
from cli.systemd import interval, keep_notifying, notify

log = logging.getLogger(__name__)

# -P: a package of that name in the directory that serve was started in is not ours.
PYTHON: Final = (sys.executable, "-P", "-m")


@dataclass(frozen=True, slots=True)
class Watch:
    """What has to be looked after: `home`, served on `address` by a steward and `count` workers.

    `lock`, `settings`, `memory`, `listening` and `asked` are descriptors: of the home's lock, of
    the text of the settings, of what workers count together in, of the sockets for connections,
    and of those for metrics. `program` is what people know this by.
    """

    program: str
    home: str
    address: str
    count: int
    stalled: float
    drain: float
    form: Form
    lock: int
    settings: int
    memory: int
    listening: Sequence[int]
    asked: Sequence[int]

    @classmethod
    def read(cls, text: str) -> Self:
        """From the command line: it is ours."""
        return cls(**json.loads(text))

    def begin(self) -> NoReturn:
        """In this process, in place of the program that runs. All its threads are gone then."""
        for each in (self.lock, self.settings, self.memory, *self.listening, *self.asked):
            os.set_inheritable(each, True)
        sys.stdout.flush()
        sys.stderr.flush()
        os.execv(sys.executable, [*PYTHON, "cli.supervisor", json.dumps(asdict(self))])  # noqa: S606


@dataclass(frozen=True, slots=True)
class Own:
    """What one is, with the descriptors of its pipe, of the settings, and of what it shares with
    the others (`bastion.neighbours`)."""

    name: str
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
    numbers = (own.pipe, own.settings, own.memory, *listening)
    return [*PYTHON, "cli.worker", str(home), own.name, *map(str, numbers)]


def beside(
    asked: Sequence[socket.socket], bulletin: Bulletin, well: Callable[[], bool]
) -> list[Coroutine[object, object, None]]:
    """What goes on beside serving: whoever asks how it is is answered, and systemd told."""
    return [Exposition(bulletin).keep(asked), keep_notifying(bulletin, well, interval(os.environ))]


def main(words: Sequence[str]) -> int:
    """Looks after them until SIGTERM: 0, or 1 where they can't serve."""
    watch = Watch.read(words[0])
    log_to_stderr("supervisor", watch.form)
    try:
        return 0 if asyncio.run(_watched(watch)) else 1
    except Exception:
        log.exception("a mistake of ours: nobody looks after the others, and they end")
        return 1
    finally:
        notify("STOPPING=1")


async def _watched(watch: Watch) -> bool:
    def argv(name: str, fds: Sequence[int], pipe: int) -> list[str]:
        own = Own(name, pipe, watch.settings, watch.memory)
        return command(Path(watch.home), own, listening=fds)

    def ready() -> None:
        sys.stderr.write(f"{watch.program}: listening on {watch.address}\n")
        sys.stderr.flush()
        notify("READY=1")

    listening, asked = _sockets(watch.listening), _sockets(watch.asked)
    patience = Patience(stalled=watch.stalled, drain=watch.drain)
    supervisor = Supervisor(
        argv,
        listening,
        watch.count,
        patience,
        handed=[watch.settings, watch.memory],
        gone=partial(neighbours.vacate, watch.memory),
    )
    return await supervisor.run(ready, beside(asked, supervisor.bulletin, supervisor.well))


def _sockets(descriptors: Sequence[int]) -> list[socket.socket]:
    """Nobody inherits them who is not handed them."""
    made = [socket.socket(fileno=each) for each in descriptors]
    for each in made:
        each.set_inheritable(False)
    return made


if __name__ == "__main__":
    gc.freeze()
    sys.exit(main(sys.argv[1:]))
