"""Who does it: a name for the records, and how it was shown to be that person. Never a permission.

A user who signed in is known by the key; an account of the machine acts as the user that it is
mapped to, or else in its own name (`os:root`).
"""

from dataclasses import dataclass
from datetime import datetime

from bastion.inventory import PublicKey


@dataclass(frozen=True, slots=True)
class Actor:
    """Whoever asks for something to be done.

    `name` is a user's name or an account of the machine (`os:root`); `source` where it was asked
    from: an address, or `local`. `account` is the machine's account that was used, if one was.
    `key` signed in at `signed_in_at`; on the machine itself nobody signs in.
    """

    name: str
    source: str = "local"
    account: str | None = None
    key: PublicKey | None = None
    signed_in_at: datetime | None = None

    def __str__(self) -> str:
        return self.name

    @property
    def is_user(self) -> bool:
        """Whether it is a person that the bastion knows, and not just an account."""
        return not self.name.startswith("os:")
