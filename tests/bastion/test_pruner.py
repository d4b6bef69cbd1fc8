"""The pruner: the service lets recordings go by itself, when it may, and leaves what it can't."""

import asyncio
import logging
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from bastion.app import SERVICE, Services
from bastion.pruner import Pruner, keep_time
from bastion.retention import Retention
from recorder import Session
from tests.cli.desks import Installation
from tests.cli.old_sessions import DAY, cast_of, ended_ago, files_of, retain


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Installation:
    made = Installation(tmp_path_factory.mktemp("made") / "bastion")
    retain(made, "30d")
    return made


@pytest.fixture
def installation(home: Installation, tmp_path: Path) -> Installation:
    return home.copied(tmp_path / "bastion")


@pytest.fixture
def services(installation: Installation) -> Iterator[Services]:
    with installation.services() as found:
        yield found


@pytest.fixture
async def two(services: Services) -> list[Session]:
    return [await ended_ago(services, 40), await ended_ago(services, 31)]


def known_since(services: Services, days: float) -> None:
    """The rules were told so many days ago."""
    services.keeping.heed(services.pruning.retention, SERVICE, services.clock.now() - days * DAY)


def pruner(services: Services) -> Pruner:
    return Pruner(services.pruning, SERVICE, services.clock)


def gone(services: Services) -> list[str]:
    """The sessions that were let go."""
    found = services.index.find()
    return sorted(each.name for each in found if each.recording.let_go_at is not None)


async def test_what_is_due_goes(services: Services, two: list[Session]) -> None:
    """In the service's name, when its rules have been known for a day."""
    known_since(services, 1)
    await pruner(services).run()
    assert gone(services) == ["S-1", "S-2"]
    said = [event.happened for event in services.journal.after(0)]
    assert [each.actor for each in said if each.what == "recording.let_go"] == ["bastion"] * 2


async def test_new_rules_wait_for_a_day(
    services: Services, two: list[Session], caplog: pytest.LogCaptureFixture
) -> None:
    """They are told when the service starts; it says once that nothing goes yet."""
    pruning = pruner(services)
    with caplog.at_level(logging.WARNING):
        for _ in range(3):
            await pruning.run()
    assert gone(services) == []
    [said] = [record.message for record in caplog.records]
    assert said.startswith("no recording is let go: The rules of retention are new: they count ")
    assert services.keeping.heeded(services.pruning.retention) is not None


async def test_a_service_with_old_settings_stands_still(
    services: Services, two: list[Session], caplog: pytest.LogCaptureFixture
) -> None:
    """Whoever changed the rules since has the last word; it does not tell them back."""
    known_since(services, 2)
    pruning = pruner(services)
    other = Retention(keep=365 * DAY)
    await pruning.run()
    await ended_ago(services, 40)
    services.keeping.heed(other, SERVICE, services.clock.now())
    with caplog.at_level(logging.WARNING):
        await pruning.run()
    assert gone(services) == ["S-1", "S-2"]
    assert "were changed since the service started: restart it" in caplog.text
    assert services.keeping.heeded(other) is not None


async def test_one_that_can_not_go_is_left_alone_for_a_day(
    services: Services,
    installation: Installation,
    two: list[Session],
    caplog: pytest.LogCaptureFixture,
) -> None:
    """It is said, keeps no other, and is not read through each hour."""
    known_since(services, 1)
    cast_of(installation, two[0]).write_bytes(b"{}\n")
    pruning = pruner(services)
    for _ in range(2):
        await pruning.run()
    assert gone(services) == ["S-2"]
    [said] = [record.message for record in caplog.records if record.levelno == logging.ERROR]
    assert said.startswith("S-1 stays, though its time is over: S-1.cast was cut")


async def test_what_is_on_hold_stays_in_silence(
    services: Services, two: list[Session], caplog: pytest.LogCaptureFixture
) -> None:
    """That is what a hold is for."""
    known_since(services, 1)
    services.keeping.hold(1, None, SERVICE, "INC-42", services.clock.now())
    await pruner(services).run()
    assert gone(services) == ["S-2"]
    assert caplog.records == []


async def test_a_clock_that_leapt_lets_nothing_go(
    services: Services, installation: Installation, two: list[Session]
) -> None:
    """Also when the rules were known for long: somebody has to look at it."""
    known_since(services, 20)
    with services.store.write() as connection:
        connection.exec_driver_sql("UPDATE meta SET at = '2020-01-01 00:00:00.000000'")
    services.store.saw_time(services.clock.now())
    await pruner(services).run()
    assert gone(services) == []
    assert "look whether it is right" in installation("doctor", "--offline", status=None).out
    refused = installation("prune", "--dry-run").err
    assert "Not now: The clock went from 2020-01-01 00:00 UTC to " in refused
    said = installation("prune", status=1).err
    assert "prune --clock-is-right" in said
    assert "took the clock for right" not in installation("audit").out
    assert "2 recordings let go" in installation("prune", "--clock-is-right").err
    assert "took the clock for right" in installation("audit").out
    installation("prune")


async def test_a_clock_that_was_set_back_lets_nothing_go(
    services: Services, installation: Installation, two: list[Session]
) -> None:
    """As nothing else is done with it."""
    known_since(services, 20)
    services.store.saw_time(services.clock.now() + timedelta(hours=1))
    await pruner(services).run()
    assert gone(services) == []
    assert "has been already: set it right" in installation("prune", status=1).err


async def test_what_was_begun_is_finished_whatever_the_rules_say(
    services: Services, installation: Installation, two: list[Session]
) -> None:
    """Also after the rules were taken away again."""
    known_since(services, 1)

    def killed(_: int) -> None:
        raise SystemExit

    services.pruning.removal._forget = (killed,)
    with pytest.raises(SystemExit):
        services.pruning.let_go(next(services.pruning.due()), SERVICE)
    retain(installation, "forever")
    with installation.services() as again:
        await pruner(again).run()
        assert again.tombstones.unfinished() == []
        assert gone(again) == ["S-1"]
    assert len(files_of(installation, two[0])) == 4
    assert installation("verify", "--all", "--json").json["findings"] == []


async def test_the_time_is_kept_each_hour(services: Services) -> None:
    """Also when nothing happens, so that a quiet week is no leap."""
    before = services.store.latest_time()
    async with asyncio.timeout(20), asyncio.TaskGroup() as group:
        task = group.create_task(keep_time(services.store, services.clock))
        while services.store.latest_time() == before:  # noqa: ASYNC110 (a row, no event)
            await asyncio.sleep(0.01)
        task.cancel()
