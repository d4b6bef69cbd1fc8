"""Whom the bastion talks to of its own accord: channels of messages, places where the log goes.

Built here of the settings; a channel or a place that can't be made ends the start with a sentence.
"""

import socket
from collections.abc import Callable

from bastion.approving import Approving
from bastion.channels import channels
from bastion.clock import Clock
from bastion.config import Settings
from bastion.delivering import Channel
from bastion.home import Home
from bastion.outlets import Outlets, Places
from bastion.particulars import Awaited
from bastion.reminders import Timing
from bastion.requests import Request
from bastion.store import Store
from bastion.store.journal import Journal
from bastion.store.outbox import Outbox
from bastion.telling import Teller

Awaiting = Callable[[Request], Awaited]
"""Whom a request waits for; it may block."""


def told_channels(home: Home, settings: Settings) -> list[Channel]:
    """The channels of the settings. Raises Misconfigured."""
    return channels(home.directory, settings.notify, settings.telling.proxy)


def teller(
    store: Store, ways: list[Channel], settings: Settings, clock: Clock, awaited: Awaiting
) -> Teller:
    """What tells people."""
    telling = settings.telling
    timing = Timing(telling.remind, telling.escalate, telling.before_end, telling.review)
    return Teller(Outbox(store), ways, clock, timing, awaited)


def outlets(
    home: Home, store: Store, ways: list[Channel], settings: Settings, clock: Clock
) -> Outlets:
    """What passes the log on. Raises Misconfigured."""
    audit, journal = settings.audit, Journal(store)
    places = Places(
        file=home.directory / audit.file if audit.file else None,
        syslog=audit.syslog,
        anchors=audit.anchors,
        anchor_every=audit.anchor_every,
        channels=[way.subscription for way in ways],
        node=socket.gethostname(),
    )
    return Outlets(journal, places.outlets(journal, Outbox(store)), clock.now)


def awaiting(approving: Approving, clock: Clock) -> Awaiting:
    """By the rules of the moment."""

    def awaited(request: Request) -> Awaited:
        answer = approving.standing(request, clock.now())
        return Awaited(answer.waits_for, answer.people)

    return awaited
