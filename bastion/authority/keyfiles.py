"""The bastion's own keys on the disk: making them, reading them back, and what is wrong with them.

Private halves are 0600 from their first moment whatever the umask is, and are on the disk before
anything leans on them. The auditors' private half is made here and does not belong here: an
operator takes it away.
"""

import os
import stat
from collections.abc import Iterator
from enum import StrEnum
from pathlib import Path

import asyncssh
import pyrage  # type: ignore[import-untyped]

from bastion.authority.wire import read_certificate
from bastion.errors import Misconfigured, Unavailable

AUDITOR = "auditor.age"
HOST_CERTIFICATE = "host-cert.pub"


class Which(StrEnum):
    """The bastion's key pairs, by the names of their files."""

    USER_CA = "user_ca"
    TARGET_CA = "target_ca"
    HOST_CA = "host_ca"
    SEAL = "seal"
    HOST = "host"


def make_keys(directory: Path) -> str:
    """All key pairs and the auditors' identity, in an empty directory.

    Returns the auditors' public recipient (`age1…`). Raises Unavailable when one can't be written.
    """
    for which in Which:
        key = asyncssh.generate_private_key("ssh-ed25519", comment=f"bastion {which.value}")
        write_private(directory / which, key.export_private_key("openssh"))
        write_public(directory / f"{which}.pub", key.export_public_key("openssh"))
    identity = pyrage.x25519.Identity.generate()
    recipient = str(identity.to_public())
    content = (
        f"# The auditors' private key: keep it away from the bastion.\n# {recipient}\n{identity}\n"
    )
    write_private(directory / AUDITOR, content.encode())
    return recipient


def write_private(path: Path, content: bytes) -> None:
    """A new file that only its owner reads, on the disk when this returns. Raises Unavailable."""
    _write_new(path, content, 0o600)


def write_public(path: Path, content: bytes) -> None:
    """A new file that anybody may read, on the disk when this returns. Raises Unavailable."""
    _write_new(path, content, 0o644)


def _write_new(path: Path, content: bytes, mode: int) -> None:
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, mode)
        with os.fdopen(descriptor, "wb") as file:
            os.fchmod(descriptor, mode)
            file.write(content)
            file.flush()
            os.fsync(descriptor)
    except OSError as error:
        raise Unavailable(f"{path} can't be written: {error.strerror}.") from error


def load_keys(directory: Path) -> tuple[dict[Which, asyncssh.SSHKey], asyncssh.SSHCertificate]:
    """All key pairs and the host certificate, checked. Raises Misconfigured at the first fault."""
    keys: dict[Which, asyncssh.SSHKey] = {}
    for problem in _check(directory, keys):
        raise Misconfigured(problem)
    return keys, asyncssh.read_certificate(directory / HOST_CERTIFICATE)


def read_private(path: Path) -> asyncssh.SSHKey:
    """One private key. Raises Misconfigured."""
    try:
        return asyncssh.read_private_key(path)
    except (OSError, asyncssh.KeyImportError, ValueError):
        raise Misconfigured(f"{path} can't be read as a key: restore it from a copy.") from None


def key_problems(directory: Path) -> list[str]:
    """Everything that is wrong with the keys, each with its mend."""
    return list(_check(directory, {}))


def _check(directory: Path, keys: dict[Which, asyncssh.SSHKey]) -> Iterator[str]:
    yield from _check_mode(directory, 0o700, stat.S_IFDIR)
    for which in Which:
        yield from _check_pair(directory / which, which, keys)
    seen: dict[bytes, Which] = {}
    for which, key in keys.items():
        twin = seen.setdefault(key.public_data, which)
        if twin is not which:
            yield (
                f"{directory / twin} and {directory / which} are the same key: each must be one of "
                "its own; restore them from a copy."
            )
    if Which.HOST in keys and Which.HOST_CA in keys:
        yield from _check_certificate(directory / HOST_CERTIFICATE, keys)


def _check_certificate(path: Path, keys: dict[Which, asyncssh.SSHKey]) -> Iterator[str]:
    try:
        fields = read_certificate(asyncssh.read_certificate(path).public_data)
    except (OSError, asyncssh.KeyImportError, ValueError):
        yield f"{path} is missing or damaged: restore it from a copy."
        return
    for what, which, found in (
        ("for another key than", Which.HOST, fields.key),
        ("signed by another key than", Which.HOST_CA, fields.signed_by),
    ):
        if keys[which].public_data != found:
            yield f"{path} is {what} {path.parent / which}: restore both from one copy."


def _check_pair(path: Path, which: Which, keys: dict[Which, asyncssh.SSHKey]) -> Iterator[str]:
    problems = list(_check_mode(path, 0o600, stat.S_IFREG))
    yield from problems
    if not path.is_file():
        return
    try:
        key = asyncssh.read_private_key(path)
        public = asyncssh.read_public_key(f"{path}.pub")
    except FileNotFoundError:
        yield f"{path}.pub is missing: ssh-keygen -y -f {path} > {path}.pub writes it again."
    except (asyncssh.KeyImportError, OSError, ValueError) as error:
        if "assphrase" in str(error):
            yield f"{path} is locked with a passphrase: ssh-keygen -p -f {path} takes it off."
        else:
            yield f"{path} or its .pub can't be read as a key: restore them from a copy."
    else:
        if key.public_data != public.public_data:
            yield f"{path} and {path}.pub are not one pair: were files swapped? Restore them."
        keys[which] = key


def _check_mode(path: Path, wanted: int, kind: int) -> Iterator[str]:
    try:
        found = path.stat()
    except FileNotFoundError:
        yield f"{path} is missing: restore it from a copy."
        return
    except OSError as error:
        yield f"{path} can't be looked at: {error.strerror}."
        return
    if stat.S_IFMT(found.st_mode) != kind:
        yield f"{path} is not a {'directory' if kind == stat.S_IFDIR else 'file'}."
    elif stat.S_IMODE(found.st_mode) & 0o077:
        mode = stat.S_IMODE(found.st_mode)
        yield f"{path} is open to others (mode {mode:04o}): chmod {wanted:04o} {path}"
