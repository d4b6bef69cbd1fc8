"""Syslog as RFC 5424 writes it: an address, a message, a message on a stream. Pure."""

import re
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Final

from bastion.addresses import parse_endpoint
from bastion.errors import BadInput
from bastion.events import moment

FACILITY: Final = 10
"""authpriv: who may read it is limited on most machines (RFC 5424, table 1)."""

NOTICE: Final = 5
WARNING: Final = 4

LONGEST: Final = 60_000
"""Bytes of a message: what fits a datagram."""

PORTS: Final = {"udp": 514, "tcp": 601}
"""RFC 5426 section 3.3, RFC 3195's port for streams."""

_NAME = re.compile(r"[^!-~]", re.ASCII)


class Way(StrEnum):
    """How a receiver is reached."""

    UNIX = "unix"
    UDP = "udp"
    TCP = "tcp"


@dataclass(frozen=True, slots=True)
class Address:
    """Where syslog is taken: the path of a socket on this machine, or a host with its port."""

    way: Way
    host: str
    port: int = 0

    def __str__(self) -> str:
        if self.way is Way.UNIX:
            return self.host
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{self.way}://{host}:{self.port}"


def parse_address(text: str) -> Address:
    """`/dev/log`, `udp://HOST[:514]` or `tcp://HOST[:601]`. Raises BadInput."""
    if text.startswith("/") and text.isprintable() and len(text) <= 100:
        return Address(Way.UNIX, text)
    scheme, slashes, rest = text.partition("://")
    if not slashes or scheme not in PORTS:
        raise BadInput(
            f"{text[:60]!a} is no address of syslog: write /dev/log, udp://HOST:514 or "
            "tcp://HOST:601."
        )
    endpoint = parse_endpoint(rest, PORTS[scheme])
    return Address(Way(scheme), endpoint.host, endpoint.port)


@dataclass(frozen=True, slots=True)
class Entry:
    """What a message is made of: `node` is the machine, `boot` the process's life, `kind` an
    event's; `text` one line of JSON. A `loud` one is a warning."""

    at: datetime
    node: str
    boot: str
    kind: str
    text: bytes
    loud: bool = False


def message(entry: Entry) -> bytes:
    """The whole message (RFC 5424 section 6), without structured data."""
    priority = FACILITY * 8 + (WARNING if entry.loud else NOTICE)
    header = (
        f"<{priority}>1 {moment(entry.at)} {_name(entry.node, 255)} bastion "
        f"{_name(entry.boot, 128)} {_name(entry.kind, 32)} - "
    )
    return header.encode() + entry.text


def framed(message: bytes) -> bytes:
    """A message on a stream: its length before it (RFC 6587 section 3.4.1)."""
    return b"%d %b" % (len(message), message)


def _name(text: str, limit: int) -> str:
    """A field of the header: printable US-ASCII without blanks, `-` for none."""
    return _NAME.sub("_", text)[:limit] or "-"
