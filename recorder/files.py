"""Where a recording's files go, and with which modes."""

import os
from datetime import datetime
from pathlib import Path

from recorder.pen import Pen

_NAMES_TRIED = 10


def day_directory(root: Path, moment: datetime) -> Path:
    """`root/2026/11/23`, made where it is missing: each 0700, and on disk. Raises OSError."""
    directory = root
    _make(root)
    for part in moment.strftime("%Y/%m/%d").split("/"):
        directory = directory / part
        _make(directory)
    return directory


def new_pens(directory: Path, name: str) -> tuple[Pen, Pen]:
    """New files `name.cast` and `name.sent`. Raises OSError.

    If there is such a file already (the database was restored from an older copy), it is kept,
    and the new ones are called `name-2`, up to `name-10`.
    """
    for number in range(1, _NAMES_TRIED + 1):
        stem = name if number == 1 else f"{name}-{number}"
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


def _make(directory: Path) -> None:
    try:
        directory.mkdir(mode=0o700)
    except FileExistsError:
        return
    directory.chmod(0o700)
    sync_directory(directory.parent)


def sync_directory(directory: Path) -> None:
    """Have the names in a directory on disk."""
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
