"""What SIGHUP makes of the settings: they are held against those in force."""

import logging
from pathlib import Path

import pytest

from bastion.config import Settings
from bastion.home import Home
from bastion.reloading import Started, differing

BEFORE = '[limits]\ndrain = "2s"\n'


@pytest.fixture
def started(tmp_path: Path) -> Started:
    """Something that serves by `BEFORE`."""
    home = Home(tmp_path)
    home.settings.write_text(BEFORE)
    return Started.read(home)


def settings(text: str) -> Settings:
    return Settings.parse(text, Path("bastion.toml"))


def test_what_differs_is_named() -> None:
    """By the names that people write, in tables and without."""
    after = 'notice = "hello"\n[limits]\ndrain = "3s"\n[accounts]\nroot = "alice"\n'
    assert differing(settings(BEFORE), settings(BEFORE)) == []
    found = differing(settings(BEFORE), settings(after))
    assert found == ["limits.drain", "accounts", "notice"]


async def test_people_hear_what_counts_from_the_next_start(
    started: Started, caplog: pytest.LogCaptureFixture
) -> None:
    """And that nothing has changed, or that the file has a mistake and the old ones stay."""
    caplog.set_level(logging.INFO)
    await started.heed()
    started.home.settings.write_text('[limits]\ndrain = "3s"\n')
    await started.heed()
    started.home.settings.write_text("[limits]\ndrain = 3\n")
    await started.heed()
    same, changed, broken = caplog.messages
    assert same == "the settings are as they were"
    assert changed == "settings have changed, and count from the next start on: limits.drain"
    assert broken.startswith("the settings stay as they were: ")
    assert "limits.drain" in broken
