"""How long the doors take, and lists, and the log, when years are in the database.

A door's time is that of its question to the database and of its judgement, in the thread that
asks: what `ssh -J` waits for before it is let in, and once more at each start.
"""

import random
import time
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

from bastion.audit import verified
from bastion.denials import Denial
from bastion.grants import State
from bastion.policy import (
    Ask,
    Identity,
    Knock,
    Mode,
    Permit,
    Reach,
    Run,
    may_login,
    may_reach,
    may_run,
)
from bastion.requests import Standing
from bastion.store import Store
from bastion.store.grants import Wanted as WantedGrants
from bastion.store.inbox import Inbox
from bastion.store.journal import Journal
from bastion.store.ledger import Wanted as WantedCertificates
from bastion.store.requests import Wanted as WantedRequests
from tests.bench import log, processes, years
from tests.bench.figures import Row, below, known, percentile
from tests.bench.years import Years

DOOR = 2.0
"""Milliseconds that the three doors may take, of a hundred times all but one."""

PAGE = 100.0
"""Milliseconds for the first page of the log, whatever is asked."""

FIRST_PAGE = 101
"""Lines of a list, and one more that shows whether there are others."""

_COMMAND = Ask(Mode.EXEC, b"systemctl restart worker")


def measure(size: Years, times: int) -> list[Row]:
    """`times` at the doors; each list and page a few times."""
    with TemporaryDirectory(prefix="bench-") as place:
        file = Path(place) / "years.db"
        begun = time.perf_counter()
        years.fill(file, size)
        filled = time.perf_counter() - begun
        with closing(Store.open(f"sqlite:///{file}")) as store:
            said = f"{size.grants} grants, {size.events} events"
            return [
                known(f"{said}: filling the database", "s", filled),
                known(f"{said}: its size", "MB", file.stat().st_size / 1e6),
                *_doors(store, size, times),
                *_lists(store, size),
                *_pages(store, size),
                *_verifying(store, size),
            ]


# The doors


@dataclass(frozen=True, slots=True)
class Visitor:
    """Somebody who asks for a host, and is judged as `gate` and `hop` do it."""

    store: Store
    identity: Identity
    asked: str
    now: datetime

    def goes_through(self) -> Run | Denial:
        """All three doors."""
        name, key = self.identity.user.name, self.identity.key.fingerprint
        facts = self.store.door_facts(name, key, self.asked, self.now)
        shown = Knock(self.identity, self.asked, facts.host, 22, facts.grants, facts.certificates)
        reach = may_reach(shown, self.now)
        permit = may_login(reach, "deploy", self.now) if isinstance(reach, Reach) else reach
        return may_run(permit, _COMMAND, self.now) if isinstance(permit, Permit) else permit


def _doors(store: Store, size: Years, times: int) -> list[Row]:
    dice = random.Random(1)  # noqa: S311 (no secret)
    inside, outside = [], []
    for name in dice.sample(range(1, size.users), min(times, size.users - 1)):
        granted = store.grants_not_over(f"user-{name}", size.now)
        hosts = [s.pattern for g in granted for s in g.hosts if s.pattern and s.exact]
        inside += [_visitor(store, f"user-{name}", host, size) for host in hosts]
        outside.append(_visitor(store, f"user-{name}", f"alias-{name % size.hosts}", size))
    if not all(isinstance(each.goes_through(), Run) for each in inside):
        raise RuntimeError("somebody who has a grant was not let in")
    strangers = [_visitor(store, f"user-{n}", "no-such-host", size) for n in range(1, size.users)]
    busiest = [_visitor(store, years.BUSIEST, f"host-{n % size.hosts}", size) for n in range(200)]
    return [
        *_waits("the doors, to a granted host", inside, times),
        *_waits("the doors, to another host", outside, times),
        *_waits("the doors, to an unknown host", strangers, times),
        _wait(f"the doors, for somebody with {size.busiest} live grants", busiest, times // 5),
    ]


def _visitor(store: Store, name: str, host: str, size: Years) -> Visitor:
    user = store.user(name)
    assert user is not None
    return Visitor(store, Identity(user, user.keys[0], "192.0.2.7"), host, size.now)


def _waits(what: str, visitors: Sequence[Visitor], times: int) -> list[Row]:
    """Of `times` visits."""
    waited = _waited(visitors, times)
    return [
        known(f"{what}, p50", "ms", percentile(waited, 50)),
        below(f"{what}, p99", "ms", None, percentile(waited, 99), DOOR),
    ]


def _wait(what: str, visitors: Sequence[Visitor], times: int) -> Row:
    return known(f"{what}, p50", "ms", percentile(_waited(visitors, times), 50))


def _waited(visitors: Sequence[Visitor], times: int) -> list[float]:
    """Milliseconds. The first ones pay for what is loaded once."""
    for visitor in visitors[:20]:
        visitor.goes_through()
    return [_milliseconds(visitors[n % len(visitors)].goes_through) for n in range(times)]


# Lists


def _lists(store: Store, size: Years) -> list[Row]:
    inbox, now = Inbox(store), size.now
    active, over = frozenset({State.ACTIVE}), frozenset({State.EXPIRED})
    rare = store.host(f"host-{size.hosts - 1}")
    pending = frozenset({Standing.PENDING})

    def grants(**wanted: object) -> Callable[[], object]:
        asked = WantedGrants(at=now, **wanted)  # type: ignore[arg-type]
        return lambda: store.grants(asked, limit=FIRST_PAGE)

    def ledger(**wanted: object) -> Callable[[], object]:
        asked = WantedCertificates(**wanted)  # type: ignore[arg-type]
        return lambda: store.ledger(asked, limit=FIRST_PAGE)

    def requests(**wanted: object) -> Callable[[], object]:
        asked = WantedRequests(at=now, **wanted)  # type: ignore[arg-type]
        return lambda: inbox.requests(asked, limit=FIRST_PAGE)

    lists = {
        "`grants`": grants(),
        "`grants --live`": grants(states=active),
        "`grants --user`": grants(user="user-7"),
        "`grants --host`": grants(host=rare),
        "`grants --live --host`": grants(host=rare, states=active),
        "`grants --state expired`": grants(states=over),
        "`grants --login`, of an unknown one": grants(login="nobody"),
        "`grants --at`, years ago": lambda: store.grants(
            WantedGrants(at=now - years.KEPT_FOR / 2, states=active), limit=FIRST_PAGE
        ),
        "grants to be reviewed": lambda: store.grants(WantedGrants(unreviewed=True), limit=1),
        "`requests`, those that wait": requests(standings=pending),
        "`requests --user`": requests(user="user-7"),
        "`certificates`": ledger(),
        "`certificates --user`": ledger(user="user-7"),
        "`certificates --live`": ledger(live_at=now),
        "`certificates --grant`": ledger(grant=7),
        "whom a new host would let in": lambda: store.grants_covering(rare, now) if rare else None,
    }
    took = {what: _middle(work) for what, work in lists.items()}
    slowest = max(took, key=took.__getitem__)
    return [
        known("`grants`, first page", "ms", took["`grants`"]),
        known(f"{slowest}, the slowest of {len(took)} lists", "ms", took[slowest]),
    ]


# The log


def _pages(store: Store, size: Years) -> list[Row]:
    """The newest of all, and the page that takes longest."""
    found = log.page_times(Journal(store), size.events)
    slowest = max(found, key=found.__getitem__)
    said = f"`audit`, first page for {slowest}, the slowest of {len(found)}"
    return [
        below("`audit`, first page", "ms", None, found["all"] * 1000, PAGE),
        below(said, "ms", None, found[slowest] * 1000, PAGE),
    ]


def _verifying(store: Store, size: Years) -> list[Row]:
    processes.forget_peak()
    begun = time.perf_counter()
    found = verified(Journal(store), lambda *_: None, {})
    taken = time.perf_counter() - begun
    if found.findings or found.events != size.events:
        raise RuntimeError(f"the log that was filled is not sound: {found.findings[:3]}")
    return [
        known("`audit verify`, events a second", "/s", size.events / taken),
        known("`audit verify`, memory of the whole process", "MB", processes.peak() / 1e6),
    ]


def _middle(work: Callable[[], object]) -> float:
    return median(_milliseconds(work) for _ in range(5))


def _milliseconds(work: Callable[[], object]) -> float:
    begun = time.perf_counter()
    work()
    return (time.perf_counter() - begun) * 1000
