"""Recordings in an object store: read on any machine that has the database."""

import re
import tarfile
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import update

from bastion.app import Services
from bastion.config import Settings
from bastion.events import Happened, What
from bastion.stewarding import shipping_parts
from recorder import EndReason, Kind, Session
from recorder.errors import NotAdopted, NotLetGo, StoreAway
from recorder.index_tables import sessions
from recorder.indexing import Indexer
from recorder.session import Shipment
from tests.bastion.worlds import ROOT
from tests.cli.desks import Installation
from tests.cli.old_sessions import ended_ago, files_of, retain
from tests.cli.recordings import recorded, session


def settled(installation: Installation, database: str, store: str) -> None:
    """The same database, and the same store; recordings that are over need not be compacted."""
    settings = installation.home.settings
    url = f'url = "{database}"'
    content = re.sub(r"^(# )?url = .*$", url, settings.read_text(), flags=re.MULTILINE)
    settings.write_text(content.replace("[recording]\n", f'[recording]\nstore = "{store}"\n'))


WHOLE = [".cast", ".manifest", ".manifest.sig", ".sent"]


def url_of(installation: Installation) -> str:
    """Of its database, for another machine."""
    return Settings.read(installation.home).database_url(installation.home)


@pytest.fixture
def bucket(tmp_path: Path) -> Path:
    made = tmp_path / "bucket"
    made.mkdir(mode=0o700)
    return made


@pytest.fixture
def first(furnished: Installation, bucket: Path) -> Installation:
    """A machine with a store."""
    settled(furnished, url_of(furnished), f"file://{bucket}")
    return furnished


@pytest.fixture
def second(first: Installation, furnishings: Installation, tmp_path: Path) -> Installation:
    """Another, with the same keys, on the same database and the same store."""
    other = furnishings.copied(tmp_path / "second")
    settled(other, url_of(first), f"file://{tmp_path / 'bucket'}")
    other.home.settings.write_text(f'node = "second"\n{other.home.settings.read_text()}')
    return other


def ship(services: Services, compaction: str | None = "kept") -> list[str]:
    """All that is over, as the service does it by and by."""
    assert services.storing.shelf is not None
    if compaction is not None:
        with services.store.write() as connection:
            connection.execute(update(sessions).values(compaction=compaction))
    return shipping_parts(services).shipping(services.storing.shelf).run()


async def test_any_machine_shows_what_one_has_recorded(
    first: Installation,
    second: Installation,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
) -> None:
    """Replay, transcript, export, verify; by what is in the store alone."""
    with first.services() as services:
        await recorded(services.archive, Kind.EXEC, "uptime")
        assert "and not in the store yet" in second("replay", "S-1", status=1).err
        assert ship(services) == []
    second("replay", "S-1", "--speed", "1000")
    assert "hello" in capsys.readouterr().out
    assert "hello" in second("transcript", "S-1").out
    assert "Nothing was changed" in second("verify", "S-1").out
    assert "1 recording: nothing was changed" in second("verify", "--all").out
    second("evidence", "S-1", "-o", str(tmp_path / "S-1.tar"))
    with tarfile.open(tmp_path / "S-1.tar") as pack:
        names = {name.rpartition("/")[2] for name in pack.getnames()}
    assert {f"S-1{suffix}" for suffix in WHOLE} <= names
    assert not list((second.home.recordings).rglob("S-*"))


async def test_what_another_has_recorded_is_found_by_its_text(
    first: Installation, second: Installation
) -> None:
    """As soon as the store has it; it is in nobody's way until then."""
    with first.services() as services:
        present(services)
        await recorded(services.archive, Kind.EXEC, "uptime")
        with second.services() as other:
            indexer = Indexer(
                *(other.index, other.archive, other.texts, other.transcripts), clock=lambda: 0.0
            )
            indexer.turn()
            assert "hello" not in second("search", "hello", status=None).out
            assert ship(services) == []
            while indexer.turn():
                pass
            assert "hello" in second("search", "hello").out


async def test_what_is_encrypted_stays_so_in_the_store(
    first: Installation, second: Installation, bucket: Path
) -> None:
    """Nothing plain of it is there; whoever has the identity reads it on any machine."""
    for each in (first, second):
        settings = each.home.settings
        settings.write_text(
            settings.read_text().replace("[recording]\n", "[recording]\nencrypt = true\n")
        )
    with first.services() as services:
        await recorded(services.archive, Kind.EXEC, "uptime")
        [row] = services.index.find()
        assert ship(services, compaction=None) == []
    names = [".cast.zst.age", ".manifest", ".manifest.sig", ".sent"]
    assert objects_of(bucket, row) == [f"S-1{suffix}" for suffix in names]
    assert "is encrypted to the auditors" in second("transcript", "S-1", status=1).err
    identity = ("--identity", str(first.home.auditor))
    assert "hello" in second("transcript", "S-1", *identity).out
    assert "Nothing was changed" in second("verify", "S-1", *identity).out
    assert "nothing was changed" in second("verify", "--all").out


async def test_what_the_store_has_changed_is_found_anywhere(
    first: Installation, second: Installation, bucket: Path
) -> None:
    """It is no recording any more, and verify says so."""
    with first.services() as services:
        await recorded(services.archive, Kind.EXEC, "uptime")
        ship(services)
        [session] = services.index.find()
    cast = bucket / session.recording.path.removesuffix(".cast") / "S-1.cast"
    cast.write_bytes(cast.read_bytes().replace(b"hello", b"hullo"))
    assert "is not what was sealed" in second("replay", "S-1", status=1).err
    assert "S-1: S-1.cast was changed." in second("verify", "--all", status=1).out
    assert "nothing was changed" in first("verify", "--all").out


def put_away(bucket: Path) -> None:
    bucket.rename(bucket.with_name("away"))


async def test_a_store_that_is_away_is_one_sentence(
    first: Installation, second: Installation, bucket: Path
) -> None:
    """For whoever wants to see something, and for whoever verifies: it is no finding."""
    with first.services() as services:
        await recorded(services.archive, Kind.EXEC, "uptime")
        ship(services)
    put_away(bucket)
    for words in (["replay", "S-1"], ["verify", "S-1"], ["verify", "--all"]):
        refused = second(*words, status=1)
        assert refused.err.splitlines()[-1] == f"bastion-admin: There is no file://{bucket}."
        assert "was changed" not in refused.out
    assert "hello" in first("transcript", "S-1").out
    here = first("verify", "--all")
    assert here.out.splitlines()[:2] == [
        "1 recording: nothing was changed, is missing or was added.",
        f"Only what is here was looked at, as the object store is away: there is no file://{bucket}.",
    ]
    assert first("verify", "--all", "--json").json["store_away"] == f"there is no file://{bucket}"


def test_the_doctor_tries_the_store(first: Installation, bucket: Path) -> None:
    """Whether it is there, whether others read it, whether it makes each object once."""
    assert "object store" not in first("doctor", status=None).out
    bucket.chmod(0o755)
    assert f"Others may read {bucket}" in first("doctor", status=1).out
    bucket.rename(bucket.with_name("away"))
    said = first("doctor", status=1).out
    assert f"The object store can't be used: there is no file://{bucket}." in said


async def test_the_doctor_tells_what_is_not_in_the_store(first: Installation, bucket: Path) -> None:
    """What the store has otherwise is told to the log as well."""
    with first.services() as services:
        await recorded(services.archive, Kind.EXEC, "uptime")
        [session] = services.index.find()
        folder = bucket / session.recording.path.removesuffix(".cast")
        folder.mkdir(parents=True)
        (folder / "S-1.sent").write_bytes(b"other")
        [said] = ship(services)
    assert "the store has other bytes in " in said
    assert "can't go into the object store: S-1." in first("doctor", status=1).out
    assert "the store has other bytes" in first("audit", "--what", "recording.refused").out
    assert (folder / "S-1.sent").read_bytes() == b"other"


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ('store = "bucket"', "is no object store"),
        ('keep_local = "30d"', "keep_local needs a store"),
        ('store = "file:///a"\nrecover_after = "5m"', "longer than limits.without_database"),
    ],
)
def test_a_slip_in_the_settings_is_one_sentence(
    furnished: Installation, line: str, said: str
) -> None:
    """With what to write."""
    settings = furnished.home.settings
    settings.write_text(settings.read_text().replace("[recording]\n", f"[recording]\n{line}\n"))
    refused = furnished("sessions", status=1).err
    assert said in refused
    assert refused.count("\n") == 1


async def test_what_is_let_go_goes_from_the_store(
    first: Installation, second: Installation, bucket: Path
) -> None:
    """Its seal and its tombstone stay there; what another machine still has of it goes too."""
    retain(first, "30d")
    retain(second, "30d")
    with first.services() as services:
        gone = await ended_ago(services, 40)
        assert ship(services) == []
    folder = bucket / gone.recording.path.removesuffix(".cast")
    assert len(list(folder.iterdir())) == 4
    with first.services() as services:
        services.store.enter_runner(services.clock.now())
        assert "Not here: 1" in second("prune", "--yes").err
        services.store.end_runners([services.store.chain.boot], services.clock.now())
    assert "S-1 of alice on web-1 was let go" in second("prune", "--yes").out
    left = ["S-1.manifest", "S-1.manifest.sig", "S-1.tombstone", "S-1.tombstone.sig"]
    assert sorted(file.name for file in folder.iterdir()) == left
    assert "S-1 was let go on " in second("verify", "S-1").err
    assert "nothing was changed" in second("verify", "--all").out
    with first.services() as services:
        parts = shipping_parts(services)
        assert services.storing.stored is not None
        assert parts.spool(services.storing.stored, None).run() == []
    assert files_of(first, gone) == []
    assert "nothing was changed" in first("verify", "--all").out
    (folder / "S-1.sent").write_bytes(b"back")
    assert "S-1.sent is still in the store" in first("verify", "S-1", status=1).out


async def test_what_a_store_keeps_is_said(first: Installation, bucket: Path) -> None:
    """It is gone for readers here; each hour it is tried again."""
    retain(first, "30d")
    with first.services() as services:
        gone = await ended_ago(services, 40)
        assert ship(services) == []
        assert services.storing.clearing is not None
        objects = services.storing.clearing._shelf._objects
        removed, objects.remove = objects.remove, refuse  # type: ignore[method-assign]
        with pytest.raises(NotLetGo, match="it is in the object store still: locked until 2027"):
            services.pruning.let_go(next(services.pruning.due()), ROOT)
        assert "S-1 was let go on " in first("replay", "S-1", status=1).err
        [said] = services.pruning.removal.finish_pending()
        assert "is not away yet" in said
        objects.remove = removed  # type: ignore[method-assign]
        assert services.pruning.removal.finish_pending() == []
    assert not (bucket / gone.recording.path.removesuffix(".cast") / "S-1.cast").exists()


def refuse(name: str) -> None:
    """As a store with locks on its objects does."""
    raise StoreAway("locked until 2027")


def present(services: Services) -> str:
    """It carries sessions, and the log knows on which machine; its name."""
    services.journal.tell(Happened(What.SERVICE_STARTED, "bastion"), services.clock.now())
    services.store.enter_runner(services.clock.now())
    return services.store.chain.boot


def lost(services: Services, runner: str) -> None:
    """Others have not heard of it for long."""
    now = services.clock.now()
    services.index.lose([runner], now - timedelta(minutes=16))
    services.store.end_runners([runner], now)


def adopted(services: Services, after: timedelta = timedelta(minutes=15)) -> list[str]:
    """What this machine recovers, as its service does it by and by."""
    assert services.storing.shelf is not None
    return replace(shipping_parts(services), after=after).adopting(services.storing.shelf).run()


def carried_by(services: Services, runner: str) -> None:
    """The first session, as its row has it."""
    with services.store.write() as connection:
        connection.execute(update(sessions).values(runner=runner))


def followed(services: Services) -> None:
    """What grows is in the store."""
    assert services.storing.shelf is not None
    assert shipping_parts(services).trailing(services.storing.shelf).run() == []


async def test_what_a_lost_machine_was_recording_is_recovered_by_another(
    first: Installation, second: Installation
) -> None:
    """From what the store had of it: it ends as lost, is sealed there, and is read anywhere. Should
    the machine come back with more, there is one recording all the same, and everybody is told."""
    with first.services() as one, second.services() as other:
        runner = present(one)
        recording = await one.archive.begin(session(Kind.EXEC, "uptime"))
        recording.shown(b"in the store\r\n")
        await one.archive.checkpoint()
        followed(one)
        recording.shown(b"on the disk only\r\n")
        present(other)
        assert adopted(other) == []
        lost(other, runner)
        [said] = adopted(other)
        assert said.startswith("S-1 was recovered from the store: ")
        assert adopted(other) == []
        [row] = other.index.find()
        assert (row.end_reason, row.recording.sealed) == (EndReason.LOST, True)
        assert "in the store" in second("transcript", "S-1").out
        assert "on the disk only" not in second("transcript", "S-1").out
        assert "Nothing was changed" in second("verify", "S-1").out
        assert "was put together" in second("audit", "--what", "recording.recovered").out
        assert ship(other) == []
        for pen in recording.pens:  # the machine comes back: nobody holds the files any more
            pen.close()
        returned = shipping_parts(one).returned()
        [said] = returned.run()
        assert "S-1 was recovered elsewhere: this machine has" in said
        assert returned.run() == []
        assert b"on the disk only" in content(Path(f"{recording.path}.returned"))
        assert "on the disk only" not in first("transcript", "S-1").out
        assert "S-1.cast.returned is another version" in first("verify", "S-1", status=1).out
        assert "there is another version" in first("audit", "--what", "recording.returned").out


async def test_what_was_over_is_recovered_whole_or_not_at_all(
    first: Installation, second: Installation, bucket: Path
) -> None:
    """A machine died before it could ship what it had sealed."""
    with first.services() as one, second.services() as other:
        runner = present(one)
        recording = await one.archive.begin(session(Kind.EXEC, "uptime"))
        recording.shown(b"hello\r\n")
        assert one.storing.shelf is not None
        trailing = shipping_parts(one).trailing(one.storing.shelf)
        trailing.run()
        await one.archive.finish(recording)
        present(other)
        lost(other, runner)
        [said] = adopted(other, timedelta(0))
        assert "S-1 can't be recovered from the store: of S-1." in said
        trailing.run()
        [said] = adopted(other, timedelta(0))
        assert "S-1 was recovered from the store" in said
        assert ship(other) == []
        assert other.index.find()[0].recording.shipment is Shipment.SHIPPED
        [row] = other.index.find()
        assert objects_of(bucket, row) == [f"S-1{suffix}" for suffix in WHOLE]


async def test_one_machine_recovers_what_several_could(
    first: Installation, second: Installation
) -> None:
    """Killed at any moment, whoever comes next goes on; one that is there keeps its own."""
    with first.services() as one, second.services() as other:
        runner = present(one)
        recording = await one.archive.begin(session(Kind.EXEC, "uptime"))
        recording.shown(b"in the store\r\n")
        followed(one)
        present(other)
        other.index.lose([runner], other.clock.now() - timedelta(minutes=16))
        assert adopted(other) == []  # its machine is there: it finds them again
        other.store.end_runners([runner], other.clock.now())
        assert other.storing.shelf is not None
        [row] = other.index.find()
        assert other.storing.shipments.adopt(row, "somebody")
        assert not other.storing.shipments.adopt(row, "somebody else")
        assert adopted(other) == []  # nobody knows that process
        carried_by(other, runner)
        killed = shipping_parts(other).adopting(other.storing.shelf)
        killed._settled = refuse_adoption  # type: ignore[assignment, method-assign]
        assert "can't be recovered" in killed.run()[0]
        assert second.home.recordings.joinpath(row.recording.path).exists()
        carried_by(other, runner)
        assert adopted(other)[0].startswith("S-1 was recovered")
        assert other.index.find()[0].recording.sealed


async def test_parts_of_another_session_are_not_sealed_as_this_one(
    first: Installation, second: Installation, bucket: Path
) -> None:
    """Whoever writes in the store lays one's parts where another's were."""
    with first.services() as one, second.services() as other:
        runner = present(one)
        for what in (b"harmless\r\n", b"guilty\r\n"):
            (await one.archive.begin(session(Kind.EXEC, "uptime"))).shown(what)
        followed(one)
        rows = {row.name: row for row in other.index.find()}
        innocent, guilty = (
            bucket / rows[name].recording.path.removesuffix(".cast") / "live"
            for name in ("S-1", "S-2")
        )
        for file in list(guilty.iterdir()):
            file.unlink()
        for file in innocent.iterdir():
            (guilty / file.name.replace("S-1", "S-2")).write_bytes(file.read_bytes())
        present(other)
        lost(other, runner)
        said = sorted(adopted(other))
        assert said[0].startswith("S-1 was recovered from the store: ")
        assert said[1] == (
            "S-2 can't be recovered from the store: S-2.cast there is another session's"
        )
        assert [row.name for row in other.index.find() if row.recording.sealed] == ["S-1"]


def content(file: Path) -> bytes:
    return file.read_bytes()


def objects_of(bucket: Path, row: Session) -> list[str]:
    """The objects of a session, by name."""
    folder = bucket / row.recording.path.removesuffix(".cast")
    return sorted(file.name for file in folder.rglob("S-*"))


def refuse_adoption(*_: object) -> str:
    """As if it were killed there."""
    raise NotAdopted("killed")
