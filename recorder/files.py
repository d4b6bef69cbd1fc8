"""Where a recording's files go, and with which modes."""

import os
from datetime import datetime
from pathlib import Path

from recorder.pen import Pen
from recorder.plain import FORMS

_NAMES_TRIED = 10


def day_directory(root: Path, moment: datetime) -> Path:
    """`root/2026/11/23`, made where it is missing: each 0700, and on disk. Raises OSError."""
    day = moment.strftime("%Y/%m/%d")
    if (root / day).is_dir():
        return root / day
    directory = root
    make_directory(root)
    for part in day.split("/"):
        directory = directory / part
        make_directory(directory)
    return directory


def new_pens(directory: Path, name: str) -> tuple[Pen, Pen]:
    """New files `name.cast` and `name.sent`. Raises OSError.

    If there is such a file already, compacted or not (the database was restored from an older
    copy), it is kept, and the new ones are called `name-2`, up to `name-10`.
    """
    for number in range(1, _NAMES_TRIED + 1):
        stem = name if number == 1 else f"{name}-{number}"
        if any((directory / f"{stem}.cast{form}").exists() for form in FORMS):
            continue
        try:
            cast = Pen.new(directory / f"{stem}.cast")
        except FileExistsError:
            continue
        try:
            return cast, Pen.new(directory / f"{stem}.sent")
        except FileExistsError:
            cast.discard()
        except BaseException:
            cast.discard()
            raise
    raise FileExistsError(17, f"{name}.cast exists, and so do its {_NAMES_TRIED - 1} next names")


def make_directory(directory: Path) -> None:
    """A directory of mode 0700, on disk; one that is there is left as it is. Raises OSError."""
    try:
        directory.mkdir(mode=0o700)
    except FileExistsError:
        return
    directory.chmod(0o700)
    sync_directory(directory.parent)


def make_directories(root: Path, place: Path) -> None:
    """All directories from `root` to `place`, each as `make_directory` does. Raises OSError."""
    for each in (*reversed(place.relative_to(root).parents), place.relative_to(root)):
        make_directory(root / each)


def sync_directory(directory: Path) -> None:
    """Have the names in a directory on disk."""
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def write_beside(*files: tuple[Path, bytes]) -> None:
    """Files of mode 0600, whole or not there: written aside, on disk, renamed. Raises OSError.

    One that has the same content already is left as it is.
    """
    lacking = [(path, content) for path, content in files if not _holds(path, content)]
    asides = [(_written_aside(path, content), path) for path, content in lacking]
    for aside, path in asides:
        aside.rename(path)
    for directory in {path.parent for _, path in asides}:
        sync_directory(directory)


def _written_aside(path: Path, content: bytes) -> Path:
    aside = path.with_name(f"{path.name}.new")
    aside.unlink(missing_ok=True)
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW
    descriptor = os.open(aside, flags, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        os.fchmod(descriptor, 0o600)
        file.write(content)
        file.flush()
        os.fsync(descriptor)
    return aside


def _holds(path: Path, content: bytes) -> bool:
    try:
        if path.stat().st_size != len(content):
            return False
        return path.read_bytes() == content
    except FileNotFoundError:
        return False
