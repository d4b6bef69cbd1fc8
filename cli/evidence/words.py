"""What a pack proves and what it does not, in sentences. Pure.

No promise here is larger than the proof.
"""

from collections.abc import Iterator, Sequence
from datetime import datetime

from cli.evidence.facts import Facts
from recorder.nouns import counted

FEW = 20
"""So many sessions are named; how many more there are is said."""


def said(at: datetime) -> str:
    """A time, to the second."""
    return f"{at:%Y-%m-%d %H:%M:%S} UTC"


def title(facts: Facts) -> str:
    """What the pack is, in a line."""
    dossier = facts.dossier
    session = "" if dossier.only is None else f"{dossier.only.name}, a session under "
    return f"Evidence of {session}{dossier.grant} of {dossier.grant.user}"


def first_lines(facts: Facts) -> list[str]:
    """What whoever opens it has to know before anything else."""
    at = said(facts.dossier.at)
    live = [
        f"{each.name} is still live: its recording is up to {at}, and is not sealed."
        for each in facts.dossier.live
    ]
    open_still = [held.session for held in facts.held if held.kept is None]
    over = [f"{each.name} is over, and not sealed yet." for each in open_still if not each.live]
    gone = [
        f"{held.session.name} was let go at {said(held.laid.at)}: its recording is not here."
        for held in facts.held
        if held.laid is not None
    ]
    return [*(f"WRONG: {each}" for each in facts.found()), *live, *over, *gone]


# What is proved


def proved(facts: Facts) -> list[str]:
    """What the pack shows to who has the seal's public key from elsewhere."""
    whole = (
        f"This pack is as it was made at {said(facts.dossier.at)}: SHA256SUMS has the hash of "
        "every other file in it, and is signed by the bastion's seal key."
    )
    return [whole, *_of_recordings(facts), *_of_events(facts), *_of_anchors(facts)]


def _of_recordings(facts: Facts) -> Iterator[str]:
    sound = sum(held.sound for held in facts.held)
    if not sound:
        return
    which = f"{sound} of {counted(len(facts.held), 'recording')}"
    are = "is as it was when its session" if sound == 1 else "are as they were when their sessions"
    yield (
        f"{which} {are} ended: a manifest was sealed then, with a number, the hashes of the files, "
        "and the hash of the manifest before."
    )


def _of_events(facts: Facts) -> Iterator[str]:
    proof = facts.proof
    in_log = len(proof.events) - len(proof.unsealed) - len(proof.unlisted)
    if in_log and not proof.findings:
        checkpoints = f"{counted(len(proof.over), 'checkpoint')}, the last is {proof.over[-1]}"
        yield (
            f"{counted(in_log, 'event')} of events.jsonl stood in the bastion's log when it was "
            f"sealed: each is on a list that a signed checkpoint names ({checkpoints})."
        )


def _of_anchors(facts: Facts) -> Iterator[str]:
    for name, number in sorted(facts.proof.anchored.items()):
        yield (
            f"Anchored: {name} was sent checkpoints up to {number}, which speaks for all of these. "
            "What arrived there proves it, and not this pack: ask whoever keeps it."
        )


# What is not proved


def not_proved(facts: Facts) -> list[str]:
    """What the pack does not show, whoever reads it."""
    key = (
        "Whose key it is. allowed_signers came with the pack: whoever could make one up could make "
        "up the other. Get the key from the operator by another way."
    )
    rest = (
        "That nothing was left out. The lists have a line for every event of their time, but only "
        "the log shows whose the other lines are (bastion-admin audit verify, on the bastion)."
    )
    world = (
        "That the bastion's clock was right, and who sat at the keyboard: a key signed in, and "
        "people.json says whose it is now."
    )
    return [key, _about_root(facts), rest, world, *_about_what_lacks(facts)]


def _about_root(facts: Facts) -> str:
    root = (
        "That the seal key signed the truth. Whoever is root on the bastion has it, and could have "
        "sealed another recording and another log"
    )
    if facts.proof.anchored:
        return f"{root}, until a checkpoint had arrived elsewhere."
    nothing = "none of these checkpoints was sent out, so nothing outside speaks against that"
    return f"{root}. Not anchored: {nothing}."


def _about_what_lacks(facts: Facts) -> Iterator[str]:
    proof = facts.proof
    if proof.unsealed:
        events = counted(len(proof.unsealed), "event")
        yield f"{events} of events.jsonl: no checkpoint speaks for them, the database alone does."
    if proof.unlisted:
        events = counted(len(proof.unlisted), "event")
        yield (
            f"{events} of events.jsonl: the checkpoints of that time sign no list, so only the "
            "whole log shows that they are in it."
        )
    loose = [held.session.name for held in facts.held if not held.sound and held.laid is None]
    if loose:
        yield f"What was shown in {_few(loose)}: no seal speaks for it."
    gone = [held.session.name for held in facts.held if held.laid is not None]
    if gone:
        yield (
            f"What was shown in {_few(gone)}: it was let go. The seal says what it was, a signed "
            "tombstone when and by which rule it went."
        )
    covered = [held.session.name for held in facts.held if held.covered and held.laid is None]
    if covered:
        yield (
            f"What was shown in {_few(covered)}: it is encrypted to the auditors. The seals have "
            "the hashes of what is packed here, and of what it holds."
        )
    if facts.held:
        yield (
            "What was typed. It is in the .sent files, encrypted to the auditors: the seals have "
            "their hashes, and only who has the auditors' key can read them."
        )


def _few(names: Sequence[str]) -> str:
    """The first of several names."""
    more = f" and {len(names) - FEW} more" if len(names) > FEW else ""
    return f"{', '.join(names[:FEW])}{more}"
