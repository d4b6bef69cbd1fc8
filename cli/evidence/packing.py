"""Packing: what goes into a tar, in which order, and the one signature over it."""

from collections.abc import Iterator
from itertools import chain
from typing import Final

from bastion.app import Services
from bastion.audit import judged_by
from bastion.authority.sshsig import sign
from bastion.checkpoints import Checkpoint, Sealed
from bastion.events import Event
from bastion.proving import Prover
from cli import shapes
from cli.evidence import documents
from cli.evidence.facts import NAMESPACE, Facts, Held
from cli.evidence.page import page
from cli.evidence.readme import readme
from cli.evidence.recordings import Recordings
from cli.evidence.sections import Told
from cli.evidence.tarball import Tarball
from cli.evidence.transcribing import Transcribing
from cli.output import json_of
from recorder import FileRow

SUMS: Final = "SHA256SUMS"


class Packing:
    """Packs facts with the seal key of the moment."""

    def __init__(self, services: Services, facts: Facts) -> None:
        self._services = services
        self._facts = facts
        directory = services.settings.recordings(services.home)
        root = services.storing.places.root
        self._recordings = Recordings(directory, facts.dossier.at, root)
        self._transcripts = Transcribing(services, facts.dossier.at)

    def size(self) -> int:
        """About how many bytes of recordings there are."""
        return sum(map(self._recordings.size, self._facts.held))

    def pack(self, tar: Tarball) -> str:
        """Put all of it into a tar, and give the SHA-256 of its sums.

        Raises Changed, Unavailable, OSError.
        """
        facts, at = self._facts, self._facts.dossier.at
        tar.text("README.txt", readme(facts).encode(), at)
        told = Told(self._told(), self._files_of, self._transcripts.lines)
        tar.stream("index.html", page(facts, told), at)
        tar.text("summary.json", json_of(documents.summary(facts)), at)
        for name, shape in documents.about(facts.dossier):
            tar.text(name, json_of(shape), at)
        for kept in facts.dossier.policies:
            tar.text(f"policy/{kept.version}.toml", kept.text.encode(), kept.at)
        tar.stream("sessions.json", documents.listed(documents.sessions(facts)), at)
        tar.stream("files.json", documents.listed(map(shapes.file, self._files())), at)
        tar.stream("files.csv", documents.files_csv(self._files()), at)
        tar.stream("events.jsonl", self._events(), at)
        self._prove(tar)
        for held in facts.held:
            self._recordings.add(tar, held)
            self._transcripts.add(tar, held)
        return self._sign(tar)

    def _files_of(self, held: Held) -> Iterator[FileRow]:
        return self._services.index.files.of(held.session)

    def _files(self) -> Iterator[FileRow]:
        return chain.from_iterable(map(self._files_of, self._facts.held))

    def _told(self) -> Iterator[Event]:
        return self._services.journal.with_numbers(self._facts.proof.events)

    def _events(self) -> Iterator[bytes]:
        return (event.hashed() + b"\n" for event in self._told())

    def _prove(self, tar: Tarball) -> None:
        facts, journal = self._facts, self._services.journal
        prover = Prover(journal, judged_by(facts.keys))
        over = set(facts.proof.over)
        for sealed in prover.checkpoints(facts.proof):
            stem = f"proof/checkpoint-{sealed.number:09}"
            read = _read(sealed)
            at = facts.dossier.at if read is None else read.at
            tar.text(f"{stem}.json", sealed.body.encode("utf-8", "surrogateescape"), at)
            tar.text(f"{stem}.sig", sealed.signature.encode("utf-8", "surrogateescape"), at)
            if read is not None and read.listed is not None and sealed.number in over:
                tar.stream(f"{stem}.list", journal.list_lines(read), at)
        tar.text("proof/anchors.json", json_of(documents.anchors(facts)), facts.dossier.at)

    def _sign(self, tar: Tarball) -> str:
        facts, at = self._facts, self._facts.dossier.at
        tar.text("allowed_signers", documents.allowed_signers(facts), at)
        sums = tar.sums_text()
        signature = sign(self._services.authority.seal, NAMESPACE, sums)
        sha256 = tar.text(SUMS, sums, at)
        tar.text(f"{SUMS}.sig", signature.encode(), at)
        return sha256


def _read(sealed: Sealed) -> Checkpoint | None:
    """What it says, where that can be read."""
    try:
        return sealed.checkpoint
    except ValueError:
        return None
