"""Tidings: which event becomes which notice, and its words. Pure.

An event tells that something happened; what it happened to comes beside it (`Facts`), as it stands
when the notice is worded. Events that nobody has to be told of become none.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC
from typing import Final, TypeAlias

from bastion.denials import clock
from bastion.durations import format_duration
from bastion.events import AFTER, Event, What
from bastion.grants import Grant
from bastion.inventory import Role
from bastion.notices import PROGRAM, Audience, Group, Json, Notice, listed, moment, plain, quoted
from bastion.particulars import (
    Awaited,
    Fields,
    about_grant,
    about_request,
    decide_lines,
    everybody,
    grant_data,
    request_data,
    told,
    whom,
)
from bastion.requests import Request, Standing


@dataclass(frozen=True, slots=True)
class Facts:
    """What events are about, by number. What is not there can't be told of more closely."""

    requests: Mapping[int, Request] = field(default_factory=dict)
    grants: Mapping[int, Grant] = field(default_factory=dict)
    awaited: Mapping[int, Awaited] = field(default_factory=dict)


def of_event(event: Event, facts: Facts) -> Notice | None:
    """The notice that an event becomes, if anybody is to be told."""
    worded = _WORDS.get(event.happened.what)
    return None if worded is None else worded(event, facts)


# Asking


def _request_made(event: Event, facts: Facts) -> Notice | None:
    request = facts.requests.get(event.happened.request or 0)
    if request is None or (request.decision is not None and request.decided_at == request.asked_at):
        return None  # given as it was asked for: the grant's own notice tells of it
    awaited = facts.awaited.get(request.id, Awaited())
    pending = request.decision is None
    logins = listed(sorted(request.logins), 3)
    asks = f"asks for {listed(request.hosts, 3)} as {logins}"
    if request.extends is not None:
        asks = f"asks to extend G-{request.extends}"
    return _notice(
        event,
        facts,
        Group.REQUESTS,
        f"{request}: {request.user} {asks} for {format_duration(request.duration)}",
        (*about_request(request), *told(("waits for", listed(awaited.phrases)))),
        audience=Audience(frozenset(awaited.people)),
        lines=decide_lines(request) if pending else (),
    )


def _request_approved(event: Event, facts: Facts) -> Notice | None:
    """One yes of several. The last one is told by what came of it."""
    request, happened = facts.requests.get(event.happened.request or 0), event.happened
    if request is None or (
        request.decision is Standing.APPROVED and request.decided_by == happened.actor
    ):
        return None
    awaited = facts.awaited.get(request.id, Awaited())
    waits = told(("comment", quoted(happened.why)), ("waits for", listed(awaited.phrases)))
    return _notice(
        event,
        facts,
        Group.DECISIONS,
        f"{request}: {plain(happened.actor, 80)} agreed; it waits for others",
        (*about_request(request), *waits),
        audience=Audience(frozenset(awaited.people), requester=request.user),
        lines=decide_lines(request) if request.decision is None else (),
    )


def _request_decided(event: Event, facts: Facts) -> Notice | None:
    request, happened = facts.requests.get(event.happened.request or 0), event.happened
    if request is None:
        return None
    denied = happened.what is What.REQUEST_DENIED
    because = quoted(happened.why) if denied else ""
    took_part = frozenset((*request.approvers, happened.actor))
    awaited = facts.awaited.get(request.id, Awaited())
    return _notice(
        event,
        facts,
        Group.DECISIONS,
        f"{request} of {request.user} was {'denied' if denied else 'withdrawn'} by "
        f"{plain(happened.actor, 80)}",
        (*told(("because", because)), *about_request(request)),
        audience=Audience(took_part | frozenset(awaited.people), requester=request.user),
    )


# Grants


def _grant_given(event: Event, facts: Facts) -> Notice | None:
    grant = facts.grants.get(event.happened.grant or 0)
    if grant is None:
        return None
    reach = f"{listed(grant.hosts, 3)} as {listed(sorted(grant.logins), 3)}"
    if grant.emergency:
        title = f"BREAK-GLASS: {grant.user} took access to {reach} ({grant})"
        review = (f"{PROGRAM} review {grant}", f"{PROGRAM} revoke {grant} --reason WORDS")
        return _loud(event, facts, grant, title, review)
    if grant.override:
        title = (
            f"OVERRIDE: {plain(event.happened.actor, 80)} gave {grant.user} {grant}, past the rules"
        )
        return _loud(event, facts, grant, title, (f"{PROGRAM} revoke {grant} --reason WORDS",))
    return _notice(
        event,
        facts,
        Group.DECISIONS,
        f"{grant}: {grant.user} may reach {reach} until {clock(grant.ends_at)}",
        about_grant(grant),
        audience=whom(grant),
    )


def _loud(event: Event, facts: Facts, grant: Grant, title: str, lines: tuple[str, ...]) -> Notice:
    return _notice(
        event,
        facts,
        Group.EMERGENCIES,
        title,
        about_grant(grant),
        audience=everybody(grant.user),
        lines=lines,
        urgent=True,
    )


def _grant_changed(event: Event, facts: Facts) -> Notice | None:
    grant, happened = facts.grants.get(event.happened.grant or 0), event.happened
    if grant is None:
        return None
    group, became = {
        What.GRANT_EXTENDED: (Group.DECISIONS, f"now lasts until {clock(grant.ends_at)}"),
        What.GRANT_REVOKED: (Group.ENDS, "was revoked"),
        What.GRANT_REVIEWED: (Group.EMERGENCIES, "was reviewed"),
    }[happened.what]
    extended = happened.what is What.GRANT_EXTENDED
    by = told(("by", happened.actor), ("because", "" if extended else quoted(happened.why)))
    return _notice(
        event,
        facts,
        group,
        f"{grant} of {grant.user} {became}",
        (*by, *about_grant(grant)),
        audience=everybody() if group is Group.EMERGENCIES else whom(grant),
    )


# Sessions that wait for somebody who watches


def _session_waits(event: Event, facts: Facts) -> Notice | None:
    """At most one a minute for a grant: whoever comes sees the others in the list."""
    happened = event.happened
    grant = facts.grants.get(happened.grant or 0)
    session = f"S-{happened.session}"
    frozen = happened.what is What.SESSION_FROZEN
    title = f"{session} of {plain(happened.user, 80)} waits for somebody who watches"
    if frozen:
        title = f"Nobody watches {session} of {plain(happened.user, 80)} any more: it waits"
    notice = _notice(
        event,
        facts,
        Group.REQUESTS,
        title,
        (*_of_event(event), *told(("reason", "" if grant is None else quoted(grant.reason)))),
        audience=Audience(roles=_WATCHERS),
        lines=(f"{PROGRAM} watch {session}", f"{PROGRAM} sessions --live"),
    )
    minute = event.at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M")
    return replace(notice, key=f"G-{happened.grant} {happened.what.value} {minute}")


_WATCHERS: Final = frozenset({Role.AUDITOR, Role.ADMIN})


# Everything else is told from the event alone.

_Words: TypeAlias = tuple[Group, str]

_PLAIN: Final[Mapping[What, _Words]] = {
    What.CERTIFICATE_REVOKED: (Group.ENDS, "A certificate of {user} was revoked"),
    What.SESSION_KILLED: (Group.ENDS, "{session} was ended by {actor}"),
    What.RECORDING_FAILED: (Group.FAILURES, "RECORDING FAILED: {session} was cut"),
    What.RECORDING_CORRUPT: (Group.FAILURES, "THE RECORDING OF {session} IS CORRUPT: {why}"),
    What.RECORDING_REFUSED: (Group.FAILURES, "{session} IS NOT IN THE OBJECT STORE: {why}"),
    What.RECORDING_RECOVERED: (Group.FAILURES, "{session} was recovered: {why}"),
    What.RECORDING_RETURNED: (Group.FAILURES, "THERE IS ANOTHER VERSION OF {session}: {why}"),
    What.RULES_BROKEN: (Group.FAILURES, "The rules are broken: the ones before stay in force"),
    What.NOTICE_GIVEN_UP: (Group.FAILURES, "Messages were given up: nobody took them for days"),
    What.SIGNER_CHANGED: (Group.FAILURES, "The signer: {why}"),
    What.DISK_CHANGED: (Group.FAILURES, "The disk of the recordings: {why}"),
    What.STORE_CHANGED: (Group.FAILURES, "The object store of the recordings: {why}"),
    What.EVENTS_LOST: (Group.FAILURES, "EVENTS WERE LOST: the log has a gap"),
    What.RULES_CHANGED: (Group.ADMINISTRATION, "The rules were changed by {actor}"),
    What.USER_ADDED: (Group.ADMINISTRATION, "The account {user} was added by {actor}"),
    What.USER_CHANGED: (Group.ADMINISTRATION, "The account {user} was changed by {actor}"),
    What.USER_DISABLED: (Group.ADMINISTRATION, "The account {user} was disabled by {actor}"),
    What.USER_ENABLED: (Group.ADMINISTRATION, "The account {user} was enabled by {actor}"),
    What.KEY_ENROLLED: (Group.ADMINISTRATION, "A key was enrolled for {user} by {actor}"),
    What.KEY_REMOVED: (Group.ADMINISTRATION, "A key of {user} was removed by {actor}"),
    What.HOST_ADDED: (Group.ADMINISTRATION, "The host {host} was added by {actor}"),
    What.HOST_CHANGED: (Group.ADMINISTRATION, "The host {host} was changed by {actor}"),
    What.HOST_REMOVED: (Group.ADMINISTRATION, "The host {host} was removed by {actor}"),
    What.CA_ROTATED: (Group.ADMINISTRATION, "A CA was rotated by {actor}"),
    What.CA_RETIRED: (Group.ADMINISTRATION, "A CA was retired by {actor}"),
    What.CA_MOVED: (Group.ADMINISTRATION, "The CAs' keys were moved to a signer by {actor}"),
    What.HOLD_PLACED: (Group.ADMINISTRATION, "{held} was put on hold by {actor}"),
    What.HOLD_RELEASED: (Group.ADMINISTRATION, "{held} was released from a hold by {actor}"),
    What.RETENTION_CHANGED: (
        Group.ADMINISTRATION,
        "How long recordings are kept was changed by {actor}",
    ),
    What.CLOCK_TRUSTED: (Group.ADMINISTRATION, "The clock was taken for right by {actor}"),
    What.ACCESS_SHUT: (Group.ADMINISTRATION, "All access was taken back by {actor}: {why}"),
    What.BACKUP_BEGUN: (Group.ADMINISTRATION, "A backup was begun by {actor}"),
    What.HOME_RESTORED: (Group.ADMINISTRATION, "A home was restored from a backup by {actor}"),
    What.CLOCK_RESET: (Group.ADMINISTRATION, "The latest known time was set back by {actor}"),
}

_POWERS = frozenset({Role.APPROVER.value, Role.AUDITOR.value, Role.ADMIN.value})


def _plainly(event: Event, facts: Facts) -> Notice | None:
    happened = event.happened
    group, words = _PLAIN[happened.what]
    session = "a session" if happened.session is None else f"S-{happened.session}"
    title = words.format(
        user=plain(happened.user, 80),
        host=plain(happened.host, 120),
        actor=plain(happened.actor, 80),
        session=session,
        held=session if happened.grant is None else f"G-{happened.grant}",
        why=plain(happened.why, 120),
    )
    if happened.what in (What.USER_ADDED, What.USER_CHANGED):
        roles = happened.details.get("roles")
        powers = sorted(_POWERS & set(roles if isinstance(roles, list) else ()))
        title += f" ({', '.join(powers)})" if powers else ""
    return _notice(event, facts, group, title, _of_event(event), audience=everybody())


def _of_event(event: Event) -> Fields:
    """The columns that are set, and what stands in the details as single words or lists of them."""
    happened = event.happened
    details = {name: value for name, value in happened.details.items() if name != AFTER}
    numbers = (
        ("grant", "G", happened.grant),
        ("connection", "C", happened.connection),
        ("session", "S", happened.session),
    )
    return told(
        ("by", happened.actor),
        ("from", "" if happened.source == "local" else happened.source),
        ("account", happened.account or ""),
        ("user", happened.user or ""),
        ("host", happened.host or ""),
        ("login", happened.login or ""),
        *((name, f"{letter}-{number}") for name, letter, number in numbers if number is not None),
        ("why", quoted(happened.why)),
        *((name.replace("_", " "), _shown(value)) for name, value in details.items()),
    )


def _shown(value: object) -> str:
    if isinstance(value, list):
        return listed(quoted(str(each)) for each in value)
    if isinstance(value, dict):
        return listed(f"{key}={quoted(str(each))}" for key, each in value.items())
    return "" if value is None else quoted(str(value))


def _notice(
    event: Event,
    facts: Facts,
    group: Group,
    title: str,
    fields: Fields,
    *,
    audience: Audience,
    lines: tuple[str, ...] = (),
    urgent: bool = False,
) -> Notice:
    return Notice(
        key=f"E-{event.id}",
        type=event.happened.what.value,
        group=group,
        at=event.at,
        title=plain(title, 200),
        fields=fields,
        lines=lines,
        data=_data(event, facts, title),
        audience=audience,
        urgent=urgent,
    )


def _data(event: Event, facts: Facts, title: str) -> dict[str, Json]:
    happened = event.happened
    request = facts.requests.get(happened.request or 0)
    grant = facts.grants.get(happened.grant or 0)
    return {
        "title": plain(title, 200),
        "event": {
            "id": event.id,
            "hash": event.hash,
            "at": moment(event.at),
            "actor": happened.actor,
            "source": happened.source,
            "account": happened.account,
            "user": happened.user,
            "host": happened.host,
            "login": happened.login,
            "request": None if happened.request is None else f"R-{happened.request}",
            "grant": None if happened.grant is None else f"G-{happened.grant}",
            "connection": None if happened.connection is None else f"C-{happened.connection}",
            "session": None if happened.session is None else f"S-{happened.session}",
            "why": happened.why,
            "details": dict(happened.details),
        },
        "request": None if request is None else request_data(request),
        "grant": None if grant is None else grant_data(grant),
    }


_WORDS: Final[Mapping[What, Callable[[Event, Facts], Notice | None]]] = {
    What.REQUEST_MADE: _request_made,
    What.REQUEST_APPROVED: _request_approved,
    What.REQUEST_DENIED: _request_decided,
    What.REQUEST_CANCELLED: _request_decided,
    What.GRANT_GIVEN: _grant_given,
    What.GRANT_EXTENDED: _grant_changed,
    What.GRANT_REVOKED: _grant_changed,
    What.GRANT_REVIEWED: _grant_changed,
    What.SESSION_WAITING: _session_waits,
    What.SESSION_FROZEN: _session_waits,
    **dict.fromkeys(_PLAIN, _plainly),
}

TOLD: Final = frozenset(_WORDS)
"""The events that may become a notice."""
