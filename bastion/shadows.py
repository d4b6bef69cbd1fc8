"""Whether one rule takes everything that another would: pure.

The first rule that fits decides, so one that stands behind a wider one is never heard.
"""

from collections.abc import Sequence

from bastion.containment import networks_within, selector_within, window_within
from bastion.inventory import Host
from bastion.looks import Way, opens_way
from bastion.rules import Kind, Mode, Rule


def shadows(wide: Rule, narrow: Rule, way: Way, hosts: Sequence[Host]) -> bool:
    """Whether `wide`, standing before `narrow`, decides all that `narrow` could in this way.

    A yes is certain; `hosts` is the whole inventory.
    """
    return (
        opens_way(wide, way)
        and _people(wide, narrow)
        and as_much(wide, narrow)
        and _hosts(wide, narrow, hosts)
    )


def as_much(wide: Rule, narrow: Rule) -> bool:
    """Whether `wide` gives as much as `narrow`, to whom and where both fit."""
    return (
        _logins(wide, narrow)
        and _modes(wide, narrow)
        and wide.longest >= narrow.longest
        and window_within(narrow.window, wide.window)
        and (not wide.sources or _sources(wide, narrow))
    )


def _people(wide: Rule, narrow: Rule) -> bool:
    return any(party.kind is Kind.EVERYBODY for party in wide.who) or set(narrow.who) <= set(
        wide.who
    )


def _hosts(wide: Rule, narrow: Rule, hosts: Sequence[Host]) -> bool:
    for selector in narrow.hosts:
        named = [host for host in hosts if selector.matches(host)] if selector.exact else None
        if not any(selector_within(selector, around, named) for around in wide.hosts):
            return False
    return True


def _logins(wide: Rule, narrow: Rule) -> bool:
    return wide.logins is None or (narrow.logins is not None and narrow.logins <= wide.logins)


def _modes(wide: Rule, narrow: Rule) -> bool:
    if Mode.SHELL in wide.modes:
        return True
    if Mode.SHELL in narrow.modes:
        return False
    commands = narrow.commands
    return wide.commands is None or (commands is not None and commands <= wide.commands)


def _sources(wide: Rule, narrow: Rule) -> bool:
    return bool(narrow.sources) and networks_within(narrow.sources, wide.sources)
