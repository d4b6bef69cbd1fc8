"""The judge: whether a body is signed, from its own bytes. Pure.

A body is taken apart, put together again by the writer of our own certificates, and has to come out
the same, byte for byte: what that writer could not have written is not signed. Then it is held
against the limits. Nothing that the caller says beside it is listened to.
"""

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from ipaddress import ip_network
from typing import Final

from bastion.authority import Which
from bastion.authority.authority import TARGET_LIFE
from bastion.authority.certificates import EARLY, NONCE, For, Order, encoded, probe_order
from bastion.authority.public_keys import read_blob
from bastion.authority.sshsig import MAGIC
from bastion.authority.wire import Fields, read_body
from bastion.checkpoints import NAMESPACE as CHECKPOINT
from bastion.datatypes import Reader
from bastion.errors import BadInput
from bastion.inventory import PublicKey
from bastion.names import host_name, login_name, user_name
from bastion.policy import NO_COMMAND
from bastion.signing.limits import Limits
from recorder.manifest import NAMESPACE as RECORDING
from recorder.tombstone import TOMBSTONE_NAMESPACE as TOMBSTONE

SLACK: Final = timedelta(seconds=10)
"""How far the clock of whoever asks, and ours, may be apart; and how long asking may take."""

OWN_LIFE: Final = timedelta(days=3650)
"""How long the bastion's own host certificate is good at most."""

CHECKED: Final = "date +%s"
"""What a certificate for `host check` forces: it is for no grant."""

EVIDENCE: Final = "evidence@bastion"
BACKUP: Final = "backup@bastion"
SEALED: Final = (CHECKPOINT, RECORDING, TOMBSTONE, EVIDENCE, BACKUP)
"""The purposes that something is sealed for."""

LAST: Final = 2**33
"""A time in a certificate is before this second (of the year 2242)."""

_OPTIONS: Final = ("force-command", "source-address")
_ALLOWED: Final = "permit-port-forwarding", "permit-pty"
_USED: Final = re.compile(r"C-[1-9][0-9]{0,15} (?P<user>\S{1,63}) (?P<grant>G-[1-9][0-9]{0,15})")
_TRIED: Final = re.compile(r"check (?P<host>\S{1,253})")


class NotSigned(Exception):
    """Why a body is not signed: a few words that go on after "the signer does not sign"."""


@dataclass(frozen=True, slots=True)
class Bench:
    """What is judged by. `host` is the only key that host certificates are for."""

    limits: Limits
    host: PublicKey


@dataclass(frozen=True, slots=True)
class Approved:
    """A body that may be signed, in words for the book. Without a serial, it needs none."""

    what: str
    principals: tuple[str, ...] = ()
    serial: int | None = None
    until: datetime | None = None
    forced: str | None = None


def judged(body: bytes, which: Which, ca: PublicKey, bench: Bench, now: datetime) -> Approved:
    """Raises NotSigned."""
    if which is Which.SEAL:
        return _seal(body)
    order = read_order(body, ca)
    if order == probe_order(order.key, order.serial):
        return Approved(what=order.key_id, principals=order.principals, until=order.valid_before)
    match which:
        case Which.TARGET_CA:
            _judge_target(order, bench.limits, now)
        case Which.USER_CA:
            _judge_user(order, bench.limits, now)
        case Which.HOST_CA:
            _judge_host(order, bench, now)
        case _:
            raise NotSigned("by that key")
    return Approved(
        what=order.key_id,
        principals=order.principals,
        serial=order.serial if order.kind is For.USER else None,
        until=order.valid_before,
        forced=order.force_command,
    )


def read_order(body: bytes, ca: PublicKey) -> Order:
    """What a certificate's body orders. Raises NotSigned unless our writer would write it so."""
    try:
        unsigned = read_body(body)
        order = _order(unsigned.fields)
        same = encoded(order, ca, unsigned.nonce) == body and len(unsigned.nonce) == NONCE
    except (ValueError, OverflowError, BadInput):
        raise NotSigned("what is no certificate") from None
    if not same:
        raise NotSigned("a certificate that is written in another way than ours")
    return order


def _order(fields: Fields) -> Order:
    """Raises ValueError, BadInput."""
    if not 0 <= fields.valid_after < fields.valid_before < LAST:
        raise ValueError("times that are none")
    options = {name: _text(data) for name, data in fields.options}
    allowed = [name for name, _ in fields.extensions]
    if not set(options) <= {*_OPTIONS} or not set(allowed) <= {*_ALLOWED}:
        raise ValueError("an option that is not known")
    sources = options["source-address"].split(",") if "source-address" in options else []
    return Order(
        kind=For(fields.kind),
        key=read_blob(fields.key),
        serial=fields.serial,
        key_id=fields.key_id,
        principals=fields.principals,
        valid_after=datetime.fromtimestamp(fields.valid_after, UTC),
        valid_before=datetime.fromtimestamp(fields.valid_before, UTC),
        force_command=options.get("force-command"),
        sources=tuple(map(ip_network, sources)),
        pty="permit-pty" in allowed,
        forwarding="permit-port-forwarding" in allowed,
    )


def _text(data: bytes) -> str:
    reader = Reader(data)
    found = reader.string().decode()
    reader.end()
    return found


def _judge_target(order: Order, limits: Limits, now: datetime) -> None:
    _demand(order.kind is For.USER and order.serial > 0, "that by the target CA")
    _demand(order.key.algorithm == "ssh-ed25519", "for such a key by the target CA")
    _demand_times(order, now, TARGET_LIFE)
    login, host = _of_target(order)
    _demand(limits.target.may(login, host), f"for {login} on {host}")
    used, tried = _USED.fullmatch(order.key_id), _TRIED.fullmatch(order.key_id)
    if tried is not None:
        plain = not order.pty and not order.forwarding and tried["host"] == host
        _demand(plain and order.force_command == CHECKED, "more than a look at the clock for that")
        return
    known = used is not None and _is_user(used["user"])
    _demand(known, "for a target without naming a connection, a user and a grant")
    if order.force_command is None:
        _demand(limits.target.may_have_shell(login), f"a shell for {login}")
    if order.forwarding:
        _demand(order.force_command == NO_COMMAND, "a forward beside something else")


def _of_target(order: Order) -> tuple[str, str]:
    """The login and the host of its principals, `LOGIN` and `LOGIN@HOST`."""
    try:
        plain, full = order.principals
        login, at, host = full.partition("@")
        known = login_name(plain) == login and host_name(host) == host and bool(at)
    except (ValueError, BadInput):
        known, login, host = False, "", ""
    _demand(known, "for other principals than a login, and the same on one host")
    return login, host


def _judge_user(order: Order, limits: Limits, now: datetime) -> None:
    _demand(order.kind is For.USER and order.serial > 0, "that by the user CA")
    _demand(order.force_command is None and not order.sources, "options by the user CA")
    user = order.principals[0]
    own = (user, f"C-{order.serial}")
    _demand(
        _is_user(user) and order.principals == own, "for other principals than a user and a serial"
    )
    _demand(order.key_id == " ".join(own), "a user's certificate under another name")
    _demand(now - SLACK <= order.valid_after, "a certificate that began before")
    _demand_times(order, now, limits.user.lifetime)


def _is_user(name: str) -> bool:
    try:
        return user_name(name) == name
    except BadInput:
        return False


def _judge_host(order: Order, bench: Bench, now: datetime) -> None:
    limits = bench.limits.host
    _demand(order.kind is For.HOST and order.serial == 0, "that by the host CA")
    _demand(order.key.blob == bench.host.blob, "for another host key than the bastion's own")
    bare = not order.sources and order.force_command is None
    _demand(bare and not order.pty and not order.forwarding, "options by the host CA")
    _demand(order.key_id == f"host {order.principals[0]}", "a host's certificate so named")
    own = order.principals == limits.names
    _demand(own or len(order.principals) == 1, "for several names that are not the bastion's own")
    _demand_times(order, now, OWN_LIFE if own else limits.lifetime)


def _demand_times(order: Order, now: datetime, life: timedelta) -> None:
    """Whole seconds are cut off at both ends, so a second more makes no difference."""
    early, late = now - EARLY - SLACK, now + SLACK
    begins = early <= order.valid_after + timedelta(seconds=1) and order.valid_after <= late
    _demand(begins, "a certificate that begins then: are the clocks right?")
    _demand(order.valid_before <= late + life, "for so long")


def _demand(fits: bool, words: str) -> None:
    if not fits:
        raise NotSigned(words)


def _seal(body: bytes) -> Approved:
    """A text's hash for one of our purposes, as `sshsig` writes it."""
    reader = Reader(body.removeprefix(MAGIC) if body.startswith(MAGIC) else b"")
    try:
        namespace, nothing, chosen, digest = (reader.string() for _ in range(4))
        reader.end()
        purpose = namespace.decode("ascii")
    except ValueError:
        raise NotSigned("what is no seal") from None
    if (nothing, chosen, len(digest)) != (b"", b"sha512", 64):
        raise NotSigned("what is no seal of ours")
    if purpose not in SEALED:
        raise NotSigned("a seal for that purpose")
    return Approved(what=f"{purpose} {digest.hex()}")
