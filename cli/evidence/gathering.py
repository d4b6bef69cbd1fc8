"""Gathering the facts of a pack: everything is judged before anything is written."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Final

from bastion.app import Services
from bastion.audit import judged_by
from bastion.dossier import Dossier, Registry
from bastion.events import Event
from bastion.proving import Prover
from bastion.store.policies import Kept
from cli.beside import beside
from cli.evidence.facts import Facts, Held
from recorder.manifest import sha256_of

MOST_MISSING: Final = 1000
"""Sessions without a row that are named."""


def facts_of(services: Services, registry: Registry, dossier: Dossier, by: str) -> Facts:
    """The facts of a pack: what was gathered is judged. Reads every recording through.

    People are all who did anything of it, too.
    """
    journal, keys = services.journal, services.authority.seal_keys
    numbers = journal.numbers_about(dossier.circle(), _sealed_upto(services))
    actors: dict[str, None] = {}
    sessions: set[int] = set()
    for event in journal.with_numbers(numbers):
        actors[event.happened.actor] = None
        sessions |= _sessions_told(event, dossier)
    missing = sessions - {session.id for session in dossier.sessions}
    people = registry.people([*(name for name, _ in dossier.people), *actors])
    return Facts(
        dossier=replace(dossier, people=people),
        held=tuple(_held(services, dossier)),
        proof=Prover(journal, judged_by(keys)).proof(numbers),
        keys=keys,
        by=by,
        node=journal.node,
        strayed=tuple(each.version for each in dossier.policies if _strayed(each)),
        missing=tuple(sorted(missing)[:MOST_MISSING]),
    )


def _sessions_told(event: Event, dossier: Dossier) -> set[int]:
    """The session under this grant that an event tells of, if it tells of one."""
    told = event.happened
    return set() if told.session is None or told.grant != dossier.grant.id else {told.session}


def _strayed(rules: Kept) -> bool:
    return sha256_of(rules.text) != rules.version


def _sealed_upto(services: Services) -> int:
    """The newest event that a checkpoint speaks for; where there is none, the newest of all."""
    for sealed in services.journal.checkpoints(limit=1):
        try:
            return sealed.checkpoint.events
        except ValueError:
            break
    return services.journal.last()


def _held(services: Services, dossier: Dossier) -> Iterator[Held]:
    inspection = services.inspection
    for session in dossier.sessions:
        [case] = inspection.cases([session.id])
        findings = tuple(inspection.session(session.id))
        known = beside(services, [session])[session.id]
        yield Held(session, case.kept, findings, case.laid, known)
