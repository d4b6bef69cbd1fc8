"""What systemd is told, judged by a socket that stands for it."""

import asyncio
import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from bastion import metrics
from bastion.bulletin import Bulletin, Said, Wrong
from bastion.metrics import Meters
from cli.systemd import interval, keep_notifying, status
from recorder import Kind


@pytest.fixture
def systemd(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[socket.socket]:
    """What NOTIFY_SOCKET leads to."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as made:
        made.bind(str(tmp_path / "notify"))
        made.setblocking(False)
        monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
        yield made


def bulletin(live: int, *wrong: Wrong) -> Bulletin:
    """Of one process."""
    made, meters = Bulletin(["server"]), Meters()
    meters.put(metrics.LIVE, live, Kind.SHELL)
    made.heard("server", Said(meters.figures(), wrong))
    return made


def test_its_watchdog_is_heard_twice_as_often_as_it_asks() -> None:
    """Only where it is meant for this process, and is a number."""
    mine = str(os.getpid())
    assert interval({"WATCHDOG_USEC": "30000000", "WATCHDOG_PID": mine}) == 15
    assert interval({"WATCHDOG_USEC": "30000000"}) == 15
    assert interval({"WATCHDOG_USEC": "30000000", "WATCHDOG_PID": "1"}) is None
    for words in ({}, {"WATCHDOG_USEC": "0"}, {"WATCHDOG_USEC": "-1"}, {"WATCHDOG_USEC": "²"}):
        assert interval(words) is None


def test_people_read_how_it_is() -> None:
    """In the line that `systemctl status` shows."""
    assert status(bulletin(1)) == "1 live session"
    assert status(bulletin(3, Wrong.DISK)) == "3 live sessions; no new ones: disk"


async def test_the_watchdog_hears_nothing_when_we_are_not_well(systemd: socket.socket) -> None:
    """The status goes on being told."""
    loop, well = asyncio.get_running_loop(), [True]
    async with asyncio.TaskGroup() as group:
        telling = group.create_task(keep_notifying(bulletin(2), lambda: well[0], 0.01))
        assert await loop.sock_recv(systemd, 1000) == b"STATUS=2 live sessions\nWATCHDOG=1"
        well[0] = False
        while await loop.sock_recv(systemd, 1000) != b"STATUS=2 live sessions":
            pass
        for _ in range(3):
            assert await loop.sock_recv(systemd, 1000) == b"STATUS=2 live sessions"
        telling.cancel()
