"""The outbox: messages on their way, the statements and what other rooms see of them.

A message is written in the transaction that moves the cursor of whoever read the events behind it:
none is lost and none is written twice, whatever ends the process. One that is done keeps `done_at`,
one that was given up keeps its `error` too. It blocks, and raises, as `store` does.
"""

from collections.abc import Collection, Hashable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final, TypeAlias, cast

from sqlalchemy import (
    ColumnElement,
    Connection,
    Row,
    Select,
    String,
    case,
    delete,
    func,
    insert,
    select,
    type_coerce,
    update,
)

from bastion.errors import Conflict
from bastion.events import Event, Happened, What
from bastion.grants import Grant
from bastion.inventory import User
from bastion.notices import Draft, Json
from bastion.requests import Request, Standing
from bastion.store import events, grants, requests, users
from bastion.store.store import Store
from bastion.tables import cursors, notices
from bastion.tables import grants as grants_table

Body: TypeAlias = Mapping[str, Json]

ATONCE: Final = 500
"""Rows that are read, or written, at once."""

STUBBORN: Final = 4
"""A message that failed so often lets the others of its channel go first."""

KEPT: Final = timedelta(days=30)
"""So long does a message stay in the table when it is done."""

NOBODY_TRIED: Final = (
    "nobody has tried: the channel is not in bastion.toml, or the bastion was down"
)

_n, _g, _c = notices.c, grants_table.c, cursors.c
_rank = case((_n.tries < STUBBORN, 0), else_=_n.tries)


@dataclass(frozen=True, slots=True)
class News:
    """Events that are new, what they are about, and how far one has come having read them."""

    events: list[Event]
    requests: dict[int, Request]
    grants: dict[int, Grant]
    cursor: int
    reached: int


@dataclass(frozen=True, slots=True)
class Waiting:
    """A message in the table. `done_at` is set when it is done; with an `error`, given up."""

    id: int
    channel: str
    key: str
    body: Body
    made_at: datetime
    tries: int
    next_at: datetime
    done_at: datetime | None
    error: str | None

    @property
    def given_up(self) -> bool:
        """Whether nobody will try again."""
        return self.done_at is not None and self.error is not None


class Outbox:
    """Messages on their way, on one store."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def version(self) -> Hashable:
        """A stamp that changes whenever anybody has written anything; takes microseconds."""
        return self._store.version()

    # Planning

    def news(self, name: str, what: Collection[What], limit: int = ATONCE) -> News:
        """The events of these kinds behind the cursor `name`, oldest first, at most `limit`."""
        with self._store.read() as connection:
            cursor = events.cursor(connection, name) or 0
            last = events.last(connection)
            wanted = events.Wanted(what=frozenset(what))
            found = events.after(connection, cursor, wanted, limit) if last > cursor else []
            about = [event.happened for event in found]
            numbers = {told.grant for told in about if told.grant is not None}
            asked = {told.request for told in about if told.request is not None}
            return News(
                events=found,
                requests=_requests(connection, asked),
                grants=grants.with_ids(connection, numbers),
                cursor=cursor,
                reached=found[-1].id if len(found) == limit else max(last, cursor),
            )

    def users(self) -> list[User]:
        """All users: mail is for some of them."""
        with self._store.read() as connection:
            return users.everyone(connection)

    def plan(self, name: str, news: News, drafts: Sequence[Draft], now: datetime) -> None:
        """Keep what `news` became, and that it was read. Raises Conflict where another was first.

        A draft whose key is on its channel already is left out.
        """
        with self._store.write() as connection:
            if (events.cursor(connection, name) or 0) != news.cursor:
                raise Conflict(f"Somebody else has read the events for {name} meanwhile.")
            _keep(connection, drafts, now)
            if news.reached != news.cursor:
                events.move_cursor(connection, name, news.reached, now)

    def looked_at(self, name: str) -> datetime | None:
        """Up to when `name` has looked at what only time brings."""
        with self._store.read() as connection:
            return connection.execute(select(_c.at).where(_c.name == name)).scalar()

    def plan_until(self, name: str, drafts: Sequence[Draft], now: datetime) -> None:
        """Keep what time brought until `now`, and that it was looked at, unless it goes back."""
        with self._store.write() as connection:
            _keep(connection, drafts, now)
            seen = connection.execute(select(_c.at).where(_c.name == name)).scalar()
            if seen is None or seen < now:
                events.move_cursor(connection, name, 0, now)

    def keep(self, drafts: Sequence[Draft], now: datetime) -> None:
        """Keep some messages, but for those that are there."""
        with self._store.write() as connection:
            _keep(connection, drafts, now)

    # What time may bring something for, a page at a time, by rising number

    def grants_about_to_end(
        self, since: datetime, until: datetime, after: int, limit: int = ATONCE
    ) -> list[Grant]:
        """Those that end in between, or have a window that may close for the last time."""
        statement = select(_g.id).where(
            _g.revoked_at.is_(None),
            _g.ends_at > since,
            (_g.ends_at <= until) | (type_coerce(_g.window, String) != "null"),
        )
        return self._grants(statement, after, limit)

    def grants_unreviewed(self, after: int, limit: int = ATONCE) -> list[Grant]:
        """Break-glass that nobody has looked at since."""
        statement = select(_g.id).where(_g.emergency, _g.reviewed_at.is_(None))
        return self._grants(statement, after, limit)

    def requests_undecided(
        self, since: datetime, now: datetime, before: int | None, limit: int = ATONCE
    ) -> list[Request]:
        """Those that wait, or went stale after `since`; the newest first, `before` a number."""
        standings = frozenset({Standing.PENDING})
        with self._store.read() as connection:
            wanted = requests.Wanted(standings=standings, at=since)  # stale by now, perhaps
            found = requests.find(connection, wanted, limit, before)
            return [request for request in found if request.asked_at <= now]

    def _grants(self, statement: Select[int], after: int, limit: int) -> list[Grant]:
        page = statement.where(_g.id > after).order_by(_g.id).limit(limit)
        with self._store.read() as connection:
            ids = connection.execute(page).scalars().all()
            found = grants.with_ids(connection, ids)
            return [found[number] for number in ids]

    # Delivering

    def next_of(self, channel: str, limit: int = 50) -> list[Waiting]:
        """What a channel is to be sent next, due or not, in that order, at most `limit`."""
        statement = (
            select(notices)
            .where(_n.done_at.is_(None), _n.channel == channel)
            .order_by(_rank, _n.id)
            .limit(limit)
        )
        with self._store.read() as connection:
            return [_waiting(row) for row in connection.execute(statement)]

    def done(self, number: int, now: datetime) -> None:
        """The message was taken."""
        statement = update(notices).where(_n.id == number, _n.done_at.is_(None))
        with self._store.write() as connection:
            connection.execute(
                statement.values(tries=_n.tries + 1, done_at=now, next_at=now, error=None)
            )

    def failed(self, number: int, error: str, tries: int, next_at: datetime) -> None:
        """It was not, for the `tries`-th time; it is to be tried again at `next_at`."""
        statement = update(notices).where(_n.id == number, _n.done_at.is_(None))
        with self._store.write() as connection:
            connection.execute(statement.values(tries=tries, next_at=next_at, error=error))

    def try_again(self, channel: str, now: datetime) -> None:
        """All that wait on a channel are due: it is back."""
        waits = (_n.channel == channel, _n.done_at.is_(None), _n.next_at > now)
        with self._store.write() as connection:
            connection.execute(update(notices).where(*waits).values(next_at=now))

    def give_up(self, older_than: datetime, now: datetime) -> int:
        """Give up what was made before `older_than` and not taken since; how many. An event tells.

        At most `ATONCE`, so that the transaction is short: call it again while it gives some.
        """
        old = (
            select(_n.id, _n.channel, _n.key, _n.error, _n.body)
            .where(_n.done_at.is_(None), _n.made_at < older_than)
            .order_by(_n.id)
            .limit(ATONCE)
        )
        with self._store.read() as connection:
            if connection.execute(old.limit(1)).first() is None:
                return 0
        with self._store.writing(now) as connection:
            rows = connection.execute(old).all()
            ids = [row.id for row in rows]
            gone = {"done_at": now, "error": func.coalesce(_n.error, NOBODY_TRIED)}
            connection.execute(update(notices).where(_n.id.in_(ids)).values(gone))
            for told in _given_up(rows):
                events.append(connection, self._store.chain, told, now)
            return len(ids)

    def prune(self, older_than: datetime) -> int:
        """Forget what was done before; how many, at most `ATONCE`."""
        old = select(_n.id).where(_n.done_at < older_than).limit(ATONCE)
        with self._store.read() as connection:
            if connection.execute(old.limit(1)).first() is None:
                return 0
        with self._store.write() as connection:
            ids = connection.execute(old).scalars().all()
            connection.execute(delete(notices).where(_n.id.in_(ids)))
            return len(ids)

    # Lists

    def waiting(self, limit: int = ATONCE) -> list[Waiting]:
        """What is still on its way, the newest first."""
        return self._listed(_n.done_at.is_(None), limit)

    def count_waiting(self) -> int:
        """How many are still on their way."""
        statement = select(func.count()).where(_n.done_at.is_(None))
        with self._store.read() as connection:
            return connection.execute(statement).scalar_one()

    def troubled(self, limit: int = ATONCE) -> list[Waiting]:
        """What was given up, or has failed at least once and is tried again; the newest first."""
        return self._listed(_n.error.is_not(None), limit)

    def _listed(self, condition: ColumnElement[bool], limit: int) -> list[Waiting]:
        statement = select(notices).where(condition).order_by(_n.id.desc()).limit(limit)
        with self._store.read() as connection:
            return [_waiting(row) for row in connection.execute(statement)]


def _keep(connection: Connection, drafts: Sequence[Draft], now: datetime) -> None:
    """Write those whose key is not on its channel yet. The transaction excludes other writers."""
    for start in range(0, len(drafts), ATONCE):
        part = drafts[start : start + ATONCE]
        keys = select(_n.channel, _n.key).where(_n.key.in_({draft.key for draft in part}))
        there = {(row.channel, row.key) for row in connection.execute(keys)}
        rows = {
            (draft.channel, draft.key): {
                "channel": draft.channel,
                "key": draft.key,
                "body": dict(draft.body),
                "made_at": now,
                "next_at": now,
            }
            for draft in part
            if (draft.channel, draft.key) not in there
        }
        if rows:
            connection.execute(insert(notices), list(rows.values()))


def _given_up(rows: Sequence[Any]) -> list[Happened]:
    """An event for each channel, but none of messages that said the same of another channel."""
    told = []
    for channel in sorted({row.channel for row in rows}):
        of_channel = [row for row in rows if row.channel == channel]
        if all(row.body["type"] == What.NOTICE_GIVEN_UP.value for row in of_channel):
            continue
        details = {"channel": channel, "count": len(of_channel), "first": of_channel[0].key}
        why = of_channel[-1].error or NOBODY_TRIED
        told.append(Happened(What.NOTICE_GIVEN_UP, "bastion", why=why, details=details))
    return told


def _requests(connection: Connection, numbers: Collection[int]) -> dict[int, Request]:
    found = ((number, requests.get(connection, number)) for number in sorted(numbers))
    return {number: request for number, request in found if request is not None}


def _waiting(row: Row[Any]) -> Waiting:
    return Waiting(
        id=row.id,
        channel=row.channel,
        key=row.key,
        body=cast(Body, row.body),
        made_at=row.made_at,
        tries=row.tries,
        next_at=row.next_at,
        done_at=row.done_at,
        error=row.error,
    )
