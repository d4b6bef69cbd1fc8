"""Several people in the same millisecond, each a process of its own on one SQLite file.

Whoever is first decides, in one transaction; the others hear a sentence about what came of it, and
never one about the database.
"""

import itertools
import re
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from bastion.events import START, Event, What
from bastion.grants import State
from bastion.inventory import Role
from bastion.requests import Standing
from bastion.store import Store
from bastion.store.requests import MOST_PENDING
from tests.bastion.crowds import Crowd, Result, Task, crowd
from tests.bastion.stories import ONE_LEAD, TWO_LEADS, Story, person, populated, story
from tests.bastion.worlds import HOUR, NOW, ROOT

ROUNDS = 3
"""Who is first is chance: each story is told so often."""

LEADS = tuple(f"lead-{letter}" for letter in "abcdefgh")


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Everybody, and eight more who lead."""
    file = populated(tmp_path_factory.mktemp("template"))
    store = Store.open(f"sqlite:///{file}")
    for name in LEADS:
        store.add_user(person(name, Role.APPROVER, "leads"), ROOT, NOW)
    store.close()
    return file


@pytest.fixture(scope="module")
def people() -> Iterator[Crowd]:
    """Processes for all the tests here."""
    with crowd() as gathered:
        yield gathered


class Scene:
    """A story on a file that others work on at the same time."""

    def __init__(self, told: Story, file: Path, people: Crowd) -> None:
        self.told = told
        self._file = file
        self._people = people
        self.before = told.journal.last()

    def at_once(self, *tasks: Task, rules: str = ONE_LEAD) -> list[Result]:
        """All of it in the same moment; and the log is whole afterwards."""
        self.before = self.told.journal.last()
        results = self._people.at_once(self._file, [rules], tasks)
        assert all(result.error in (None, "Conflict", "Refused") for result in results), results
        demand_whole(self.told.events())
        return results

    def events(self) -> Counter[What]:
        """What was told of it."""
        return Counter(self.told.told(self.before))


Begin = Callable[[], Scene]


@pytest.fixture
def begin(template: Path, tmp_path: Path, people: Crowd) -> Iterator[Begin]:
    """Makes a new scene."""
    numbers = itertools.count()

    with ExitStack() as stack:

        def begun() -> Scene:
            directory = tmp_path / str(next(numbers))
            directory.mkdir()
            told = stack.enter_context(story(template, directory))
            return Scene(told, directory / "bastion.db", people)

        yield begun


def demand_whole(events: list[Event]) -> None:
    """Every event has its number, its hash, and the one before it in its chain."""
    assert [event.id for event in events] == list(range(1, len(events) + 1))
    heads: dict[object, tuple[int, str]] = {}
    for event in events:
        seq, prev = heads.get(event.chain, (0, START))
        assert (event.seq, event.prev) == (seq + 1, prev)
        assert event.hash == event.digest()
        heads[event.chain] = (event.seq, event.hash)


def refusals(results: list[Result]) -> list[str]:
    """What those heard who came too late."""
    return [result.said for result in results if result.error]


def test_two_approve_in_the_same_millisecond(begin: Begin) -> None:
    """One grant, by the first; the other one hears by whom."""
    for _ in range(ROUNDS):
        scene = begin()
        scene.told.ask()
        results = scene.at_once(Task("approve", ("bob",)), Task("approve", ("carol",)))
        (said,) = refusals(results)
        (grant,) = scene.told.grants
        assert said == f"R-1 was approved as G-1 already, by {grant.granted_by}."
        assert len(grant.approved_by) == 1
        assert scene.events() == {What.REQUEST_APPROVED: 1, What.GRANT_GIVEN: 1}


def test_eight_approve_where_two_are_needed(begin: Begin) -> None:
    """Two consents, of two people, and one grant."""
    for _ in range(ROUNDS):
        scene = begin()
        scene.told.ask()
        results = scene.at_once(*(Task("approve", (name,)) for name in LEADS), rules=TWO_LEADS)
        (grant,) = scene.told.grants
        late = refusals(results)
        assert late == [f"R-1 was approved as G-1 already, by {grant.granted_by}."] * 6
        assert len(set(grant.approved_by)) == 2
        request = scene.told.inbox.request(1)
        assert request is not None
        assert request.approvers == grant.approved_by
        assert scene.events() == {What.REQUEST_APPROVED: 2, What.GRANT_GIVEN: 1}


def test_one_person_approves_eight_times_at_once(begin: Begin) -> None:
    """From eight terminals it is still one consent."""
    scene = begin()
    scene.told.ask()
    results = scene.at_once(*[Task("approve", ("bob",))] * 8, rules=TWO_LEADS)
    assert refusals(results) == ["You have approved R-1 already; it takes somebody else too."] * 7
    assert scene.told.grants == []
    assert scene.events() == {What.REQUEST_APPROVED: 1}


@pytest.mark.parametrize(
    ("rival", "standing", "said"),
    [
        (Task("cancel", ("alice",)), Standing.CANCELLED, "R-1 was withdrawn by alice."),
        (Task("deny", ("carol",)), Standing.DENIED, "R-1 was denied already, by carol."),
    ],
)
def test_approved_and_ended_at_once(
    begin: Begin, rival: Task, standing: Standing, said: str
) -> None:
    """Either there is a grant, or it was withdrawn or denied; never both."""
    for _ in range(ROUNDS):
        scene = begin()
        scene.told.ask()
        approved, ended = scene.at_once(Task("approve", ("bob",)), rival)
        if approved.error is None:
            assert ended.said == "R-1 was approved as G-1 already, by bob."
            assert scene.told.standing() is Standing.APPROVED
            assert len(scene.told.grants) == 1
        else:
            assert (ended.error, approved.said) == (None, said)
            assert scene.told.standing() is standing
            assert scene.told.grants == []
        assert sum(scene.events().values()) == (2 if approved.error is None else 1)


def test_two_extend_at_once(begin: Begin) -> None:
    """One after the other, or once: the end is what was told, and nobody is told what is not."""
    for _ in range(ROUNDS):
        scene = begin()
        scene.told.ask()
        scene.told.approve("bob")
        results = scene.at_once(Task("extend", ("bob",)), Task("extend", ("carol",)))
        late, times = refusals(results), scene.events()[What.GRANT_EXTENDED]
        (grant,) = scene.told.grants
        assert times == 2 - len(late) >= 1
        assert grant.ends_at == NOW + (2 + times) * HOUR
        assert set(late) <= {"G-1 has been given another end meanwhile: look at it again."}
        assert scene.events()[What.REQUEST_MADE] == times


def test_two_extend_at_once_where_two_are_needed(begin: Begin) -> None:
    """It is the same request, however they meet, and the grant lasts longer once."""
    for _ in range(ROUNDS):
        scene = begin()
        scene.told.ask()
        scene.told.approve("bob")
        results = scene.at_once(
            Task("extend", ("bob",)), Task("extend", ("carol",)), rules=TWO_LEADS
        )
        assert refusals(results) == []
        (grant,) = scene.told.grants
        assert grant.ends_at == NOW + 3 * HOUR
        assert scene.events() == {
            What.REQUEST_MADE: 1,
            What.REQUEST_APPROVED: 2,
            What.GRANT_EXTENDED: 1,
        }


def test_revoked_and_extended_at_once(begin: Begin) -> None:
    """It ends, whoever was first; what ended is not prolonged."""
    for _ in range(ROUNDS):
        scene = begin()
        scene.told.ask()
        scene.told.approve("bob")
        revoked, extended = scene.at_once(Task("revoke"), Task("extend", ("bob",)))
        (grant,) = scene.told.grants
        assert revoked.error is None
        assert grant.state(NOW) is State.REVOKED
        if extended.error is not None:
            assert re.match("G-1 was revoked (at|by) ", extended.said)
            assert grant.ends_at == NOW + 2 * HOUR
        assert scene.events()[What.GRANT_EXTENDED] == int(extended.error is None)


def test_her_account_is_closed_in_the_same_moment(begin: Begin) -> None:
    """What was granted was granted before it was closed."""
    for _ in range(ROUNDS):
        scene = begin()
        scene.told.ask()
        approved, _ = scene.at_once(Task("approve", ("bob",)), Task("close", ("alice",)))
        told = scene.told.told(scene.before)
        assert told.count(What.USER_CHANGED) == 1
        if approved.error is None:
            assert told.index(What.GRANT_GIVEN) < told.index(What.USER_CHANGED)
        else:
            assert approved.said == "The account alice is closed; R-1 can't be approved."
            assert What.GRANT_GIVEN not in told


def test_an_approver_is_demoted_in_the_same_moment(begin: Begin) -> None:
    """Her consent counts if it was there before."""
    for _ in range(ROUNDS):
        scene = begin()
        scene.told.ask()
        tasks = (Task("approve", ("bob",)), Task("approve", ("carol",)), Task("close", ("bob",)))
        bob, carol, closed = scene.at_once(*tasks, rules=TWO_LEADS)
        assert bob.said in ("", "The account bob is closed.")
        assert (carol.error, closed.error) == (None, None)
        told = scene.told.told(scene.before)
        if What.GRANT_GIVEN in told:
            assert told.index(What.GRANT_GIVEN) < told.index(What.USER_CHANGED)
        assert len(scene.told.grants) == told.count(What.GRANT_GIVEN)


def test_many_ask_at_once(begin: Begin) -> None:
    """Each has a number of its own, and no more of them wait than may."""
    scene = begin()
    for _ in range(MOST_PENDING - 3):
        scene.told.ask()
    results = scene.at_once(*[Task("ask")] * 8)
    assert refusals(results) == ["20 requests for alice wait already: cancel some first."] * 5
    assert scene.events() == {What.REQUEST_MADE: 3}


def test_many_are_given_at_once(begin: Begin) -> None:
    """On call, eight requests are eight grants, in order, nobody's lost."""
    scene = begin()
    results = scene.at_once(*[Task("ask")] * 8, rules="automatic = true")
    assert refusals(results) == []
    assert [(g.id, g.request) for g in scene.told.grants] == [(n, n) for n in range(1, 9)]
    assert scene.events() == {What.REQUEST_MADE: 8, What.GRANT_GIVEN: 8}
