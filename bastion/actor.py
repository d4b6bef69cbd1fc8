"""Who does it: a name for the ledger, never a permission."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Actor:
    """Whoever asks for something to be done.

    `name` is a user's name or an account of the machine (`os:root`); `source` where it was asked
    from: an address, or `local`.
    """

    name: str
    source: str = "local"

    def __str__(self) -> str:
        return self.name
