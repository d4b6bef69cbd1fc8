"""`audit verify`, `seal`, `checkpoints`: whether the log is as it was written; its seals.

All but `seal` can be run over SSH: no file is opened, and the sessions of the service get their
turn while a long log is judged.
"""

import re
import time
from collections.abc import Sequence
from typing import Final

import click

from bastion.audit import judged_by, verified
from bastion.checkpoints import Sealed
from bastion.errors import BadInput
from bastion.verdict import Verdict, proof
from cli.arguments import Read
from cli.desk import Desk
from cli.listing import MOST, as_json
from cli.output import printable
from cli.shapes import Shape
from cli.verb import Verb
from recorder.nouns import counted

REST: Final = 0.0002
"""Seconds of rest within each millisecond or two of judging, for the sessions of the service."""

MANY: Final = 100_000
"""Events that take a while to be judged."""

_SHA256 = re.compile(r"([0-9]{1,15}):([0-9a-f]{64})", re.ASCII | re.IGNORECASE)


def _checkpoint(text: str) -> tuple[int, str]:
    """A checkpoint that somebody has kept: its number, and its SHA-256."""
    found = _SHA256.fullmatch(text.strip())
    if found is None:
        raise BadInput(f"{text[:90]!a} is no checkpoint: write NUMBER:SHA256, as in 12:5e5e…")
    return int(found[1]), found[2].lower()


CHECKPOINT: Final[Read[tuple[int, str]]] = Read("n:sha256", _checkpoint)


@click.command(
    "verify",
    cls=Verb,
    examples=[
        "[program] audit verify",
        f"[program] audit verify --checkpoint 12:{'5e' * 32}",
    ],
)
@click.option(
    "--checkpoint",
    "known",
    type=CHECKPOINT,
    metavar="N:SHA256",
    multiple=True,
    help="It has to be this one, as somebody has kept it elsewhere; may be repeated.",
)
@as_json
@click.pass_obj
def verify(desk: Desk, *, known: tuple[tuple[int, str], ...], json: bool) -> None:
    """Whether the log is as it was written, and what that is worth.

    Exit status 1 when anything was changed, is missing or was added: it says which.
    """
    services = desk.services
    count = services.journal.last()
    if count > MANY and not json:
        desk.output.note(f"{count} events are judged; that takes a while.")
    signed = judged_by(services.authority.seal_keys)
    verdict = verified(services.journal, signed, _once_each(known), rest=lambda: _rest(desk))
    numbers = {number for number, _ in known}
    if json:
        desk.output.document(_shape(verdict, proof(verdict, numbers)))
    else:
        _say(desk, verdict, proof(verdict, numbers))
    if not verdict.sound:
        raise click.exceptions.Exit(1)


def _once_each(known: Sequence[tuple[int, str]]) -> dict[int, str]:
    for number, sha256 in known:
        if dict(known)[number] != sha256:
            raise BadInput(f"Checkpoint {number} is named twice, and not alike.")
    return dict(known)


def _rest(desk: Desk) -> None:
    """Within the service, let sessions have their turn; nobody judges on for who has left."""
    if desk.identity is not None:
        time.sleep(REST)
    if desk.gone():
        raise KeyboardInterrupt


def _say(desk: Desk, verdict: Verdict, sentences: Sequence[str]) -> None:
    for finding in verdict.findings:
        kind = desk.output.styled(finding.wrong, "red")
        desk.output.line(f"{kind}: {printable(finding.sentence)}")
    if verdict.more:
        desk.output.line(f"and {counted(verdict.more, 'more finding')}")
    for said in sentences:
        desk.output.line(said)


def _shape(verdict: Verdict, sentences: Sequence[str]) -> Shape:
    sealed = verdict.sealed
    return {
        "sound": verdict.sound,
        "events": verdict.events,
        "chains": verdict.chains,
        "checkpoints": verdict.checkpoints,
        "findings": [
            {"wrong": finding.wrong, "where": finding.where, "sentence": finding.sentence}
            for finding in verdict.findings
        ],
        "more_findings": verdict.more,
        "sealed": None
        if sealed is None
        else {"checkpoint": sealed.number, "events": sealed.events, "at": sealed.at},
        "unsealed": verdict.unsealed,
        "anchored": verdict.anchored or None,
        "proved": list(sentences),
    }


# Checkpoints


@click.command(
    "seal",
    cls=Verb,
    examples=["[program] audit seal"],
)
@as_json
@click.pass_obj
def seal(desk: Desk, *, json: bool) -> None:
    """Seal what has happened since the last checkpoint, at once.

    The service does it each minute. It prints what is worth keeping elsewhere: the number and the
    SHA-256 that audit verify --checkpoint takes.
    """
    sealed = desk.services.sealer.seal()
    if json:
        desk.output.document([_checkpoint_shape(each) for each in sealed])
    elif not sealed:
        desk.output.note("Nothing has happened since the last checkpoint.")
    for each in sealed if not json else ():
        desk.output.line(f"{each.number}:{each.sha256}")


@click.command(
    "checkpoints",
    cls=Verb,
    examples=[
        "[program] audit checkpoints",
        "[program] audit checkpoints --limit 1 --json",
    ],
)
@click.option(
    "--limit",
    type=click.IntRange(1, MOST),
    default=20,
    show_default=True,
    help="At most so many, the newest first.",
)
@as_json
@click.pass_obj
def checkpoints(desk: Desk, *, limit: int, json: bool) -> None:
    """The checkpoints that seal the log, the newest first.

    As JSON each has the body that was signed, and the signature: ssh-keygen -Y verify takes them.
    """
    found = desk.services.journal.checkpoints(limit=limit)
    if json:
        desk.output.document([_checkpoint_shape(each) for each in found])
    elif found:
        rows = (_checkpoint_row(each) for each in found)
        desk.output.table(("checkpoint", "time", "events", "chains", "sha256"), rows)
    else:
        desk.output.note("No checkpoints.")


def _checkpoint_row(sealed: Sealed) -> tuple[object, ...]:
    try:
        read = sealed.checkpoint
    except ValueError:
        return (sealed.number, "unreadable", "", "", sealed.sha256)
    return (sealed.number, read.at, read.events, len(read.heads), sealed.sha256)


def _checkpoint_shape(sealed: Sealed) -> Shape:
    shape = {
        "checkpoint": sealed.number,
        "sha256": sealed.sha256,
        "body": sealed.body,
        "signature": sealed.signature,
    }
    try:
        read = sealed.checkpoint
    except ValueError:
        return shape | {"at": None, "events": None}
    return shape | {"at": read.at, "events": read.events}
