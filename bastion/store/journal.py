"""The journal: the log of events as the other rooms see it; each method is one transaction.

It blocks, and raises, as `store` does. The events are the outbox as well: whoever passes them on
keeps a cursor here, and so loses none while away.
"""

from collections.abc import Callable, Collection, Hashable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from itertools import islice

from sqlalchemy import Connection

from bastion.checkpoints import Checkpoint, Listed, Sealed, listed_line
from bastion.events import Event, Happened, Head
from bastion.store import about, evidence
from bastion.store import checkpoints as seals
from bastion.store import events as log
from bastion.store import told as told_of
from bastion.store.store import Store


class Journal:
    """Events, heads, checkpoints and cursors, on one store."""

    def __init__(self, store: Store) -> None:
        self._store = store

    @property
    def node(self) -> str:
        """The machine that events are told on."""
        return self._store.chain.node

    @property
    def boot(self) -> str:
        """This process, as its chain is called, and as sessions name who records them."""
        return self._store.chain.boot

    def node_of(self, boot: str) -> str | None:
        """The machine of a process, by the name of its chain; None for one that told nothing."""
        with self._store.read() as connection:
            return log.node_of(connection, boot)

    # Telling

    def tell(self, happened: Happened, now: datetime) -> Event:
        """Keep an event of something that changes nothing else in the store."""
        return self.tell_all([(happened, now)])[0]

    def tell_all(self, told: Sequence[tuple[Happened, datetime]]) -> list[Event]:
        """Keep several, in their order, in one transaction; each with the time that it has."""
        if not told:
            return []
        with self._store.writing(max(at for _, at in told)) as connection:
            return log.append_all(connection, self._store.chain, told)

    def tell_missing(self, told: Sequence[tuple[Happened, datetime]]) -> None:
        """Keep those of these that this process has not told yet, in their order.

        For when the database was lost while it was to keep them, and nobody knows whether it did.
        """
        if not told:
            return
        with self._store.writing(max(at for _, at in told)) as connection:
            rest = told_of.missing(connection, self._store.chain, told)
            log.append_all(connection, self._store.chain, rest)

    def tell_within(
        self, connection: Connection, told: Sequence[tuple[Happened, datetime]]
    ) -> None:
        """Keep events in the transaction that keeps what they tell of: both, or neither."""
        log.append_all(connection, self._store.chain, told)

    def tell_seals(self, connection: Connection, told: Sequence[tuple[Happened, datetime]]) -> None:
        """Keep these events of seals, in the transaction that keeps those: both, or neither.

        Those that were told before are left out, so a seal is told of once.
        """
        before = told_of.sealed_among(connection, {happened.session for happened, _ in told})
        rest = [each for each in told if each[0].session not in before]
        log.append_all(connection, self._store.chain, rest)

    # Reading

    def event(self, number: int) -> Event | None:
        """The event of that number."""
        with self._store.read() as connection:
            return log.get(connection, number)

    def events(
        self,
        wanted: log.Wanted | None = None,
        *,
        limit: int = log.MOST_ROWS,
        before: int | None = None,
    ) -> list[Event]:
        """The newest first, at most `limit`; for the next page, `before` is the last one's id."""
        with self._store.read() as connection:
            return log.find(connection, wanted or log.Wanted(), limit, before)

    def after(
        self, number: int, wanted: log.Wanted | None = None, *, limit: int = log.MOST_ROWS
    ) -> list[Event]:
        """Those that came after the event `number`, oldest first, at most `limit`."""
        with self._store.read() as connection:
            return log.after(connection, number, wanted, limit)

    def numbers_about(self, circle: about.Circle, upto: int) -> list[int]:
        """The numbers of the events about a grant, up to the event `upto`, in their order."""
        with self._store.read() as connection:
            return about.numbers(connection, circle, upto)

    def with_numbers(self, wanted: Sequence[int]) -> Iterator[Event]:
        """The events with these numbers, which are in order; read by and by."""
        rest = iter(wanted)
        while part := list(islice(rest, about.BATCH)):
            with self._store.read() as connection:
                found = about.with_numbers(connection, part)
            yield from found

    def seals_told(self, sessions: Collection[int]) -> list[Event]:
        """The events of these sessions that tell of their seals, oldest first."""
        with self._store.read() as connection:
            return told_of.seals_told(connection, sessions)

    def seals_after(self, number: int) -> int:
        """How many events after the event `number` tell of seals."""
        with self._store.read() as connection:
            return told_of.seals_after(connection, number)

    def sessions_begun(self, after: int = 0, limit: int = log.MOST_ROWS) -> list[tuple[int, int]]:
        """Which sessions began, after the event `after`: the event's number, and the session."""
        with self._store.read() as connection:
            return told_of.sessions_begun(connection, after, limit)

    def last(self) -> int:
        """The number of the newest event, 0 where there is none."""
        with self._store.read() as connection:
            return log.last(connection)

    def heads(self) -> list[Head]:
        """Where each chain ends."""
        with self._store.read() as connection:
            return log.all_heads(connection)

    def version(self) -> Hashable:
        """A stamp that changes whenever anybody has written anything; takes microseconds."""
        return self._store.version()

    # Checkpoints

    def draft(self, now: datetime) -> Checkpoint | None:
        """What is to be sealed next; None where no chain has moved since the last one."""
        with self._store.read() as connection:
            return seals.draft(connection, now)

    def keep(self, sealed: Sealed) -> None:
        """Keep a checkpoint. Raises Conflict where somebody else was faster."""
        with self._store.write() as connection:
            seals.keep(connection, sealed)

    def checkpoints(
        self, *, limit: int = seals.MOST_ROWS, before: int | None = None
    ) -> list[Sealed]:
        """The newest first, at most `limit`; for the next page, `before` is the last one's."""
        with self._store.read() as connection:
            return seals.find(connection, limit, before)

    def checkpoints_after(self, number: int, *, limit: int = seals.MOST_ROWS) -> list[Sealed]:
        """Those after checkpoint `number`, oldest first, at most `limit`."""
        with self._store.read() as connection:
            return seals.after(connection, number, limit)

    def listed(self, after: int, upto: int) -> Listed:
        """The list of the events after the number `after`, up to `upto`, as they are now."""
        with self._store.read() as connection:
            return seals.listed(connection, after, upto)

    def checkpoint_over(self, event: int, beyond: int = 0) -> Sealed | None:
        """The first checkpoint, of those after `beyond`, that knew of an event."""
        with self._store.read() as connection:
            return seals.over(connection, event, beyond)

    def list_lines(self, checkpoint: Checkpoint) -> Iterator[bytes]:
        """The lines of a checkpoint's list, as the log has them now; in pieces, read by and by."""
        first = checkpoint.events
        if checkpoint.listed is not None:
            first = checkpoint.events - checkpoint.listed.events
        for begin in range(first, checkpoint.events, log.MOST_ROWS):
            upto = min(begin + log.MOST_ROWS, checkpoint.events)
            with self._store.read() as connection:
                lines = map(listed_line, log.hashes(connection, begin, upto))
                piece = b"".join(lines)
            yield piece

    # Cursors

    def cursor(self, name: str) -> int | None:
        """How far `name` has come: an event's or a checkpoint's number; None at the beginning."""
        with self._store.read() as connection:
            return log.cursor(connection, name)

    def cursors(self, prefix: str) -> dict[str, int]:
        """How far each has come whose name begins with `prefix`, without it."""
        with self._store.read() as connection:
            return log.cursors_of(connection, prefix)

    def moved_at(self, name: str) -> datetime | None:
        """When `name` came as far as it has."""
        with self._store.read() as connection:
            return log.moved_at(connection, name)

    def move_cursor(self, name: str, number: int, now: datetime) -> None:
        """Keep that `name` has come as far as `number`."""
        with self._store.write() as connection:
            log.move_cursor(connection, name, number, now)

    # Judging

    @contextmanager
    def evidence(self, rest: Callable[[], None] = lambda: None) -> Iterator[evidence.Evidence]:
        """All of it as it lies in the database, in one consistent view. Raises Unavailable.

        It calls `rest` after each hundred rows or so, where others may have their turn.
        """
        with self._store.read() as connection, evidence.opened(connection, rest) as found:
            yield found
