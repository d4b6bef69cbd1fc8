"""`bastion-admin evidence`: everything about one grant, for somebody who trusts nobody."""

from dataclasses import dataclass
from pathlib import Path
from typing import Final

import click

from bastion import happenings, names
from bastion.dossier import Dossier, Registry
from bastion.durations import format_size
from bastion.errors import BadInput, NotFound, Unavailable
from bastion.events import Details, Happened, What
from cli.desk import Desk
from cli.evidence import documents
from cli.evidence.facts import Facts
from cli.evidence.gathering import facts_of
from cli.evidence.packing import Packing
from cli.evidence.tarball import Tarball, written_aside
from cli.evidence.words import first_lines, not_proved, proved
from cli.listing import as_json
from cli.output import printable
from cli.room import demand_room
from cli.sessions import wanted_session
from cli.verb import Verb
from recorder.nouns import counted


def _about(text: str) -> tuple[str, int]:
    """A grant or a session: its letter, and its number."""
    letter, _, _ = text.strip().upper().partition("-")
    if letter not in ("G", "S"):
        raise BadInput(f"{text[:60]!a} is no grant or session: write G-7 or S-31.")
    return letter, names.numbered(letter, text)


@dataclass(frozen=True, slots=True)
class Packed:
    """A pack that was written: the SHA-256 of its sums, how many files, how many bytes."""

    sha256: str
    files: int
    bytes: int


@click.command(
    cls=Verb,
    short_help="All about one grant in one signed file.",
    examples=[
        "[program] evidence G-7 -o G-7.tar",
        "[program] evidence S-31 -o S-31.tar --json",
    ],
)
@click.argument("about", metavar="G-N|S-N")
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path),
    metavar="FILE",
    required=True,
    help="The file to write.",
)
@click.option("--force", is_flag=True, help="Replace the file if it is there.")
@as_json
@click.pass_obj
def evidence(desk: Desk, *, about: str, output: Path, force: bool, json: bool) -> None:
    """All about one grant in one signed file: who asked, why, who agreed, what was done.

    It is a tar with a page to read it all offline, and a README that says what is proved and what
    is not, and how to verify it with ssh-keygen and sha256sum alone. A session's is that of its
    grant with no other session in it. Who packs it is told to the log first.
    """
    services = desk.services
    registry = Registry(services.store, services.inbox, services.index)
    dossier = _dossier(desk, registry, *_about(about))
    with written_aside(output, replacing=force) as out:
        _tell_first(desk, dossier)
        services.sealer.seal()
        facts = facts_of(services, registry, dossier, desk.actor.name)
        packing = Packing(services, facts)
        _demand_room(desk, packing.size(), output)
        tar = Tarball(out, f"evidence-{facts.name}", output.parent)
        sha256 = packing.pack(tar)
        tar.close()
        packed = Packed(sha256, len(tar.sums), tar.size)
        _tell_packed(desk, dossier, packed)
    services.sealer.seal()
    if json:
        written = {"file": str(output), "sha256": packed.sha256, "files": packed.files}
        desk.output.document({**documents.summary(facts), **written, "bytes": packed.bytes})
    else:
        _say(desk, output, facts, packed)


def _dossier(desk: Desk, registry: Registry, letter: str, number: int) -> Dossier:
    """Raises NotFound, and Unavailable for what is not as we wrote it."""
    services = desk.services
    try:
        only = wanted_session(services, number) if letter == "S" else None
        wanted = number if only is None else only.grant
        grant = services.store.grant(wanted)
        if grant is None:
            raise NotFound(f"There is no grant G-{wanted}: {desk.program} grants lists them.")
        return registry.dossier(grant, only, services.clock.now())
    except (ValueError, TypeError):
        raise Unavailable(
            f"What the database has of {letter}-{number} can't be read: {desk.program} verify "
            "--all and audit verify say what was changed."
        ) from None


def _tell_first(desk: Desk, dossier: Dossier) -> None:
    """Who is about to have all this, and a look for each recording."""
    now = desk.services.clock.now()
    looks = [happenings.of_look(desk.actor, each, "evidence") for each in dossier.sessions]
    told = [_event(desk, dossier, What.EVIDENCE_ASKED, {}), *looks]
    desk.services.journal.tell_all([(each, now) for each in told])


def _tell_packed(desk: Desk, dossier: Dossier, packed: Packed) -> None:
    details: dict[str, Details] = {"sha256": packed.sha256, "files": packed.files}
    told = _event(desk, dossier, What.EVIDENCE_PACKED, details)
    desk.services.journal.tell(told, desk.services.clock.now())


def _event(desk: Desk, dossier: Dossier, what: What, details: dict[str, Details]) -> Happened:
    only = None if dossier.only is None else dossier.only.id
    return happenings.of_evidence(desk.actor, what, dossier.grant, only, details)


MANY: Final = 1 << 30
"""Bytes of recordings that take a while to be read, twice."""


def _demand_room(desk: Desk, size: int, output: Path) -> None:
    """A pack beside the recordings must not take the room of those that are being written."""
    demand_room(desk.services.settings, desk.services.home, size, output, "The pack")
    if size > MANY:
        desk.output.note(f"{format_size(size)} of recordings are packed; that takes a while.")


def _say(desk: Desk, output: Path, facts: Facts, packed: Packed) -> None:
    """What was packed, what is wrong with it, and what it proves."""
    out = desk.output
    for line in first_lines(facts):
        out.line(printable(out.styled(line, "red") if line.startswith("WRONG") else line))
    sessions = counted(len(facts.held), "session")
    events = counted(len(facts.proof.events), "event")
    what = f"{sessions}, {events}, {counted(packed.files, 'file')}, {format_size(packed.bytes)}"
    out.line(printable(f"{output}: {facts.name}, {what}"))
    out.line(f"SHA256SUMS {packed.sha256}")
    for sentence in proved(facts):
        out.line(printable(f"proved: {sentence}"))
    for sentence in not_proved(facts):
        out.line(printable(f"not proved: {sentence}"))
