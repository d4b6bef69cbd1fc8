"""Five hundred live sessions, and a hundred grants that end at once: all are cut at the next look.

The next look comes `TICK` after the last one, so what an end takes is that and the look itself.
The look is measured by the processor's time: how busy the machine is with other things says
nothing about this program. `make bench` measures by the clock on the wall, over real channels.
"""

import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path

import pytest

from bastion.actor import Actor
from bastion.clock import Clock
from bastion.grants import Grant
from bastion.inventory import Role
from bastion.live import TICK, Live
from bastion.lookout import Lookout
from bastion.people import People
from bastion.policy import Identity
from bastion.store.watchers import Watchers
from bastion.windows import parse_window
from recorder import EndReason
from tests.bastion.stories import Story, person, populated, ruled, story
from tests.bastion.worlds import HOUR, NOW, ROOT, SECOND, grant, selectors

SESSIONS, GRANTS, USERS = 500, 100, 20
PROMISED = 1.0
"""Seconds from an end until it is felt, of 99 in a hundred."""


@dataclass
class Session:
    """A session that notes why it was cut first."""

    grant: int
    cut_for: EndReason | None = None
    warned: int = 0

    def warn(self, sentence: str) -> None:
        self.warned += 1

    def cut(self, reason: EndReason, sentence: str) -> None:
        self.cut_for = self.cut_for or reason


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Everybody, to be copied."""
    return populated(tmp_path_factory.mktemp("template"))


class Evening:
    """Twenty contractors with ten grants each, of which half are in use by five sessions each.

    `spent` is how many seconds of the processor's time each look took.
    """

    def __init__(self, told: Story) -> None:
        self.told = told
        lookout = Lookout(Watchers(told.store), People({}))
        clock = Clock(lambda: told.now, lambda: 0.0)
        self.live = Live(told.store, clock, lookout, without_store=300)
        self.sessions: list[Session] = []
        self.spent: list[float] = []
        self.users = [person(f"user-{n:02}", Role.CONTRACTOR, "contractors") for n in range(USERS)]
        for user in self.users:
            told.store.add_user(user, ROOT, NOW)
        self.grants = [self._given(number) for number in range(2 * GRANTS)]
        for number in range(SESSIONS):
            used = self.grants[number % GRANTS]
            user = next(each for each in self.users if each.name == used.user)
            session = Session(used.id)
            self.sessions.append(session)
            who = Identity(user, user.keys[0], "10.0.0.9", NOW)
            self.live.open(number, session, used, who)

    def _given(self, number: int) -> Grant:
        name = self.users[number % USERS].name
        given = grant(to=name, hosts=selectors("web-1"), starts_at=NOW, ends_at=NOW + HOUR)
        if number % 3 == 0:
            window = parse_window("mon-fri", "08:00-13:30", "Europe/Berlin")
            given = replace(given, window=window, ends_at=NOW + 2 * HOUR)
        return self.told.store.add_grant(given, ROOT, NOW)

    async def look(self) -> float:
        """The next look at the store and at the clock; what it took."""
        began = time.process_time()
        await self.live.look()
        self.spent.append(time.process_time() - began)
        return self.spent[-1]

    def cut_for(self) -> dict[EndReason | None, int]:
        """How many were cut, by the reason."""
        reasons = [session.cut_for for session in self.sessions]
        return {reason: reasons.count(reason) for reason in set(reasons)}


@pytest.fixture
def evening(template: Path, tmp_path: Path) -> Iterator[Evening]:
    """At noon, with all sessions open."""
    with story(template, tmp_path) as told:
        yield Evening(told)


async def test_a_hundred_grants_end_by_the_clock(evening: Evening) -> None:
    """A third of them by their hours, which close half an hour later: at the very second, all."""
    await evening.look()
    evening.told.now = NOW + timedelta(minutes=30) - timedelta(microseconds=1)
    await evening.look()
    assert evening.cut_for() == {None: SESSIONS}
    evening.told.now = NOW + timedelta(minutes=30)
    by_hours = await evening.look()
    closed = [s for s in evening.sessions if evening.grants[s.grant - 1].window is not None]
    assert all(session.cut_for is EndReason.EXPIRED for session in closed)
    assert evening.cut_for() == {EndReason.EXPIRED: len(closed), None: SESSIONS - len(closed)}
    evening.told.now = NOW + HOUR
    by_end = await evening.look()
    assert evening.cut_for() == {EndReason.EXPIRED: SESSIONS}
    assert TICK + max(by_hours, by_end) < PROMISED


async def test_a_hundred_grants_are_revoked(evening: Evening) -> None:
    """One look hears of all of them; sessions of none of them go on."""
    await evening.look()
    kept = {5, 17, 99}
    for each in evening.grants[:GRANTS]:
        if each.id not in kept:
            evening.told.store.revoke_grant(each.id, ROOT, "enough", NOW + SECOND)
    spent = await evening.look()
    going_on = {session.grant for session in evening.sessions if session.cut_for is None}
    assert going_on == kept
    cut = evening.cut_for()
    assert cut[EndReason.REVOKED] == SESSIONS - 5 * len(kept)
    assert TICK + spent < PROMISED


async def test_twenty_accounts_are_closed(evening: Evening) -> None:
    """And with them everything of theirs, connections that carry nothing as well."""
    closed: list[str] = []
    for user in evening.users:
        who = Identity(user, user.keys[0], "10.0.0.9", NOW)
        evening.live.enter(user.name, who, closed.append)
    await evening.look()
    for user in evening.users:
        evening.told.close(user.name)
    spent = await evening.look()
    assert evening.cut_for() == {EndReason.REVOKED: SESSIONS}
    assert not evening.live._people
    assert TICK + spent < PROMISED


async def test_everybody_is_killed(evening: Evening) -> None:
    """Session by session, by somebody on the machine."""
    await evening.look()
    for number in range(SESSIONS):
        evening.told.store.ask_kill(number, ROOT, "odd", NOW)
    spent = await evening.look()
    assert evening.cut_for() == {EndReason.KILLED: SESSIONS}
    assert TICK + spent < PROMISED


async def test_a_hundred_grants_last_longer(evening: Evening) -> None:
    """Nobody is thrown out, everybody is warned anew, and the new end is one."""
    await evening.look()
    evening.told.now = NOW + HOUR - timedelta(minutes=4)
    await evening.look()
    unlimited = [s for s in evening.sessions if evening.grants[s.grant - 1].window is None]
    assert {session.warned for session in unlimited} == {1}
    operator = Actor("os:root")
    evening.told.rules = ruled("operators = true")
    for number in {session.grant for session in unlimited}:
        evening.told.approving.extend(operator, number, HOUR, evening.told.now)
    spent = await evening.look()
    evening.told.now = NOW + 2 * HOUR - timedelta(minutes=4)
    await evening.look()
    assert {session.cut_for for session in unlimited} == {None}
    assert {session.warned for session in unlimited} == {2}
    evening.told.now = NOW + 2 * HOUR
    await evening.look()
    assert {session.cut_for for session in unlimited} == {EndReason.EXPIRED}
    assert TICK + spent < PROMISED


async def test_looking_costs_next_to_nothing_while_nothing_happens(evening: Evening) -> None:
    """Five times a second, with everything open, it takes little of one processor."""
    await evening.look()
    for _ in range(10):
        await evening.look()
    assert sorted(evening.spent[1:])[5] < TICK / 10
