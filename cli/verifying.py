"""`bastion-admin verify`: whether recordings are as they were sealed."""

import time
from collections.abc import Iterable
from itertools import islice
from pathlib import Path
from typing import Final

import click

from bastion import audit
from bastion.anchoring import Anchoring, anchored_upto, anchoring
from bastion.app import Services
from bastion.errors import BadInput
from bastion.sealing import judged_by
from bastion.workers import Stay
from cli.arguments import SESSION
from cli.desk import Desk
from cli.identities import identity_option, read_identity
from cli.listing import as_json
from cli.output import printable, shown
from cli.sessions import how_let_go, wanted_session
from cli.shapes import Shape
from cli.verb import Verb
from recorder.age import identity as identity_of
from recorder.errors import StoreAway
from recorder.inspection import Inspection
from recorder.nouns import counted
from recorder.rounds import Progress, Rounds
from recorder.seals import Prefix
from recorder.verify import Finding, Wrong

MOST: Final = 1000
"""Findings of a document."""

_NOT_LOOKED_INTO: Final = (
    "S-{} is encrypted: the file is what was sealed. With --identity FILE what it holds is checked."
)

SHOW: Final = 0.2
"""Seconds between two words on how far it has come."""


@click.command(
    cls=Verb,
    short_help="Whether recordings are as they were sealed.",
    examples=[
        "[program] verify S-31",
        "[program] verify --all --json",
        "[program] verify S-31 --identity auditor.age",
    ],
)
@click.argument("session", type=SESSION, metavar="[S-N]", required=False)
@click.option("--all", "everything", is_flag=True, help="Every recording, seal and file.")
@identity_option("what an encrypted recording holds")
@as_json
@click.pass_obj
def verify(
    desk: Desk, *, session: int | None, everything: bool, identity: Path | None, json: bool
) -> None:
    """Whether recordings are as they were sealed: files, rows, signatures, and their chain.

    Exit status 1 when anything was found. It says also whether the log that names the seals has
    been told to anybody outside: without that, whoever is root here could have sealed anew.
    """
    if everything and identity is not None:
        raise BadInput("--identity FILE goes with one session.")
    key = None if identity is None else read_identity(identity)
    _judge(desk, session, key, everything=everything, json=json)


@click.command(
    "verify",
    cls=Verb,
    short_help="Whether recordings are as they were sealed.",
    examples=["[program] verify S-31", "[program] verify --all --json"],
)
@click.argument("session", type=SESSION, metavar="[S-N]", required=False)
@click.option("--all", "everything", is_flag=True, help="Every recording, seal and file.")
@as_json
@click.pass_obj
def verify_away(desk: Desk, *, session: int | None, everything: bool, json: bool) -> None:
    """Whether recordings are as they were sealed: files, rows, signatures, and their chain.

    Exit status 1 when anything was found. It says also whether the log that names the seals has
    been told to anybody outside: without that, whoever is root here could have sealed anew. One
    at a time may verify all.
    """
    _judge(desk, session, None, everything=everything, json=json)


def _judge(
    desk: Desk, session: int | None, key: str | None, *, everything: bool, json: bool
) -> None:
    if everything == (session is not None):
        raise BadInput("Say what to verify: a session as in S-31, or --all.")
    desk.settle(Stay.READING if session is not None else Stay.VERIFYING)
    wrong = _all(desk, json=json) if session is None else _one(desk, session, key, json=json)
    if wrong:
        raise click.exceptions.Exit(1)


# One recording


def _one(desk: Desk, number: int, key: str | None, *, json: bool) -> bool:
    """Whether anything is wrong with it."""
    services = desk.services
    sealed = number in services.seals.of_all([number])
    live = False if sealed else wanted_session(services, number).live
    prefix = services.seals.prefix(number) if live else None
    inspection, encrypted = _inspection(desk, number, key)
    findings = inspection.session(number, lambda _: desk.breathe())
    signed = audit.judged_by(services.authority.seal_keys)
    carried = anchoring(services.journal, number, signed)
    if carried.fault is not None:
        name = f"S-{number}"
        findings.append(Finding(Wrong.CHANGED, name, f"{name}: {carried.fault}."))
    if json:
        shape: Shape = {
            "unsealed": None if sealed else f"S-{number}",
            "checkpoint": _prefix(prefix),
            "encrypted": encrypted,
        }
        desk.output.document({**_found(findings), **shape, **_carried(carried)})
        return bool(findings)
    _say(desk, findings)
    if sealed and not findings:
        _say_gone(desk, number)
        if encrypted and key is None:
            desk.output.note(_NOT_LOOKED_INTO.format(number))
        desk.output.line("Nothing was changed, is missing or was added.")
    elif not findings:
        desk.output.note(_of_unsealed(number, prefix, live=live))
    for said in carried.sentences() if sealed else ():
        desk.output.line(said)
    return bool(findings)


def _inspection(desk: Desk, number: int, key: str | None) -> tuple[Inspection, bool]:
    """What inspects a session, and whether that is encrypted. Raises UnusableKey."""
    services = desk.services
    session = services.index.get(number)
    encrypted = session is not None and services.archive.is_covered(session)
    if key is None:
        return services.inspection, encrypted
    if session is not None and encrypted:
        services.archive.open(session, key=key).header()
    return services.inspection.with_identity(identity_of(key)), encrypted


def _say_gone(desk: Desk, number: int) -> None:
    """What it means that nothing was found of a recording that was let go."""
    session = desk.services.index.get(number)
    if session is not None and session.recording.let_go_at is not None:
        how = how_let_go(desk.services, session)
        desk.output.note(f"{session.name} was let go {how}: its seal and its tombstone hold.")


def _of_unsealed(number: int, prefix: Prefix | None, *, live: bool) -> str:
    if not live:
        return f"S-{number} is over and not sealed yet: nothing is proved of it."
    if prefix is None:
        return f"S-{number} is live: nothing is proved of it yet."
    return (
        f"S-{number} is live: its first {prefix.shown.size} bytes are as they were at "
        f"{shown(prefix.at)} UTC, as far as the database can be trusted."
    )


def _prefix(prefix: Prefix | None) -> Shape | None:
    return None if prefix is None else {"at": prefix.at, "size": prefix.shown.size}


def _carried(carried: Anchoring) -> Shape:
    sealed = carried.sealed
    log = None
    if sealed is not None:
        log = {"checkpoint": sealed.number, "sha256": sealed.sha256, "at": carried.at}
    return {
        "anchored": bool(carried.anchors),
        "anchors": list(carried.anchors),
        "log": log,
        "event": carried.event,
    }


# All of them


class _Passing:
    """How far it has come, said a few times a second; `last` is how far that was."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._begun = self._said = time.monotonic()
        self.last = Progress("", 0, 0)

    def heard(self, progress: Progress) -> None:
        """Say it, unless that was just done; where nobody listens any more it is over here."""
        self.last = progress
        self._desk.breathe()
        now = time.monotonic()
        if now - self._said < SHOW:
            return
        self._said = now
        megabytes = progress.hashed / 1e6
        rate = megabytes / (now - self._begun)
        read = f", {megabytes:.0f} MB at {rate:.0f} MB/s" if progress.hashed else ""
        self._desk.output.passing(f"{progress.done} of {progress.of} {progress.what}{read}")

    def over(self) -> None:
        """Make room for what is said next."""
        self._desk.output.passing("")


def _all(desk: Desk, *, json: bool) -> bool:
    """Whether anything is wrong with any recording."""
    services, passing = desk.services, _Passing(desk)
    rounds = Rounds(
        services.inspection,
        services.index,
        services.seals,
        judged_by(services.authority.seal_keys),
        services.clock.now,
        begun=services.journal.sessions_begun,
        threads=desk.processors,
        between=desk.breathe,
    )
    found = rounds.findings(passing.heard)
    try:
        kept = list(islice(found, MOST)) if json else []
        more = 0
        for finding in found:
            more += 1
            if not json:
                passing.over()
                _say(desk, [finding])
    finally:
        passing.over()
    upto, away = anchored_upto(services.journal), _store_away(services)
    if json:
        shape = {
            "recordings": passing.last.of,
            "bytes": passing.last.hashed,
            "store_away": away,
        }
        whole = bool(upto.anchors) and not upto.missing
        anchored = {"anchored": whole, "not_anchored": upto.missing}
        desk.output.document({**_found(kept, more), **shape, **anchored})
        return bool(kept)
    said = "nothing was changed, is missing or was added"
    if more:
        said = counted(more, "finding")
    desk.output.line(f"{counted(passing.last.of, 'recording')}: {said}.")
    if away is not None:
        desk.output.line(f"Only what is here was looked at, as the object store is away: {away}.")
    desk.output.line(upto.sentence())
    return bool(more)


def _store_away(services: Services) -> str | None:
    """Why nothing that lies in the object store was looked at; None where there is no such thing.

    Of what lies in both places the copy here is judged, so its absence would not show.
    """
    shelf = services.storing.shelf
    try:
        if shelf is not None:
            shelf.demand_there()
    except StoreAway as error:
        return str(error)
    return None


def _say(desk: Desk, findings: Iterable[Finding]) -> None:
    for each in findings:
        kind = desk.output.styled(each.wrong, "red")
        desk.output.line(f"{kind}: {printable(each.sentence)}")


def _found(findings: Iterable[Finding], more: int = 0) -> Shape:
    told = [{"wrong": f.wrong, "where": f.where, "sentence": f.sentence} for f in findings]
    return {"sound": not told, "findings": told, "more_findings": more}
