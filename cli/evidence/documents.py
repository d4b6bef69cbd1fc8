"""The facts as JSON, CSV and plain files: what each is called, and what stands in it."""

import csv
import io
from collections.abc import Iterable, Iterator, Mapping
from typing import Final

from bastion.approving import Answer
from bastion.authority.public_keys import line_of
from bastion.checkpoints import NAMESPACE as CHECKPOINTS
from bastion.dossier import Dossier
from bastion.inventory import User
from bastion.requests import Approval, Request
from bastion.store.policies import Kept as Policy
from cli import shapes
from cli.evidence.facts import NAMESPACE, SIGNER, Facts, Held
from cli.evidence.words import not_proved, proved
from cli.output import exact, harmless, json_of
from cli.shapes import Shape
from recorder import FileRow
from recorder.manifest import NAMESPACE as RECORDINGS
from recorder.tombstone import TOMBSTONE_NAMESPACE

FORMAT: Final = 1
"""Of packs. What is in one may become more; what is, keeps its name."""

FILE_COLUMNS: Final = (
    *("session", "number", "at", "user", "grant", "host", "login", "operation", "path", "other"),
    *("direction", "bytes", "sha256", "sequential", "result"),
)


def summary(facts: Facts) -> Shape:
    """What the pack is, in short."""
    dossier, proof = facts.dossier, facts.proof
    return {
        "format": FORMAT,
        "about": facts.name,
        "grant": str(dossier.grant),
        "session": None if dossier.only is None else dossier.only.name,
        "user": dossier.grant.user,
        "as_of": dossier.at,
        "packed_by": facts.by,
        "node": facts.node,
        "sound": not facts.found(),
        "findings": facts.found(),
        "sessions": len(facts.held),
        "sealed": sum(held.sound for held in facts.held),
        "live": [session.name for session in dossier.live],
        "let_go": [held.session.name for held in facts.held if held.laid is not None],
        "events": len(proof.events),
        "events_not_sealed": len(proof.unsealed) + len(proof.unlisted),
        "checkpoint": proof.over[-1] if proof.over else None,
        "anchored": dict(proof.anchored) or None,
        "proved": proved(facts),
        "not_proved": not_proved(facts),
    }


def allowed_signers(facts: Facts) -> bytes:
    """The public halves that have sealed here, as `ssh-keygen -Y verify` reads them."""
    namespaces = ",".join((NAMESPACE, RECORDINGS, TOMBSTONE_NAMESPACE, CHECKPOINTS))
    lines = (f'{SIGNER} namespaces="{namespaces}" {line_of(key)}\n' for key in facts.keys)
    return "".join(lines).encode()


def about(dossier: Dossier) -> Iterator[tuple[str, Shape | list[Shape]]]:
    """The documents that are short: their names, and what they say."""
    at = dossier.at
    yield "grant.json", shapes.grant(dossier.grant, at)
    yield "requests.json", [_request(each, dossier) for each in dossier.requests]
    yield (
        "rules.json",
        [
            {
                "version": each.version,
                "file": f"policy/{each.version}.toml",
                "by": each.by,
                "at": each.at,
            }
            for each in dossier.policies
        ],
    )
    yield (
        "people.json",
        [
            {"name": name, "as_of": at, "user": None if user is None else person(user, dossier)}
            for name, user in dossier.people
        ],
    )
    yield "certificates.json", [shapes.certificate(each, at) for each in dossier.certificates]
    yield "connections.json", [shapes.connection(each) for each in dossier.connections]


def person(user: User, dossier: Dossier) -> Shape:
    """Somebody as the account is when the pack is made: no address, nobody else's name."""
    told = shapes.user(user, dossier.at)
    return {name: told[name] for name in ("name", "state", "roles", "groups", "keys")}


def sessions(facts: Facts) -> Iterator[Shape]:
    """Each session, with how its recording stands."""
    return map(_session, facts.held)


def _session(held: Held) -> Shape:
    kept = held.kept
    seal = None if kept is None else {"manifest": kept.number, "sha256": kept.sha256, "at": kept.at}
    verified = {"standing": held.standing, "findings": [each.sentence for each in held.findings]}
    shape = shapes.session(held.session, held.beside)
    return {**shape, "seal": seal, "verified": verified}


def listed(found: Iterable[Mapping[str, object]]) -> Iterator[bytes]:
    """A JSON list, piece by piece."""
    before = b"[\n"
    for each in found:
        yield before + json_of(each, indent=False)
        before = b",\n"
    yield b"[]\n" if before == b"[\n" else b"\n]\n"


def files_csv(rows: Iterable[FileRow]) -> Iterator[bytes]:
    """The files that went over, as `files --csv` has them; safe in a spreadsheet."""
    line = io.StringIO()
    writer = csv.writer(line)
    writer.writerow(FILE_COLUMNS)
    for row in rows:
        shape = shapes.file(row)
        writer.writerow(harmless(exact(shape[name])) for name in FILE_COLUMNS)
        if line.tell() > 65536:
            yield line.getvalue().encode()
            line.seek(0)
            line.truncate()
    yield line.getvalue().encode()


def anchors(facts: Facts) -> Shape:
    """Who has heard of checkpoints, and of which."""
    proof = facts.proof
    return {
        "anchored": bool(proof.anchored),
        "anchors": [
            {"name": name, "checkpoint": number, "speaks_for_the_pack": name in proof.anchored}
            for name, number in sorted(proof.anchors.items())
        ],
    }


def _rules(kept: Policy) -> Shape:
    """Since when, and put in force by whom; `policy/` has the text."""
    file = f"policy/{kept.version}.toml"
    return {"version": kept.version, "file": file, "by": kept.by, "at": kept.at}


def _request(given: Request, dossier: Dossier) -> Shape:
    shape = dict(shapes.request(Answer(given), dossier.at))
    for name in ("waits_for", "people"):
        del shape[name]
    approvals = [_approval(each) for each in given.approvals]
    return {**shape, "source": given.source, "sponsor": given.sponsor, "approvals": approvals}


def _approval(given: Approval) -> Shape:
    duration = given.duration
    return {
        "by": given.by,
        "at": given.at,
        "duration": None if duration is None else int(duration.total_seconds()),
        "comment": given.comment,
        "source": given.source,
        "key": given.fingerprint,
        "policy": given.policy,
    }
