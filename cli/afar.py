"""Watching what another machine carries: what comes of it into the object store, as it comes.

Nobody there knows of it. Whether she who watches keeps up with the session can't be told from here,
so she counts for no grant that is used only while somebody watches.
"""

import time
from dataclasses import dataclass, field
from typing import Final

from bastion.errors import Unavailable
from cli.desk import Desk
from cli.sessions import looked_at
from recorder import Index, Reader, Session
from recorder.arriving import Arriving
from recorder.errors import NotYetStored, StoreAway
from recorder.following import follow

ASKED_AGAIN: Final = 1.0
"""Seconds between two looks at whether a session that shows nothing is over."""

MORE: Final = 1.0
"""Seconds between two questions to the store for more: parts come every two."""

PATIENCE: Final = 30.0
"""Seconds for which a store that is away is waited for, or the end of what is over already."""

FIRST: Final = 10.0
"""Seconds for which the first part of a session is waited for."""

STEP: Final = 0.1


@dataclass(slots=True)
class Asked:
    """Whether a session is over, as its row says: asked for once a second."""

    index: Index
    session: Session
    _at: float = field(default_factory=time.monotonic)

    def is_over(self) -> bool:
        """False between two questions."""
        now = time.monotonic()
        if now - self._at < ASKED_AGAIN:
            return False
        self._at = now
        latest = self.index.get(self.session.id)
        if latest is None:
            return True
        self.session = latest
        return not latest.live


def watch_from_afar(desk: Desk, session: Session) -> None:
    """Show it until it is over. Raises NotYetStored, CorruptRecording, StoreAway."""
    services = desk.services
    arriving = services.storing.arriving
    if arriving is None:
        raise Unavailable(
            f"{session.name} is on another machine, and there is no object store that both have: "
            "watch it there."
        )
    looked_at(desk, session.id, "watch")
    grant = services.store.grant(session.grant)
    counts = "" if grant is None or not grant.watch else " Watching it from here does not count."
    desk.output.note(f"{session.name} is on another machine: shown some seconds later.{counts}")
    reader = _opened(desk, session)
    coming = _Coming(desk, arriving, Asked(services.index, session))
    follow(reader, desk.output.out, over=coming.is_all, wait=coming.wait)


def _opened(desk: Desk, session: Session) -> Reader:
    """One that has just begun is in the store in a moment."""
    begun = time.monotonic()
    while True:
        try:
            return desk.services.archive.open(session, desk.breathe)
        except NotYetStored:
            if time.monotonic() - begun > FIRST:
                raise
        desk.pause(MORE)


@dataclass(slots=True)
class _Coming:
    """What comes of a session, taken once a second.

    `ended` is when it was seen to be over, `away` since when the store does not answer.
    """

    desk: Desk
    arriving: Arriving
    row: Asked
    ended: float | None = None
    away: float | None = None
    _at: float = field(default_factory=time.monotonic)

    def wait(self) -> None:
        """Let a moment pass; more may be there then."""
        self.desk.pause(STEP)
        if time.monotonic() - self._at >= MORE:
            self._take()
            self._at = time.monotonic()

    def is_all(self) -> bool:
        """Whether it is over, and nothing more is waited for. What shows its end ends it sooner."""
        if self.ended is None and self.row.is_over():
            self.ended = time.monotonic()
        return self.ended is not None and time.monotonic() - self.ended > PATIENCE

    def _take(self) -> None:
        try:
            self.arriving.catch_up(self.row.session, self.desk.breathe)
        except StoreAway:
            self.away = self.away or time.monotonic()
            if time.monotonic() - self.away > PATIENCE:
                raise
        else:
            self.away = None
