"""The PROXY protocol's header: read as HAProxy writes it, and nothing else taken for one."""

from ipaddress import IPv4Address, IPv6Address, ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bastion.errors import BadInput
from bastion.proxied import LONGEST, SIGNATURE, Header, read_header

TCP4, TCP6, UDP4, UNIX = 0x11, 0x21, 0x12, 0x31


def header(family: int, body: bytes, command: int = 0x21) -> bytes:
    """A header as it goes over the wire."""
    return SIGNATURE + bytes((command, family)) + len(body).to_bytes(2, "big") + body


def from_(address: IPv4Address | IPv6Address, more: bytes = b"") -> bytes:
    """Somebody at that address, port 5000, has connected to port 22."""
    family = TCP4 if address.version == 4 else TCP6
    ports = (5000).to_bytes(2, "big") + (22).to_bytes(2, "big")
    return header(family, address.packed * 2 + ports + more)


def test_the_example_of_its_text() -> None:
    """Byte for byte, as in the protocol's own text: 192.0.2.1 to 192.0.2.2."""
    said = bytes.fromhex("0d0a0d0a000d0a515549540a 21 11 000c c0000201 c0000202 1388 0016")
    assert read_header(said + b"SSH-2.0-x") == Header(28, "192.0.2.1")


ADDRESSES = st.ip_addresses(v=4) | st.ip_addresses(v=6, network="2000::/3")


@given(ADDRESSES, st.binary(max_size=400), st.binary(max_size=50))
def test_the_source_is_read_and_what_follows_is_left(
    address: IPv4Address | IPv6Address, tlvs: bytes, rest: bytes
) -> None:
    """Whatever stands behind the addresses is skipped; no part of a header is taken for all."""
    said = from_(address, tlvs)
    found = read_header(said + rest)
    assert found == Header(len(said), str(address))
    assert all(read_header(said[:size]) is None for size in range(len(said)))


def test_an_ipv4_address_within_ipv6_is_one() -> None:
    """A grant's `--source 192.0.2.0/24` means it."""
    found = read_header(from_(ip_address("::ffff:192.0.2.7")))
    assert found is not None
    assert found.source == "192.0.2.7"


def test_a_balancer_that_speaks_for_itself_names_nobody() -> None:
    """To see whether we are there: LOCAL, of whatever family."""
    assert read_header(header(0, b"", 0x20)) == Header(16, None)
    assert read_header(header(0, bytes(9), 0x20)) == Header(25, None)
    assert read_header(header(TCP4, bytes(12), 0x20)) == Header(28, None)


WRONG = {
    "nothing of it": b"SSH-2.0-OpenSSH_9.2\r\n",
    "version 1": b"PROXY TCP4 192.0.2.1 192.0.2.2 5000 22\r\n",
    "another version": header(TCP4, bytes(12), 0x11),
    "another command": header(TCP4, bytes(12), 0x22),
    "somebody it does not know from where": header(0, b""),
    "the same, and something beside it": header(0, bytes(12)),
    "datagrams": header(UDP4, bytes(12)),
    "a socket of a file": header(UNIX, bytes(216)),
    "too short for IPv4": header(TCP4, bytes(11)),
    "too short for IPv6": header(TCP6, bytes(35)),
    "too long": header(TCP4, bytes(LONGEST)),
    "said to be too long": SIGNATURE + b"\x21\x11\xff\xff",
}


@pytest.mark.parametrize("said", WRONG.values(), ids=WRONG)
def test_what_is_no_header_is_refused(said: bytes) -> None:
    """As soon as it can be known."""
    with pytest.raises(BadInput):
        read_header(said)


@given(st.binary(max_size=600) | st.binary(max_size=600).map(SIGNATURE.__add__))
def test_whatever_comes_is_judged(data: bytes) -> None:
    """A header within what came, more wanted within the bound, or a refusal; nothing else."""
    try:
        found = read_header(data)
    except BadInput:
        return
    if found is None:
        assert len(data) < LONGEST
    else:
        assert 16 <= found.size <= min(LONGEST, len(data))
        assert found.source is None or ip_address(found.source).max_prefixlen in (32, 128)
