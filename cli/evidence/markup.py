"""HTML that can't be broken out of: text goes in as text, and only as that. Pure.

`Html` is what was made here; a plain `str` is never taken for it. What comes from outside (command
lines, names of files, reasons, what a target wrote) is escaped, and what would not print, or turn
the direction of what is around it, is shown as an escape.
"""

import re
from collections.abc import Iterable, Mapping
from html import escape
from typing import Final
from urllib.parse import quote

from cli.output import printable, shown

_NAME: Final = re.compile(r"[a-z][a-z0-9-]*", re.ASCII)
_VOID: Final = frozenset({"meta"})


class Html(str):
    """Markup."""

    __slots__ = ()


def text(value: object) -> Html:
    """A value as people read it, on one line; markup too, if it is given here."""
    return Html(escape(shown(value)))


def lines(value: str) -> Html:
    """A text of several lines."""
    return Html("\n".join(escape(printable(line)) for line in value.split("\n")))


def tag(element: str, /, *children: object, **attributes: str | None) -> Html:
    """An element. Children that are no markup are text; `class_` is the attribute `class`."""
    given = {key.rstrip("_").replace("_", "-"): value for key, value in attributes.items()}
    opened = f"<{_checked(element)}{_attributes(given)}>"
    if element in _VOID:
        return Html(opened)
    return Html(f"{opened}{joined(children)}</{element}>")


def joined(children: Iterable[object]) -> Html:
    """Several children, one after the other; None is none."""
    given = (each for each in children if each is not None)
    return Html("".join(each if isinstance(each, Html) else text(each) for each in given))


def link(name: str, to: str) -> Html:
    """A link to a file of the pack, or to a place on the page (`#S-31`)."""
    return tag("a", name, href=quote(to, safe="/#"))


def said(value: object) -> Html:
    """What a person or a program outside has said: its direction ends with it."""
    return tag("bdi", value)


def _attributes(given: Mapping[str, str | None]) -> str:
    return "".join(
        f' {_checked(name)}="{escape(printable(value), quote=True)}"'
        for name, value in given.items()
        if value is not None
    )


def _checked(name: str) -> str:
    """Names are ours; one that is none is a mistake."""
    if _NAME.fullmatch(name) is None:
        raise ValueError(f"{name!a} is no name in HTML")
    return name
