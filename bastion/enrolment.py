"""The verbs of enrolment: users and their keys, hosts. Each checks, and then does one thing.

Whoever may use which verb is the caller's to know; who it was comes in as an `Actor`. Every
refusal is a sentence.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from bastion.actor import Actor
from bastion.addresses import Endpoint, parse_endpoint
from bastion.denials import clock
from bastion.errors import BadInput, Conflict, NotFound
from bastion.events import What
from bastion.grants import Grant
from bastion.inventory import Host, PublicKey, Role, User
from bastion.names import group_name, host_name, label, user_name
from bastion.store import Store

_EMAIL = re.compile(r"[A-Za-z0-9._%+-]{1,64}@[A-Za-z0-9.-]{1,190}", re.ASCII)
_NAMED = 5
"""Grants that a sentence names one by one."""


@dataclass(frozen=True, slots=True)
class UserChange:
    """What is to be another about a user; None leaves it. An empty text takes a value away."""

    roles: frozenset[Role] | None = None
    groups: frozenset[str] | None = None
    email: str | None = None
    sponsor: str | None = None
    until: datetime | None = None
    without_end: bool = False


@dataclass(frozen=True, slots=True)
class HostChanged:
    """A host as it now stands; `lets_in` are grants that cover it and did not before."""

    host: Host
    lets_in: tuple[Grant, ...] = ()


class Enrolment:
    """The verbs, on one store."""

    def __init__(self, store: Store) -> None:
        self._store = store

    # Users

    def add_user(
        self, actor: Actor, name: str, keys: Sequence[PublicKey], change: UserChange, now: datetime
    ) -> User:
        """A new user, a contractor unless `change` gives roles.

        Raises BadInput, NotFound (the sponsor), Conflict (the name or a key is taken).
        """
        blank = User(
            name=user_name(name),
            roles=frozenset({Role.CONTRACTOR}),
            enrolled_by=actor.name,
            keys=tuple(keys),
        )
        user = self._changed(blank, change, now)
        self._store.add_user(user, actor, now)
        return user

    def set_user(self, actor: Actor, name: str, change: UserChange, now: datetime) -> User:
        """A user as `change` says. Raises NotFound, BadInput."""
        if change == UserChange():
            raise BadInput("Nothing to set was given.")
        user = self._changed(self._user(name), change, now)
        self._store.update_user(user, actor, now)
        return user

    def disable(self, actor: Actor, name: str, now: datetime) -> User:
        """Shut the account now; what is live ends. Raises NotFound, Conflict."""
        user = self._user(name)
        if user.disabled_at is not None:
            raise Conflict(f"{user.name} is disabled already, since {clock(user.disabled_at)}.")
        user = replace(user, disabled_at=now)
        self._store.update_user(user, actor, now, What.USER_DISABLED)
        return user

    def enable(self, actor: Actor, name: str, now: datetime) -> User:
        """Open the account again. Raises NotFound, Conflict."""
        user = self._user(name)
        if user.disabled_at is None:
            raise Conflict(f"{user.name} is not disabled.")
        user = replace(user, disabled_at=None)
        self._store.update_user(user, actor, now, What.USER_ENABLED)
        return user

    def add_key(self, actor: Actor, name: str, key: PublicKey, now: datetime) -> User:
        """Enrol a further key. Raises NotFound, Conflict: a key belongs to one user."""
        self._store.enrol_key(self._user(name).name, key, actor, now)
        return self._user(name)

    def remove_key(self, actor: Actor, name: str, fingerprint: str, now: datetime) -> User:
        """Take a key away, by its fingerprint (`SHA256:…`). Raises NotFound."""
        self._store.remove_key(self._user(name).name, fingerprint, actor, now)
        return self._user(name)

    # Hosts

    def add_host(
        self, actor: Actor, host: Host, now: datetime, *, widen: bool = False
    ) -> HostChanged:
        """A new host.

        Raises BadInput; Conflict where a name is taken, or where a grant that is not over covers
        it and nobody said `widen`: then it says whom that lets in.
        """
        _check(host)
        lets_in = self._let_in(None, host, now, widen=widen)
        self._store.add_host(host, actor, now)
        return HostChanged(host, lets_in)

    def set_host(
        self, actor: Actor, host: Host, now: datetime, *, widen: bool = False
    ) -> HostChanged:
        """The host of that name as `host` says, by the rules of `add_host`. Raises NotFound too.

        Where none of its keys stays it is another machine, and all its grants let in anew.
        """
        _check(host)
        lets_in = self._let_in(self._host(host.name), host, now, widen=widen)
        self._store.replace_host(host, actor, now)
        return HostChanged(host, lets_in)

    def remove_host(self, actor: Actor, name: str, now: datetime, *, force: bool = False) -> Host:
        """Take a host away.

        Raises NotFound; Conflict where a grant that is not over names it, and nobody said `force`.
        """
        host = self._host(name)
        covering = self._store.grants_covering(host, now)
        naming = [g for g in covering if any(s.exact and s.matches(host) for s in g.hosts)]
        if naming and not force:
            raise Conflict(
                f"{host.name} is named by {_listed(naming)}: revoke that first, or say --force."
            )
        self._store.remove_host(host.name, actor, now)
        return host

    def _user(self, name: str) -> User:
        user = self._store.user(user_name(name))
        if user is None:
            raise NotFound(f"There is no user {user_name(name)}.")
        return user

    def _host(self, name: str) -> Host:
        host = self._store.host(host_name(name))
        if host is None:
            raise NotFound(f"There is no host {host_name(name)}.")
        return host

    def _changed(self, user: User, change: UserChange, now: datetime) -> User:
        if change.roles is not None:
            user = replace(user, roles=_roles(change.roles))
        if change.groups is not None:
            user = replace(user, groups=frozenset(map(group_name, change.groups)))
        if change.email is not None:
            user = replace(user, email=_email(change.email))
        if change.sponsor is not None:
            user = replace(user, sponsor=self._sponsor(change.sponsor, user.name))
        if change.until is not None and change.until <= now:
            raise BadInput(f"{clock(change.until)} is past: to shut the account now, disable it.")
        if change.until is not None or change.without_end:
            user = replace(user, until=change.until)
        return user

    def _sponsor(self, name: str, of: str) -> str | None:
        if not name:
            return None
        sponsor = self._user(name).name
        if sponsor == of:
            raise BadInput("Nobody is her own sponsor.")
        return sponsor

    def _let_in(
        self, before: Host | None, host: Host, now: datetime, *, widen: bool
    ) -> tuple[Grant, ...]:
        """The grants that cover `host`, and did not cover what it was. Raises Conflict."""
        covering = self._store.grants_covering(host, now)
        if before is not None and _same_machine(before, host):
            covering = [g for g in covering if not g.covers(before)]
        if covering and not widen:
            raise Conflict(f"This would let in {_listed(covering)}: say --widen if that is meant.")
        return tuple(covering)


def _same_machine(before: Host, host: Host) -> bool:
    """Whether it can still prove to be what it was: whose key stays, moves; else it is another."""
    known = {key.blob for key in (*before.host_keys, *before.host_cas)}
    return any(key.blob in known for key in (*host.host_keys, *host.host_cas))


def _roles(roles: frozenset[Role]) -> frozenset[Role]:
    if not roles:
        raise BadInput("A user has at least one role: contractor, approver, auditor or admin.")
    return roles


def _email(text: str) -> str | None:
    if text and _EMAIL.fullmatch(text) is None:
        raise BadInput(f"{text[:80]!a} is not an email address.")
    return text or None


def _check(host: Host) -> None:
    """Raises BadInput where a host can't be kept as it is."""
    for name in host.names:
        if host_name(name) != name:
            raise BadInput(f"{name!a} has to be in lower case.")
    parse_endpoint(str(Endpoint(host.address, host.port)))
    for key, value in host.labels:
        label(f"{key}={value}")
    if not host.host_keys and not host.host_cas:
        raise BadInput(
            f"{host.name} needs a host key, or a CA's for its host certificates: nothing is learnt "
            "silently."
        )


def _listed(grants: Sequence[Grant]) -> str:
    named = ", ".join(f"{g.user} ({g})" for g in grants[:_NAMED])
    more = len(grants) - _NAMED
    return f"{named} and {more} more" if more > 0 else named
