"""The CAs: what they sign, and nothing that was not asked for.

asyncssh's defaults permit everything and never expire, and it leaves out what is empty; so every
certificate is made here with each limit said, and is taken apart again before it leaves.
"""

import hashlib
import re
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from ipaddress import IPv4Network, IPv6Network
from pathlib import Path
from typing import Self

import asyncssh

from bastion.authority.keyfiles import HOST_CERTIFICATE, Which, load_keys
from bastion.authority.public_keys import public_key_of, wire_key
from bastion.authority.wire import Fields, option, read_certificate
from bastion.errors import Misconfigured
from bastion.inventory import PublicKey
from bastion.ledger import Signed

EARLY = timedelta(minutes=5)
"""How long before its making a certificate begins: targets' clocks may be behind."""

TARGET_LIFE = timedelta(minutes=1)
"""How long a target's certificate is good after its making: one login."""

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

    def __init__(self, keys: dict[Which, asyncssh.SSHKey]) -> None:
        self._keys = keys

    @classmethod
    def load(cls, keys: Path) -> Self:
        """The authority of the key files in `keys`. Raises Misconfigured, with the mend."""
        return cls(load_keys(keys))

    def public_line(self, which: Which) -> str:
        """One of its public keys as a line of a `.pub` file, without the newline."""
        return self._keys[which].export_public_key("openssh").decode().strip()

    def public_key(self, which: Which) -> PublicKey:
        """One of its public keys."""
        return public_key_of(self._keys[which], f"bastion {which.value}")

    @property
    def seal(self) -> asyncssh.SSHKey:
        """The key that signs recordings and heads, never certificates."""
        return self._keys[Which.SEAL]

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
        return self._sign(Which.USER_CA, order)[1]

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
        certificate, signed = self._sign(Which.TARGET_CA, order)
        return TargetCredential(key, certificate, signed)

    def host_credential(
        self, names: tuple[str, ...], valid: timedelta, now: datetime
    ) -> tuple[asyncssh.SSHCertificate, Signed]:
        """A host certificate over the bastion's host key, for what clients type: `names`."""
        order = _Order(
            kind=_HOST,
            key=self.host_key,
            serial=0,
            key_id=f"host {names[0] if names else ''}",
            principals=names,
            valid_after=now - EARLY,
            valid_before=now + valid,
        )
        return self._sign(Which.HOST_CA, order)

    def _sign(self, ca: Which, order: _Order) -> tuple[asyncssh.SSHCertificate, Signed]:
        made = _made(self._keys[ca], order)
        read = asyncssh.import_certificate(made.export_certificate("openssh"))
        fields = read_certificate(read.public_data)
        if fields != _wanted(order, self._keys[ca].public_data):
            raise ValueError("a certificate came out other than it was asked for")
        return made, _signed(made, fields)


def read_host_certificate(keys: Path) -> asyncssh.SSHCertificate:
    """The bastion's own host certificate, `host-cert.pub`. Raises Misconfigured."""
    path = keys / HOST_CERTIFICATE
    try:
        return asyncssh.read_certificate(path)
    except (OSError, asyncssh.KeyImportError, ValueError):
        raise Misconfigured(f"{path} is missing or damaged: restore it from a copy.") from None


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
