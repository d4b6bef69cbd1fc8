"""Requests, events and messages for the tests of telling, each with only what no test is about."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta
from typing import Any

from bastion.events import Chain, Details, Event, Happened, What, following
from bastion.inventory import Role, User
from bastion.notices import Message
from bastion.requests import Request
from tests.bastion.worlds import HOUR, NOW, SHELL, selectors, user

CHAIN = Chain("box", "boot")


def request(number: int = 12, **changes: Any) -> Request:  # noqa: ANN401 (any field)
    """alice asks for a shell as deploy on prod-host, for two hours; made at NOW."""
    asked = Request(
        id=number,
        user="alice",
        asked_by="alice",
        hosts=selectors("prod-host"),
        logins=frozenset({"deploy"}),
        allows=SHELL,
        duration=2 * HOUR,
        reason="disk full",
        asked_at=NOW,
        stale_at=NOW + timedelta(days=1),
        source="192.0.2.7",
    )
    return replace(asked, **changes)


def event(what: What, number: int = 1, **columns: Any) -> Event:  # noqa: ANN401 (any column)
    """What bob did, at NOW."""
    details: Mapping[str, Details] = columns.pop("details", {})
    actor = columns.pop("actor", "bob")
    return following(number, CHAIN, None, Happened(what, actor, details=details, **columns), NOW)


def message(**changes: Any) -> Message:  # noqa: ANN401 (any field)
    """A message as it is kept for one receiver."""
    made = Message(
        id="msg_0123456789abcdef",
        type="request.made",
        at=NOW,
        title="R-12: alice asks for prod-host as deploy for 2h",
        fields=(("who", "alice"), ("why", "disk full")),
        lines=("ssh bastion approve R-12", "ssh bastion deny R-12 --reason WORDS"),
        data={"title": "R-12"},
    )
    return replace(made, **changes)


def person(name: str, *roles: Role, email: str | None = None) -> User:
    """A user with roles, reached at NAME@example.org unless told otherwise."""
    known = frozenset(roles) or frozenset({Role.CONTRACTOR})
    return replace(user(name), roles=known, email=email or f"{name}@example.org")
