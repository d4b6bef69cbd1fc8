"""OpenSSH certificates (PROTOCOL.certkeys): ordered with every limit said, made, judged.

Nothing is permitted by default and nothing lasts for ever: what an order does not name is not in
the certificate. The reader that judges it (`wire`) shares no code with what is here.
"""

import base64
import hashlib
import re
import secrets
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import IntEnum
from ipaddress import IPv4Network, IPv6Network

from bastion.authority.public_keys import read_blob
from bastion.authority.signer import Signer, verified
from bastion.authority.wire import Fields, option, read_sealed
from bastion.inventory import PublicKey
from bastion.ledger import Signed

Networks = tuple[IPv4Network | IPv6Network, ...]

EARLY = timedelta(minutes=5)
"""How long before its making a certificate begins: others' clocks may be behind."""

NONCE = 32
"""Random bytes at the front of each certificate, so that nobody foresees what is signed."""

_PRINCIPAL = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._:@-]*", re.ASCII)


class For(IntEnum):
    """Whose key a certificate is for: a user's, or a host's."""

    USER = 1
    HOST = 2


@dataclass(frozen=True, slots=True)
class Order:
    """A certificate that is wanted. Good in `[valid_after, valid_before)`, in whole seconds.

    `force_command` is what a target runs whatever is asked, None a shell; `sources` are the only
    networks that it is good from, unless there are none.
    """

    kind: For
    key: PublicKey
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
        if self.begins >= self.ends:
            raise ValueError("a certificate ends before it begins, in whole seconds")
        if self.force_command is not None and not self.force_command.isprintable():
            raise ValueError("a forced command is one printable line")
        if self.force_command == "":
            raise ValueError("an empty forced command would force nothing")

    @property
    def begins(self) -> int:
        """The first second in which it is good (Unix time)."""
        return int(self.valid_after.timestamp())

    @property
    def ends(self) -> int:
        """The first second in which it is good no more (Unix time)."""
        return int(self.valid_before.timestamp())


def host_order(key: PublicKey, names: tuple[str, ...], valid: timedelta, now: datetime) -> Order:
    """A certificate for a host's key, by what clients type: `names`. Good for `valid` from now."""
    return Order(
        kind=For.HOST,
        key=key,
        serial=0,
        key_id=f"host {names[0] if names else ''}",
        principals=names,
        valid_after=now - EARLY,
        valid_before=now + valid,
    )


def probe_order(key: PublicKey, serial: int) -> Order:
    """A certificate to judge revocation lists with: it was good for one second in 1970."""
    return Order(
        kind=For.USER,
        key=key,
        serial=serial,
        key_id="for judging a revocation list",
        principals=("nobody",),
        valid_after=datetime.fromtimestamp(0, UTC),
        valid_before=datetime.fromtimestamp(1, UTC),
        force_command="/bin/false",
    )


def issue(signer: Signer, order: Order) -> Signed:
    """The certificate that was ordered, by `signer`.

    It was taken apart again, found to be what was ordered, and its signature checked: otherwise
    this raises ValueError, and nothing leaves. Raises BadInput for a key that is none, Unavailable
    when the signer is away.
    """
    read_blob(order.key.blob)
    body = encoded(order, signer.public, secrets.token_bytes(NONCE))
    blob = body + _string(signer.sign(body))
    _judge(blob, order, signer.public)
    return Signed(
        line=f"{_algorithm(order.key)} {base64.b64encode(blob).decode()} {order.key_id}",
        blob=blob,
        sha256=hashlib.sha256(blob).hexdigest(),
        serial=order.serial,
        key_id=order.key_id,
        fingerprint=order.key.fingerprint,
        principals=order.principals,
        valid_after=datetime.fromtimestamp(order.begins, UTC),
        valid_before=datetime.fromtimestamp(order.ends, UTC),
    )


def encoded(order: Order, ca: PublicKey, nonce: bytes) -> bytes:
    """What is signed: everything but the signature."""
    size = int.from_bytes(order.key.blob[:4])
    return b"".join(
        (
            _string(_algorithm(order.key).encode()),
            _string(nonce),
            order.key.blob[4 + size :],
            order.serial.to_bytes(8),
            order.kind.to_bytes(4),
            _string(order.key_id.encode()),
            _string(b"".join(_string(name.encode()) for name in order.principals)),
            order.begins.to_bytes(8),
            order.ends.to_bytes(8),
            _string(_named(_options(order))),
            _string(_named(_extensions(order))),
            _string(b""),
            _string(ca.blob),
        )
    )


def _algorithm(key: PublicKey) -> str:
    return f"{key.algorithm.removesuffix('@openssh.com')}-cert-v01@openssh.com"


def _options(order: Order) -> Iterable[tuple[str, bytes]]:
    """The critical ones, in the order of their names, as they have to be."""
    if order.force_command is not None:
        yield "force-command", _string(order.force_command.encode())
    if order.sources:
        yield "source-address", _string(",".join(map(str, order.sources)).encode())


def _extensions(order: Order) -> Iterable[tuple[str, bytes]]:
    if order.forwarding:
        yield "permit-port-forwarding", b""
    if order.pty:
        yield "permit-pty", b""


def _named(options: Iterable[tuple[str, bytes]]) -> bytes:
    return b"".join(_string(name.encode()) + _string(data) for name, data in options)


def _string(data: bytes) -> bytes:
    return len(data).to_bytes(4) + data


def _judge(blob: bytes, order: Order, ca: PublicKey) -> None:
    """Raises ValueError unless `blob` is what was ordered, whole, and signed by `ca`."""
    sealed = read_sealed(blob)
    if sealed.fields != _wanted(order, ca):
        raise ValueError("a certificate came out other than it was asked for")
    if not verified(ca, sealed.body, sealed.signature):
        raise ValueError("the signature of a certificate does not hold")


def _wanted(order: Order, ca: PublicKey) -> Fields:
    options = {
        "force-command": order.force_command,
        "source-address": ",".join(map(str, order.sources)) or None,
    }
    permits = {"permit-port-forwarding": order.forwarding, "permit-pty": order.pty}
    return Fields(
        key=order.key.blob,
        serial=order.serial,
        kind=order.kind,
        key_id=order.key_id,
        principals=order.principals,
        valid_after=order.begins,
        valid_before=order.ends,
        options=tuple((name, option(text)) for name, text in options.items() if text is not None),
        extensions=tuple((name, b"") for name, given in permits.items() if given),
        signed_by=ca.blob,
    )
