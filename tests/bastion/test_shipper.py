"""Shipping into an object store: what is said where there is none."""

from datetime import UTC, datetime
from pathlib import Path
from typing import cast

import pytest

from bastion.app import SERVICE
from bastion.objects import ObjectStore, parse_bucket
from bastion.shipper import Errands, Shipper
from bastion.store.journal import Journal
from bastion.storing import Storing
from recorder.places import Places
from recorder.shelf import Shelf
from recorder.shipments import Shipments


async def test_a_store_that_is_not_there_is_said_at_the_start(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Before anything has to go there: a slip in its name would be heard of days later."""
    shelf = Shelf(ObjectStore(parse_bucket(f"file://{tmp_path}/none")))
    storing = Storing(cast(Shipments, None), cast(Places, None), shelf)
    shipper = Shipper(
        *(cast(Errands, None), storing, cast(Journal, None)),
        now=lambda: datetime.now(UTC),
        actor=SERVICE,
    )
    await shipper._look()
    (said,) = caplog.messages
    assert said == (
        f"recordings stay here until the object store answers: there is no file://{tmp_path}/none"
    )
    (tmp_path / "none").mkdir()
    await shipper._look()
    assert caplog.messages == [said]
