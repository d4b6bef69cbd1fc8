"""Places: whether a recording lies on this machine, in the object store only, or with another one.

here      below the archive's own directory
stored    nothing of it is here, and its row says that the store has it
elsewhere another machine has recorded it, and it is not in the store yet; while it is live, as
          much of it as is there already may be read (`arriving`)
"""

from collections.abc import Callable
from pathlib import Path

from recorder.arriving import Arriving
from recorder.errors import NotYetStored, RecordingMissing
from recorder.fetched import Fetched
from recorder.plain import covered_path, lying_path, plain_path
from recorder.seal import MANIFEST
from recorder.session import Session, Shipment


class Places:
    """Where the recordings of one archive lie, whose own directory is `directory`.

    Without `fetched` and `arriving` there is no store. `elsewhere` says of a runner whether it is
    another machine's.
    """

    def __init__(
        self,
        directory: Path,
        fetched: Fetched | None = None,
        elsewhere: Callable[[str], bool] = lambda _: False,
        arriving: Arriving | None = None,
    ) -> None:
        self._directory = directory
        self._fetched = fetched
        self._elsewhere = elsewhere
        self._arriving = arriving

    def is_here(self, session: Session) -> bool:
        """Whether any of it lies here: a recording, or what is left of one that was let go."""
        plain = plain_path(self._directory / session.recording.path)
        if session.recording.let_go_at is not None:
            return plain.with_suffix(MANIFEST).is_file()
        try:
            lying_path(plain)
        except RecordingMissing:
            return covered_path(plain).is_file()
        return True

    def is_stored(self, session: Session) -> bool:
        """Whether it has to be read from the store."""
        shipped = session.recording.shipment is Shipment.SHIPPED
        return self._fetched is not None and shipped and not self.is_here(session)

    def is_elsewhere(self, session: Session) -> bool:
        """Whether another machine has it, and the store does not yet."""
        if session.runner is None or session.recording.shipment is not None:
            return False
        return not self.is_here(session) and self._elsewhere(session.runner)

    def root(self, session: Session, between: Callable[[], object] = lambda: None) -> Path:
        """The directory below which its row's path is right; fetched first where it has to be.

        Raises NotYetStored, and what `Fetched.root` and `Arriving.root` do.
        """
        if self.is_here(session):
            return self._directory
        if self._fetched is not None and session.recording.shipment is Shipment.SHIPPED:
            return self._fetched.root(session, between)
        if self.is_elsewhere(session):
            if session.live and self._arriving is not None:
                return self._arriving.root(session, between)
            raise NotYetStored(
                f"{session.name} is on the machine that recorded it, and not in the store yet"
            )
        return self._directory

    def forget(self, session: Session) -> None:
        """It was let go: what was fetched of it goes too."""
        if self._fetched is not None:
            self._fetched.forget(session)
