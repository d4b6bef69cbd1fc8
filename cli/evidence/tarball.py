"""A tar that is written by and by, with the sums of all that is in it.

Names, modes and times are those of the facts: no account's, no machine's. Whoever unpacks it gets
one directory. It is written aside, and is whole or not there.
"""

import errno
import hashlib
import os
import secrets
import signal
import tarfile
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from datetime import datetime
from pathlib import Path
from signal import SIGHUP, SIGTERM
from typing import BinaryIO, Final, Protocol

from bastion.errors import BastionError, Conflict, Unavailable

MODE: Final = 0o600
"""Of each file when it is unpacked: it is evidence, and for whoever unpacks it."""

CHUNK: Final = 1024 * 1024
_FULL: Final = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
SLICE: Final = 32 * 1024 * 1024
"""Bytes after which the disk has to have all: a large pack must not fill its queue, in which live
recordings wait to be synced too."""

IN_MEMORY: Final = 4 * 1024 * 1024
"""Bytes of a text that grow in memory; a longer one goes to a file without a name."""


class Changed(BastionError):
    """A file was another one when it was read again."""


class Source(Protocol):
    """What bytes are read from."""

    def read(self, size: int, /) -> bytes:
        """So many, less only at the end."""


class Tarball:
    """Adds files below the directory `top`, each at once and whole. `spool` has room for texts.

    `sums` are the SHA-256 (hex) of what was added, by name; `size` is how long it has become.
    """

    def __init__(self, out: BinaryIO, top: str, spool: Path) -> None:
        self.sums: dict[str, str] = {}
        self.size = 0
        self._synced = 0
        self._out = out
        self._top = top
        self._spool = spool

    def text(self, name: str, content: bytes, at: datetime) -> str:
        """A file of these bytes; gives its SHA-256."""
        return self.stream(name, [content], at)

    def stream(self, name: str, pieces: Iterable[bytes], at: datetime) -> str:
        """A file of these pieces, however many they are."""
        with tempfile.SpooledTemporaryFile(IN_MEMORY, dir=str(self._spool)) as spooled:
            for piece in pieces:
                spooled.write(piece)
            size = spooled.tell()
            spooled.seek(0)
            return self.file(name, spooled, size, at)

    def file(self, name: str, source: Source, size: int, at: datetime) -> str:
        """A file of the next `size` bytes of `source`. Raises Changed where it has less."""
        if name in self.sums:
            raise ValueError(f"{name} is in it already")
        entry = tarfile.TarInfo(f"{self._top}/{name}")
        entry.size, entry.mode, entry.mtime = size, MODE, int(at.timestamp())
        self._write(entry.tobuf(tarfile.PAX_FORMAT))
        digest = hashlib.sha256()
        for length in _lengths(size):
            data = source.read(length)
            if len(data) < length:
                raise Changed(f"{name} was changed while it was packed: try again.")
            digest.update(data)
            self._write(data)
        self._write(bytes(-size % tarfile.BLOCKSIZE))
        self.sums[name] = digest.hexdigest()
        return self.sums[name]

    def sums_text(self) -> bytes:
        """What `sha256sum -c` reads."""
        return "".join(f"{sha256}  {name}\n" for name, sha256 in sorted(self.sums.items())).encode()

    def close(self) -> None:
        """Write the end: two empty blocks, and what fills the last record."""
        self._write(bytes(2 * tarfile.BLOCKSIZE))
        self._write(bytes(-self.size % tarfile.RECORDSIZE))

    def _write(self, data: bytes) -> None:
        self._out.write(data)
        self.size += len(data)
        if self.size - self._synced >= SLICE:
            self._out.flush()
            os.fdatasync(self._out.fileno())
            self._synced = self.size


def _lengths(size: int) -> Iterator[int]:
    """Lengths of at most a piece each that make up `size`."""
    while size > 0:
        length = min(size, CHUNK)
        yield length
        size -= length


class Pieces:
    """Bytes that come in pieces, for whoever reads them as a file."""

    def __init__(self, pieces: Iterator[bytes]) -> None:
        self._pieces = pieces
        self._rest = b""

    def read(self, size: int, /) -> bytes:
        """So many bytes, less only at the end."""
        while len(self._rest) < size:
            piece = next(self._pieces, None)
            if piece is None:
                break
            self._rest += piece
        data, self._rest = self._rest[:size], self._rest[size:]
        return data


@contextmanager
def written_aside(file: Path, *, replacing: bool) -> Iterator[BinaryIO]:
    """A new file of mode 0600, to be written; it gets its name when the block ends well.

    Otherwise nothing is left, also when the terminal is closed meanwhile. Raises Conflict where
    `file` is there and may not be replaced: nothing but a plain file may.
    """
    if os.path.lexists(file):
        if not replacing:
            raise _there(file)
        if file.is_symlink() or not file.is_file():
            raise Conflict(f"{_named(file)} is no plain file: name another.")
    with _stopped_by_signals(), _aside(file) as aside:
        yield aside
        aside.flush()
        os.fsync(aside.fileno())
        _put(Path(aside.name), file, replacing=replacing)
        _sync(file.parent)


@contextmanager
def _aside(file: Path) -> Iterator[BinaryIO]:
    """A file beside `file`, gone at the end of the block whatever it is called then."""
    aside = file.with_name(f".{file.name[:100]}.{secrets.token_hex(8)}")
    try:
        with open(aside, "xb", opener=_private) as out:
            yield out
    except OSError as error:
        if error.filename == str(aside) or error.errno in _FULL:
            raise Unavailable(f"{_named(file)} can't be written: {error.strerror}.") from None
        raise
    finally:
        with suppress(OSError):
            aside.unlink()


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)


@contextmanager
def _stopped_by_signals() -> Iterator[None]:
    """A closed terminal, or a kill, ends the block as ctrl-c does; nohup is heeded."""

    def stop(*_: object) -> None:
        raise KeyboardInterrupt

    numbers = [n for n in (SIGHUP, SIGTERM) if signal.getsignal(n) is signal.SIG_DFL]
    for number in numbers:
        signal.signal(number, stop)
    try:
        yield
    finally:
        for number in numbers:
            signal.signal(number, signal.SIG_DFL)


def _put(aside: Path, file: Path, *, replacing: bool) -> None:
    """Give it its name. A link is made only where there is none, whoever is faster."""
    if replacing:
        aside.rename(file)
        return
    try:
        os.link(aside, file)
    except FileExistsError:
        raise _there(file) from None
    except OSError as error:
        if error.errno not in (errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK):
            raise
        aside.rename(file)  # a file system without links


def _sync(directory: Path) -> None:
    with suppress(OSError):
        descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def _there(file: Path) -> Conflict:
    return Conflict(f"{_named(file)} is there already: name another, or give --force.")


def _named(file: Path) -> str:
    return ascii(str(file))[1:-1]
