"""Getting rid of a recording: by the rules, around them, by the clock, by a kill at a bad time.

Whoever has the files can delete one, and whoever has the database can write in it. What was let go
as it should be is told from that.
"""

import json
import os
import subprocess
import sys
from datetime import timedelta
from pathlib import Path

import asyncssh
import pytest
from sqlalchemy import insert, text, update

from bastion.app import SERVICE, Services
from bastion.authority.signer import FileSigner
from bastion.authority.sshsig import sign
from recorder import Session
from recorder.index_tables import sessions, tombstones
from recorder.manifest import read_manifest, sha256_of
from recorder.tombstone import TOMBSTONE_NAMESPACE, Tombstone
from tests.cli.desks import HOST_KEY, Installation
from tests.cli.old_sessions import DAY, cast_of, ended_ago, files_of, retain
from tests.postgres import on_sqlite

ROOT = Path(__file__).parents[2]
GONE = [".manifest", ".manifest.sig", ".tombstone", ".tombstone.sig"]


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Installation:
    made = Installation(tmp_path_factory.mktemp("made") / "bastion")
    retain(made, "365d", ("label:env=dev", "30d"))
    return made


@pytest.fixture
async def installation(home: Installation, tmp_path: Path) -> Installation:
    """With a recording of 40 days ago, whose time is not over, that somebody would like to lose."""
    made = home.copied(tmp_path / "bastion")
    with made.services() as services:
        await ended_ago(services, 40)
    return made


def session_of(services: Services) -> Session:
    found = services.index.get(1)
    assert found is not None
    return found


def stone(services: Services) -> Tombstone:
    """A tombstone as it would be, if its time were over."""
    kept = services.seals.of(1)
    assert kept is not None
    manifest = read_manifest(kept.manifest)
    return Tombstone(
        session=1,
        manifest=kept.number,
        sha256=kept.sha256,
        at=services.clock.now() - timedelta(minutes=5),
        by="bastion",
        rule="label:env=dev: 30d",
        retention=services.pruning.retention.version,
        ended_at=manifest.ended_at,
        files=services.pruning.removal.parts(session_of(services), manifest),
        node=services.store.chain.node,
    )


def findings(installation: Installation) -> list[str]:
    said = installation("verify", "S-1", "--json", status=1).json
    return [each["sentence"] for each in said["findings"]]


def delete_files(installation: Installation, session: Session) -> None:
    for suffix in (".cast", ".sent"):
        cast_of(installation, session).with_suffix(suffix).unlink()


def forged(services: Services, signature: str, text: str, stone: Tombstone) -> None:
    """Written into the database, and beside the recording, as if it had been let go."""
    with services.store.write() as connection:
        row = {
            "session": 1,
            "text": text,
            "signature": signature,
            "sha256": sha256_of(text),
            "at": stone.at,
            "finished": True,
        }
        connection.execute(insert(tombstones).values(row))
        gone = update(sessions).where(sessions.c.id == 1)
        connection.execute(gone.values(let_go_at=stone.at))
    cast = services.settings.recordings(services.home) / session_of(services).recording.path
    cast.with_suffix(".tombstone").write_text(text)
    cast.with_suffix(".tombstone.sig").write_text(signature)


def test_a_file_that_was_deleted_is_missed(installation: Installation) -> None:
    """A tombstone beside it, by whatever key, is one thing more that is found."""
    with installation.services() as services:
        session, tombstone = session_of(services), stone(services)
    delete_files(installation, session)
    assert findings(installation) == ["S-1: S-1.cast is missing.", "S-1: S-1.sent is missing."]
    cast_of(installation, session).with_suffix(".tombstone").write_text(tombstone.text())
    assert "S-1: S-1.tombstone is there, and nobody let it go." in findings(installation)


@pytest.mark.parametrize("with_seal_key", [False, True])
def test_a_forged_tombstone_is_found(installation: Installation, with_seal_key: bool) -> None:
    """By its signature; whoever is root and signs with the seal key has told nothing to the log."""
    with installation.services() as services:
        tombstone = stone(services)
        delete_files(installation, session_of(services))
        stranger = FileSigner(asyncssh.generate_private_key("ssh-ed25519"))
        signer = services.authority.seal if with_seal_key else stranger
        signature = sign(signer, TOMBSTONE_NAMESPACE, tombstone.text().encode())
        forged(services, signature, tombstone.text(), tombstone)
    found = findings(installation)
    assert "S-1: the log of events does not tell of its tombstone." in found
    said = "S-1: the signature of its tombstone: it is by a key that is not known."
    assert (said in found) is not with_seal_key


def test_a_host_that_is_relabelled_keeps_its_past(installation: Installation) -> None:
    """What was production when it was recorded is kept for a year, whatever it is called now."""
    installation("host", "add", "web-1", "--address", "192.0.2.1", "--host-key", HOST_KEY)
    with installation.services() as services:
        services.keeping.heed(services.pruning.retention, SERVICE, services.clock.now() - 2 * DAY)
    installation("host", "set", "web-1", "--label", "env=dev")
    assert installation("prune", "--dry-run", "--json").json["recordings"] == []
    installation("host", "remove", "web-1", "--force")
    add = ("--address", "192.0.2.1", "--host-key", HOST_KEY, "--label", "env=dev")
    installation("host", "add", "web-1", *add)
    installation("prune")
    assert len(files_of(installation, first(installation))) == 4


def first(installation: Installation) -> Session:
    with installation.services() as services:
        return session_of(services)


def test_a_row_that_was_made_older_is_not_let_go(installation: Installation) -> None:
    """The time that counts is sealed: the recording stays, and it is said why."""
    with installation.services() as services, services.store.write() as connection:
        older = services.clock.now() - 400 * DAY
        row = update(sessions).where(sessions.c.id == 1)
        connection.execute(row.values(started_at=older, ended_at=older))
    said = installation("prune", "--yes", status=1).err
    assert "S-1 stays: its row " in said
    assert len(list(installation.home.recordings.rglob("S-1.*"))) == 4


@pytest.mark.parametrize(
    "spoil",
    [
        *(
            pytest.param(each, marks=on_sqlite("PostgreSQL keeps no value of another type"))
            for each in (
                "UPDATE sessions SET sha256 = X'ff', bytes_in = 'many' WHERE id = 1",
                "UPDATE sessions SET user = X'ff' WHERE id = 1",
                "UPDATE sessions SET host = X'ff' WHERE id = 1",
                "UPDATE sessions SET host = CAST(X'ff' AS TEXT) WHERE id = 1",
                "UPDATE seals SET signature = X'ff' WHERE session = 1",
            )
        ),
        "UPDATE sessions SET started_at = '2020-01-01 00:00:00.000000', path = 3 WHERE id = 1",
        "UPDATE seals SET manifest = '{}' WHERE session = 1",
    ],
)
async def test_what_cannot_be_read_keeps_no_other(installation: Installation, spoil: str) -> None:
    """Whatever somebody has written into the rows of one: the next is let go, this one stays."""
    retain(installation, "30d")
    with installation.services() as services:
        other = await ended_ago(services, 40)
        cast = cast_of(installation, session_of(services))
        with services.store.write() as connection:
            connection.exec_driver_sql(spoil)
    installation("prune", "--yes", status=None)
    assert cast.exists()
    assert files_of(installation, other) == [f"{other.name}{suffix}" for suffix in GONE]


def test_what_is_on_hold_can_not_be_pruned(installation: Installation) -> None:
    """By rules that somebody made short; and one that was let go all the same is found."""
    retain(installation, "1d")
    installation("hold", "S-1", "--reason", "INC-42")
    installation("prune", "--yes")
    assert len(files_of(installation, first(installation))) == 4
    with installation.services() as services:
        services.keeping.hold(1, None, SERVICE, "since long", services.clock.now() - DAY)
        tombstone = stone(services)
        signature = sign(services.authority.seal, TOMBSTONE_NAMESPACE, tombstone.text().encode())
        delete_files(installation, session_of(services))
        forged(services, signature, tombstone.text(), tombstone)
    assert "S-1: it was let go while it was on hold." in findings(installation)


@pytest.mark.parametrize("years", [1, 20])
def test_a_clock_that_is_years_ahead_lets_nothing_go(
    installation: Installation, years: int
) -> None:
    """Nothing was kept between then and now: somebody has to say that it is right.

    The clock is right here, and the log ends years ago: to a program these are the same.
    """
    retain(installation, "1d")
    with installation.services() as services:
        services.keeping.heed(services.pruning.retention, SERVICE, services.clock.now() - 9 * DAY)
        ago = services.clock.now() - years * 365 * DAY
        with services.store.write() as connection:
            connection.execute(text("UPDATE meta SET at = :ago"), {"ago": f"{ago:%F %T.%f}"})
        services.store.saw_time(services.clock.now())
    said = installation("prune", status=1).err
    assert "nothing is let go until somebody says that it is right" in said
    assert "Not now: " in installation("prune", "--dry-run").err
    assert installation("prune", "--yes", status=1).out == ""
    assert len(files_of(installation, first(installation))) == 4


KILLED = """
import json, os, signal, sys
from pathlib import Path
from bastion.app import SERVICE
from bastion.home import Home
from tests.cli.desks import Installation
installation = Installation.at(Home(Path(sys.argv[1])))
names = ("open", "os.rename", "os.remove")

def prune(number):
    with installation.services() as services:
        due = next(services.pruning.due())
        seen = 0
        def count(event, args):
            nonlocal seen
            if event in names and "/recordings" in str(args):
                seen += 1
                if seen == number:
                    os.kill(os.getpid(), signal.SIGKILL)
        sys.addaudithook(count)
        services.pruning.removal._forget = (lambda _: count("open", "/recordings"),)
        services.pruning.let_go(due, SERVICE)

told = []
for number in range(5, 40):  # what is before reads only
    with installation.services() as services:
        due = next(services.pruning.due()).session.id
    child = os.fork()
    if child == 0:
        prune(number)
        os._exit(0)
    _, status = os.waitpid(child, 0)
    with installation.services() as services:
        meanwhile = [each.sentence for each in services.inspection.session(due)]
        unfinished = len(services.tombstones.unfinished())
        problems = services.pruning.removal.finish_pending()
        after = [each.sentence for each in services.inspection.session(due)]
    told.append([os.WIFSIGNALED(status), unfinished, problems, meanwhile, after])
    if not os.WIFSIGNALED(status):
        break
print(json.dumps(told))
"""


@pytest.fixture
async def old(installation: Installation) -> list[Session]:
    """Sixteen whose time is over."""
    retain(installation, "30d")
    with installation.services() as services:
        return [await ended_ago(services, 40) for _ in range(16)]


def test_a_kill_at_any_moment_loses_nothing(installation: Installation, old: list[Session]) -> None:
    """SIGKILL before each step on files: never anything that verify misses, nothing half done."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, "-c", KILLED, str(installation.home.directory)],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        timeout=55,
        check=True,
    )
    told = json.loads(done.stdout)
    assert [each[0] for each in told] == [True] * (len(told) - 1) + [False]
    assert len(told) > 10, told
    assert any(each[1] for each in told)
    assert all(each[2:] == [[], [], []] for each in told), told
    assert installation("verify", "--all", "--json").json["findings"] == []
    for session in old:
        names = files_of(installation, session)
        whole = [f"{session.name}{suffix}" for suffix in (".cast", ".sent")]
        left = [f"{session.name}{suffix}" for suffix in GONE]
        assert names in (left, sorted([*whole, *left[:2]])), names
