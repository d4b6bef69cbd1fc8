"""The facts of a pack, as values: what was gathered, and what was found when it was judged."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

from bastion.chains import Finding as EventFinding
from bastion.dossier import Dossier
from bastion.inventory import PublicKey
from bastion.proving import Proof
from cli.beside import Beside
from recorder import Kept, Session
from recorder.session import Compaction
from recorder.tombstones import Laid
from recorder.verify import Finding

NAMESPACE: Final = "evidence@bastion"
"""What the signature of a pack is for."""

SIGNER: Final = "seal"
"""Whom `allowed_signers` names."""


@dataclass(frozen=True, slots=True)
class Held:
    """A session's recording: its seal, None where there is none, and what is wrong with it.

    `laid` is the tombstone of one that was let go; `beside` what is known beside it.
    """

    session: Session
    kept: Kept | None
    findings: tuple[Finding, ...] = ()
    laid: Laid | None = None
    beside: Beside = field(default_factory=Beside)

    @property
    def standing(self) -> str:
        """How it stands, in a few words."""
        if self.findings:
            return "not as it was sealed" if self.kept is not None else "not proved"
        if self.laid is not None:
            return f"let go {self.laid.at:%Y-%m-%d}: its seal and tombstone are left"
        if self.session.live:
            return "live: it goes on, and is not sealed"
        return "not sealed yet" if self.kept is None else "as it was sealed"

    @property
    def covered(self) -> bool:
        """Whether it is encrypted to the auditors."""
        return self.session.recording.compaction is Compaction.ENCRYPTED

    @property
    def sound(self) -> bool:
        """Whether it is as it was sealed."""
        return self.kept is not None and self.laid is None and not self.findings


@dataclass(frozen=True, slots=True)
class Facts:
    """What goes into a pack. `by` packs it, on the machine `node`; `keys` have ever sealed there,
    the present one first. `strayed` are versions of rules whose text does not fit them, `missing`
    sessions that the log tells of, and whose rows are not there or can't be read."""

    dossier: Dossier
    held: tuple[Held, ...]
    proof: Proof
    keys: tuple[PublicKey, ...]
    by: str
    node: str
    strayed: tuple[str, ...] = ()
    missing: tuple[int, ...] = ()

    @property
    def name(self) -> str:
        """What the pack is about: `G-7`, or `S-31`."""
        return self.dossier.name

    def findings(self) -> Iterator[Finding | EventFinding]:
        """All that is wrong: with recordings, then with events."""
        for held in self.held:
            yield from held.findings
        yield from self.proof.findings

    def found(self) -> list[str]:
        """The same as sentences, with what is wrong with the rules, and what is missing."""
        said = [finding.sentence for finding in self.findings()]
        rules = (f"The rules {version[:12]} are not what they were." for version in self.strayed)
        return [*said, *rules, *map(_gone, self.missing)]


def _gone(session: int) -> str:
    """Of a session that has events and no row."""
    return f"S-{session}: the log tells of it, and its row is missing or can't be read."
