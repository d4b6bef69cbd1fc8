"""How many sessions may go on at once: in all, and of one user, grant and host. Pure.

Whoever adds a session counts what goes on and adds in one transaction, so that two who come at once
are not both the last for whom there is room.
"""

from dataclasses import astuple, dataclass
from enum import StrEnum

from recorder.errors import RecorderError


class Ceiling(StrEnum):
    """Of what there are as many as there may be."""

    IN_ALL = "in all"
    EACH_USER = "of a user"
    EACH_GRANT = "of a grant"
    EACH_HOST = "of a host"


@dataclass(frozen=True, slots=True)
class Whose:
    """Whose session it would be."""

    user: str
    grant: int
    host: str


@dataclass(frozen=True, slots=True)
class Live:
    """How many sessions go on: in all, and of these those of one user, grant and host."""

    in_all: int
    user: int
    grant: int
    host: int


@dataclass(frozen=True, slots=True)
class Ceilings:
    """How many there may be."""

    in_all: int
    each_user: int
    each_grant: int
    each_host: int

    def reached(self, live: Live) -> Ceiling | None:
        """What keeps one more from beginning; the most particular first."""
        there = dict(zip(Ceiling, zip(astuple(live), astuple(self), strict=True), strict=True))
        order = (Ceiling.EACH_GRANT, Ceiling.EACH_USER, Ceiling.EACH_HOST, Ceiling.IN_ALL)
        return next((each for each in order if there[each][0] >= there[each][1]), None)


class TooMany(RecorderError):
    """As many sessions go on as may."""

    def __init__(self, ceiling: Ceiling) -> None:
        super().__init__(f"as many sessions {ceiling} go on as may")
        self.ceiling = ceiling
