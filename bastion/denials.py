"""Why a door stays shut, in one calm sentence for the person, and one word for the log. Pure.

An answer says what there is to be had instead: a time, a login, what is granted. Of a host that
somebody may not reach it never says whether there is such a host.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum

from bastion.grants import Certificate, Grant, State


class Reason(StrEnum):
    """Why a door stayed shut, for the log."""

    USER_CLOSED = "user-closed"
    UNKNOWN_HOST = "unknown-host"
    NO_GRANT = "no-grant"
    NOT_BEGUN = "not-begun"
    EXPIRED = "expired"
    REVOKED = "revoked"
    SOURCE = "source"
    HARDWARE = "hardware"
    NO_CERTIFICATE = "no-certificate"
    LOGIN = "login"
    MODE = "mode"
    TERMINAL = "terminal"
    COMMAND = "command"
    SHELL_TYPE = "shell-type"
    FORWARD = "forward"
    FILES = "files"
    CLOCK = "clock"
    CHANGED = "changed"
    CLOSING = "closing"
    DISK = "disk"
    UNAVAILABLE = "unavailable"


@dataclass(frozen=True, slots=True)
class Denial:
    """No. `sentence` is for the person, without our `bastion:` mark; `reason` is for the log."""

    reason: Reason
    sentence: str


def allowed(grants: Sequence[Grant]) -> str:
    """What may be done by these, three of them by name."""
    lines = sorted({str(template) for g in grants for template in g.allows.commands})
    files = sorted({str(f) for g in grants for f in g.allows.sftp})
    lines += [f"sftp {text}" for text in files]
    more = f" and {len(lines) - 3} more" if len(lines) > 3 else ""
    return "Granted: " + "; ".join(lines[:3]) + more


def nothing_there(reason: Reason, asked: str) -> Denial:
    """Unknown and forbidden hosts sound alike."""
    return Denial(reason, f"you have no access to {asked}; see what you have: ssh bastion")


def over(grants: Sequence[Grant], now: datetime) -> Denial:
    """The most useful of several ends: one to come, else the latest one past."""
    coming = [g for g in grants if g.revoked_at is None and g.state(now) is State.SCHEDULED]
    if coming:
        return Denial(Reason.NOT_BEGUN, _begins(coming, now))
    grant = max(grants, key=lambda g: g.revoked_at or g.ends_at)
    if grant.revoked_at is not None:
        return Denial(Reason.REVOKED, f"{grant} was revoked at {clock(grant.revoked_at)}.")
    ended = f"ended at {clock(grant.ends_at)}"
    if now < grant.ends_at:
        ended = f"has no hours left ({grant.window})"
    return Denial(Reason.EXPIRED, f"{grant} {ended}; ask for a new one.")


def _begins(coming: Iterable[Grant], now: datetime) -> str:
    """When the first of them can be used, with its days and hours."""
    opens = {grant: grant.opens_at(now) or grant.ends_at for grant in coming}
    grant = min(opens, key=opens.__getitem__)
    hours = "" if grant.window is None else f" ({grant.window})"
    return f"{grant} begins at {clock(opens[grant])}{hours}."


def no_certificate(grant: Grant, certificates: Sequence[Certificate], now: datetime) -> Denial:
    """Whether it ended, was revoked, or never was."""
    had = [c for c in certificates if grant.id in c.grants]
    what = f"no certificate of yours counts for {grant}"
    if had:
        last = max(had, key=lambda c: c.revoked_at or c.valid_before)
        if last.revoked_at is not None and last.revoked_at <= now:
            what = f"your certificate for {grant} was revoked"
        elif last.valid_before <= now:
            what = f"your certificate for {grant} ended at {clock(last.valid_before)}"
    fetch = "ssh bastion cert > ~/.ssh/id_ed25519-cert.pub"
    return Denial(Reason.NO_CERTIFICATE, f"{what}; fetch one: {fetch}")


def clock(moment: datetime | None) -> str:
    """A moment as people read it: `2026-11-23 18:00 UTC`."""
    return "a time unknown" if moment is None else f"{moment.astimezone(UTC):%Y-%m-%d %H:%M UTC}"
