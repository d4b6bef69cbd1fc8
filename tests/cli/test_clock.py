"""`clock`: a clock that was ahead for a moment keeps everybody out until somebody says so."""

import asyncio
import json
from datetime import UTC, datetime, timedelta

from bastion.clock import Clock
from bastion.duties import watch_time
from tests.cli.desks import Installation

HOUR = timedelta(hours=1)
PATIENCE = 20
WHY = ("--reason", "NTP was an hour ahead")
GRANT = "grant alice --host web-1 --login deploy --shell --for 1h --reason r".split()


def ahead(furnished: Installation) -> datetime:
    """The time now; one that is an hour later was kept."""
    now = datetime.now(UTC)
    with furnished.services() as services:
        services.store.saw_time(now + HOUR)
    return now


def test_what_was_later_before_is_shown(furnished: Installation) -> None:
    """And that nothing is opened for that; doctor and whoever is refused name the way out."""
    assert furnished("clock", "show", "--json").json["opens"] is True
    now = ahead(furnished)
    said = furnished("clock", "show", "--json").json
    assert said["opens"] is False
    assert 3500 < said["ahead_seconds"] <= 3600
    assert datetime.fromisoformat(said["latest"]) == now + HOUR
    assert "nothing is opened until then" in furnished("clock", "show").out
    assert "bastion-admin doctor" in furnished(*GRANT, status=1).err
    doctor = furnished("doctor", "--offline", status=1)
    assert "bastion-admin clock reset" in doctor.out + doctor.err


def test_somebody_says_that_it_is_right(furnished: Installation) -> None:
    """Who has read the same off another clock; then it counts, and the log has who said so."""
    now = ahead(furnished)
    wrong = (now + HOUR).isoformat()
    assert "set it right first" in furnished("clock", "reset", "--now", wrong, *WHY, status=1).err
    assert furnished("clock", "show", "--json").json["opens"] is False
    said = furnished("clock", "reset", "--now", now.isoformat(), *WHY)
    assert "is taken for right" in said.err
    assert furnished("clock", "show", "--json").json["opens"] is True
    furnished(*GRANT)
    found = furnished("audit", "--what", "clock.reset", "--json").out.splitlines()
    [event] = [json.loads(line) for line in found]
    assert event["why"] == WHY[1]
    assert event["details"]["latest"] == wrong
    assert f"though {now + HOUR:%Y-%m-%d %H:%M} UTC was kept before: NTP" in furnished("audit").out
    furnished("audit", "verify")


def test_there_has_to_be_a_reason_to(furnished: Installation) -> None:
    """Nobody sets back what is not ahead, nor without words."""
    now = datetime.now(UTC).isoformat()
    refused = furnished("clock", "reset", "--now", now, *WHY, status=1).err
    assert "nothing to set back" in refused
    assert "--reason" in furnished("clock", "reset", "--now", now, status=2).err


async def test_what_serves_hears_of_it(furnished: Installation) -> None:
    """Its clock is behind the time that it knew, until it asks again."""
    now = ahead(furnished)
    with furnished.services() as services:
        clock: Clock = services.clock
        assert clock.behind()
        furnished("clock", "reset", "--now", now.isoformat(), *WHY)
        async with asyncio.TaskGroup() as group:
            watching = group.create_task(watch_time(services.store, clock))
            async with asyncio.timeout(PATIENCE):
                while clock.behind():  # noqa: ASYNC110 - what it watches is no task
                    await asyncio.sleep(0.01)
            watching.cancel()
