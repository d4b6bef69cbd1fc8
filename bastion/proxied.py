"""The PROXY protocol, version 2: who a balancer says is behind a connection. Pure.

Only the binary header is read, and only of a TCP connection: somebody of whom the balancer does not
know from where (UNSPEC) would be the balancer. What a balancer adds behind the addresses (TLVs) is
skipped. Whether somebody may say so at all is not known here.
Source: https://www.haproxy.org/download/2.9/doc/proxy-protocol.txt, section 2.2
"""

from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address
from typing import Final

from bastion.errors import BadInput

SIGNATURE: Final = b"\r\n\r\n\0\r\nQUIT\n"

LONGEST: Final = 536
"""Bytes of a whole header: what fits the smallest segment, so that it comes in one."""

_FIXED: Final = 16
_LOCAL, _PROXY = 0x20, 0x21
_TCP4, _TCP6 = 0x11, 0x21
_ADDRESSES: Final = {_TCP4: 12, _TCP6: 36}


@dataclass(frozen=True, slots=True)
class Header:
    """A header of `size` bytes. `source` is the client's address as text; None where the balancer
    speaks for itself, as it does to see whether we are there."""

    size: int
    source: str | None


def read_header(data: bytes) -> Header | None:
    """The header that `data` begin with; None while more of it has to come. Raises BadInput."""
    if not SIGNATURE.startswith(data[: len(SIGNATURE)]):
        first = " (version 1 is not read)" if data.startswith(b"PROXY") else ""
        raise BadInput(f"no header of the PROXY protocol, version 2, came first{first}.")
    if len(data) < _FIXED:
        return None
    command, family = data[12], data[13]
    size = _FIXED + int.from_bytes(data[14:_FIXED], "big")
    if command not in (_LOCAL, _PROXY):
        raise BadInput(f"a header of the PROXY protocol has the command {command:#04x}.")
    if size > LONGEST:
        raise BadInput(f"a header of the PROXY protocol is longer than {LONGEST} bytes.")
    if len(data) < size:
        return None
    if command == _LOCAL:
        return Header(size, None)
    if size - _FIXED < _ADDRESSES.get(family, LONGEST):
        raise BadInput(f"a header of the PROXY protocol is of no TCP connection ({family:#04x}).")
    return Header(size, _source(family, data))


def _source(family: int, data: bytes) -> str:
    if family == _TCP4:
        return str(IPv4Address(data[_FIXED : _FIXED + 4]))
    address = IPv6Address(data[_FIXED : _FIXED + 16])
    return str(address.ipv4_mapped or address)
