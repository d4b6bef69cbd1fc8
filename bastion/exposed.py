"""What settings let too many see or say: each what it is, and the mend. Pure."""

from collections.abc import Iterator
from ipaddress import ip_address

from bastion.config import Settings

MOST_BALANCERS = {4: 1 << 12, 6: 1 << 64}
"""Addresses of a network, by the version of IP, beyond which it is more than balancers."""


def exposed(settings: Settings) -> Iterator[tuple[str, str]]:
    """Metrics for whoever reaches them, and sources that whoever connects can make up."""
    asked = settings.metrics.listen
    if asked is not None and not _here(asked.host):
        what = f"The metrics at {asked} are told to whoever reaches them, without a password."
        yield what, f"set metrics.listen to 127.0.0.1:{asked.port}, or let only Prometheus reach it"
    for network in settings.proxy.balancers:
        if network.num_addresses > MOST_BALANCERS[network.version]:
            what = f"Whoever connects from {network} can say to be anywhere (proxy.balancers)."
            yield what, "list the balancers, and nothing else"


def _here(host: str) -> bool:
    """Whether only this machine reaches what listens there."""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
