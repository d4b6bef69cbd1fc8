"""`policy who-can` and `what-can`: the auditor's questions to the rules in force."""

import click

from bastion.durations import format_duration
from bastion.inventory import User
from bastion.rights import Right, what_can, who_can
from bastion.rules import Mode
from cli import lookup
from cli.arguments import HOST, USER
from cli.desk import Desk
from cli.listing import Form, listed, tell
from cli.output import Row
from cli.shapes import Shape
from cli.trying import rules_in_force
from cli.verb import Verb

_COLUMNS = ("rule", "way", "logins", "allows", "longest", "approvals", "limits")


@click.command(
    "who-can",
    cls=Verb,
    short_help="Who could reach HOST by the rules.",
    examples=["[program] policy who-can web-1", "[program] policy who-can web-1 --csv"],
)
@click.argument("host", type=HOST)
@listed
@click.pass_obj
def who_can_(desk: Desk, *, host: str, form: Form) -> None:
    """Who could reach HOST by the rules in force, as whom, and who would have to agree.

    What was granted already is told by `grants --host`.
    """
    found = lookup.host(desk.services, host)
    rights = who_can(rules_in_force(desk), found, _open(desk))
    tell(desk, form, "people", ("user", *_COLUMNS), [(_row(r, r.user), _right(r)) for r in rights])


@click.command(
    "what-can",
    cls=Verb,
    short_help="What USER could reach by the rules.",
    examples=["[program] policy what-can alice", "[program] policy what-can alice --json"],
)
@click.argument("user", type=USER)
@listed
@click.pass_obj
def what_can_(desk: Desk, *, user: str, form: Form) -> None:
    """Which hosts USER could reach by the rules in force, as whom, and who would have to agree.

    What was granted already is told by `grants --user`.
    """
    found = lookup.user(desk.services, user)
    rights: list[Right] = []
    if found.may_sign_in(desk.services.clock.now()):
        rights = what_can(rules_in_force(desk), found, desk.services.store.hosts())
    else:
        desk.output.note(f"The account {found.name} is closed.")
    tell(desk, form, "hosts", ("host", *_COLUMNS), [(_row(r, r.host), _right(r)) for r in rights])


def _open(desk: Desk) -> list[User]:
    now = desk.services.clock.now()
    return [user for user in desk.services.store.users() if user.may_sign_in(now)]


def _row(right: Right, first: str) -> Row:
    return (
        first,
        right.rule,
        right.way,
        right.logins,
        _allowed(right),
        format_duration(right.longest),
        right.consent,
        right.limits,
    )


def _allowed(right: Right) -> str:
    """What may be done, in words."""
    parts = ["a shell"] if Mode.SHELL in right.modes else []
    parts += _named(right.commands, "any command", "")
    parts += _named(right.files, "any files", "sftp ")
    return "; ".join(parts + _named(right.forwards, "any forward", "forward "))


def _named(things: tuple[str, ...], anything: str, before: str) -> list[str]:
    return [anything] if things == ("*",) else [f"{before}{thing}" for thing in things]


def _right(right: Right) -> Shape:
    return {
        "user": right.user,
        "host": right.host,
        "rule": right.rule,
        "way": right.way,
        "logins": list(right.logins),
        "modes": list(right.modes),
        "commands": list(right.commands),
        "files": list(right.files),
        "forwards": list(right.forwards),
        "longest": int(right.longest.total_seconds()),
        "approvals": right.consent or None,
        "limits": list(right.limits),
    }
