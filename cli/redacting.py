"""Redaction on the command line: by the patterns of the settings, and with a word on how much."""

import click

from bastion.errors import Conflict
from cli.desk import Desk
from recorder.nouns import counted
from recorder.redaction import Redaction, Redactor

redact_option = click.option(
    "--redact",
    is_flag=True,
    help="Without what the patterns find, also of an asciicast: no evidence.",
)


def redactor_of(desk: Desk) -> Redactor:
    """What leaves out what the settings say, for one text."""
    return Redactor(Redaction(desk.services.settings.recording.redact))


def demanded_redactor(desk: Desk) -> Redactor:
    """What somebody asked for. Raises Conflict where nothing says what is to be redacted."""
    redaction = Redaction(desk.services.settings.recording.redact)
    if not redaction:
        raise Conflict(
            'There are no patterns: set redact under [recording], as in redact = ["set:all"].'
        )
    return Redactor(redaction)


def redacted_note(places: int) -> str:
    """What is said of how much was redacted."""
    return f"{counted(places, 'place')} redacted: patterns find what they know."
