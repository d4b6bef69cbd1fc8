"""People, hosts and grants for the tests, each with only what a test does not care about."""

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta

from bastion.actor import Actor
from bastion.grants import Allows, Certificate, Grant
from bastion.inventory import Host, PublicKey, Role, Selector, ShellType, User, parse_selector

NOW = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)
HOUR = timedelta(hours=1)
SECOND = timedelta(seconds=1)
TICK = timedelta(microseconds=1)
ROOT = Actor("os:root")
BOB = Actor("bob")


SHELL = Allows(shell=True)  # noqa: S604 - a value of ours; no process is started


def key(name: str) -> PublicKey:
    """A key that no library would take, for rooms that do not look inside."""
    return PublicKey("ssh-ed25519", name.encode(), f"SHA256:{name}", name)


def user(name: str = "alice", *, until: datetime | None = None, keys: int = 1) -> User:
    """A contractor with keys of her own."""
    own = tuple(key(f"{name}-{number}") for number in range(1, keys + 1))
    return User(name=name, roles=frozenset({Role.CONTRACTOR}), until=until, keys=own)


def host(
    name: str = "prod-host",
    *,
    aliases: Iterable[str] = (),
    labels: Iterable[tuple[str, str]] = (),
    shell_type: ShellType | None = ShellType.BASH,
    port: int = 22,
) -> Host:
    """A target with a pinned key."""
    return Host(
        name=name,
        address="10.0.0.1",
        port=port,
        host_keys=(key(f"{name}-host-key"),),
        aliases=frozenset(aliases),
        labels=frozenset(labels),
        shell_type=shell_type,
    )


def selectors(*texts: str) -> tuple[Selector, ...]:
    """Selectors as people write them."""
    return tuple(map(parse_selector, texts))


def grant(
    number: int = 7,
    *,
    to: str = "alice",
    hosts: tuple[Selector, ...] = selectors("prod-host"),
    logins: Iterable[str] = ("deploy",),
    allows: Allows | None = None,
    starts_at: datetime = NOW - HOUR,
    ends_at: datetime = NOW + HOUR,
) -> Grant:
    """A grant, active at NOW: a shell as deploy on prod-host."""
    return Grant(
        id=number,
        user=to,
        hosts=hosts,
        logins=frozenset(logins),
        allows=allows or SHELL,
        starts_at=starts_at,
        ends_at=ends_at,
        reason="to see",
        granted_by="bob",
    )


def certificate(
    *grants: int,
    serial: int = 1,
    to: str = "alice",
    valid_after: datetime = NOW - HOUR,
    valid_before: datetime = NOW + HOUR,
) -> Certificate:
    """A line of the ledger for `grants`, live at NOW."""
    return Certificate(
        serial=serial,
        user=to,
        fingerprint=f"SHA256:{to}-1",
        sha256=f"{serial:064x}",
        grants=frozenset(grants),
        valid_after=valid_after,
        valid_before=valid_before,
    )
