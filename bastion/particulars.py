"""Particulars: what a request and a grant are, told to people in fields and to programs as JSON.

Pure. The names for programs are those of the command line's JSON.
"""

from dataclasses import dataclass
from typing import TypeAlias

from bastion.denials import clock
from bastion.durations import format_duration
from bastion.grants import Allows, Grant
from bastion.inventory import Role
from bastion.notices import PROGRAM, Audience, Json, listed, moment, plain, quoted
from bastion.requests import Request

Fields: TypeAlias = tuple[tuple[str, str], ...]

_COMMANDS = 5
"""So many commands are told; how many more there are is said first."""


@dataclass(frozen=True, slots=True)
class Awaited:
    """What a request waits for, a phrase each, and the names of those who may agree to it."""

    phrases: tuple[str, ...] = ()
    people: tuple[str, ...] = ()


def told(*pairs: tuple[str, object]) -> Fields:
    """The pairs that say something, made `plain`."""
    worded = ((name, plain(value)) for name, value in pairs)
    return tuple((name, value) for name, value in worded if value)


def about_request(request: Request) -> Fields:
    """The whole of a request, as people read it."""
    starts = "when it is approved" if request.starts_at is None else clock(request.starts_at)
    return told(
        ("who", request.user),
        ("asked by", "" if request.asked_by == request.user else request.asked_by),
        ("extends", "" if request.extends is None else f"G-{request.extends}"),
        ("where", listed(request.hosts)),
        ("as", listed(sorted(request.logins))),
        ("what", what(request.allows)),
        ("how long", format_duration(request.duration)),
        ("from", "" if request.extends is not None else starts),
        ("hours", request.window or ""),
        ("only from", listed(request.sources)),
        ("why", quoted(request.reason)),
        ("ticket", quoted(request.ticket)),
        ("asked from", request.source),
        ("agreed", listed(request.approvers)),
    )


def about_grant(grant: Grant) -> Fields:
    """The whole of a grant, as people read it."""
    return told(
        ("who", grant.user),
        ("where", listed(grant.hosts)),
        ("as", listed(sorted(grant.logins))),
        ("what", what(grant.allows)),
        ("from", clock(grant.starts_at)),
        ("until", clock(grant.ends_at)),
        ("hours", grant.window or ""),
        ("only from", listed(grant.sources)),
        ("watched", "only while somebody watches" if grant.watch else ""),
        ("why", quoted(grant.reason)),
        ("ticket", quoted(grant.ticket)),
        ("request", "" if grant.request is None else f"R-{grant.request}"),
        ("given by", grant.granted_by),
        ("agreed", listed(grant.approved_by)),
        ("rule", quoted(grant.rule)),
    )


def what(allows: Allows) -> str:
    """What may be run. Commands are told whole, as far as there is room."""
    parts = ["a shell"] if allows.shell else [quoted(str(each)) for each in allows.commands]
    parts += [quoted(f"sftp {each}") for each in allows.sftp]
    parts += [quoted(f"forward {each}") for each in allows.forwards]
    shown = "; ".join(parts[:_COMMANDS])
    more = len(parts) - _COMMANDS
    return f"{more} more than: {shown}" if more > 0 else shown


def request_data(request: Request) -> dict[str, Json]:
    """A request for programs."""
    return {
        "id": str(request),
        "user": request.user,
        "asked_by": request.asked_by,
        "hosts": [str(each) for each in request.hosts],
        "logins": sorted(request.logins),
        "allows": _allows(request.allows),
        "seconds": int(request.duration.total_seconds()),
        "starts_at": None if request.starts_at is None else moment(request.starts_at),
        "window": None if request.window is None else str(request.window),
        "sources": [str(each) for each in request.sources],
        "reason": request.reason,
        "ticket": request.ticket,
        "extends": None if request.extends is None else f"G-{request.extends}",
        "emergency": request.emergency,
        "asked_at": moment(request.asked_at),
        "stale_at": moment(request.stale_at),
        "approved_by": list(request.approvers),
        "decision": None if request.decision is None else request.decision.value,
        "decided_by": request.decided_by,
        "grant": None if request.grant is None else f"G-{request.grant}",
    }


def grant_data(grant: Grant) -> dict[str, Json]:
    """A grant for programs."""
    return {
        "id": str(grant),
        "user": grant.user,
        "hosts": [str(each) for each in grant.hosts],
        "logins": sorted(grant.logins),
        "allows": _allows(grant.allows),
        "starts_at": moment(grant.starts_at),
        "expires_at": moment(grant.ends_at),
        "window": None if grant.window is None else str(grant.window),
        "sources": [str(each) for each in grant.sources],
        "reason": grant.reason,
        "ticket": grant.ticket,
        "request": None if grant.request is None else f"R-{grant.request}",
        "granted_by": grant.granted_by,
        "approved_by": list(grant.approved_by),
        "override": grant.override,
        "emergency": grant.emergency,
        "revoked_by": grant.revoked_by,
        "revoke_reason": grant.revoke_reason,
        "reviewed_by": grant.reviewed_by,
    }


def whom(grant: Grant) -> Audience:
    """Whom the end of a grant is told to: whose it is, and who gave it."""
    return Audience(frozenset((*grant.approved_by, grant.granted_by)), requester=grant.user)


def everybody(requester: str | None = None) -> Audience:
    """Whoever looks after the bastion, in any role."""
    return Audience(frozenset(), frozenset({Role.APPROVER, Role.AUDITOR, Role.ADMIN}), requester)


def decide_lines(request: Request) -> tuple[str, ...]:
    """What approves and what denies it."""
    return (f"{PROGRAM} approve {request}", f"{PROGRAM} deny {request} --reason WORDS")


def _allows(allows: Allows) -> dict[str, Json]:
    return {
        "shell": allows.shell,
        "commands": [str(each) for each in allows.commands],
        "sftp": [str(each) for each in allows.sftp],
        "forwards": [str(each) for each in allows.forwards],
    }
