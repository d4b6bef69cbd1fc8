"""Certificates: what was asked for, and not a permission more. ssh-keygen is the judge."""

import hashlib
import re
import subprocess
from datetime import UTC, datetime, timedelta
from ipaddress import ip_network
from pathlib import Path

import asyncssh
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bastion.authority import Authority, Which, authority, certify_host, make_keys, read_public_key
from bastion.authority.wire import Fields, option, read_certificate
from bastion.ledger import Signed
from tests.bastion.test_public_keys import ED25519, RSA, SK_ECDSA, SK_ED25519, line_of
from tests.bastion.worlds import HOUR, NOW, SECOND, TICK

ALICE = read_public_key(line_of(ED25519))


@pytest.fixture(scope="module")
def ca(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    """An authority with keys of its own."""
    keys = tmp_path_factory.mktemp("keys")
    make_keys(keys)
    certify_host(keys, ("bastion",), timedelta(days=1), NOW)
    return Authority.load(keys)


def seen(line: str) -> str:
    """What ssh-keygen shows of a certificate, one blank for many, in UTC."""
    shown = subprocess.run(
        ["ssh-keygen", "-L", "-f", "-"],
        input=line,
        capture_output=True,
        text=True,
        check=True,
        env={"TZ": "UTC", "PATH": "/usr/bin:/bin"},
    )
    return re.sub(r"\s+", " ", shown.stdout)


# For contractors


def test_a_contractors_certificate(ca: Authority) -> None:
    """The user's name and C-<serial>, the times, and two permissions."""
    made = ca.sign_user(ALICE, "alice", 31, NOW, NOW + HOUR)
    shown = seen(made.line)
    assert "ssh-ed25519-cert-v01@openssh.com user certificate" in shown
    assert f"Public key: ED25519-CERT {ALICE.fingerprint}" in shown
    assert f"Signing CA: ED25519 {ca.public_key(Which.USER_CA).fingerprint}" in shown
    assert 'Key ID: "alice C-31" Serial: 31' in shown
    assert "Valid: from 2026-11-23T12:00:00 to 2026-11-23T13:00:00" in shown
    assert "Principals: alice C-31 Critical Options: (none)" in shown
    assert shown.rstrip().endswith("Extensions: permit-port-forwarding permit-pty")


def test_what_the_ledger_is_told(ca: Authority) -> None:
    """The hash of the whole certificate, its key's fingerprint, whole seconds."""
    made = ca.sign_user(ALICE, "alice", 31, NOW + TICK, NOW + HOUR + 999 * TICK)
    assert made.sha256 == hashlib.sha256(made.blob).hexdigest()
    assert made.fingerprint == ALICE.fingerprint
    assert (made.valid_after, made.valid_before) == (NOW, NOW + HOUR)
    assert made.principals == ("alice", "C-31")


@pytest.mark.parametrize("line", [SK_ED25519, SK_ECDSA], ids=["ed25519-sk", "ecdsa-sk"])
def test_a_security_keys_certificate(ca: Authority, line: str) -> None:
    """A touch stays required: nothing says otherwise."""
    shown = seen(ca.sign_user(read_public_key(line), "alice", 1, NOW, NOW + HOUR).line)
    assert shown.rstrip().endswith("Extensions: permit-port-forwarding permit-pty")


@pytest.mark.parametrize("kind", ["ecdsa-sha2-nistp256", "ecdsa-sha2-nistp521", "ssh-rsa"])
def test_other_keys_certificates(ca: Authority, kind: str) -> None:
    """Each kind that can be enrolled can be certified."""
    made = RSA if kind == "ssh-rsa" else asyncssh.generate_private_key(kind)
    key = read_public_key(line_of(made))
    assert key.fingerprint in seen(ca.sign_user(key, "alice", 1, NOW, NOW + HOUR).line)


@pytest.mark.parametrize("user", ["", "*", "alice,root", "al ice", "-alice", "alice\n"])
def test_principals_are_plain_and_there_are_some(ca: Authority, user: str) -> None:
    """An empty list would fit everybody, a comma would be two."""
    with pytest.raises(ValueError, match="names its principals"):
        ca.sign_user(ALICE, user, 1, NOW, NOW + HOUR)


def test_no_certificate_is_for_no_time(ca: Authority) -> None:
    """Its end is behind its beginning, in whole seconds."""
    with pytest.raises(ValueError, match="before"):
        ca.sign_user(ALICE, "alice", 1, NOW, NOW + SECOND - TICK)


# For targets


def test_a_targets_certificate_for_a_shell(ca: Authority) -> None:
    """The login and login@host; five minutes early, one minute late; a pty and nothing else."""
    made = ca.target_credential(
        "deploy", "web-1", "C-31 alice G-7", force_command=None, pty=True, now=NOW
    )
    shown = seen(made.signed.line)
    assert f"Signing CA: ED25519 {ca.public_key(Which.TARGET_CA).fingerprint}" in shown
    assert 'Key ID: "C-31 alice G-7" Serial: 0' in shown
    assert "Valid: from 2026-11-23T11:55:00 to 2026-11-23T12:01:00" in shown
    assert "Principals: deploy deploy@web-1 Critical Options: (none)" in shown
    assert shown.rstrip().endswith("Extensions: permit-pty")


def test_a_targets_certificate_for_a_command(ca: Authority) -> None:
    """The target forces it too, from the bastion's address only, without a pty."""
    made = ca.target_credential(
        "deploy",
        "web-1",
        "C-31 alice G-7",
        force_command="echo 'a b'",
        pty=False,
        now=NOW,
        source_addresses=(ip_network("10.0.0.1"), ip_network("2001:db8::/64")),
        serial=9,
    )
    shown = seen(made.signed.line)
    options = "force-command echo 'a b' source-address 10.0.0.1/32,2001:db8::/64"
    assert f"Critical Options: {options} Extensions: (none)" in shown
    assert made.signed.serial == 9
    assert made.sha256 == made.signed.sha256


@pytest.mark.parametrize("command", ["", "a\nb", "a\0", "a\x1b[2J"])
def test_a_forced_command_is_one_printable_line(ca: Authority, command: str) -> None:
    """An empty one would be left out by the library, and then force nothing."""
    with pytest.raises(ValueError, match="forced command"):
        ca.target_credential("deploy", "w", "x", force_command=command, pty=False, now=NOW)


def test_each_connection_has_a_key_of_its_own(ca: Authority) -> None:
    """It is good with its certificate, and its private half is not shown by printing it."""
    one, two = (
        ca.target_credential("deploy", "w", "x", force_command=None, pty=True, now=NOW)
        for _ in range(2)
    )
    assert one.key.public_data != two.key.public_data
    assert one.certificate.key.public_data == one.key.public_data
    assert "key=" not in repr(one).replace("key_id=", "")


# For hosts


def test_a_host_certificate(ca: Authority) -> None:
    """For the bastion's own key, by what clients type."""
    names = ("prod-host", "10.0.0.1", "2001:db8::1")
    _, made = ca.host_credential(names, timedelta(days=1), NOW)
    shown = seen(made.line)
    assert "host certificate" in shown
    assert f"Signing CA: ED25519 {ca.public_key(Which.HOST_CA).fingerprint}" in shown
    assert ca.public_key(Which.HOST).fingerprint in shown
    assert "Principals: prod-host 10.0.0.1 2001:db8::1 Critical" in shown
    with pytest.raises(ValueError, match="names its principals"):
        ca.host_credential((), timedelta(days=1), NOW)


def test_one_host_certificate_serves_many_jumps(ca: Authority) -> None:
    """Made anew when half of its time is over; and not without bound."""
    first = ca.host_keys_for("prod-host", NOW)
    assert set(first) == {b"ssh-ed25519-cert-v01@openssh.com", b"ssh-ed25519"}
    assert ca.host_keys_for("prod-host", NOW + HOUR) is first
    assert ca.host_keys_for("other", NOW) is not first
    assert ca.host_keys_for("prod-host", NOW + authority.SHOWN_LIFE / 2) is not first
    for number in range(authority.MOST_SHOWN + 5):
        ca.host_keys_for(f"host-{number}", NOW)
    assert len(ca._held.shown) <= authority.MOST_SHOWN


# Our reader


some_text = st.text(st.characters(codec="utf-8", exclude_categories=["C", "Z"]), min_size=1)


@given(
    serial=st.integers(0, 2**64 - 1),
    key_id=some_text,
    principals=st.lists(some_text, min_size=1, max_size=5),
    after=st.integers(0, 2**32),
    life=st.integers(1, 2**32),
    command=st.none() | some_text,
    pty=st.booleans(),
)
def test_our_reader_reads_what_the_library_writes(
    *,
    serial: int,
    key_id: str,
    principals: list[str],
    after: int,
    life: int,
    command: str | None,
    pty: bool,
) -> None:
    """Field by field, whatever stands in them."""
    made = ED25519.generate_user_certificate(
        ED25519,
        key_id,
        serial=serial,
        principals=principals,
        valid_after=after,
        valid_before=after + life,
        force_command=command,
        permit_x11_forwarding=False,
        permit_agent_forwarding=False,
        permit_port_forwarding=False,
        permit_pty=pty,
        permit_user_rc=False,
    )
    assert read_certificate(made.public_data) == Fields(
        key=ED25519.public_data,
        serial=serial,
        kind=1,
        key_id=key_id,
        principals=tuple(principals),
        valid_after=after,
        valid_before=after + life,
        options=() if command is None else (("force-command", option(command)),),
        extensions=(("permit-pty", b""),) if pty else (),
        signed_by=ED25519.public_data,
    )


def test_every_permission_shows() -> None:
    """The library's defaults permit everything: our reader sees each of them."""
    made = ED25519.generate_user_certificate(ED25519, "x", principals=["x"])
    assert {name for name, _ in read_certificate(made.public_data).extensions} == {
        "permit-X11-forwarding",
        "permit-agent-forwarding",
        "permit-port-forwarding",
        "permit-pty",
        "permit-user-rc",
    }


@given(data=st.binary(max_size=400))
def test_what_is_no_certificate_is_a_value_error(data: bytes) -> None:
    """Cut short anywhere, or never one."""
    blob = ED25519.generate_user_certificate(ED25519, "x", principals=["x"]).public_data
    for broken in (data, blob[: len(data)], ED25519.public_data):
        with pytest.raises(ValueError, match=r".*"):
            read_certificate(broken)


def test_signed_times_are_utc(ca: Authority) -> None:
    """Whatever zone the machine is in."""
    made: Signed = ca.sign_user(ALICE, "alice", 1, NOW, NOW + HOUR)
    assert made.valid_before.tzinfo is UTC
    assert made.valid_before > datetime(2026, 1, 1, tzinfo=UTC)


def test_public_lines(ca: Authority, tmp_path: Path) -> None:
    """As they stand in a .pub file."""
    file = tmp_path / "ca.pub"
    file.write_text(ca.public_line(Which.USER_CA))
    shown = subprocess.run(
        ["ssh-keygen", "-lf", file], capture_output=True, text=True, check=True
    ).stdout
    assert ca.public_key(Which.USER_CA).fingerprint in shown
    assert ca.user_ca_blobs == {ca.public_key(Which.USER_CA).blob}
