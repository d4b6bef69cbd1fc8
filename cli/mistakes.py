"""Mistakes of ours: an exception that nobody expected, as one sentence; the rest goes to a file.

On the machine itself the traceback is kept in the home, over SSH in the server's log. Neither
shows it to the person.
"""

import logging
import os
import secrets
import traceback
from datetime import UTC, datetime
from pathlib import Path

from bastion.config import home_directory
from cli.desk import Desk

log = logging.getLogger(__name__)

FILE = "mistakes.log"
LIMIT = 1 << 20
"""Bytes; a longer file is begun anew."""


def keep(desk: Desk, error: Exception) -> str:
    """Write the traceback down, and give the sentence that says where."""
    number = secrets.token_hex(4)
    if desk.identity is not None:
        log.error("mistake %s", number, exc_info=error)
        return f"Something went wrong on our side; it has been logged as {number}."
    file = home_directory(desk.directory, os.environ) / FILE
    try:
        _append(file, number, error)
    except OSError:
        return f"This is a mistake of ours, and it can't be kept in {file}: {error!r}."
    return f"This is a mistake of ours; {file} has the details under {number}."


def _append(file: Path, number: str, error: Exception) -> None:
    flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW | os.O_CLOEXEC
    descriptor = os.open(file, flags, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8", errors="backslashreplace") as log_file:
        if os.fstat(descriptor).st_size > LIMIT:
            os.ftruncate(descriptor, 0)
        log_file.write(f"{number} {datetime.now(UTC).isoformat()}\n")
        log_file.writelines(traceback.format_exception(error))
