"""Waiting: holding on until a request is decided, and telling what happens meanwhile."""

from datetime import datetime, timedelta

from bastion.approving import Answer
from bastion.durations import format_duration
from bastion.requests import Request, Standing
from cli import sentences
from cli.desk import Desk

STEP = 1.0
"""Seconds between two looks."""

QUIET = timedelta(minutes=1)
"""How long nothing is said at a terminal while nothing happens."""


def until_decided(desk: Desk, answer: Answer) -> Answer:
    """The request when it is decided, or has gone stale; each approval is told meanwhile.

    ctrl-c ends the waiting, and not the request: KeyboardInterrupt.
    """
    try:
        return _watched(desk, answer)
    except KeyboardInterrupt:
        asked = answer.request
        desk.output.note(
            f"{asked} goes on waiting; {desk.program} status tells of it, "
            f"{desk.program} cancel {asked} withdraws it."
        )
        raise


def _watched(desk: Desk, answer: Answer) -> Answer:
    services = desk.services
    began = said = now = services.clock.now()
    while answer.request.standing(now) is Standing.PENDING:
        desk.pause(STEP)
        now = services.clock.now()
        latest = services.inbox.request(answer.request.id)
        if latest is not None and latest != answer.request:
            answer = _told(desk, answer, latest, now)
            said = now
        elif desk.output.terminal and now - said >= QUIET:
            waited = format_duration(timedelta(minutes=(now - began) // QUIET))
            desk.output.note(f"{answer.request} still waits, for {waited} by now.")
            said = now
    return services.approving.standing(answer.request, now)


def _told(desk: Desk, before: Answer, latest: Request, now: datetime) -> Answer:
    """The request as it is now; who has agreed since is told, and what is still missing."""
    answer = desk.services.approving.standing(latest, now)
    for approval in latest.approvals[len(before.request.approvals) :]:
        desk.output.note(f"{sentences.agreed(approval)}.")
    if latest.standing(now) is Standing.PENDING:
        desk.output.note(sentences.waiting(answer))
    return answer
