"""Holds, tombstones and the time: each decision is one transaction, with its event."""

import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest

from bastion.actor import Actor
from bastion.errors import Conflict, NotFound
from bastion.events import What
from bastion.retention import Hold, Leap, Retention, Rule
from bastion.sentences import sentence
from bastion.store import Store
from bastion.store.events import Wanted
from bastion.store.journal import Journal
from bastion.store.keeping import Keeping
from recorder import EndReason, Index, Kind, Session, SessionInfo, Stored
from recorder.session import Ending
from recorder.tombstone import Tombstone
from recorder.tombstones import Laid, Tombstones
from tests.bastion.worlds import HOUR, NOW, ROOT, SECOND, grant, host, selectors

DAY = timedelta(days=1)
RITA, OLGA = Actor("rita", "192.0.2.7"), Actor("olga", "192.0.2.8")


@pytest.fixture
def keeping(peopled: Store) -> Keeping:
    peopled.add_grant(grant(1), ROOT, NOW)
    return Keeping(peopled)


@pytest.fixture
def journal(peopled: Store) -> Journal:
    return Journal(peopled)


@pytest.fixture
def sessions(peopled: Store) -> list[Session]:
    """Three of one grant that are over."""
    return [over(peopled) for _ in range(3)]


def over(store: Store) -> Session:
    index = Index(store.database)
    info = SessionInfo(1, "alice", 1, "prod-host", "deploy", Kind.EXEC, "192.0.2.7", "true")
    added = index.add(info, NOW, lambda number: f"2026/11/23/S-{number}.cast")
    stored = Stored(added.recording.path, "5e" * 32, 100, 1)
    index.complete(added.id, Ending(EndReason.CLOSED, NOW), stored)
    found = index.get(added.id)
    assert found is not None
    return found


def gone(keeping: Keeping, session: Session, at: timedelta = DAY) -> Hold | None:
    """What came of letting it go."""
    tombstone = Tombstone(
        session=session.id,
        manifest=1,
        sha256="5e" * 32,
        at=NOW + at,
        by="bastion",
        rule="default: 1d",
        retention="5e" * 32,
        ended_at=NOW,
        files=(),
        node="gate",
    )
    laid = Laid(session.id, tombstone.text(), "signed", "ab" * 32, NOW + at)
    return keeping.let_go(session, tombstone, laid, ROOT)


def told(journal: Journal, *kinds: What) -> list[str]:
    return [sentence(e) for e in journal.after(0, Wanted(what=frozenset(kinds)))]


def test_a_hold_is_told_and_so_is_its_end(
    keeping: Keeping, journal: Journal, sessions: list[Session]
) -> None:
    """Who, why, whose; the list has those in force."""
    keeping.hold(1, None, RITA, "INC-42", NOW)
    keeping.hold(None, 1, OLGA, "audit", NOW)
    assert [each.name for each in keeping.holds()] == ["G-1", "S-1"]
    keeping.release(1, None, RITA, "closed", NOW + HOUR)
    assert [each.name for each in keeping.holds()] == ["G-1"]
    assert [each.name for each in keeping.holds(released=True)] == ["G-1", "S-1"]
    assert told(journal, What.HOLD_PLACED, What.HOLD_RELEASED) == [
        "rita put S-1 of alice on hold: INC-42",
        "olga put G-1 of alice on hold: audit",
        "rita released S-1 of alice from the hold that rita had put: closed",
    ]


def test_each_releases_her_own_hold(keeping: Keeping, sessions: list[Session]) -> None:
    """Or says whose; while one is left, it is kept."""
    keeping.hold(1, None, RITA, "INC-42", NOW)
    keeping.hold(1, None, OLGA, "audit", NOW)
    with pytest.raises(Conflict, match=r"S-1 is on hold by rita already \(INC-42\)"):
        keeping.hold(1, None, RITA, "again", NOW)
    keeping.release(1, None, RITA, "closed", NOW)
    with pytest.raises(NotFound, match="S-1 is not on hold by rita"):
        keeping.release(1, None, RITA, "closed", NOW)
    assert gone(keeping, sessions[0]) is not None
    keeping.release(1, None, RITA, "olga has left", NOW, of="olga")
    assert gone(keeping, sessions[0]) is None


def test_what_is_not_there_is_not_held(keeping: Keeping, sessions: list[Session]) -> None:
    """Nor what was let go; and nothing is told."""
    for session, number in ((9, None), (None, 9)):
        with pytest.raises(NotFound):
            keeping.hold(session, number, RITA, "x", NOW)
    assert gone(keeping, sessions[0]) is None
    with pytest.raises(Conflict, match="S-1 was let go on 2026-11-24"):
        keeping.hold(1, None, RITA, "x", NOW + DAY)
    assert keeping.holds() == []


def test_a_hold_on_a_grant_keeps_all_its_sessions(
    keeping: Keeping, sessions: list[Session], peopled: Store
) -> None:
    """Those to come as well; those that went before are gone."""
    assert gone(keeping, sessions[0]) is None
    keeping.hold(None, 1, RITA, "INC-42", NOW + DAY)
    for session in (*sessions[1:], over(peopled)):
        hold = gone(keeping, session, 2 * DAY)
        assert hold is not None
        assert hold.name == "G-1"
        assert Tombstones(peopled.database).of(session.id) is None


def test_a_recording_is_let_go_once(
    keeping: Keeping, sessions: list[Session], journal: Journal, peopled: Store
) -> None:
    """Its row says when, the log says by which rule, and nobody else does it again."""
    assert gone(keeping, sessions[0]) is None
    with pytest.raises(
        Conflict, match="S-1 can't be let go: it is not over, or was let go already"
    ):
        gone(keeping, sessions[0])
    found = Index(peopled.database).get(1)
    assert found is not None
    assert found.recording.let_go_at == NOW + DAY
    assert told(journal, What.RECORDING_LET_GO) == [
        "os:root let the recording of S-1 of alice go (default: 1d) (G-1 C-1)"
    ]
    assert keeping.told_of(1) == {"ab" * 32}
    assert keeping.told_of(2) == frozenset()


def test_a_live_session_is_not_let_go(keeping: Keeping, peopled: Store) -> None:
    """Its recording grows."""
    index = Index(peopled.database)
    info = SessionInfo(1, "alice", 1, "prod-host", "deploy", Kind.EXEC, "192.0.2.7", "true")
    live = index.add(info, NOW, lambda number: f"2026/11/23/S-{number}.cast")
    with pytest.raises(Conflict, match="not over"):
        gone(keeping, live)


def test_who_holds_at_the_moment_of_a_prune(keeping: Keeping, peopled: Store) -> None:
    """Two threads, many sessions: each is either held and kept, or gone and not held."""
    numbers = [over(peopled) for _ in range(30)]
    outcomes: dict[int, tuple[bool, bool]] = {}

    def both(session: Session) -> None:
        start = threading.Barrier(2, timeout=20)

        def hold() -> bool:
            start.wait()
            try:
                keeping.hold(session.id, None, RITA, "INC-42", NOW + DAY)
            except Conflict:
                return False
            return True

        def prune() -> bool:
            start.wait()
            return gone(keeping, session) is None

        with ThreadPoolExecutor(2) as hands:
            held, went = hands.submit(hold), hands.submit(prune)
            outcomes[session.id] = held.result(), went.result()

    for session in numbers:
        both(session)
    assert all(held is not went for held, went in outcomes.values()), outcomes


def test_rules_count_since_they_were_told(keeping: Keeping, journal: Journal) -> None:
    """Told once; back to what they were is a change like any other; none at all is none."""
    month = Retention(30 * DAY, (Rule(selectors("web-*"), None),))
    year = Retention(365 * DAY)
    assert keeping.heed(Retention(), ROOT, NOW) == NOW
    assert keeping.heeded(month) is None
    assert keeping.heed(month, ROOT, NOW) == NOW
    assert keeping.heed(month, ROOT, NOW + DAY) == NOW
    assert keeping.heeded(month) == NOW
    assert keeping.heed(year, ROOT, NOW + DAY) == NOW + DAY
    assert keeping.heeded(month) is None
    assert keeping.heed(month, ROOT, NOW + 2 * DAY) == NOW + 2 * DAY
    assert keeping.heed(Retention(), ROOT, NOW + 3 * DAY) == NOW + 3 * DAY
    assert told(journal, What.RETENTION_CHANGED) == [
        "os:root changed how long recordings are kept: web-*: forever, default: 30d",
        "os:root changed how long recordings are kept: default: 365d",
        "os:root changed how long recordings are kept: web-*: forever, default: 30d",
        "os:root changed how long recordings are kept: default: forever",
    ]


def test_the_log_knows_what_hosts_were(keeping: Keeping, peopled: Store) -> None:
    """Their labels and aliases, also when they were removed since."""
    dev = host("prod-host", labels={("env", "dev")})
    peopled.replace_host(dev, ROOT, NOW + HOUR)
    peopled.remove_host("prod-host", ROOT, NOW + 2 * HOUR)
    past = keeping.past()
    before, after = past.host("prod-host", NOW), past.host("prod-host", NOW + 3 * HOUR)
    assert before is not None
    assert after is not None
    assert before.labels == {("env", "prod")}
    assert before.aliases == {"prod"}
    assert after.labels == {("env", "dev")}


def test_a_clock_that_leapt_is_kept_in_mind(
    keeping: Keeping, peopled: Store, journal: Journal
) -> None:
    """More than a week between two writes; the first leap stays until somebody says it is right."""
    peopled.saw_time(NOW + 7 * DAY)
    assert keeping.leap() is None
    peopled.saw_time(NOW + 14 * DAY + SECOND)
    first = Leap(NOW + 7 * DAY, NOW + 14 * DAY + SECOND)
    assert keeping.leap() == first
    peopled.saw_time(NOW + 3650 * DAY)
    assert keeping.leap() == first
    keeping.trust_clock(ROOT, NOW + 3650 * DAY)
    keeping.trust_clock(ROOT, NOW + 3650 * DAY)
    assert keeping.leap() is None
    [said] = told(journal, What.CLOCK_TRUSTED)
    assert said.startswith("os:root took the clock for right, though nothing was kept after 2026")


def test_a_clock_that_was_set_back_leaps_no_more(keeping: Keeping, peopled: Store) -> None:
    """Who mends the latest time has looked at the clock."""
    peopled.saw_time(NOW + 3650 * DAY)
    peopled.reset_time(ROOT, NOW, "NTP")
    assert keeping.leap() is None


def test_the_unfinished_are_listed_until_they_are_finished(
    keeping: Keeping, sessions: list[Session], peopled: Store
) -> None:
    """Whoever was killed is followed by somebody who knows what is left to do."""
    tombstones = Tombstones(peopled.database)
    for session in sessions:
        gone(keeping, session)
    assert tombstones.unfinished() == [1, 2, 3]
    tombstones.finish(2)
    assert tombstones.unfinished() == [1, 3]
    assert tombstones.numbers() == [1, 2, 3]
