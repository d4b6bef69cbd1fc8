"""Which person somebody in the records is: a user, or an account of the machine that acts as one.

Requester and approver have to be two people, whatever accounts and keys they use. An account
that is mapped to nobody stays a somebody of its own (`os:root`).
"""

from collections.abc import Iterable, Mapping

_ACCOUNT = "os:"


class People:
    """The accounts of the machine and whom they act as: names of accounts to names of users."""

    def __init__(self, accounts: Mapping[str, str]) -> None:
        self._accounts = dict(accounts)

    def person(self, name: str) -> str:
        """The user whom the records mean by `name`; the name itself where it is no account."""
        if not name.startswith(_ACCOUNT):
            return name
        return self._accounts.get(name.removeprefix(_ACCOUNT), name)

    def persons(self, names: Iterable[str]) -> frozenset[str]:
        """The same for several."""
        return frozenset(map(self.person, names))
