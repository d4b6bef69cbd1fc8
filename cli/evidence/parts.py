"""What the page of a pack is made of: tables, properties, hashes, and what is cut. Pure."""

from collections.abc import Iterable, Sequence
from typing import Final

from cli.evidence.markup import Html, joined, link, tag
from recorder.nouns import counted

Row = Sequence[object]

LONGEST: Final = 2000
"""Characters of a command line."""


def short(command: str) -> str:
    """As much of a command line as one reads; sessions.json has all."""
    return command if len(command) <= LONGEST else f"{command[:LONGEST]}…"


def properties(pairs: Iterable[tuple[str, object]]) -> Html:
    """A list of properties; one without a value is left out."""
    told = [(name, value) for name, value in pairs if value not in (None, "", (), frozenset())]
    return tag("dl", *(joined([tag("dt", name), tag("dd", value)]) for name, value in told))


def table(columns: Sequence[str], rows: Iterable[Row]) -> Html:
    """A table; a column whose name begins with # is of numbers."""
    kinds = ["n" if name.startswith("#") else None for name in columns]
    heads = (
        tag("th", name.lstrip("#"), class_=kind) for name, kind in zip(columns, kinds, strict=True)
    )
    body = (
        tag("tr", *(tag("td", cell, class_=kind) for cell, kind in zip(row, kinds, strict=True)))
        for row in rows
    )
    return tag("table", tag("thead", tag("tr", *heads)), tag("tbody", *body))


def hash_of(value: str | None) -> Html | None:
    """A hash or a fingerprint, which may be broken anywhere."""
    return None if value is None else tag("span", value, class_="hash")


def cut(left: int, thing: str, file: str) -> Html:
    """That so many more are `left`, and in which file of the pack; nothing where none are."""
    if left <= 0:
        return Html("")
    there = joined([f"{counted(left, thing)} more: ", link(file, file), " has all."])
    return tag("p", there, class_="quiet")
