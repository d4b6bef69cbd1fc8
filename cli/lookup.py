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


def name_of_host(services: Services, name: str | None) -> str | None:
    """The name behind an alias; of one that was removed since, the name itself."""
    known = None if name is None else services.store.host(name)
    return name if known is None else known.name


def demand_known(services: Services, user_named: str | None, host_named: str | None) -> None:
    """Where nothing was found. Raises NotFound for a name that never was: a slip."""
    if user_named is not None:
        user(services, user_named)
    if host_named is not None:
        host(services, host_named)


def nearest(name: str, known: Iterable[str]) -> str:
    """A question about the nearest of the known names, or nothing."""
    close = difflib.get_close_matches(name, sorted(known), n=1)
    return f" Do you mean {close[0]}?" if close else ""
