"""Signing into the ledger: who wants a certificate while others do shares their transaction.

A certificate and its line are both there or neither is. What was signed for and then not kept is
never signed for again: it stands in the signer's book.
"""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from datetime import datetime
from typing import Final

from sqlalchemy import Connection

from bastion import happenings
from bastion.events import Chain
from bastion.ledger import Draft, Signed, Signing
from bastion.store import events, ledger
from recorder.turns import Turns

AT_ONCE: Final = 8
"""Certificates of one transaction: as many as a signer apart is asked for at once."""

Write = Callable[[datetime], AbstractContextManager[Connection]]

_Wanted = tuple[Draft, Signing]
_Outcome = Signed | Exception


class LedgerSigning:
    """Signs into the ledger by transactions that `write` begins; `chain` hears of each line."""

    def __init__(self, write: Write, chain: Chain) -> None:
        self._write = write
        self._chain = chain
        self._turns = Turns[_Wanted, _Outcome](self._sign_all, AT_ONCE)
        self._threads = ThreadPoolExecutor(AT_ONCE, "signing")

    def close(self) -> None:
        """Nobody signs any more."""
        self._threads.shutdown(wait=False)

    def sign(self, draft: Draft, signing: Signing) -> Signed:
        """What `signing(serial)` makes, kept with its serial."""
        outcome = self._turns.do((draft, signing))
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    def _sign_all(self, wanted: Sequence[_Wanted]) -> Sequence[_Outcome]:
        """What is raised is each one's outcome: a turn that raises would be done again."""
        latest = max(draft.signed_at for draft, _ in wanted)
        try:
            with self._write(latest) as connection:
                outcomes = ledger.sign(connection, wanted, self._at_once)
                told = [
                    (happenings.of_signed(draft, outcome), draft.signed_at)
                    for (draft, _), outcome in zip(wanted, outcomes, strict=True)
                    if isinstance(outcome, Signed)
                ]
                if not told:
                    connection.rollback()
                events.append_all(connection, self._chain, told)
                return outcomes
        except Exception as error:  # noqa: BLE001 (it is raised for each of them)
            return [error] * len(wanted)

    def _at_once(self, calls: Sequence[Callable[[], Signed]]) -> Sequence[_Outcome]:
        if len(calls) == 1:
            return [ledger.tried(calls[0])]
        return list(self._threads.map(ledger.tried, calls))
