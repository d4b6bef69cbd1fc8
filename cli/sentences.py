"""Sentences: what is said to people of requests and grants. Pure."""

from collections.abc import Sequence
from datetime import datetime

from bastion.approving import Answer
from bastion.durations import format_duration
from bastion.grants import Grant
from bastion.inventory import PublicKey
from bastion.requests import Approval, Request, Standing
from cli import shapes
from cli.output import shown
from cli.trust import key_file


def about_grant(grant: Grant, now: datetime) -> str:
    """Who may do what until when: `alice may reach web-1 as deploy until … UTC: shell.`"""
    begins = f"from {shown(grant.starts_at)} " if grant.starts_at > now else ""
    window = "" if grant.window is None else f", {grant.window}"
    return (
        f"{grant.user} may reach {', '.join(map(str, grant.hosts))} as "
        f"{', '.join(sorted(grant.logins))} {begins}until {shown(grant.ends_at)} UTC{window}: "
        f"{shapes.gives(grant)}."
    )


def about_answer(answer: Answer, now: datetime) -> str:
    """Where a request stands: what it waits for, or what came of it."""
    request, grant = answer.request, answer.grant
    standing = request.standing(now)
    if standing is Standing.PENDING:
        return waiting(answer)
    if standing is not Standing.APPROVED or grant is None:
        return over(request, standing)
    if request.extends is not None:
        return f"{grant} ends at {shown(grant.ends_at)} UTC now."
    return f"{request} is granted as {grant}: {about_grant(grant, now)}"


def waiting(answer: Answer) -> str:
    """`R-12 waits for one of @leads: bob or carol.`"""
    if not answer.waits_for:
        return " ".join(answer.warnings) or f"{answer.request} waits."
    waits = f"{answer.request} waits for {' and '.join(answer.waits_for)}"
    if not answer.people:
        return f"{waits}, but nobody can approve it as things are: tell whoever runs the bastion."
    return f"{waits}: {either(answer.people)}."


def over(request: Request, standing: Standing) -> str:
    """What became of a request that came to nothing: `R-12 was denied by bob: too long.`"""
    if standing is Standing.STALE:
        return f"{request} has gone stale, as nobody decided in time: ask anew."
    if standing is Standing.CANCELLED:
        return f"{request} was withdrawn by {request.decided_by}."
    comment = "" if request.comment is None else f": {request.comment}"
    return f"{request} was {standing} by {request.decided_by}{comment}."


def agreed(approval: Approval) -> str:
    """`bob has agreed for 1h: one hour will do`"""
    less = "" if approval.duration is None else f" for {format_duration(approval.duration)}"
    comment = "" if approval.comment is None else f": {approval.comment}"
    return f"{approval.by} has agreed{less}{comment}"


def fetching(key: PublicKey) -> str:
    """What fetches a certificate for `key` to where OpenSSH looks for it."""
    return f"ssh bastion cert > {key_file(key)}-cert.pub"


def either(names: Sequence[str]) -> str:
    """`bob`, `bob or carol`, `bob, carol or dave`."""
    return f"{', '.join(names[:-1])} or {names[-1]}" if len(names) > 1 else "".join(names)
