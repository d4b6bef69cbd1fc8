"""Adopting: the CAs' keys of a home move to a signer of its own. Three steps, by two accounts.

`taken` reads what moves, as the home's owner. `laid` writes it where the signer keeps it, as
whoever may. `settled` names the signer in the settings and removes the private halves from the
home. Whatever is broken off before the last step leaves the home as it was; within it, `doctor` and
`serve` say what is left to remove.
"""

import os
import re
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from bastion.app import Services
from bastion.authority import Which
from bastion.authority.keyfiles import CAS, place, read_plain, sync_directory, write_private
from bastion.authority.keyring import load_cas, load_keyring, next_key, public_file, retired_files
from bastion.authority.wire import read_certificate
from bastion.config import Settings
from bastion.durations import format_duration
from bastion.errors import Conflict, Misconfigured, Unavailable
from bastion.home import Home
from bastion.rules import Mode
from bastion.signing.limits import ANY, Limits
from bastion.signing.vault import Place
from bastion.text_files import read_text

LIMITS = """\
# What the signer signs, and for whom. It is read anew when it changes. Only root and the signer's
# own account may write here: whoever takes the bastion over must not be able to.

# The accounts whose processes are answered, and where.
accounts = [{account}]
socket = "{socket}"
# The highest serial of the ledger when this was written: from there it goes on.
serial = {serial}

# Certificates for targets live a minute. Other logins than these are not signed for, whatever the
# bastion's database says; "*" is any. Without a forced command, which is a shell, only for these.
[target]
logins = [{logins}]
shell = [{shell}]
# hosts = ["*"]             # names and patterns, as in "web-*"
# rate = 100                # signatures a second, over a while; five seconds' worth at once

# Contractors' certificates.
[user]
lifetime = "{lifetime}"     # no longer than this
# rate = 100

# Host certificates, for the bastion's host key alone: its own names, and what stands for a target.
[host]
names = [{names}]
# lifetime = "1d"          # the bastion asks for a day
# rate = 100

# Recordings, checkpoints, tombstones and evidence are sealed.
[seal]
# rate = 100
"""


@dataclass(frozen=True, slots=True)
class Taken:
    """What moves: the contents of key files by their names, and what the limits are to be."""

    private: Mapping[str, bytes]
    public: Mapping[str, bytes]
    logins: tuple[str, ...]
    shell: tuple[str, ...]
    names: tuple[str, ...]
    lifetime: int
    account: int
    serial: int


def taken(services: Services, socket: Path, now: datetime) -> Taken:
    """What moves out of a home. Raises Conflict where it has a signer already, Misconfigured."""
    home = services.home
    if services.signer is not None:
        raise Conflict(f"{home.settings} names a signer already: its keys are not here.")
    _changed(home, socket)
    ring = load_keyring(home.keys)
    privates = [each for which in CAS for each in (home.keys / which, next_key(home.keys, which))]
    present = [file for file in privates if file.exists()]
    publics = [public_file(file) for file in present]
    publics += [file for which in CAS for file in retired_files(home.keys, which)]
    publics.append(public_file(home.keys / Which.HOST))
    logins, shell = _logins(services, now)
    return Taken(
        private={file.name: read_plain(file) for file in present},
        public={file.name: read_plain(file) for file in publics},
        logins=logins,
        shell=shell,
        names=read_certificate(ring.certificate.public_data).principals,
        lifetime=int(services.settings.access.certificate_lifetime.total_seconds()),
        account=os.geteuid(),
        serial=max((entry.serial for entry in services.store.ledger(limit=1)), default=0),
    )


def _logins(services: Services, now: datetime) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """What the rules and the grants that are not over name: all logins, and those of shells."""
    every: set[str] = set()
    shells: set[str] = set()
    for rule in services.rulebook.current().rules:
        named = {ANY} if rule.logins is None else rule.logins
        every |= named
        shells |= named if Mode.SHELL in rule.modes else set()
    for grant in services.store.grants():
        if grant.ends_at > now and grant.revoked_at is None:
            every |= grant.logins
            shells |= grant.logins if grant.allows.shell else set()
    return _listed(every), _listed(shells)


def _listed(logins: set[str]) -> tuple[str, ...]:
    return (ANY,) if ANY in logins else tuple(sorted(logins))


def laid(what: Taken, directory: Path, socket: Path, owner: tuple[int, int] | None) -> None:
    """The signer's directory, made whole or not at all; for `owner` (uid, gid) where one is given.

    Raises Conflict where something is there already, Unavailable, Misconfigured.
    """
    if directory.exists() and (not directory.is_dir() or any(directory.iterdir())):
        raise Conflict(f"{directory} is not empty: name another with --to DIR.")
    aside = directory.with_name(f".{directory.name}-new")
    with _whole(directory, aside):
        at = Place(aside)
        for each in (aside, at.keys, at.book):
            each.mkdir(mode=0o700)
        for name, content in what.private.items():
            write_private(at.keys / name, content)
        for name, content in what.public.items():
            place(at.keys / name, content, 0o644)
        write_private(at.limits, _limits(what, socket).encode())
        load_cas(at.keys)
        Limits.read(at.limits)
        for each in (aside, *aside.rglob("*")):
            if owner is not None:
                os.chown(each, *owner, follow_symlinks=False)
        for each in (at.keys, at.book, aside):
            sync_directory(each)


@contextmanager
def _whole(directory: Path, aside: Path) -> Iterator[None]:
    try:
        directory.parent.mkdir(parents=True, exist_ok=True)
        shutil.rmtree(aside, ignore_errors=True)
        yield
        if directory.exists():
            directory.rmdir()
        aside.rename(directory)
        sync_directory(directory.parent)
    except OSError as error:
        raise Unavailable(f"{directory} can't be made: {error.strerror}.") from error
    finally:
        shutil.rmtree(aside, ignore_errors=True)


def _limits(what: Taken, socket: Path) -> str:
    return LIMITS.format(
        account=f'"{what.account}"',
        socket=socket,
        serial=what.serial,
        logins=_quoted(what.logins),
        shell=_quoted(what.shell),
        names=_quoted(what.names),
        lifetime=format_duration(timedelta(seconds=what.lifetime)),
    )


def _quoted(words: tuple[str, ...]) -> str:
    return ", ".join(f'"{word}"' for word in words)


def settled(home: Home, socket: Path, names: tuple[str, ...]) -> None:
    """The settings name the signer, and the private halves with these names are gone.

    Raises Misconfigured where the settings can't be changed by a program, Unavailable.
    """
    changed = _changed(home, socket)
    place(home.settings, changed.encode(), home.settings.stat().st_mode & 0o777)
    for name in names:
        (home.keys / name).unlink(missing_ok=True)
    sync_directory(home.keys)


def _changed(home: Home, socket: Path) -> str:
    """The settings as they will be. Raises Misconfigured."""
    changed = with_signer(read_text(home.settings, "restore it"), socket)
    if Settings.parse(changed, home.settings).signer_socket != socket:
        raise Misconfigured(_by_hand(home, socket))
    return changed


def with_signer(content: str, socket: Path) -> str:
    """Settings with the signer's socket in them."""
    line = f'socket = "{socket}"'
    if re.search(r"(?m)^\[signer\][ \t]*$", content) is None:
        return f"{content.rstrip()}\n\n[signer]\n{line}\n"
    return re.sub(r'(?m)^(\[signer\][ \t]*\n)(?:# socket = ""[^\n]*\n)?', rf"\1{line}\n", content)


def _by_hand(home: Home, socket: Path) -> str:
    return (
        f"The socket can't be written into {home.settings} by this program: write "
        f'socket = "{socket}" into its [signer] and run this again.'
    )
