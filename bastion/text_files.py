"""Text files that people write, read whole and within a limit."""

import os
import stat
from pathlib import Path

from bastion.errors import Misconfigured

LIMIT = 256 * 1024
"""The longest file that is read, in bytes."""


def read_text(file: Path, mend: str) -> str:
    """What stands in `file`, with plain ends of lines and without a byte order mark.

    `mend` is what to do where it is missing. Raises Misconfigured.
    """
    try:
        content = _content(file)
        if len(content) > LIMIT:
            raise Misconfigured(f"{file} is longer than {LIMIT} bytes: is it the right file?")
        return content.decode("utf-8-sig").replace("\r\n", "\n")
    except FileNotFoundError:
        raise Misconfigured(f"{file} is missing: {mend}.") from None
    except UnicodeDecodeError:
        raise Misconfigured(f"{file} is not UTF-8 text: write it again as UTF-8.") from None
    except OSError as error:
        raise Misconfigured(f"{file} can't be read: {error.strerror}.") from None


def _content(file: Path) -> bytes:
    """As much as is looked at. A pipe would keep whoever opens it, for ever, waiting for a writer.

    Raises OSError; Misconfigured for what is no plain file.
    """
    with open(file, "rb", opener=_at_once) as opened:
        if stat.S_ISREG(os.fstat(opened.fileno()).st_mode):
            return opened.read(LIMIT + 1)
    raise Misconfigured(f"{file} is no plain file: put one in its place.")


def _at_once(file: str, flags: int) -> int:
    return os.open(file, flags | os.O_NONBLOCK)
