"""How recordings are compacted here: when, and who hears of a corrupt one.

The recorder does it; it knows neither settings nor the log of events.
"""

from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path

from bastion import happenings
from bastion.actor import Actor
from bastion.errors import BastionError
from bastion.store.journal import Journal
from recorder import Index, NotCompacted, Session
from recorder.compacting import Compacting
from recorder.space import Space


def compacting(
    directory: Path,
    index: Index,
    space: Space,
    *,
    after: timedelta,
    journal: Journal,
    service: Actor,
    now: Callable[[], datetime],
) -> Compacting:
    """Compacting below `directory`; what is corrupt is told to the log in the service's name."""

    def told(session: Session, why: str) -> None:
        try:
            journal.tell(happenings.of_corruption(service, session, why), now())
        except BastionError as error:
            raise NotCompacted(str(error)) from error

    return Compacting(directory, index, space, after=after, told=told, now=now)
