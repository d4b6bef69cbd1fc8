"""Which acts there are, and how often each is done among all."""

from dataclasses import dataclass
from typing import Final

from tests.soak import acts, visits


@dataclass(frozen=True, slots=True)
class Share:
    """An act, and how often it is among all."""

    act: acts.Act
    weight: int


SHARES: Final = (
    Share(acts.quick, 10),
    Share(acts.several, 10),
    Share(acts.idle, 12),
    Share(acts.resized, 5),
    Share(acts.at_a_terminal, 3),
    Share(acts.hung_up, 4),
    Share(acts.down, 5),
    Share(acts.up, 5),
    Share(acts.copied, 5),
    Share(acts.forwarded, 5),
    Share(acts.led, 2),
    Share(acts.killed, 3),
    Share(acts.revoked, 2),
    Share(acts.expired, 2),
    Share(visits.watched, 3),
    Share(visits.looked_at, 4),
    Share(visits.asked, 3),
    Share(visits.renewed, 2),
    Share(visits.a_stranger, 5),
    Share(visits.in_vain, 3),
)
