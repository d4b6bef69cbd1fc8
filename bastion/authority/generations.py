"""One key of a CA after another: a next one, then the retirement of the one before.

Every step is one rename, and what is on the disk after any of them is something that `keyring`
reads: a change that was broken off goes on where it stood, or is as if it had never begun. The
step that counts is the retired key's public half: from then on its private half never signs.

    rotate   user_ca.next.pub, user_ca.next
    retire   (host-cert.pub anew, for the host CA)
             user_ca.old-1.pub                       from here on it is retired
             user_ca.next → user_ca                  the old private half is gone with it
             user_ca.next.pub → user_ca.pub
"""

import fcntl
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path

import asyncssh

from bastion.authority.certificates import EARLY, host_order, issue
from bastion.authority.keyfiles import (
    CAS,
    HOST_CERTIFICATE,
    NEW,
    Which,
    place,
    read_private,
    sync_directory,
)
from bastion.authority.keyring import (
    Elsewhere,
    Keyring,
    load_keyring,
    next_key,
    public_file,
    retired_file,
    retired_files,
)
from bastion.authority.public_keys import line_of, read_public_key_file
from bastion.authority.signer import Signer
from bastion.authority.wire import read_certificate
from bastion.errors import BadInput, BastionError, Conflict, Unavailable
from bastion.inventory import PublicKey

_MARK = b"-----BEGIN OPENSSH PRIVATE KEY-----"


def rotate(directory: Path, which: Which, now: datetime) -> PublicKey:
    """Make the next key, and give its public half; the seal's is the present one at once.

    Raises Conflict where there is a next one already, Misconfigured, Unavailable.
    """
    with _alone(directory):
        _settle(directory, which)
        ring = load_keyring(directory)
        following = ring.cas[which].next
        if following is not None and which is Which.SEAL:
            _retire(directory, which, ring, now)
            return following.public
        if following is not None:
            raise Conflict(
                f"There is a next {which.value} already: end that change with --retire first."
            )
        key = asyncssh.generate_private_key(
            "ssh-ed25519", comment=f"bastion {which.value} {now.astimezone(UTC):%Y-%m-%d}"
        )
        file = next_key(directory, which)
        place(public_file(file), key.export_public_key("openssh"), 0o644)
        place(file, key.export_private_key("openssh"), 0o600)
        if which is Which.SEAL:
            _retire(directory, which, load_keyring(directory), now)
        return load_keyring(directory).cas[which].newest.public


def retire(directory: Path, which: Which, now: datetime) -> PublicKey:
    """Put the next key in the present one's place, and give the public half of what is retired.

    Goes on with a retirement that was broken off. Raises Conflict where there is no next key,
    Misconfigured, Unavailable.
    """
    with _alone(directory):
        if _settle(directory, which):
            return load_keyring(directory).cas[which].retired[-1]
        ring = load_keyring(directory)
        if ring.cas[which].next is None:
            name = which.value.removesuffix("_ca")
            raise Conflict(f"There is no next {which.value}: ca rotate {name} makes one first.")
        return _retire(directory, which, ring, now)


def loose_ends(directory: Path, elsewhere: Elsewhere | None = None) -> list[str]:
    """What changes of keys have left that should not be there, each with its mend."""
    try:
        ring = load_keyring(directory, elsewhere)
        files = sorted(path for path in directory.iterdir() if path.is_file())
    except (BastionError, OSError):
        return []  # what hinders it is told by `key_problems`
    gone = {key.blob: which for which in CAS for key in ring.cas[which].retired}
    if elsewhere is not None:
        return [*_left_aside(files), *_private_halves(files, gone)]
    strays = [*_left_aside(files), *_left_public(files)]
    return [*_half_done(directory, ring), *strays, *_private_halves(files, gone)]


def made_at(directory: Path, which: Which) -> datetime | None:
    """When the next key was made; None where there is none."""
    with suppress(OSError):
        return datetime.fromtimestamp(next_key(directory, which).stat().st_mtime, UTC)
    return None


def _retire(directory: Path, which: Which, ring: Keyring, now: datetime) -> PublicKey:
    own = ring.cas[which]
    if which is Which.HOST_CA and own.next is not None:
        _certify_anew(directory, own.next, ring, now)
    number = len(retired_files(directory, which)) + 1
    while retired_file(directory, which, number).exists():
        number += 1
    line = f"{line_of(own.current.public)} retired {now.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}\n"
    place(retired_file(directory, which, number), line.encode(), 0o644)
    _settle(directory, which)
    return own.current.public


def _settle(directory: Path, which: Which) -> bool:
    """Finish a retirement that has been begun. Whether there was one."""
    own, following = directory / which, next_key(directory, which)
    gone = {read_public_key_file(file).blob for file in retired_files(directory, which)}
    begun = False
    try:
        if following.exists() and read_private(own).public_data in gone:
            following.rename(own)
            sync_directory(directory)
            begun = True
        if not following.exists() and public_file(following).exists():
            begun = _settle_public(own, public_file(following)) or begun
        for aside in (own, following, public_file(following)):
            aside.with_name(f"{aside.name}{NEW}").unlink(missing_ok=True)
        sync_directory(directory)
    except OSError as error:
        raise Unavailable(f"{own} can't be put in its place: {error.strerror}.") from error
    return begun


def _settle_public(own: Path, following: Path) -> bool:
    """The public half of what is in its place already; one without a private half is removed."""
    with suppress(BadInput):
        if read_public_key_file(following).blob == read_private(own).public_data:
            following.rename(public_file(own))
            return True
    following.unlink()
    return False


def _certify_anew(directory: Path, signer: Signer, ring: Keyring, now: datetime) -> None:
    """The bastion's own host certificate by another CA, for as long as the one before was for."""
    fields = read_certificate(ring.certificate.public_data)
    valid = timedelta(seconds=fields.valid_before - fields.valid_after) - EARLY
    signed = issue(signer, host_order(ring.public(Which.HOST), fields.principals, valid, now))
    place(directory / HOST_CERTIFICATE, f"{signed.line}\n".encode(), 0o644)


def _half_done(directory: Path, ring: Keyring) -> Iterator[str]:
    for which in CAS:
        gone = {key.blob for key in ring.cas[which].retired}
        name = which.value.removesuffix("_ca")
        shown = asyncssh.read_public_key(public_file(directory / which)).public_data
        if shown in gone or read_private(directory / which).public_data in gone:
            yield (
                f"The retirement of an old {which.value} was broken off: "
                f"bastion-admin ca rotate {name} --retire ends it."
            )


def _left_aside(files: list[Path]) -> Iterator[str]:
    yield from (_stray(file) for file in files if file.name.endswith(NEW))


def _left_public(files: list[Path]) -> Iterator[str]:
    for file in files:
        private = file.with_name(file.name.removesuffix(".pub"))
        if file.name.endswith(".next.pub") and private not in files:
            yield _stray(file)


def _stray(file: Path) -> str:
    return f"{file} was left by a change of keys that was broken off: rm {file}"


def _private_halves(files: list[Path], gone: dict[bytes, Which]) -> Iterator[str]:
    """Every private key that lies there, whatever its name is."""
    for file in files:
        try:
            with file.open("rb") as opened:
                if opened.read(len(_MARK)) != _MARK:
                    continue
            if stat.S_IMODE(file.stat().st_mode) & 0o077:
                yield f"{file} is a private key and open to others: chmod 0600 {file}"
            which = gone.get(asyncssh.read_private_key(file).public_data)
        except (OSError, asyncssh.KeyImportError, ValueError):
            continue
        if which is not None and file.name != which.value:
            yield f"{file} is the private half of a retired {which.value}: shred -u {file}"


@contextmanager
def _alone(directory: Path) -> Iterator[None]:
    """Be the one who changes keys. Raises Conflict, Unavailable."""
    try:
        descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    except OSError as error:
        raise Unavailable(f"{directory} can't be opened: {error.strerror}.") from error
    try:
        _lock(descriptor)
        yield
    finally:
        os.close(descriptor)


def _lock(descriptor: int) -> None:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise Conflict("Somebody else is changing keys just now: try again in a moment.") from None
