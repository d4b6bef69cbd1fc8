"""Limits that were reached: each counted at once, and told by whom and minute.

A limit is met by whoever floods, so nothing here is written one by one: the numbers have each, the
service's log the first of a minute, and the log of events one line a minute for each case.
"""

import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import datetime

from bastion import metrics
from bastion.events import Happened, What
from bastion.failures import OTHERS, Tally
from bastion.limits import Limit
from bastion.metrics import Meters

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Case:
    """Which limit, from where; and who it was, at which host and by which grant, where known."""

    limit: Limit
    source: str
    user: str | None = None
    host: str | None = None
    grant: int | None = None


class Reached:
    """What was reached and nobody has told yet. `now` gives the wall clock's time."""

    def __init__(self, meters: Meters, now: Callable[[], datetime]) -> None:
        self._meters = meters
        self._now = now
        self._tally: Tally[Case] = Tally(_others)

    def note(self, case: Case) -> None:
        """It was reached once more."""
        self._meters.count(metrics.LIMITS, case.limit)
        if self._tally.count(case, self._now()):
            log.warning("limit %s: %s", case.limit, _who(case))

    def told(self, before_minute: datetime) -> Iterator[Happened]:
        """An event for each case and minute before the one of `before_minute`, once."""
        for case, minute, times in self._tally.minutes_before(before_minute):
            yield Happened(
                What.LIMIT_REACHED,
                case.user or "nobody",
                case.source,
                user=case.user,
                host=case.host,
                grant=case.grant,
                why=case.limit,
                details={"times": times, "minute": minute.isoformat()},
            )


def _others(case: Case) -> Case:
    return replace(case, source=OTHERS, user=None, host=None, grant=None)


def _who(case: Case) -> str:
    host = "" if case.host is None else f" at {case.host}"
    return f"{case.user or 'somebody'}{host} from {case.source}"
