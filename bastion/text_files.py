"""Text files that people write, read whole and within a limit."""

from pathlib import Path

from bastion.errors import Misconfigured

LIMIT = 256 * 1024
"""The longest file that is read, in bytes."""


def read_text(file: Path, mend: str) -> str:
    """What stands in `file`, with plain ends of lines and without a byte order mark.

    `mend` is what to do where it is missing. Raises Misconfigured.
    """
    try:
        with file.open("rb") as opened:
            content = opened.read(LIMIT + 1)
        if len(content) > LIMIT:
            raise Misconfigured(f"{file} is longer than {LIMIT} bytes: is it the right file?")
        return content.decode("utf-8-sig").replace("\r\n", "\n")
    except FileNotFoundError:
        raise Misconfigured(f"{file} is missing: {mend}.") from None
    except UnicodeDecodeError:
        raise Misconfigured(f"{file} is not UTF-8 text: write it again as UTF-8.") from None
    except OSError as error:
        raise Misconfigured(f"{file} can't be read: {error.strerror}.") from None
