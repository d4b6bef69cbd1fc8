"""People who ask and people who approve, on a real store, by rules that a test writes.

alice is a contractor; bob, carol and dave are @leads, erin is @security: all four may approve.
Each has a key in a file (`bob-1`) and one in a token (`bob-sk`). web-1 and web-2 belong to carol.
"""

import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path

from bastion.actor import Actor
from bastion.approving import Answer, Approving
from bastion.events import Event, What
from bastion.grants import Grant
from bastion.inventory import Role, User
from bastion.people import People
from bastion.petition import Wish
from bastion.requests import Request, Standing
from bastion.rules import Rules, parse_rules
from bastion.store import Store
from bastion.store.inbox import Inbox
from bastion.store.journal import Journal
from tests.bastion.values import a_key
from tests.bastion.worlds import HOUR, NOW, ROOT, SHELL, host, selectors

LIFETIME = timedelta(hours=24)
"""How long a request waits."""

ONE_LEAD = 'approvals = [{ from = ["@leads"] }]'
TWO_LEADS = 'approvals = [{ from = ["@leads"], count = 2 }]'

_USUAL = {
    "who": ["@contractors"],
    "hosts": ["web-*"],
    "logins": ["deploy"],
    "allow": ["shell"],
    "longest": "8h",
}


def ruled(*texts: str) -> Rules:
    """Rules, named `rule 1` and so on; each has what the contractors usually need."""
    parts = []
    for number, text in enumerate(texts, start=1):
        said = {line.partition("=")[0].strip() for line in text.splitlines()}
        usual = [f"{k} = {json.dumps(v)}" for k, v in _USUAL.items() if k not in said]
        parts += ["[[rule]]", f'name = "rule {number}"', *usual, text]
    return parse_rules("\n".join(parts), "policy.toml")


def wish(duration: timedelta = 2 * HOUR, **more: object) -> Wish:
    """A shell as deploy on web-1, for alice."""
    plain = Wish(
        user="alice",
        hosts=selectors("web-1"),
        logins=frozenset({"deploy"}),
        allows=SHELL,
        duration=duration,
        reason="the disk is full",
    )
    return replace(plain, **more)  # type: ignore[arg-type]


def person(name: str, role: Role, *groups: str) -> User:
    """Somebody with a key in a file and one in a token."""
    keys = (a_key(f"{name}-1", hardware=False), a_key(f"{name}-sk", hardware=True))
    return User(name, frozenset({role}), frozenset(groups), keys=keys)


PEOPLE = (
    person("alice", Role.CONTRACTOR, "contractors"),
    person("bob", Role.APPROVER, "leads"),
    person("carol", Role.APPROVER, "leads"),
    person("dave", Role.APPROVER, "leads"),
    person("erin", Role.APPROVER, "security"),
)


def populated(directory: Path) -> Path:
    """A database with everybody and two hosts, to be copied: making one takes longer."""
    file = directory / "bastion.db"
    store = Store.open(f"sqlite:///{file}", migrate=True)
    for user in PEOPLE:
        store.add_user(user, ROOT, NOW)
    for name in ("web-1", "web-2"):
        labels = {("env", "prod"), ("owner", "carol")}
        store.add_host(host(name, aliases={f"alias-{name}"}, labels=labels), ROOT, NOW)
    store.close()
    return file


@dataclass
class Story:
    """The verbs, and what they find: change `rules`, `now` and `accounts` as the story goes."""

    store: Store
    rules: Rules
    now: datetime = NOW

    def __post_init__(self) -> None:
        self.accounts: dict[str, str] = {}
        self.inbox = Inbox(self.store)
        self.journal = Journal(self.store)

    @property
    def approving(self) -> Approving:
        """The verbs, with the accounts as they are mapped now."""
        people = People(self.accounts)
        return Approving(self.store, self.inbox, lambda: self.rules, people, LIFETIME)

    def by(self, name: str, *, key: str | None = None, ago: timedelta = timedelta()) -> Actor:
        """A person who has signed in with her file, or with another key of hers."""
        shown = a_key(key or f"{name}-1", hardware=(key or "").endswith("-sk"))
        return Actor(name, "10.0.0.9", key=shown, signed_in_at=self.now - ago)

    # The verbs, by people who sign in

    def ask(self, asked: Wish | None = None, **how: object) -> Answer:
        """alice asks."""
        by = self.by("alice", **how)  # type: ignore[arg-type]
        return self.approving.request(by, asked or wish(), self.now)

    def approve(self, name: str, number: int = 1, **more: object) -> Answer:
        """Somebody agrees."""
        return self.approving.approve(self.by(name), number, self.now, **more)  # type: ignore[arg-type]

    def deny(self, name: str, number: int = 1) -> Request:
        """Somebody turns it down."""
        return self.approving.deny(self.by(name), number, "not today", self.now)

    def cancel(self, name: str, number: int = 1) -> Request:
        """Somebody withdraws it."""
        return self.approving.cancel(self.by(name), number, self.now)

    def extend(self, name: str, number: int = 1, duration: timedelta = HOUR) -> Answer:
        """Somebody wants a grant to last longer."""
        return self.approving.extend(self.by(name), number, duration, self.now)

    # What others do

    def revoke(self, number: int = 1) -> Grant:
        """An operator ends a grant."""
        return self.store.revoke_grant(number, ROOT, "enough", self.now)

    def close(self, name: str) -> None:
        """An account is shut."""
        self.change(name, disabled_at=self.now)

    def change(self, name: str, **to: object) -> None:
        """Somebody's account becomes another."""
        user = self.store.user(name)
        assert user is not None
        self.store.update_user(replace(user, **to), ROOT, self.now)  # type: ignore[arg-type]

    # What came of it

    def standing(self, number: int = 1) -> Standing:
        """Where a request stands."""
        request = self.inbox.request(number)
        assert request is not None
        return request.standing(self.now)

    def waits_for(self, number: int = 1) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """What a request waits for, and who may bring it further."""
        request = self.inbox.request(number)
        assert request is not None
        answer = self.approving.standing(request, self.now)
        return answer.waits_for, answer.people

    @property
    def grants(self) -> list[Grant]:
        """All grants, the oldest first."""
        return self.store.grants()[::-1]

    def events(self, since: int = 0) -> list[Event]:
        """What was told after the event `since`."""
        return self.journal.after(since)

    def told(self, since: int = 0) -> list[What]:
        """Of which kinds it was."""
        return [event.happened.what for event in self.events(since)]


@contextmanager
def story(template: Path, directory: Path, rules: Rules | None = None) -> Iterator[Story]:
    """A copy of `template`, with the rule that one of @leads agrees unless others are given."""
    file = shutil.copy(template, directory / "bastion.db")
    store = Store.open(f"sqlite:///{file}")
    try:
        yield Story(store, rules or ruled(ONE_LEAD))
    finally:
        store.close()
