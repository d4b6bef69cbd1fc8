"""Auditors' identities: private keys in files, which are read on this machine and go nowhere."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import click

from bastion.errors import BadInput, Conflict
from recorder import Kind, Session

LONGEST: Final = 64 * 1024
"""Bytes of an identity file."""

_NO_CONTENT: Final = {
    Kind.SFTP: "files are told of one by one: bastion-admin show {name} lists them",
    Kind.SCP: "files are told of one by one: bastion-admin show {name} lists them",
    Kind.FORWARD: "of a forward only length and hash are kept",
}


def identity_option(what_for: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """The option `--identity FILE`."""
    return click.option(
        "--identity",
        type=click.Path(path_type=Path),
        metavar="FILE",
        help=f"The auditors' private key, for {what_for}.",
    )


def read_identity(file: Path) -> str:
    """What an identity file holds. Raises BadInput."""
    try:
        with file.expanduser().open("rb") as opened:
            return opened.read(LONGEST).decode("utf-8", "replace")
    except OSError as error:
        raise BadInput(f"{ascii(str(file))[1:-1]} can't be read: {error.strerror}.") from None


def demand_content(session: Session) -> None:
    """Raises Conflict for a session of a kind of which nothing that was sent is kept."""
    why = _NO_CONTENT.get(session.kind)
    if why is not None:
        said = why.format(name=session.name)
        raise Conflict(f"{session.name} has no content of what was sent: {said}.")
