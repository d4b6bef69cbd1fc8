"""Who acts, when somebody types on the machine itself: an account of the operating system.

An account that the settings map to a user acts as that user; any other stays itself (`os:root`).
SUDO_USER says who may have called; anybody who is root can set it, so it is kept beside the name
as a hint, never in its place.
"""

import os
import pwd
import re
from collections.abc import Mapping
from dataclasses import replace

from bastion.actor import Actor

_ACCOUNT = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,31}", re.ASCII)


def of_process(environ: Mapping[str, str]) -> Actor:
    """The account that runs this process, to be asked before it becomes another."""
    hint = environ.get("SUDO_USER", "")
    source = f"local, sudo by {hint}" if _ACCOUNT.fullmatch(hint) else "local"
    account = _account(os.getuid())
    return Actor(f"os:{account}", source, account)


def acting(actor: Actor, accounts: Mapping[str, str]) -> Actor:
    """The same as the user that the account is mapped to by the settings, if it is."""
    if actor.account is None:
        return actor
    return replace(actor, name=accounts.get(actor.account, actor.name))


def _account(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)
