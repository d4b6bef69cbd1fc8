"""A directory that is made whole, or not at all: it is filled beside its place, and moved there.

What has to be whole is a home; what fills it is not known here.
"""

import errno
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from bastion.errors import Conflict, Unavailable


@contextmanager
def made_whole(directory: Path, last: str) -> Iterator[Path]:
    """A place to fill, which becomes `directory` when the block ends well, and vanishes otherwise.

    Where `directory` is there and can't be replaced (a volume), what was made is moved into it,
    the file `last` after all others. Raises Conflict where somebody was faster; Unavailable.
    """
    making = _within(directory, last) if _must_stay(directory) else _beside(directory)
    with _as_sentence(directory), making as workplace:
        yield workplace


def sync(directory: Path) -> None:
    """Names that were given in it are on the disk when this returns. Raises OSError."""
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _must_stay(directory: Path) -> bool:
    """Whether the directory itself can't be replaced: a volume, or one that was made for us."""
    if not directory.exists():
        return False
    return directory.is_mount() or not os.access(directory.parent, os.W_OK | os.X_OK)


@contextmanager
def _beside(directory: Path) -> Iterator[Path]:
    """A workplace that becomes `directory` in one step at the end, or vanishes."""
    directory.parent.mkdir(parents=True, exist_ok=True)
    workplace = Path(tempfile.mkdtemp(prefix=f".{directory.name}-", dir=directory.parent))
    try:
        yield workplace
        sync(workplace)
        workplace.rename(directory)
        sync(directory.parent)
    except BaseException:
        shutil.rmtree(workplace, ignore_errors=True)
        raise


@contextmanager
def _within(directory: Path, last: str) -> Iterator[Path]:
    """A workplace in `directory`, moved out at the end."""
    workplace = Path(tempfile.mkdtemp(prefix=".init-", dir=directory))
    moved: list[Path] = []
    try:
        yield workplace
        directory.chmod(0o700)
        for entry in sorted(workplace.iterdir(), key=lambda entry: entry.name == last):
            moved.append(entry.rename(directory / entry.name))
        workplace.rmdir()
        sync(directory)
    except BaseException:
        for entry in [workplace, *moved]:
            shutil.rmtree(entry, ignore_errors=True)
            with suppress(OSError):
                entry.unlink()
        raise


@contextmanager
def _as_sentence(directory: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOTEMPTY, errno.EEXIST):
            sentence = f"Somebody else made {directory} at the same time: it is left as it is."
            raise Conflict(sentence) from error
        raise Unavailable(f"{directory} can't be made: {error.strerror}.") from error
