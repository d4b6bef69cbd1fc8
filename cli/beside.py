"""Beside a session: who wanted it ended, who watches it, whether it waits for somebody who does."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from bastion.app import Services
from bastion.jumps import Kill
from bastion.watching import Seen
from recorder import Session


@dataclass(frozen=True, slots=True)
class Beside:
    """What is known of a session and is no part of its row. One that `waits` goes not on.

    Its recording is kept until `kept_until`, for ever where that is None, or for as long as it is
    `held`.
    """

    kill: Kill | None = None
    watchers: tuple[Seen, ...] = ()
    waits: bool = False
    kept_until: datetime | None = None
    held: bool = False

    @property
    def names(self) -> tuple[str, ...]:
        """Who watches, each once."""
        return tuple(dict.fromkeys(each.watcher.name for each in self.watchers))


def beside(services: Services, sessions: Sequence[Session]) -> dict[int, Beside]:
    """The same for each of these sessions, by its number."""
    kills = services.store.kills_of([each.id for each in sessions])
    live = [each for each in sessions if each.live]
    watchers = services.watching.of(live, services.clock.now())
    grants = services.store.live_grants_state({each.grant for each in live})
    rules, (held, held_grants) = services.pruning.rules_for(sessions), services.keeping.held()
    found = {}
    for each in sessions:
        until = None if each.ended_at is None else rules[each.id].until(each.ended_at)
        on_hold = each.id in held or each.grant in held_grants
        seen = tuple(watchers.get(each.id, ()))
        watched = each.live and each.grant in grants and grants[each.grant].watch
        waits = watched and all(one.why_not is not None for one in seen)
        found[each.id] = Beside(kills.get(each.id), seen, waits, until, on_hold)
    return found
