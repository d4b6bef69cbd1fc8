"""Signed texts: ssh-keygen takes ours and we take its, and nothing that was changed."""

import base64
import subprocess
from collections.abc import Iterator
from pathlib import Path

import asyncssh
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bastion.authority import read_public_key
from bastion.authority.public_keys import public_key_of
from bastion.authority.signer import FileSigner, Signer, signatures_of, verified
from bastion.authority.sshsig import LIMIT, Fault, sign, verify
from bastion.inventory import PublicKey
from tests.bastion.test_public_keys import RSA

KINDS = ("ssh-ed25519", "ecdsa-sha2-nistp256", "ecdsa-sha2-nistp384", "ecdsa-sha2-nistp521")
SPACE = "audit@bastion"


def signers() -> Iterator[FileSigner]:
    """One for each kind of key."""
    for kind in KINDS:
        yield FileSigner(asyncssh.generate_private_key(kind))
    yield FileSigner(RSA)


SIGNERS = {each.public.algorithm: each for each in signers()}
SEAL = SIGNERS["ssh-ed25519"]


def keygen(*words: str | Path, text: bytes = b"") -> subprocess.CompletedProcess[bytes]:
    """`ssh-keygen -Y WORDS` with `text` on its standard input."""
    command = ["ssh-keygen", "-Y", *words]
    return subprocess.run(command, input=text, capture_output=True, check=False)


def taken(directory: Path, signature: str, text: bytes, by: Signer, space: str = SPACE) -> bool:
    """Whether `ssh-keygen -Y verify` and `check-novalidate` take it; they must agree."""
    file, allowed = directory / "text.sig", directory / "allowed"
    file.write_text(signature)
    key = f"{by.public.algorithm} {base64.b64encode(by.public.blob).decode()}"
    allowed.write_text(f'seal namespaces="{SPACE}" {key}\n')
    known = keygen("verify", "-f", allowed, "-I", "seal", "-n", space, "-s", file, text=text)
    whole = keygen("check-novalidate", "-n", space, "-s", file, text=text)
    assert known.returncode == whole.returncode, known.stderr + whole.stderr
    return known.returncode == 0


@pytest.mark.parametrize("kind", SIGNERS)
def test_ssh_keygen_takes_our_signatures(tmp_path: Path, kind: str) -> None:
    """By each kind of key; for their namespace and their text only."""
    signer, text = SIGNERS[kind], b"heads\nof all chains\n"
    made = sign(signer, SPACE, text)
    assert taken(tmp_path, made, text, signer)
    assert not taken(tmp_path, made, text + b" ", signer)
    assert not taken(tmp_path, made, text, signer, "recording@bastion")


@pytest.mark.parametrize("chosen", ["sha512", "sha256"])
@pytest.mark.parametrize("kind", ["ed25519", "ecdsa", "rsa"])
def test_we_take_ssh_keygens_signatures(tmp_path: Path, kind: str, chosen: str) -> None:
    """With both hashes; which of the known keys it was is the answer."""
    key = tmp_path / "key"
    bits = ("-b", "3072") if kind == "rsa" else ()
    subprocess.run(
        ["ssh-keygen", "-q", "-t", kind, *bits, "-N", "", "-C", "", "-f", key], check=True
    )
    signed = keygen("sign", "-f", key, "-n", SPACE, "-O", f"hashalg={chosen}", text=b"text")
    public = read_public_key(key.with_suffix(".pub").read_text())
    told = verify(signed.stdout.decode(), SPACE, b"text", [SEAL.public, public])
    assert isinstance(told, PublicKey)
    assert told.fingerprint == public.fingerprint


def test_what_does_not_hold_is_said() -> None:
    """Another text, another purpose, a stranger's key, or no signature at all."""
    made = sign(SEAL, SPACE, b"text")
    stranger = SIGNERS["ecdsa-sha2-nistp256"].public
    assert verify(made, SPACE, b"text", [SEAL.public]) == SEAL.public
    assert verify(made, SPACE, b"Text", [SEAL.public]) is Fault.WRONG
    assert verify(made, "recording@bastion", b"text", [SEAL.public]) is Fault.NAMESPACE
    assert verify(made, SPACE, b"text", [stranger]) is Fault.STRANGER
    assert verify(made, SPACE, b"text", []) is Fault.STRANGER
    for other in ("", "text", made[: len(made) // 2], made + "x", "x" * LIMIT, made * 200):
        assert verify(other, SPACE, b"text", [SEAL.public]) is Fault.MALFORMED


def test_a_namespace_is_needed() -> None:
    """Without one, a signature would be for everything."""
    with pytest.raises(ValueError, match="namespace"):
        sign(SEAL, "", b"text")


@given(at=st.integers(0, 10_000), bit=st.integers(0, 7), text=st.binary(max_size=100))
def test_a_changed_bit_is_found(at: int, bit: int, text: bytes) -> None:
    """Wherever it is, and whatever was signed."""
    made = sign(SEAL, SPACE, text)
    lines = made.split("\n")
    blob = bytearray(base64.b64decode("".join(lines[1:-2])))
    blob[at % len(blob)] ^= 1 << bit
    changed = "\n".join([lines[0], base64.b64encode(blob).decode(), *lines[-2:]])
    assert isinstance(verify(changed, SPACE, text, [SEAL.public]), Fault)


@given(data=st.binary(max_size=400))
def test_whatever_is_armoured_is_answered(data: bytes) -> None:
    """Never an exception."""
    lines = sign(SEAL, SPACE, b"").split("\n")
    for inside in (data, b"SSHSIG\0\0\0\1" + data):
        text = "\n".join([lines[0], base64.b64encode(inside).decode(), *lines[-2:]])
        assert isinstance(verify(text, SPACE, b"", [SEAL.public]), Fault)


def test_no_signature_with_sha1() -> None:
    """An RSA key can make one; it is not taken, and never made."""
    public = public_key_of(RSA)
    old = RSA.sign(b"text", b"ssh-rsa")
    assert not verified(public, b"text", old)
    assert verified(public, b"text", FileSigner(RSA).sign(b"text"))
    assert b"rsa-sha2-512" in FileSigner(RSA).sign(b"text")
    assert "ssh-rsa" not in signatures_of(public)
