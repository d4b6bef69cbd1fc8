"""What ends a live session: told from outside of it, by the clock and the store."""

import asyncio
import threading
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import cast

import pytest

from bastion import duties
from bastion.clock import Clock
from bastion.duties import keep_beating
from bastion.errors import Unavailable
from bastion.grants import Allows, Grant
from bastion.inventory import PublicKey, Role, Selector, User
from bastion.jumps import Kill
from bastion.live import LAST_LINE, Live
from bastion.lookout import Lookout
from bastion.people import People
from bastion.policy import Identity
from bastion.store import Store
from bastion.store.watchers import Sights, Watchers
from bastion.watchers import LEASE, Watcher
from bastion.windows import parse_window
from recorder import EndReason, Index, IndexUnavailable

NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)
KEY = PublicKey("ssh-ed25519", b"key", "SHA256:key")
ALICE = User("alice", frozenset({Role.CONTRACTOR}), keys=(KEY,))
WHO = Identity(ALICE, KEY, "127.0.0.1")
GRANT = Grant(
    7,
    "alice",
    (Selector("web-1"),),
    frozenset({"deploy"}),
    Allows(shell=True),  # noqa: S604 a grant's word, no process's
    NOON - timedelta(hours=1),
    NOON + timedelta(hours=1),
    "disk full",
)


@dataclass
class Shelf:
    """A store that a test writes to."""

    grants: dict[int, Grant] = field(default_factory=lambda: {7: GRANT})
    users: dict[str, User] = field(default_factory=lambda: {"alice": ALICE})
    kills: list[Kill] = field(default_factory=list)
    watchers: tuple[Watcher, ...] = ()
    written: int = 0
    untold: int = 0
    asked: int = 0
    away: bool = False

    def last_kill(self) -> int:
        return 0

    def version(self) -> int:
        if self.away:
            raise Unavailable("The database is away.")
        return self.written

    def last_event(self) -> int:
        """Each write tells of itself, but for those that are `untold`."""
        return self.written - self.untold

    def users_called(self, names: Collection[str]) -> dict[str, User]:
        return {name: user for name, user in self.users.items() if name in names}

    def live_grants_state(self, ids: Sequence[int]) -> dict[int, Grant]:
        self.asked += 1
        return {number: self.grants[number] for number in ids}

    def sights(self, sessions: Collection[int]) -> Sights:
        """Whoever watches is an auditor."""
        names = {each.name for each in self.watchers}
        users = {name: User(name, frozenset({Role.AUDITOR})) for name in names}
        return Sights(tuple(w for w in self.watchers if w.session in sessions), users)

    def kills_since(self, number: int) -> list[Kill]:
        return [kill for kill in self.kills if kill.id > number]


@dataclass
class Heard:
    """A session that notes what it is told."""

    warnings: list[str] = field(default_factory=list)
    cuts: list[tuple[EndReason, str]] = field(default_factory=list)

    def warn(self, sentence: str) -> None:
        self.warnings.append(sentence)

    def cut(self, reason: EndReason, sentence: str) -> None:
        self.cuts.append((reason, sentence))


class World:
    """A registry with one live session, and the hands of its clock."""

    def __init__(self, at: datetime = NOON) -> None:
        self.at = at
        self.shelf = Shelf()
        clock = Clock(lambda: self.at, lambda: 0.0)
        lookout = Lookout(cast(Watchers, self.shelf), People({}))
        self.live = Live(cast(Store, self.shelf), clock, lookout, without_store=300)
        self.session = Heard()
        self.live.open(31, self.session, GRANT, WHO)

    async def look_at(self, at: datetime) -> None:
        self.at = at
        await self.live.look()

    async def look_after(self, grant: Grant) -> None:
        self.shelf.grants[7] = grant
        self.shelf.written += 1
        await self.live.look()


async def test_it_is_warned_five_minutes_and_one_minute_before_and_then_cut() -> None:
    """Each warning comes once, and the cut at the very second of the end."""
    world = World()
    for seconds in (3299, 3300, 3301, 3539, 3540, 3560, 3599):
        await world.look_at(NOON + timedelta(seconds=seconds))
    assert world.session.warnings == [
        "G-7 ends in 5 minutes, at 2026-11-23 13:00 UTC.",
        "G-7 ends in 1 minute, at 2026-11-23 13:00 UTC.",
    ]
    assert world.session.cuts == []
    await world.look_at(GRANT.ends_at)
    assert world.session.cuts == [
        (EndReason.EXPIRED, "G-7 ended at 2026-11-23 13:00 UTC; this session is over.")
    ]


async def test_a_session_that_begins_near_the_end_is_not_warned_of_what_it_knows() -> None:
    """Begun with three minutes left, it hears of the last minute only."""
    world = World(GRANT.ends_at - timedelta(minutes=3))
    await world.look_at(GRANT.ends_at - timedelta(minutes=2))
    assert world.session.warnings == []
    await world.look_at(GRANT.ends_at - timedelta(seconds=55))
    assert len(world.session.warnings) == 1


async def test_a_grant_that_is_prolonged_lets_the_session_go_on() -> None:
    """The new end counts, and is warned of anew."""
    world = World()
    await world.look_at(GRANT.ends_at - timedelta(seconds=50))
    await world.look_after(replace(GRANT, ends_at=GRANT.ends_at + timedelta(hours=1)))
    await world.look_at(GRANT.ends_at + timedelta(minutes=1))
    assert world.session.cuts == []
    await world.look_at(GRANT.ends_at + timedelta(minutes=56))
    assert world.session.warnings[-1] == "G-7 ends in 4 minutes, at 2026-11-23 14:00 UTC."


async def test_a_session_ends_with_the_hours_of_its_grant() -> None:
    """Warned before, and cut when the window closes, although the grant goes on."""
    world = World()
    window = parse_window("mon", "10:00-12:30", None)
    await world.look_after(replace(GRANT, window=window))
    for seconds in (1499, 1500, 1740, 1799):
        await world.look_at(NOON + timedelta(seconds=seconds))
    assert world.session.warnings == [
        "G-7 ends in 5 minutes, at 2026-11-23 12:30 UTC.",
        "G-7 ends in 1 minute, at 2026-11-23 12:30 UTC.",
    ]
    assert world.session.cuts == []
    await world.look_at(NOON + timedelta(minutes=30))
    sentence = "the hours of G-7 (mon 10:00-12:30 UTC) are over; this session is over."
    assert world.session.cuts == [(EndReason.EXPIRED, sentence)]


async def test_more_time_is_no_more_hours() -> None:
    """A grant that is prolonged in the moment in which its hours end lets nobody stay."""
    world = World()
    window = parse_window("mon", "10:00-12:30", None)
    await world.look_after(replace(GRANT, window=window))
    world.at = NOON + timedelta(minutes=30)
    longer = replace(GRANT, window=window, ends_at=GRANT.ends_at + timedelta(hours=1))
    await world.look_after(longer)
    assert [reason for reason, _ in world.session.cuts] == [EndReason.EXPIRED]


async def test_a_revocation_counts_whatever_the_clock_said_then() -> None:
    """A clock that was ahead, and was put right since, gives nothing back."""
    world = World()
    await world.look_after(replace(GRANT, revoked_at=NOON + timedelta(minutes=30)))
    assert [reason for reason, _ in world.session.cuts] == [EndReason.REVOKED]


async def test_a_revocation_is_felt_at_the_next_look() -> None:
    """The session is told that its grant was revoked."""
    world = World()
    await world.look_after(replace(GRANT, revoked_at=NOON, revoked_by="op"))
    assert world.session.cuts == [(EndReason.REVOKED, "G-7 was revoked; this session is over.")]


async def test_a_closed_account_ends_its_sessions() -> None:
    """Disabling a user ends what is live."""
    world = World()
    world.shelf.users["alice"] = replace(ALICE, disabled_at=NOON)
    world.shelf.written += 1
    await world.live.look()
    assert [reason for reason, _ in world.session.cuts] == [EndReason.REVOKED]


async def test_a_key_that_is_taken_away_ends_what_it_opened() -> None:
    """The session hears its last line first, and then the connection ends."""
    world = World()
    closed: asyncio.Future[str] = asyncio.get_running_loop().create_future()
    world.live.enter("connection", WHO, closed.set_result)
    world.shelf.users["alice"] = replace(ALICE, keys=())
    world.shelf.written += 1
    await world.live.look()
    assert world.session.cuts == [
        (
            EndReason.REVOKED,
            "the key that you came in by was taken away; this session is over.",
        )
    ]
    assert not closed.done()
    assert await asyncio.wait_for(closed, LAST_LINE * 5) == (
        "the key that you came in by was taken away."
    )


async def test_an_account_that_runs_out_ends_its_sessions_by_the_clock_alone() -> None:
    """`--until` of a user needs no write to be felt."""
    world = World()
    world.shelf.users["alice"] = replace(ALICE, until=NOON + timedelta(minutes=1))
    await world.live.look()
    assert world.session.cuts == []
    await world.look_at(NOON + timedelta(minutes=1))
    assert [reason for reason, _ in world.session.cuts] == [EndReason.REVOKED]


async def test_a_kill_reaches_a_session_that_is_just_beginning() -> None:
    """Its row is there before it is among the live: who kills it by then is heard of earlier."""
    world, begun = World(), Heard()
    world.shelf.kills.append(Kill(1, 32, "op", "not agreed", NOON))
    world.shelf.written += 1
    await world.live.look()
    world.live.open(32, begun, GRANT, WHO)
    await asyncio.sleep(0)
    assert begun.cuts == [(EndReason.KILLED, "this session was ended by an operator: not agreed")]
    assert world.session.cuts == []


async def test_nothing_begins_while_everything_ends() -> None:
    """Door 3 was asked a moment before; nobody ends that one later."""
    world, begun = World(), Heard()
    world.live.closing = True
    world.live.open(32, begun, GRANT, WHO)
    await asyncio.sleep(0)
    assert [reason for reason, _ in begun.cuts] == [EndReason.DRAINED]


async def test_a_kill_ends_its_session_and_no_other() -> None:
    """Kills name a session, and the person hears why."""
    world = World()
    other = Heard()
    world.live.open(32, other, GRANT, WHO)
    world.shelf.kills.append(Kill(1, 31, "op", "not agreed", NOON))
    world.shelf.written += 1
    await world.live.look()
    sentence = "this session was ended by an operator: not agreed"
    assert world.session.cuts == [(EndReason.KILLED, sentence)]
    assert other.cuts == []


async def test_what_another_machine_has_recovered_is_over_here() -> None:
    """And nothing else."""
    world = World()
    world.live.lose({30, 31})
    assert world.session.cuts == [(EndReason.LOST, "others took this session for lost.")]
    world.live.lose({30})
    assert len(world.session.cuts) == 1


class Back:
    """A database that was away, and is for one answer more just after it is back."""

    def __init__(self) -> None:
        self.beats = self.asked = 0

    def beat_runner(self, now: datetime) -> bool:
        self.beats += 1
        return self.beats > 1

    def find_again(self, numbers: Collection[int]) -> frozenset[int]:
        self.asked += 1
        if self.asked == 1:
            raise IndexUnavailable("the index is not available")
        return frozenset(numbers)


async def test_what_was_taken_for_lost_is_looked_for_until_the_database_answers(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Nobody takes this process for gone a second time, so nothing else would look."""
    monkeypatch.setattr(duties, "BEAT", 0.01)
    world, back = World(), Back()
    clock = Clock(lambda: NOON, lambda: 0.0)
    async with asyncio.TaskGroup() as group:
        beating = keep_beating(cast(Store, back), cast(Index, back), world.live, clock)
        task = group.create_task(beating)
        async with asyncio.timeout(10):
            while not world.session.cuts:  # noqa: ASYNC110 - it is another task
                await asyncio.sleep(0.01)
        task.cancel()
    assert back.asked == 2


@pytest.mark.parametrize(("minutes", "ended"), [(4, False), (5, True)])
async def test_without_the_store_sessions_go_on_for_a_while_and_then_end(
    minutes: int, ended: bool
) -> None:
    """No revocation could reach them."""
    world = World()
    await world.live.look()
    world.shelf.away = True
    await world.look_at(NOON + timedelta(minutes=minutes))
    assert bool(world.session.cuts) == ended


async def test_a_store_that_hangs_is_lost_as_well(monkeypatch: pytest.MonkeyPatch) -> None:
    """It does not even say that it is away, as on a disk that does not answer."""
    monkeypatch.setattr("bastion.live.TICK", 0.01)
    world, goes_on = World(), threading.Event()
    world.live._without_store = timedelta(seconds=0.3)
    monkeypatch.setattr(world.shelf, "version", lambda: goes_on.wait(10) and 1)
    async with asyncio.timeout(10), asyncio.TaskGroup() as group:
        watching = group.create_task(world.live.watch())
        while not world.session.cuts:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
        goes_on.set()
        watching.cancel()
    assert world.session.cuts[0][0] is EndReason.LOST


async def test_expiry_is_felt_without_the_store() -> None:
    """The end of a grant is known here."""
    world = World(GRANT.ends_at - timedelta(minutes=1))
    await world.live.look()
    world.shelf.away = True
    await world.look_at(GRANT.ends_at)
    assert [reason for reason, _ in world.session.cuts] == [EndReason.EXPIRED]


@dataclass
class Eyed:
    """A session that somebody has to watch, and who is said to."""

    last: str = "nobody was asked"

    def heed(self, watchers: Sequence[str], now: datetime) -> None:
        self.last = " ".join(watchers)


def watcher(name: str, beats: int, at: datetime, session: int = 31) -> Watcher:
    """Somebody who has just beaten."""
    return Watcher(hash(name), session, name, "192.0.2.9", NOON, at, beats)


async def test_a_session_hears_who_watches_it_until_they_are_gone() -> None:
    """Each time that somebody has written; and by the clock alone when a beat does not come."""
    world, eyed = World(), Eyed()
    world.live.open(32, Heard(), GRANT, WHO, eyed)
    await world.live.look()
    assert eyed.last == ""
    for beats in (1, 2):
        at = NOON + timedelta(seconds=beats)
        world.shelf.watchers = (
            *(watcher("rita", beats, at, 32), watcher("alice", beats, at, 32)),
            watcher("adam", beats, at),
        )
        world.shelf.written += 1
        await world.look_at(at)
        assert eyed.last == "rita"
    last = NOON + timedelta(seconds=2)
    await world.look_at(last + LEASE - timedelta(microseconds=1))
    assert eyed.last == "rita"
    await world.look_at(last + LEASE)
    assert eyed.last == ""


async def test_without_the_store_nobody_watches() -> None:
    """The session waits, though it does not end yet."""
    world, eyed = World(), Eyed()
    session = Heard()
    world.live.open(32, session, GRANT, WHO, eyed)
    world.shelf.watchers = (watcher("rita", 1, NOON, 32),)
    world.shelf.written += 1
    await world.live.look()
    assert eyed.last == "rita"
    world.shelf.away = True
    await world.look_at(NOON + LEASE)
    assert (eyed.last, session.cuts) == ("", [])


async def test_what_tells_nothing_has_only_watchers_looked_for() -> None:
    """Each watcher beats once a second: that must not have everything read anew."""
    world, eyed = World(), Eyed()
    world.live.open(32, Heard(), GRANT, WHO, eyed)
    await world.live.look()
    asked = world.shelf.asked
    for beats in range(1, 10):
        world.shelf.watchers = (watcher("rita", beats, NOON, 32),)
        world.shelf.written += 1
        world.shelf.untold += 1
        await world.live.look()
    assert (eyed.last, world.shelf.asked) == ("rita", asked)
    await world.look_after(replace(GRANT, revoked_at=NOON))
    assert [reason for reason, _ in world.session.cuts] == [EndReason.REVOKED]
