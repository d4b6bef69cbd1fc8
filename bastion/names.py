"""Names: what a user, a host, a login, a label may be called, and how ids are written.

One strict pattern, matched before anything else sees the name, so that no name can ever be a
path, an option, a shell word or a terminal escape. Users, hosts, aliases, groups and label keys
ignore case and are kept in lower case; logins belong to the target and keep theirs.
"""

import re

from bastion.errors import BadInput

_NAME = re.compile(r"[a-z0-9](?:[a-z0-9._-]{0,61}[a-z0-9])?", re.ASCII)
_HOST = re.compile(r"(?=.{1,253}\Z)[a-z0-9](?:[a-z0-9_-]{0,62})(?:\.[a-z0-9_-]{1,63})*", re.ASCII)
_PATTERN = re.compile(r"[a-z0-9*?](?:[a-z0-9._*?-]{0,252})", re.ASCII)
_LOGIN = re.compile(r"[A-Za-z_][A-Za-z0-9._-]{0,31}", re.ASCII)
_ID_LIKE = re.compile(r"[a-z]-[0-9]+", re.ASCII)
_LABEL_VALUE = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._-]{0,62})", re.ASCII)
_PRINTABLE = re.compile(r"[^\x00-\x1f\x7f-\x9f\u2028\u2029\u200e\u200f\u202a-\u202e\u2066-\u2069]*")

RESERVED_USERS = frozenset({"bastion", "root", "nobody"})
"""User names that would read as something else in a log."""


def user_name(text: str) -> str:
    """A user's name in lower case: letters, digits, `.`, `_`, `-`; at most 63 characters.

    Names that look like an id (`c-31`, `g-7`) are refused: certificates carry `C-<serial>` as a
    principal beside the user's name. Raises BadInput.
    """
    name = _match(_NAME, text.lower(), text, "user name", "letters, digits, '.', '_' and '-'")
    if _ID_LIKE.fullmatch(name) or name in RESERVED_USERS:
        raise BadInput(f"{name!r} can't be a user name: it reads as something else in the logs.")
    return name


def group_name(text: str) -> str:
    """A group's name in lower case, by the rule for user names. Raises BadInput."""
    return _match(_NAME, text.lower(), text, "group name", "letters, digits, '.', '_' and '-'")


def host_name(text: str) -> str:
    """A host's name or alias in lower case: DNS-like labels, at most 253 characters.

    An IPv4 address may be an alias. Raises BadInput.
    """
    lower = text.lower().removesuffix(".")
    return _match(_HOST, lower, text, "host name", "letters, digits, '.', '_' and '-'")


def host_pattern(text: str) -> str:
    """A host name in which `*` and `?` stand for any characters. Raises BadInput."""
    shape = "letters, digits, '.', '_', '-', '*' and '?'"
    return _match(_PATTERN, text.lower(), text, "host pattern", shape)


def login_name(text: str) -> str:
    """A login on a target, case kept: at most 32 characters, beginning with a letter or `_`."""
    return _match(_LOGIN, text, text, "login", "letters, digits, '.', '_' and '-'")


def label(text: str) -> tuple[str, str]:
    """A label `KEY=VALUE` taken apart; the key in lower case. Raises BadInput."""
    key, equals, value = text.partition("=")
    if not equals:
        raise BadInput(f"{_shown(text)} is not a label: write KEY=VALUE, as in env=prod.")
    key = _match(_NAME, key.lower(), text, "label", "KEY=VALUE of letters, digits, '.', '_', '-'")
    return key, _match(_LABEL_VALUE, value, text, "label", "letters, digits, '.', '_' and '-'")


def free_text(text: str, what: str, limit: int = 500) -> str:
    """A reason, a ticket, a comment: one printable line of 1 to `limit` characters.

    Control and bidirectional characters are refused, so that it is safe to print anywhere.
    Raises BadInput.
    """
    stripped = text.strip()
    if not stripped:
        raise BadInput(f"The {what} is empty: say in a few words.")
    if len(stripped) > limit:
        raise BadInput(f"The {what} has {len(stripped)} characters; at most {limit} are kept.")
    if not _PRINTABLE.fullmatch(stripped):
        raise BadInput(f"The {what} has control characters in it: write plain text on one line.")
    return stripped


def numbered(prefix: str, text: str) -> int:
    """The number in an id such as `G-7`, `g-7` or `7`. Raises BadInput."""
    digits = re.fullmatch(rf"(?:{prefix}-)?([0-9]{{1,15}})", text.strip(), re.IGNORECASE | re.ASCII)
    if digits is None:
        raise BadInput(f"{_shown(text)} is not an id: write it as in {prefix}-7.")
    return int(digits[1])


def _match(pattern: re.Pattern[str], name: str, text: str, what: str, shape: str) -> str:
    # `lower()` makes ASCII of a few other letters (the Kelvin sign): what was written counts.
    if not text.isascii() or pattern.fullmatch(name) is None or ".." in name:
        raise BadInput(f"{_shown(text)} can't be a {what}: use {shape}.")
    return name


def _shown(text: str) -> str:
    return ascii(text if len(text) <= 60 else text[:57] + "...")
