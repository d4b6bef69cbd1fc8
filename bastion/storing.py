"""The object store of the recordings: what reads it, and what is known of what lies there.

The recorder does it; it knows neither settings nor which machine a runner is of.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from bastion.objects import SOON, Bucket, ObjectStore
from recorder import Seals
from recorder.arriving import Arriving
from recorder.clearing import Clearing
from recorder.database import Database
from recorder.fetched import Fetched
from recorder.places import Places
from recorder.shelf import Shelf
from recorder.shipments import Shipments
from recorder.stored import Stored
from recorder.sweeping import LIVE_COPIES


@dataclass(frozen=True, slots=True)
class Storing:
    """`live` is the shelf for what grows: it does not wait for long.

    All but the first two are None where there is no store.
    """

    shipments: Shipments
    places: Places
    shelf: Shelf | None = None
    stored: Stored | None = None
    clearing: Clearing | None = None
    live: Shelf | None = None
    arriving: Arriving | None = None


def storing(
    bucket: Bucket | None,
    database: Database,
    seals: Seals,
    *,
    recordings: Path,
    fetched: Path,
    limit: int,
    floor: int,
    elsewhere: Callable[[str], bool],
) -> Storing:
    """With the store `bucket`; at most `limit` bytes that were read from it are kept in `fetched`,
    where `floor` bytes of the disk stay free."""
    shipments = Shipments(database)
    if bucket is None:
        return Storing(shipments, Places(recordings))
    shelf = Shelf(ObjectStore(bucket))
    copies = Fetched(fetched, shelf, seals, limit=limit, floor=floor)
    soon = Shelf(ObjectStore(bucket, SOON, tries=1))
    arriving = Arriving(fetched / LIVE_COPIES, soon, copies.make_room)
    places = Places(recordings, copies, elsewhere, arriving)
    return Storing(
        shipments,
        places,
        shelf,
        Stored(shelf),
        Clearing(shelf, places),
        live=soon,
        arriving=arriving,
    )
