"""How long a keystroke's echo takes: on a quiet bastion, and beside a bulk transfer."""

import os
import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from tests.bench.crowd import Way as WayIn
from tests.bench.crowd import crowd
from tests.bench.figures import Pair, Row, percentile, row, within
from tests.bench.quiet_target import quiet_target
from tests.bench.stage import Stage, Way

GAP = 0.002
"""Seconds between two keystrokes: nobody types without any, and caches grow cold meanwhile."""

ROUNDS = 5

QUIET = "quiet-host"
"""Where the others are."""

_ECHO = "stty raw -echo; printf ready; exec cat"


class Typist:
    """Somebody at a terminal of the target, where each key is echoed by `cat`."""

    def __init__(self, stage: Stage, way: Way) -> None:
        self._command = way.ssh("-tt", _ECHO)
        self._env = stage.contractor.env

    def __enter__(self) -> "Typist":
        self._process = subprocess.Popen(
            self._command,
            env=self._env,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            bufsize=0,
            start_new_session=True,
        )
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._keyboard = self._process.stdin.fileno()
        self._screen = self._process.stdout.fileno()
        seen = b""
        while not seen.endswith(b"ready"):
            seen += self._read()
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.communicate()

    def press(self) -> float:
        """Types one key, and gives the milliseconds until it is shown."""
        time.sleep(GAP)
        begun = time.perf_counter()
        os.write(self._keyboard, b"x")
        self._read()
        return (time.perf_counter() - begun) * 1000

    def _read(self) -> bytes:
        shown = os.read(self._screen, 4096)
        if not shown:
            raise RuntimeError(f"{self._command} ended with {self._process.wait()}")
        return shown


def measure(stage: Stage, times: int) -> list[Row]:
    """`times` keys by each way in each round, one here, one there, both sessions being open."""
    rounds = _rounds(stage, times)
    return [
        row("a keystroke's echo, p50", "ms", [_pair(keys, 50) for keys in rounds]),
        within("a keystroke's echo, p99", "ms", [_pair(keys, 99) for keys in rounds], 1.0),
    ]


def _rounds(stage: Stage, times: int) -> list[list[list[float]]]:
    """The milliseconds of each key by each way, in each round."""
    rounds = []
    for _ in range(ROUNDS):
        with ExitStack() as stack:
            typists = [stack.enter_context(Typist(stage, way)) for way in stage.ways]
            for typist in typists * 20:
                typist.press()
            rounds.append([[typist.press() for typist in typists] for _ in range(times)])
    return rounds


def _pair(keys: list[list[float]], number: int) -> Pair:
    by_proxyjump, by_bastion = zip(*keys, strict=True)
    return Pair(percentile(by_proxyjump, number), percentile(by_bastion, number))


def measure_beside_others(stage: Stage, times: int, others: int) -> list[Row]:
    """The same while so many other sessions are open on the bastion, ten on each connection."""
    with _others(stage, others):
        rounds = _rounds(stage, times)
    said = f"a keystroke's echo beside {others} other sessions"
    return [
        within(f"{said}, p50", "ms", [_pair(keys, 50) for keys in rounds], 0.4),
        within(f"{said}, p99", "ms", [_pair(keys, 99) for keys in rounds], 1.0),
    ]


@contextmanager
def _others(stage: Stage, number: int) -> Iterator[None]:
    """Sessions of hers on another host, until the end of the block."""
    bastion, contractor = stage.bastion, stage.contractor
    with ExitStack() as stack:
        target = stack.enter_context(quiet_target(bastion.admin_now("ca", "show", "target").out))
        host_key = stage.place / "quiet.pub"
        host_key.write_text(f"{target.host_key_line}\n")
        words = ("--address", f"127.0.0.1:{target.port}", "--host-key", str(host_key))
        bastion.admin_now("host", "add", QUIET, *words)
        contractor.granted_now(host=QUIET)
        contractor.certified_now()
        keys = str(contractor.key), str(contractor.certificate)
        way = WayIn(bastion.port, contractor.name, QUIET, 22, contractor.login, *keys, each=10)
        stack.enter_context(crowd(way, 1)).open(number)
        yield


def measure_beside_bulk(stage: Stage, times: int, file: Path) -> list[Row]:
    """The same while another session of the same way carries `file` over and over."""
    waits = []
    for way in stage.ways:
        with Typist(stage, way) as typist, _flood(stage, way, file):
            waits.append([typist.press() for _ in range(times)])
        stage.settle()
        stage.forget()
    return [
        row(f"a keystroke's echo beside a bulk transfer, p{number}", "ms", [_across(waits, number)])
        for number in (50, 99)
    ]


def _across(waits: list[list[float]], number: int) -> Pair:
    return Pair(*(percentile(waited, number) for waited in waits))


@contextmanager
def _flood(stage: Stage, way: Way, file: Path) -> Iterator[None]:
    """A transfer that goes on until the end of the block."""
    command = way.ssh(f"while cat {file}; do :; done")
    with subprocess.Popen(
        command,
        env=stage.contractor.env,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    ) as process:
        try:
            assert process.stdout is not None
            process.stdout.read(1)
            with subprocess.Popen(["cat"], stdin=process.stdout, stdout=subprocess.DEVNULL) as sink:
                yield
                process.kill()
                sink.wait(10)
        finally:
            process.kill()
