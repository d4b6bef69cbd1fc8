"""The list of hashes of a backup, as it comes past: nothing of it is kept but what it is hashed to.

Its lines are in the order of their names, each once, and held against what lies in the backup. What
is wrong with them is kept for later: until the signature over the list is judged, nothing that it
says counts.
"""

import hashlib
import re
from typing import Final

from bastion.authority.sshsig import HASHES
from bastion.errors import BadInput
from cli.backup.members import may_be

LONGEST: Final = 300
"""Bytes of a line: a hash, and the longest name that may be in a backup."""


class Listed:
    """Takes the list; `unlisted` are the SHA-256 of all members before it, by name.

    As each is found in the list it moves to `sums`.
    """

    def __init__(self, unlisted: dict[str, bytes]) -> None:
        self.sums: dict[str, bytes] = {}
        self.hashes = {name: hashlib.new(name) for name in HASHES}
        self._unlisted = unlisted
        self._line = b""
        self._last = ""
        self._wrong: str | None = None

    def write(self, data: bytes) -> None:
        """The next of it."""
        for digest in self.hashes.values():
            digest.update(data)
        if self._wrong is None:
            *lines, self._line = (self._line + data).split(b"\n")
            for line in lines:
                self._take(line)
            if len(self._line) > LONGEST:
                self._wrong = _no_line(self._line)

    def close(self) -> None:
        """That was all."""
        if self._line and self._wrong is None:
            self._wrong = _no_line(self._line)

    def demand_same(self) -> None:
        """Raises BadInput where the backup has not what the list says, no more and no less."""
        if self._wrong is not None:
            raise BadInput(self._wrong)
        for name in sorted(self._unlisted):
            raise BadInput(f"{name} was added to it")

    def _take(self, line: bytes) -> None:
        if self._wrong is not None:
            return
        sha256, _, name = line.decode("ascii", "replace").partition("  ")
        if re.fullmatch("[0-9a-f]{64}", sha256) is None or not may_be(name) or name <= self._last:
            self._wrong = _no_line(line)
            return
        self._last = name
        lying = self._unlisted.get(name)
        if lying is None:
            self._wrong = f"{name} is missing in it"
        elif lying.hex() != sha256:
            self._wrong = f"{name} in it was changed"
        else:
            self.sums[name] = self._unlisted.pop(name)


def _no_line(line: bytes) -> str:
    return f"its list of hashes has the line {line.decode('ascii', 'replace')[:90]!a}"
