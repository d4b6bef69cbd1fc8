"""`ssh bastion hosts`: where one may go, and where one may ask to go."""

import shlex
from collections.abc import Iterator

import click

from bastion.durations import format_duration
from bastion.inventory import Host, Role, User
from bastion.looks import Way
from bastion.rights import Right, what_can
from bastion.rules import Mode
from bastion.templates import parse_template
from cli.desk import Desk
from cli.listing import Form, listed, tell
from cli.output import Row
from cli.own import signed_in
from cli.shapes import Shape
from cli.trust import granted_hosts
from cli.verb import Verb

_COLUMNS = ("name", "aliases", "logins", "try")


@click.command(
    cls=Verb,
    short_help="The hosts that you may reach, or ask for.",
    examples=["[program] hosts", "[program] hosts --json"],
)
@listed
@click.pass_obj
def hosts(desk: Desk, *, form: Form) -> None:
    """The hosts that you may reach, now or soon, and as whom; then those that you may ask for."""
    user = signed_in(desk).user
    tell(desk, form, "hosts", _COLUMNS, [*_reached(desk, user), *_to_ask_for(desk, user)])


def _reached(desk: Desk, user: User) -> Iterator[tuple[Row, Shape]]:
    """Hosts that grants let in to."""
    for host, logins in granted_hosts(desk.services, user):
        row = (host.name, host.aliases, logins, f"ssh -J bastion {logins[0]}@{host.name}")
        yield row, {**_named(host), "logins": list(logins), "granted": True}


def _to_ask_for(desk: Desk, user: User) -> Iterator[tuple[Row, Shape]]:
    """What the rules let a contractor ask for, or take in an emergency."""
    services = desk.services
    if Role.CONTRACTOR not in user.roles:
        return
    known = {host.name: host for host in services.store.hosts()}
    for right in what_can(services.rulebook.current(), user, known.values()):
        if right.way is not Way.OPERATOR:
            host = known[right.host]
            yield (host.name, host.aliases, right.logins, _request(right)), _asked(host, right)


def _request(right: Right) -> str:
    """How one would ask for it."""
    login = "LOGIN" if right.logins == ("*",) else right.logins[0]
    words = [f"ssh bastion request {right.host} --login {login}"]
    words += ["--shell"] if Mode.SHELL in right.modes else []
    words += [f"--forward {name}" for name in _first(right.forwards, "HOST:PORT")]
    words += [f"--for {format_duration(right.longest)} --reason WORDS"]
    words += ["--ticket ID"] if right.ticket else []
    words += ["--break-glass"] if right.way is Way.EMERGENCY else []
    words += [_behind(line) for line in _first(right.commands, "COMMAND")]
    return " ".join(words)


def _behind(line: str) -> str:
    """A command, or a template, so that it arrives as it is: ssh drops one's own shell's quotes.

    What stands behind `--` is read as it was typed; elsewhere quotes are taken once more.
    """
    template = parse_template(line)
    exact = template.exact is not None and not template.tty
    quoted = shlex.quote(line) if set(line) & set("'\"{}") else line
    if exact:
        return f"-- {quoted}"
    return f"--command {shlex.quote(quoted) if set(line) & _QUOTES else quoted}"


_QUOTES = frozenset("'\"")


def _first(named: tuple[str, ...], anything: str) -> list[str]:
    """The first of what can be asked for, if anything can."""
    return [anything if name == "*" else name for name in named[:1]]


def _asked(host: Host, right: Right) -> Shape:
    return {
        **_named(host),
        "logins": list(right.logins),
        "granted": False,
        "modes": list(right.modes),
        "commands": list(right.commands),
        "forwards": list(right.forwards),
        "longest": int(right.longest.total_seconds()),
        "approvals": right.consent or None,
        "limits": list(right.limits),
        "emergency": right.way is Way.EMERGENCY,
        "rule": right.rule,
    }


def _named(host: Host) -> dict[str, object]:
    return {"name": host.name, "aliases": sorted(host.aliases)}
