"""Packing: the tar of a backup, piece by piece, with its sums and the one signature over them."""

import hashlib
import io
from collections.abc import Callable, Iterable, Iterator
from datetime import datetime
from typing import Final

from bastion.errors import Conflict
from cli.backup.gathering import Member
from cli.backup.members import BLOCK, SIGNATURE, SUMS, Entry, header, sums_text, top

CHUNK: Final = 1024 * 1024


class Packing:
    """Packs members into a tar of the moment `at`. `sums` are their SHA-256 (hex), by name.

    `sha256` is that of the sums, once they are packed.
    """

    def __init__(self, at: datetime, sign: Callable[[bytes], str]) -> None:
        self.sums: dict[str, str] = {}
        self.sha256 = ""
        self._at = at
        self._sign = sign

    def pieces(self, members: Iterable[Member]) -> Iterator[bytes]:
        """The whole tar. Raises Conflict where a file becomes shorter meanwhile."""
        for member in members:
            yield from self._one(member)
        sums = sums_text(self.sums)
        self.sha256 = hashlib.sha256(sums).hexdigest()
        for name, text in ((SUMS, sums), (SIGNATURE, self._sign(sums).encode())):
            yield from self._one(Member(name, io.BytesIO(text), len(text)))
        yield bytes(2 * BLOCK)

    def _one(self, member: Member) -> Iterator[bytes]:
        entry = Entry(member.name, member.size)
        yield header(top(self._at), entry, self._at)
        digest, left = hashlib.sha256(), member.size
        while left:
            data = member.source.read(min(left, CHUNK))
            if not data:
                raise Conflict(f"{member.name} became shorter while it was packed: try again.")
            digest.update(data)
            left -= len(data)
            yield data
        yield bytes(entry.padding)
        self.sums[member.name] = digest.hexdigest()
