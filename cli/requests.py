"""`requests`, `approve`, `deny`, `cancel`: what people ask for, and deciding it."""

from collections.abc import Iterator
from datetime import datetime, timedelta

import click

from bastion.approving import Answer
from bastion.durations import format_duration
from bastion.errors import NotFound
from bastion.requests import Request, Standing
from bastion.store.requests import Wanted
from cli import lookup, sentences, shapes
from cli.arguments import DURATION, PAST, REQUEST, USER, WORDS
from cli.desk import Desk
from cli.listing import Form, as_json, described, listed, tell
from cli.verb import Verb
from recorder.nouns import counted

COLUMNS = ("id", "user", "hosts", "logins", "allows", "for", "state", "reason", "outcome")

PENDING = frozenset({Standing.PENDING})

LOOKED_AT = 200
"""Requests that wait, the newest, of which it is found out who may decide."""

_STATES = click.Choice([each.value for each in Standing], case_sensitive=False)


@click.command(
    cls=Verb,
    short_help="What people ask for; one with its whole story.",
    examples=[
        "[program] requests",
        "[program] requests R-12",
        "[program] requests --all --user alice --since 2026-11-01 --csv",
    ],
)
@click.argument("number", type=REQUEST, metavar="[R-N]", required=False)
@click.option("--all", "everything", is_flag=True, help="Decided ones too, whoever decides.")
@click.option("--user", type=USER, help="Only this person's.")
@click.option(
    "--state",
    "states",
    type=_STATES,
    multiple=True,
    help="Only in this state, whoever decides; may be repeated.",
)
@click.option(
    "--since", type=PAST, metavar="TIME", help="Asked then or later; 2h is two hours ago."
)
@click.option("--until", type=PAST, metavar="TIME", help="Asked before then.")
@listed
@click.pass_obj
def requests(
    desk: Desk,
    *,
    form: Form,
    number: int | None,
    everything: bool,
    user: str | None,
    states: tuple[str, ...],
    since: datetime | None,
    until: datetime | None,
) -> None:
    """Requests that wait for you to decide; for whom there are none to decide, all that wait.

    With R-N, that one with its whole story.
    """
    if number is not None:
        tell_request(desk, number, form.json)
        return
    services = desk.services
    chosen = frozenset(map(Standing, states)) or (frozenset(Standing) if everything else PENDING)
    wanted = Wanted(
        user=None if user is None else lookup.user(services, user).name,
        standings=chosen,
        at=services.clock.now(),
        since=since,
        until=until,
    )
    if everything or states:
        _tell(desk, form, services.inbox.requests(wanted, limit=form.enough))
        return
    waiting = services.inbox.requests(wanted, limit=LOOKED_AT)
    mine = services.approving.to_decide(desk.actor, waiting, services.clock.now()) or waiting
    _tell(desk, form, mine)
    if len(mine) < len(waiting):
        others = len(waiting) - len(mine)
        wait = counted(others, "more waits", "more wait")
        desk.output.note(f"{wait} for others: {desk.program} requests --all")


def to_decide(desk: Desk) -> int:
    """How many requests wait for whoever is at the desk."""
    services, now = desk.services, desk.services.clock.now()
    waiting = services.inbox.requests(Wanted(standings=PENDING, at=now), limit=LOOKED_AT)
    return len(services.approving.to_decide(desk.actor, waiting, now))


def _tell(desk: Desk, form: Form, found: list[Request]) -> None:
    now = desk.services.clock.now()
    answers = desk.services.approving.standings(found[: form.enough], now)
    rows = [(_row(each, now), shapes.request(each, now)) for each in answers]
    tell(desk, form, "requests", COLUMNS, rows)


def _row(answer: Answer, now: datetime) -> tuple[object, ...]:
    """A request under `COLUMNS`."""
    request = answer.request
    return (
        str(request),
        request.user,
        where(request),
        request.logins,
        shapes.allows(request.allows),
        format_duration(request.duration),
        request.standing(now),
        request.reason,
        outcome(answer),
    )


def where(request: Request) -> list[str]:
    """The hosts, or the grant that is to last longer."""
    if request.extends is not None:
        return [f"longer G-{request.extends}"]
    return [str(each) for each in request.hosts]


def outcome(answer: Answer) -> str:
    """What a request waits for, or what came of it, in a few words."""
    request = answer.request
    if answer.waits_for:
        return f"waits for {' and '.join(answer.waits_for)}"
    if request.decided_by is None:
        return " ".join(answer.warnings)
    given = "" if request.grant is None else f"G-{request.grant} "
    comment = "" if request.comment is None else f": {request.comment}"
    return f"{given}by {request.decided_by}{comment}"


def tell_request(desk: Desk, number: int, json: bool) -> None:
    """One request with its whole story. Raises NotFound."""
    services = desk.services
    request = services.inbox.request(number)
    if request is None:
        raise NotFound(f"There is no request R-{number}: {desk.program} requests --all lists them.")
    now = services.clock.now()
    answer = services.approving.standing(request, now)
    described(desk, json, shapes.request(answer, now), _story(answer, now))
    if json or request.standing(now) is not Standing.PENDING:
        return
    for warning in answer.warnings:
        desk.output.note(f"{desk.program}: {warning}")
    if services.approving.may_decide(desk.actor, request, now):
        desk.output.note(f"Decide: {desk.program} approve {request}")
        desk.output.note(f"    or: {desk.program} deny {request} --reason WORDS")


def _story(answer: Answer, now: datetime) -> Iterator[tuple[str, object]]:
    request = answer.request
    yield "request", str(request)
    yield "state", request.standing(now)
    yield "user", request.user
    yield "asked by", "" if request.asked_by == request.user else request.asked_by
    yield "asked", request.asked_at
    yield "asked from", request.source
    yield "extends", "" if request.extends is None else f"G-{request.extends}"
    yield "hosts", tuple(map(str, request.hosts))
    yield "logins", request.logins
    yield "allows", shapes.allows(request.allows)
    yield "for", format_duration(request.duration)
    yield "from", request.starts_at
    yield "hours", request.window
    yield "sources", tuple(map(str, request.sources))
    yield "reason", request.reason
    yield "ticket", request.ticket
    yield "break-glass", request.emergency or None
    for approval in request.approvals:
        yield "approved", sentences.agreed(approval)
    yield "waits for", answer.waits_for
    yield "who may", answer.people
    yield "goes stale", request.stale_at if request.standing(now) is Standing.PENDING else None
    yield "decided", request.decided_at
    yield "decided by", request.decided_by
    yield "because", request.comment
    yield "grant", "" if request.grant is None else f"G-{request.grant}"
    yield "rule", request.rule
    yield "policy", request.policy


def tell_answer(desk: Desk, answer: Answer, now: datetime, *, json: bool) -> None:
    """What came of deciding: the grant's id or the request's, and what it waits for."""
    warn(desk, answer)
    if json:
        desk.output.document(shapes.request(answer, now))
    else:
        desk.output.line(str(answer.grant or answer.request))
        desk.output.note(sentences.about_answer(answer, now))


def warn(desk: Desk, answer: Answer) -> None:
    """What should be known of a grant before it is used."""
    if answer.grant is not None or answer.waits_for:
        for warning in answer.warnings:
            desk.output.note(f"{desk.program}: {warning}")


@click.command(
    cls=Verb,
    short_help="Agree to a request, or to less.",
    examples=[
        "[program] approve R-12",
        "[program] approve R-12 --for 1h --comment 'one hour will do'",
    ],
)
@click.argument("number", type=REQUEST, metavar="R-N")
@click.option("--for", "duration", type=DURATION, help="Shorter than was asked for.")
@click.option("--comment", type=WORDS, metavar="WORDS", help="What the requester should know.")
@as_json
@click.pass_obj
def approve(
    desk: Desk, *, number: int, duration: timedelta | None, comment: str | None, json: bool
) -> None:
    """Agree to a request: to what it asks for, or to a shorter time, never to more."""
    services = desk.services
    now = services.clock.now()
    answer = services.approving.approve(desk.actor, number, now, duration=duration, comment=comment)
    tell_answer(desk, answer, now, json=json)


@click.command(cls=Verb, examples=["[program] deny R-12 --reason 'not before the release'"])
@click.argument("number", type=REQUEST, metavar="R-N")
@click.option("--reason", type=WORDS, required=True, help="Why; the requester is told.")
@as_json
@click.pass_obj
def deny(desk: Desk, *, number: int, reason: str, json: bool) -> None:
    """Turn a request down."""
    services = desk.services
    now = services.clock.now()
    _tell_ended(desk, services.approving.deny(desk.actor, number, reason, now), now, json=json)


@click.command(cls=Verb, examples=["[program] cancel R-12"])
@click.argument("number", type=REQUEST, metavar="R-N")
@as_json
@click.pass_obj
def cancel(desk: Desk, *, number: int, json: bool) -> None:
    """Withdraw a request of yours."""
    services = desk.services
    now = services.clock.now()
    found = services.inbox.request(number)
    if found is None or desk.actor.name not in (found.user, found.asked_by):
        sentence = f"There is no request R-{number} of yours: {desk.program} status lists them."
        raise NotFound(sentence)
    _tell_ended(desk, services.approving.cancel(desk.actor, number, now), now, json=json)


def _tell_ended(desk: Desk, request: Request, now: datetime, *, json: bool) -> None:
    if json:
        desk.output.document(shapes.request(Answer(request), now))
    else:
        desk.output.note(sentences.over(request, request.standing(now)))
