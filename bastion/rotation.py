"""Changing the bastion's own keys: the verbs, with what they demand and what they tell.

What lies on the disk and in which order it changes is known in `authority.generations`; here it
is known who has to follow.
"""

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from bastion.actor import Actor
from bastion.authority import Authority, Which
from bastion.authority.generations import follow, leave, made_at, retire, rotate
from bastion.errors import Conflict
from bastion.events import Happened, What
from bastion.inventory import PublicKey
from bastion.ledger import Kind
from bastion.signing.client import SignerClient
from bastion.store import Store, events, revocations

NAMED = 20
"""So many hosts are named in one sentence."""


@dataclass(frozen=True, slots=True)
class Retired:
    """A key that signs no more, `old`, and the one in its place, `present`.

    `behind` are the hosts that had not moved. `live` is how many contractors' certificates by the
    old one count on.
    """

    old: PublicKey
    present: PublicKey
    behind: tuple[str, ...] = ()
    live: int = 0


class Rotation:
    """The verbs, on one store and the keys in one directory."""

    def __init__(
        self, store: Store, authority: Authority, keys: Path, signer: SignerClient | None = None
    ) -> None:
        """With a `signer` the keys are changed there, and the home follows."""
        self._store = store
        self._authority = authority
        self._keys = keys
        self._signer = signer

    def rotate(self, actor: Actor, which: Which, now: datetime) -> PublicKey:
        """Make the next key, or take over the signer's.

        Raises Conflict where there is one already, or none to take over; Unavailable.
        """
        with self._store.writing(now) as connection:
            made = self._rotated(which, now)
            told = _told(What.CA_ROTATED, actor, which, made)
            events.append(connection, self._store.chain, told, now)
        return made

    def retire(self, actor: Actor, which: Which, now: datetime, *, force: bool = False) -> Retired:
        """Retire the present key, and put the next one in its place.

        Raises Conflict where there is no next one, or where hosts have not moved to it, unless
        that is forced; Unavailable.
        """
        behind = self.behind() if which is Which.TARGET_CA else ()
        if behind and not force:
            raise Conflict(_sentence(behind))
        live = self._live(which, now)
        with self._store.writing(now) as connection:
            old = self._retired(which, now)
            told = _told(What.CA_RETIRED, actor, which, old, behind)
            events.append(connection, self._store.chain, told, now)
        return Retired(old, self._authority.public_key(which), behind, live)

    def _rotated(self, which: Which, now: datetime) -> PublicKey:
        if self._signer is None:
            return rotate(self._keys, which, now)
        has = self._signer.keys().get(which)
        live = () if has is None else has.live
        return follow(self._keys, which, self._signer.signer, live, now)

    def _retired(self, which: Which, now: datetime) -> PublicKey:
        if self._signer is None:
            return retire(self._keys, which, now)
        return leave(self._keys, which, self._signer.signer, now)

    def behind(self) -> tuple[str, ...]:
        """The hosts that have not been seen to trust the next target CA, by name.

        None while there is no next one.
        """
        following = self._authority.generations(Which.TARGET_CA).next
        if following is None:
            return ()
        wanted = following.public.fingerprint
        return tuple(host.name for host in self._store.hosts() if host.target_ca != wanted)

    def _live(self, which: Which, now: datetime) -> int:
        began = made_at(self._keys, which)
        if which is not Which.USER_CA or began is None:
            return 0
        with self._store.read() as connection:
            return revocations.live_before(connection, Kind.USER, began, now)


def named(hosts: tuple[str, ...]) -> str:
    """Hosts in a sentence, and how many there are beyond."""
    more = f" and {len(hosts) - NAMED} more" if len(hosts) > NAMED else ""
    return f"{', '.join(hosts[:NAMED])}{more}"


def _sentence(behind: tuple[str, ...]) -> str:
    have = "has" if len(behind) == 1 else "have"
    return (
        f"{named(behind)} {have} not moved to the next target CA and would be locked out: "
        "host setup NAME prints what to change there, and host check NAME --login LOGIN sees "
        "that it was done; --force does it all the same."
    )


def _told(
    what: What, actor: Actor, which: Which, key: PublicKey, behind: tuple[str, ...] = ()
) -> Happened:
    return Happened(
        what,
        actor.name,
        actor.source,
        account=actor.account,
        details={"ca": which.value, "key": key.fingerprint, "behind": list(behind)},
    )
