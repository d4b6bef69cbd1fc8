"""Whether one rule takes everything that another would: pure.

The first rule that fits decides, so one that stands behind a wider one is never heard.
"""

from collections.abc import Collection, Sequence
from typing import Protocol, Self, TypeVar

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
    shell = Mode.SHELL in wide.modes
    if narrow.modes - wide.modes - ({Mode.COMMAND} if shell else set()):
        return False
    limited = Mode.COMMAND in narrow.modes and not shell
    if limited and not _all_within(narrow.commands, wide.commands):
        return False
    files = _all_within(narrow.files, wide.files) or Mode.SFTP not in narrow.modes
    forwards = _all_within(narrow.forwards, wide.forwards) or Mode.FORWARD not in narrow.modes
    return files and forwards


class _Within(Protocol):
    def within(self, wide: Self, /) -> bool: ...


_W = TypeVar("_W", bound=_Within)


def _all_within(narrow: Collection[_W] | None, wide: Collection[_W] | None) -> bool:
    """Whether each of `narrow` is within one of `wide`; None is anything."""
    if wide is None or narrow is None:
        return wide is None
    return all(any(one.within(other) for other in wide) for one in narrow)


def _sources(wide: Rule, narrow: Rule) -> bool:
    return bool(narrow.sources) and networks_within(narrow.sources, wide.sources)
