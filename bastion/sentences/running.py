"""Sentences of what the bastion runs on: rules, people, hosts, keys, the service. Pure."""

from collections.abc import Mapping
from typing import Final

from bastion.events import Happened, What
from bastion.sentences.parts import Words, detail, figure, moment, texts
from recorder.nouns import counted

# Rules, people, hosts, keys


def _rules_changed(happened: Happened) -> str:
    return f"{happened.actor} put rules in force{_version(happened, 'version', ': version ')}"


def _version(happened: Happened, name: str, before: str) -> str:
    found = texts(happened, name)
    return f"{before}{found[:12]}" if found else ""


def _rules_broken(_: Happened) -> str:
    return "policy.toml is broken, and the rules stay as they were"


def _user(verb: str) -> Words:
    def said(happened: Happened) -> str:
        roles = detail(happened, "roles", " (", ")")
        shown = roles if happened.what in (What.USER_ADDED, What.USER_CHANGED) else ""
        return f"{happened.actor} {verb} the user {happened.user}{shown}"

    return said


def _key_enrolled(happened: Happened) -> str:
    return f"{happened.actor} enrolled a key for {happened.user}{detail(happened, 'key', ': ')}"


def _key_removed(happened: Happened) -> str:
    key = detail(happened, "key", ": ")
    return f"{happened.actor} took a key away from {happened.user}{key}"


def _host(verb: str) -> Words:
    def said(happened: Happened) -> str:
        address = detail(happened, "address", " (", ")")
        return f"{happened.actor} {verb} the host {happened.host}{address}"

    return said


def _host_moved(happened: Happened) -> str:
    return f"{happened.host} trusts another target CA{detail(happened, 'ca', ': ')}"


def _ca(verb: str) -> Words:
    def said(happened: Happened) -> str:
        which = texts(happened, "ca") or "a CA"
        return f"{happened.actor} {verb} {which}{detail(happened, 'key', ': ')}"

    return said


def _krl_written(happened: Happened) -> str:
    count = counted(figure(happened, "certificates"), "certificate")
    return f"the revocation list was written{detail(happened, 'file', ' to ')}, {count}"


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
    made = moment(happened, "made_at", ", made ")
    kept = " with the access of then" if happened.details.get("keep_access") is True else ""
    return f"{happened.actor} restored this home from a backup{made}{kept}"


def _clock_reset(happened: Happened) -> str:
    latest = moment(happened, "latest", "") or "a later time"
    return f"{happened.actor} took the clock for right, though {latest} was kept before"


def _clock_trusted(happened: Happened) -> str:
    since, until = moment(happened, "since", " after "), moment(happened, "until", " until ")
    return f"{happened.actor} took the clock for right, though nothing was kept{since}{until}"


def _disk_changed(happened: Happened) -> str:
    free, behind = figure(happened, "free"), figure(happened, "behind")
    slow = f" and is {behind} s behind" if behind > 1 else ""
    return f"the disk of the recordings has {free // 1_000_000} MB left{slow}"


def _store_changed(happened: Happened) -> str:
    waiting = counted(figure(happened, "waiting"), "is", "are")
    said = "does not answer" if happened.details.get("away") else "answers"
    return f"the object store of the recordings {said}, {waiting} not in it yet"


def _signer_changed(happened: Happened) -> str:
    return f"the signer: {happened.why or 'something changed'}"


def _given_up(happened: Happened) -> str:
    count = figure(happened, "count") or 1
    several = f"{count} messages" if count > 1 else "a message"
    return f"{several} could not be delivered{detail(happened, 'channel', ' by ')}"


def _events_lost(happened: Happened) -> str:
    count = figure(happened, "count")
    began = moment(happened, "first", " since ")
    return f"{counted(count, 'event')} could not be kept{began}; the service's log has them"


def _unreadable(_: Happened) -> str:
    return "this event can't be read: bastion-admin audit verify says more"


SAID: Final[Mapping[What, Words]] = {
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
"""What says each of these kinds."""
