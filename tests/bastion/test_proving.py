"""Proving events to somebody who may not see the others."""

import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from bastion.audit import judged_by, seal_with
from bastion.chains import Wrong
from bastion.proving import Proof, Prover
from tests.bastion.logs import OTHER, SEAL, Log, made_log


@pytest.fixture(scope="module")
def pristine(tmp_path_factory: pytest.TempPathFactory) -> Log:
    """1-10, 11-16 and 17-22 are sealed by a checkpoint each, 23-27 by none; not to be touched."""
    return made_log(tmp_path_factory.mktemp("log") / "bastion.db")


@pytest.fixture
def log(pristine: Log, tmp_path: Path) -> Log:
    """A copy of it, to be forged."""
    return pristine.copy(tmp_path / "bastion.db")


def proved(log: Log, events: tuple[int, ...]) -> Proof:
    """The proof of these."""
    with log.life() as journal:
        return Prover(journal, judged_by([SEAL.public])).proof(events)


def test_each_event_has_the_checkpoint_that_speaks_for_it(log: Log) -> None:
    """The last ones have none yet. What is shown reaches from the first to the newest."""
    proof = proved(log, (2, 3, 12, 26))
    assert (proof.over, proof.unsealed, proof.unlisted) == ((1, 2), (26,), ())
    assert proof.findings == ()
    assert (proof.whole, list(proof.shown)) == (True, [1, 2, 3])
    assert list(proved(log, (18,)).shown) == [3]
    nothing = proved(log, ())
    assert (nothing.over, list(nothing.shown), nothing.anchored) == ((), [], {})
    assert list(proved(log, (25,)).shown) == []


def test_what_is_shown_is_proved_by_sha256sum(log: Log) -> None:
    """An event's line is on the list, and the list is the one that was signed."""
    with log.life() as journal:
        prover = Prover(journal, judged_by([SEAL.public]))
        lists = []
        for sealed in prover.checkpoints(prover.proof((2, 12))):
            lists.append(b"".join(journal.list_lines(sealed.checkpoint)))
            assert sealed.checkpoint.listed is not None
            assert sha256sum(lists[-1]) == sealed.checkpoint.listed.sha256
        (event,) = journal.with_numbers([2])
    once = sha256sum(event.hashed())
    assert once == event.hash
    assert lists[0].splitlines()[1].decode() == sha256sum(once.encode())


def sha256sum(data: bytes) -> str:
    """What the program of that name says."""
    said = subprocess.run(["sha256sum"], input=data, capture_output=True, check=True)
    return said.stdout.split()[0].decode()


def test_an_event_that_was_changed_is_found(log: Log) -> None:
    """By its hash; one that is about others is found by the list."""
    with log.forged() as raw:
        raw.execute("UPDATE events SET why = 'nothing' WHERE id = 3")
        raw.execute("UPDATE events SET hash = prev WHERE id = 14")
    (finding,) = proved(log, (3,)).findings
    assert (finding.wrong, finding.where) == (Wrong.CHANGED, "event 3")
    (finding,) = proved(log, (12,)).findings
    assert (finding.wrong, finding.where) == (Wrong.CHANGED, "checkpoint 2")
    assert proved(log, (18,)).findings == ()


def test_a_checkpoint_by_another_key_proves_nothing(log: Log) -> None:
    """It is named."""
    with log.forged() as raw:
        (body,) = raw.execute("SELECT body FROM checkpoints WHERE id = 2").fetchone()
        signature = seal_with(OTHER)(body.encode())
        raw.execute("UPDATE checkpoints SET signature = ? WHERE id = 2", (signature,))
    for event in (2, 12):
        (finding,) = proved(log, (event,)).findings
        assert (finding.wrong, finding.where) == (Wrong.SIGNATURE, "checkpoint 2")


def test_an_older_checkpoint_without_a_list_proves_no_single_event(log: Log) -> None:
    """And that is said, as it is no fault."""
    with log.life() as journal:
        (second,) = (each for each in journal.checkpoints() if each.number == 2)
    bare = replace(second.checkpoint, listed=None).body()
    with log.forged() as raw:
        put = "UPDATE checkpoints SET body = ?, signature = ? WHERE id = 2"
        raw.execute(put, (bare, seal_with(SEAL)(bare.encode())))
    proof = proved(log, (12, 13))
    assert (proof.unlisted, proof.over) == ((12, 13), (2,))
    (finding,) = proof.findings  # the one after it names the body that was there before
    assert (finding.wrong, finding.where) == (Wrong.CHANGED, "checkpoint 3")


def test_a_checkpoint_that_can_not_be_read_speaks_for_nothing(log: Log) -> None:
    """A later one is taken, whose list has not the event: nothing is proved that is not."""
    with log.forged() as raw:
        raw.execute("UPDATE checkpoints SET body = 'x' WHERE id = 2")
    proof = proved(log, (12, 18))
    assert (proof.over, proof.unlisted, proof.findings) == ((3,), (12,), ())


@pytest.mark.parametrize(("sent", "anchored"), [(1, {}), (2, {"log": 2}), (9, {"log": 9})])
def test_it_is_anchored_where_all_of_it_was_sent_out(
    log: Log, sent: int, anchored: dict[str, int]
) -> None:
    """By an anchor that has heard of the last checkpoint it needs, or of a later one."""
    with log.life() as journal:
        journal.move_cursor("anchor log", sent, log.now())
    assert proved(log, (2, 12)).anchored == anchored


def test_where_very_many_lie_between_only_the_needed_ones_are_shown(log: Log) -> None:
    """A grant of a year ago has half a million checkpoints behind it."""
    with log.life() as journal:
        prover = Prover(journal, judged_by([SEAL.public]), 2)
        proof = prover.proof((2, 18))
        assert (proof.whole, list(proof.shown)) == (False, [1, 3])
        assert [sealed.number for sealed in prover.checkpoints(proof)] == [1, 3]
