"""The supervisor: what reaches the processes that it looks after."""

import asyncio
import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

from bastion.supervising import Patience, Supervisor

CHILD = """
import os, signal, socket, sys, time
name, place, pipe = sys.argv[1], sys.argv[2], socket.socket(fileno=int(sys.argv[3]))
def heard(*_):
    with open(f"{place}/heard", "a") as file:
        file.write(name + "\\n")
time.sleep(0.1)  # a signal would end it now
signal.signal(signal.SIGHUP, heard)
while True:
    pipe.send(b".")
    time.sleep(0.05)
"""


def over(program: str, place: Path, workers: int) -> Supervisor:
    """One that looks after processes of that program, which is told its name, `place` and pipe."""

    def argv(name: str, _: Sequence[int], pipe: int) -> list[str]:
        return [sys.executable, "-c", program, name, str(place), str(pipe)]

    return Supervisor(argv, [], workers, Patience(stalled=5, drain=1))


async def test_sighup_reaches_those_that_start_as_well(tmp_path: Path) -> None:
    """It would end one that has no ear for it yet: it hears of it once it is ready."""
    supervisor = over(CHILD, tmp_path, workers=1)
    heard = tmp_path / "heard"
    async with asyncio.TaskGroup() as group:
        running = group.create_task(supervisor.run(lambda: None))
        await asyncio.sleep(0)  # its ears are there now, its children not
        os.kill(os.getpid(), signal.SIGHUP)
        async with asyncio.timeout(20):
            while not heard.exists() or len(heard.read_text().split()) < 2:  # noqa: ASYNC110
                await asyncio.sleep(0.01)
        os.kill(os.getpid(), signal.SIGTERM)
        await running
    assert sorted(set(heard.read_text().splitlines())) == ["steward", "worker 1"]


BROKEN = """
import socket, sys, time
name, place, pipe = sys.argv[1], sys.argv[2], socket.socket(fileno=int(sys.argv[3]))
if name == "worker 2":
    sys.exit(1)
while True:
    pipe.send(b".")
    time.sleep(0.05)
"""


async def test_where_one_finds_that_it_cannot_serve_all_end(tmp_path: Path) -> None:
    """What is wrong with a home is so the next time too: nobody begins again for ever."""
    begun: list[bool] = []
    supervisor = over(BROKEN, tmp_path, workers=2)
    async with asyncio.timeout(20):
        served = await supervisor.run(lambda: begun.append(True))
    assert not served
    assert not begun
