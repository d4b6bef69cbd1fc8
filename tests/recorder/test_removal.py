"""Letting go: the files are taken away, a tombstone is left, and whatever is amiss is found."""

import fcntl
import os
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
import zstandard
from sqlalchemy import delete, update

from recorder import Session
from recorder.database import Database
from recorder.errors import IndexUnavailable, LetGo, NotLetGo
from recorder.index_tables import sessions, tombstones
from recorder.inspection import Inspection
from recorder.manifest import Part, read_manifest, sha256_of
from recorder.mend import measured
from recorder.removal import Removal
from recorder.tombstone import Tombstone
from recorder.tombstones import Laid, Tombstones, lay
from recorder.verify import Witness
from tests.postgres import on_sqlite
from tests.recorder.inspectors import LATER, inspector
from tests.recorder.sealed import Place

LEFT = ["S-1.manifest", "S-1.manifest.sig", "S-1.tombstone", "S-1.tombstone.sig"]
AGO = LATER - timedelta(hours=1)


class Yard:
    """Where recordings are let go; `forgotten` are those of which others had something."""

    def __init__(self, place: Place, database: Database) -> None:
        self.place, self.database = place, database
        self.tombstones = Tombstones(database)
        self.forgotten: list[int] = []
        self.before_forgotten: Callable[[], object] = lambda: None
        self.removal = self.removal_of("gate")

    def removal_of(self, node: str) -> Removal:
        """The same on that machine."""
        index, forget = self.place.index, [self._forget]
        return Removal(self.place.recordings, index, self.tombstones, forget, node=node)

    def _forget(self, session: int) -> None:
        self.before_forgotten()
        self.forgotten.append(session)

    def stone(self, session: Session) -> Tombstone:
        """The tombstone of a session as it lies now."""
        kept = self.place.seals.of(session.id)
        assert kept is not None
        manifest = read_manifest(kept.manifest)
        return Tombstone(
            session=session.id,
            manifest=manifest.number,
            sha256=kept.sha256,
            at=AGO,
            by="bastion",
            rule="default: 30d",
            retention="5e" * 32,
            ended_at=manifest.ended_at,
            files=self.removal.parts(session, manifest),
            node="gate",
        )

    def signed(self, tombstone: Tombstone) -> Laid:
        """The same, signed."""
        text = tombstone.text()
        signature = self.place.keys.sign(text.encode())
        return Laid(tombstone.session, text, signature, sha256_of(text), tombstone.at)

    def lay(self, laid: Laid) -> Session:
        """The decision: from here on it counts as gone."""
        with self.database.write() as connection:
            lay(connection, laid)
        found = self.place.index.get(laid.session)
        assert found is not None
        return found

    def let_go(self, session: Session) -> Laid:
        """All of it."""
        laid = self.signed(self.stone(session))
        self.removal.finish(self.lay(laid), laid)
        return laid

    def inspection(self, *, held: bool = False, told: bool = True) -> Inspection:
        """Who inspects, and asks those who know of holds and the log."""
        laid = self.tombstones.of(1)
        witness = Witness(held, [laid.sha256] if laid is not None and told else [])
        return inspector(
            self.place.recordings,
            self.place.index,
            self.database,
            witness,
            judge=self.place.keys.signed,
        )

    def found(self, *, held: bool = False, told: bool = True) -> list[str]:
        """What is wrong with the first."""
        return [each.sentence for each in self.inspection(held=held, told=told).session(1)]

    def names(self, session: Session) -> list[str]:
        """Of all files of it."""
        cast = self.place.file(session)
        return sorted(each.name for each in cast.parent.glob(f"{cast.stem}.*"))


@pytest.fixture
def yard(place: Place, database: Database, monkeypatch: pytest.MonkeyPatch) -> Yard:
    """No power cut is to be feared here."""
    monkeypatch.setattr(os, "fsync", lambda _: None)
    return Yard(place, database)


@pytest.fixture
async def session(yard: Yard) -> Session:
    [found] = await yard.place.recorded()
    return found


def test_the_files_go_and_the_seal_stays(yard: Yard, session: Session) -> None:
    """Beside it lies the tombstone; nobody has anything of it any more; and it can't be opened."""
    laid = yard.let_go(session)
    assert yard.names(session) == LEFT
    stone = yard.place.file(session, ".tombstone")
    assert stone.read_text() == laid.text
    assert stone.stat().st_mode & 0o777 == 0o600
    assert yard.forgotten == [1]
    assert yard.found() == []
    assert yard.removal.finish_pending() == []
    gone = yard.place.index.get(1)
    assert gone is not None
    with pytest.raises(LetGo, match="S-1 was let go on 2026-11-30"):
        yard.place.archive.open(gone)


def test_what_was_made_of_it_goes_too(yard: Yard, session: Session) -> None:
    """A compressed file has the hash of what lay there; another session's files stay."""
    cast = yard.place.file(session)
    packed = cast.with_suffix(".cast.zst")
    packed.write_bytes(zstandard.compress(cast.read_bytes()))
    cast.unlink()
    cast.with_name("S-1.scenes").write_bytes(b"made of it")
    others = [cast.with_name(name) for name in ("S-10.cast", "S-1-2.cast", "S-1")]
    for other in others:
        other.touch()
    size, sha256 = measured(packed)
    stone = yard.stone(session)
    assert Part("S-1.cast.zst", sha256, size) in stone.files
    assert [part.name for part in stone.files] == ["S-1.cast.zst", "S-1.scenes", "S-1.sent"]
    assert yard.removal.size(session) == sum(part.size for part in stone.files)
    yard.let_go(session)
    assert yard.names(session) == LEFT
    assert all(other.exists() for other in others)


@pytest.mark.parametrize("step", ["stone", "signature", "files", "forgotten", "finished"])
def test_a_kill_between_two_steps_is_finished_later(
    yard: Yard, session: Session, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    """Nothing is missing meanwhile, nothing is left in the end, and nothing is done twice."""
    laid = yard.signed(yard.stone(session))

    def killed(*_: object, **__: object) -> None:
        raise SystemExit

    with monkeypatch.context() as patched:
        if step == "forgotten":
            yard.before_forgotten = killed
        elif step == "finished":
            patched.setattr(Tombstones, "finish", killed)
        elif step == "files":
            patched.setattr(Path, "unlink", killed)
        else:
            whole = Path.rename
            suffix = ".new" if step == "stone" else ".sig.new"
            patched.setattr(
                Path,
                "rename",
                lambda path, to: killed() if path.name.endswith(suffix) else whole(path, to),
            )
        with pytest.raises(SystemExit):
            yard.removal.finish(yard.lay(laid), laid)
    yard.before_forgotten = lambda: None
    assert yard.tombstones.unfinished() == [1]
    assert yard.removal.finish_pending() == []
    assert yard.names(session) == LEFT
    assert yard.found() == []
    assert yard.forgotten == ([1, 1] if step == "finished" else [1])


@on_sqlite("PostgreSQL takes no bytes for a text")
def test_one_that_can_not_be_finished_keeps_no_other(yard: Yard, session: Session) -> None:
    """Somebody is at the first; what the database has of the second can't be read."""
    first = yard.signed(yard.stone(session))
    yard.lay(first)
    with yard.place.file(session).open("rb") as opened:
        fcntl.flock(opened, fcntl.LOCK_EX)
        [said] = yard.removal.finish_pending()
        assert said == "S-1 was let go, and is not away yet: somebody is at S-1.cast"
    with yard.database.write() as connection:
        connection.execute(update(tombstones).values(text=b"\xff"))
    [said] = yard.removal.finish_pending()
    assert said == "S-1 was let go, and what the database has can't be read"
    with yard.database.write() as connection:
        connection.execute(update(tombstones).values(text=first.text))
    assert yard.removal.finish_pending() == []


def test_what_another_machine_lets_go_is_finished_there(yard: Yard, session: Session) -> None:
    """Its files are not here, and nothing is laid beside what is not here."""
    laid = yard.signed(yard.stone(session))
    yard.lay(laid)
    for suffix in (".cast", ".sent"):
        yard.place.file(session, suffix).unlink()
    assert yard.removal_of("other").finish_pending() == []
    assert yard.tombstones.unfinished() == [1]
    assert yard.names(session) == LEFT[:2]
    assert yard.removal.finish_pending() == []
    assert yard.names(session) == LEFT


def test_who_is_at_a_recording_keeps_it(yard: Yard, session: Session) -> None:
    """One that writes or compacts; and one who lets go keeps another who does."""
    with yard.place.file(session).open("rb") as opened:
        fcntl.flock(opened, fcntl.LOCK_EX)
        with pytest.raises(NotLetGo, match=r"somebody is at S-1\.cast"):
            yard.removal.alone_with(session).__enter__()
    with (
        yard.removal.turn(),
        pytest.raises(NotLetGo, match="by another process already"),
        yard.removal.turn(),
    ):
        pass
    with yard.removal.turn(), yard.removal.alone_with(session):
        pass


@pytest.mark.parametrize(
    "path", ["../S-1.cast", "2026/11/23/S-2.cast", "2026/11/22/S-1.cast", "2026/11/23/S-1", "/etc"]
)
def test_a_row_that_names_another_file_takes_none_away(
    yard: Yard, session: Session, path: str
) -> None:
    """A row is not sealed: its path has to be where such a recording lies."""
    elsewhere = replace(session, recording=replace(session.recording, path=path))
    kept = yard.place.seals.of(1)
    assert kept is not None
    manifest = read_manifest(kept.manifest)
    laid = yard.signed(yard.stone(session))
    for act in (
        lambda: yard.removal.parts(elsewhere, manifest),
        lambda: yard.removal.size(elsewhere),
        lambda: yard.removal.alone_with(elsewhere).__enter__(),
        lambda: yard.removal.finish(
            replace(elsewhere, recording=replace(elsewhere.recording, let_go_at=AGO)), laid
        ),
    ):
        with pytest.raises(NotLetGo, match="its row names a file that is not its own"):
            act()
    assert len(yard.names(session)) == 4


@pytest.mark.parametrize("name", ["S-1.d", "S-1.lnk", "S-1.\x1b[2J"])
def test_what_is_no_part_of_it_keeps_it(yard: Yard, session: Session, name: str) -> None:
    """A directory, a link, a name that nothing of ours has: somebody has to look."""
    odd = yard.place.file(session).with_name(name)
    if name.endswith(".d"):
        odd.mkdir()
    elif name.endswith(".lnk"):
        odd.symlink_to("/etc/passwd")
    else:
        odd.touch()
    with pytest.raises(NotLetGo, match="beside it is no part of a recording") as raised:
        yard.stone(session)
    assert str(raised.value).isprintable()


def test_nothing_is_taken_away_without_a_decision(yard: Yard, session: Session) -> None:
    """The row has to say so."""
    laid = yard.signed(yard.stone(session))
    with pytest.raises(NotLetGo, match="does not say that it was let go"):
        yard.removal.finish(session, laid)
    assert len(yard.names(session)) == 4


def test_who_can_not_forget_is_asked_again(yard: Yard, session: Session) -> None:
    """The text index may be away: it is not finished until it has dropped its part."""

    def away() -> None:
        raise IndexUnavailable("the index of text is not available")

    laid = yard.signed(yard.stone(session))
    gone = yard.lay(laid)
    yard.before_forgotten = away
    with pytest.raises(IndexUnavailable):
        yard.removal.finish(gone, laid)
    [said] = yard.removal.finish_pending()
    assert "is not away yet: the index of text is not available" in said
    yard.before_forgotten = lambda: None
    assert yard.removal.finish_pending() == []


# What verify finds


def test_a_moment_is_given_to_who_lets_go(yard: Yard, session: Session) -> None:
    """Files that lie there still are found after a minute, or when it says that it is finished."""
    just_now = replace(yard.stone(session), at=LATER - timedelta(seconds=30))
    yard.lay(yard.signed(just_now))
    assert yard.found() == []
    yard.tombstones.finish(1)
    assert sorted(yard.found()) == [
        "S-1: S-1.cast is still there, though it was let go.",
        "S-1: S-1.sent is still there, though it was let go.",
        "S-1: S-1.tombstone is missing.",
        "S-1: S-1.tombstone.sig is missing.",
    ]


def test_what_comes_back_is_found(yard: Yard, session: Session) -> None:
    """A copy that was restored, compressed or not; a tombstone that was spoilt or taken away."""
    yard.let_go(session)
    yard.place.file(session, ".cast").with_name("S-1.cast.zst").touch()
    assert yard.found() == ["S-1: S-1.cast.zst is still there, though it was let go."]
    yard.place.file(session).with_name("S-1.cast.zst").unlink()
    yard.place.file(session, ".tombstone").write_text("{}\n")
    assert yard.found() == ["S-1: S-1.tombstone is not the tombstone that was laid."]
    yard.place.file(session, ".tombstone").unlink()
    assert yard.found() == ["S-1: S-1.tombstone is missing."]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"sha256": "ab" * 32}, "its tombstone is not that of the recording that was sealed"),
        ({"manifest": 2}, "its tombstone is not that of the recording that was sealed"),
        ({"at": AGO - timedelta(days=9)}, "its row does not say when it was let go"),
    ],
)
def test_a_tombstone_of_something_else_is_found(
    yard: Yard, session: Session, change: dict[str, object], said: str
) -> None:
    """Of another manifest, of another time; though it is signed."""
    other = yard.signed(replace(yard.stone(session), **change))  # type: ignore[arg-type]
    laid = replace(other, at=AGO)
    yard.removal.finish(yard.lay(laid), laid)
    assert yard.found() == [f"S-1: {said}."]


def test_a_forged_signature_is_found(yard: Yard, session: Session) -> None:
    """And a text that is none."""
    laid = replace(yard.signed(yard.stone(session)), signature="signed by me\n")
    yard.removal.finish(yard.lay(laid), laid)
    assert yard.found() == ["S-1: the signature of its tombstone: it does not fit the text."]
    with yard.database.write() as connection:
        connection.execute(update(tombstones).values(text="{}"))
    assert "S-1: its tombstone does not fit its hash." in yard.found()
    assert any("the tombstone can't be read" in said for said in yard.found())


def test_a_tombstone_that_nobody_heard_of_is_found(yard: Yard, session: Session) -> None:
    """By the log; and one that was laid while it was on hold."""
    yard.let_go(session)
    assert yard.found(told=False) == ["S-1: the log of events does not tell of its tombstone."]
    assert yard.found(held=True) == ["S-1: it was let go while it was on hold."]


def test_a_row_that_only_says_so_is_found(yard: Yard, session: Session) -> None:
    """Its tombstone is missing; and one beside a recording that is there is too much."""
    yard.let_go(session)
    with yard.database.write() as connection:
        connection.execute(delete(tombstones))
    found = yard.found()
    assert "S-1: its row says that it was let go, and its tombstone is missing." in found
    assert "S-1: S-1.cast is missing." in found
    assert "S-1: S-1.tombstone is there, and nobody let it go." in found
    with yard.database.write() as connection:
        connection.execute(delete(sessions))
    assert yard.found() == ["S-1: its row is missing."]
