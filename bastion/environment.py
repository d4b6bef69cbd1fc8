"""Which environment variables go up to a target, and which terminal types.

Names are listed one by one, values are short and plain: a locale's name can be a path
(CVE-2014-0475), and a variable can be a program's option. Pure.
"""

import re
from collections.abc import Mapping

NAMES = frozenset(
    b"LANG LC_ALL LC_ADDRESS LC_COLLATE LC_CTYPE LC_IDENTIFICATION LC_MEASUREMENT LC_MESSAGES "
    b"LC_MONETARY LC_NAME LC_NUMERIC LC_PAPER LC_TELEPHONE LC_TIME TERM COLORTERM".split()
)
"""The variables that may be set by a client."""

_VALUE = re.compile(rb"[A-Za-z0-9_.@-]{1,64}")
_TERM = re.compile(r"[A-Za-z0-9_.+-]{0,64}", re.ASCII)


def permitted(asked: Mapping[bytes, bytes]) -> dict[bytes, bytes]:
    """What of `asked` (RFC 4254 section 6.4) goes up; the rest is left out."""
    return {
        name: value for name, value in asked.items() if name in NAMES and _VALUE.fullmatch(value)
    }


def is_terminal_type(name: str) -> bool:
    """Whether `name` can be a terminal's type, as in `xterm-256color`; it may be empty."""
    return _TERM.fullmatch(name) is not None
