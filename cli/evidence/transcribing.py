"""What sessions showed, as text to be read: a file for each, and its beginning for the page."""

from collections.abc import Iterator
from datetime import datetime
from itertools import chain
from typing import Final

from bastion.app import Services
from cli.evidence.facts import Held
from cli.evidence.tarball import Tarball
from cli.transcripts import told
from recorder import Covered, Kind, RecorderError, RecordingMissing

CUT_SHORT: Final = "(here the recording can't be read any further)"
"""The last line of a transcript, then."""


class Transcribing:
    """Makes transcripts of recordings, as they are at a time."""

    def __init__(self, services: Services, at: datetime) -> None:
        self._services = services
        self._at = at

    def add(self, tar: Tarball, held: Held) -> None:
        """The whole transcript; nothing where nothing was shown."""
        lines = self.lines(held)
        first = next(lines, None)
        if first is not None:
            pieces = (f"{line}\n".encode() for line in chain([first], lines))
            tar.stream(f"transcripts/{held.session.name}.txt", pieces, self._at)

    def lines(self, held: Held) -> Iterator[str]:
        """Its lines, as far as the recording can be read; a forward is opaque, and has none."""
        services, session = self._services, held.session
        if held.laid is not None or session.kind is Kind.FORWARD:
            return
        try:
            reader = services.archive.open(session)
            for line in services.transcripts.lines(reader.header(), reader.events()):
                yield told(line)
        except (Covered, RecordingMissing):
            return
        except RecorderError:
            yield CUT_SHORT
