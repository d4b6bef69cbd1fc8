"""Terms: the options that giving an access and asking for one share, handed over as one value."""

import functools
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from ipaddress import IPv4Network, IPv6Network
from typing import Any

import click

from bastion.errors import BadInput
from bastion.files import Files
from bastion.forwards import Forward
from bastion.grants import Allows
from bastion.templates import Template
from bastion.windows import Window, parse_window
from cli.arguments import COMMAND, DURATION, FILES, FORWARD, LOGIN, MOMENT, NETWORK


@dataclass(frozen=True, slots=True)
class Terms:
    """As whom, doing what, how long and within which limits; what is not said is None or empty."""

    logins: tuple[str, ...] = ()
    allows: Allows | None = None
    duration: timedelta | None = None
    starts_at: datetime | None = None
    ticket: str | None = None
    sources: tuple[IPv4Network | IPv6Network, ...] = ()
    window: Window | None = None


def termed(command: Callable[..., Any]) -> Callable[..., Any]:
    """The options, handed to the verb as its parameter `terms`."""

    @functools.wraps(command)
    def with_terms(
        *args: Any,  # noqa: ANN401 (click's own)
        shell: bool,
        commands: tuple[Template, ...],
        files: tuple[Files, ...],
        forwards: tuple[Forward, ...],
        days: str | None,
        hours: str | None,
        tz: str | None,
        **kwargs: Any,  # noqa: ANN401
    ) -> Any:  # noqa: ANN401
        named = {name: kwargs.pop(name) for name in _NAMES}
        something = shell or commands or files or forwards
        allows = Allows(shell, commands, files, forwards) if something else None
        terms = Terms(**named, allows=allows, window=_window(days, hours, tz))
        return command(*args, terms=terms, **kwargs)

    wrapped: Callable[..., Any] = with_terms
    for option in reversed(_OPTIONS):
        wrapped = option(wrapped)
    return wrapped


_NAMES = ("logins", "duration", "starts_at", "ticket", "sources")

_OPTIONS = (
    click.option(
        "--login",
        "logins",
        type=LOGIN,
        multiple=True,
        help="An account on the host; may be repeated.",
    ),
    click.option("--shell", is_flag=True, help="A shell, and with it any command."),
    click.option(
        "--command",
        "commands",
        type=COMMAND,
        multiple=True,
        metavar="TEMPLATE",
        help="A command line, with placeholders as {a,b} or {word}; may be repeated.",
    ),
    click.option(
        "--sftp",
        "files",
        type=FILES,
        metavar="RULE",
        multiple=True,
        help="Files, by sftp and scp: read:/var/log/** or write,20M:/srv/in/*; may be repeated.",
    ),
    click.option(
        "--forward",
        "forwards",
        type=FORWARD,
        metavar="HOST:PORT",
        multiple=True,
        help="A port that the host can reach, as ssh -L asks for it; may be repeated.",
    ),
    click.option("--for", "duration", type=DURATION, help="How long, from the start: 90m, 2h, 1d."),
    click.option("--from", "starts_at", type=MOMENT, metavar="TIME", help="From when; else now."),
    click.option("--ticket", help="The id of the matter elsewhere."),
    click.option(
        "--source",
        "sources",
        type=NETWORK,
        multiple=True,
        help="Only from this network; may be repeated.",
    ),
    click.option("--days", metavar="DAYS", help="Only on these days: mon-fri, or sat,sun."),
    click.option("--hours", metavar="HOURS", help="Only at these hours: 09:00-18:00."),
    click.option("--tz", metavar="ZONE", help="The zone of days and hours: Europe/Berlin; or UTC."),
)


def _window(days: str | None, hours: str | None, tz: str | None) -> Window | None:
    if days is None and hours is None and tz is not None:
        raise BadInput("--tz means nothing without --days or --hours: add one, or leave it out.")
    return None if days is None and hours is None else parse_window(days, hours, tz)
