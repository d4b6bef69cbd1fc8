"""Anchoring: from a recording's seal to the checkpoint that speaks for it, and out of the house."""

from pathlib import Path

import pytest

from bastion.anchoring import anchored_upto, anchoring
from bastion.audit import judged_by
from bastion.events import Details, Happened, What
from bastion.sealing import told_of
from tests.bastion.logs import OTHER, SEAL, Log, happened

SIGNED = judged_by([SEAL.public])
SESSION = 31


def sealed(session: int) -> Happened:
    """The event that tells of a seal."""
    details: dict[str, Details] = {"manifest": 1, "sha256": "5e" * 32}
    return Happened(What.RECORDING_SEALED, "bastion", session=session, details=details)


@pytest.fixture
def log(tmp_path: Path) -> Log:
    """Eight checkpoints, two or three events under each; the seal is event 7, under the third."""
    made = Log(tmp_path / "bastion.db")
    with made.life(migrate=True) as journal:
        for number in range(8):
            made.tell(journal, 2)
            if number == 2:
                journal.tell(sealed(SESSION), made.now())
            made.seal(journal)
        made.tell(journal, 1)
    return made


def test_the_first_checkpoint_that_knows_of_it_is_found(log: Log) -> None:
    """Of any event; none knows of the last one yet. The same where some checkpoints are gone."""
    with log.life() as journal:
        for gone in ([], [3], [2, 3, 4], [1], [5, 7]):
            with log.forged() as raw:
                for number in gone:
                    raw.execute("DELETE FROM checkpoints WHERE id = ?", (number,))
            kept = list(reversed(journal.checkpoints()))
            for event in range(1, journal.last() + 1):
                knowing = [each for each in kept if each.checkpoint.events >= event]
                assert journal.checkpoint_over(event) == (knowing[0] if knowing else None), event


def test_it_is_anchored_by_whoever_was_sent_that_checkpoint_or_a_later_one(log: Log) -> None:
    """And by nobody else."""
    with log.life() as journal:
        for name, number in (("early", 2), ("just", 3), ("late", 8)):
            journal.move_cursor(f"anchor {name}", number, log.now())
        found = anchoring(journal, SESSION, SIGNED)
        assert (found.event, found.anchors, found.fault) == (7, ["just", "late"], None)
        assert found.sealed is not None
        assert found.sealed.number == 3
        upto = anchored_upto(journal)
        assert (upto.checkpoint, upto.anchors, upto.missing) == (8, ["late"], 0)


def test_without_anchors_nothing_is_anchored(log: Log) -> None:
    """It says what to do, and what is missing."""
    with log.life() as journal:
        assert "Send the checkpoints" in next(anchoring(journal, SESSION, SIGNED).sentences())
        assert "does not know" in next(anchoring(journal, 99, SIGNED).sentences())
        journal.tell(sealed(99), log.now())
        assert "the next one does" in next(anchoring(journal, 99, SIGNED).sentences())
        assert anchored_upto(journal).missing == 2


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        ("UPDATE events SET why = 'x' WHERE id = 7", "event 7 was changed"),
        ("UPDATE events SET hash = 'x' WHERE id = 6", "checkpoint 3 has other events"),
        ("DELETE FROM events WHERE id = 5", "checkpoint 3 has other events"),
        ("UPDATE checkpoints SET signature = 'x' WHERE id = 3", "the signature of checkpoint 3"),
    ],
)
def test_a_checkpoint_that_does_not_fit_the_log_speaks_for_nothing(
    log: Log, spoil: str, said: str
) -> None:
    """Whoever changed the log as it lies has not changed what was signed."""
    with log.forged() as raw:
        raw.execute(spoil)
    with log.life() as journal:
        found = anchoring(journal, SESSION, SIGNED)
        assert found.fault is not None
        assert found.fault.startswith(said)


def test_a_checkpoint_by_another_key_speaks_for_nothing(log: Log) -> None:
    """Its signature is by nobody known."""
    with log.life() as journal:
        found = anchoring(journal, SESSION, judged_by([OTHER.public]))
        assert found.fault == "the signature of checkpoint 3: it is by a key that is not known"


def test_what_the_log_was_told_is_read_by_session(log: Log) -> None:
    """An event that can't be read stands for another seal, and hides no other session's."""
    with log.life() as journal:
        journal.tell(sealed(32), log.now())
        told = told_of(journal)
        assert told([31, 32, 33]) == {31: ["5e" * 32], 32: ["5e" * 32]}
        with log.forged() as raw:
            raw.execute("UPDATE events SET details = cast(x'ff' as text) WHERE id = 7")
        assert told([31, 32, 33]) == {31: ["?"], 32: ["5e" * 32]}


def test_a_checkpoint_is_found_among_many(log: Log) -> None:
    """Also beyond one that is known; there is none beyond the last."""
    with log.life() as journal:
        for _ in range(40):
            journal.tell(happened(1), log.now())
            log.seal(journal)
        last = journal.last()
        found = [journal.checkpoint_over(7), journal.checkpoint_over(last, 40)]
        assert [each and each.number for each in found] == [3, 48]
        assert journal.checkpoint_over(last, 48) is None
