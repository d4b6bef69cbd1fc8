"""The life of accesses, at random: whatever people do, the bastion and plain words agree.

Who asks, approves, denies, withdraws, extends, revokes, looks, comes and goes, with which key, by
which account; hosts, rules and the clock change meanwhile. After each step every request and every
grant is as `plain` has it, and so is every door, then and in the end.

`pytest --hypothesis-profile=long tests/bastion/test_life.py` looks much further.
"""

from dataclasses import replace
from datetime import timedelta
from functools import partial
from pathlib import Path

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
)
from hypothesis.stateful import run_state_machine_as_test as run_machine

from bastion.authority import Authority, certify_host, make_keys
from bastion.inventory import User
from bastion.petition import Wish
from bastion.store import Store
from tests.bastion.lives import Twice
from tests.bastion.plain_books import (
    BOOKS,
    FIRST,
    HOSTS,
    HOUR,
    INSIDE,
    MINUTE,
    NETWORK,
    OUTSIDE,
    PEOPLE,
    SECOND,
    a_host,
    key,
    plain_grant,
    plain_request,
    roles,
    window,
)
from tests.bastion.plain_chances import (
    Change,
    askers,
    changes,
    doers,
    durations,
    hosts,
    kinds,
    latest,
    sensible,
    some_doers,
    those_who_ask,
)
from tests.bastion.plain_things import Doer, Hours, PlainRequest
from tests.bastion.worlds import NOW, ROOT, SHELL, selectors

when_asked = precondition(lambda self: bool(self.plain.requests))
when_given = precondition(lambda self: bool(self.plain.grants))


class Life(Twice, RuleBasedStateMachine):
    """The bastion and plain words, side by side, and what people do with them."""

    def __init__(self, template: Path, authority: Authority) -> None:
        RuleBasedStateMachine.__init__(self)
        Twice.__init__(self, template, authority)

    def teardown(self) -> None:
        self.close()

    @initialize(number=st.integers(0, len(BOOKS) - 2))
    def begin(self, number: int) -> None:
        """By some rules."""
        self.rules_are(str(number), "")

    # Asking and deciding

    @rule(
        by=those_who_ask,
        where=hosts,
        duration=durations,
        start=st.sampled_from([None, None, None, -10 * MINUTE, -MINUTE, HOUR, 6 * HOUR]),
        hours=st.sampled_from([None, None, None, (9, 18), (10, 13)]),
        inside=st.booleans(),
        emergency=st.sampled_from([False, False, False, True]),
    )
    def ask(
        self,
        by: Doer,
        where: str,
        duration: timedelta,
        start: timedelta | None,
        hours: Hours | None,
        *,
        inside: bool,
        emergency: bool,
    ) -> None:
        """Somebody asks for an access."""
        now = self.plain.now
        begin = None if start is None else now + start
        asked = PlainRequest(
            by.name, where, duration, now, begin, hours, inside, emergency=emergency
        )
        wish = Wish(
            by.name,
            selectors(where),
            frozenset({"deploy"}),
            SHELL,
            duration,
            "a reason",
            starts_at=begin,
            sources=(NETWORK,) if inside else (),
            window=window(hours),
            emergency=emergency,
        )
        actor = self.actor(by)
        self.both(self.plain.ask(by, asked), lambda: self.approving.request(actor, wish, now))

    @rule(
        name=askers,
        where=st.sampled_from(HOSTS[:2]),
        duration=durations,
        by=sensible,
        enough=st.tuples(st.integers(0, 4), st.integers(0, 3)),
    )
    def ask_and_agree(
        self, name: str, where: str, duration: timedelta, by: list[Doer], enough: tuple[int, int]
    ) -> None:
        """Somebody asks for what contractors usually may have; others agree, and to more time."""
        before = len(self.plain.requests)
        self.ask(
            Doer(name, f"{name}-1"), where, duration, None, None, inside=False, emergency=False
        )
        for each in by[: enough[0]] if len(self.plain.requests) > before else ():
            self.agree(each, 0, None)
        if self.plain.grants:
            self.certify(name, "1")
            self.enter(name, "1", where, INSIDE)
            self.extend(by[: enough[1]], 0, HOUR)

    @when_asked
    @rule(by=doers, back=latest, less=st.none() | durations)
    def agree(self, by: Doer, back: int, less: timedelta | None) -> None:
        """Somebody agrees to a request, or to less."""
        number, actor, now = self.request_number(back), self.actor(by), self.plain.now
        self.both(
            self.plain.approve(by, number, less),
            lambda: self.approving.approve(actor, number, now, duration=less),
        )

    @when_asked
    @rule(by=doers, back=latest, deny=st.booleans())
    def end(self, by: Doer, back: int, *, deny: bool) -> None:
        """Somebody denies or withdraws a request."""
        number, actor, now = self.request_number(back), self.actor(by), self.plain.now
        if deny:
            plainly = self.plain.deny(by, number)
            self.both(plainly, lambda: self.approving.deny(actor, number, "no", now))
        else:
            plainly = self.plain.cancel(by, number)
            self.both(plainly, lambda: self.approving.cancel(actor, number, now))

    @when_given
    @rule(by=some_doers, back=latest, longer=durations)
    def extend(self, by: list[Doer], back: int, longer: timedelta) -> None:
        """People want a grant to last longer, one after another."""
        for each in by:
            number, actor, now = self.grant_number(back), self.actor(each), self.plain.now
            self.both(
                self.plain.extend(each, number, longer),
                partial(self.approving.extend, actor, number, longer, now),
            )

    @when_given
    @rule(by=doers, back=latest, review=st.booleans())
    def revoke_or_review(self, by: Doer, back: int, *, review: bool) -> None:
        """Somebody ends a grant, or looks at what was taken in an emergency."""
        number, actor, now = self.grant_number(back), self.actor(by), self.plain.now
        if review:
            plainly = self.plain.review(by, number)
            self.both(plainly, lambda: self.access.review(actor, number, "seen", now))
        else:
            plainly = self.plain.revoke(number)
            self.both(plainly, lambda: self.access.revoke(actor, number, "enough", now))

    # What changes around them

    @rule(seconds=st.sampled_from([1, 60, 1800, 3600, 3 * 3600, 6 * 3600, 86_400]))
    def time_passes(self, seconds: int) -> None:
        """By itself."""
        self.plain.now += seconds * SECOND

    @when_asked
    @rule(
        seconds=st.sampled_from([1, 4, 5, 6, 3600]),
        name=askers,
        by=sensible,
        put_right=st.sampled_from([True, True, True, False]),
    )
    def clock_is_set_back(
        self, seconds: int, name: str, by: list[Doer], *, put_right: bool
    ) -> None:
        """A little does no harm, more opens nothing; but what ends things works."""
        self.plain.now -= seconds * SECOND
        self.ask_and_agree(name, "web-1", HOUR, by, (2, 1))
        self.end(by[0], 0, deny=True)
        self.revoke_or_review(by[0], 0, review=False)
        self.enter(name, "1", "web-1", INSIDE)
        if put_right:
            self.plain.now += seconds * SECOND
            self.enter(name, "1", "web-1", INSIDE)

    @rule(change=changes, then=st.lists(doers, max_size=3))
    def something_changes(self, change: Change, then: list[Doer]) -> None:
        """Accounts, keys and hosts come, go and change; and others agree to the latest then."""
        what, name, value = change
        changed = {"account": self.account, "key": self.enrolled, "host": self.host}
        {**changed, "rules": self.rules_are}[what](name, value)
        for each in then if self.plain.requests else ():
            self.agree(each, 0, None)

    # Doors

    @when_given
    @rule(name=askers, kind=kinds)
    def certify(self, name: str, kind: str) -> None:
        """Somebody fetches a certificate."""
        shown, now = f"{name}-{kind}", self.plain.now
        user = self.store.user(name)
        assert user is not None
        plainly = self.plain.certify(name, shown)
        self.both(plainly, lambda: self.access.certificate(user, key(shown), now))

    @when_given
    @rule(
        name=askers,
        kind=kinds,
        where=hosts,
        source=st.sampled_from([INSIDE, INSIDE, OUTSIDE]),
    )
    def enter(self, name: str, kind: str, where: str, source: str) -> None:
        """Somebody comes to the doors."""
        self.come(name, f"{name}-{kind}", where, source)

    # What holds after every step

    @invariant()
    def requests_are_the_same(self) -> None:
        """Every one of them, with all who agreed."""
        kept = self.inbox.requests()[::-1]
        assert [str(each.standing(self.plain.now)) for each in kept] == [
            each.standing(self.plain.now) for each in self.plain.requests
        ]
        assert list(map(plain_request, kept)) == [
            replace(each, asker=each.asker or each.user) for each in self.plain.requests
        ]

    @invariant()
    def grants_are_the_same(self) -> None:
        """Every one of them, none twice, and who has agreed."""
        kept = self.store.grants()[::-1]
        assert list(map(plain_grant, kept)) == [
            replace(each, approved_by=sorted(each.approved_by)) for each in self.plain.grants
        ]
        given = [each.request for each in kept]
        assert len(set(given)) == len(given), "one request, one grant"


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    """What signs certificates."""
    keys = tmp_path_factory.mktemp("keys")
    make_keys(keys)
    certify_host(keys, ("bastion",), timedelta(days=1), NOW)
    return Authority.load(keys)


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Everybody and every host, before anything has happened."""
    file = tmp_path_factory.mktemp("template") / "bastion.db"
    store = Store.open(f"sqlite:///{file}", migrate=True)
    for name, (groups, approver) in PEOPLE.items():
        keys = tuple(key(f"{name}-{kind}") for kind in FIRST)
        user = User(name, roles(name, approver=approver), frozenset(groups), keys=keys)
        store.add_user(user, ROOT, NOW)
    for name in HOSTS:
        store.add_host(a_host(name, 1), ROOT, NOW)
    store.close()
    return file


@pytest.mark.timeout(0 if settings().max_examples > 100 else 240)
def test_whatever_they_do_plain_words_agree(template: Path, authority: Authority) -> None:
    """Many lives of up to fifty steps."""
    lives = settings(max_examples=settings().max_examples // 5, stateful_step_count=50)

    class Here(Life):
        def __init__(self) -> None:
            super().__init__(template, authority)

    run_machine(Here, settings=lives)
