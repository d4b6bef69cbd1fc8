"""The life of accesses, at random: whatever people do, the bastion and plain words agree.

Who asks, approves, denies, withdraws, extends, revokes, looks, comes and goes, with which key, by
which account; hosts, rules and the clock change meanwhile. After each step every request and every
grant is as `plain` has it, and so is every door, then and in the end.

`pytest --hypothesis-profile=long` looks much further.
"""

import itertools
import json
import shutil
import tempfile
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from functools import cache, partial
from ipaddress import ip_network
from pathlib import Path

import pytest
from hypothesis import note, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
)
from hypothesis.stateful import run_state_machine_as_test as run_machine

from bastion.access import Access
from bastion.actor import Actor
from bastion.approving import Approving
from bastion.authority import Authority, certify_host, make_keys
from bastion.durations import format_duration
from bastion.errors import BastionError
from bastion.events import What
from bastion.grants import Grant
from bastion.inventory import PublicKey, Role, User
from bastion.people import People
from bastion.petition import Wish
from bastion.policy import Ask, Denial, Identity, Knock, Mode, may_login, may_reach, may_run
from bastion.requests import Request
from bastion.rules import Rules, parse_rules
from bastion.store import Store
from bastion.store.inbox import Inbox
from bastion.store.journal import Journal
from bastion.windows import Window, parse_window
from tests.bastion.plain import Plain
from tests.bastion.plain_things import (
    Doer,
    Hours,
    PlainApproval,
    PlainGrant,
    PlainPerson,
    PlainRequest,
    PlainRule,
)
from tests.bastion.wire_keys import wire_key
from tests.bastion.worlds import NOW, ROOT, SHELL, host, selectors

HOUR, MINUTE, SECOND = timedelta(hours=1), timedelta(minutes=1), timedelta(seconds=1)
INSIDE, OUTSIDE = "10.0.0.9", "192.0.2.9"
NETWORK = ip_network("10.0.0.0/8")
ACCOUNTS = {"kim": "bob", "ann-here": "ann"}
"""Accounts of the machine and whom they act as; root is nobody in particular."""

PEOPLE = {
    "ann": ({"contractors"}, False),
    "sam": ({"contractors", "leads"}, True),
    "bob": ({"leads"}, True),
    "cat": ({"leads", "security"}, True),
    "dan": ({"security"}, True),
}
HOSTS = ("web-1", "web-2", "db-1")
KEYS = tuple(f"{name}-{kind}" for name in PEOPLE for kind in ("1", "2", "sk"))
FIRST = ("1", "sk")

LEADS, SECURITY = frozenset({"@leads"}), frozenset({"@security"})


def of(*needs: tuple[frozenset[str], int], **more: object) -> PlainRule:
    """A rule for contractors on web-1 and web-2; the needs are who, and how many of them."""
    who, hosts = frozenset({"@contractors"}), frozenset({"web-1", "web-2"})
    plain = PlainRule(who, hosts, longest=8 * HOUR, needs=needs)
    return replace(plain, **more)  # type: ignore[arg-type]


BREAK_GLASS = of(hosts=frozenset(HOSTS), longest=HOUR, emergency=True)
BOOKS: tuple[list[PlainRule], ...] = (
    [of((LEADS, 1)), BREAK_GLASS],
    [of((LEADS, 2), operators=True), of((LEADS, 1), hosts=frozenset({"db-1"}))],
    [of((LEADS, 1), (SECURITY, 1), approvers_hardware=True, hardware=True), BREAK_GLASS],
    [of((LEADS, 2), approvers_fresh=2 * MINUTE, hours=(9, 18))],
    [of((LEADS | {"dan"}, 3), inside=True), of(operators=True)],
    [of(who=frozenset({"ann"}), hosts=frozenset({"web-1"}), automatic=True), of((LEADS, 2))],
    [of((LEADS, 1), longest=2 * HOUR, hours=(10, 16))],
    [],
)


def text_of(number: int, plain: PlainRule) -> str:
    """A rule as a person would write it."""
    needs = (f"{{ from = {json.dumps(sorted(who))}, count = {n} }}" for who, n in plain.needs)
    fresh = plain.approvers_fresh
    lines = {
        "name": json.dumps(f"rule {number}"),
        "who": json.dumps(sorted(plain.who)),
        "hosts": json.dumps(sorted(plain.hosts)),
        "logins": '["deploy"]',
        "allow": '["shell"]',
        "longest": json.dumps(format_duration(plain.longest)),
        "approvals": plain.needs and f"[{', '.join(needs)}]",
        "automatic": plain.automatic and "true",
        "operators": plain.operators and "true",
        "emergency": plain.emergency and "true",
        "hours": plain.hours and f'"{plain.hours[0]:02}:00-{plain.hours[1]:02}:00"',
        "sources": plain.inside and f'["{NETWORK}"]',
        "keys": plain.hardware and '"hardware"',
        "approver_keys": plain.approvers_hardware and '"hardware"',
        "approver_login": fresh and json.dumps(format_duration(fresh)),
    }
    return "\n".join(["[[rule]]", *(f"{key} = {text}" for key, text in lines.items() if text)])


@cache
def book(number: int) -> Rules:
    """One of the books, read."""
    texts = [text_of(place, plain) for place, plain in enumerate(BOOKS[number])]
    return parse_rules("\n".join([f"# Book {number}", *texts]), "policy.toml")


@cache
def key(name: str) -> PublicKey:
    """A key by its name, as it is on the wire."""
    return wire_key(name, hardware=name.endswith("-sk"))


def window(hours: Hours | None) -> Window | None:
    """Hours as the bastion has them."""
    if hours is None:
        return None
    return parse_window(None, f"{hours[0]:02}:00-{hours[1]:02}:00", None)


def hours_of(opened: Window | None) -> Hours | None:
    """Hours as plain words have them."""
    return None if opened is None else (opened.opens.hour, opened.closes.hour)


# What people may come up with

names = st.sampled_from(list(PEOPLE))
hosts = st.sampled_from(HOSTS)
latest = st.integers(0, 3)
"""The newest, or one of those before it, as far as there are so many."""

durations = st.sampled_from([30 * MINUTE, HOUR, 2 * HOUR, 8 * HOUR])
kinds = st.sampled_from(["sk", "1", "1", "sk", "1", "2"])
signed_in = st.builds(
    lambda name, kind, ago: Doer(name, f"{name}-{kind}", ago),
    st.sampled_from(["bob", "cat", "dan", "sam", "ann"]),
    kinds,
    st.sampled_from([timedelta(), timedelta(), 2 * MINUTE, HOUR]),
)
those_who_ask = st.builds(
    lambda name, kind: Doer(name, f"{name}-{kind}"),
    st.sampled_from(["ann", "ann", "sam", "bob"]),
    kinds,
)
on_the_machine = st.sampled_from(["root", "kim", "ann-here"]).map(
    lambda account: Doer(ACCOUNTS.get(account, "os:root"), operator=True)
)
doers = st.one_of(signed_in, signed_in, on_the_machine)
some_doers = st.lists(doers, min_size=1, max_size=4)
sensible = st.permutations(["bob", "cat", "dan", "sam"]).map(
    lambda order: [Doer(name, f"{name}-sk") for name in order]
)
askers = st.sampled_from(["ann", "sam"])


Change = tuple[str, str, str]
changes: st.SearchStrategy[Change] = st.one_of(
    st.tuples(
        st.just("account"),
        names,
        st.sampled_from(["approver", "closed", "leads", "security", "contractors", *PEOPLE]),
    ),
    st.tuples(
        st.just("key"), st.sampled_from(KEYS), st.sampled_from(["os:root", "bob", "ann", "os:root"])
    ),
    st.tuples(st.just("host"), hosts, st.just("")),
)
"""What comes or goes, or changes: of what kind, whose, and what of it or by whom."""

when_asked = precondition(lambda self: bool(self.plain.requests))
when_given = precondition(lambda self: bool(self.plain.grants))


class Life(RuleBasedStateMachine):
    """The bastion and plain words, side by side."""

    def __init__(self, template: Path, authority: Authority) -> None:
        super().__init__()
        self.directory = tempfile.TemporaryDirectory(prefix="life-")
        file = shutil.copy(template, self.directory.name)
        self.store = Store.open(f"sqlite:///{file}")
        self.book = book(0)
        people, inbox = People(ACCOUNTS), Inbox(self.store)
        self.inbox = inbox
        self.approving = Approving(self.store, inbox, lambda: self.book, people, 24 * HOUR)
        self.access = Access(self.store, authority, 8 * HOUR, lambda: self.book, people)
        self.plain = Plain(NOW, BOOKS[0])
        self.plain.hosts = set(HOSTS)
        for name, (groups, approver) in PEOPLE.items():
            own = {f"{name}-{kind}" for kind in FIRST}
            self.plain.people[name] = PlainPerson(name, set(groups), approver, own)

    def teardown(self) -> None:
        try:
            self.every_door()
            told = [event.happened.what for event in Journal(self.store).after(0)]
            assert told.count(What.GRANT_GIVEN) == len(self.plain.grants)
            assert told.count(What.REQUEST_MADE) == len(self.plain.requests)
        finally:
            self.store.close()
            self.directory.cleanup()

    def every_door(self) -> None:
        """With every key that somebody may have, to every host."""
        for grant in self.plain.grants:
            for kind, where in itertools.product(("1", "2", "sk"), HOSTS):
                self._enter(grant.user, f"{grant.user}-{kind}", where, INSIDE)

    @initialize(number=st.integers(0, len(BOOKS) - 2))
    def begin(self, number: int) -> None:
        """By some rules."""
        self.other_rules(number)

    # Both sides do the same

    def both(self, plainly: bool, really: Callable[[], object]) -> None:
        """It is done, or it is refused, as plain words have it."""
        try:
            really()
            done, said = True, ""
        except BastionError as refused:
            done, said = False, f"{type(refused).__name__}: {refused}"
        note(f"{'done' if done else said}")
        assert done == plainly, said or "it was done"
        self.store.saw_time(self.plain.now)
        self.wrote()

    def wrote(self) -> None:
        """Whatever is written keeps the time as well."""
        self.plain.latest = max(self.plain.latest, self.plain.now)

    def actor(self, by: Doer) -> Actor:
        """Whoever does it, as the bastion is told."""
        if by.key is not None:
            return Actor(by.name, INSIDE, None, key(by.key), self.plain.now - by.ago)
        account = {user: account for account, user in ACCOUNTS.items()}.get(by.name, "root")
        return Actor(f"os:{account}")

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
        number, actor, now = self._request(back), self.actor(by), self.plain.now
        self.both(
            self.plain.approve(by, number, less),
            lambda: self.approving.approve(actor, number, now, duration=less),
        )

    @when_asked
    @rule(by=doers, back=latest, deny=st.booleans())
    def end(self, by: Doer, back: int, *, deny: bool) -> None:
        """Somebody denies or withdraws a request."""
        number, actor, now = self._request(back), self.actor(by), self.plain.now
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
            number, actor, now = self._grant(back), self.actor(each), self.plain.now
            self.both(
                self.plain.extend(each, number, longer),
                partial(self.approving.extend, actor, number, longer, now),
            )

    @when_given
    @rule(by=doers, back=latest, review=st.booleans())
    def revoke_or_review(self, by: Doer, back: int, *, review: bool) -> None:
        """Somebody ends a grant, or looks at what was taken in an emergency."""
        number, actor, now = self._grant(back), self.actor(by), self.plain.now
        if review:
            plainly = self.plain.review(by, number)
            self.both(plainly, lambda: self.access.review(actor, number, "seen", now))
        else:
            plainly = self.plain.revoke(number)
            self.both(plainly, lambda: self.access.revoke(actor, number, "enough", now))

    # What changes around them

    @rule(number=st.integers(0, len(BOOKS) - 1))
    def other_rules(self, number: int) -> None:
        """Somebody writes other rules."""
        self.book = book(number)
        self.plain.rules, self.plain.version = BOOKS[number], number

    @rule(
        seconds=st.sampled_from([1, 60, 600, 1800, 3600, 3 * 3600, 6 * 3600, 86_400]),
    )
    def time_passes(self, seconds: int) -> None:
        """By itself."""
        self.plain.now += seconds * SECOND

    @rule(seconds=st.sampled_from([1, 4, 5, 6, 3600]))
    def clock_is_set_back(self, seconds: int) -> None:
        """A little does no harm, more opens nothing."""
        self.plain.now -= seconds * SECOND

    @rule(change=changes, then=st.lists(doers, max_size=3))
    def something_changes(self, change: Change, then: list[Doer]) -> None:
        """Accounts, keys and hosts come, go and change; and others agree to the latest then."""
        what, name, value = change
        {"account": self.account, "key": self.enrolled, "host": self.host}[what](name, value)
        self.wrote()
        for each in then if self.plain.requests else ():
            self.agree(each, 0, None)

    def account(self, name: str, what: str) -> None:
        """Shut or opened, an approver or not, vouched for by somebody, in a group or not."""
        person = self.plain.people[name]
        if what == "closed":
            person.closed = not person.closed
        elif what == "approver":
            person.approver = not person.approver
        elif what in PEOPLE:
            person.sponsor = None if what in (name, person.sponsor) else what
        else:
            person.groups ^= {what}
        self.store.update_user(self._user(person), ROOT, self.plain.now)

    def enrolled(self, shown: str, giver: str) -> None:
        """Somebody enrols a key for somebody, or takes it away."""
        name, now = shown.partition("-")[0], self.plain.now
        person = self.plain.people[name]
        if shown in person.keys:
            self.store.remove_key(name, key(shown).fingerprint, ROOT, now)
        else:
            by = Doer(giver, operator=True)
            self.store.enrol_key(name, key(shown), self.actor(by), now)
            person.given.add((shown, giver))
        person.keys ^= {shown}

    def host(self, name: str, _: str) -> None:
        """Somebody takes a host away, or adds it again."""
        if name in self.plain.hosts:
            self.store.remove_host(name, ROOT, self.plain.now)
        else:
            self.store.add_host(host(name), ROOT, self.plain.now)
        self.plain.hosts ^= {name}

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
        self._enter(name, f"{name}-{kind}", where, source)

    def _enter(self, name: str, shown: str, where: str, source: str) -> None:
        plainly = self.plain.may_enter(name, shown, where, inside=source == INSIDE)
        assert self._lets_in(name, key(shown), where, source) == plainly, (name, shown, where)

    def _lets_in(self, name: str, shown: PublicKey, where: str, source: str) -> bool:
        now, owner = self.plain.now, self.store.owner_of(shown.blob)
        if owner is None or owner.name != name:
            return False
        facts = self.store.door_facts(name, shown.fingerprint, where, now)
        assert facts.latest_time == self.plain.latest
        if facts.user is None or not self.plain.clock_is_right():
            return False  # said before door 1, by the gate
        who = Identity(facts.user, shown, source, now)
        knock = Knock(who, where, facts.host, 22, facts.grants, facts.certificates)
        reach = may_reach(knock, now)
        if isinstance(reach, Denial):
            return False
        assert isinstance(may_login(reach, "root", now), Denial)
        permit = may_login(reach, "deploy", now)
        return not (isinstance(permit, Denial) or isinstance(may_run(permit, ASK, now), Denial))

    # What holds after every step

    @invariant()
    def requests_are_the_same(self) -> None:
        """Every one of them, with all who agreed."""
        kept = self.inbox.requests()[::-1]
        assert [str(each.standing(self.plain.now)) for each in kept] == [
            self.plain.standing(each) for each in self.plain.requests
        ]
        assert list(map(_plain_request, kept)) == [
            replace(each, asker=each.asker or each.user) for each in self.plain.requests
        ]

    @invariant()
    def grants_are_the_same(self) -> None:
        """Every one of them, none twice, and who has agreed."""
        kept = self.store.grants()[::-1]
        assert list(map(_plain_grant, kept)) == [
            replace(each, approved_by=sorted(each.approved_by)) for each in self.plain.grants
        ]
        given = [each.request for each in kept]
        assert len(set(given)) == len(given), "one request, one grant"

    def _request(self, back: int) -> int:
        return len(self.plain.requests) - back

    def _grant(self, back: int) -> int:
        return len(self.plain.grants) - back

    def _user(self, person: PlainPerson) -> User:
        roles = {Role.CONTRACTOR, Role.APPROVER} if person.approver else {Role.CONTRACTOR}
        return User(
            person.name,
            frozenset(roles),
            frozenset(person.groups),
            sponsor=person.sponsor,
            disabled_at=NOW if person.closed else None,
        )


ASK = Ask(Mode.SHELL)


def _plain_request(request: Request) -> PlainRequest:
    names_of = {key(name).fingerprint: name for name in KEYS}
    versions = {book(number).version: number for number in range(len(BOOKS))}
    return PlainRequest(
        user=request.user,
        host=str(request.hosts[0]),
        duration=request.duration,
        stale_at=request.stale_at,
        start=request.starts_at,
        hours=hours_of(request.window),
        inside=bool(request.sources),
        asker=request.asked_by,
        extends=request.extends,
        emergency=request.emergency,
        approvals=[
            PlainApproval(
                each.by,
                None if each.fingerprint is None else names_of[each.fingerprint],
                versions[each.policy or ""],
                each.duration or request.duration,
            )
            for each in request.approvals
        ],
        decision=None if request.decision is None else str(request.decision),
        grant=request.grant,
    )


def _plain_grant(grant: Grant) -> PlainGrant:
    return PlainGrant(
        user=grant.user,
        host=str(grant.hosts[0]),
        start=grant.starts_at,
        end=grant.ends_at,
        hours=hours_of(grant.window),
        inside=bool(grant.sources),
        hardware=grant.hardware,
        emergency=grant.emergency,
        approved_by=sorted(grant.approved_by),
        revoked=grant.revoked_at is not None,
        reviewed=grant.reviewed_at is not None,
    )


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
        roles = {Role.CONTRACTOR, Role.APPROVER} if approver else {Role.CONTRACTOR}
        keys = tuple(key(f"{name}-{kind}") for kind in FIRST)
        user = User(name, frozenset(roles), frozenset(groups), keys=keys)
        store.add_user(user, ROOT, NOW)
    for name in HOSTS:
        store.add_host(host(name), ROOT, NOW)
    store.close()
    return file


def test_whatever_they_do_plain_words_agree(template: Path, authority: Authority) -> None:
    """Many lives of up to fifty steps."""
    lives = settings(max_examples=settings().max_examples * 2 // 5, stateful_step_count=50)

    class Here(Life):
        def __init__(self) -> None:
            super().__init__(template, authority)

    run_machine(Here, settings=lives)
