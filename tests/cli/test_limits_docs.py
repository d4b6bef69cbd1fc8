"""docs/limits.md has each limit there is, by its name and with its default."""

import re
from pathlib import Path

import pytest

from bastion.config import Settings
from bastion.limit_settings import Limits, ProxySettings
from bastion.limits import CROWDED, TURNED_AWAY, Limit

PAGE = (Path(__file__).parents[2] / "docs" / "limits.md").read_text()
ROWS = dict(re.findall(r"(?m)^\| `(\w+)` \| `?([^|`]+?)`? \|", PAGE))
"""Each setting that has a row of its own, and what is said to be its default."""


@pytest.mark.parametrize("limit", Limit)
def test_each_limit_is_explained(limit: Limit) -> None:
    """By the name that the numbers and the log have."""
    assert f"`{limit}`" in PAGE


def test_each_default_is_what_it_is_said_to_be() -> None:
    """As somebody would write it; lists are empty unless said."""
    assert {"connections", "idle", "in_flight", "sessions_per_host"} <= set(ROWS)
    for name, said in ROWS.items():
        if said == "none":
            assert getattr(Limits(), name) == ()
            continue
        value = said if said.isdigit() or said.startswith('"') else f'"{said}"'
        read = Settings.parse(f"[limits]\n{name} = {value}\n", Path("bastion.toml")).limits
        assert getattr(read, name) == getattr(Limits(), name), name


def test_each_setting_of_how_many_is_there() -> None:
    """What is only about waiting for ourselves stands in the settings."""
    elsewhere = {"connect_timeout", "without_database", "drain", "stalled"}
    for name in set(Limits.model_fields) - elsewhere | set(ProxySettings.model_fields):
        assert f"`{name}`" in PAGE or f"\n    {name} = " in PAGE, name


@pytest.mark.parametrize("sentence", [*TURNED_AWAY.values(), *CROWDED.values()])
def test_what_somebody_hears_is_there(sentence: str) -> None:
    """Word for word."""
    assert sentence.format(wait="40s", grant="G-7", host="prod-host", most=500) in PAGE
