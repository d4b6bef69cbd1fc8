"""Cautions: what whoever grants a command template is told of it. Pure.

They stop nobody, and that none comes proves nothing: see `bastion.programs`.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from bastion.placeholders import Matching, Open, Part, Word, texts
from bastion.programs import Program, known
from bastion.templates import Template


@dataclass(frozen=True, slots=True)
class Caution:
    """What is to be thought of, and what to do instead: a sentence each."""

    what: str
    mend: str

    def __str__(self) -> str:
        return f"{self.what} {self.mend}"


def cautions(template: Template) -> list[Caution]:
    """What is to be said of the programs that it names, and of what it leaves open to them."""
    found: list[Caution] = []
    for name, program in _programs(template):
        left_open = _open(template)
        if left_open or not _tame(template, program):
            what = f"{name} can {program.can}: {template}"
            found.append(Caution(f"{what}.", f"Instead {program.instead}."))
        if left_open:
            what = f"{left_open} leaves it to whoever runs it what {name} is told: {template}."
            found.append(Caution(what, "Write it out, or narrow it: {a,b}, {re:…}, {path:/DIR}."))
        if template.tty:
            what = f"On a terminal {name} can be led by keys: {template}."
            found.append(Caution(what, "Leave {tty} away where it is not needed."))
    return found


def _programs(template: Template) -> Iterator[tuple[str, Program]]:
    """Those that are known, with the name that each has here; a carrier's burden too."""
    parts = template.parts
    while parts:
        here = _known(parts[0])
        yield from here.items()
        carried = any(program.carrier for program in here.values())
        parts = parts[1:]
        while carried and parts and not _known(parts[0]):
            parts = parts[1:]
        if not carried:
            return


def _known(part: Part) -> dict[str, Program]:
    pairs = ((text, known(text)) for text in texts(part) or ())
    return {text: program for text, program in pairs if program is not None}


def _open(template: Template) -> str:
    """The first placeholder that leaves several words or their options open; empty if none."""
    for part in template.parts:
        if isinstance(part, Open) and isinstance(part.what, Word | Matching) and part.what.free:
            return str(part.what)
    if template.rest is None:
        return ""
    return "{words!}" if template.rest.free else "{words}"


def _tame(template: Template, program: Program) -> bool:
    """Whether one of its words, whichever choice is taken, makes the program keep to its task."""
    written = (texts(part) for part in template.parts[1:])
    return any(words and program.tame.issuperset(words) for words in written)
