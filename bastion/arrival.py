"""Somebody who came by a jump, and what the doors inside are built of. Values only."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta

from bastion.chronicle import Chronicle
from bastion.clock import Clock
from bastion.crew import Crew
from bastion.denials import Denial
from bastion.doorbook import Doorbook
from bastion.grants import Grant
from bastion.idling import Idling
from bastion.live import Live
from bastion.metrics import Meters
from bastion.orders import Orders
from bastion.policy import Identity, Reach
from bastion.pulse import Traffic
from bastion.reached import Reached
from bastion.store import Store
from bastion.upstream import Connector
from bastion.wire.bounds import Bounds
from bastion.wire.packets import Turn
from recorder import Archive, Arrears, Ceilings, Index


@dataclass(frozen=True, slots=True)
class Parts:
    """What the doors are built of; made once, by `app`.

    `notice` is the operator's line at the start of a shell, or empty. `watch_wait` is how long a
    session that somebody has to watch waits for that, `ceilings` how many may go on, and `idle`
    for how long nothing may move in one; `unused` is for how long nothing may be open on a
    connection, whose are the `bounds`.
    """

    store: Store
    archive: Archive
    arrears: Arrears
    doorbook: Doorbook
    live: Live
    clock: Clock
    connector: Connector
    crew: Crew
    turn: Turn
    notice: str
    index: Index
    chronicle: Chronicle
    orders: Orders
    watch_wait: timedelta
    meters: Meters
    traffic: Traffic
    reached: Reached
    ceilings: Ceilings
    idling: Idling
    idle: Callable[[Grant], timedelta | None]
    unused: timedelta | None
    bounds: Bounds


@dataclass(frozen=True, slots=True)
class Arrival:
    """Somebody who came by the jump `C-<connection>`: asking for what, and what door 1 said.

    `prove_again` is set where somebody else could be using the channel: then the same key must
    sign a second time. `knock` asks door 1 once more; it blocks, and raises Unavailable.
    """

    connection: int
    identity: Identity
    asked: str
    answer: Reach | Denial
    prove_again: bool
    knock: Callable[[], Reach | Denial]

    def __str__(self) -> str:
        return f"C-{self.connection}"
