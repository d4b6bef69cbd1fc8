"""What systemd is told: that we serve, that we are well, how many sessions go on (sd_notify(3))."""

import asyncio
import logging
import os
import socket
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Final

from bastion.bulletin import Bulletin
from recorder.nouns import counted

log = logging.getLogger(__name__)

PATIENCE: Final = 1.0
"""Seconds for it to take what it is told: its queue may be full."""

USUALLY: Final = 10.0
"""Seconds between two words where systemd keeps no watchdog."""


def notify(state: str) -> None:
    """Tell systemd, where it asked to be told. Where it does not listen, it is not waited for."""
    address = os.environ.get("NOTIFY_SOCKET", "")
    if not address:
        return
    if address.startswith("@"):
        address = "\0" + address[1:]
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as notice:
            notice.settimeout(PATIENCE)
            notice.connect(address)
            notice.send(state.encode())
    except OSError as error:
        log.warning("systemd could not be told %s: %s", state.splitlines()[0], error)


def interval(environ: Mapping[str, str]) -> float | None:
    """Seconds between two signs that systemd's watchdog is to see; None where there is none.

    Half of what it waits, as sd_watchdog_enabled(3) advises. One that is meant for another process
    is none of ours.
    """
    microseconds, pid = environ.get("WATCHDOG_USEC", ""), environ.get("WATCHDOG_PID", "")
    if not (microseconds.isascii() and microseconds.isdigit()) or pid not in ("", str(os.getpid())):
        return None
    return int(microseconds) / 2_000_000 or None


async def keep_notifying(
    bulletin: Bulletin, well: Callable[[], bool], watched: float | None
) -> None:
    """Tell it how we are, until cancelled: by its watchdog only while we are `well`."""
    thread = ThreadPoolExecutor(1, "systemd")  # of its own: the others may wait for a database
    try:
        while True:
            words = [f"STATUS={status(bulletin)}"]
            if watched is not None and well():
                words.append("WATCHDOG=1")
            loop = asyncio.get_running_loop()
            await loop.run_in_executor(thread, notify, "\n".join(words))
            await asyncio.sleep(min(watched or USUALLY, USUALLY))
    finally:
        thread.shutdown(wait=False)


def status(bulletin: Bulletin) -> str:
    """How we are, in a line for people."""
    live, wrong = bulletin.live(), bulletin.wrong()
    said = counted(live, "live session")
    return f"{said}; no new ones: {', '.join(wrong)}" if wrong else said
