"""`bastion-admin user …`: the people, and the keys that they sign in with."""

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime
from typing import Any

import click

from bastion.enrolment import UserChange
from bastion.errors import BadInput
from bastion.inventory import PublicKey, Role, User
from cli import lookup, shapes
from cli.arguments import FINGERPRINT, GROUP, KEY, MOMENT, USER
from cli.desk import Desk
from cli.listing import Form, as_json, described, listed, tell
from cli.verb import Noun

ROLES = click.Choice([role.value for role in Role], case_sensitive=False)


@click.group(
    cls=Noun,
    examples=["[program] user add alice --key alice.pub --email alice@example.org"],
)
def user() -> None:
    """People and their keys."""


def _properties(command: Callable[..., Any]) -> Callable[..., Any]:
    """The options that `add` and `set` share."""
    for option in (
        click.option("--until", type=MOMENT, metavar="TIME", help="The end of the account."),
        click.option("--sponsor", type=USER, metavar="USER", help="Who vouches for them."),
        click.option("--email", metavar="ADDRESS", help="Where they are reached."),
        click.option(
            "--group", "groups", type=GROUP, multiple=True, help="A group; may be repeated."
        ),
        click.option(
            "--role", "roles", type=ROLES, multiple=True, help="What they may do; may be repeated."
        ),
    ):
        command = option(command)
    return command


@user.command(
    examples=[
        "[program] user add alice --key alice.pub --email alice@example.org",
        "[program] user add bob --key 'ssh-ed25519 AAAA… bob@laptop' --role auditor",
        "curl -s https://keys.example.org/carol | [program] user add carol --key -",
    ]
)
@click.argument("name", type=USER)
@click.option(
    "--key",
    "keys",
    type=KEY,
    multiple=True,
    required=True,
    metavar="FILE|-|LINE",
    help="A public key: a file, - for standard input, or the line itself; may be repeated.",
)
@_properties
@as_json
@click.pass_obj
def add(
    desk: Desk,
    *,
    name: str,
    keys: tuple[PublicKey, ...],
    roles: tuple[str, ...],
    groups: tuple[str, ...],
    email: str | None,
    sponsor: str | None,
    until: datetime | None,
    json: bool,
) -> None:
    """Add a person, with at least one public key."""
    services = desk.services
    now = services.clock.now()
    added = services.enrolment.add_user(
        desk.actor, name, keys, _change(roles, groups, email, sponsor, until), now
    )
    _told(desk, json, added, f"{added.name} is added with {_fingerprints(added)}.")


@user.command("list", examples=["[program] user list", "[program] user list --role auditor"])
@click.option("--role", type=ROLES, help="Only those with this role.")
@click.option("--group", type=GROUP, help="Only those in this group.")
@listed
@click.pass_obj
def list_users(desk: Desk, *, form: Form, role: str | None, group: str | None) -> None:
    """All people, by name."""
    now = desk.services.clock.now()
    found = [
        (_row(each, now), shapes.user(each, now))
        for each in desk.services.store.users()
        if (role is None or Role(role) in each.roles) and (group is None or group in each.groups)
    ]
    tell(desk, form, "users", ("name", "state", "roles", "keys", "until", "email"), found)


@user.command(examples=["[program] user show alice"])
@click.argument("name", type=USER)
@as_json
@click.pass_obj
def show(desk: Desk, *, name: str, json: bool) -> None:
    """One person, with keys and grants that are not over."""
    tell_user(desk, lookup.user(desk.services, name), json)


@user.command(
    "set",
    examples=[
        "[program] user set alice --role contractor --role approver",
        "[program] user set alice --until 2027-01-31T18:00Z",
    ],
)
@click.argument("name", type=USER)
@_properties
@click.option("--no-until", is_flag=True, help="The account has no end.")
@as_json
@click.pass_obj
def set_user(
    desk: Desk,
    *,
    name: str,
    roles: tuple[str, ...],
    groups: tuple[str, ...],
    email: str | None,
    sponsor: str | None,
    until: datetime | None,
    no_until: bool,
    json: bool,
) -> None:
    """Change what is known about a person.

    Roles and groups replace those that were there. An empty text takes an address or a sponsor
    away.
    """
    services = desk.services
    now = services.clock.now()
    change = replace(_change(roles, groups, email, sponsor, until), without_end=no_until)
    if change == UserChange():
        raise BadInput("There is nothing to change: say what, as in --email or --until.")
    lookup.user(services, name)
    changed = services.enrolment.set_user(desk.actor, name, change, now)
    _told(desk, json, changed, f"{changed.name} is changed.")


@user.command(examples=["[program] user disable alice"])
@click.argument("name", type=USER)
@click.pass_obj
def disable(desk: Desk, *, name: str) -> None:
    """Shut an account; whatever is live ends within a second."""
    services = desk.services
    lookup.user(services, name)
    services.enrolment.disable(desk.actor, name, services.clock.now())
    desk.output.note(f"{name} is disabled; what was live ends now.")


@user.command(examples=["[program] user enable alice"])
@click.argument("name", type=USER)
@click.pass_obj
def enable(desk: Desk, *, name: str) -> None:
    """Open an account again."""
    services = desk.services
    lookup.user(services, name)
    services.enrolment.enable(desk.actor, name, services.clock.now())
    desk.output.note(f"{name} is enabled.")


@user.group(cls=Noun, examples=["[program] user key add alice new-laptop.pub"])
def key() -> None:
    """The keys that a person signs in with."""


@key.command("add", examples=["[program] user key add alice new-laptop.pub"])
@click.argument("name", type=USER)
@click.argument("public_key", type=KEY, metavar="FILE|-|LINE")
@click.pass_obj
def add_key(desk: Desk, *, name: str, public_key: PublicKey) -> None:
    """Enrol a further key."""
    services = desk.services
    lookup.user(services, name)
    services.enrolment.add_key(desk.actor, name, public_key, services.clock.now())
    desk.output.note(f"{name} has the key {public_key.fingerprint} now.")


@key.command("remove", examples=["[program] user key remove alice SHA256:AbC…"])
@click.argument("name", type=USER)
@click.argument("fingerprint", type=FINGERPRINT)
@click.pass_obj
def remove_key(desk: Desk, *, name: str, fingerprint: str) -> None:
    """Take a key away; it opens nothing from now on."""
    services = desk.services
    lookup.user(services, name)
    services.enrolment.remove_key(desk.actor, name, fingerprint, services.clock.now())
    desk.output.note(f"{name} no longer has the key {fingerprint}.")


def tell_user(desk: Desk, person: User, json: bool) -> None:
    """One person: properties, keys and grants that are not over."""
    services = desk.services
    now = services.clock.now()
    grants = services.store.grants_not_over(person.name, now)
    shape = {**shapes.user(person, now), "grants": [shapes.grant(each, now) for each in grants]}
    keys = [(f"key {number}", _key(each)) for number, each in enumerate(person.keys, start=1)]
    described(
        desk,
        json,
        shape,
        [
            ("name", person.name),
            ("state", shapes.user_state(person, now)),
            ("roles", person.roles),
            ("groups", person.groups),
            ("email", person.email),
            ("sponsor", person.sponsor),
            ("until", person.until),
            ("disabled at", person.disabled_at),
            ("enrolled by", person.enrolled_by),
            *keys,
            ("grants", [str(each) for each in grants]),
        ],
    )


def _change(
    roles: tuple[str, ...],
    groups: tuple[str, ...],
    email: str | None,
    sponsor: str | None,
    until: datetime | None,
) -> UserChange:
    return UserChange(
        roles=frozenset(map(Role, roles)) or None,
        groups=frozenset(groups) or None,
        email=email,
        sponsor=sponsor,
        until=until,
    )


def _told(desk: Desk, json: bool, person: User, sentence: str) -> None:
    if json:
        desk.output.document(shapes.user(person, desk.services.clock.now()))
    else:
        desk.output.note(sentence)


def _row(person: User, now: datetime) -> tuple[object, ...]:
    state = shapes.user_state(person, now)
    return person.name, state, person.roles, len(person.keys), person.until, person.email


def _key(public_key: PublicKey) -> str:
    return f"{public_key.fingerprint} {public_key.algorithm} {public_key.comment}".rstrip()


def _fingerprints(person: User) -> str:
    return ", ".join(each.fingerprint for each in person.keys)
