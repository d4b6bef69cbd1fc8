"""What auditors cost who look through ssh: how fast exports go, and what others notice of it."""

import json
import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from tests.bench.figures import Row, above, known, percentile
from tests.bench.keystrokes import Typist
from tests.bench.processes import forget_peak, metered, peak, resident, watch_until
from tests.bench.stage import Stage
from tests.e2e.contractor import Contractor

WATCHERS = (1, 8, 20)
QUIET = 3.0
"""Seconds in which watchers see nothing."""


def measure(stage: Stage, file: Path, keys: int) -> list[Row]:
    """A recording of `file` is looked at in each way, and typists are hindered by as much."""
    auditors = [_auditor(stage, number) for number in range(3)]
    stage.run(stage.by_bastion.ssh(f"cat {file}"))
    stage.settle()
    session = _newest(stage)
    size = int(json.loads(stage.bastion.admin_now("show", session, "--json").out)["bytes_out"])
    rows = []
    for words in ((), ("--raw", "stdout")):
        rows += _exported(stage, auditors[0], size, ("export", session, *words))
    rows += _exported(stage, auditors[0], size, ("replay", session))
    rows += _typed("alone", stage, keys)
    with _again_and_again(auditors[0], ("export", session)):
        rows += _typed("beside an export", stage, keys)
    rows += _watched(stage, auditors, keys)
    rows += _flooded(stage, auditors, file)
    stage.settle()
    stage.forget()
    return rows


def _auditor(stage: Stage, number: int) -> Contractor:
    name = f"auditor{number}"
    person = Contractor.enrolled(stage.place / name, name, stage.bastion, stage.target.login)
    stage.bastion.admin_now("user", "set", name, "--role", "auditor")
    person.configure()
    return person


def _newest(stage: Stage, *words: str) -> str:
    return str(json.loads(stage.bastion.admin_now("sessions", "--json", *words).out)[0]["id"])


@contextmanager
def _looking(who: Contractor, words: tuple[str, ...]) -> Iterator["subprocess.Popen[bytes]"]:
    """`ssh bastion WORDS`, thrown away as fast as it comes."""
    command = who._ssh(("bastion", *words))
    with subprocess.Popen(
        command,
        env=who.env,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def _exported(stage: Stage, who: Contractor, size: int, words: tuple[str, ...]) -> list[Row]:
    before = resident(stage.bastion.pid)
    forget_peak(stage.bastion.pid)
    begun = time.monotonic()
    with _looking(who, words) as process:
        if process.wait(300) != 0:
            raise RuntimeError(f"{words} failed")
    rate = size / 1e6 / (time.monotonic() - begun)
    name = " ".join(word for word in words if not word.startswith("S-"))
    grown = (peak(stage.bastion.pid) - before) / 1e6
    return [
        above(f"ssh bastion {name}, of what was shown", "MB/s", rate, 20),
        known(f"ssh bastion {name}, memory", "MB", grown),
    ]


def _typed(how: str, stage: Stage, keys: int) -> list[Row]:
    with Typist(stage, stage.by_bastion) as typist:
        for _ in range(20):
            typist.press()
        waits = [typist.press() for _ in range(keys)]
    return [
        known(f"a keystroke's echo {how}, p{number}", "ms", percentile(waits, number))
        for number in (50, 99)
    ]


@contextmanager
def _again_and_again(who: Contractor, words: tuple[str, ...]) -> Iterator[None]:
    """The same look, begun anew whenever it has ended."""
    ssh = " ".join(who._ssh(("bastion", *words)))
    with subprocess.Popen(
        ["sh", "-c", f"while {ssh}; do :; done"],
        env=who.env,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    ) as process:
        assert process.stdout is not None
        process.stdout.read(1)
        with subprocess.Popen(["cat"], stdin=process.stdout, stdout=subprocess.DEVNULL) as sink:
            try:
                yield
            finally:
                process.kill()
                sink.kill()


def _watched(stage: Stage, auditors: list[Contractor], keys: int) -> list[Row]:
    """A shell that is watched: what it costs while nothing happens, and while somebody types."""
    rows = []
    with Typist(stage, stage.by_bastion) as typist:
        live = _newest(stage, "--live")
        for number in WATCHERS:
            with ExitStack() as stack:
                for each in range(number):
                    stack.enter_context(_looking(auditors[each % 3], ("watch", live)))
                _until_watched(stage, live, number)
                with metered(stage.bastion.pid) as meter:
                    time.sleep(QUIET)
                waits = [typist.press() for _ in range(keys)]
            cost = meter.seconds / QUIET * 100
            rows.append(known(f"{number} watch a quiet shell, of a processor", "%", cost))
            echo = percentile(waits, 50)
            rows.append(known(f"a keystroke's echo where {number} watch, p50", "ms", echo))
            _until_watched(stage, live, 0)
    return rows


def _until_watched(stage: Stage, session: str, number: int) -> None:
    def watched() -> bool:
        shown = json.loads(stage.bastion.admin_now("show", session, "--json").out)
        return len(shown["watchers"]) == number

    watch_until(f"{number} watch", watched)


def _flooded(stage: Stage, auditors: list[Contractor], file: Path) -> list[Row]:
    """A bulk transfer that is watched, by none and by five."""
    rates = {}
    for number in (0, 5):
        command = stage.by_bastion.ssh(f"cat {file}; cat {file}")
        with ExitStack() as stack:
            process = stack.enter_context(
                subprocess.Popen(
                    command,
                    env=stage.contractor.env,
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.PIPE,
                )
            )
            assert process.stdout is not None
            process.stdout.read(1)
            live = _newest(stage, "--live")
            for each in range(number):
                stack.enter_context(_looking(auditors[each % 3], ("watch", live)))
            _until_watched(stage, live, number)
            begun = time.monotonic()
            subprocess.run(["cat"], stdin=process.stdout, stdout=subprocess.DEVNULL, check=True)
            rates[number] = 2 * file.stat().st_size / 1e6 / (time.monotonic() - begun)
            process.wait()
    return [known(f"text down, watched by {number}", "MB/s", rates[number]) for number in rates]
