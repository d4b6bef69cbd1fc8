"""Recordings that were never begun: their process was killed before their row was kept.

The files of a recording are made within the transaction that keeps its row. Where the process dies
in between, there are files without a row, with a header and nothing else, as nothing is shown or
sent before. They are nobody's evidence: they are removed, or every `verify` would tell of them. A
file that has one byte more stays, and is told of.
"""

import logging
import re
import time
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final

from recorder.index import Index
from recorder.mend import still_written

log = logging.getLogger(__name__)

LONGEST: Final = 256 * 1024
"""Bytes of a header: the client's command line is in it."""

YOUNG: Final = 5.0
"""Seconds for which one that is new may be of a session that begins."""

_FILE = re.compile(r"S-([0-9]{1,18})(-[0-9]{1,2})?\.cast", re.ASCII)


def remove_unbegun(directory: Path, index: Index, now: datetime) -> list[str]:
    """Remove those below an archive's directory of these two days and of the newest session's: the
    names of what is gone. Raises IndexUnavailable.
    """
    newest = [now, *(session.started_at for session in index.find(limit=1))]
    days = {(at - back).date() for at in newest for back in (timedelta(0), timedelta(days=1))}
    removed = []
    for day in sorted(days):
        for cast in sorted((directory / day.strftime("%Y/%m/%d")).glob("S-*.cast")):
            if _is_bare(cast) and _is_nobodys(cast, directory, index) and _is_gone(cast):
                removed.append(cast.name)
    return removed


def _is_gone(cast: Path) -> bool:
    """Remove it."""
    try:
        for file in _pair(cast):
            file.unlink(missing_ok=True)
    except OSError as error:
        log.error("%s can't be removed: %s", cast.name, error.strerror)
        return False
    return True


def _is_bare(cast: Path) -> bool:
    """Whether there is a header at most, in it and in its track, and nobody writes them."""
    try:
        young = time.time() - cast.stat().st_ctime < YOUNG
    except OSError:
        return False
    return not young and all(map(_has_header_only, _pair(cast))) and not still_written(cast)


def _pair(cast: Path) -> tuple[Path, Path]:
    return cast.with_suffix(".sent"), cast


def _has_header_only(file: Path) -> bool:
    try:
        with file.open("rb") as opened:
            start = opened.read(LONGEST + 1)
    except FileNotFoundError:
        return file.suffix == ".sent"
    except OSError:
        return False
    return len(start) <= LONGEST and not start.partition(b"\n")[2]


def _is_nobodys(cast: Path, directory: Path, index: Index) -> bool:
    """Whether no row has it. A row that can't be read may be its own."""
    found = _FILE.fullmatch(cast.name)
    if found is None:
        return False
    number = int(found[1])
    known = index.present([number])
    return number not in known or known[number] not in (None, str(cast.relative_to(directory)))
