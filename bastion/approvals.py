"""Who may agree to a request, and whether enough people have: pure.

Requester and approver are two people, and two approvals are two people: each of them fills one
place. Everything arrives as values: the needs of the rule, the people, the keys, the time.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import islice

from bastion.durations import format_duration
from bastion.inventory import Host, PublicKey, Role, User
from bastion.people import People
from bastion.requests import Approval
from bastion.rules import Kind, Need, Party

NOBODY = People({})

NAMED = 10
"""People who are named one by one as those who may agree."""


@dataclass(frozen=True, slots=True)
class Signature:
    """How somebody showed who it is: the key that signed in, and when; neither on the machine."""

    key: PublicKey | None = None
    signed_in_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Bench:
    """Those who may agree to one request. `needs` all have to be met.

    `barred` are the names of people who may not: the requester, who vouches for her, and who let
    her in; nor may anybody whom the `requester` has let in. `people` says who an account is.
    `hosts` are all that are meant, for needs that look at their labels. With `hardware` an approval
    takes a hardware key, with `fresh` a sign-in that is no older. `given` are the fingerprints of
    keys that the requester has enrolled for others: none of them is a second person's. `machines`
    is what stands behind the hosts' names now: a consent is for what stood there then.
    """

    needs: tuple[Need, ...]
    hosts: tuple[Host, ...]
    barred: Mapping[str, str]
    hardware: bool = False
    fresh: timedelta | None = None
    requester: str | None = None
    people: People = NOBODY
    given: frozenset[str] = frozenset()
    machines: str | None = None

    def why_not(self, user: User | None, name: str, by: Signature, now: datetime) -> str | None:
        """Why the person called `name` may not agree, as a sentence; None where she may."""
        if user is None:
            return f"{name} is nobody that the bastion knows, so it can't approve: map the account."
        barred = self._barred(user)
        if barred is not None:
            return barred
        if not user.may_sign_in(now):
            return f"The account {user.name} is closed."
        if Role.APPROVER not in user.roles:
            return f"{user.name} is no approver."
        if not self._concerns(user):
            return f"This is not for {user.name} to decide: it takes {in_words(self.needs)}."
        return self._why_not_by(user, by.key) or self._why_not_so(by, now)

    def _why_not_by(self, user: User, key: PublicKey | None) -> str | None:
        if key is None:
            return None
        if all(each.fingerprint != key.fingerprint for each in user.keys):
            return f"The key {key.fingerprint} is not enrolled for {user.name} any more."
        if key.fingerprint in self.given:
            return f"{self.requester} gave {user.name} that key: sign in with another one."
        return None

    def _barred(self, user: User) -> str | None:
        if user.name in self.barred:
            return self.barred[user.name]
        enrolled_by = None if user.enrolled_by is None else self.people.person(user.enrolled_by)
        if self.requester is None or self.requester not in (user.sponsor, enrolled_by):
            return None
        return f"{self.requester} let {user.name} in here, so somebody else has to approve."

    def _why_not_so(self, by: Signature, now: datetime) -> str | None:
        if self.hardware and (by.key is None or not by.key.hardware):
            return "Approving this takes a hardware key: sign in with yours."
        if self.fresh is None:
            return None
        # One in the future tells of a clock that was set back: how old it is, nobody knows.
        if by.signed_in_at is None or abs(now - by.signed_in_at) > self.fresh:
            longest = format_duration(self.fresh)
            return (
                f"Approving this takes a sign-in that is no older than {longest}: "
                "connect anew (ssh -o ControlPath=none)."
            )
        return None

    def counts(self, user: User | None, now: datetime) -> bool:
        """Whether an approval that this person has given still counts."""
        if user is None or self._barred(user) is not None or not user.may_sign_in(now):
            return False
        return Role.APPROVER in user.roles and self._concerns(user)

    def agreed(
        self, approvals: Iterable[Approval], people: Mapping[str, User], version: str
    ) -> list[User]:
        """Who has agreed in a way that stands by the rules of today, which are of `version`.

        Whether each of them may still agree, `counts` says.
        """
        return [
            people[each.by]
            for each in approvals
            if each.by in people and self._stands(people[each.by], each, version)
        ]

    def _stands(self, user: User, approval: Approval, version: str) -> bool:
        """Not where the key that signed in was taken away since, or would not do today.

        How old a sign-in was is not kept: only the rules that it was judged by can say so.
        """
        key = next((k for k in user.keys if k.fingerprint == approval.fingerprint), None)
        if key is None and (approval.fingerprint is not None or self.hardware):
            return False
        if key is not None and key.fingerprint in self.given:
            return False
        if self.hardware and key is not None and not key.hardware:
            return False
        if approval.machines != self.machines:  # another machine has taken the name
            return False
        return self.fresh is None or approval.policy == version

    def _concerns(self, user: User) -> bool:
        """Whether any need speaks of `user`; without needs it is any approver's."""
        return not self.needs or any(self.fits(need, user) for need in self.needs)

    def fits(self, need: Need, user: User) -> bool:
        """Whether `user` is one of those whom `need` speaks of."""
        return any(self._means(party, user) for party in need.sources)

    def unmet(self, agreed: Iterable[User], now: datetime) -> tuple[Need, ...]:
        """What is still missing when these have agreed: each need with the number that it lacks."""
        filled = self._filled(agreed, now)
        lacking = [at for place, at in enumerate(self._places()) if place not in filled]
        return tuple(
            Need(sources=need.sources, count=lacking.count(number))
            for number, need in enumerate(self.needs)
            if number in lacking
        )

    def eligible(self, users: Iterable[User], agreed: Collection[str], now: datetime) -> list[str]:
        """Whose consent would bring it further, by name; a few of them."""
        known = sorted(users, key=lambda user: user.name)
        so_far = [user for user in known if user.name in agreed]
        least = len(self._filled(so_far, now))
        able = (
            user.name
            for user in known
            if user.name not in agreed
            and self.counts(user, now)
            and (not self.hardware or any(key.hardware for key in user.keys))
            and len(self._filled([*so_far, user], now)) > least
        )
        return list(islice(able, NAMED))

    def _places(self) -> list[int]:
        """The number of a need for each person that has to agree."""
        return [number for number, need in enumerate(self.needs) for _ in range(need.count)]

    def _filled(self, agreed: Iterable[User], now: datetime) -> dict[int, str]:
        """Which places these people fill, each of them one at most."""
        people = {user.name: user for user in agreed if self.counts(user, now)}
        return _matched(
            [
                [name for name, user in people.items() if self.fits(self.needs[at], user)]
                for at in self._places()
            ]
        )

    def _means(self, party: Party, user: User) -> bool:
        """A label speaks of whom it names on each of the hosts: a user, or a group."""
        if party.kind is not Kind.LABEL:
            return party.means(user)
        called = user.groups | {user.name}
        return bool(self.hosts) and all(
            any(key == party.name and value.lower() in called for key, value in host.labels)
            for host in self.hosts
        )


def barred_from(requester: User, enrollers: Iterable[str]) -> dict[str, str]:
    """Who may not agree to what `requester` asks for, with the sentence for each.

    `enrollers` are the people who enrolled her or a key of hers.
    """
    name, sponsor = requester.name, requester.sponsor
    barred = {
        person: f"{person} let {name} in here, so somebody else has to approve."
        for person in enrollers
    }
    if sponsor is not None:
        barred[sponsor] = f"{sponsor} vouches for {name}, so somebody else has to approve."
    barred[name] = "Nobody approves what is for herself: somebody else has to."
    return barred


def in_words(needs: Iterable[Need]) -> str:
    """Needs as people say them: `one of @leads and 2 of @security or bob`."""
    return " and ".join(map(str, needs))


def _matched(wanted: Sequence[Sequence[str]]) -> dict[int, str]:
    """Places to people, nobody twice, as many places as can be: augmenting paths."""
    holder: dict[str, int] = {}

    def seat(place: int, asked: set[str]) -> bool:
        for person in wanted[place]:
            if person in asked:
                continue
            asked.add(person)
            if person not in holder or seat(holder[person], asked):
                holder[person] = place
                return True
        return False

    for place in range(len(wanted)):
        seat(place, set())
    return {place: person for person, place in holder.items()}
