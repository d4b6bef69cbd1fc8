"""Covers: a recording that is over is encrypted to the auditors, and nothing plain is left."""

import asyncio
import hashlib
import os
import shutil
import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from recorder import Archive, Index, Kept, Sealing, Seals, Session, UnusableKey, age
from recorder.age import identity
from recorder.compaction import Wanted, compact
from recorder.cover import Covering, uncover
from recorder.covered import opened_covered
from recorder.database import Database
from recorder.errors import CorruptRecording, Covered, NotCovered, RecorderError
from recorder.manifest import Manifest, read_manifest
from recorder.plain import covered_path
from recorder.scene import scene_at
from recorder.space import Marks
from tests.recorder.inspectors import inspector, later
from tests.recorder.places import Clock, exec_of, shell
from tests.recorder.sealed import Keys, Log, flip

IDENTITY, AUDITOR = age.generate()
STRANGER, _ = age.generate()
NO_MARKS = Marks(0, 0, 0)


class Killed(BaseException):
    """The process ends here."""


class Encrypted:
    """An archive that encrypts what is over; `die_at` is the step before which it is killed."""

    def __init__(self, recordings: Path, index: Index, database: Database, clock: Clock) -> None:
        self.recordings, self.index, self.seals = recordings, index, Seals(database)
        self.log, self.keys, self.clock = Log(), Keys(), clock
        self.die_at = ""
        self.pauses = 0
        self.archive = self._started()
        self.inspection = inspector(
            recordings, index, database, judge=self.keys.signed, told=self.log.of
        )

    def _started(self) -> Archive:
        sealing = Sealing(
            self.recordings,
            self.index,
            self.seals,
            sign=self._sign,
            told=self._told,
            node="gate",
            now=self.clock.now,
            covering=Covering([age.recipient(AUDITOR)], NO_MARKS, self._pause),
        )
        return Archive(
            self.recordings,
            self.index,
            recipients=[AUDITOR],
            limit=1 << 22,
            now=self.clock.now,
            clock=self.clock,
            sealing=sealing,
        )

    def _pause(self) -> None:
        self.pauses += 1
        if self.die_at == f"slice {self.pauses}":
            raise Killed

    def _sign(self, manifest: bytes) -> str:
        if self.die_at == "sign":
            raise Killed
        return self.keys.sign(manifest)

    def _told(self, _: object, sealed: Sequence[tuple[Session, Kept]]) -> None:
        if self.die_at == "told":
            raise Killed
        self.log.hear_all(_, sealed)

    async def recorded(self, *shown: bytes) -> Session:
        """A session that is over."""
        async with self.archive.record(exec_of()) as recording:
            for data in shown or (b"hello",):
                recording.shown(data)
        return self.session(recording.session)

    async def restarted(self) -> list[str]:
        """What the next process does of it, which nobody kills."""
        self.die_at = ""
        self.archive = self._started()
        return await self.archive.seal_pending()

    def session(self, number: int) -> Session:
        found = self.index.get(number)
        assert found is not None
        return found

    def manifest(self, number: int) -> Manifest:
        kept = self.seals.of(number)
        assert kept is not None
        return read_manifest(kept.manifest)

    def lying(self) -> list[str]:
        """The names of all that lies there."""
        return sorted(file.name for file in self.recordings.rglob("S-*"))

    def file(self, session: Session) -> Path:
        return covered_path(self.recordings / session.recording.path)

    def found(self, number: int, key: str | None = None) -> list[str]:
        inspection = self.inspection
        if key is not None:
            inspection = inspection.with_identity(identity(key))
        return [finding.sentence for finding in inspection.session(number)]


@pytest.fixture
def place(recordings: Path, index: Index, database: Database, clock: Clock) -> Encrypted:
    return Encrypted(recordings, index, database, clock)


WHOLE = ["S-1.cast.zst.age", "S-1.manifest", "S-1.manifest.sig", "S-1.sent"]


async def test_nothing_plain_is_left_of_what_is_over(place: Encrypted) -> None:
    """The seal has the hashes of the content and of what covers it; an auditor reads it."""
    session = await place.recorded(b"the launch code is 0000\r\n")
    assert place.lying() == WHOLE
    for file in place.recordings.rglob("S-*"):
        assert b"launch" not in file.read_bytes()
        assert file.stat().st_mode & 0o777 == 0o600
    manifest = place.manifest(1)
    content, covered = manifest.part(".cast"), manifest.covered
    assert content is not None
    assert covered is not None
    assert (content.sha256, content.size) == (session.recording.sha256, session.recording.size)
    data = place.file(session).read_bytes()
    assert (covered.sha256, covered.size) == (hashlib.sha256(data).hexdigest(), len(data))
    reader = place.archive.open(session, key=IDENTITY)
    assert next(reader.events()).data == "the launch code is 0000\r\n"
    assert (session.recording.compaction, session.recording.sealed) == ("encrypted", True)
    assert place.index.uncompacted(later(), limit=9, after=0) == []


def said_by(*command: str) -> str:
    """What a program says."""
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


@pytest.mark.skipif(shutil.which("age") is None, reason="there is no age here")
async def test_age_and_zstd_alone_give_what_was_sealed(place: Encrypted, tmp_path: Path) -> None:
    """`age -d | zstd -dc | sha256sum`, by whoever has an auditor's key."""
    session = await place.recorded(*(b"line %d\r\n" % number for number in range(1000)))
    key = tmp_path / "key"
    key.write_text(IDENTITY)
    line = f"age -d -i {key} {place.file(session)} | zstd -dc | sha256sum"
    assert said_by("bash", "-c", line).split()[0] == session.recording.sha256


async def test_without_a_key_only_the_cover_is_read(place: Encrypted) -> None:
    """It says so; another's key opens nothing; the track of what was sent is there as ever."""
    session = await place.recorded()
    reader = place.archive.open(session)
    with pytest.raises(Covered, match="S-1 is encrypted to the auditors"):
        reader.header()
    assert b"".join(reader.covered_bytes()) == place.file(session).read_bytes()
    assert b"".join(reader.sent_bytes()).startswith(b'{"bastion-sent"')
    with pytest.raises(UnusableKey, match=r"S-1\.cast\.zst\.age: this identity does not open"):
        place.archive.open(session, key=STRANGER).header()
    with pytest.raises(UnusableKey, match="not an age identity"):
        place.archive.open(session, key="nonsense")


async def test_a_replay_can_begin_anywhere_in_it(place: Encrypted) -> None:
    """It is read from its beginning: what is encrypted is not sought through."""
    async with place.archive.record(shell()) as recording:
        for number in range(5):
            recording.shown(b"%d" % number)
            place.clock.seconds += 1
    reader = place.archive.open(place.session(recording.session), key=IDENTITY)
    scene = scene_at(reader, 3.0)
    assert next(scene.events).data == "3"
    assert scene.whole


STEPS = ["slice 1", "slice 2", "slice 3", "sign", "told"]


@pytest.mark.parametrize("step", STEPS)
async def test_what_was_killed_is_finished_at_the_next_start(place: Encrypted, step: str) -> None:
    """At whatever step: nothing is lost, and in the end nothing plain is left."""
    data = os.urandom(300_000)
    place.die_at = step
    with pytest.raises(Killed):
        await place.recorded(data)
    assert "S-1.cast" in place.lying(), "the plain one stays until the other is sealed"
    assert await place.restarted() == []
    assert place.lying() == WHOLE
    assert place.found(1) == place.found(1, IDENTITY) == []
    reader = place.archive.open(place.session(1), key=IDENTITY)
    assert b"".join(e.payload() for e in reader.events() if e.code == "ob") == data


async def test_a_large_one_is_not_waited_for(place: Encrypted) -> None:
    """Its session is over at once; it is encrypted and sealed by and by."""
    session = await place.recorded(os.urandom(1_000_000))
    assert not session.recording.sealed
    async with asyncio.timeout(10):
        while not place.session(1).recording.sealed:  # noqa: ASYNC110 (a thread is at it)
            await asyncio.sleep(0.01)
    assert place.lying() == WHOLE
    assert place.pauses > 16, "others get their turn meanwhile"


async def test_what_was_changed_meanwhile_stays_and_is_found(place: Encrypted) -> None:
    """It is sealed as the row has it, in plain: nobody covers up a change."""
    place.die_at = "slice 1"
    with pytest.raises(Killed):
        await place.recorded()
    flip(place.recordings / place.session(1).recording.path)
    assert await place.restarted() == []
    assert "S-1.cast" in place.lying()
    assert place.found(1) == ["S-1: S-1.cast was changed."]


async def test_what_was_recorded_before_stays_plain(
    place: Encrypted, archive: Archive, index: Index
) -> None:
    """It is sealed already; both are sound."""
    sealing = Sealing(
        place.recordings,
        index,
        place.seals,
        sign=place.keys.sign,
        told=place.log.hear_all,
        node="gate",
        now=place.clock.now,
    )
    async with archive.record(exec_of()) as recording:
        recording.shown(b"before")
    sealing.seal(recording.session)
    await place.recorded()
    assert await place.restarted() == []
    assert {"S-1.cast", "S-2.cast.zst.age"} <= set(place.lying())
    assert place.found(1) == place.found(2) == []


def cut(file: Path) -> None:
    os.truncate(file, 200)


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (flip, "S-1: S-1.cast.zst.age was changed."),
        (cut, "S-1: S-1.cast.zst.age was cut: it has 200 of "),
        (Path.unlink, "S-1: S-1.cast.zst.age is missing."),
    ],
)
async def test_a_cover_that_was_spoilt_is_found_without_a_key(
    place: Encrypted, spoil: Callable[[Path], object], said: str
) -> None:
    """The seal has its hash."""
    session = await place.recorded()
    spoil(place.file(session))
    [sentence] = place.found(1)
    assert sentence.startswith(said)


async def test_another_content_under_a_right_cover_is_found_with_a_key(place: Encrypted) -> None:
    """Whoever could sign anew still can't make the content fit."""
    await place.recorded()
    session = await place.recorded(b"another")
    first = place.session(1)
    path = place.recordings / first.recording.path
    path.write_bytes(place.archive.open(session, key=IDENTITY).opened().read())
    covering = Covering([age.recipient(AUDITOR)], NO_MARKS, lambda: None)
    part = covering.cover(path, hashlib.sha256(path.read_bytes()).hexdigest())
    path.unlink()
    assert part.name == "S-1.cast.zst.age"
    [without] = place.found(1)
    assert without.startswith("S-1: S-1.cast.zst.age was ")  # changed, or cut
    assert place.found(1, IDENTITY) == ["S-1: S-1.cast was changed.", without]


async def test_a_plain_file_beside_a_cover_is_found(place: Encrypted) -> None:
    """Somebody has put it there."""
    session = await place.recorded()
    (place.recordings / session.recording.path).write_bytes(b"x")
    assert place.found(1) == ["S-1: S-1.cast is there, though it was encrypted."]


# One file


@pytest.fixture
def cast(tmp_path: Path) -> Path:
    path = tmp_path / "S-7.cast"
    path.write_bytes(b"".join(b'[%d.0,"o","line %d"]\n' % (n, n) for n in range(100_000)))
    return path


def sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def covering(marks: Marks = NO_MARKS) -> Covering:
    return Covering([age.recipient(AUDITOR)], marks, lambda: None)


def content(path: Path) -> bytes:
    with opened_covered(covered_path(path), identity(IDENTITY)) as file:
        return file.read()


def test_one_that_was_compacted_is_covered_as_it_lies(cast: Path) -> None:
    """Its content is the same."""
    plain, hashed = cast.read_bytes(), sha256(cast)
    done = compact(Wanted(cast, hashed, len(plain)), lambda: None)
    assert done.compaction == "compacted"
    part = covering().cover(cast, hashed)
    uncover(cast, part)
    assert [file.name for file in cast.parent.iterdir()] == ["S-7.cast.zst.age"]
    assert content(cast) == plain


class Full(Marks):
    """Those of a disk on which nothing is free."""

    def fitted(self, total: int) -> Marks:
        return Marks(total, total, total)


def test_a_disk_without_room_is_left_as_it_was(cast: Path) -> None:
    """Live sessions need what there is."""
    with pytest.raises(NotCovered, match="no room"):
        covering(Full(0, 0, 0)).cover(cast, sha256(cast))
    assert [file.name for file in cast.parent.iterdir()] == ["S-7.cast"]


def test_the_plain_file_stays_beside_another_cover(cast: Path) -> None:
    """One that is not what was sealed covers nothing."""
    part = covering().cover(cast, sha256(cast))
    flip(covered_path(cast))
    with pytest.raises(NotCovered, match="the plain file stays"):
        uncover(cast, part)
    assert cast.exists()
    covered_path(cast).unlink()
    with pytest.raises(OSError, match="No such file"):
        uncover(cast, part)


SPOILT: dict[str, Callable[[Path], object]] = {
    "flipped": flip,
    "cut": cut,
    "cut by one": lambda file: os.truncate(file, file.stat().st_size - 1),
    "empty": lambda file: file.write_bytes(b""),
    "begun": lambda file: file.write_bytes(b"age-encryption.org/v1\n"),
    "longer": lambda file: file.write_bytes(file.read_bytes() + b"more"),
}


@pytest.mark.parametrize("spoil", SPOILT.values(), ids=SPOILT)
def test_a_spoilt_file_is_no_content(cast: Path, spoil: Callable[[Path], object]) -> None:
    """However much of it can be read: at its end it is said that it was changed or cut."""
    covering().cover(cast, sha256(cast))
    spoil(covered_path(cast))
    with pytest.raises(RecorderError):
        content(cast)


def test_whoever_stops_reading_leaves_nothing_behind(cast: Path) -> None:
    """A thread decrypts; it ends with the reader."""
    covering().cover(cast, sha256(cast))
    for _ in range(50):
        file = opened_covered(covered_path(cast), identity(IDENTITY))
        assert file.readline() == b'[0.0,"o","line 0"]\n'
        file.close()
    with pytest.raises(CorruptRecording, match="another SHA-256"):
        covering().cover(cast, "0" * 64)
