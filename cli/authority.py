"""`bastion-admin ca …`: the public halves of the authority's keys."""

import click

from bastion.authority import Which
from cli.desk import Desk
from cli.listing import as_json
from cli.verb import Noun

_NAMES = {
    "user": Which.USER_CA,
    "target": Which.TARGET_CA,
    "host": Which.HOST_CA,
    "seal": Which.SEAL,
}


@click.group(cls=Noun, examples=["[program] ca show target"])
def ca() -> None:
    """The keys that sign."""


@ca.command(
    examples=["[program] ca show target > /etc/ssh/bastion_ca.pub", "[program] ca show host"]
)
@click.argument("name", type=click.Choice(list(_NAMES)))
@as_json
@click.pass_obj
def show(desk: Desk, *, name: str, json: bool) -> None:
    """A public key, as the line of a .pub file.

    user signs contractors' certificates, target those that targets trust, host those of the
    bastion and the hosts behind it, seal the recordings.
    """
    authority = desk.services.authority
    line = authority.public_line(_NAMES[name])
    if json:
        fingerprint = authority.public_key(_NAMES[name]).fingerprint
        desk.output.document({"name": name, "public_key": line, "fingerprint": fingerprint})
    else:
        desk.output.line(line)
