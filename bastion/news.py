"""News: what has changed in the store about what is open here, since the last look."""

from collections.abc import Hashable, Iterator
from dataclasses import dataclass, field, replace

from bastion.grants import Grant
from bastion.inventory import User
from bastion.jumps import Kill
from bastion.lookout import Lookout
from bastion.policy import Identity
from bastion.store import Store
from bastion.store.watchers import Sights


@dataclass(frozen=True, slots=True)
class Question:
    """What is asked of the store: everything about these, unless `version` is still its own.

    Where only its version has moved, and no event was told after the one numbered `told`, nothing
    that ends a session was written: then only who watches is asked. `told` is None where all is.
    """

    version: Hashable | None
    told: int | None
    last_kill: int
    grants: frozenset[int]
    names: frozenset[str]
    watched: frozenset[int]


@dataclass(frozen=True, slots=True)
class News:
    """What the store says about what is open, at its `version`; `told` is its newest event."""

    version: Hashable
    told: int | None = None
    grants: dict[int, Grant] = field(default_factory=dict)
    users: dict[str, User] = field(default_factory=dict)
    kills: dict[int, Kill] = field(default_factory=dict)
    last_kill: int = 0
    sights: Sights | None = None

    def renewed(self, identity: Identity) -> Identity:
        """The same key and source, with the user as the store has it now."""
        user = self.users.get(identity.user.name)
        return identity if user in (None, identity.user) else replace(identity, user=user)


def asked(store: Store, lookout: Lookout, question: Question) -> News:
    """What the store says now. Blocks; raises Unavailable."""
    version = store.version()
    if version == question.version:
        return News(version, question.told, last_kill=question.last_kill)
    told = store.last_event()  # before what it tells of
    sights = lookout.ask(question.watched) if question.watched else None
    if told == question.told:
        return News(version, told, last_kill=question.last_kill, sights=sights)
    kills = list(_kills(store, question.last_kill))
    return News(
        version,
        told,
        grants=store.live_grants_state(sorted(question.grants)),
        users=store.users_called(question.names),
        kills={kill.session: kill for kill in kills},
        last_kill=max((kill.id for kill in kills), default=question.last_kill),
        sights=sights,
    )


def _kills(store: Store, after: int) -> Iterator[Kill]:
    """All of them, however many: what is left would be heard of at the next change only."""
    while page := store.kills_since(after):
        yield from page
        after = page[-1].id
