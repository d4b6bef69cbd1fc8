"""Recordings that are sealed by a key that needs no mathematics, and a log that hears of it."""

from collections.abc import Collection, Sequence
from datetime import datetime
from pathlib import Path

from recorder import Archive, Index, Kept, Sealing, Seals, Session
from recorder.database import Database
from recorder.manifest import sha256_of
from recorder.rounds import Rounds
from recorder.verify import By
from tests.recorder.inspectors import inspector, later
from tests.recorder.places import Clock, exec_of


class Log:
    """What the log of events was told of seals."""

    def __init__(self) -> None:
        self.told: dict[int, list[str]] = {}

    def hear(self, session: Session, kept: Kept) -> None:
        """Hear of a seal."""
        self.told.setdefault(session.id, []).append(kept.sha256)

    def hear_all(self, _: object, sealed: Sequence[tuple[Session, Kept]]) -> None:
        """Hear of several."""
        for session, kept in sealed:
            self.hear(session, kept)

    def begun(self, after: int) -> list[tuple[int, int]]:
        """The sessions that it tells of; here an event's number is that of its session."""
        return [(number, number) for number in sorted(self.told) if number > after][:5]

    def of(self, sessions: Collection[int]) -> dict[int, list[str]]:
        """As inspections ask it."""
        return {number: self.told[number] for number in sessions if number in self.told}


class Keys:
    """Signs with the newest key, and knows whose a signature is; `retired` says when each was."""

    def __init__(self) -> None:
        self.newest = 0
        self.retired: dict[int, datetime] = {}

    def sign(self, manifest: bytes) -> str:
        """By the newest key."""
        return f"key {self.newest} signed {sha256_of(manifest.decode())}\n"

    def signed(self, signature: str, manifest: str) -> By | str:
        """Whose it is."""
        for key in range(self.newest + 1):
            if signature == f"key {key} signed {sha256_of(manifest)}\n":
                return By(key, self.retired.get(key))
        return "does not fit the text"


class Place:
    """An archive that seals, and what inspects it."""

    def __init__(self, recordings: Path, index: Index, database: Database, clock: Clock) -> None:
        self.recordings, self.index, self.seals = recordings, index, Seals(database)
        self.log, self.keys = Log(), Keys()
        self.sealing = Sealing(
            recordings,
            index,
            self.seals,
            sign=self.keys.sign,
            told=self.log.hear_all,
            node="gate",
            now=clock.now,
        )
        self.archive = Archive(
            recordings,
            index,
            recipients=[],
            limit=1 << 20,
            now=clock.now,
            clock=clock,
            sealing=self.sealing,
        )
        self.inspection = inspector(
            recordings, index, database, judge=self.keys.signed, told=self.log.of
        )

    def rounds(self, threads: int = 1) -> Rounds:
        """All of them, inspected by so many threads."""
        signed = self.keys.signed
        return Rounds(
            self.inspection,
            self.index,
            self.seals,
            signed,
            later,
            begun=self.log.begun,
            threads=threads,
        )

    def found(self, session: int) -> list[str]:
        """What is wrong with one."""
        return [finding.sentence for finding in self.inspection.session(session)]

    def found_anywhere(self, threads: int = 1) -> list[str]:
        """What is wrong with any."""
        return [finding.sentence for finding in self.rounds(threads).findings()]

    async def recorded(self, count: int = 1) -> list[Session]:
        """So many sessions more, that are over and sealed."""
        done = []
        for _ in range(count):
            async with self.archive.record(exec_of()) as recording:
                recording.shown(b"hello")
            done.append(self.index.get(recording.session))
        return [each for each in done if each is not None]

    def file(self, session: Session, suffix: str = ".cast") -> Path:
        """One of its files."""
        return (self.recordings / session.recording.path).with_suffix(suffix)


def flip(file: Path) -> None:
    """One bit in the middle."""
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(content)
