"""Ports as a grant names them: `db:5432`, `localhost:*`. Pure.

Names are what the client asks for and the target's sshd then looks up: no address is compared
with what a name leads to.
"""

import re
from dataclasses import dataclass
from ipaddress import ip_address

from bastion.errors import BadInput

HIGHEST = 65_535

_NAME = re.compile(r"[a-z0-9_](?:[a-z0-9_.-]{0,251}[a-z0-9_])?")


@dataclass(frozen=True, slots=True)
class Forward:
    """Where a forward may lead from the target: `host` in lower case, `port` or, None, any."""

    host: str
    port: int | None

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{'*' if self.port is None else self.port}"

    def matches(self, host: str, port: int) -> bool:
        """Whether `host:port`, as a client asks for it (RFC 4254, 7.2), is meant."""
        return self.port in (None, port) and 0 < port <= HIGHEST and _plain(host) == self.host

    def within(self, wide: "Forward") -> bool:
        """Whether `wide` leads there too."""
        return self.host == wide.host and wide.port in (None, self.port)

    @property
    def local(self) -> bool:
        """Whether it leads to the target itself, where other people's services listen too."""
        return self.host in ("localhost", "127.0.0.1", "::1")


def parse_forward(text: str) -> Forward:
    """What `HOST:PORT` means; the port may be `*`. Raises BadInput."""
    host, colon, port = text.rpartition(":")
    if not colon:
        raise BadInput(f"{text[:60]!a} names no port: write HOST:PORT, as in db:5432.")
    return Forward(_host(host, text), _port(port, text))


def _host(text: str, whole: str) -> str:
    bracketed = text.startswith("[") and text.endswith("]")
    if ":" in text and not bracketed:
        raise BadInput(f"{whole[:60]!a}: an IPv6 address stands in brackets, as in [::1]:5432.")
    host = _plain(text[1:-1] if bracketed else text)
    if ":" in host or _NAME.fullmatch(host):
        return host
    raise BadInput(f"{whole[:60]!a} names no host: write a name or an address, without patterns.")


def _plain(host: str) -> str:
    """An address in its one form, a name in lower case."""
    try:
        return str(ip_address(host))
    except ValueError:
        return host.casefold().replace(":", "?")


def _port(text: str, whole: str) -> int | None:
    if text == "*":
        return None
    if text.isascii() and text.isdigit() and len(text) <= 5 and 0 < int(text) <= HIGHEST:
        return int(text)
    raise BadInput(f"{whole[:60]!a}: a port is 1 to {HIGHEST}, or * for any.")
