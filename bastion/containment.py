"""Whether one thing lies within another: hosts, networks, hours. Pure.

A yes is certain, also for hosts that are added later; a no may only mean that it is not certain.
"""

import fnmatch
import re
from collections.abc import Iterable, Sequence
from ipaddress import IPv4Network, IPv6Network

from bastion.inventory import Host, Selector
from bastion.windows import Window

_WILD = re.compile(r"[*?]{2,}")


def selector_within(narrow: Selector, wide: Selector, named: Sequence[Host] | None) -> bool:
    """Whether `wide` matches every host that `narrow` matches.

    `named` are the hosts of the inventory that `narrow` names, where it names one exactly (an
    alias says nothing about the name that a pattern looks at); None where it is a pattern.
    """
    if wide.pattern == "*":
        return True
    if named:
        return wide.matches(named[0]) and all(map(wide.matches, named))
    if narrow == wide:
        return True
    if named is not None:
        return False
    if narrow.pattern is None or wide.pattern is None:
        return bool(wide.labels) and wide.labels <= narrow.labels
    return _pattern_within(_tidy(narrow.pattern), _tidy(wide.pattern))


def networks_within(
    narrow: Iterable[IPv4Network | IPv6Network], wide: Sequence[IPv4Network | IPv6Network]
) -> bool:
    """Whether each network of `narrow` lies in one of `wide`, where none of those is all."""
    return not wide or all(any(_network_within(net, around) for around in wide) for net in narrow)


def window_within(narrow: Window | None, wide: Window | None) -> bool:
    """Whether `narrow` is open only where `wide` is; None is always open."""
    return wide is None or wide.always or (narrow is not None and wide.covers(narrow))


def _network_within(net: IPv4Network | IPv6Network, around: IPv4Network | IPv6Network) -> bool:
    if isinstance(net, IPv4Network):
        return isinstance(around, IPv4Network) and net.subnet_of(around)
    return isinstance(around, IPv6Network) and net.subnet_of(around)


def _pattern_within(narrow: str, wide: str) -> bool:
    """The narrow pattern read as a text: a `*` of the wide one takes all, its `?` all but a `*`."""
    return fnmatch.fnmatchcase(narrow, wide.replace("?", "[!*]"))


def _tidy(pattern: str) -> str:
    """Signs beside one another in one order: `*?*` and `?*` are the same."""
    return _WILD.sub(lambda run: "?" * run[0].count("?") + "*" * ("*" in run[0]), pattern)
