"""The limits: `signer.toml`, which says whom the signer answers, and what it signs.

The file is the signer's own. Whoever has taken the bastion over can write into the bastion's
database and rules, so nothing in there widens what is signed.
"""

import fnmatch
import os
import pwd
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Self

from pydantic import Field

from bastion.authority import Which
from bastion.durations import parse_duration
from bastion.errors import BadInput, Misconfigured
from bastion.names import host_pattern, login_name
from bastion.text_files import read_text
from bastion.toml_model import Part, parse, text

ANY = "*"
MOST = 1000

_MISSING = "bastion-admin signer adopt makes it"


def _login(line: str) -> str:
    return ANY if line == ANY else login_name(line)


def _account(line: str) -> int:
    """The uid of an account, by its name or as a number. Raises BadInput."""
    try:
        return int(line) if line.isdecimal() and line.isascii() else pwd.getpwnam(line).pw_uid
    except (KeyError, ValueError):
        raise BadInput(f"There is no account {line[:60]!a} on this machine.") from None


Lifetime = Annotated[timedelta, text(parse_duration)]
Rate = Annotated[float, Field(ge=0.1, le=100_000)]
Logins = Annotated[tuple[Annotated[str, text(_login)], ...], Field(max_length=MOST)]
Hosts = Annotated[tuple[Annotated[str, text(host_pattern)], ...], Field(max_length=MOST)]
Names = Annotated[
    tuple[Annotated[str, Field(min_length=1, max_length=253)], ...], Field(max_length=64)
]


class TargetLimits(Part):
    """`[target]`: the logins and hosts that certificates for targets are signed for, and the logins
    that may have a shell there; all others carry the command that the target forces."""

    logins: Logins = ()
    shell: Logins = ()
    hosts: Hosts = (ANY,)
    rate: Rate = 100.0

    def may(self, login: str, host: str) -> bool:
        """Whether a certificate for this login on this host is signed."""
        named = any(fnmatch.fnmatchcase(host, pattern) for pattern in self.hosts)
        return named and not {login, ANY}.isdisjoint(self.logins)

    def may_have_shell(self, login: str) -> bool:
        """Whether it may be one without a command that is forced."""
        return not {login, ANY}.isdisjoint(self.shell)


class UserLimits(Part):
    """`[user]`: how long a contractor's certificate is good at most."""

    lifetime: Lifetime = timedelta(hours=8)
    rate: Rate = 100.0


class HostLimits(Part):
    """`[host]`: how long a host certificate is good at most. One that names `names` and nothing
    else is the bastion's own, for ten years."""

    names: Names = ()
    lifetime: Lifetime = timedelta(days=1)
    rate: Rate = 100.0


class SealLimits(Part):
    """`[seal]`: how often something is sealed."""

    rate: Rate = 100.0


class Limits(Part):
    """All of `signer.toml`. `accounts` are those whose processes are answered, `socket` where;
    `serial` is the highest that was signed before there was a book."""

    accounts: Annotated[tuple[Annotated[int, text(_account)], ...], Field(min_length=1)]
    socket: Annotated[str, Field(min_length=2, max_length=100, pattern="^/")]
    serial: Annotated[int, Field(strict=True, ge=0, lt=2**53)] = 0
    target: TargetLimits = TargetLimits()
    user: UserLimits = UserLimits()
    host: HostLimits = HostLimits()
    seal: SealLimits = SealLimits()

    @classmethod
    def read(cls, file: Path) -> Self:
        """The limits in `file`. Raises Misconfigured."""
        return cls.parse(read_text(file, _MISSING), file)

    @classmethod
    def parse(cls, content: str, file: Path) -> Self:
        """The limits in `content`, which stands in `file`. Raises Misconfigured."""
        return parse(cls, content, file)

    def rate(self, which: Which) -> float:
        """How many signatures a second are made by this CA, over a while."""
        rates = {
            Which.USER_CA: self.user.rate,
            Which.TARGET_CA: self.target.rate,
            Which.HOST_CA: self.host.rate,
            Which.SEAL: self.seal.rate,
        }
        return rates[which]


def demand_private(directory: Path) -> None:
    """Raises Misconfigured where somebody else could change what is in there."""
    try:
        found = directory.stat()
    except OSError as error:
        raise Misconfigured(f"{directory} can't be looked at: {error.strerror}.") from None
    if found.st_uid not in (0, os.geteuid()):
        raise Misconfigured(f"{directory} belongs to another account: chown it to the signer's.")
    if found.st_mode & 0o022:
        raise Misconfigured(f"Others may write in {directory}: chmod go-w {directory}")
