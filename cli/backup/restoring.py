"""`bastion-admin restore`: a home is made of a backup."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import BinaryIO

import click

from bastion.authority.public_keys import read_public_key
from bastion.config import Settings
from bastion.errors import BadInput, Unavailable
from bastion.home import SETTINGS_FILE, Home, demand_empty
from bastion.inventory import PublicKey
from bastion.shutting import Shut
from bastion.workplace import made_whole
from cli.backup.checking import Checked, check
from cli.backup.members import DATABASE
from cli.backup.placing import open_again, place
from cli.desk import Desk
from cli.door import place as place_of
from cli.identities import read_identity
from cli.listing import as_json
from cli.shapes import Shape
from cli.verb import Verb
from recorder.age import identity as identity_of


@click.command(
    cls=Verb,
    short_help="Make a home of a backup.",
    examples=[
        "[program] --home /var/lib/bastion restore bastion.tar.zst.age --identity ops.age",
        "[program] restore bastion.tar.zst --home ./try --seal seal.pub --keep-access",
    ],
)
@click.argument("file", type=click.Path(path_type=Path), metavar="FILE")
@click.option("--home", type=click.Path(path_type=Path), metavar="DIR", help="Where to make it.")
@click.option(
    "--identity",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="The private key that it was encrypted to.",
)
@click.option(
    "--seal",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="What ca show seal has said: a backup that no such key has signed is refused.",
)
@click.option("--keep-access", is_flag=True, help="Leave grants and accounts as they were then.")
@as_json
@click.pass_obj
def restore(
    desk: Desk,
    *,
    file: Path,
    home: Path | None,
    identity: Path | None,
    seal: Path | None,
    keep_access: bool,
    json: bool,
) -> None:
    """Make a home of a backup, in a place where there is none.

    All of it is checked before anything is written: the signature over its hashes, and each file.
    What was revoked since it was made is not known in it. So the new home lets nobody in: grants,
    certificates and requests are taken back, and accounts are disabled, until somebody has looked
    at each (user enable, grant). --keep-access says that nothing was revoked since.
    """
    key = None if identity is None else identity_of(read_identity(identity))
    trusted = () if seal is None else _seals(seal)
    with _opened(file) as opened:
        directory = place_of(home or desk.directory).resolve()
        demand_empty(directory)
        try:
            checked = check(opened, key, trusted)
            with made_whole(directory, SETTINGS_FILE) as workplace:
                place(opened, key, checked, Home(workplace))
                now, new = datetime.now(UTC), Home(workplace)
                shut = open_again(new, checked, desk.actor, now, keep_access=keep_access)
        except BadInput as error:
            reason = str(error).rstrip(".")
            raise Unavailable(f"{_shown(file)} is not restored: {reason}.") from None
    made = Home(directory)
    if json:
        desk.output.document(_shape(made, checked, shut))
    else:
        _say(desk, made, checked, shut, trusted=seal is not None)


def _seals(file: Path) -> tuple[PublicKey, ...]:
    """The public keys in a file, one a line. Raises BadInput."""
    try:
        lines = file.expanduser().read_text("utf-8", "replace").splitlines()
    except OSError as error:
        raise BadInput(f"{_shown(file)} can't be read: {error.strerror}.") from None
    found = tuple(read_public_key(line) for line in lines if line.strip())
    if not found:
        raise BadInput(f"There is no key in {_shown(file)}: ca show seal says them.")
    return found


@contextmanager
def _opened(file: Path) -> Iterator[BinaryIO]:
    try:
        with file.expanduser().open("rb") as opened:
            if not (file.expanduser().is_file() and opened.seekable()):
                raise BadInput(f"{_shown(file)} is no plain file: it is read twice.")
            yield opened
    except OSError as error:
        if error.filename != str(file.expanduser()):
            raise
        raise BadInput(f"{_shown(file)} can't be read: {error.strerror}.") from None


def _shown(file: Path) -> str:
    return ascii(str(file))[1:-1]


def _shape(home: Home, checked: Checked, shut: Shut | None) -> Shape:
    return {
        "home": str(home.directory),
        "made_at": checked.about.made_at,
        "files": len(checked.sums),
        "sha256": checked.sha256,
        "seal": checked.signed_by.fingerprint,
        "shut": None if shut is None else asdict(shut),
    }


def _say(desk: Desk, home: Home, checked: Checked, shut: Shut | None, *, trusted: bool) -> None:
    made = f"{checked.about.made_at:%Y-%m-%d %H:%M:%S} UTC"
    desk.output.fields([("home", home.directory), ("made", made), ("files", len(checked.sums))])
    if not trusted:
        desk.output.note(
            f"Signed by {checked.signed_by.fingerprint}: compare it with what you know of that "
            "bastion's seal (ca show seal), or give that as --seal FILE."
        )
    for sentence in _left(home, checked, shut):
        desk.output.note(sentence)


def _left(home: Home, checked: Checked, shut: Shut | None) -> Iterator[str]:
    """What is left to do."""
    settings = Settings.read(home)
    if shut is not None:
        yield f"Nobody is let in: {shut}. Look at each before you let her in: user enable, grant."
    if not checked.about.keys:
        yield f"The keys are not in it: put them into {home.keys}."
    if DATABASE not in checked.sums:
        yield (
            "The database is not in it: restore it by its server's tools. If that is an older one, "
            "run shut --restored before serve."
        )
    elif settings.database_url(home) != f"sqlite:///{home.database}":
        yield f"The settings name another place for {home.database}: move it there."
    recordings = settings.recordings(home)
    if not checked.about.recordings:
        yield f"The recordings are not in it: put them into {recordings}."
    elif recordings != home.recordings:
        yield f"The settings name another place for {home.recordings}: move them to {recordings}."
    yield "Next: doctor, verify --all, audit verify, reindex; then serve."
