"""`python -m tests.soak`: mixed load for a long time, and whether anything grows or is not sound.

    --minutes N      how long (60)
    --seed N         the dice: the same acts again, though not at the same moments
    --no-kills       no worker is killed: all processes are looked at from beginning to end
    --workers N      of the bastion (2)
    --only ACT …     these acts alone, as `expired revoked`
    --guests N       people who have one grant at a time (2): so many of those two at once

The last worker is killed by -9 now and then, the others live through all of it. It listens on
loopback only, and ends by itself. Exit status 1 where something has grown beyond its bound (see
`growth.BOUNDS`), or is not as it has to be; then it leaves a directory behind, which it names, with
what tells why (see `kept`). Otherwise it leaves nothing.
"""

import argparse
import asyncio
import random
import signal
import sys
from collections.abc import Collection
from types import FrameType
from typing import NoReturn

from tests.soak import kept, soak
from tests.soak.scene import scene
from tests.soak.shares import SHARES, Share

ROUND = 45.0
"""Seconds of load and rest."""

LEAST = 10
"""Rounds, so that each quarter has some."""

GRACE = 600
"""Seconds beyond its time after which it gives up."""


def main(words: list[str]) -> int:
    """One run."""
    asked = _arguments(words)
    seconds = 60.0 * asked.minutes
    rounds = max(LEAST if seconds >= 60 else 1, round(seconds / ROUND))
    plan = soak.Plan(seconds, rounds, asked.seed, asked.kills, shares=_shares(asked.only))
    _bounded(int(seconds) + GRACE)
    _say(f"seed {plan.seed}, {plan.seconds:.0f} s in {plan.rounds} rounds")
    sound = False
    with scene(asked.workers, guests=asked.guests) as made:
        run = soak.Soak(made, plan, _say)
        try:
            sound = soak.sound(asyncio.run(run.run()), plan)
        finally:
            if not sound:
                failed = [*run.found.wrong, "", "excused:", *run.found.excused]
                _say(f"kept: {kept.put_away(made, failed)}")
            _say(soak.shown(run.found, plan))  # what was counted, though the rest was not judged
    _say("sound" if sound else f"not sound: --seed {plan.seed}")
    return 0 if sound else 1


def _shares(names: Collection[str]) -> list[Share]:
    return [share for share in SHARES if not names or share.act.__name__ in names]


def _arguments(words: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.soak", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("--minutes", type=float, default=60.0, help="how long")
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(10**6))
    parser.add_argument("--no-kills", dest="kills", action="store_false", help="kill no worker")
    names = [share.act.__name__ for share in SHARES]
    parser.add_argument("--only", nargs="+", default=[], choices=names, help="these acts alone")
    parser.add_argument("--guests", type=int, default=2, help="who have one grant at a time")
    parser.add_argument("--workers", type=int, default=2, help="of the bastion, at least 2")
    return parser.parse_args(words)


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def _bounded(seconds: int) -> None:
    """An end by time or by SIGTERM is an exception, so that everything is cleaned up."""

    def give_up(number: int, frame: FrameType | None) -> NoReturn:
        raise SystemExit(f"given up by {signal.Signals(number).name}")

    signal.signal(signal.SIGALRM, give_up)
    signal.signal(signal.SIGTERM, give_up)
    signal.alarm(seconds)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
