"""Endpoints and networks: one spelling in, one out."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bastion.addresses import Endpoint, parse_endpoint, parse_network
from bastion.errors import BadInput


@given(address=st.ip_addresses(), port=st.integers(1, 65535))
def test_an_endpoint_reads_what_it_writes(address: object, port: int) -> None:
    """IPv6 in brackets, IPv4 without."""
    endpoint = Endpoint(str(address), port)
    assert parse_endpoint(str(endpoint)) == endpoint


@pytest.mark.parametrize(
    ("text", "endpoint"),
    [
        ("127.0.0.1:2222", Endpoint("127.0.0.1", 2222)),
        ("Bastion.Example:22", Endpoint("bastion.example", 22)),
        ("[::1]:2222", Endpoint("::1", 2222)),
        ("[2001:DB8::0:1]:22", Endpoint("2001:db8::1", 22)),
        (" localhost:1 ", Endpoint("localhost", 1)),
    ],
)
def test_endpoints(text: str, endpoint: Endpoint) -> None:
    """Names ignore case, addresses get their shortest form."""
    assert parse_endpoint(text) == endpoint


@pytest.mark.parametrize(
    ("text", "host"),
    [("10.0.0.1", "10.0.0.1"), ("::1", "::1"), ("[::1]", "::1"), ("fe80::1:22", "fe80::1:22")],
)
def test_the_port_may_be_left_out_where_there_is_a_default(text: str, host: str) -> None:
    """A bare IPv6 address is an address, however its end looks."""
    assert parse_endpoint(text, 22) == Endpoint(host, 22)


@pytest.mark.parametrize(
    "text",
    [
        *["", ":", ":22", "host", "host:", "host:0", "host:65536", "host:-1", "host:٢", "a b:22"],
        *["::1", "[::1", "::1]:22", "[host]:22", "host:22:22", "user@host:22", "[::1]22", "h/x:22"],
        "x" * 300 + ":22",
    ],
)
def test_endpoints_that_are_refused(text: str) -> None:
    """Without a port, with one that is none, with half a bracket."""
    with pytest.raises(BadInput):
        parse_endpoint(text)


def test_networks() -> None:
    """An address is a network of one; bits behind the mask are asked about."""
    assert str(parse_network("10.0.0.0/8")) == "10.0.0.0/8"
    assert str(parse_network("10.1.2.3")) == "10.1.2.3/32"
    assert str(parse_network("2001:db8::/32")) == "2001:db8::/32"
    with pytest.raises(BadInput, match=r"do you mean 10\.0\.0\.0/8\?"):
        parse_network("10.1.2.3/8")
    for wrong in ("", "10.0.0.0/33", "example.org", "10.0.0", "10.0.0.0/8/8"):
        with pytest.raises(BadInput, match="is not a network"):
            parse_network(wrong)
