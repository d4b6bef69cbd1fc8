"""The bastion's own keys on the disk: their files, making them, putting another in a place.

Private halves are 0600 from their first moment whatever the umask is, and are on the disk before
anything leans on them. The auditors' private half is made here and does not belong here: an
operator takes it away.
"""

import os
from enum import StrEnum
from pathlib import Path

import asyncssh
import pyrage  # type: ignore[import-untyped]

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


CAS = (Which.USER_CA, Which.TARGET_CA, Which.HOST_CA, Which.SEAL)
"""Those that can be changed for another by and by (`generations`)."""

NEW = ".new"
"""How the name of a file ends that is not in its place yet."""


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


def place(path: Path, content: bytes, mode: int) -> None:
    """A file in its place at once and whole, on the disk when this returns, whatever was there.

    Raises Unavailable.
    """
    aside = path.with_name(f"{path.name}{NEW}")
    try:
        aside.unlink(missing_ok=True)
        _write_new(aside, content, mode)
        aside.rename(path)
        sync_directory(path.parent)
    except OSError as error:
        raise Unavailable(f"{path} can't be written: {error.strerror}.") from error


def sync_directory(directory: Path) -> None:
    """Names that were given or taken in it are on the disk when this returns. Raises OSError."""
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


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


def read_plain(path: Path) -> bytes:
    """The content of a key file that is a plain one, at most 64 KiB. Raises Misconfigured."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
        with os.fdopen(descriptor, "rb") as file:
            return file.read(64 * 1024)
    except OSError as error:
        raise Misconfigured(f"{path} can't be read: {error.strerror}.") from None


def read_private(path: Path) -> asyncssh.SSHKey:
    """One private key. Raises Misconfigured."""
    try:
        return asyncssh.read_private_key(path)
    except (OSError, asyncssh.KeyImportError, ValueError):
        raise Misconfigured(f"{path} can't be read as a key: restore it from a copy.") from None
