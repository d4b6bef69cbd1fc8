"""Public keys that people hand in: each wrong thing has its sentence."""

import base64
import os
import subprocess
from pathlib import Path

import asyncssh
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bastion.authority import read_public_key, read_public_key_file
from bastion.authority.public_keys import LIMIT, wire_key
from bastion.errors import BadInput

ED25519 = asyncssh.generate_private_key("ssh-ed25519", comment="alice@laptop")
RSA = asyncssh.generate_private_key("ssh-rsa", key_size=3072)
WEAK = asyncssh.generate_private_key("ssh-rsa", key_size=2048)


def line_of(key: asyncssh.SSHKey) -> str:
    """The line of its .pub file."""
    return key.export_public_key("openssh").decode().strip()


def string(data: bytes) -> bytes:
    """A string on the wire."""
    return len(data).to_bytes(4) + data


def line_from(algorithm: str, *fields: bytes) -> str:
    """A public key line, put together by hand."""
    blob = b"".join(map(string, (algorithm.encode(), *fields)))
    return f"{algorithm} {base64.b64encode(blob).decode()} by-hand"


POINT = asyncssh.generate_private_key("ecdsa-sha2-nistp256").public_data[-65:]
SK_ED25519 = line_from("sk-ssh-ed25519@openssh.com", ED25519.public_data[-32:], b"ssh:")
SK_ECDSA = line_from("sk-ecdsa-sha2-nistp256@openssh.com", b"nistp256", POINT, b"ssh:")


@pytest.mark.parametrize(
    "kind", ["ssh-ed25519", "ecdsa-sha2-nistp256", "ecdsa-sha2-nistp384", "ecdsa-sha2-nistp521"]
)
def test_kinds_that_are_taken(kind: str) -> None:
    """With the fingerprint that OpenSSH shows, and the very bytes that a client will show."""
    key = asyncssh.generate_private_key(kind, comment="alice@laptop")
    read = read_public_key(line_of(key))
    assert (read.algorithm, read.blob) == (kind, key.public_data)
    assert read.fingerprint == key.get_fingerprint()
    assert read.comment == "alice@laptop"
    assert wire_key(read) == key.convert_to_public()


def test_rsa_is_taken_from_3072_bits_on() -> None:
    """2048 are refused, with what would do."""
    assert read_public_key(line_of(RSA)).algorithm == "ssh-rsa"
    with pytest.raises(BadInput, match="RSA key of 2048 bits is not taken: take ed25519"):
        read_public_key(line_of(WEAK))


@pytest.mark.parametrize("line", [SK_ED25519, SK_ECDSA], ids=["ed25519-sk", "ecdsa-sk"])
def test_security_keys_are_taken(line: str) -> None:
    """As ssh-keygen reads them too."""
    read = read_public_key(line)
    assert read.hardware
    shown = subprocess.run(
        ["ssh-keygen", "-lf", "-"], input=line, capture_output=True, text=True, check=True
    )
    assert read.fingerprint in shown.stdout


@pytest.mark.parametrize(
    "spelt",
    [
        "{line}\n",
        "\ufeff{line}\r\n",
        "  {line}  ",
        "# a comment\n\n{line}\n\n",
        "{line} and more",
    ],
)
def test_spellings_of_one_line(spelt: str) -> None:
    """Blanks, comments and line ends of any system."""
    read = read_public_key(spelt.format(line=line_of(ED25519)))
    assert read.blob == ED25519.public_data
    assert read_public_key(spelt.format(line=line_of(ED25519)).encode()).blob == read.blob


def test_rfc_4716_is_read(tmp_path: Path) -> None:
    """As ssh-keygen -e and PuTTY write it, with headers that go on after a backslash."""
    file = tmp_path / "key.pub"
    file.write_text(line_of(RSA))
    written = subprocess.run(
        ["ssh-keygen", "-e", "-f", str(file)], capture_output=True, text=True, check=True
    ).stdout
    assert read_public_key(written).blob == RSA.public_data
    encoded = base64.b64encode(ED25519.public_data).decode()
    by_hand = (
        "---- BEGIN SSH2 PUBLIC KEY ----\r\n"
        'Comment: "alice\'s \\\r\nlaptop"\r\nx-private: y\r\n'
        f"{encoded[:30]}\r\n{encoded[30:]}\r\n---- END SSH2 PUBLIC KEY ----\r\n"
    )
    read = read_public_key(by_hand)
    assert (read.blob, read.comment) == (ED25519.public_data, "alice's laptop")
    for broken in (by_hand.partition("---- END")[0], by_hand * 2, "x\n" + by_hand, by_hand + "x"):
        with pytest.raises(BadInput):
            read_public_key(broken)


def certificate_line() -> str:
    """A certificate in place of a key."""
    made = ED25519.generate_user_certificate(ED25519, "x", principals=["x"])
    return made.export_certificate("openssh").decode().strip()


DSA = line_from("ssh-dss", b"\x01", b"\x01", b"\x01", b"\x01")

WRONG = {
    "empty": ("", "There is no key in it"),
    "comments": ("# nothing\n", "There is no key in it"),
    "private": (ED25519.export_private_key("openssh").decode(), "private half.*give the .pub"),
    "pkcs8": (RSA.export_private_key("pkcs8-pem").decode(), "private half.*give the .pub"),
    "putty": ("PuTTY-User-Key-File-3: ssh-ed25519\nEncryption: none\n", "private half"),
    "pem": (RSA.export_public_key("pkcs8-pem").decode(), "ssh-keygen -i -m PKCS8"),
    "certificate": (certificate_line(), "That is a certificate: give the key's own .pub"),
    "dsa": (DSA, "DSA keys are too weak to be trusted: take ed25519"),
    "ed448": ("ssh-ed448 AAAA", "Keys of the kind 'ssh-ed448' are not taken"),
    "webauthn": ("webauthn-sk-ecdsa-sha2-nistp256@openssh.com AAAA", "are not taken"),
    "several": (f"{line_of(ED25519)}\n{line_of(RSA)}", "There are 2 lines in it: give one key"),
    "wrapped": (line_of(RSA)[:70] + "\n" + line_of(RSA)[70:], "on one line"),
    "options": (f'restrict,command="id" {line_of(ED25519)}', "Something stands before the key"),
    "known host": (f"web-1 {line_of(ED25519)}", "Something stands before the key"),
    "garbage": ("hello", "That is no public key: give the one line"),
    "html": ("<html><body>404</body></html>", "That is no public key"),
    "kind alone": ("ssh-ed25519", "missing behind its kind"),
    "cut": (line_of(ED25519)[:50], "damaged or cut short"),
    "not base64": ("ssh-ed25519 AAAA!AAAA", "damaged or cut short"),
    "other kind": (line_of(ED25519).replace("ssh-ed25519 ", "ssh-rsa "), "is another kind"),
    "short key": (line_from("ssh-ed25519", b"\x01" * 31), "damaged or cut short"),
    "trailing": (line_from("ssh-ed25519", ED25519.public_data[-32:], b"x"), "damaged or cut"),
    "bad curve": (line_from("ecdsa-sha2-nistp256", b"nistp384", POINT), "damaged or cut short"),
    "off the curve": (
        line_from("ecdsa-sha2-nistp256", b"nistp256", POINT[:-1] + bytes([POINT[-1] ^ 1])),
        "damaged",
    ),
    "long": ("x" * (LIMIT + 1), "longer than 16384 bytes"),
    "odd letters": ("ssh-ed25519 ÄÖÜ", "damaged or cut short"),
}


@pytest.mark.parametrize("name", WRONG)
def test_what_is_refused(name: str) -> None:
    """One sentence each, that says what it is and what to give."""
    text, said = WRONG[name]
    for given_as in (text, text.encode()):
        with pytest.raises(BadInput, match=said) as refusal:
            read_public_key(given_as)
        assert str(refusal.value).isprintable()


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be"])
def test_powershells_utf_16_is_known(encoding: str) -> None:
    """With and without the mark at its front; the sentence says how to write it right."""
    with pytest.raises(BadInput, match=r"UTF-16 text, as PowerShell's > writes it.*Out-File"):
        read_public_key(line_of(ED25519).encode(encoding))


def test_one_key_has_one_spelling() -> None:
    """Leading zeros would make a second blob of it, and a second owner possible."""
    exponent, modulus = b"\x01\x00\x01", RSA.public_data[-385:]
    assert read_public_key(line_from("ssh-rsa", exponent, modulus)).blob == RSA.public_data
    for odd in ((b"\0" + exponent, modulus), (exponent, b"\0" + modulus)):
        with pytest.raises(BadInput):
            read_public_key(line_from("ssh-rsa", *odd))


@pytest.mark.parametrize(
    ("comment", "kept"),
    [
        ("alice@laptop", "alice@laptop"),
        ("a\x1b[2Jb\x07", "a [2Jb"),
        ("a\u202eb\u200bc", "a b c"),
        ("x" * 500, "x" * 100),
        ("日本 büro", "日本 büro"),
    ],
)
def test_comments_are_safe_to_print(comment: str, kept: str) -> None:
    """Only what prints is kept, and not more than a hundred characters."""
    line = line_of(ED25519).rpartition(" ")[0]
    assert read_public_key(f"{line} {comment}".encode()).comment == kept


@given(data=st.binary(max_size=300))
def test_any_bytes_are_a_key_or_a_sentence(data: bytes) -> None:
    """Never another exception, also where they begin as a key does."""
    for text in (data, b"ssh-rsa " + data, b"ssh-ed25519 " + base64.b64encode(data)):
        with pytest.raises(BadInput) as refusal:
            read_public_key(text)
        assert str(refusal.value).isprintable()


@given(at=st.integers(0, 400), bit=st.integers(0, 7))
def test_a_flipped_bit_is_another_key_or_a_sentence(at: int, bit: int) -> None:
    """Whatever is accepted is what stands on the wire."""
    blob = bytearray(RSA.public_data)
    blob[at % len(blob)] ^= 1 << bit
    try:
        read = read_public_key(b"ssh-rsa " + base64.b64encode(bytes(blob)))
    except BadInput:
        return
    assert read.blob == bytes(blob)


def test_files(tmp_path: Path) -> None:
    """A good one is read; the others' sentences name the file."""
    good = tmp_path / "id.pub"
    good.write_text(line_of(ED25519))
    assert read_public_key_file(good).blob == ED25519.public_data
    (tmp_path / "bad.pub").write_text("hello")
    (tmp_path / "large").write_bytes(b"x" * 10**6)
    for name, said in (
        ("", "is a directory: give the .pub file in it"),
        ("missing.pub", "There is no file .*missing.pub"),
        ("bad.pub", "bad.pub: That is no public key"),
        ("large", "large: That is longer than 16384 bytes"),
        ("a\0b", "can't be read"),
        ("x" * 300, "can't be read: File name too long"),
        ("id.pub/x", "can't be read: Not a directory"),
    ):
        with pytest.raises(BadInput, match=said) as refusal:
            read_public_key_file(tmp_path / name)
        assert str(refusal.value).isprintable()


def test_an_endless_file_is_not_read_to_its_end() -> None:
    """/dev/zero, and whatever else somebody thinks of."""
    with pytest.raises(BadInput, match="longer than"):
        read_public_key_file(Path("/dev/zero"))


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_file_that_may_not_be_read(tmp_path: Path) -> None:
    """The system's reason is passed on."""
    file = tmp_path / "id.pub"
    file.touch(0o000)
    with pytest.raises(BadInput, match="can't be read: Permission denied"):
        read_public_key_file(file)
