"""The CAs: what they sign, and nothing that was not asked for.

asyncssh's defaults permit everything and never expire, and it leaves out what is empty; so every
certificate is made here with each limit said, and is taken apart again before it leaves.
"""

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from ipaddress import IPv4Network, IPv6Network
from pathlib import Path
from typing import Self

import asyncssh
from asyncssh.public_key import SSHKeyPair

from bastion.authority.keyfiles import (
    HOST_CERTIFICATE,
    Which,
    load_keys,
    read_private,
    write_public,
)
from bastion.authority.public_keys import public_key_of, wire_key
from bastion.authority.signer import FileSigner, Signer
from bastion.authority.wire import Fields, option, read_certificate
from bastion.inventory import PublicKey
from bastion.ledger import Signed

EARLY = timedelta(minutes=5)
"""How long before its making a certificate begins: targets' clocks may be behind."""

TARGET_LIFE = timedelta(minutes=1)
"""How long a target's certificate is good after its making: one login."""

SHOWN_LIFE = timedelta(days=90)
"""How long the certificate is good by which the inner server speaks for a name."""

MOST_SHOWN = 256

HostKeys = Mapping[bytes, SSHKeyPair]
Networks = tuple[IPv4Network | IPv6Network, ...]

_USER, _HOST = 1, 2
_PRINCIPAL = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._:@-]*", re.ASCII)


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
class _Order:
    """A certificate that is wanted, with every limit said."""

    kind: int
    key: asyncssh.SSHKey
    serial: int
    key_id: str
    principals: tuple[str, ...]
    valid_after: datetime
    valid_before: datetime
    force_command: str | None = None
    sources: Networks = ()
    pty: bool = False
    forwarding: bool = False

    def __post_init__(self) -> None:
        if not self.principals or not all(map(_PRINCIPAL.fullmatch, self.principals)):
            raise ValueError("a certificate names its principals, and plainly: none fits everyone")
        if self.force_command is not None and not self.force_command.isprintable():
            raise ValueError("a forced command is one printable line")
        if self.force_command == "":
            raise ValueError("an empty forced command would be left out, and then force nothing")


class Authority:
    """The bastion's keys and what they sign."""

    def __init__(
        self, keys: dict[Which, asyncssh.SSHKey], certificate: asyncssh.SSHCertificate
    ) -> None:
        self._keys = keys
        self._certificate = certificate
        self._shown: dict[str, tuple[datetime, HostKeys]] = {}

    @classmethod
    def load(cls, keys: Path) -> Self:
        """The authority of the key files in `keys`. Raises Misconfigured, with the mend."""
        return cls(*load_keys(keys))

    def public_line(self, which: Which) -> str:
        """One of its public keys as a line of a `.pub` file, without the newline."""
        return self._keys[which].export_public_key("openssh").decode().strip()

    def public_key(self, which: Which) -> PublicKey:
        """One of its public keys."""
        return public_key_of(self._keys[which], f"bastion {which.value}")

    @property
    def seal(self) -> Signer:
        """What signs recordings and heads (`sshsig`), never certificates."""
        return FileSigner(self._keys[Which.SEAL], f"bastion {Which.SEAL.value}")

    @property
    def seal_keys(self) -> tuple[PublicKey, ...]:
        """All that have ever sealed, the present one first: to check old seals with."""
        return (self.public_key(Which.SEAL),)

    @property
    def user_ca_blobs(self) -> frozenset[bytes]:
        """The wire forms of the CAs whose user certificates are taken."""
        return frozenset({self._keys[Which.USER_CA].public_data})

    @property
    def host_key_with_certificate(self) -> tuple[asyncssh.SSHKey, asyncssh.SSHCertificate]:
        """What the bastion shows outside, in the form that asyncssh's options take."""
        return self.host_key, self._certificate

    @property
    def host_key(self) -> asyncssh.SSHKey:
        """The key that the bastion shows, outside and inside."""
        return self._keys[Which.HOST]

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
        order = _Order(
            kind=_USER,
            key=wire_key(key),
            serial=serial,
            key_id=f"{user} C-{serial}",
            principals=(user, f"C-{serial}"),
            valid_after=valid_after,
            valid_before=valid_before,
            pty=True,
            forwarding=True,
        )
        return _sign(self._keys[Which.USER_CA], order)[1]

    def target_credential(
        self,
        login: str,
        host: str,
        key_id: str,
        *,
        force_command: str | None,
        pty: bool,
        now: datetime,
        source_addresses: Networks = (),
        serial: int = 0,
    ) -> TargetCredential:
        """A fresh ed25519 key, and a certificate by which it logs in as `login` on `host`.

        Good from five minutes before `now` to one minute after. `force_command` is the command
        line that the target runs whatever is asked; None gives a shell. Nothing is permitted but
        a pty, where `pty` is set.
        """
        key = asyncssh.generate_private_key("ssh-ed25519")
        order = _Order(
            kind=_USER,
            key=key,
            serial=serial,
            key_id=key_id,
            principals=(login, f"{login}@{host}"),
            valid_after=now - EARLY,
            valid_before=now + TARGET_LIFE,
            force_command=force_command,
            sources=source_addresses,
            pty=pty,
        )
        certificate, signed = _sign(self._keys[Which.TARGET_CA], order)
        return TargetCredential(key, certificate, signed)

    def host_credential(
        self, names: tuple[str, ...], valid: timedelta, now: datetime
    ) -> tuple[asyncssh.SSHCertificate, Signed]:
        """A host certificate over the bastion's host key, for what clients type: `names`."""
        return _sign(self._keys[Which.HOST_CA], _host_order(self.host_key, names, valid, now))

    def host_keys_for(self, name: str, now: datetime) -> HostKeys:
        """What the inner server shows: the bastion's host key, certified for `name`.

        By algorithm, as asyncssh keeps them. One certificate for a name serves many jumps; at most
        256 are kept.
        """
        renew_at, shown = self._shown.get(name, (now, None))
        if shown is not None and now < renew_at:
            return shown
        certificate, _ = self.host_credential((name,), SHOWN_LIFE, now)
        pairs = asyncssh.load_keypairs([(self.host_key, certificate)])
        fresh = {algorithm: pair for pair in pairs for algorithm in pair.host_key_algorithms}
        if len(self._shown) >= MOST_SHOWN:
            self._shown.clear()
        self._shown[name] = (now + SHOWN_LIFE / 2, fresh)
        return fresh


def certify_host(directory: Path, names: tuple[str, ...], valid: timedelta, now: datetime) -> None:
    """Write `host-cert.pub` for the bastion's own host key. Raises Unavailable, Misconfigured."""
    key, ca = read_private(directory / Which.HOST), read_private(directory / Which.HOST_CA)
    _, signed = _sign(ca, _host_order(key, names, valid, now))
    write_public(directory / HOST_CERTIFICATE, f"{signed.line}\n".encode())


def _host_order(
    key: asyncssh.SSHKey, names: tuple[str, ...], valid: timedelta, now: datetime
) -> _Order:
    return _Order(
        kind=_HOST,
        key=key,
        serial=0,
        key_id=f"host {names[0] if names else ''}",
        principals=names,
        valid_after=now - EARLY,
        valid_before=now + valid,
    )


def _sign(ca: asyncssh.SSHKey, order: _Order) -> tuple[asyncssh.SSHCertificate, Signed]:
    made = _made(ca, order)
    read = asyncssh.import_certificate(made.export_certificate("openssh"))
    fields = read_certificate(read.public_data)
    if fields != _wanted(order, ca.public_data):
        raise ValueError("a certificate came out other than it was asked for")
    return made, _signed(made, fields)


def _made(ca: asyncssh.SSHKey, order: _Order) -> asyncssh.SSHCertificate:
    after, before = _seconds(order.valid_after), _seconds(order.valid_before)
    if order.kind == _HOST:
        return ca.generate_host_certificate(
            order.key,
            order.key_id,
            serial=order.serial,
            principals=list(order.principals),
            valid_after=after,
            valid_before=before,
            comment=order.key_id,
        )
    return ca.generate_user_certificate(
        order.key,
        order.key_id,
        serial=order.serial,
        principals=list(order.principals),
        valid_after=after,
        valid_before=before,
        force_command=order.force_command,
        source_address=[str(network) for network in order.sources] or None,
        permit_x11_forwarding=False,
        permit_agent_forwarding=False,
        permit_port_forwarding=order.forwarding,
        permit_pty=order.pty,
        permit_user_rc=False,
        comment=order.key_id,
    )


def _wanted(order: _Order, ca: bytes) -> Fields:
    options: list[tuple[str, bytes]] = []
    if order.force_command is not None:
        options.append(("force-command", option(order.force_command)))
    if order.sources:
        options.append(("source-address", option(",".join(map(str, order.sources)))))
    permits = {"permit-port-forwarding": order.forwarding, "permit-pty": order.pty}
    return Fields(
        key=order.key.public_data,
        serial=order.serial,
        kind=order.kind,
        key_id=order.key_id,
        principals=order.principals,
        valid_after=_seconds(order.valid_after),
        valid_before=_seconds(order.valid_before),
        options=tuple(options),
        extensions=tuple((name, b"") for name, given in permits.items() if given),
        signed_by=ca,
    )


def _signed(certificate: asyncssh.SSHCertificate, fields: Fields) -> Signed:
    blob = certificate.public_data
    return Signed(
        line=certificate.export_certificate("openssh").decode().strip(),
        blob=blob,
        sha256=hashlib.sha256(blob).hexdigest(),
        serial=fields.serial,
        key_id=fields.key_id,
        fingerprint=certificate.key.get_fingerprint(),
        principals=fields.principals,
        valid_after=datetime.fromtimestamp(fields.valid_after, UTC),
        valid_before=datetime.fromtimestamp(fields.valid_before, UTC),
    )


def _seconds(moment: datetime) -> int:
    return int(moment.timestamp())
