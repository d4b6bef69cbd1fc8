"""Sentences: what happened, in one line of English. Pure.

Every kind of event has one, whatever it carries: what is not known of it is left out. What
strangers have put into an event comes out printable and short enough for a line. `giving`,
`recordings` and `running` have a function for each kind of event, made of `parts`.
"""

from typing import Final

from bastion.events import Event, Happened, What, named
from bastion.sentences import giving, recordings, running
from bastion.sentences.parts import LONGEST, printable, short

__all__ = ["LONGEST", "printable", "sentence"]


def sentence(event: Event | Happened) -> str:
    """What happened: who, what, about whom, by which request, grant, session, and why."""
    happened = event.happened if isinstance(event, Event) else event
    said = _SAID[happened.what](happened)
    ids = [each for each in _ids(happened) if each not in said.replace(",", " ").split()]
    behind = f" ({' '.join(ids)})" if ids else ""
    why = _why(happened)
    return printable(f"{said}{behind}{f': {why}' if why else ''}")


def _ids(happened: Happened) -> list[str]:
    found = (
        named("R", happened.request),
        named("G", happened.grant),
        named("C", happened.connection),
        named("S", happened.session),
    )
    return [each for each in found if each is not None]


_SAY_NOT_WHY: Final = frozenset({What.SESSION_ENDED, What.RECORDING_FAILED})
"""Their reason stands in the sentence already."""


def _why(happened: Happened) -> str:
    if not happened.why or happened.what in _SAY_NOT_WHY:
        return ""
    return short(happened.why)


_SAID: Final = {**giving.SAID, **recordings.SAID, **running.SAID}
