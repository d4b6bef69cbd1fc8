"""What is shipped here: the recorder's errands for an object store, with whom they are told to.

The recorder runs them; it knows neither settings nor the log of events, nor which machines there
are.
"""

from collections.abc import Callable, Collection
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from bastion import happenings
from bastion.actor import Actor
from bastion.errors import BastionError
from bastion.events import Happened
from bastion.shipper import Errands, Shipper
from bastion.store import Store
from bastion.store.journal import Journal
from bastion.storing import Storing
from recorder import Index, Sealing, Seals, Session
from recorder.adopting import Adopting
from recorder.errors import NotSealed
from recorder.inspection import Inspection
from recorder.returned import Returned
from recorder.shelf import Shelf
from recorder.shipping import Shipping
from recorder.spool import Spool
from recorder.stored import Stored
from recorder.sweeping import Sweeping
from recorder.texts import Texts
from recorder.tombstones import Tombstones
from recorder.trailing import Trailing


@dataclass(frozen=True, slots=True)
class Parts:
    """What shipping works with: the recordings below `directory`, the copies of what was read from
    the store below `fetched`, and who keeps what of them."""

    directory: Path
    fetched: Path
    index: Index
    seals: Seals
    tombstones: Tombstones
    texts: Texts
    storing: Storing
    sealing: Sealing
    inspection: Inspection
    journal: Journal
    service: Actor
    store: Store
    after: timedelta
    floor: int
    now: Callable[[], datetime]

    def told(self, session: Session, why: str) -> None:
        """It can't go into the store: the log hears of it in the service's name."""
        self._tell(happenings.of_refused_shipment(self.service, session, why))

    def _tell(self, told: Happened) -> None:
        try:
            self.journal.tell(told, self.now())
        except BastionError as error:
            raise NotSealed(str(error)) from error

    def shipping(self, shelf: Shelf) -> Shipping:
        """Into that store."""
        return Shipping(
            *(self.directory, self.index, self.seals),
            shipments=self.storing.shipments,
            shelf=shelf,
            places=self.storing.places,
            sound=self.inspection.alone,
            told=self.told,
            now=self.now,
        )

    def adopting(self, shelf: Shelf) -> Adopting:
        """What machines that are gone have left in that store."""

        def told(session: Session, size: int) -> None:
            self._tell(happenings.of_recovery(self.service, session, size))
            self.texts.take_over(session.id)

        return Adopting(
            *(self.directory, self.index, self.seals),
            shipments=self.storing.shipments,
            shelf=shelf,
            places=self.storing.places,
            runner=self.store.chain.boot,
            orphaned=self.orphaned,
            hold=self.sealing.hold,
            seal=self.sealing.seal,
            told=told,
            after=self.after,
            floor=self.floor,
            now=self.now,
        )

    def orphaned(self, runners: Collection[str]) -> frozenset[str]:
        """Those of these that are gone, and whose machine is not there; or is this one."""
        there, own = self.store.runners(), self.store.chain
        nodes = {runner.node for runner in there} - {own.node}
        gone = set(runners) - {runner.boot for runner in there} - {own.boot}
        of = {runner: self.journal.node_of(runner) for runner in gone}
        return frozenset(
            runner for runner, node in of.items() if node is not None and node not in nodes
        )

    def returned(self) -> Returned:
        """What was recovered elsewhere while this machine was away."""

        def told(session: Session, why: str) -> None:
            self._tell(happenings.of_return(self.service, session, why))

        return Returned(
            *(self.directory, self.index, self.seals), node=self.journal.node, told=told
        )

    def trailing(self, shelf: Shelf) -> Trailing:
        """Into that store, while they grow."""
        return Trailing(self.directory, self.index, shelf, self.storing.places, told=self.told)

    def spool(self, stored: Stored, keep: timedelta | None) -> Spool:
        """What is in that store stays here for so long; for ever, if that is None."""
        return Spool(
            *(self.directory, self.index, self.seals),
            tombstones=self.tombstones,
            shipments=self.storing.shipments,
            stored=stored,
            sound=self.inspection.alone,
            departed=self.inspection.departed,
            keep=keep,
            told=self.told,
            now=self.now,
        )


def shipper(parts: Parts, keep: timedelta | None, *, trails: bool) -> Shipper | None:
    """What is in the store stays here for `keep`; for ever if that is None. `trails` is whether
    what grows goes there too.

    None where there is no store.
    """
    shelf, stored = parts.storing.shelf, parts.storing.stored
    if shelf is None or stored is None:
        return None
    errands = Errands(
        shipping=parts.shipping(shelf),
        spool=parts.spool(stored, keep),
        adopting=parts.adopting(shelf),
        returned=parts.returned(),
        sweeping=Sweeping(parts.fetched, parts.index),
        trailing=parts.trailing(parts.storing.live or shelf) if trails else None,
    )
    return Shipper(errands, parts.storing, parts.journal, now=parts.now, actor=parts.service)
