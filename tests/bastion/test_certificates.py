"""The encoder of certificates: held against asyncssh's reader and OpenSSH's, byte by byte."""

import subprocess
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from ipaddress import ip_network

import pytest
from asyncssh.public_key import SSHOpenSSHCertificate, decode_ssh_certificate
from hypothesis import given
from hypothesis import strategies as st

from bastion.authority import read_public_key
from bastion.authority.certificates import For, Networks, Order, _judge, encoded, issue
from bastion.authority.public_keys import public_key_of
from bastion.authority.signer import FileSigner
from bastion.errors import Unavailable
from bastion.inventory import PublicKey
from tests.bastion.test_public_keys import ED25519, RSA, SK_ECDSA, SK_ED25519, line_of
from tests.bastion.test_sshsig import SIGNERS
from tests.bastion.worlds import HOUR, NOW, SECOND, TICK

SUBJECTS = {
    key.algorithm: key
    for key in (
        *(signer.public for signer in SIGNERS.values()),
        read_public_key(SK_ED25519),
        read_public_key(SK_ECDSA),
    )
}
ALICE = public_key_of(ED25519)
CA = SIGNERS["ssh-ed25519"]


def order(key: PublicKey = ALICE, **more: object) -> Order:
    """A certificate that nobody would mind."""
    plain: dict[str, object] = {
        "kind": For.USER,
        "key": key,
        "serial": 31,
        "key_id": "alice C-31",
        "principals": ("alice", "C-31"),
        "valid_after": NOW,
        "valid_before": NOW + HOUR,
    }
    return Order(**plain | more)  # type: ignore[arg-type]


@pytest.mark.parametrize("ca", SIGNERS)
@pytest.mark.parametrize("kind", SUBJECTS)
def test_every_kind_of_key_is_certified_by_every_kind_of_ca(kind: str, ca: str) -> None:
    """OpenSSH reads it, finds the signature good, and shows what was ordered."""
    key, signer = SUBJECTS[kind], SIGNERS[ca]
    made = issue(signer, order(key, force_command="uptime", sources=(ip_network("10.0.0.0/8"),)))
    shown = subprocess.run(
        ["ssh-keygen", "-L", "-f", "-"], input=made.line, capture_output=True, text=True, check=True
    ).stdout
    assert f"{key.fingerprint}\n" in shown
    assert signer.public.fingerprint in shown
    assert ("using rsa-sha2-512" in shown) is (ca == "ssh-rsa")
    assert "force-command uptime" in shown
    assert "source-address 10.0.0.0/8" in shown
    assert made.fingerprint == key.fingerprint


some_text = st.text(st.characters(codec="utf-8", exclude_categories=["C", "Z"]), min_size=1)
some_name = st.from_regex(r"[A-Za-z0-9_][A-Za-z0-9._:@-]{0,30}", fullmatch=True)
some_networks = st.lists(st.ip_addresses().map(ip_network), max_size=4).map(tuple)


@given(
    kind=st.sampled_from(For),
    subject=st.sampled_from(sorted(SUBJECTS)),
    serial=st.integers(0, 2**64 - 1),
    key_id=some_text,
    principals=st.lists(some_name, min_size=1, max_size=5).map(tuple),
    after=st.integers(0, 2**33),
    life=st.integers(1, 2**32),
    command=st.none() | some_text,
    sources=some_networks,
    permits=st.tuples(st.booleans(), st.booleans()),
)
def test_what_was_ordered_is_what_asyncssh_reads(
    *,
    kind: For,
    subject: str,
    serial: int,
    key_id: str,
    principals: tuple[str, ...],
    after: int,
    life: int,
    command: str | None,
    sources: Networks,
    permits: tuple[bool, bool],
) -> None:
    """Field by field; the signature holds, and options a host's certificate has not are none."""
    user = kind is For.USER
    wanted = Order(
        kind=kind,
        key=SUBJECTS[subject],
        serial=serial,
        key_id=key_id,
        principals=principals,
        valid_after=datetime.fromtimestamp(after, UTC),
        valid_before=datetime.fromtimestamp(after + life, UTC),
        force_command=command if user else None,
        sources=sources if user else (),
        pty=permits[0] and user,
        forwarding=permits[1] and user,
    )
    made = issue(CA, wanted)
    read = decode_ssh_certificate(made.blob)
    assert isinstance(read, SSHOpenSSHCertificate)
    assert read.public_data == made.blob
    assert (read._cert_type, read._serial, read._key_id) == (kind, serial, key_id)
    assert (tuple(read.principals), read._valid_after) == (principals, after)
    assert read._valid_before == after + life
    assert read.key.public_data == SUBJECTS[subject].blob
    assert read.signing_key.public_data == CA.public.blob
    options: dict[str, object] = {
        "force-command": wanted.force_command,
        "source-address": list(wanted.sources) or None,
        "permit-pty": wanted.pty or None,
        "permit-port-forwarding": wanted.forwarding or None,
    }
    assert read.options == {name: value for name, value in options.items() if value is not None}


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"principals": ()}, "names its principals"),
        ({"principals": ("*",)}, "names its principals"),
        ({"valid_before": NOW + SECOND - TICK}, "ends before it begins"),
        ({"force_command": ""}, "would force nothing"),
        ({"force_command": "a\nb"}, "one printable line"),
    ],
)
def test_what_can_not_be_ordered(change: dict[str, object], said: str) -> None:
    """A certificate for everybody, for no time, or that forces nothing."""
    with pytest.raises(ValueError, match=said):
        order(**change)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "change",
    [
        {"force_command": None},
        {"principals": ("alice", "C-31", "root")},
        {"pty": True},
        {"valid_before": NOW + 2 * HOUR},
        {"kind": For.HOST},
        {"serial": 32},
        {"key": public_key_of(RSA)},
    ],
)
def test_a_certificate_that_came_out_otherwise_does_not_leave(change: dict[str, object]) -> None:
    """One field or permission more, or a limit less, and it is not handed out."""
    wanted = order(force_command="uptime")
    other = issue(CA, replace(wanted, **change))  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="other than it was asked for"):
        _judge(other.blob, wanted, CA.public)


class Liar(FileSigner):
    """Signs something else than it is asked to."""

    def sign(self, data: bytes) -> bytes:
        return super().sign(data + b"!")


class Away(FileSigner):
    """A token that was pulled out."""

    def sign(self, data: bytes) -> bytes:
        raise Unavailable("The token is not there: put it in again.")


def test_a_signature_that_does_not_hold_does_not_leave() -> None:
    """Whatever holds the key: its answer is checked by another library than ours."""
    with pytest.raises(ValueError, match="signature of a certificate does not hold"):
        issue(Liar(ED25519), order())


def test_a_signer_that_is_away_is_said() -> None:
    """In its own sentence, and nothing is made."""
    with pytest.raises(Unavailable, match="The token is not there"):
        issue(Away(ED25519), order())


MADE = issue(CA, order(force_command="uptime"))


@given(at=st.integers(0, len(MADE.blob) - 1), bit=st.integers(0, 7))
def test_no_bit_of_a_certificate_can_be_changed(at: int, bit: int) -> None:
    """The fields are compared, and whatever else there is, is signed."""
    blob = bytearray(MADE.blob)
    blob[at] ^= 1 << bit
    with pytest.raises(ValueError, match=r".*"):
        _judge(bytes(blob), order(force_command="uptime"), CA.public)


def test_no_two_are_alike() -> None:
    """A nonce of 32 random bytes stands before everything that somebody else may choose."""
    one, two = issue(CA, order()), issue(CA, order())
    assert one.sha256 != two.sha256
    assert encoded(order(), CA.public, b"n" * 32) == encoded(order(), CA.public, b"n" * 32)


def test_fifty_a_second_are_no_burden() -> None:
    """A hundred within two seconds, on any machine, each read again and its signature checked."""
    begun = datetime.now(UTC)
    for serial in range(100):
        issue(CA, order(serial=serial))
    assert datetime.now(UTC) - begun < timedelta(seconds=2)


def test_the_line_is_that_of_a_file() -> None:
    """Algorithm, certificate, and the key id as its comment."""
    assert MADE.line.startswith("ssh-ed25519-cert-v01@openssh.com AAAA")
    assert MADE.line.endswith(" alice C-31")
    assert line_of(ED25519).split()[1] not in MADE.line
