"""Auditors' identities: private keys in files, which are read on this machine and go nowhere."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import click

from bastion.errors import BadInput, Conflict
from cli.desk import Desk
from cli.sessions import demand_kept, wanted_session
from recorder import Kind, Session

HERE: Final = "--identity FILE opens it"
AWAY: Final = (
    "where their key is, it can be opened; ssh bastion export {name} --raw encrypted fetches it"
)
"""What can be done with a recording that is encrypted."""

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


def demand_key_for(*, typed: bool, unmask: bool, identity: Path | None) -> None:
    """Raises BadInput where options are missing that --input or --unmask need."""
    if typed and identity is None:
        raise BadInput("--input needs --identity FILE, the auditors' private key.")
    if unmask and not typed:
        raise BadInput("--unmask goes with --input.")


def demand_opened(desk: Desk, number: int, key: str | None, instead: str) -> None:
    """Raises Conflict for a session whose recording is encrypted, where nobody brings a key.

    `instead` says what can be done, where `{name}` stands for the session.
    """
    session = wanted_session(desk.services, number)
    demand_kept(desk.services, session)
    if key is None and desk.services.archive.is_covered(session):
        said = instead.format(name=session.name)
        raise Conflict(f"{session.name} is encrypted to the auditors: {said}.")


def demand_content(session: Session) -> None:
    """Raises Conflict for a session of a kind of which nothing that was sent is kept."""
    why = _NO_CONTENT.get(session.kind)
    if why is not None:
        said = why.format(name=session.name)
        raise Conflict(f"{session.name} has no content of what was sent: {said}.")
