"""How what a grant and a request have in common is kept: as JSON that is only ever read whole."""

from collections.abc import Iterable, Sequence
from ipaddress import IPv4Network, IPv6Network, ip_network
from typing import Any

from bastion.commands import Command
from bastion.files import parse_files
from bastion.forwards import parse_forward
from bastion.grants import Allows, Grant
from bastion.inventory import Selector
from bastion.requests import Request
from bastion.tables import Json
from bastion.templates import Template, literal, parse_template
from bastion.windows import Window, parse_window


def columns_of(asked: Grant | Request) -> dict[str, object]:
    """Where, as whom, what, from where and at which hours."""
    return {
        "hosts": [_selector_as_json(selector) for selector in asked.hosts],
        "logins": sorted(asked.logins),
        "allows": {
            "shell": asked.allows.shell,
            "commands": [str(template) for template in asked.allows.commands],
            "sftp": [str(files) for files in asked.allows.sftp],
            "forwards": [str(forward) for forward in asked.allows.forwards],
        },
        "sources": [str(network) for network in asked.sources],
        "window": None if asked.window is None else list(asked.window.words()),
    }


def selectors(kept: Iterable[dict[str, Any]]) -> tuple[Selector, ...]:
    """Which hosts are meant."""
    return tuple(map(_selector, kept))


def allows(kept: dict[str, Any]) -> Allows:
    """What may be run."""
    return Allows(
        shell=kept["shell"],
        commands=tuple(map(_template, kept["commands"])),
        sftp=tuple(map(parse_files, kept.get("sftp", ()))),
        forwards=tuple(map(parse_forward, kept.get("forwards", ()))),
    )


def networks(kept: Iterable[str]) -> tuple[IPv4Network | IPv6Network, ...]:
    """The networks to come from."""
    return tuple(map(ip_network, kept))


def window(kept: Sequence[str] | None) -> Window | None:
    """Days and hours."""
    return None if kept is None else parse_window(*kept)


def _template(kept: str | list[str]) -> Template:
    """A line; before there were templates, the words of a command were kept."""
    return parse_template(kept) if isinstance(kept, str) else literal(Command(tuple(kept)))


def _selector_as_json(selector: Selector) -> Json:
    if selector.pattern is not None:
        return {"pattern": selector.pattern}
    return {"labels": [[key, value] for key, value in sorted(selector.labels)]}


def _selector(kept: dict[str, Any]) -> Selector:
    if "pattern" in kept:
        return Selector(pattern=kept["pattern"])
    return Selector(labels=frozenset((key, value) for key, value in kept["labels"]))
