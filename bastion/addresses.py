"""Network addresses as people write them: `HOST:PORT`, and networks. Nothing is looked up."""

from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

from bastion.errors import BadInput
from bastion.names import host_name


@dataclass(frozen=True, slots=True)
class Endpoint:
    """A host (a DNS name or an IP address without brackets) and a TCP port."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


@dataclass(frozen=True, slots=True)
class Sharing:
    """How long the prefixes are that who shares a network has in common: bits of an IPv4 and of an
    IPv6 address."""

    v4: int = 32
    v6: int = 64

    def network(self, address: str) -> str:
        """The network of an address, as text; what is no address is one of its own."""
        try:
            ip = ip_address(address)
        except ValueError:
            return address
        bits = self.v4 if ip.version == 4 else self.v6
        if bits == ip.max_prefixlen:
            return str(ip)
        return str(ip_network((ip, bits), strict=False))


def plain_address(peer: str) -> str:
    """An address as a socket has it, without a zone, and IPv4 as such (RFC 4291, 2.5.5.2)."""
    bare = peer.partition("%")[0]
    try:
        ip = ip_address(bare)
    except ValueError:
        return bare
    return str(getattr(ip, "ipv4_mapped", None) or ip)


def parse_endpoint(text: str, default_port: int | None = None) -> Endpoint:
    """The endpoint in `HOST:PORT`, `[IPV6]:PORT`; without a port where there is a default.

    Raises BadInput.
    """
    stripped = text.strip()
    host, colon, port = stripped.rpartition(":")
    if _is_ipv6(stripped) or not colon or stripped.endswith("]"):
        host, port = stripped, ""
        colon = ""
    if not colon and default_port is None:
        raise BadInput(f"{text[:80]!a} names no port: write HOST:PORT, as in 127.0.0.1:2222.")
    return Endpoint(_host(host, text), _port(port, text) if colon else default_port or 0)


def parse_network(text: str) -> IPv4Network | IPv6Network:
    """The network that `text` is: an address, or `10.0.0.0/8`. Raises BadInput."""
    try:
        return ip_network(text.strip())
    except ValueError:
        pass
    try:
        whole = ip_network(text.strip(), strict=False)
    except ValueError:
        raise BadInput(f"{text[:80]!a} is not a network: write it as in 10.0.0.0/8.") from None
    raise BadInput(f"{text[:80]!a} has bits behind its mask: do you mean {whole}?")


def _host(host: str, text: str) -> str:
    bare = host.removeprefix("[").removesuffix("]")
    if host.startswith("[") != host.endswith("]"):
        raise BadInput(f"{text[:80]!a} is not an address: brackets go around an IPv6 address.")
    try:
        return str(ip_address(bare))
    except ValueError:
        pass
    if host.startswith("[") or not bare:
        raise BadInput(f"{text[:80]!a} is not an address: write HOST:PORT.")
    return host_name(bare)


def _port(port: str, text: str) -> int:
    if not (port.isascii() and port.isdigit() and len(port) <= 5 and 0 < int(port) < 65_536):
        raise BadInput(f"{text[:80]!a} has no port from 1 to 65535.")
    return int(port)


def _is_ipv6(text: str) -> bool:
    try:
        return isinstance(ip_address(text), IPv6Address)
    except ValueError:
        return False
