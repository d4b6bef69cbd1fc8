"""Arguments: what people write on a command line, as the values that bastion works with.

Each type raises BadInput with its sentence. `PublicKeyType` reads files and standard input, so no
verb that can be run over SSH has it.
"""

import sys
from collections.abc import Callable
from datetime import datetime, timedelta
from ipaddress import IPv4Network, IPv6Network
from pathlib import Path
from typing import Final, Generic, TypeVar, cast

import click

from bastion import names
from bastion.addresses import Endpoint, parse_endpoint, parse_network
from bastion.authority import read_public_key, read_public_key_file
from bastion.authority.public_keys import LIMIT
from bastion.durations import parse_duration, parse_past, parse_time
from bastion.errors import BadInput
from bastion.files import Files, parse_files
from bastion.forwards import Forward, parse_forward
from bastion.inventory import PublicKey, Selector, parse_selector
from bastion.templates import Template, parse_template
from cli.desk import Desk
from cli.offsets import parse_offset

T = TypeVar("T")


class Read(click.ParamType[T, object], Generic[T]):
    """A parameter that `read` takes apart; what it raises is its own sentence.

    A `phrase` may be several words where nobody kept the quotes (`cli.phrases`).
    """

    def __init__(self, name: str, read: Callable[[str], T], *, phrase: bool = False) -> None:
        self.name = name
        self.phrase = phrase
        self._read = read

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> T:
        """The value of a text; click hands over values that were read as well."""
        return self._read(value) if isinstance(value, str) else cast(T, value)


class MomentType(click.ParamType[datetime, object]):
    """A point in time. One without a zone is UTC, which is said.

    Where it is `past`, a duration is that long ago. Of what is to come it would say the wrong
    thing, and so it is refused there.
    """

    name = "time"

    def __init__(self, *, past: bool = False) -> None:
        self._past = past

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> datetime:
        """The moment, in UTC."""
        if isinstance(value, datetime):
            return value
        desk = ctx.find_object(Desk) if ctx else None
        if self._past and desk is not None:
            moment = parse_past(str(value), desk.services.clock.now())
        else:
            moment = parse_time(str(value))
        if desk is not None and not moment.zoned:
            desk.output.note(f"{value} has no zone and is taken as {moment.at:%Y-%m-%d %H:%M} UTC.")
        return moment.at


class PublicKeyType(click.ParamType[PublicKey, object]):
    """A public key: a file, `-` for standard input, or the line itself."""

    name = "file|-|line"

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> PublicKey:
        """The key. Raises BadInput with the reason."""
        if isinstance(value, PublicKey):
            return value
        text = str(value)
        if text == "-":
            return read_public_key(sys.stdin.buffer.read(LIMIT + 1))
        if " " in text.strip() and not Path(text).exists():
            return read_public_key(text)
        return read_public_key_file(Path(text).expanduser())


def _target(text: str) -> Endpoint:
    return parse_endpoint(text, 22)


def _fingerprint(text: str) -> str:
    if not text.startswith("SHA256:"):
        raise BadInput(f"{text[:60]!a} is not a fingerprint: ssh-keygen -lf FILE shows SHA256:….")
    return text.rstrip("=")


MOMENT: Final = MomentType()
PAST: Final = MomentType(past=True)
KEY: Final = PublicKeyType()
DURATION: Final[Read[timedelta]] = Read("duration", parse_duration)
NETWORK: Final[Read[IPv4Network | IPv6Network]] = Read("cidr", parse_network)
LISTEN: Final[Read[Endpoint]] = Read("host:port", parse_endpoint)
ADDRESS: Final[Read[Endpoint]] = Read("host[:port]", _target)
COMMAND: Final[Read[Template]] = Read("template", parse_template, phrase=True)
FORWARD: Final[Read[Forward]] = Read("host:port", parse_forward)
FILES: Final[Read[Files]] = Read("rule", parse_files)
WORDS: Final[Read[str]] = Read("words", str, phrase=True)
SELECTOR: Final[Read[Selector]] = Read("host", parse_selector)
USER: Final[Read[str]] = Read("user", names.user_name)
HOST: Final[Read[str]] = Read("host", names.host_name)
LOGIN: Final[Read[str]] = Read("login", names.login_name)
GROUP: Final[Read[str]] = Read("group", names.group_name)
LABEL: Final[Read[tuple[str, str]]] = Read("key=value", names.label)
GRANT: Final[Read[int]] = Read("g-n", lambda text: names.numbered("G", text))
REQUEST: Final[Read[int]] = Read("r-n", lambda text: names.numbered("R", text))
SESSION: Final[Read[int]] = Read("s-n", lambda text: names.numbered("S", text))
OFFSET: Final[Read[float]] = Read("offset", parse_offset)
FINGERPRINT: Final[Read[str]] = Read("fingerprint", _fingerprint)
