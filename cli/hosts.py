"""`bastion-admin host …`: the inventory of targets, and whether they answer as they should."""

import asyncio
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import click

from bastion.addresses import Endpoint
from bastion.errors import BadInput, Refused, Unavailable
from bastion.grants import Grant
from bastion.inventory import Host, PublicKey, ShellType
from bastion.probe import scan as scan_keys
from cli import lookup, shapes
from cli.arguments import ADDRESS, HOST, KEY, LABEL
from cli.desk import Desk
from cli.listing import Form, as_json, described, listed, tell
from cli.reach import check, setup
from cli.verb import Noun

SHELLS = click.Choice([shell.value for shell in ShellType], case_sensitive=False)


@click.group(
    cls=Noun,
    examples=["[program] host add web-1 --address 10.0.0.5 --host-key web-1.pub"],
)
def host() -> None:
    """Targets: where they are, which keys they show."""


def _properties(command: Callable[..., Any]) -> Callable[..., Any]:
    """The options that `add` and `set` share."""
    for option in (
        click.option("--widen", is_flag=True, help="Even if grants that are there let in to it."),
        click.option(
            "--shell-type",
            type=SHELLS,
            help="The login shell of its accounts; commands can be granted where it is known.",
        ),
        click.option(
            "--label",
            "labels",
            type=LABEL,
            multiple=True,
            metavar="K=V",
            help="To grant by; may be repeated.",
        ),
        click.option(
            "--alias",
            "aliases",
            type=HOST,
            multiple=True,
            metavar="NAME",
            help="A further name that contractors may type; may be repeated.",
        ),
        click.option("--scan", is_flag=True, help="Ask it for its keys, show them, and ask you."),
        click.option(
            "--host-ca",
            "host_cas",
            type=KEY,
            multiple=True,
            metavar="FILE|-|LINE",
            help="A CA whose host certificates it shows.",
        ),
        click.option(
            "--host-key",
            "host_keys",
            type=KEY,
            multiple=True,
            metavar="FILE|-|LINE",
            help="A key that it shows, from its /etc/ssh/ssh_host_*_key.pub; may be repeated.",
        ),
    ):
        command = option(command)
    return command


@host.command(
    examples=[
        "[program] host add web-1 --address 10.0.0.5 --host-key web-1.pub --label env=prod",
        "[program] host add db-1 --address db.example.org:2222 --scan --alias db --shell-type bash",
    ]
)
@click.argument("name", type=HOST)
@click.option(
    "--address", type=ADDRESS, required=True, metavar="HOST[:PORT]", help="Where it answers."
)
@_properties
@as_json
@click.pass_obj
def add(
    desk: Desk,
    *,
    name: str,
    address: Endpoint,
    host_keys: tuple[PublicKey, ...],
    host_cas: tuple[PublicKey, ...],
    scan: bool,
    aliases: tuple[str, ...],
    labels: tuple[tuple[str, str], ...],
    shell_type: str | None,
    widen: bool,
    json: bool,
) -> None:
    """Add a target, with the keys that it must show."""
    services = desk.services
    if scan:
        host_keys += _scanned(desk, address)
    if not host_keys and not host_cas:
        raise BadInput("Say which keys it shows: --host-key FILE, --host-ca FILE, or --scan.")
    new = Host(
        name=name,
        address=address.host,
        port=address.port,
        host_keys=host_keys,
        host_cas=host_cas,
        aliases=frozenset(aliases) - {name},
        labels=frozenset(labels),
        shell_type=None if shell_type is None else ShellType(shell_type),
    )
    changed = services.enrolment.add_host(desk.actor, new, services.clock.now(), widen=widen)
    _let_in(desk, changed.lets_in)
    _told(desk, json, new, f"{name} is added: {address}.")


@host.command("list", examples=["[program] host list --label env=prod"])
@click.option(
    "--label",
    "labels",
    type=LABEL,
    multiple=True,
    metavar="K=V",
    help="Only those with it; may be repeated.",
)
@listed
@click.pass_obj
def list_hosts(desk: Desk, *, form: Form, labels: tuple[tuple[str, str], ...]) -> None:
    """All targets, by name."""
    found = [
        (_row(each), shapes.host(each))
        for each in desk.services.store.hosts()
        if frozenset(labels) <= each.labels
    ]
    tell(desk, form, "hosts", ("name", "address", "aliases", "labels", "shell", "keys"), found)


@host.command(examples=["[program] host show web-1"])
@click.argument("name", type=HOST)
@as_json
@click.pass_obj
def show(desk: Desk, *, name: str, json: bool) -> None:
    """One target."""
    tell_host(desk, lookup.host(desk.services, name), json)


@host.command(
    "set",
    examples=[
        "[program] host set web-1 --address 10.0.0.6",
        "[program] host set web-1 --scan --shell-type bash",
    ],
)
@click.argument("name", type=HOST)
@click.option("--address", type=ADDRESS, metavar="HOST[:PORT]", help="Where it answers.")
@_properties
@click.option(
    "--unset",
    type=click.Choice(["alias", "label", "shell-type", "host-ca"]),
    multiple=True,
    help="Take all of these away; may be repeated.",
)
@as_json
@click.pass_obj
def set_host(
    desk: Desk,
    *,
    name: str,
    address: Endpoint | None,
    host_keys: tuple[PublicKey, ...],
    host_cas: tuple[PublicKey, ...],
    scan: bool,
    aliases: tuple[str, ...],
    labels: tuple[tuple[str, str], ...],
    shell_type: str | None,
    widen: bool,
    unset: tuple[str, ...],
    json: bool,
) -> None:
    """Change what is known about a target. Keys, aliases and labels replace those it had."""
    services = desk.services
    old = lookup.host(services, name)
    where = address or Endpoint(old.address, old.port)
    if scan:
        host_keys += _scanned(desk, where)
    same = where == Endpoint(old.address, old.port) and not host_keys
    new = replace(
        _stripped(old, unset),
        address=where.host,
        port=where.port,
        target_ca=old.target_ca if same else None,  # another machine has to be looked at anew
        **_given(
            host_keys=host_keys,
            host_cas=host_cas,
            aliases=frozenset(aliases) - {old.name},
            labels=frozenset(labels),
            shell_type=None if shell_type is None else ShellType(shell_type),
        ),
    )
    if new == old:
        raise BadInput("There is nothing to change: say what, as in --address or --label.")
    changed = services.enrolment.set_host(desk.actor, new, services.clock.now(), widen=widen)
    _let_in(desk, changed.lets_in)
    _told(desk, json, new, f"{new.name} is changed.")


def _stripped(old: Host, unset: tuple[str, ...]) -> Host:
    nothing: dict[str, Any] = {
        "alias": {"aliases": frozenset()},
        "label": {"labels": frozenset()},
        "shell-type": {"shell_type": None},
        "host-ca": {"host_cas": ()},
    }
    for what in unset:
        old = replace(old, **nothing[what])
    return old


def _given(**values: object) -> dict[str, Any]:
    return {name: value for name, value in values.items() if value}


@host.command(examples=["[program] host remove web-1"])
@click.argument("name", type=HOST)
@click.option("--force", is_flag=True, help="Even if a grant that is not over names it.")
@click.pass_obj
def remove(desk: Desk, *, name: str, force: bool) -> None:
    """Take a target out of the inventory; nothing reaches it any more."""
    services = desk.services
    found = lookup.host(services, name)
    services.enrolment.remove_host(desk.actor, found.name, services.clock.now(), force=force)
    desk.output.note(f"{found.name} is removed.")


for verb in (check, setup):
    host.add_command(verb)


def tell_host(desk: Desk, found: Host, json: bool) -> None:
    """One target."""
    described(
        desk,
        json,
        shapes.host(found),
        [
            ("name", found.name),
            ("address", str(Endpoint(found.address, found.port))),
            ("aliases", found.aliases),
            ("labels", _labels(found)),
            ("shell", found.shell_type),
            *[(f"key {n}", _key(each)) for n, each in enumerate(found.host_keys, start=1)],
            *[(f"CA {n}", _key(each)) for n, each in enumerate(found.host_cas, start=1)],
        ],
    )


def _scanned(desk: Desk, address: Endpoint) -> tuple[PublicKey, ...]:
    """The keys that it shows, once somebody has said that they are right."""
    found = asyncio.run(scan_keys(address.host, address.port))
    if not found:
        raise Unavailable(f"{address} shows no key that the bastion takes (ed25519, ecdsa, rsa).")
    desk.output.note(f"{address} shows:")
    for each in found:
        desk.output.note(f"  {_key(each)}")
    desk.output.note("Compare with: ssh-keygen -lf /etc/ssh/ssh_host_ed25519_key.pub  (run there)")
    try:
        right = click.confirm("Are these its keys?", default=False, err=True)
    except click.Abort:
        right = False
    if not right:
        raise Refused("Nothing is changed, as nobody said that these are its keys.")
    return tuple(found)


def _let_in(desk: Desk, grants: tuple[Grant, ...]) -> None:
    for each in grants:
        desk.output.note(
            f"{each} lets {each.user} in now, until {each.ends_at:%Y-%m-%d %H:%M} UTC."
        )


def _told(desk: Desk, json: bool, found: Host, sentence: str) -> None:
    if json:
        desk.output.document(shapes.host(found))
    else:
        desk.output.note(sentence)


def _row(found: Host) -> tuple[object, ...]:
    return (
        found.name,
        str(Endpoint(found.address, found.port)),
        found.aliases,
        _labels(found),
        found.shell_type,
        len(found.host_keys) + len(found.host_cas),
    )


def _labels(found: Host) -> list[str]:
    return [f"{key}={value}" for key, value in sorted(found.labels)]


def _key(public_key: PublicKey) -> str:
    return f"{public_key.fingerprint} {public_key.algorithm} {public_key.comment}".rstrip()
