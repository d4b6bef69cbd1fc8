"""The vault: where the signer keeps what it has, and what it has read of it: keys and limits."""

import logging
import os
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from bastion.authority import Generations, Which, read_public_key_file
from bastion.authority.keyring import load_cas, stamp_of
from bastion.errors import BadInput, BastionError, Misconfigured
from bastion.signing.judge import Bench
from bastion.signing.limits import Limits, demand_private

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Place:
    """Where the signer keeps what it has: keys, limits, book."""

    directory: Path

    @property
    def keys(self) -> Path:
        """The CAs' keys, and the public half of the bastion's host key."""
        return self.directory / "keys"

    @property
    def limits(self) -> Path:
        """`signer.toml`."""
        return self.directory / "signer.toml"

    @property
    def book(self) -> Path:
        """What was signed."""
        return self.directory / "book"


@dataclass(slots=True)
class Held:
    """Keys and limits as they were read, and the stamps of their files at that time."""

    cas: dict[Which, Generations]
    bench: Bench
    stamps: tuple[object, ...]


class Vault:
    """The keys and the limits; another key or limit counts from the next use on."""

    def __init__(self, place: Place) -> None:
        """Raises Misconfigured."""
        demand_private(place.directory)
        self._place = place
        self._held = self._read()

    def look(self) -> Held:
        """As they are now; what can't be read is logged once and leaves them as they were."""
        stamps = self._stamps()
        if stamps != self._held.stamps:
            try:
                self._held = self._read()
                log.info("the keys and the limits were read anew")
            except BastionError as error:
                log.error("the keys and the limits stay as they were: %s", error)
                self._held.stamps = stamps
        return self._held

    def _read(self) -> Held:
        stamps = self._stamps()
        limits = Limits.read(self._place.limits)
        cas = dict(load_cas(self._place.keys))
        try:
            host = read_public_key_file(self._place.keys / "host.pub")
        except BadInput as error:
            raise Misconfigured(f"{error} It is the bastion's host key.") from None
        return Held(cas, Bench(limits, host), stamps)

    def _stamps(self) -> tuple[object, ...]:
        found: os.stat_result | None = None
        with suppress(OSError):
            found = self._place.limits.stat()
        limits = None if found is None else (found.st_ino, found.st_mtime_ns, found.st_size)
        return stamp_of(self._place.keys), limits
