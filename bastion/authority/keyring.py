"""The keyring: all keys of the bastion as they lie in their directory, and what is wrong there.

Each CA has a present key, perhaps a next one, and retired ones, of which the public halves are
kept. A retired key never signs, whatever files a change that was broken off has left. Reading
changes nothing.
"""

import stat
from collections.abc import Callable, Generator, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import asyncssh

from bastion.authority.keyfiles import CAS, HOST_CERTIFICATE, Which
from bastion.authority.public_keys import public_key_of, read_public_key_file
from bastion.authority.signer import FileSigner, Signer
from bastion.authority.wire import read_certificate
from bastion.errors import BadInput, Misconfigured
from bastion.inventory import PublicKey

TRIES = 5
"""How often the directory is read when somebody is changing it meanwhile."""


Elsewhere = Callable[[Which, PublicKey], Signer]
"""Gives whoever signs by a key that does not lie here, of which the public half does."""


@dataclass(frozen=True, slots=True)
class Generations:
    """The keys of one CA: the present one, perhaps the `next`, and the `retired`, oldest first."""

    current: Signer
    next: Signer | None = None
    retired: tuple[PublicKey, ...] = ()

    @property
    def live(self) -> tuple[Signer, ...]:
        """The present one, and the next one if there is one."""
        return (self.current,) if self.next is None else (self.current, self.next)

    @property
    def newest(self) -> Signer:
        """The next one if there is one, else the present one."""
        return self.live[-1]


@dataclass(frozen=True, slots=True)
class Keyring:
    """All keys. `host` is the bastion's host key, `certificate` what it shows with it outside."""

    cas: Mapping[Which, Generations]
    host: asyncssh.SSHKey
    certificate: asyncssh.SSHCertificate

    def public(self, which: Which) -> PublicKey:
        """The public half of a present key."""
        if which is Which.HOST:
            return public_key_of(self.host, f"bastion {which.value}")
        return self.cas[which].current.public

    @property
    def contents(self) -> list[object]:
        """Equal for two keyrings with the very same keys and the same certificate."""
        cas = [self.cas[which] for which in CAS]
        return [
            *([signer.public.blob for signer in ca.live] for ca in cas),
            *([key.blob for key in ca.retired] for ca in cas),
            self.host.public_data,
            self.certificate.public_data,
        ]


def next_key(directory: Path, which: Which) -> Path:
    """The file of the next private key."""
    return directory / f"{which}.next"


def retired_files(directory: Path, which: Which) -> list[Path]:
    """The public halves of retired keys, oldest first."""
    found = {_number(path): path for path in directory.glob(f"{which}.old-*.pub")}
    return [found[number] for number in sorted(found) if number]


def retired_file(directory: Path, which: Which, number: int) -> Path:
    """The public half of the `number`-th retired key, from 1."""
    return directory / f"{which}.old-{number}.pub"


def retired_at(key: PublicKey) -> datetime | None:
    """When a key was retired, as its file says: `… retired 2026-11-23T09:00:00Z`."""
    _, word, moment = key.comment.rpartition("retired ")
    try:
        return datetime.fromisoformat(moment).astimezone(UTC) if word else None
    except ValueError:
        return None


def public_file(private: Path) -> Path:
    """Where the public half of a private key lies."""
    return private.with_name(f"{private.name}.pub")


def stamp_of(directory: Path) -> int:
    """Changes whenever a name in the directory does (its mtime, ns). 0 where it can't be seen."""
    try:
        return directory.stat().st_mtime_ns
    except OSError:
        return 0


def load_keyring(directory: Path, elsewhere: Elsewhere | None = None) -> Keyring:
    """The keys in `directory`, checked. Raises Misconfigured at the first fault.

    With `elsewhere` the CAs' private halves are not looked for: only the public ones lie here.
    """
    found = _Found(elsewhere)
    for problem in _settled(directory, found):
        raise Misconfigured(problem)
    certificate = asyncssh.read_certificate(directory / HOST_CERTIFICATE)
    return Keyring(found.cas, found.keys[directory / Which.HOST], certificate)


def load_cas(directory: Path) -> Mapping[Which, Generations]:
    """The CAs alone, where there is no host key of the bastion's. Raises Misconfigured."""
    found = _Found(None, host=False)
    for problem in _settled(directory, found):
        raise Misconfigured(problem)
    return found.cas


def key_problems(directory: Path, elsewhere: Elsewhere | None = None) -> list[str]:
    """Everything that is wrong with the keys, each with its mend."""
    return _settled(directory, _Found(elsewhere))


@dataclass(slots=True)
class _Found:
    """What has been read so far: private keys by their files, and whole CAs.

    `host` is whether the bastion's host key has to be there too.
    """

    elsewhere: Elsewhere | None
    host: bool = True
    keys: dict[Path, asyncssh.SSHKey] = field(default_factory=dict)
    cas: dict[Which, Generations] = field(default_factory=dict)


def _settled(directory: Path, found: _Found) -> list[str]:
    """All problems, looked for again when somebody has changed names meanwhile."""
    problems: list[str] = []
    for _ in range(TRIES):
        found.keys.clear()
        found.cas.clear()
        before = stamp_of(directory)
        problems = list(_check(directory, found))
        if before == stamp_of(directory):
            break
    return problems


def _check(directory: Path, found: _Found) -> Iterator[str]:
    yield from _check_mode(directory, 0o700, stat.S_IFDIR)
    for which in CAS:
        if found.elsewhere is None:
            yield from _check_ca(directory, which, found)
        else:
            yield from _check_public(directory, which, found, found.elsewhere)
    if found.host:
        yield from _check_pair(directory / Which.HOST, found, frozenset())
    yield from _check_twins(found)
    if directory / Which.HOST in found.keys and Which.HOST_CA in found.cas:
        yield from _check_certificate(directory / HOST_CERTIFICATE, found)


def _check_ca(directory: Path, which: Which, found: _Found) -> Iterator[str]:
    retired = yield from _read_retired(directory, which)
    gone = frozenset(key.blob for key in retired)
    files = [directory / which, *filter(Path.exists, [next_key(directory, which)])]
    for file in files:
        yield from _check_pair(file, found, gone)
    read = [found.keys[file] for file in files if file in found.keys]
    live = [_signer(key, which) for key in read if key.public_data not in gone]
    if live:
        found.cas[which] = Generations(live[0], live[1] if live[1:] else None, retired)
    elif read:
        yield f"{directory / which} is retired and there is no other: restore the keys from a copy."


def _check_public(
    directory: Path, which: Which, found: _Found, elsewhere: Elsewhere
) -> Iterator[str]:
    """A CA whose private halves are elsewhere; none of them may be left here."""
    retired = yield from _read_retired(directory, which)
    gone = frozenset(key.blob for key in retired)
    live: list[PublicKey] = []
    for file in (directory / which, next_key(directory, which)):
        if file.exists():
            yield f"{file} lies here although the signer has it: shred -u {file}"
        if public_file(file).exists() or file.name == which.value:
            try:
                live.append(read_public_key_file(public_file(file)))
            except BadInput as error:
                yield f"{str(error).rstrip('.').replace(':', ',')}: restore it from a copy."
    signers = [elsewhere(which, key) for key in live if key.blob not in gone]
    if signers:
        found.cas[which] = Generations(signers[0], signers[1] if signers[1:] else None, retired)
    elif live:
        yield f"{directory / which}.pub is retired and there is no other: restore it from a copy."


def _signer(key: asyncssh.SSHKey, which: Which) -> FileSigner:
    return FileSigner(key, key.get_comment(errors="replace") or f"bastion {which.value}")


def _read_retired(directory: Path, which: Which) -> Generator[str, None, tuple[PublicKey, ...]]:
    read = []
    for file in retired_files(directory, which):
        try:
            read.append(read_public_key_file(file))
        except BadInput as error:
            yield f"{str(error).rstrip('.').replace(':', ',')}: restore it from a copy."
    return tuple(read)


def _check_twins(found: _Found) -> Iterator[str]:
    seen: dict[bytes, Path] = {}
    for file, key in found.keys.items():
        twin = seen.setdefault(key.public_data, file)
        if twin != file:
            yield (
                f"{twin} and {file} are the same key: each must be one of its own; restore them "
                "from a copy."
            )


def _check_certificate(path: Path, found: _Found) -> Iterator[str]:
    try:
        fields = read_certificate(asyncssh.read_certificate(path).public_data)
    except (OSError, asyncssh.KeyImportError, ValueError):
        yield f"{path} is missing or damaged: restore it from a copy."
        return
    host, host_ca = path.parent / Which.HOST, path.parent / Which.HOST_CA
    if fields.key != found.keys[host].public_data:
        yield f"{path} is for another key than {host}: restore both from one copy."
    if fields.signed_by not in {ca.public.blob for ca in found.cas[Which.HOST_CA].live}:
        yield f"{path} is signed by another key than {host_ca}: restore both from one copy."


def _check_pair(path: Path, found: _Found, gone: frozenset[bytes]) -> Iterator[str]:
    """A private key and its public half; of a retired one the latter may be its successor's."""
    yield from _check_mode(path, 0o600, stat.S_IFREG)
    if not path.is_file():
        return
    try:
        key = asyncssh.read_private_key(path)
        found.keys[path] = key
        shown = asyncssh.read_public_key(public_file(path)).public_data
    except FileNotFoundError:
        yield f"{path}.pub is missing: ssh-keygen -y -f {path} > {path}.pub writes it again."
    except (asyncssh.KeyImportError, OSError, ValueError) as error:
        if "assphrase" in str(error):
            yield f"{path} is locked with a passphrase: ssh-keygen -p -f {path} takes it off."
        else:
            yield f"{path} or its .pub can't be read as a key: restore them from a copy."
    else:
        # A change that was broken off: the successor is in the place, its public half not yet.
        half_done = shown in gone
        if shown != key.public_data and not half_done:
            yield f"{path} and {path}.pub are not one pair: were files swapped? Restore them."


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


def _number(path: Path) -> int:
    """Of `user_ca.old-3.pub`; 0 where it is none."""
    digits = path.name.removesuffix(".pub").rpartition(".old-")[2]
    return int(digits) if digits.isascii() and digits.isdecimal() and len(digits) < 9 else 0
