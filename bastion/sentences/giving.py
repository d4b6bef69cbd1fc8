"""Sentences of access: what is asked for and given, certificates, and the doors. Pure."""

from collections.abc import Mapping
from typing import Final

from bastion.events import Happened, What, named
from bastion.sentences.parts import (
    Words,
    access,
    detail,
    duration,
    figure,
    moment,
    of,
    origin,
    place,
    whose,
)
from recorder.nouns import counted

# Asking and giving


def _request_made(happened: Happened) -> str:
    request = named("R", happened.request) or "a request"
    whom = f" for {whose(happened)}" if whose(happened) else ""
    asks = f"asked for {access(happened)}{whom}"
    if happened.grant is not None:
        asks = f"asked to extend G-{happened.grant}{of(happened)}"
    loud = " as an emergency" if happened.details.get("emergency") else ""
    return f"{happened.actor} {asks}{duration(happened, ' for ')}{loud}, {request}"


def _request_refused(happened: Happened) -> str:
    if happened.request is not None:
        return f"{happened.actor} may not decide R-{happened.request}"
    if happened.grant is not None:
        return f"{happened.actor} asked in vain to extend G-{happened.grant}{of(happened)}"
    return f"{happened.actor} asked in vain for {access(happened)}"


def _decided(verb: str) -> Words:
    def said(happened: Happened) -> str:
        request = named("R", happened.request) or "a request"
        return f"{happened.actor} {verb} {request}{of(happened)}{duration(happened, ' for ')}"

    return said


def _grant_given(happened: Happened) -> str:
    grant = named("G", happened.grant) or "a grant"
    until = moment(happened, "ends_at", " until ")
    if happened.details.get("emergency"):
        return f"{happened.actor} broke the glass: {grant}, {access(happened)}{until}"
    past = ", past the rules" if happened.details.get("override") else ""
    whom = happened.user or "somebody"
    return f"{happened.actor} gave {whom} {grant}, {access(happened)}{until}{past}"


def _grant_extended(happened: Happened) -> str:
    until = moment(happened, "ends_at", " until ")
    return f"{happened.actor} extended G-{happened.grant}{of(happened)}{until}"


def _grant(verb: str) -> Words:
    return lambda happened: f"{happened.actor} {verb} G-{happened.grant}{of(happened)}"


# Certificates, connections, doors


def _certificate_signed(happened: Happened) -> str:
    serial = detail(happened, "serial", " ")
    match happened.details.get("kind"):
        case "target":
            return (
                f"certificate{serial} was signed to let {happened.user} log in at {place(happened)}"
            )
        case "check":
            return f"{happened.actor} had a certificate signed to try {place(happened)}"
        case _:
            until = moment(happened, "valid_before", " until ")
            grants = detail(happened, "grants", " for ")
            return f"certificate{serial} was signed for {happened.user}{grants}{until}"


def _certificate_revoked(happened: Happened) -> str:
    return f"{happened.actor} revoked certificate{detail(happened, 'serial', ' ')}{of(happened)}"


def _signin_failed(happened: Happened) -> str:
    times = figure(happened, "times") or 1
    return f"{counted(times, 'sign-in')} from {happened.source} failed"


def _limit_reached(happened: Happened) -> str:
    times = figure(happened, "times") or 1
    at = "" if happened.host is None else f" at {happened.host}"
    often = f"{times} times" if times > 1 else "once"
    return f"{happened.actor}{origin(happened)}{at} met a limit {often}"


def _connection_opened(happened: Happened) -> str:
    return f"{happened.actor} was let through to {happened.host}{origin(happened)}"


def _connection_refused(happened: Happened) -> str:
    return f"{happened.actor} was not let through to {happened.host}{origin(happened)}"


def _connection_closed(happened: Happened) -> str:
    return f"the connection of {happened.actor} to {place(happened)} ended"


def _door_refused(happened: Happened) -> str:
    return f"{happened.actor} was refused {detail(happened, 'what', '', ' ')}at {place(happened)}"


SAID: Final[Mapping[What, Words]] = {
    What.REQUEST_MADE: _request_made,
    What.REQUEST_REFUSED: _request_refused,
    What.REQUEST_CANCELLED: _decided("withdrew"),
    What.REQUEST_APPROVED: _decided("approved"),
    What.REQUEST_DENIED: _decided("denied"),
    What.GRANT_GIVEN: _grant_given,
    What.GRANT_EXTENDED: _grant_extended,
    What.GRANT_REVOKED: _grant("revoked"),
    What.GRANT_REVIEWED: _grant("reviewed"),
    What.CERTIFICATE_SIGNED: _certificate_signed,
    What.CERTIFICATE_REVOKED: _certificate_revoked,
    What.SIGNIN_FAILED: _signin_failed,
    What.LIMIT_REACHED: _limit_reached,
    What.CONNECTION_OPENED: _connection_opened,
    What.CONNECTION_REFUSED: _connection_refused,
    What.CONNECTION_CLOSED: _connection_closed,
    What.DOOR_REFUSED: _door_refused,
}
"""What says each of these kinds."""
