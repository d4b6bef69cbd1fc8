"""The checkup: what is wrong with a signer, as the home sees it; each complaint with its mend."""

import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import islice
from typing import Final

from bastion.authority import Generations, Which
from bastion.authority.keyfiles import CAS
from bastion.errors import Unavailable
from bastion.ledger import Entry
from bastion.signing.book import read_line
from bastion.signing.client import SignerClient
from bastion.signing.comparing import Comparison, Found, Line
from bastion.store import Store

PAGE: Final = 500
"""Lines that the ledger is asked for at once."""

LATELY: Final = 2000
"""Lines of the book that a checkup looks at, the newest."""

DAY: Final = timedelta(days=1)
"""What was signed longer ago is left to whoever compares all: it was said for a day."""


@dataclass(frozen=True, slots=True)
class Complaint:
    """What is not as it should be, and the mend; `grave` where it can't stay so."""

    grave: bool
    what: str
    mend: str


def checkup(
    signer: SignerClient, cas: Mapping[Which, Generations], store: Store, now: datetime
) -> Iterator[Complaint]:
    """All that is wrong; nothing is changed."""
    try:
        if signer.account() == os.geteuid():
            what = "The signer runs under the bastion's own account, so it keeps nothing from it."
            yield Complaint(False, what, "give it one of its own (docs/signer.md)")
        yield from _keys(signer, cas)
        yield from _lately(signer, store, now)
    except Unavailable as error:
        what = f"{str(error).partition(';')[0].rstrip('.')}."
        mend = "systemctl status bastion-signer, or bastion-admin signer serve"
        yield Complaint(True, what, mend)


def _keys(signer: SignerClient, cas: Mapping[Which, Generations]) -> Iterator[Complaint]:
    has = signer.keys()
    for which in CAS:
        name = which.value.removesuffix("_ca")
        theirs = {key.blob for key in has[which].live} if which in has else set()
        ours = {ca.public.blob for ca in cas[which].live}
        if ours - theirs:
            what = f"The signer does not sign by the home's {name} key."
            step = " --retire" if ours & theirs and which is not Which.SEAL else ""
            yield Complaint(True, what, f"bastion-admin ca rotate {name}{step}")
        elif theirs & {key.blob for key in cas[which].retired}:
            what = f"The signer still has the {name} key that is retired here."
            yield Complaint(False, what, f"bastion-admin signer rotate {name} --retire")
        elif theirs - ours:
            what = f"The signer has a next {name} key that is not known here."
            yield Complaint(False, what, f"bastion-admin ca rotate {name}")


def _lately(signer: SignerClient, store: Store, now: datetime) -> Iterator[Complaint]:
    newest = signer.lines(2**52)[1]
    comparison = Comparison(now, since=now - DAY)
    found = compared(book_of(signer, max(0, newest - LATELY)), store, comparison, whole=False)
    for each in islice(found, 5):
        yield Complaint(True, each.what, "bastion-admin signer verify says all of it")


def book_of(signer: SignerClient, after: int = 0) -> Iterator[str]:
    """The lines of the book behind the line `after`, up to the newest. Raises Unavailable."""
    while True:
        lines, newest = signer.lines(after)
        yield from lines
        last = _number_of(lines[-1]) if lines else 0
        if last <= after or last >= newest:
            return
        after = last


def _number_of(line: str) -> int:
    """0 where it is none."""
    try:
        number = read_line(line).get("n")
    except ValueError:
        return 0
    return number if isinstance(number, int) else 0


def compared(
    book: Iterable[str],
    store: Store,
    comparison: Comparison,
    *,
    others: Iterable[Iterable[str]] = (),
    whole: bool = True,
) -> Iterator[Found]:
    """What of the book and the ledger does not fit. `others` are books of other machines' signers.

    It blocks. Raises Unavailable.
    """
    (newest,) = [entry.serial for entry in store.ledger(limit=1)] or [0]
    for texts in (book, *others):
        waiting: list[Line] = []
        for each in comparison.read(texts, whole=whole):
            if isinstance(each, Found):
                yield each
                continue
            waiting.append(each)
            if len(waiting) == PAGE:
                yield from comparison.missing(waiting, _kept(store, waiting))
                waiting.clear()
        yield from comparison.missing(waiting, _kept(store, waiting))
    comparison.sort()
    yield from comparison.unsigned(_ledger(store, newest, comparison.begins))


def _kept(store: Store, lines: Iterable[Line]) -> frozenset[str]:
    return store.certificates_known([line.certificate for line in lines if line.certificate])


def _ledger(store: Store, newest: int, begins: datetime | None) -> Iterator[Entry]:
    """From the newest line on, back to where the book begins."""
    before: int | None = newest + 1
    while before is not None and begins is not None:
        page = store.ledger(before=before)
        yield from page
        over = not page or page[-1].signed_at < begins - timedelta(hours=1)
        before = None if over else page[-1].serial
