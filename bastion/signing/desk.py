"""The desk: what is answered to each request. Written down first, then said."""

import asyncio
import hashlib
import logging
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Final

from bastion.authority import Generations, Which
from bastion.authority.keyfiles import CAS
from bastion.authority.public_keys import line_of
from bastion.datatypes import string
from bastion.errors import BastionError, Unavailable
from bastion.signing import frames
from bastion.signing.book import Book, Entry
from bastion.signing.judge import Approved, NotSigned, judged
from bastion.signing.pace import Pace
from bastion.signing.serials import Serials
from bastion.signing.vault import Vault

log = logging.getLogger(__name__)

WAITING: Final = 1024
"""Signatures that may wait to be written down."""

LINES: Final = 40 * 1024
"""Bytes of the book's lines in one answer."""

QUIET: Final = 5.0
"""Lines a second that strangers and refusals may put into the service's own log."""


@dataclass(slots=True)
class _Wait:
    """An entry that waits to be written down."""

    entry: Entry
    done: asyncio.Future[None]


@dataclass(slots=True)
class Pen:
    """Writes what waits into the book, all of it in one turn."""

    book: Book
    _thread: ThreadPoolExecutor = field(default_factory=lambda: ThreadPoolExecutor(1, "pen"))
    _waits: asyncio.Queue[_Wait] = field(default_factory=lambda: asyncio.Queue(WAITING))

    async def written(self, entry: Entry) -> None:
        """Returns when it is on the disk. Raises Unavailable."""
        wait = _Wait(entry, asyncio.get_running_loop().create_future())
        try:
            self._waits.put_nowait(wait)
        except asyncio.QueueFull:
            raise Unavailable("too much waits to be written down") from None
        await wait.done

    def close(self) -> None:
        """Nothing more is written, and the book is closed."""
        self._thread.shutdown()
        self.book.close()

    async def keep(self) -> None:
        """Write, until cancelled."""
        loop = asyncio.get_running_loop()
        while True:
            waits = [await self._waits.get()]
            while not self._waits.empty():
                waits.append(self._waits.get_nowait())
            failed: BastionError | None = None
            try:
                entries = [wait.entry for wait in waits]
                await loop.run_in_executor(self._thread, self.book.write, entries)
            except BastionError as error:
                failed = error
                log.error("%s", error)
            for wait in waits:
                if not wait.done.done():
                    if failed is None:
                        wait.done.set_result(None)
                    else:
                        wait.done.set_exception(failed)


class Desk:
    """Answers requests. `now` is the wall clock, `clock` one that only rises, in seconds."""

    def __init__(
        self,
        vault: Vault,
        pen: Pen,
        serials: Serials,
        now: Callable[[], datetime],
        clock: Callable[[], float],
    ) -> None:
        self._vault = vault
        self._pen = pen
        self._serials = serials
        self._now = now
        self._clock = clock
        self._paces: dict[Which, Pace] = {}
        self._quiet = Pace(QUIET, clock())

    async def answer(
        self, request: frames.Sign | frames.Keys | frames.Log, pid: int
    ) -> frames.Signature | frames.No | frames.Public | frames.Lines:
        """What is said to it. `pid` is who asks, for the book."""
        try:
            match request:
                case frames.Keys():
                    return _public(self._vault.look().cas)
                case frames.Log():
                    book = self._pen.book
                    lines = await asyncio.to_thread(book.after, request.after, LINES)
                    return frames.Lines(lines=tuple(lines), newest=book.number)
                case frames.Sign():
                    return await self._sign(request, pid)
        except NotSigned as error:
            self.say(f"not signed for the process {pid}: {error}")
            return frames.No(why=f"it does not sign {error}"[:1000])
        except Unavailable as error:
            return frames.No(why=str(error)[:1000])

    def say(self, words: str) -> None:
        """One line of the log, unless there are too many of its kind."""
        if self._quiet.take(self._clock()):
            log.warning("%s", words)

    async def _sign(self, request: frames.Sign, pid: int) -> frames.Signature | frames.No:
        held, which = self._vault.look(), Which(request.ca)
        found = (ca for ca in held.cas[which].live if ca.public.fingerprint == request.key)
        signer = next(found, None)
        if signer is None:
            raise NotSigned(f"by a key of {which} that it does not have, or that is retired")
        approved = judged(request.body, which, signer.public, held.bench, self._now())
        digest = hashlib.sha256(request.body).hexdigest()
        serial = approved.serial
        if serial is not None and not self._serials.takes(serial, digest):
            return frames.No(
                why=f"the serial {serial} was signed before, or is too far from the others",
                next=self._serials.next,
            )
        self._demand_pace(which, held.bench.limits.rate(which))
        if serial is not None:
            self._serials.took(serial, digest)
        signature = signer.sign(request.body)
        whole = request.body + string(signature)
        await self._pen.written(self._entry(which, request, approved, whole, pid))
        return frames.Signature(signature=signature)

    def _demand_pace(self, which: Which, rate: float) -> None:
        pace = self._paces.get(which)
        if pace is None or pace.rate != rate:
            pace = self._paces[which] = Pace(rate, self._clock())
        if not pace.take(self._clock()):
            raise NotSigned(f"more than {rate:g} a second by {which}")

    def _entry(
        self, which: Which, request: frames.Sign, approved: Approved, whole: bytes, pid: int
    ) -> Entry:
        sealed = which is Which.SEAL
        return {
            "at": _iso(self._now()),
            "ca": which.value,
            "key": request.key,
            "serial": approved.serial,
            "what": approved.what[:1000],
            "principals": [name[:253] for name in approved.principals[:16]],
            "until": None if approved.until is None else _iso(approved.until),
            "forced": None if approved.forced is None else approved.forced[:1000],
            "sha256": None if sealed else hashlib.sha256(whole).hexdigest(),
            "body": hashlib.sha256(request.body).hexdigest(),
            "pid": pid,
        }


def remembered(entries: Iterable[Entry], highest: int) -> Serials:
    """The serials of what was signed before; none was higher than `highest` before the book."""
    serials = Serials(highest)
    for entry in entries:
        serial, body = entry.get("serial"), entry.get("body")
        if isinstance(serial, int) and isinstance(body, str):
            serials.took(serial, body)
    return serials


def _public(cas: dict[Which, Generations]) -> frames.Public:
    return frames.Public(
        cas={
            which: frames.OfCa(
                live=tuple(line_of(signer.public) for signer in cas[which].live),
                retired=tuple(line_of(key) for key in cas[which].retired[-100:]),
            )
            for which in CAS
        }
    )


def _iso(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
