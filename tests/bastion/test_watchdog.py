"""The watchdog: a loop that stands still ends the process, a machine that slept does not."""

import asyncio
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable

import pytest

from bastion import watchdog as room
from bastion.watchdog import Watchdog


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """It looks often."""
    monkeypatch.setattr(room, "TICK", 0.01)


class Ends:
    """What would be the end of the process."""

    def __init__(self) -> None:
        self.sentences: list[str] = []
        self.came = threading.Event()

    def __call__(self, sentence: str) -> None:
        self.sentences.append(sentence)
        self.came.set()


def stand_still(until: Callable[[], object]) -> None:
    """The loop's thread waits here."""
    until()


async def test_a_loop_that_turns_is_left_alone() -> None:
    """However long."""
    ends = Ends()
    with Watchdog(0.2, ends) as watchdog:
        watchdog.follow(asyncio.get_running_loop())
        await asyncio.sleep(0.6)
    assert ends.sentences == []


async def test_a_loop_that_stands_still_is_ended() -> None:
    """It is said for how long, and where it stands."""
    ends = Ends()
    with Watchdog(0.1, ends) as watchdog:
        watchdog.follow(asyncio.get_running_loop())
        await asyncio.sleep(0.02)
        stand_still(lambda: ends.came.wait(10))
    [sentence] = ends.sentences
    assert sentence.startswith("nothing has moved for 0.1 s, in threading.py, line ")


async def test_time_in_which_all_stood_still_does_not_count() -> None:
    """An hour passes between two looks: the machine was suspended, and the loop had no turn."""
    ends, hours = Ends(), iter(range(10**9))
    with Watchdog(1.0, ends, lambda: 3600.0 * next(hours)) as watchdog:
        watchdog.follow(asyncio.get_running_loop())
        stand_still(lambda: ends.came.wait(0.2))  # twenty looks, each counts for two
        assert ends.sentences == []


PROGRAM = """
import socket, sys, threading
from bastion.watchdog import abruptly
connection = socket.create_connection(("127.0.0.1", int(sys.argv[1])))
held = open("/proc/self/status")
threading.Thread(target=abruptly, args=("that was all",)).start()
threading.Event().wait()
"""


def test_the_end_is_abrupt_and_told() -> None:
    """Whatever other threads do: the last line, the connections, the process."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        listening.settimeout(20)
        port = listening.getsockname()[1]
        with subprocess.Popen(
            [sys.executable, "-c", PROGRAM, str(port)], stderr=subprocess.PIPE, env=dict(os.environ)
        ) as process:
            connection, _ = listening.accept()
            with connection:
                connection.settimeout(20)
                assert connection.recv(1) == b""
            assert process.wait(20) == 1
            assert process.stderr is not None
            assert process.stderr.read() == b"that was all\n"


def test_a_last_line_that_nobody_takes_holds_nothing_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """What hangs may be the log itself."""
    ended: list[int] = []
    monkeypatch.setattr(room, "LAST_WORDS", 0.05)
    never = threading.Event()
    monkeypatch.setattr(room.log, "critical", lambda *_: never.wait(10))
    monkeypatch.setattr(room, "_shut", lambda _: None)
    monkeypatch.setattr(os, "_exit", ended.append)
    began = time.monotonic()
    room.abruptly("that was all")
    assert ended == [1]
    assert time.monotonic() - began < 5
    never.set()
