"""Checkpoints: they know what was hashed anew since, and are checked themselves."""

import sqlite3
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from bastion.audit import seal_with
from bastion.chains import MOST_FINDINGS, Wrong
from bastion.checkpoints import Checkpoint, Listed, Listing, read_checkpoint
from tests.bastion.forger import rehash, relink, resealed
from tests.bastion.logs import OTHER, SEAL, Log, happened, made_log
from tests.bastion.test_verdict import found
from tests.bastion.worlds import NOW


@pytest.fixture(scope="module")
def pristine(tmp_path_factory: pytest.TempPathFactory) -> Log:
    """A log that nobody touched; not to be touched."""
    return made_log(tmp_path_factory.mktemp("log") / "bastion.db")


@pytest.fixture
def log(pristine: Log, tmp_path: Path) -> Log:
    """A copy of it, to be forged."""
    return pristine.copy(tmp_path / "bastion.db")


# A forger who hashes anew


@pytest.mark.parametrize("number", range(1, 23))
def test_a_checkpoint_knows_what_was_hashed_anew(log: Log, number: int) -> None:
    """The chain and its head fit; the checkpoint that spoke for it does not."""
    with log.forged() as raw:
        raw.execute("UPDATE events SET why = 'nothing' WHERE id = ?", (number,))
        relink(raw, number)
    verdict = log.verdict()
    assert any("checkpoint" in finding.sentence for finding in verdict.findings)
    assert {finding.wrong for finding in verdict.findings} == {Wrong.CHANGED}


@pytest.mark.parametrize("number", [1, 5, 12, 18])
def test_an_event_that_was_hashed_anew_alone_is_found_by_the_next(log: Log, number: int) -> None:
    """Without its chain: who follows it, follows another."""
    with log.forged() as raw:
        raw.execute("UPDATE events SET why = 'nothing' WHERE id = ?", (number,))
        rehash(raw, number)
    assert (Wrong.CHANGED, f"event {number}") in found(log.verdict())


def test_after_the_last_checkpoint_the_database_alone_speaks(log: Log) -> None:
    """What the verdict says it does not prove: hashed anew, with its head, it is not found."""
    with log.forged() as raw:
        raw.execute("UPDATE events SET why = 'nothing' WHERE id = 26")
        relink(raw, 26)
    verdict = log.verdict()
    assert (verdict.sound, verdict.unsealed) == (True, 5)


# Checkpoints


@pytest.mark.parametrize("number", [1, 2, 3])
def test_a_checkpoint_that_is_gone_is_named(log: Log, number: int) -> None:
    """Also the last one: heads know how far they were sealed."""
    with log.forged() as raw:
        raw.execute("DELETE FROM checkpoints WHERE id = ?", (number,))
    assert found(log.verdict()) == {(Wrong.MISSING, f"checkpoint {number}")}


def test_a_checkpoint_by_another_key_is_found(log: Log) -> None:
    """Though it says the same."""
    with log.forged() as raw:
        (body,) = raw.execute("SELECT body FROM checkpoints WHERE id = 2").fetchone()
        signature = seal_with(OTHER)(body.encode())
        raw.execute("UPDATE checkpoints SET signature = ? WHERE id = 2", (signature,))
    (finding,) = log.verdict().findings
    assert (finding.wrong, finding.where) == (Wrong.SIGNATURE, "checkpoint 2")
    assert finding.sentence.endswith("it is by a key that is not known.")


def test_a_checkpoint_of_another_text_is_found(log: Log) -> None:
    """The signature of one does not fit another."""
    with log.forged() as raw:
        (signature,) = raw.execute("SELECT signature FROM checkpoints WHERE id = 1").fetchone()
        raw.execute("UPDATE checkpoints SET signature = ? WHERE id = 2", (signature,))
    (finding,) = log.verdict().findings
    assert finding.sentence == "The signature of checkpoint 2: it does not fit the text."


def test_checkpoints_that_changed_places_are_found(log: Log) -> None:
    """Each knows its number."""
    with log.forged() as raw:
        for old, new in ((1, 9), (2, 1), (9, 2)):
            raw.execute("UPDATE checkpoints SET id = ? WHERE id = ?", (new, old))
    assert found(log.verdict()) == {
        (Wrong.CHANGED, "checkpoint 1"),
        (Wrong.CHANGED, "checkpoint 2"),
    }


def test_root_seals_another_log_and_an_anchor_tells(log: Log) -> None:
    """All hashed and sealed anew is sound by itself. Not for who kept a SHA-256 elsewhere."""
    with log.life() as journal:
        kept = {sealed.number: sealed.sha256 for sealed in journal.checkpoints()}
    with log.forged() as raw:
        raw.execute("UPDATE events SET why = 'nothing' WHERE id = 12")
        relink(raw, 12)
        resealed(raw, 2, 16)
        resealed(raw, 3, 22)
    assert log.verdict().sound
    assert log.verdict({1: kept[1]}).sound
    assert found(log.verdict({2: kept[2]})) >= {(Wrong.CHANGED, "checkpoint 2")}
    assert found(log.verdict({3: kept[3]})) >= {(Wrong.CHANGED, "checkpoint 3")}


def test_resealing_one_alone_is_found_by_the_next(log: Log) -> None:
    """Each names the one before."""
    with log.forged() as raw:
        raw.execute("UPDATE events SET why = 'nothing' WHERE id = 12")
        relink(raw, 12)
        resealed(raw, 2, 16)
    assert (Wrong.CHANGED, "checkpoint 2") in found(log.verdict())


def test_a_checkpoint_that_somebody_kept_has_to_be_there(log: Log) -> None:
    """One that was named, and one that was sent to an anchor."""
    assert found(log.verdict({4: "a" * 64})) == {(Wrong.MISSING, "checkpoint 4")}
    with log.life() as journal:
        journal.move_cursor("anchor syslog", 5, NOW)
        journal.move_cursor("anchor file", 2, NOW)
    assert found(log.verdict()) == {(Wrong.MISSING, "checkpoint 5")}


def test_findings_are_bounded(tmp_path: Path) -> None:
    """The first thousand are said, the others are counted."""
    log = Log(tmp_path / "bastion.db")
    with log.life(migrate=True) as journal:
        journal.tell_all([(happened(number), NOW) for number in range(MOST_FINDINGS + 5)])
    with log.forged() as raw:
        raw.execute("UPDATE events SET why = 'nothing'")
    verdict = log.verdict()
    assert (len(verdict.findings), verdict.more) == (MOST_FINDINGS, 5)


# Their lists


def sealed_again(raw: sqlite3.Connection, checkpoint: Checkpoint) -> None:
    """Root puts another body in a checkpoint's place, with the right signature."""
    body = checkpoint.body()
    signature = seal_with(SEAL)(body.encode())
    put = "UPDATE checkpoints SET body = ?, signature = ? WHERE id = ?"
    raw.execute(put, (body, signature, checkpoint.number))


def sha256sum(text: str) -> str:
    """What the program of that name says."""
    said = subprocess.run(["sha256sum"], input=text.encode(), capture_output=True, check=True)
    return said.stdout.split()[0].decode()


def test_a_checkpoint_signs_a_list_of_the_events_since_the_one_before(pristine: Log) -> None:
    """Each once, in their order: sha256sum alone shows that an event is on it."""
    with pristine.life() as journal:
        hashes = [event.hash for event in reversed(journal.events())]
        sealed = [each.checkpoint for each in reversed(journal.checkpoints())]
    for checkpoint, first in zip(sealed, (0, 10, 16), strict=True):
        part = hashes[first : checkpoint.events]
        lines = "".join(f"{sha256sum(hash_)}\n" for hash_ in part)
        assert checkpoint.listed == Listed(len(part), sha256sum(lines))


@pytest.mark.parametrize("number", [1, 2, 3])
def test_a_list_that_is_not_the_logs_is_found(log: Log, number: int) -> None:
    """Though whoever signed it has the key: with another order, with one event less."""
    with log.life() as journal:
        checkpoint = next(c for c in journal.checkpoints() if c.number == number).checkpoint
        last = journal.events(limit=1)[0].hash
    listing = Listing()
    listing.add(last)
    assert checkpoint.listed is not None
    for wrong in (replace(checkpoint.listed, sha256="ab" * 32), listing.listed()):
        with log.forged() as raw:
            sealed_again(raw, replace(checkpoint, listed=wrong))
        assert (Wrong.CHANGED, f"checkpoint {number}") in found(log.verdict())


def test_an_older_checkpoint_has_no_list(log: Log) -> None:
    """It is read, and holds, as it did."""
    with log.life() as journal:
        last = journal.checkpoints(limit=1)[0].checkpoint
    bare = replace(last, listed=None)
    assert "list" not in bare.body()
    assert read_checkpoint(bare.body()) == bare
    with log.forged() as raw:
        sealed_again(raw, bare)
    assert log.verdict().sound


@pytest.mark.parametrize("listed", ["[]", '{"events":1}', '{"events":"1","sha256":""}', "null"])
def test_what_is_no_list_is_no_checkpoint(listed: str) -> None:
    """A body is ours to the byte, or none."""
    body = Checkpoint(1, NOW, 1, "0" * 64, (), Listed(1, "ab" * 32)).body()
    assert read_checkpoint(body).body() == body
    head, _, _ = body.partition(',"list":')
    with pytest.raises(ValueError, match=r"body|number|written"):
        read_checkpoint(f'{head},"list":{listed}}}')
