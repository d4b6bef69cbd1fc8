"""Everything twice: done by the bastion, and in plain words, and held against one another."""

import itertools
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path

from hypothesis import note

from bastion.access import Access
from bastion.actor import Actor
from bastion.approving import Approving
from bastion.authority import Authority
from bastion.denials import Denial
from bastion.errors import BastionError
from bastion.events import What
from bastion.inventory import PublicKey, User
from bastion.people import People
from bastion.policy import Ask, Identity, Knock, Mode, may_login, may_reach, may_run
from bastion.store import Store
from bastion.store.inbox import Inbox
from bastion.store.journal import Journal
from tests.bastion.plain import Plain
from tests.bastion.plain_books import (
    ACCOUNTS,
    AUDITOR,
    BOOKS,
    FIRST,
    HOSTS,
    HOUR,
    INSIDE,
    PEOPLE,
    a_host,
    book,
    key,
    roles,
)
from tests.bastion.plain_things import Doer, PlainPerson
from tests.bastion.worlds import NOW, ROOT

ASK = Ask(Mode.SHELL)


class Twice:
    """A bastion with its store, and plain words beside it."""

    def __init__(self, template: Path, authority: Authority) -> None:
        self.directory = tempfile.TemporaryDirectory(prefix="life-")
        file = shutil.copy(template, self.directory.name)
        self.store = Store.open(f"sqlite:///{file}")
        self.book = book(0)
        people, inbox = People(ACCOUNTS), Inbox(self.store)
        self.inbox = inbox
        self.approving = Approving(self.store, inbox, lambda: self.book, people, 24 * HOUR)
        self.access = Access(self.store, authority, 8 * HOUR, lambda: self.book, people)
        self.plain = Plain(NOW, BOOKS[0])
        self.plain.hosts = dict.fromkeys(HOSTS, 1)
        for name, (groups, approver) in PEOPLE.items():
            own = {f"{name}-{kind}" for kind in FIRST}
            auditor = name == AUDITOR
            self.plain.people[name] = PlainPerson(name, set(groups), approver, auditor, own)

    def close(self) -> None:
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
                self.come(grant.user, f"{grant.user}-{kind}", where, INSIDE)

    def request_number(self, back: int) -> int:
        return len(self.plain.requests) - back

    def grant_number(self, back: int) -> int:
        return len(self.plain.grants) - back

    def user(self, person: PlainPerson) -> User:
        return User(
            person.name,
            roles(person.name, approver=person.approver),
            frozenset(person.groups),
            sponsor=person.sponsor,
            disabled_at=NOW if person.closed else None,
        )

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

    # What changes around them

    def rules_are(self, number: str, _: str) -> None:
        """Somebody writes other rules."""
        self.book = book(int(number))
        self.plain.rules, self.plain.version = BOOKS[int(number)], int(number)

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
        self.store.update_user(self.user(person), ROOT, self.plain.now)
        self.wrote()

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
        self.wrote()

    def host(self, name: str, machine: str) -> None:
        """A host is taken away, added again, or its name goes to another machine."""
        now, hosts = self.plain.now, self.plain.hosts
        if name not in hosts:
            self.store.add_host(a_host(name, int(machine)), ROOT, now)
            hosts[name] = int(machine)
        elif hosts[name] == int(machine):
            self.store.remove_host(name, ROOT, now)
            del hosts[name]
        else:
            self.store.replace_host(a_host(name, int(machine)), ROOT, now)
            hosts[name] = int(machine)
        self.wrote()

    # Doors

    def come(self, name: str, shown: str, where: str, source: str) -> None:
        plainly = self.plain.may_enter(name, shown, where, inside=source == INSIDE)
        assert self.lets_in(name, key(shown), where, source) == plainly, (name, shown, where)

    def lets_in(self, name: str, shown: PublicKey, where: str, source: str) -> bool:
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
