"""One key of a CA after another: a next one, then the retirement of the one before.

Every step is one rename, and what is on the disk after any of them is something that `keyring`
reads: a change that was broken off goes on where it stood, or is as if it had never begun. The
step that counts is the retired key's public half: from then on its private half never signs.

    rotate   user_ca.next.pub, user_ca.next
    retire   (host-cert.pub anew, for the host CA)
             user_ca.old-1.pub                       from here on it is retired
             user_ca.next → user_ca                  the old private half is gone with it
             user_ca.next.pub → user_ca.pub

Where a signer has the private halves (`signing`), it does these steps in its own directory, and
the home follows with the public ones: `follow` after its `rotate`, `leave` before its `retire`.
"""

import fcntl
import os
import stat
from collections.abc import Iterator, Mapping, Sequence
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
    Generations,
    Keyring,
    load_cas,
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


def rotate(directory: Path, which: Which, now: datetime, *, apart: bool = False) -> PublicKey:
    """Make the next key, and give its public half; the seal's is the present one at once.

    A directory `apart` is a signer's: there the seal waits for `retire` as the others do. Raises
    Conflict where there is a next one already, Misconfigured, Unavailable.
    """
    at_once = which is Which.SEAL and not apart
    with _alone(directory):
        _settle(directory, which)
        following = _cas(directory, apart)[which].next
        if following is not None and at_once:
            _retire(directory, which, now, apart)
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
        if at_once:
            _retire(directory, which, now, apart)
        return _cas(directory, apart)[which].newest.public


def retire(directory: Path, which: Which, now: datetime, *, apart: bool = False) -> PublicKey:
    """Put the next key in the present one's place, and give the public half of what is retired.

    Goes on with a retirement that was broken off. Raises Conflict where there is no next key,
    Misconfigured, Unavailable.
    """
    with _alone(directory):
        if _settle(directory, which):
            return _cas(directory, apart)[which].retired[-1]
        if _cas(directory, apart)[which].next is None:
            raise _no_next(which)
        return _retire(directory, which, now, apart)


def follow(
    directory: Path, which: Which, elsewhere: Elsewhere, live: Sequence[PublicKey], now: datetime
) -> PublicKey:
    """Take over the next key that a signer has made, of which the public halves `live` are its.

    As with `rotate`, the seal's is the present one at once. Raises Conflict where there is no
    other, or a next one is here already; Misconfigured, Unavailable.
    """
    with _alone(directory):
        own = _settled_public(directory, which, elsewhere)
        if own.next is not None and which is Which.SEAL:  # it was broken off
            _leave(directory, which, elsewhere, now)
            return own.next.public
        if own.next is not None:
            raise Conflict(
                f"There is a next {which.value} already: end that change with --retire first."
            )
        known = {own.current.public.blob, *(key.blob for key in own.retired)}
        fresh = [key for key in live if key.blob not in known]
        if not fresh:
            name = which.value.removesuffix("_ca")
            raise Conflict(
                f"The signer has no next {which.value}: bastion-admin signer rotate {name} "
                "makes one first."
            )
        line = f"{line_of(fresh[-1])}\n".encode()
        place(public_file(next_key(directory, which)), line, 0o644)
        if which is Which.SEAL:
            _leave(directory, which, elsewhere, now)
        return fresh[-1]


def leave(directory: Path, which: Which, elsewhere: Elsewhere, now: datetime) -> PublicKey:
    """`retire`, where only public halves lie here: the signer retires its own half after it."""
    with _alone(directory):
        before = public_file(directory / which)
        half_done = public_file(next_key(directory, which)).exists() and _is_retired(before)
        own = _settled_public(directory, which, elsewhere)
        if half_done:
            return own.retired[-1]
        if own.next is None:
            raise _no_next(which)
        return _leave(directory, which, elsewhere, now)


def _leave(directory: Path, which: Which, elsewhere: Elsewhere, now: datetime) -> PublicKey:
    ring = load_keyring(directory, elsewhere)
    own = ring.cas[which]
    if which is Which.HOST_CA and own.next is not None:
        _certify_anew(directory, own.next, ring, now)
    _write_retired(directory, which, own.current.public, now)
    _settled_public(directory, which, elsewhere)
    return own.current.public


def _settled_public(directory: Path, which: Which, elsewhere: Elsewhere) -> Generations:
    """The public halves, with a retirement that was begun ended."""
    own, following = public_file(directory / which), public_file(next_key(directory, which))
    try:
        if following.exists() and _is_retired(own):
            following.rename(own)
        for aside in (own, following):
            aside.with_name(f"{aside.name}{NEW}").unlink(missing_ok=True)
        sync_directory(directory)
    except OSError as error:
        raise Unavailable(f"{own} can't be put in its place: {error.strerror}.") from error
    return load_keyring(directory, elsewhere).cas[which]


def _is_retired(public: Path) -> bool:
    """Whether a public half lies among the retired ones of its CA too."""
    which = Which(public.name.removesuffix(".pub"))
    gone = {read_public_key_file(file).blob for file in retired_files(public.parent, which)}
    return read_public_key_file(public).blob in gone


def _no_next(which: Which) -> Conflict:
    name = which.value.removesuffix("_ca")
    return Conflict(f"There is no next {which.value}: ca rotate {name} makes one first.")


def _cas(directory: Path, apart: bool) -> Mapping[Which, Generations]:
    return load_cas(directory) if apart else load_keyring(directory).cas


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
    """When the next key was made, or its public half taken over; None where there is none."""
    private = next_key(directory, which)
    for file in (private, public_file(private)):
        with suppress(OSError):
            return datetime.fromtimestamp(file.stat().st_mtime, UTC)
    return None


def _retire(directory: Path, which: Which, now: datetime, apart: bool) -> PublicKey:
    own = _cas(directory, apart)[which]
    if which is Which.HOST_CA and own.next is not None and not apart:
        _certify_anew(directory, own.next, load_keyring(directory), now)
    _write_retired(directory, which, own.current.public, now)
    _settle(directory, which)
    return own.current.public


def _write_retired(directory: Path, which: Which, key: PublicKey, now: datetime) -> None:
    """The step that counts: from here on it is retired."""
    number = len(retired_files(directory, which)) + 1
    while retired_file(directory, which, number).exists():
        number += 1
    line = f"{line_of(key)} retired {now.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}\n"
    place(retired_file(directory, which, number), line.encode(), 0o644)


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
