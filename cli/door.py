"""The front door of the command line: which home, as which account, opened.

Run as root, a command becomes the home's owner before it opens anything, so that nothing in it
ends up belonging to root, and nothing that its owner wrote is read with root's rights.
"""

import encodings
import os
import pwd
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from bastion.app import Services, opened
from bastion.config import check_environment, home_directory
from bastion.errors import Unavailable
from bastion.home import Home


def place(directory: Path | None) -> Path:
    """The directory of the home, as its owner from now on. Raises Misconfigured, Unavailable."""
    check_environment(os.environ)
    found = home_directory(directory, os.environ)
    become_owner(found)
    return found


@contextmanager
def entered(directory: Path | None) -> Iterator[Services]:
    """The services of the home in `directory`, or in the usual place."""
    with opened(Home.at(place(directory))) as services:
        yield services


def become_owner(directory: Path) -> None:
    """As root, become whoever owns `directory`; stay root where that is root, or nobody yet."""
    if os.geteuid() != 0:
        return
    try:
        owner = directory.stat()
    except OSError:
        return
    if owner.st_uid != 0:
        _become(owner.st_uid, owner.st_gid)


@contextmanager
def as_owner(directory: Path) -> Iterator[None]:
    """As root, be whoever owns `directory` for the length of the block: root again behind it.

    For what has to be done by root with things that others could have tampered with. Raises
    Unavailable.
    """
    if os.geteuid() != 0:
        yield
        return
    try:
        owner = directory.stat()
        groups = os.getgroups()
        os.setgroups([owner.st_gid])
        os.setegid(owner.st_gid)
        os.seteuid(owner.st_uid)
    except OSError as error:
        raise Unavailable(f"This can't be done as the owner of {directory}: {error}.") from error
    try:
        _demand_readable(str(owner.st_uid))
        yield
    finally:
        os.seteuid(0)
        os.setegid(0)
        os.setgroups(groups)


def demand_runnable(account: str, uid: int, gid: int) -> None:
    """For root. Raises Unavailable where an account of these ids can't run this program."""
    if not _runs([sys.executable, "-P", "-c", "import cli.admin"], uid, gid):
        raise Unavailable(
            f"{account} can't run this program ({sys.executable}): install it where everybody can "
            "read and execute it, as below /opt."
        )


def _runs(command: Sequence[str], uid: int, gid: int) -> bool:
    """Whether a command comes to its end as somebody else, who has no other groups."""
    try:
        done = subprocess.run(
            command,
            user=uid,
            group=gid,
            extra_groups=[],
            cwd="/",
            env={},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            check=False,
            timeout=60,
        )
    except (OSError, subprocess.TimeoutExpired):
        return False
    return done.returncode == 0


def _become(uid: int, gid: int) -> None:
    try:
        account = pwd.getpwuid(uid)
        name, group, home = account.pw_name, account.pw_gid, account.pw_dir
    except KeyError:
        name, group, home = "", gid, "/"
    try:
        os.initgroups(name, group) if name else os.setgroups([])
        os.setgid(group)
        os.setuid(uid)
    except OSError as error:
        raise Unavailable(f"This can't be run as the home's owner ({uid}): {error}.") from error
    os.environ["HOME"] = home
    _demand_readable(name or str(uid))


def _demand_readable(account: str) -> None:
    """Python reads parts of itself when they are first needed: by then it is too late for words."""
    for part in (encodings.__file__, __file__):
        if not os.access(part, os.R_OK, effective_ids=True):
            raise Unavailable(
                f"The home belongs to {account}, who can't read this program ({part}): "
                "install it where everybody can, as below /opt."
            )
