"""`bastion-admin ca …`: the keys that sign, changing them, and the list of what is revoked."""

import sys
from collections.abc import Mapping
from pathlib import Path

import click

from bastion.authority import Which
from bastion.authority.public_keys import line_of
from bastion.errors import BadInput
from bastion.inventory import PublicKey
from bastion.revocation import Revocation
from bastion.rotation import Retired, Rotation
from cli import succession
from cli.desk import Desk
from cli.listing import as_json
from cli.verb import Noun
from recorder.nouns import counted

NAMES = {
    "user": Which.USER_CA,
    "target": Which.TARGET_CA,
    "host": Which.HOST_CA,
    "seal": Which.SEAL,
}

NAME = click.Choice(list(NAMES))


@click.group(cls=Noun, examples=["[program] ca show target"])
def ca() -> None:
    """The keys that sign."""


@ca.command(
    examples=["[program] ca show target > /etc/ssh/bastion_ca.pub", "[program] ca show host"]
)
@click.argument("name", type=NAME)
@as_json
@click.pass_obj
def show(desk: Desk, *, name: str, json: bool) -> None:
    """What is to be trusted: a public key, as the line of a .pub file.

    user signs contractors' certificates, target those that targets trust, host those of the
    bastion and the hosts behind it, seal the recordings. While one key is changed for another
    there are two lines; of the seal there is one for each that has ever sealed.
    """
    which = NAMES[name]
    if json:
        desk.output.document(_shape(desk, name))
        return
    authority = desk.services.authority
    seals = map(line_of, authority.seal_keys)
    for line in seals if which is Which.SEAL else authority.public_lines(which):
        desk.output.line(line)


@ca.command(
    short_help="Change a key for another, by and by.",
    examples=["[program] ca rotate target", "[program] ca rotate target --retire"],
)
@click.argument("name", type=NAME)
@click.option("--retire", is_flag=True, help="Let the old key go, and the next one stand alone.")
@click.option("--force", is_flag=True, help="With --retire: even if hosts have not moved.")
@as_json
@click.pass_obj
def rotate(desk: Desk, *, name: str, retire: bool, force: bool, json: bool) -> None:
    """Change a key for another: make the next one; later, with --retire, let the old one go.

    Between the two both are trusted, and there is time to change what has to be changed, which is
    printed. user: the next key signs at once. target: it signs for the hosts where host check has
    logged in with it. host: it signs from --retire on. seal: it seals at once, and the old public
    half is kept to check old seals with, so there is nothing to retire.

    With a signer the key is made there first (signer rotate NAME), and this takes it over; this
    lets the old one go first, and then the signer (signer rotate NAME --retire).
    """
    services, which = desk.services, NAMES[name]
    if retire and which is Which.SEAL:
        raise BadInput("The seal is changed at once: ca rotate seal, and nothing is left to do.")
    if force and not retire:
        raise BadInput("--force belongs to --retire.")
    rotation = Rotation(services.store, services.authority, services.home.keys, services.signer)
    now = services.clock.now()
    if retire:
        _tell_retired(desk, name, rotation.retire(desk.actor, which, now, force=force), json)
    else:
        _tell_made(desk, name, rotation.rotate(desk.actor, which, now), json)


@ca.command(
    examples=[
        "[program] ca krl --output /etc/ssh/bastion_krl",
        "[program] ca krl | ssh web-1 'cat > krl.new && mv krl.new /etc/ssh/bastion_krl'",
    ]
)
@click.option(
    "--output", type=click.Path(path_type=Path), metavar="FILE", help="Where it is to lie."
)
@click.pass_obj
def krl(desk: Desk, *, output: Path | None) -> None:
    """The list of what is revoked, for a target's RevokedKeys.

    It names the certificates that were revoked and are not over, contractors' and targets', and
    the CAs that are retired. It is judged by ssh-keygen before it is renamed into its place, as
    sshd refuses everybody when the file is missing or damaged. With access.krl in bastion.toml the
    service keeps one up to date.
    """
    services = desk.services
    revocation = Revocation(services.store, services.authority)
    now = services.clock.now()
    listed = revocation.listed(now)
    if output is None:
        if sys.stdout.isatty():
            raise BadInput("It is not for a terminal: give --output FILE, or a pipe.")
        sys.stdout.buffer.write(revocation.judged(listed))
        sys.stdout.buffer.flush()
        return
    written = revocation.write(listed, output.absolute(), desk.actor, now)
    desk.output.note(
        f"{written.file} refuses {counted(written.certificates, 'certificate')} and "
        f"{counted(written.cas, 'retired CA')}."
    )


def _tell_made(desk: Desk, name: str, made: PublicKey, json: bool) -> None:
    if json:
        desk.output.document(_shape(desk, name))
        return
    desk.output.line(line_of(made))
    for sentence in succession.made(desk.services, NAMES[name], made):
        desk.output.note(sentence)


def _tell_retired(desk: Desk, name: str, retired: Retired, json: bool) -> None:
    if json:
        told = {"behind": list(retired.behind), "live_certificates": retired.live}
        desk.output.document({**_shape(desk, name), **told})
        return
    desk.output.line(line_of(retired.present))
    for sentence in succession.retired(desk.services, NAMES[name], retired):
        desk.output.note(sentence)
    if desk.services.signer is not None:
        desk.output.note(f"Last, at the signer: bastion-admin signer rotate {name} --retire")


def _shape(desk: Desk, name: str) -> Mapping[str, object]:
    """The keys of a CA; the names are a contract, as in `shapes`."""
    authority, which = desk.services.authority, NAMES[name]
    generations = authority.generations(which)
    following = generations.next
    return {
        "name": name,
        "public_key": authority.public_line(which),
        "fingerprint": authority.public_key(which).fingerprint,
        "next": None if following is None else _key(following.public),
        "retired": [_key(key) for key in generations.retired],
    }


def _key(key: PublicKey) -> Mapping[str, str]:
    return {"public_key": line_of(key), "fingerprint": key.fingerprint}
