"""The CAs at work: what they sign for whom, by the keys that lie in their directory now.

Every certificate is ordered with each limit said (`certificates`). When keys were changed, the
next use sees the new ones: whoever serves need not be started again.
"""

import logging
import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Self

import asyncssh
from asyncssh.public_key import SSHKeyPair, decode_ssh_certificate

from bastion.authority.certificates import EARLY, For, Networks, Order, host_order, issue
from bastion.authority.keyfiles import HOST_CERTIFICATE, Which, read_private, write_public
from bastion.authority.keyring import (
    Elsewhere,
    Generations,
    Keyring,
    load_keyring,
    stamp_of,
)
from bastion.authority.public_keys import line_of, public_key_of
from bastion.authority.signer import FileSigner, Signer
from bastion.errors import Misconfigured
from bastion.inventory import PublicKey
from bastion.ledger import Signed

log = logging.getLogger(__name__)

TARGET_LIFE = timedelta(minutes=1)
"""How long a target's certificate is good after its making: one login."""

SHOWN_LIFE = timedelta(days=1)
"""How long the certificate is good by which the inner server speaks for a name: it is made again
after half of it, and whoever has one signed that he may not have is not that name for long."""

MOST_SHOWN = 256

FRESH = 100_000_000
"""Nanoseconds in which a directory may change again without its mtime telling."""

HostKeys = Mapping[bytes, SSHKeyPair]


@dataclass(frozen=True, slots=True)
class TargetCredential:
    """What one connection to a target logs in with: a key made for it, and its certificate."""

    key: asyncssh.SSHKey = field(repr=False)
    certificate: asyncssh.SSHCertificate
    signed: Signed

    @property
    def sha256(self) -> str:
        """The hex digest of the whole certificate, for the ledger."""
        return self.signed.sha256


@dataclass(frozen=True, slots=True)
class _Held:
    """The keys as they were read, and what was made with them to be shown again and again.

    `stamp` is the directory's at that time, None where it may have changed since unseen.
    """

    ring: Keyring
    stamp: int | None
    outside: HostKeys
    shown: dict[str, tuple[datetime, HostKeys]] = field(default_factory=dict)


class Authority:
    """The bastion's keys and what they sign."""

    def __init__(self, directory: Path, elsewhere: Elsewhere | None = None) -> None:
        """Raises Misconfigured, with the mend."""
        self._directory = directory
        self._elsewhere = elsewhere
        self._held = self._read()

    @classmethod
    def load(cls, keys: Path, elsewhere: Elsewhere | None = None) -> Self:
        """The authority of the key files in `keys`. Raises Misconfigured, with the mend.

        With `elsewhere` the CAs' private halves are not here, and never opened: it signs.
        """
        return cls(keys, elsewhere)

    def refresh(self) -> bool:
        """Take what lies in the directory now; whether it is other than it was.

        Every use begins with it: it looks at the directory's mtime, in microseconds. What can't be
        read is logged, once, and leaves the keys as they were.
        """
        held, stamp = self._held, stamp_of(self._directory)
        if stamp == held.stamp:
            return False
        try:
            fresh = self._read()
        except Misconfigured as error:
            log.error("the keys are left as they were: %s", error)
            self._held = replace(held, stamp=stamp)
            return False
        same = fresh.ring.contents == held.ring.contents
        self._held = replace(held, stamp=fresh.stamp) if same else fresh
        return not same

    def _read(self) -> _Held:
        stamp = stamp_of(self._directory)
        ring = load_keyring(self._directory, self._elsewhere)
        young = abs(time.time_ns() - stamp) < FRESH
        return _Held(ring, None if young else stamp, _by_algorithm(ring.host, ring.certificate))

    def _now(self) -> _Held:
        self.refresh()
        return self._held

    def _ring(self) -> Keyring:
        return self._now().ring

    # The public halves

    def generations(self, which: Which) -> Generations:
        """All keys of a CA, or of the seal."""
        return self._ring().cas[which]

    def public_line(self, which: Which) -> str:
        """One of its present public keys as a line of a `.pub` file, without the newline."""
        return line_of(self.public_key(which))

    def public_key(self, which: Which) -> PublicKey:
        """One of its present public keys."""
        return self._ring().public(which)

    def public_lines(self, which: Which) -> tuple[str, ...]:
        """What is to be trusted: the present key's line, and the next one's if there is one."""
        return tuple(line_of(signer.public) for signer in self.generations(which).live)

    @property
    def seal(self) -> Signer:
        """What signs recordings and heads (`sshsig`), never certificates."""
        return self.generations(Which.SEAL).newest

    @property
    def seal_keys(self) -> tuple[PublicKey, ...]:
        """All that have ever sealed, the present one first: to check old seals with."""
        seal = self.generations(Which.SEAL)
        present = [signer.public for signer in reversed(seal.live)]
        return (*present, *reversed(seal.retired))

    @property
    def user_ca_blobs(self) -> frozenset[bytes]:
        """The wire forms of the CAs whose user certificates are taken."""
        return frozenset(ca.public.blob for ca in self.generations(Which.USER_CA).live)

    # The bastion's own host key

    @property
    def host_key_with_certificate(self) -> tuple[asyncssh.SSHKey, asyncssh.SSHCertificate]:
        """What the bastion shows outside, in the form that asyncssh's options take."""
        ring = self._ring()
        return ring.host, ring.certificate

    @property
    def host_key(self) -> asyncssh.SSHKey:
        """The key that the bastion shows, outside and inside."""
        return self._ring().host

    def host_keys_outside(self) -> HostKeys:
        """What the bastion shows outside, by algorithm, as asyncssh keeps it."""
        return self._now().outside

    def shown_already(self, name: str, now: datetime) -> HostKeys | None:
        """The same as `host_keys_for` where it needs nobody to sign; it does not block."""
        renew_at, shown = self._now().shown.get(name, (now, None))
        return shown if now < renew_at else None

    def host_keys_for(self, name: str, now: datetime) -> HostKeys:
        """What the inner server shows: the bastion's host key, certified for `name`.

        By algorithm, as asyncssh keeps them. One certificate for a name serves many jumps; at most
        256 are kept. It blocks where the one who signs is elsewhere, and raises Unavailable where
        that one is away.
        """
        shown = self.shown_already(name, now)
        if shown is not None:
            return shown
        held = self._now()
        certificate, _ = self.host_credential((name,), SHOWN_LIFE, now)
        fresh = _by_algorithm(held.ring.host, certificate)
        if len(held.shown) >= MOST_SHOWN:
            held.shown.clear()
        held.shown[name] = (now + SHOWN_LIFE / 2, fresh)
        return fresh

    # What is signed

    def sign_user(
        self,
        key: PublicKey,
        user: str,
        serial: int,
        valid_after: datetime,
        valid_before: datetime,
    ) -> Signed:
        """A contractor's certificate for `key`, good in `[valid_after, valid_before)`.

        Principals are the user's name and `C-<serial>`. It permits a pty (the control plane's)
        and forwarding, which asyncssh asks for at direct-tcpip. Times are cut to whole seconds.
        """
        order = Order(
            kind=For.USER,
            key=key,
            serial=serial,
            key_id=f"{user} C-{serial}",
            principals=(user, f"C-{serial}"),
            valid_after=valid_after,
            valid_before=valid_before,
            pty=True,
            forwarding=True,
        )
        return issue(self.generations(Which.USER_CA).newest, order)

    def target_credential(
        self,
        login: str,
        host: str,
        key_id: str,
        *,
        force_command: str | None,
        pty: bool,
        now: datetime,
        forwarding: bool = False,
        source_addresses: Networks = (),
        serial: int = 0,
        trusted: str | None = None,
    ) -> TargetCredential:
        """A fresh ed25519 key, and a certificate by which it logs in as `login` on `host`.

        Good from five minutes before `now` to one minute after. `force_command` is the command
        line that the target runs whatever is asked; None gives a shell. Nothing is permitted but
        a pty, where `pty` is set, and forwards, where `forwarding` is. `trusted` is the fingerprint
        of the CA that the host is known to trust: the next one signs for hosts that do, and for
        no other.
        """
        key = asyncssh.generate_private_key("ssh-ed25519")
        order = Order(
            kind=For.USER,
            key=public_key_of(key),
            serial=serial,
            key_id=key_id,
            principals=(login, f"{login}@{host}"),
            valid_after=now - EARLY,
            valid_before=now + TARGET_LIFE,
            force_command=force_command,
            sources=source_addresses,
            pty=pty,
            forwarding=forwarding,
        )
        signed = issue(_trusted(self.generations(Which.TARGET_CA), trusted), order)
        return TargetCredential(key, decode_ssh_certificate(signed.blob), signed)

    def host_credential(
        self, names: tuple[str, ...], valid: timedelta, now: datetime
    ) -> tuple[asyncssh.SSHCertificate, Signed]:
        """A host certificate over the bastion's host key, for what clients type: `names`."""
        ring = self._ring()
        order = host_order(ring.public(Which.HOST), names, valid, now)
        signed = issue(ring.cas[Which.HOST_CA].current, order)
        return decode_ssh_certificate(signed.blob), signed


def certify_host(directory: Path, names: tuple[str, ...], valid: timedelta, now: datetime) -> None:
    """Write `host-cert.pub` for the bastion's own host key. Raises Unavailable, Misconfigured."""
    key, ca = read_private(directory / Which.HOST), read_private(directory / Which.HOST_CA)
    signed = issue(FileSigner(ca), host_order(public_key_of(key), names, valid, now))
    write_public(directory / HOST_CERTIFICATE, f"{signed.line}\n".encode())


def _trusted(cas: Generations, fingerprint: str | None) -> Signer:
    found = (ca for ca in cas.live if ca.public.fingerprint == fingerprint)
    return next(found, cas.current)


def _by_algorithm(key: asyncssh.SSHKey, certificate: asyncssh.SSHCertificate) -> HostKeys:
    pairs = asyncssh.load_keypairs([(key, certificate)])
    return {algorithm: pair for pair in pairs for algorithm in pair.host_key_algorithms}
