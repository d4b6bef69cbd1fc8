"""`bastion-admin files`: which files went over, whose, which way, and what of them."""

import re
from datetime import datetime

import click

from bastion.errors import BadInput
from cli import lookup, shapes
from cli.arguments import HOST, PAST, SESSION, USER
from cli.desk import Desk
from cli.listing import Form, listed, tell
from cli.verb import Verb
from recorder import FileRow, WantedFiles, escaped

_SHA256 = re.compile(r"[0-9a-f]{64}")


@click.command(
    cls=Verb,
    examples=[
        "[program] files --host web-1 --path '/var/log/*'",
        "[program] files --user alice --since 2026-11-01 --csv",
        "[program] files --session S-31",
    ],
)
@click.option("--user", type=USER, help="Only this person's.")
@click.option("--host", type=HOST, help="Only on this host.")
@click.option("--session", "number", type=SESSION, metavar="S-N", help="Only of this session.")
@click.option("--path", metavar="GLOB", help="Only with such a path; * is any characters, also /.")
@click.option("--sha256", metavar="HEX", help="Only with these contents, as sha256sum says.")
@click.option("--since", type=PAST, metavar="TIME", help="Then or later; 2h is two hours ago.")
@click.option("--until", type=PAST, metavar="TIME", help="Before then.")
@listed
@click.pass_obj
def files(
    desk: Desk,
    *,
    form: Form,
    user: str | None,
    host: str | None,
    number: int | None,
    path: str | None,
    sha256: str | None,
    since: datetime | None,
    until: datetime | None,
) -> None:
    """Which files went over by sftp and scp, the newest first."""
    services = desk.services
    wanted = WantedFiles(
        user=user,
        host=lookup.name_of_host(services, host),
        session=number,
        path=None if path is None else escaped(path.encode("utf-8", "surrogateescape")),
        sha256=None if sha256 is None else _digest(sha256),
        since=since,
        until=until,
    )
    found = [
        (_row(each), shapes.file(each))
        for each in services.index.files.find(wanted, limit=form.enough)
    ]
    if not found:
        lookup.demand_known(services, user, host)
    columns = ("at", "session", "user", "host", "operation", "path", "bytes", "sha256", "result")
    tell(desk, form, "files", columns, found)


def _digest(text: str) -> str:
    """Raises BadInput for what is none."""
    digest = text.lower().removeprefix("sha256:")
    if not _SHA256.fullmatch(digest):
        raise BadInput(f"{text[:70]!a} is no SHA-256: give 64 hex digits, as sha256sum says.")
    return digest


def _row(row: FileRow) -> tuple[object, ...]:
    event = row.event
    path = escaped(event.path)
    return (
        row.at,
        row.session.name,
        row.session.user,
        row.session.host,
        event.operation,
        path if event.other is None else f"{path} to {escaped(event.other)}",
        event.bytes if event.direction is not None else None,
        event.sha256,
        event.result,
    )
