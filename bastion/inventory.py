"""The inventory as values: users and their keys, hosts and how to reach them.

Nothing here knows a database or a network. Names are already in their kept form (`names`).
Keys are carried as the library-free `PublicKey`; `authority` makes one out of a text.
"""

import fnmatch
import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from bastion import names


class Role(StrEnum):
    """What a user may do on the control plane. A user may have several."""

    CONTRACTOR = "contractor"
    APPROVER = "approver"
    AUDITOR = "auditor"
    ADMIN = "admin"


class ShellType(StrEnum):
    """The login shell of a target's accounts, where it is known to be POSIX-like.

    Command grants need one of these: only for them is the quoting of a command line certain.
    """

    SH = "sh"
    BASH = "bash"
    DASH = "dash"
    KSH = "ksh"
    ZSH = "zsh"
    BUSYBOX = "busybox"


@dataclass(frozen=True, slots=True)
class PublicKey:
    """An SSH public key (RFC 4253 section 6.6).

    `blob` is the wire form; `algorithm` its first string, as `ssh-ed25519`; `fingerprint` is
    OpenSSH's `SHA256:…`; `comment` is what stood behind it, safe to print.
    """

    algorithm: str
    blob: bytes
    fingerprint: str
    comment: str = ""

    @property
    def hardware(self) -> bool:
        """Whether the private half lives in a FIDO token (PROTOCOL.u2f)."""
        return self.algorithm.startswith("sk-")


@dataclass(frozen=True, slots=True)
class User:
    """A person who signs in with one of `keys`.

    `until` is the end of the account; `sponsor` the user who vouches; `disabled_at` when it was
    shut. `enrolled_by` is who added the account.
    """

    name: str
    roles: frozenset[Role]
    groups: frozenset[str] = frozenset()
    email: str | None = None
    sponsor: str | None = None
    until: datetime | None = None
    disabled_at: datetime | None = None
    enrolled_by: str | None = None
    keys: tuple[PublicKey, ...] = ()

    def may_sign_in(self, now: datetime) -> bool:
        """Whether the account is open at `now`."""
        return self.disabled_at is None and (self.until is None or now < self.until)


@dataclass(frozen=True, slots=True)
class Host:
    """A target: where it is, which keys it shows, what it is called.

    `address` is a DNS name or an IP address, `port` its sshd's. `host_keys` are pinned; `host_cas`
    are CAs whose host certificates it may show instead. `aliases` are further names a client may
    type. `shell_type` is None where it is not known; commands can't be granted there. `target_ca`
    is the fingerprint of the target CA that it was last seen to trust, while CAs are changed.
    """

    name: str
    address: str
    port: int = 22
    host_keys: tuple[PublicKey, ...] = ()
    host_cas: tuple[PublicKey, ...] = ()
    aliases: frozenset[str] = frozenset()
    labels: frozenset[tuple[str, str]] = frozenset()
    shell_type: ShellType | None = None
    target_ca: str | None = None

    @property
    def names(self) -> frozenset[str]:
        """Everything that a client may type for it."""
        return self.aliases | {self.name}


@dataclass(frozen=True, slots=True)
class Selector:
    """Which hosts a grant means: a name or pattern (`web-*`), or labels that all must be there."""

    pattern: str | None = None
    labels: frozenset[tuple[str, str]] = frozenset()

    def __post_init__(self) -> None:
        if (self.pattern is None) == (not self.labels):
            raise ValueError("a selector is a pattern or labels, and one of them")

    def __str__(self) -> str:
        if self.pattern is not None:
            return self.pattern
        return "label:" + ",".join(f"{key}={value}" for key, value in sorted(self.labels))

    @property
    def exact(self) -> bool:
        """Whether it names one host, and can't match one that is added later."""
        return self.pattern is not None and not set(self.pattern) & set("*?")

    def matches(self, host: Host) -> bool:
        """Whether `host` is meant. An alias is a name to type, not one to be granted by pattern."""
        if self.pattern is None:
            return self.labels <= host.labels
        if self.exact:
            return self.pattern in host.names
        return fnmatch.fnmatchcase(host.name, self.pattern)


def machines(selectors: Iterable[Selector], hosts: Iterable[Host]) -> str:
    """SHA-256 (hex) of what stands behind the hosts that are named: where, and with which keys.

    Patterns and labels mean whatever they match; a name means the machine that had it.
    """
    named = [selector for selector in selectors if selector.exact]
    told = [
        f"{host.name} {host.address} {host.port} {key.fingerprint}"
        for host in hosts
        if any(selector.matches(host) for selector in named)
        for key in (*host.host_keys, *host.host_cas)
    ]
    return hashlib.sha256("\n".join(sorted(told)).encode()).hexdigest()


def parse_selector(text: str) -> Selector:
    """The selector in `NAME`, `PATTERN` or `label:K=V,K=V`. Raises BadInput."""
    if text.startswith("label:"):
        pairs = text.removeprefix("label:").split(",")
        return Selector(labels=frozenset(names.label(pair) for pair in pairs))
    if set(text) & set("*?"):
        return Selector(pattern=names.host_pattern(text))
    return Selector(pattern=names.host_name(text))
