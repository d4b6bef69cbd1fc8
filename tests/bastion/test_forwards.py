"""Ports as a grant names them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bastion.errors import BadInput
from bastion.forwards import Forward, parse_forward

hosts = st.sampled_from(["db", "localhost", "127.0.0.1", "::1", "db.example.com"])
ports = st.sampled_from([None, 1, 22, 5432, 65_535])
forwards = st.builds(Forward, hosts, ports)


@pytest.mark.parametrize(
    ("text", "host", "port", "meant"),
    [
        ("db:5432", "db", 5432, True),
        ("db:5432", "DB", 5432, True),
        ("DB:5432", "db", 5432, True),
        ("db:5432", "db", 5433, False),
        ("db:5432", "db.example.com", 5432, False),
        ("db:5432", "10.0.0.1", 5432, False),
        ("localhost:*", "localhost", 1, True),
        ("localhost:*", "localhost", 0, False),
        ("localhost:*", "localhost", 65_536, False),
        ("localhost:*", "127.0.0.1", 80, False),
        ("[::1]:80", "::1", 80, True),
        ("[0:0::1]:80", "::1", 80, True),
        ("[::1]:80", "0:0:0:0:0:0:0:1", 80, True),
        ("db:5432", "db\0", 5432, False),
        ("db:5432", "db.", 5432, False),
    ],
)
def test_a_pair_means_what_is_asked_for(text: str, host: str, port: int, meant: bool) -> None:
    """The name as it is asked for, and the port."""
    assert parse_forward(text).matches(host, port) is meant


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("db", "names no port"),
        ("db:", "a port is"),
        ("db:0", "a port is"),
        ("db:65536", "a port is"),
        ("db:+1", "a port is"),
        ("db:٣", "a port is"),
        (":80", "names no host"),
        ("*:80", "names no host"),
        ("a b:80", "names no host"),
        ("::1:80", "stands in brackets"),
        ("[::1:80", "stands in brackets"),
        ("[x:y]:80", "names no host"),
    ],
)
def test_what_names_no_port_is_said(text: str, said: str) -> None:
    """One sentence, with what is wrong."""
    with pytest.raises(BadInput, match=said):
        parse_forward(text)


@given(forwards)
def test_written_out_it_is_read_again(forward: Forward) -> None:
    """`str` and `parse_forward` are each other's reverse."""
    assert parse_forward(str(forward)) == forward


@given(forwards, forwards, hosts, st.integers(-1, 70_000))
def test_what_is_within_leads_nowhere_else(
    narrow: Forward, wide: Forward, host: str, port: int
) -> None:
    """Whatever the narrow one leads to, the wide one does."""
    if narrow.within(wide):
        assert not narrow.matches(host, port) or wide.matches(host, port)
