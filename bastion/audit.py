"""The audit: sealing where the chains of events end, and judging the whole log.

A checkpoint is signed while no transaction is open, as the key may be slow to answer; whoever is
first to keep the next one wins, the other seals anew.
"""

import asyncio
import logging
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from typing import Final

from bastion.authority.signer import Signer
from bastion.authority.sshsig import Fault, sign, verify
from bastion.checkpoints import NAMESPACE, Checkpoint, Sealed
from bastion.errors import BastionError, Conflict
from bastion.inventory import PublicKey
from bastion.store.journal import Journal
from bastion.verdict import Judge, Log, Verdict, judge

log = logging.getLogger(__name__)

Seal = Callable[[bytes], str]
"""An armoured SSHSIG signature over a checkpoint's body. Raises Unavailable."""

ANCHOR: Final = "anchor "
"""What the cursors of anchors begin with: they count checkpoints."""

_MOST_AT_ONCE = 1000


class Sealer:
    """Seals checkpoints with `seal`, whenever it is asked to. It blocks."""

    def __init__(self, journal: Journal, seal: Seal, now: Callable[[], datetime]) -> None:
        self._journal = journal
        self._seal = seal
        self._now = now

    def seal(self) -> list[Sealed]:
        """Seal what has moved; nothing, and no checkpoint, where nothing has.

        Raises Unavailable when the database or the key does not answer.
        """
        sealed: list[Sealed] = []
        for _ in range(_MOST_AT_ONCE):
            draft = self._journal.draft(self._now())
            if draft is None:
                break
            sealed += self._kept(draft)
        return sealed

    def _kept(self, draft: Checkpoint) -> list[Sealed]:
        """The checkpoint, or none where somebody else was faster."""
        body = draft.body()
        sealed = Sealed(draft.number, body, self._seal(body.encode()))
        try:
            self._journal.keep(sealed)
        except Conflict:
            return []
        return [sealed]


def seal_with(signer: Signer) -> Seal:
    """The seal of a key."""
    return lambda body: sign(signer, NAMESPACE, body)


def judged_by(keys: Iterable[PublicKey]) -> Judge:
    """Whether one of these keys has signed a checkpoint."""
    known = tuple(keys)

    def signed(signature: str, body: str) -> str | None:
        found = verify(signature, NAMESPACE, body.encode(), known)
        return str(found) if isinstance(found, Fault) else None

    return signed


def verified(
    journal: Journal,
    signed: Judge,
    known: Mapping[int, str],
    *,
    rest: Callable[[], None] = lambda: None,
) -> Verdict:
    """The verdict over the whole log. `known` are SHA-256 of checkpoints that somebody has kept.

    It blocks for about 15 seconds a million events, and calls `rest` at least each millisecond
    or two: where the same process carries sessions, they have to get their turn. Raises
    Unavailable, and whatever `rest` does.
    """
    sent = journal.cursors(ANCHOR)
    with journal.evidence(rest) as evidence:
        lying = Log(
            events=evidence.events(),
            checkpoints=evidence.checkpoints(),
            heads=evidence.heads(),
            open_tables=evidence.open_tables(),
            known=known,
            sent=sent,
        )
        return judge(lying, signed)


async def keep_sealing(sealer: Sealer, every: float) -> None:
    """Seal each `every` seconds until cancelled; what can't be done is logged and tried again.

    Whoever ends the process calls `sealer.seal` once more, after the last event.
    """
    while True:
        await asyncio.sleep(every)
        try:
            await asyncio.to_thread(sealer.seal)
        except BastionError as error:
            log.error("the events can't be sealed: %s", error)
        except Exception:
            log.exception("sealing the events failed")
