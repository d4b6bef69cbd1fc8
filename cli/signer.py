"""`bastion-admin signer …`: the process that holds the CAs' keys, and what is known of it here."""

import asyncio
import os
import pwd
import resource
import signal
import time
from collections.abc import Callable
from contextlib import ExitStack, suppress
from datetime import UTC, datetime
from pathlib import Path

import click

from bastion import adopting, app, happenings
from bastion.authority import Which, generations
from bastion.authority.public_keys import line_of
from bastion.config import check_environment, home_directory
from bastion.errors import BadInput, Conflict, NotFound
from bastion.events import What
from bastion.home import Home
from bastion.signing import service
from bastion.signing.limits import ANY
from bastion.signing.vault import Place
from cli.actor import acting
from cli.authority import NAME, NAMES
from cli.desk import Desk
from cli.door import as_owner, become_owner, demand_runnable
from cli.logs import log_to_stderr
from cli.signer_book import log, verify
from cli.systemd import notify
from cli.verb import Noun

DIRECTORY = Path("/var/lib/bastion-signer")
SOCKET = Path("/run/bastion-signer/socket")


_directory = click.option(
    "--directory",
    type=click.Path(path_type=Path),
    metavar="DIR",
    default=DIRECTORY,
    show_default=True,
    help="Where it keeps keys, limits and book.",
)


@click.group(cls=Noun, examples=["[program] signer serve", "[program] signer adopt"])
def signer() -> None:
    """The process apart that holds the CAs' keys, if there is one.

    docs/signer.md says how to set it up.
    """


@signer.command(
    examples=["[program] signer serve", "[program] signer serve --directory /srv/signer"]
)
@_directory
@click.pass_obj
def serve(desk: Desk, *, directory: Path) -> None:
    """Sign what signer.toml allows, until SIGTERM.

    As root it becomes the owner of the directory. Another key or another limit counts from the next
    signature on.
    """
    _demand(directory)
    become_owner(directory)
    with suppress(OSError):  # where a unit forbids it, it has done so itself
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))  # keys are in this memory
    log_to_stderr("signer")

    def ready(where: str) -> None:
        desk.output.note(f"{desk.program}: signing on {where}")
        notify("READY=1")

    asyncio.run(_until_told(Place(directory.absolute()), ready))
    notify("STOPPING=1")


async def _until_told(place: Place, ready: Callable[[str], None]) -> None:
    over, loop = asyncio.Event(), asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, over.set)
    loop.add_signal_handler(signal.SIGHUP, lambda: None)  # what has changed is seen without it
    await service.serve(place, ready, over, lambda: datetime.now(UTC), time.monotonic)


@signer.command(
    short_help="Change a key of the signer's for another.",
    examples=["[program] signer rotate target", "[program] signer rotate target --retire"],
)
@click.argument("name", type=NAME)
@click.option("--retire", is_flag=True, help="Let the old key go, once the home has.")
@_directory
@click.pass_obj
def rotate(desk: Desk, *, name: str, retire: bool, directory: Path) -> None:
    """Change a key of the signer's: make the next one; later, with --retire, let the old one go.

    It is done in the signer's directory, by its account or root: nobody can have it done over the
    socket. Make the next one here, then let the home take it over (ca rotate NAME). The home
    retires the old one first (ca rotate NAME --retire; the seal at once), then it goes here.
    """
    _demand(directory)
    become_owner(directory)
    which, keys = Which(NAMES[name]), Place(directory.absolute()).keys
    now = datetime.now(UTC)
    if retire:
        old = generations.retire(keys, which, now, apart=True)
        desk.output.line(line_of(old))
        desk.output.note("It is retired, and its private half is gone.")
    else:
        desk.output.line(line_of(generations.rotate(keys, which, now, apart=True)))
        desk.output.note(f"Next, in the home: bastion-admin ca rotate {name}")
    desk.output.note("A signer that runs has seen it already.")


@signer.command(
    short_help="Move the CAs' keys from the home to a signer.",
    examples=[
        "[program] signer adopt",
        "[program] signer adopt --to /srv/signer --account sign --socket /run/sign/socket",
    ],
)
@click.option(
    "--to",
    "directory",
    type=click.Path(path_type=Path),
    metavar="DIR",
    default=DIRECTORY,
    show_default=True,
    help="Where the signer is to keep them.",
)
@click.option(
    "--account",
    metavar="NAME",
    help="The signer's account, given by root; without root, and without it, your own.",
)
@click.option(
    "--socket",
    type=click.Path(path_type=Path),
    metavar="PATH",
    default=SOCKET,
    show_default=True,
    help="Where it is to answer.",
)
@click.pass_obj
def adopt(desk: Desk, *, directory: Path, account: str | None, socket: Path) -> None:
    """Move the CAs' keys, and the seal, from the home to a signer; once, with nothing serving.

    Run it as root with --account: the keys then belong to an account that the bastion's processes
    can't become. What the signer may sign stands in signer.toml: the logins are those of the rules
    and grants there are now.
    """
    check_environment(os.environ)
    home = Home.at(home_directory(desk.directory, os.environ))
    owner = _owner(account)
    if not socket.is_absolute():
        raise BadInput("--socket takes a whole path, which begins with /.")
    place = directory.absolute()
    with ExitStack() as stack:
        with as_owner(home.directory):
            stack.enter_context(home.lock())
            with app.opened(home) as services:
                what = adopting.taken(services, socket, services.clock.now())
        if owner is not None and owner[0] == what.account:
            raise Conflict(f"{account} is the bastion's own account: the signer needs another.")
        if owner is None and os.geteuid() != what.account:
            raise BadInput(
                "As root, say whose the signer is to be: --account NAME. useradd --system makes an "
                "account of its own; --account root is root's."
            )
        if account is not None and owner is not None:
            demand_runnable(account, *owner)
        adopting.laid(what, place, socket, owner)
        with as_owner(home.directory):
            adopting.settled(home, socket, tuple(what.private))
            with app.opened(home) as services:
                told = happenings.by(acting(desk.actor, services.settings.accounts), What.CA_MOVED)
                services.store.tell(told, services.clock.now())
    desk.output.fields([("signer", place), ("socket", socket), ("logins", what.logins)])
    desk.output.note(f"The private keys have left {home.keys}. Copies in backups are still good.")
    if ANY in what.logins:
        desk.output.note("It signs for any login, as a rule does: name them in its signer.toml.")
    desk.output.note(f"Look at what may be signed: {Place(place).limits}")
    desk.output.note(f"Next: {desk.program} signer serve, then {desk.program} serve.")
    if owner is None:
        desk.output.note(
            "It belongs to the bastion's own account, so it keeps nothing from whoever takes the "
            "bastion over: as root, give it one of its own with --account."
        )


def _demand(directory: Path) -> None:
    if not directory.is_dir():
        raise NotFound(
            f"There is no signer in {directory}: bastion-admin signer adopt makes one, or name "
            "another with --directory DIR."
        )


def _owner(account: str | None) -> tuple[int, int] | None:
    """The uid and gid that the signer's files get; None for whoever runs this."""
    if account is None:
        return None
    if os.geteuid() != 0:
        raise BadInput("--account needs root: only root gives files away.")
    try:
        found = pwd.getpwnam(account)
    except KeyError:
        raise BadInput(
            f"There is no account {account[:60]!a}: useradd --system makes one."
        ) from None
    return found.pw_uid, found.pw_gid


signer.add_command(log)
signer.add_command(verify)
