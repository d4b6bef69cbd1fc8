"""Looking up what was named; what is not there is answered with the nearest name that is."""

import difflib
from collections.abc import Iterable

from bastion.app import Services
from bastion.errors import NotFound
from bastion.inventory import Host, User


def user(services: Services, name: str) -> User:
    """The user called `name`. Raises NotFound."""
    found = services.store.user(name)
    if found is None:
        known = (each.name for each in services.store.users())
        raise NotFound(f"There is no user {name}.{nearest(name, known)}")
    return found


def host(services: Services, name: str) -> Host:
    """The host with that name or alias. Raises NotFound."""
    found = services.store.host(name)
    if found is None:
        known = (each for one in services.store.hosts() for each in one.names)
        raise NotFound(f"There is no host {name}.{nearest(name, known)}")
    return found


def nearest(name: str, known: Iterable[str]) -> str:
    """A question about the nearest of the known names, or nothing."""
    close = difflib.get_close_matches(name, sorted(known), n=1)
    return f" Do you mean {close[0]}?" if close else ""
