"""Tombstones: what is signed of a recording that was let go. Values and text; pure.

A line of JSON as manifests are. It names the manifest, so that what was let go can be told from
anything else, and says when, by whom, by which rule, and what was taken away.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from recorder import facts
from recorder.manifest import Manifest, Part
from recorder.session import session_name

TOMBSTONE_NAMESPACE: Final = "tombstone@bastion"
"""What the signature is for (OpenSSH's PROTOCOL.sshsig)."""

LONGEST_TOMBSTONE: Final = 64 * 1024
"""Characters of a tombstone."""

MOST_FILES: Final = 32
"""Files that a recording has, with all that was made of it."""

_NAME = re.compile(r"S-[0-9]{1,19}(-[0-9]{1,2})?\.[A-Za-z0-9][A-Za-z0-9._-]{0,60}", re.ASCII)


@dataclass(frozen=True, slots=True)
class Tombstone:
    """Who let the recording of a session go, and why.

    `manifest` is the number of its manifest, `sha256` (hex) that manifest's hash. `rule` is the
    rule of retention in words, `retention` the SHA-256 of all of them. `files` are those that
    were taken away, as they lay: one that was compressed has the hash of what was compressed.
    """

    session: int
    manifest: int
    sha256: str
    at: datetime
    by: str
    rule: str
    retention: str
    ended_at: datetime
    files: tuple[Part, ...]
    node: str

    @property
    def name(self) -> str:
        """The session as people say it: `S-31`."""
        return session_name(self.session)

    def text(self) -> str:
        """What is signed."""
        return facts.line_of(_written(self))

    def fits(self, manifest: Manifest, sha256: str) -> bool:
        """Whether it speaks of the recording that this manifest, with this hash, is of."""
        named = (self.session, self.manifest, self.sha256, self.ended_at)
        return named == (manifest.session, manifest.number, sha256, manifest.ended_at)


def is_companion(name: str) -> bool:
    """Whether a file may be called so that is part of a recording, or was made of one."""
    return _NAME.fullmatch(name) is not None


def read_tombstone(text: str) -> Tombstone:
    """The tombstone that a text is, to the byte. Raises CorruptRecording, with one sentence."""
    return facts.read_back(text, "tombstone", LONGEST_TOMBSTONE, _read, Tombstone.text)


def _written(tombstone: Tombstone) -> Mapping[str, object]:
    return {
        "tombstone": tombstone.name,
        "manifest": tombstone.manifest,
        "sha256": tombstone.sha256,
        "at": facts.moment(tombstone.at),
        "by": tombstone.by,
        "rule": tombstone.rule,
        "retention": tombstone.retention,
        "ended_at": facts.moment(tombstone.ended_at),
        "files": [
            {"name": each.name, "sha256": each.sha256, "size": each.size}
            for each in tombstone.files
        ],
        "node": tombstone.node,
    }


def _read(take: facts.Facts) -> Tombstone:
    return Tombstone(
        session=take("tombstone", facts.named("S")),
        manifest=take("manifest", facts.number),
        sha256=take("sha256", facts.sha256),
        at=take("at", facts.when),
        by=take("by", facts.text),
        rule=take("rule", facts.text),
        retention=take("retention", facts.sha256),
        ended_at=take("ended_at", facts.when),
        files=take("files", facts.several(MOST_FILES, _part)),
        node=take("node", facts.text),
    )


def _part(take: facts.Facts) -> Part:
    name = take("name", facts.text)
    if not is_companion(name):
        raise ValueError("has a name that no recording has")
    return Part(name, take("sha256", facts.sha256), take("size", facts.number))
