"""Sentences: what happened, in one line of English. Pure.

Every kind of event has one, whatever it carries: what is not known of it is left out. What
strangers have put into an event comes out printable and short enough for a line.
"""

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Final, TypeAlias

from bastion.durations import format_duration
from bastion.events import Details, Event, Happened, What, named

LONGEST: Final = 300
"""Characters of what somebody said: a reason, a command line."""

FEW: Final = 3
"""So many names of a list are said."""

Words: TypeAlias = Callable[[Happened], str]


def sentence(event: Event | Happened) -> str:
    """What happened: who, what, about whom, by which request, grant, session, and why."""
    happened = event.happened if isinstance(event, Event) else event
    said = _SAID[happened.what](happened)
    ids = [each for each in _ids(happened) if each not in said.replace(",", " ").split()]
    behind = f" ({' '.join(ids)})" if ids else ""
    why = _why(happened)
    return printable(f"{said}{behind}{f': {why}' if why else ''}")


def printable(text: str) -> str:
    """`text` on one line, with what a terminal would act on as `\\x1b` escapes."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else _escaped(c) for c in text)


def _escaped(character: str) -> str:
    return character.encode("unicode_escape", "backslashreplace").decode("ascii")


def _ids(happened: Happened) -> list[str]:
    found = (
        named("R", happened.request),
        named("G", happened.grant),
        named("C", happened.connection),
        named("S", happened.session),
    )
    return [each for each in found if each is not None]


_SAY_NOT_WHY: Final = frozenset({What.SESSION_ENDED, What.RECORDING_FAILED})
"""Their reason stands in the sentence already."""


def _why(happened: Happened) -> str:
    if not happened.why or happened.what in _SAY_NOT_WHY:
        return ""
    return short(happened.why)


def short(text: str, limit: int = LONGEST) -> str:
    """The beginning of a text that is too long, with `…`."""
    return text if len(text) <= limit else f"{text[: limit - 1]}…"


# What the details say


def _texts(happened: Happened, name: str) -> str:
    """A few names of a list, and how many more there are."""
    value = happened.details.get(name)
    if isinstance(value, str) or not isinstance(value, Sequence):
        return "" if value is None else short(str(value))
    shown, more = value[:FEW], len(value) - FEW
    listed = ", ".join(short(str(each)) for each in shown)
    return f"{listed} and {more} more" if more > 0 else listed


def _text(happened: Happened, name: str, before: str = "", behind: str = "") -> str:
    """A detail between two texts; nothing where there is none."""
    found = _texts(happened, name)
    return f"{before}{found}{behind}" if found else ""


def _number(happened: Happened, name: str) -> int:
    value = happened.details.get(name)
    return value if isinstance(value, int) else 0


def _moment(happened: Happened, name: str, before: str) -> str:
    """A time among the details, to the minute."""
    try:
        at = datetime.fromisoformat(str(happened.details.get(name)))
    except ValueError:
        return ""
    zoned = at.replace(tzinfo=UTC) if at.tzinfo is None else at.astimezone(UTC)
    return f"{before}{zoned:%Y-%m-%d %H:%M} UTC"


def _duration(happened: Happened, before: str) -> str:
    seconds = _number(happened, "seconds")
    return f"{before}{format_duration(timedelta(seconds=seconds))}" if seconds > 0 else ""


def _allowed(details: Mapping[str, Details]) -> str:
    parts = ["a shell"] if details.get("shell") else _listed(details, "commands", "")
    parts += _listed(details, "sftp", "sftp ")
    parts += _listed(details, "forwards", "forward ")
    return short("; ".join(parts[:FEW])) or "access"


def _listed(details: Mapping[str, Details], key: str, before: str) -> list[str]:
    things = details.get(key)
    if not isinstance(things, Sequence) or isinstance(things, str):
        return []
    return [f"{before}{each}" for each in things]


def _access(happened: Happened) -> str:
    """`a shell on web-1 as deploy`."""
    where = _text(happened, "hosts", " on ")
    return f"{_allowed(happened.details)}{where}{_text(happened, 'logins', ' as ')}"


def _from(happened: Happened) -> str:
    return "" if happened.source == "local" else f" from {happened.source}"


def _at(happened: Happened) -> str:
    """`web-1 as deploy`."""
    host = happened.host or "a host"
    return f"{host} as {happened.login}" if happened.login else host


def _whose(happened: Happened) -> str:
    """Whom it is about, where that is another than who did it."""
    return happened.user if happened.user and happened.user != happened.actor else ""


def _of(happened: Happened) -> str:
    return f" of {_whose(happened)}" if _whose(happened) else ""


# Asking and giving


def _request_made(happened: Happened) -> str:
    request = named("R", happened.request) or "a request"
    whom = f" for {_whose(happened)}" if _whose(happened) else ""
    asks = f"asked for {_access(happened)}{whom}"
    if happened.grant is not None:
        asks = f"asked to extend G-{happened.grant}{_of(happened)}"
    loud = " as an emergency" if happened.details.get("emergency") else ""
    return f"{happened.actor} {asks}{_duration(happened, ' for ')}{loud}, {request}"


def _request_refused(happened: Happened) -> str:
    if happened.request is not None:
        return f"{happened.actor} may not decide R-{happened.request}"
    if happened.grant is not None:
        return f"{happened.actor} asked in vain to extend G-{happened.grant}{_of(happened)}"
    return f"{happened.actor} asked in vain for {_access(happened)}"


def _decided(verb: str) -> Words:
    def said(happened: Happened) -> str:
        request = named("R", happened.request) or "a request"
        return f"{happened.actor} {verb} {request}{_of(happened)}{_duration(happened, ' for ')}"

    return said


def _grant_given(happened: Happened) -> str:
    grant = named("G", happened.grant) or "a grant"
    until = _moment(happened, "ends_at", " until ")
    if happened.details.get("emergency"):
        return f"{happened.actor} broke the glass: {grant}, {_access(happened)}{until}"
    past = ", past the rules" if happened.details.get("override") else ""
    whom = happened.user or "somebody"
    return f"{happened.actor} gave {whom} {grant}, {_access(happened)}{until}{past}"


def _grant_extended(happened: Happened) -> str:
    until = _moment(happened, "ends_at", " until ")
    return f"{happened.actor} extended G-{happened.grant}{_of(happened)}{until}"


def _grant(verb: str) -> Words:
    return lambda happened: f"{happened.actor} {verb} G-{happened.grant}{_of(happened)}"


# Certificates, connections, doors


def _certificate_signed(happened: Happened) -> str:
    serial = _text(happened, "serial", " ")
    match happened.details.get("kind"):
        case "target":
            return (
                f"certificate{serial} was signed to let {happened.user} log in at {_at(happened)}"
            )
        case "check":
            return f"{happened.actor} had a certificate signed to try {_at(happened)}"
        case _:
            until = _moment(happened, "valid_before", " until ")
            grants = _text(happened, "grants", " for ")
            return f"certificate{serial} was signed for {happened.user}{grants}{until}"


def _certificate_revoked(happened: Happened) -> str:
    return f"{happened.actor} revoked certificate{_text(happened, 'serial', ' ')}{_of(happened)}"


def _signin_failed(happened: Happened) -> str:
    times = _number(happened, "times") or 1
    return f"{times} sign-in{'s' if times > 1 else ''} from {happened.source} failed"


def _limit_reached(happened: Happened) -> str:
    times = _number(happened, "times") or 1
    at = "" if happened.host is None else f" at {happened.host}"
    often = f"{times} times" if times > 1 else "once"
    return f"{happened.actor}{_from(happened)}{at} met a limit {often}"


def _connection_opened(happened: Happened) -> str:
    return f"{happened.actor} was let through to {happened.host}{_from(happened)}"


def _connection_refused(happened: Happened) -> str:
    return f"{happened.actor} was not let through to {happened.host}{_from(happened)}"


def _connection_closed(happened: Happened) -> str:
    return f"the connection of {happened.actor} to {_at(happened)} ended"


def _door_refused(happened: Happened) -> str:
    return f"{happened.actor} was refused {_text(happened, 'what', '', ' ')}at {_at(happened)}"


# Sessions and recordings


def _ran(happened: Happened) -> str:
    kind = _texts(happened, "kind") or "session"
    return f"{kind}{_text(happened, 'command', ' of ')}"


def _session_started(happened: Happened) -> str:
    return f"{happened.actor} began S-{happened.session} at {_at(happened)}: {_ran(happened)}"


def _session_ended(happened: Happened) -> str:
    status = happened.details.get("exit_status")
    signal = _text(happened, "exit_signal", ", signal ")
    how = happened.why or "closed"
    exited = f", exit status {status}" if isinstance(status, int) else signal
    return f"S-{happened.session} of {happened.actor} at {_at(happened)} ended: {how}{exited}"


def _session_killed(happened: Happened) -> str:
    return f"{happened.actor} ended S-{happened.session}{_of(happened)}"


def _waiting(happened: Happened) -> str:
    whose = f"S-{happened.session} of {happened.actor} at {_at(happened)}"
    return f"{whose} waits for somebody who watches"


def _frozen(happened: Happened) -> str:
    whose = f"S-{happened.session} of {happened.actor} at {_at(happened)}"
    return f"nobody watches {whose} any more, so it waits"


def _resumed(happened: Happened) -> str:
    whose = f"S-{happened.session} of {happened.actor} at {_at(happened)}"
    by = _text(happened, "watchers", ": watched by ")
    return f"{whose} goes on{_duration(happened, ' after ')}{by}"


def _watch_ended(happened: Happened) -> str:
    lasted = _duration(happened, ", after ")
    return f"{happened.actor} watches S-{happened.session} no more{lasted}"


def _recording_sealed(happened: Happened) -> str:
    number = _number(happened, "manifest")
    return f"the recording of S-{happened.session}{_of(happened)} was sealed: manifest {number}"


def _let_go(happened: Happened) -> str:
    rule = _text(happened, "rule", " (", ")")
    whose = f" of {happened.user}" if happened.user else ""
    return f"{happened.actor} let the recording of S-{happened.session}{whose} go{rule}"


def _held(happened: Happened) -> str:
    return named("S", happened.session) or named("G", happened.grant) or "something"


def _hold_placed(happened: Happened) -> str:
    return f"{happened.actor} put {_held(happened)}{_of(happened)} on hold"


def _hold_released(happened: Happened) -> str:
    whose = _text(happened, "placed_by", " that ", " had put")
    return f"{happened.actor} released {_held(happened)}{_of(happened)} from the hold{whose}"


def _retention_changed(happened: Happened) -> str:
    rules = _text(happened, "rules", ": ")
    return f"{happened.actor} changed how long recordings are kept{rules}"


def _looked_at(happened: Happened) -> str:
    how = _text(happened, "how", " (", ")")
    return f"{happened.actor} looked at S-{happened.session}{_of(happened)}{how}"


def _searched(happened: Happened) -> str:
    count = _number(happened, "hits")
    text = _text(happened, "text", " for ")
    return f"{happened.actor} searched recordings{text}: {count} line{'' if count == 1 else 's'}"


def _evidence(verb: str) -> Words:
    def said(happened: Happened) -> str:
        about = named("S", happened.session) or named("G", happened.grant) or "a grant"
        sums = _text(happened, "sha256", ", SHA256SUMS ")
        return f"{happened.actor} {verb} the evidence of {about}{_of(happened)}{sums}"

    return said


def _recording_failed(happened: Happened) -> str:
    where = f"{happened.user or happened.actor} at {_at(happened)}"
    return f"recording S-{happened.session} of {where} failed, and so it ended"


def _recording_corrupt(happened: Happened) -> str:
    return f"the recording of S-{happened.session}{_of(happened)} is not what was sealed"


def _recording_refused(happened: Happened) -> str:
    return f"the recording of S-{happened.session}{_of(happened)} can't go into the object store"


def _recording_recovered(happened: Happened) -> str:
    size = _number(happened, "bytes")
    return f"the recording of S-{happened.session}{_of(happened)} was put together, {size} bytes"


def _recording_returned(happened: Happened) -> str:
    return f"there is another version of the recording of S-{happened.session}{_of(happened)}"


# Rules, people, hosts, keys


def _rules_changed(happened: Happened) -> str:
    return f"{happened.actor} put rules in force{_version(happened, 'version', ': version ')}"


def _version(happened: Happened, name: str, before: str) -> str:
    found = _texts(happened, name)
    return f"{before}{found[:12]}" if found else ""


def _rules_broken(_: Happened) -> str:
    return "policy.toml is broken, and the rules stay as they were"


def _user(verb: str) -> Words:
    def said(happened: Happened) -> str:
        roles = _text(happened, "roles", " (", ")")
        shown = roles if happened.what in (What.USER_ADDED, What.USER_CHANGED) else ""
        return f"{happened.actor} {verb} the user {happened.user}{shown}"

    return said


def _key_enrolled(happened: Happened) -> str:
    return f"{happened.actor} enrolled a key for {happened.user}{_text(happened, 'key', ': ')}"


def _key_removed(happened: Happened) -> str:
    key = _text(happened, "key", ": ")
    return f"{happened.actor} took a key away from {happened.user}{key}"


def _host(verb: str) -> Words:
    def said(happened: Happened) -> str:
        address = _text(happened, "address", " (", ")")
        return f"{happened.actor} {verb} the host {happened.host}{address}"

    return said


def _host_moved(happened: Happened) -> str:
    return f"{happened.host} trusts another target CA{_text(happened, 'ca', ': ')}"


def _ca(verb: str) -> Words:
    def said(happened: Happened) -> str:
        which = _texts(happened, "ca") or "a CA"
        return f"{happened.actor} {verb} {which}{_text(happened, 'key', ': ')}"

    return said


def _krl_written(happened: Happened) -> str:
    count = _number(happened, "certificates")
    return f"the revocation list was written{_text(happened, 'file', ' to ')}, {count} certificates"


# The service


def _service(verb: str) -> Words:
    return lambda _: f"the bastion {verb}"


def _shut(happened: Happened) -> str:
    return f"{happened.actor} took back all access"


def _backup_begun(happened: Happened) -> str:
    keys = "" if happened.details.get("keys") is True else "out"
    all_of_it = ", with all recordings" if happened.details.get("recordings") is True else ""
    return f"{happened.actor} began a backup with{keys} the keys{all_of_it}"


def _restored(happened: Happened) -> str:
    made = _moment(happened, "made_at", ", made ")
    kept = " with the access of then" if happened.details.get("keep_access") is True else ""
    return f"{happened.actor} restored this home from a backup{made}{kept}"


def _clock_reset(happened: Happened) -> str:
    return f"{happened.actor} took the clock for right, though it was later before"


def _clock_trusted(happened: Happened) -> str:
    since, until = _moment(happened, "since", " after "), _moment(happened, "until", " until ")
    return f"{happened.actor} took the clock for right, though nothing was kept{since}{until}"


def _disk_changed(happened: Happened) -> str:
    free, behind = _number(happened, "free"), _number(happened, "behind")
    slow = f" and is {behind} s behind" if behind > 1 else ""
    return f"the disk of the recordings has {free // 1_000_000} MB left{slow}"


def _store_changed(happened: Happened) -> str:
    waiting = _number(happened, "waiting")
    said = "does not answer" if happened.details.get("away") else "answers"
    return f"the object store of the recordings {said}, {waiting} are not in it yet"


def _signer_changed(happened: Happened) -> str:
    return f"the signer: {happened.why or 'something changed'}"


def _given_up(happened: Happened) -> str:
    count = _number(happened, "count") or 1
    several = f"{count} messages" if count > 1 else "a message"
    return f"{several} could not be delivered{_text(happened, 'channel', ' by ')}"


def _events_lost(happened: Happened) -> str:
    count = _number(happened, "count")
    began = _moment(happened, "first", " since ")
    return f"{count} events could not be kept{began}; the service's log has them"


def _unreadable(_: Happened) -> str:
    return "this event can't be read: bastion-admin audit verify says more"


_SAID: Mapping[What, Words] = {
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
    What.SESSION_STARTED: _session_started,
    What.SESSION_ENDED: _session_ended,
    What.SESSION_KILLED: _session_killed,
    What.SESSION_WAITING: _waiting,
    What.SESSION_FROZEN: _frozen,
    What.SESSION_RESUMED: _resumed,
    What.WATCH_ENDED: _watch_ended,
    What.RECORDING_LOOKED_AT: _looked_at,
    What.RECORDING_SEARCHED: _searched,
    What.RECORDING_FAILED: _recording_failed,
    What.RECORDING_SEALED: _recording_sealed,
    What.RECORDING_LET_GO: _let_go,
    What.HOLD_PLACED: _hold_placed,
    What.HOLD_RELEASED: _hold_released,
    What.RETENTION_CHANGED: _retention_changed,
    What.EVIDENCE_ASKED: _evidence("asked for"),
    What.EVIDENCE_PACKED: _evidence("packed"),
    What.RECORDING_CORRUPT: _recording_corrupt,
    What.RECORDING_REFUSED: _recording_refused,
    What.RECORDING_RECOVERED: _recording_recovered,
    What.RECORDING_RETURNED: _recording_returned,
    What.RULES_CHANGED: _rules_changed,
    What.RULES_BROKEN: _rules_broken,
    What.USER_ADDED: _user("added"),
    What.USER_CHANGED: _user("changed"),
    What.USER_DISABLED: _user("disabled"),
    What.USER_ENABLED: _user("enabled"),
    What.KEY_ENROLLED: _key_enrolled,
    What.KEY_REMOVED: _key_removed,
    What.HOST_ADDED: _host("added"),
    What.HOST_CHANGED: _host("changed"),
    What.HOST_REMOVED: _host("removed"),
    What.HOST_MOVED: _host_moved,
    What.CA_ROTATED: _ca("made the next key of"),
    What.CA_RETIRED: _ca("retired the key of"),
    What.CA_MOVED: lambda happened: f"{happened.actor} moved the CAs' keys to a signer",
    What.KRL_WRITTEN: _krl_written,
    What.SERVICE_STARTED: _service("began to serve"),
    What.SERVICE_STOPPED: _service("stopped serving"),
    What.ACCESS_SHUT: _shut,
    What.BACKUP_BEGUN: _backup_begun,
    What.HOME_RESTORED: _restored,
    What.CLOCK_RESET: _clock_reset,
    What.CLOCK_TRUSTED: _clock_trusted,
    What.DISK_CHANGED: _disk_changed,
    What.STORE_CHANGED: _store_changed,
    What.SIGNER_CHANGED: _signer_changed,
    What.NOTICE_GIVEN_UP: _given_up,
    What.EVENTS_LOST: _events_lost,
    What.EVENT_UNREADABLE: _unreadable,
}
