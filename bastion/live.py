"""What is open now, and what ends it: the clock, a revocation, a kill, a closed account.

State is derived from the time and from the store; nothing here has to run for an end to be an
end. This room only makes it felt on channels that are open: it looks several times a second.
"""

import asyncio
import logging
from collections.abc import Callable, Collection, Coroutine, Hashable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from typing import Protocol

from bastion.clock import Clock
from bastion.denials import clock as clock_text
from bastion.errors import BastionError
from bastion.grants import Grant, State
from bastion.jumps import Kill
from bastion.lookout import Lookout
from bastion.news import News, Question, asked
from bastion.policy import Identity
from bastion.store import Store
from recorder.nouns import counted
from recorder.session import EndReason
from recorder.space import Room

log = logging.getLogger(__name__)

TICK = 0.2
"""Seconds between two looks: an end is felt well within one second."""

SILENCE = 2 * TICK
"""Seconds without an answer of the store after which its last one is judged by the clock."""

UNTOLD = 5.0
"""Seconds for which it is believed that every write tells of itself: what somebody has changed in
the database by hand is felt by then."""

EARLY = 1000
"""Kills that are remembered of sessions that are not open here, as they may be about to be."""

LAST_LINE = 0.4
"""Seconds from the last line in a session to the end of the connection that carries it."""

GOING_DOWN = "the bastion is going down; this session is over."

WARNINGS = (timedelta(minutes=5), timedelta(minutes=1))
"""How long before its end a session is warned."""


class Cuttable(Protocol):
    """An open session, as far as its end is concerned."""

    def warn(self, sentence: str) -> None:
        """Tell the person what is about to happen."""

    def cut(self, reason: EndReason, sentence: str) -> None:
        """End it now, with a last line."""


class Watchable(Protocol):
    """A session that somebody has to watch."""

    def heed(self, watchers: Sequence[str], now: datetime) -> None:
        """These watch, as far as they count. It is said again and again."""


@dataclass(slots=True)
class _Open:
    """An open session, when it ends, and when it was last spoken to about that.

    `until` is worked out once: a window's close takes long to find, and it is asked for each
    session many times a second. `watched` is there where somebody has to watch. `over` is set when
    it was cut.
    """

    session: int
    cuttable: Cuttable
    grant: Grant
    identity: Identity
    until: datetime
    told: timedelta
    watched: Watchable | None = None
    over: bool = False

    def take(self, grant: Grant, now: datetime) -> None:
        """The grant as it is by now; of another end the person is told anew."""
        until = _until(grant, now)
        if until != self.until:
            self.until, self.told = until, until - now
        self.grant = grant


class Live:
    """The registry of open sessions and of signed-in connections.

    `without_store` is how long (seconds) sessions go on while the store can't be asked: after
    that they end, as no revocation could reach them. `closing` is set when the process is about to
    end: then no session may begin. `room` is what the disk of the recordings has room for. `felt`
    hears of a session that is cut why, and how long after it was due.
    """

    def __init__(
        self,
        store: Store,
        clock: Clock,
        lookout: Lookout,
        without_store: float,
        felt: Callable[[EndReason, timedelta], None] = lambda reason, after: None,
    ):
        self._felt = felt
        self._store = store
        self._lookout = lookout
        self._clock = clock
        self._without_store = timedelta(seconds=without_store)
        self._sessions: dict[int, _Open] = {}
        self._people: dict[object, tuple[Identity, Callable[[str], None]]] = {}
        self._version: Hashable | None = None
        self._told: int | None = None
        self._joined = False
        self._prompts = 0
        self._thread = ThreadPoolExecutor(1, "live")
        self._last_kill = store.last_kill()
        self._early: dict[int, Kill] = {}
        self._heard = clock.now()
        self._looked = self._asked = 0.0
        self._changed = asyncio.Event()
        self.closing = False
        self.room = Room.EVERYTHING

    def __len__(self) -> int:
        return len(self._sessions)

    @property
    def numbers(self) -> frozenset[int]:
        """The sessions that are open; a prompt is none."""
        return frozenset(number for number in self._sessions if number > 0)

    def takes(self, grant: Grant) -> bool:
        """Whether there is room to record what begins now."""
        return self.room.begins(emergency=grant.emergency)

    def open(
        self,
        session: int,
        cuttable: Cuttable,
        grant: Grant,
        identity: Identity,
        watched: Watchable | None = None,
    ) -> None:
        """A session is open from now on; `watched` is told who watches it.

        Its row was there a moment before, so somebody may have killed it already; and whoever ends
        everything has ended what was open by then.
        """
        now = self._clock.now()
        until = _until(grant, now)
        entry = _Open(session, cuttable, grant, identity, until, until - now, watched)
        self._sessions[session] = entry
        self._version, self._joined = None, True
        if self.closing or session in self._early:
            asyncio.get_running_loop().call_soon(self._end_early, entry)

    def prompting(self, cuttable: Cuttable, grant: Grant, identity: Identity) -> int:
        """Somebody waits at a guided prompt: no session, but it ends as one. For `closed`."""
        self._prompts -= 1
        self.open(self._prompts, cuttable, grant, identity)
        return self._prompts

    def closed(self, session: int) -> None:
        """It is over."""
        self._sessions.pop(session, None)
        self._changed.set()

    def enter(self, key: object, identity: Identity, close: Callable[[str], None]) -> None:
        """Somebody has signed in; `close` ends that connection with a sentence."""
        self._people[key] = (identity, close)
        self._version, self._joined = None, True

    def leave(self, key: object) -> None:
        """That connection is gone."""
        self._people.pop(key, None)

    @property
    def silent(self) -> float:
        """Seconds since the store has answered."""
        return (self._clock.now() - self._heard).total_seconds()

    def _end_early(self, entry: _Open) -> None:
        kill = self._early.pop(entry.session, None)
        if kill is not None:
            self._kill(entry, kill)
        else:
            entry.cuttable.cut(EndReason.DRAINED, GOING_DOWN)

    def cut_all(self, reason: EndReason, sentence: str) -> None:
        """End every session."""
        for entry in list(self._sessions.values()):
            entry.cuttable.cut(reason, sentence)

    def lose(self, numbers: Collection[int]) -> None:
        """Another machine has recovered these, while nothing was heard of this one."""
        for each in self._sessions.keys() & numbers:
            self._sessions[each].cuttable.cut(EndReason.LOST, "others took this session for lost.")

    def warn_all(self, sentence: str) -> None:
        """Tell everybody in a session what is about to happen."""
        for entry in list(self._sessions.values()):
            entry.cuttable.warn(sentence)

    async def empty(self) -> None:
        """Wait until no session is open."""
        while self._sessions:
            self._changed.clear()
            await self._changed.wait()

    async def watch(self) -> None:
        """Look at the store and at the clock until cancelled; the clock waits for no store."""
        self._looked = asyncio.get_running_loop().time()
        async with asyncio.TaskGroup() as group:
            group.create_task(self._repeat(self.look))
            group.create_task(self._repeat(self._glance))

    async def _repeat(self, look: Callable[[], Coroutine[object, object, None]]) -> None:
        while True:
            try:
                await look()
            except Exception:
                log.exception("looking after live sessions failed")
            await asyncio.sleep(TICK)

    async def _glance(self) -> None:
        """Where the store does not answer, what it said last is judged by the clock.

        One that says nothing at all, not even that it is away, is lost after a while as well.
        """
        silence = asyncio.get_running_loop().time() - self._looked
        if silence > SILENCE:
            self._judge(self._clock.now())
        if silence > self._without_store.total_seconds():
            self._lose()

    async def look(self) -> None:
        """One look."""
        self._joined = False
        now = self._clock.now()  # before the question: an end that was moved meanwhile is heard of
        question = self._question()
        loop = asyncio.get_running_loop()
        try:
            ask = partial(asked, self._store, self._lookout, question)
            news = await loop.run_in_executor(self._thread, ask)
        except BastionError as error:
            self._unheard(error)
        else:
            self._heard = self._clock.now()
            self._hear(news)
            if news.sights is not None:
                self._lookout.heard(news.sights, now)
            self._looked = loop.time()
            self._version = None if self._joined else news.version
            if news.told != question.told:
                self._told, self._asked = news.told, self._looked
        self._judge(now)

    def _question(self) -> Question:
        watched = (entry.session for entry in self._sessions.values() if entry.watched is not None)
        grants = frozenset(entry.grant.id for entry in self._sessions.values())
        names, numbers = self._names(), frozenset(watched)
        believed = asyncio.get_running_loop().time() - self._asked < UNTOLD
        told = self._told if self._version is not None and believed else None
        return Question(self._version, told, self._last_kill, grants, names, numbers)

    def _names(self) -> frozenset[str]:
        people = {identity.user.name for identity, _ in self._people.values()}
        return frozenset(people | {entry.identity.user.name for entry in self._sessions.values()})

    def _hear(self, news: News) -> None:
        self._last_kill = news.last_kill
        if not (news.grants or news.users or news.kills):
            return  # thousands may be open, and it is heard several times a second
        now = self._clock.now()
        for entry in list(self._sessions.values()):
            fresh = news.grants.get(entry.grant.id, entry.grant)
            if fresh != entry.grant:
                entry.take(fresh, now)
            entry.identity = news.renewed(entry.identity)
            if entry.session in news.kills:
                self._kill(entry, news.kills[entry.session])
        for key, (identity, close) in list(self._people.items()):
            self._people[key] = (news.renewed(identity), close)
        self._early |= {n: kill for n, kill in news.kills.items() if n not in self._sessions}
        for number in list(self._early)[:-EARLY]:
            del self._early[number]

    def _judge(self, now: datetime) -> None:
        for entry in list(self._sessions.values()):
            self._judge_session(entry, now)
        for key, (identity, close) in list(self._people.items()):
            sentence = _shut_out(identity, now)
            if sentence is not None:
                self.leave(key)
                asyncio.get_running_loop().call_later(LAST_LINE, close, f"{sentence}.")

    def _judge_session(self, entry: _Open, now: datetime) -> None:
        grant, shut_out = entry.grant, _shut_out(entry.identity, now)
        if shut_out is not None:
            entry.cuttable.cut(EndReason.REVOKED, f"{shut_out}; this session is over.")
        elif grant.revoked_at is not None:
            sentence = f"{grant} was revoked; this session is over."
            self._cut(entry, EndReason.REVOKED, sentence, grant.revoked_at)
        elif now >= grant.ends_at:
            sentence = f"{grant} ended at {clock_text(grant.ends_at)}; this session is over."
            self._cut(entry, EndReason.EXPIRED, sentence, grant.ends_at)
        elif now >= entry.until:
            sentence = f"the hours of {grant} ({grant.window}) are over; this session is over."
            self._cut(entry, EndReason.EXPIRED, sentence, entry.until)
        elif not self.room.goes_on(emergency=grant.emergency):
            sentence = "this session can't be recorded any more, so it is over."
            entry.cuttable.cut(EndReason.LIMIT, sentence)
        else:
            self._warn(entry, now)
            if entry.watched is not None:
                contractor = entry.identity.user.name
                watchers = self._lookout.watchers(entry.session, contractor, now)
                entry.watched.heed(watchers, now)

    def _kill(self, entry: _Open, kill: Kill) -> None:
        sentence = f"this session was ended by an operator: {kill.reason}"
        self._cut(entry, EndReason.KILLED, sentence, kill.at)

    def _cut(self, entry: _Open, reason: EndReason, sentence: str, due: datetime) -> None:
        entry.cuttable.cut(reason, sentence)
        if not entry.over:
            entry.over = True
            self._felt(reason, self._clock.now() - due)

    def _warn(self, entry: _Open, now: datetime) -> None:
        left = entry.until - now
        due = [warning for warning in WARNINGS if left <= warning < entry.told]
        if not due:
            return
        entry.told = left
        minutes = max(1, round(left.total_seconds() / 60))
        ends = f"{entry.grant} ends in {counted(minutes, 'minute')}"
        entry.cuttable.warn(f"{ends}, at {clock_text(entry.until)}.")

    def _unheard(self, error: BastionError) -> None:
        silence = self._clock.now() - self._heard
        if silence < self._without_store:
            return
        log.error("no answer from the store for %s: %s", silence, error)
        self._lose()

    def _lose(self) -> None:
        self.cut_all(EndReason.LOST, "the bastion has lost its database; this session is over.")


def _until(grant: Grant, now: datetime) -> datetime:
    """When a session that goes on at `now` ends: at once, where the hours have just run out."""
    return grant.closes_at(now) if grant.state(now) is State.ACTIVE else now


def _shut_out(identity: Identity, now: datetime) -> str | None:
    """Why whoever signed in as `identity` may stay no longer; None where it is as it was."""
    if not identity.user.may_sign_in(now):
        return "your account was closed"
    held = identity.key  # it is looked for first as it is: this is asked of all, again and again
    if held not in identity.user.keys and all(k.blob != held.blob for k in identity.user.keys):
        return "the key that you came in by was taken away"
    return None
