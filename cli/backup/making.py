"""`bastion-admin backup`: a home in one file."""

import io
import json as json_module
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from itertools import chain
from pathlib import Path
from typing import BinaryIO, Final
from urllib.parse import urlsplit

import click

from bastion import happenings
from bastion.app import Services
from bastion.authority.public_keys import line_of
from bastion.authority.sshsig import sign
from bastion.durations import format_size
from bastion.errors import BadInput
from bastion.events import What
from bastion.store.places import is_server
from bastion.tables import SCHEMA
from cli.backup.gathering import Gathering, Member, gathered
from cli.backup.members import ABOUT, NAMESPACE, About, written
from cli.backup.packing import Packing
from cli.backup.pouring import Steady, pour
from cli.desk import Desk
from cli.evidence.tarball import written_aside
from cli.listing import as_json
from cli.output import printable
from cli.room import demand_room
from cli.verb import Verb
from recorder.age import Recipient, recipient
from recorder.nouns import counted

STDOUT: Final = Path("-")
NAMED: Final = 3


@click.command(
    cls=Verb,
    short_help="Everything of this home in one file.",
    examples=[
        "[program] backup -o bastion.tar.zst.age --to age1qx…",
        "[program] backup -o - --to age1qx… --recordings | ssh vault 'cat > bastion.tar.zst.age'",
        "[program] backup -o bastion.tar.zst --without-keys",
    ],
)
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path),
    metavar="FILE|-",
    required=True,
    help="The file to write.",
)
@click.option(
    "--to",
    multiple=True,
    metavar="KEY",
    help="Encrypt it to this public key (age1…, ssh-ed25519 …); may be repeated.",
)
@click.option("--without-keys", is_flag=True, help="Leave the bastion's own keys out.")
@click.option("--recordings", is_flag=True, help="The recordings too; else only their manifests.")
@click.option("--force", is_flag=True, help="Replace the file if it is there.")
@as_json
@click.pass_obj
def backup(
    desk: Desk,
    *,
    output: Path,
    to: tuple[str, ...],
    without_keys: bool,
    recordings: bool,
    force: bool,
    json: bool,
) -> None:
    """Everything of this home in one file: settings, rules, keys, database, manifests.

    It is as it all stood at one moment; the service goes on meanwhile. With keys in it, it is
    encrypted to a key of yours that is not kept here. A database of a server is not in it: the
    server's own tools copy that. docs/operations.md says how to go about it, and how to restore.
    """
    services, recipients = desk.services, [recipient(text) for text in to]
    _demand_hidden(services, recipients, without_keys=without_keys)
    now = services.clock.now()
    details = {"keys": not without_keys, "recordings": recordings, "to": list(to)}
    services.store.tell(happenings.by(desk.actor, What.BACKUP_BEGUN, details=details), now)
    services.sealer.seal()
    with _written(output, force=force) as out, gathered(services) as gathering:
        if output != STDOUT:
            size = gathering.size(recordings=recordings)
            demand_room(services.settings, services.home, size, output.absolute(), "The backup")
        packing = Packing(now, lambda text: sign(services.authority.seal, NAMESPACE, text))
        told = _about(services, gathering, now, keys=not without_keys, recordings=recordings)
        members = gathering.members(keys=not without_keys, recordings=recordings)
        steady = Steady(out)
        pour(packing.pieces(chain([told], members)), steady, recipients)
    _say_packed(desk, output, gathering, packing, steady.size, as_document=json)


def _demand_hidden(
    services: Services, recipients: Sequence[Recipient], *, without_keys: bool
) -> None:
    """Raises BadInput where a secret would lie plain in it."""
    if recipients:
        return
    if not without_keys:
        raise BadInput(
            "Keys don't lie plain in a backup: give --to KEY, a public key (age1…) whose private "
            "half is kept elsewhere, or --without-keys."
        )
    url = services.settings.database.url
    if is_server(url) and (urlsplit(url).password or "password" in url):
        raise BadInput(
            "bastion.toml has the password of the database in it, which doesn't lie plain in a "
            "backup: give --to KEY, a public key (age1…)."
        )


@contextmanager
def _written(output: Path, *, force: bool) -> Iterator[BinaryIO]:
    if output != STDOUT:
        with written_aside(output, replacing=force) as out:
            yield out
        return
    if sys.stdout.isatty():
        raise BadInput("It is not for a terminal: give -o FILE, or a pipe.")
    yield sys.stdout.buffer
    sys.stdout.buffer.flush()


def _about(
    services: Services, gathering: Gathering, now: datetime, *, keys: bool, recordings: bool
) -> Member:
    seals = services.authority.seal_keys
    schema = None if gathering.copy is None else SCHEMA
    about = About(now, services.store.chain.node, schema, keys, recordings, seals)
    text = written(about, tuple(map(line_of, seals)))
    return Member(ABOUT, io.BytesIO(text), len(text))


def _say_packed(
    desk: Desk,
    output: Path,
    gathering: Gathering,
    packing: Packing,
    size: int,
    *,
    as_document: bool,
) -> None:
    shape = {
        "file": str(output),
        "sha256": packing.sha256,
        "files": len(packing.sums),
        "bytes": size,
        "database": gathering.copy is not None,
        "gone": gathering.gone,
    }
    if as_document:
        text = json_module.dumps(shape, indent=2)
        (desk.output.note if output == STDOUT else desk.output.line)(text)
        return
    note = desk.output.note
    note(printable(f"{output}: {counted(len(packing.sums), 'file')}, {format_size(size)}"))
    note(f"SHA256SUMS {packing.sha256}")
    if gathering.copy is None:
        note("The database is on a server: copy it with pg_dump, or as you copy that server.")
    if desk.services.signer is not None:
        note("The CAs' keys are with the signer, and not in it: copy its directory too.")
    if gathering.gone:
        note(f"Let go meanwhile, and not in it: {_named(gathering.gone)}.")


def _named(names: Sequence[str]) -> str:
    more = len(names) - NAMED
    return ", ".join(names[:NAMED]) + (f" and {more} more" if more > 0 else "")
