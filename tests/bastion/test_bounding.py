"""For how long nothing may move in a session: by the settings, or by the rule of its grant."""

from dataclasses import replace
from datetime import timedelta

import pytest

from bastion.bounding import idle
from bastion.rulebook import Rulebook
from bastion.rules import parse_rules
from tests.bastion.rulesets import WHOLE
from tests.bastion.test_live import GRANT

LONG, SHORT = timedelta(hours=12), timedelta(minutes=15)


class Read(Rulebook):
    """Rules that were read; `on call` says 15 minutes."""

    def __init__(self) -> None:
        self._rules = parse_rules(WHOLE, "policy.toml")


class Unread(Rulebook):
    """Before the first reading."""

    def __init__(self) -> None:
        self._rules = None


@pytest.mark.parametrize(
    ("settings", "rule", "found"),
    [
        (LONG, "on call", SHORT),
        (None, "on call", SHORT),
        (timedelta(minutes=5), "on call", timedelta(minutes=5)),
        (LONG, "contractors on staging", LONG),
        (LONG, "a rule that is gone", LONG),
        (LONG, None, LONG),
        (None, None, None),
    ],
)
def test_the_shorter_of_both_counts(
    settings: timedelta | None, rule: str | None, found: timedelta | None
) -> None:
    """A rule can make it shorter, and never longer than the settings say."""
    assert idle(settings, Read(), replace(GRANT, rule=rule)) == found


def test_without_rules_the_settings_count() -> None:
    """Nobody waits for a file when a session begins."""
    assert idle(LONG, Unread(), replace(GRANT, rule="on call")) == LONG
