"""What is kept and what is let go: holds, tombstones, rules of retention, each with its event.

Each method is one transaction, as in `store`. A hold and a prune at the same moment are one after
the other here: either the hold is there first and keeps the recording, or its tombstone is.
"""

from datetime import datetime

from sqlalchemy import Connection, select

from bastion import happenings
from bastion.actor import Actor
from bastion.errors import Conflict, NotFound
from bastion.events import Event, What
from bastion.inventory import Host
from bastion.retention import Hold, Leap, Past, Retention, Version
from bastion.store import events, grants, holds, jumps
from bastion.store.store import Store
from recorder.index_tables import sessions
from recorder.session import Session
from recorder.tombstone import Tombstone
from recorder.tombstones import Laid, lay

_HOSTS = frozenset({What.HOST_ADDED, What.HOST_CHANGED})
_MOST_LABELS = 200
"""An event has no more entries of a list."""


class Keeping:
    """Holds, and letting go, on one store."""

    def __init__(self, store: Store) -> None:
        self._store = store

    # Holds

    def hold(
        self, session: int | None, grant: int | None, by: Actor, reason: str, now: datetime
    ) -> Hold:
        """Keep a session, or all sessions of a grant, whatever the rules say.

        Raises NotFound; Conflict where the session was let go, or is on hold by the same person.
        """
        with self._store.writing(now) as connection:
            whose = _owner(connection, session, grant)
            placed = holds.place(connection, Hold(0, session, grant, by.name, reason, now))
            told = happenings.of_hold(by, placed, whose)
            events.append(connection, self._store.chain, told, now)
            return placed

    def release(
        self,
        session: int | None,
        grant: int | None,
        by: Actor,
        reason: str,
        now: datetime,
        *,
        of: str | None = None,
    ) -> Hold:
        """End the hold that `by`, or another (`of`), has on it. Raises NotFound."""
        with self._store.writing(now) as connection:
            whose = _owner(connection, session, grant)
            ended = holds.release(
                connection,
                session=session,
                grant=grant,
                of=of or by.name,
                by=by.name,
                reason=reason,
                now=now,
            )
            told = happenings.of_hold(by, ended, whose)
            events.append(connection, self._store.chain, told, now)
            return ended

    def holds(
        self,
        *,
        limit: int = holds.MOST_ROWS,
        released: bool = False,
        session: int | None = None,
        grant: int | None = None,
    ) -> list[Hold]:
        """The newest first, at most `limit`: those in force, or all that there were."""
        with self._store.read() as connection:
            return holds.find(connection, limit, released=released, session=session, grant=grant)

    def held(self) -> tuple[frozenset[int], frozenset[int]]:
        """The sessions, and the grants, that are on hold."""
        with self._store.read() as connection:
            return holds.all_held(connection)

    def hold_on(self, session: Session, at: datetime | None = None) -> Hold | None:
        """A hold that keeps this session, or kept it at that moment."""
        with self._store.read() as connection:
            return holds.keeping(connection, session.id, session.grant, at)

    # Letting go

    def let_go(self, session: Session, tombstone: Tombstone, laid: Laid, by: Actor) -> Hold | None:
        """Lay the tombstone of a session, unless it is on hold: that hold then.

        From then on its recording counts as gone. Raises Conflict where it is that already.
        """
        with self._store.writing(laid.at) as connection:
            hold = holds.keeping(connection, session.id, session.grant, None)
            if hold is not None:
                return hold
            try:
                lay(connection, laid)
            except ValueError as error:
                raise Conflict(f"{session.name} can't be let go: {error}.") from None
            told = happenings.of_letting_go(by, session, tombstone, laid)
            events.append(connection, self._store.chain, told, laid.at)
        return None

    def told_of(self, session: int) -> frozenset[str]:
        """The SHA-256 (hex) of the tombstones of a session that the log tells of."""
        with self._store.read() as connection:
            wanted = events.Wanted(what=frozenset({What.RECORDING_LET_GO}), session=session)
            found = events.find(connection, wanted)
        return frozenset(str(event.happened.details.get("sha256")) for event in found)

    # The rules, and the time by which they are meant

    def heed(self, retention: Retention, by: Actor, now: datetime) -> datetime:
        """Tell that these rules count from now on, unless they do; since when they do."""
        with self._store.writing(now) as connection:
            latest = _latest_rules(connection)
            before = None if latest is None else str(latest.happened.details.get("version"))
            if latest is not None and before == retention.version:
                return latest.at
            if latest is not None or retention.finite:
                told = happenings.of_retention(by, retention, before)
                events.append(connection, self._store.chain, told, now)
        return now

    def heeded(self, retention: Retention) -> datetime | None:
        """Since when these rules count; None where they do not, or not yet."""
        with self._store.read() as connection:
            latest = _latest_rules(connection)
        if latest is None or latest.happened.details.get("version") != retention.version:
            return None
        return latest.at

    def past(self) -> Past:
        """Hosts as the log tells of them."""
        versions: dict[str, list[Version]] = {}
        last = 0
        wanted = events.Wanted(what=_HOSTS)
        while True:
            with self._store.read() as connection:
                page = events.after(connection, last, wanted)
            for event in page:
                versions.setdefault(event.happened.host or "", []).append((event.at, _host(event)))
            if len(page) < events.MOST_ROWS:
                return Past(versions)
            last = page[-1].id

    def leap(self) -> Leap | None:
        """A leap of the clock that nobody has looked at."""
        with self._store.read() as connection:
            return jumps.leap(connection)

    def trust_clock(self, by: Actor, now: datetime) -> None:
        """Somebody says that the clock is right, though it leapt."""
        with self._store.writing(now) as connection:
            leap = jumps.leap(connection)
            if leap is None:
                return
            jumps.trust_time(connection)
            told = happenings.of_trust(by, leap)
            events.append(connection, self._store.chain, told, now)


def _owner(connection: Connection, session: int | None, grant: int | None) -> str:
    """Whose it is. Raises NotFound; Conflict for a session that was let go."""
    if session is None:
        found = grants.get(connection, grant or 0)
        if found is None:
            raise NotFound(f"There is no grant G-{grant}: bastion-admin grants lists them.")
        return found.user
    statement = select(sessions.c.user, sessions.c.let_go_at).where(sessions.c.id == session)
    row = connection.execute(statement).first()
    if row is None:
        raise NotFound(f"There is no session S-{session}: bastion-admin sessions lists them.")
    if row.let_go_at is not None:
        raise Conflict(
            f"S-{session} was let go on {row.let_go_at:%Y-%m-%d}: nothing is left to hold."
        )
    return str(row.user)


def _latest_rules(connection: Connection) -> Event | None:
    wanted = events.Wanted(what=frozenset({What.RETENTION_CHANGED}))
    found = events.find(connection, wanted, 1)
    return found[0] if found else None


def _host(event: Event) -> Host | None:
    """What of a host decides how long its recordings are kept; None where it is not told whole."""
    details = event.happened.details
    labels, aliases = details.get("labels"), details.get("aliases")
    if not isinstance(labels, dict) or not isinstance(aliases, list):
        return None
    if max(len(labels), len(aliases)) >= _MOST_LABELS or event.happened.host is None:
        return None
    return Host(
        name=event.happened.host,
        address="",
        aliases=frozenset(map(str, aliases)),
        labels=frozenset((key, str(value)) for key, value in labels.items()),
    )
