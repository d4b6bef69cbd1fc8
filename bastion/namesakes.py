"""Namesakes: two machines on one database have to have names of their own (`node`).

Whose a recording is, and who seals it, is known by the name of the machine. Settings that were
copied name the first one in both.
"""

import time
from collections.abc import Callable
from typing import Final

from bastion.errors import Conflict
from bastion.presence import Presence
from bastion.runners import BEAT, Runner
from bastion.store import Store

LOOK: Final = 0.25
"""Seconds between two looks."""


def demand_none(
    store: Store, presence: Presence, rest: Callable[[float], object] = time.sleep
) -> None:
    """Raises Conflict where another machine lives that is called as this one.

    It blocks for two beats where there is a process of that name that this home knows nothing of:
    it may have died with its machine, or live on another one.
    """
    beats = {each.boot: each.beats for each in _strangers(store, presence)}
    for _ in range(round(2 * BEAT / LOOK) if beats else 0):
        rest(LOOK)
        for each in _strangers(store, presence):
            if each.beats != beats.get(each.boot):
                raise Conflict(
                    f"Another machine of this database is called {each.node} too, and lives: give "
                    "this one a name of its own, by node = in its bastion.toml."
                )


def _strangers(store: Store, presence: Presence) -> list[Runner]:
    seen, node = presence.seen(), store.chain.node
    ours = seen.held | seen.free
    return [each for each in store.runners() if each.node == node and each.boot not in ours]
