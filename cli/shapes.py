"""Shapes: how users, hosts, requests, grants, certificates and sessions look as JSON.

The names are a contract with whoever reads them by program: a name is added, never changed.
"""

from collections.abc import Mapping
from datetime import datetime, timedelta

from bastion.approving import Answer
from bastion.grants import Allows, Grant
from bastion.inventory import Host, PublicKey, User
from bastion.jumps import Jump
from bastion.ledger import Entry
from bastion.retention import Hold
from bastion.watching import Seen
from bastion.windows import Window
from cli.beside import Beside
from recorder import FileRow, Session, escaped
from recorder.session import Compaction

Shape = Mapping[str, object]


def key(given: PublicKey) -> Shape:
    """A public key, by its fingerprint."""
    return {
        "algorithm": given.algorithm,
        "fingerprint": given.fingerprint,
        "comment": given.comment,
        "hardware": given.hardware,
    }


def user(given: User, now: datetime) -> Shape:
    """A user with the keys."""
    return {
        "name": given.name,
        "state": user_state(given, now),
        "roles": sorted(given.roles),
        "groups": sorted(given.groups),
        "email": given.email,
        "sponsor": given.sponsor,
        "until": given.until,
        "disabled_at": given.disabled_at,
        "enrolled_by": given.enrolled_by,
        "keys": [key(each) for each in given.keys],
    }


def user_state(given: User, now: datetime) -> str:
    """Whether the account is open: `active`, `disabled` or `expired`."""
    if given.disabled_at is not None:
        return "disabled"
    return "active" if given.may_sign_in(now) else "expired"


def host(given: Host) -> Shape:
    """A host of the inventory."""
    return {
        "name": given.name,
        "address": given.address,
        "port": given.port,
        "aliases": sorted(given.aliases),
        "labels": dict(sorted(given.labels)),
        "shell_type": given.shell_type,
        "host_keys": [key(each) for each in given.host_keys],
        "host_cas": [key(each) for each in given.host_cas],
    }


def request(given: Answer, at: datetime) -> Shape:
    """A request, with its state at a moment, and what it waits for."""
    asked = given.request
    return {
        "id": str(asked),
        "user": asked.user,
        "asked_by": asked.asked_by,
        "hosts": [str(selector) for selector in asked.hosts],
        "logins": sorted(asked.logins),
        "allows": _allows(asked.allows),
        "duration": _seconds(asked.duration),
        "starts_at": asked.starts_at,
        "reason": asked.reason,
        "ticket": asked.ticket,
        "sources": [str(network) for network in asked.sources],
        "window": _window(asked.window),
        "extends": _id("G", asked.extends),
        "emergency": asked.emergency,
        "state": asked.standing(at),
        "asked_at": asked.asked_at,
        "stale_at": asked.stale_at,
        "approvals": [
            {
                "by": each.by,
                "at": each.at,
                "duration": _seconds(each.duration),
                "comment": each.comment,
            }
            for each in asked.approvals
        ],
        "waits_for": list(given.waits_for),
        "people": list(given.people),
        "decided_at": asked.decided_at,
        "decided_by": asked.decided_by,
        "comment": asked.comment,
        "grant": _id("G", asked.grant),
        "rule": asked.rule,
        "policy": asked.policy,
    }


def grant(given: Grant, at: datetime) -> Shape:
    """A grant, with its state at a moment."""
    return {
        "id": str(given),
        "user": given.user,
        "hosts": [str(selector) for selector in given.hosts],
        "logins": sorted(given.logins),
        "allows": _allows(given.allows),
        "starts_at": given.starts_at,
        "expires_at": given.ends_at,
        "state": given.state(at),
        "reason": given.reason,
        "ticket": given.ticket,
        "sources": [str(network) for network in given.sources],
        "window": _window(given.window),
        "watch": given.watch,
        "hardware": given.hardware,
        "request": _id("R", given.request),
        "rule": given.rule,
        "policy": given.policy,
        "override": given.override,
        "emergency": given.emergency,
        "granted_by": given.granted_by,
        "approved_by": list(given.approved_by),
        "granted_at": given.granted_at,
        "revoked_at": given.revoked_at,
        "revoked_by": given.revoked_by,
        "revoke_reason": given.revoke_reason,
        "reviewed_at": given.reviewed_at,
        "reviewed_by": given.reviewed_by,
        "review_comment": given.review_comment,
    }


def gives(given: Grant) -> str:
    """What a grant allows, in a few words, and whether only while somebody watches."""
    return allows(given.allows) + (" (while somebody watches)" if given.watch else "")


def allows(given: Allows) -> str:
    """What may be run, in a few words."""
    parts = ["shell"] if given.shell else [str(command) for command in given.commands]
    parts += [f"sftp {files}" for files in given.sftp]
    return "; ".join([*parts, *(f"forward {forward}" for forward in given.forwards)])


def _allows(given: Allows) -> Shape:
    return {
        "shell": given.shell,
        "commands": [str(command) for command in given.commands],
        "sftp": [str(files) for files in given.sftp],
        "forwards": [str(forward) for forward in given.forwards],
    }


def _window(given: Window | None) -> Shape | None:
    if given is None:
        return None
    days, hours, tz = given.words()
    return {"days": days, "hours": hours, "tz": tz}


def _seconds(given: timedelta | None) -> int | None:
    return None if given is None else int(given.total_seconds())


def _id(prefix: str, number: int | None) -> str | None:
    return None if number is None else f"{prefix}-{number}"


def certificate(given: Entry, at: datetime) -> Shape:
    """A line of the ledger."""
    return {
        "serial": given.serial,
        "kind": given.kind,
        "user": given.user,
        "state": certificate_state(given, at),
        "fingerprint": given.fingerprint,
        "sha256": given.sha256,
        "key_id": given.key_id,
        "principals": list(given.principals),
        "grants": [f"G-{number}" for number in sorted(given.grants)],
        "valid_after": given.valid_after,
        "valid_before": given.valid_before,
        "signed_at": given.signed_at,
        "source": given.source,
        "connection": _id("C", given.connection),
        "host": given.host,
        "revoked_at": given.revoked_at,
        "revoked_by": given.revoked_by,
        "revoke_reason": given.revoke_reason,
    }


def certificate_state(given: Entry, at: datetime) -> str:
    """Where a certificate stands: `scheduled`, `active`, `expired` or `revoked`."""
    if given.revoked_at is not None and given.revoked_at <= at:
        return "revoked"
    if at >= given.valid_before:
        return "expired"
    return "scheduled" if at < given.valid_after else "active"


def connection(given: Jump) -> Shape:
    """A jump."""
    return {
        "id": str(given),
        "user": given.user,
        "host": given.host,
        "login": given.login,
        "fingerprint": given.fingerprint,
        "certificate": given.certificate,
        "source": given.source,
        "client_version": given.client_version,
        "started_at": given.started_at,
        "ended_at": given.ended_at,
    }


def file(given: FileRow) -> Shape:
    """What became of a file. Paths are text that has one meaning: other bytes are escaped."""
    event = given.event
    return {
        "session": given.session.name,
        "number": given.number,
        "at": given.at,
        "user": given.session.user,
        "grant": f"G-{given.session.grant}",
        "host": given.session.host,
        "login": given.session.login,
        "operation": event.operation,
        "path": escaped(event.path),
        "other": None if event.other is None else escaped(event.other),
        "direction": event.direction,
        "bytes": event.bytes,
        "sha256": event.sha256,
        "sequential": event.sequential,
        "result": event.result,
    }


def watcher(given: Seen) -> Shape:
    """Somebody who watches a live session; `counts` is whether that lets one go on that waits."""
    return {
        "name": given.watcher.name,
        "source": given.watcher.source,
        "since": given.watcher.began,
        "counts": given.why_not is None,
    }


def hold(given: Hold) -> Shape:
    """A hold, with its end if it was released."""
    return {
        "what": given.name,
        "by": given.by,
        "reason": given.reason,
        "at": given.at,
        "released_at": given.released_at,
        "released_by": given.released_by,
        "release_reason": given.release_reason,
    }


def session(given: Session, beside: Beside) -> Shape:
    """A session with its recording, and what is known beside it."""
    kill = beside.kill
    return {
        "id": given.name,
        "connection": f"C-{given.connection}",
        "user": given.user,
        "grant": f"G-{given.grant}",
        "host": given.host,
        "login": given.login,
        "kind": given.kind,
        "command": given.command,
        "source": given.source,
        "started_at": given.started_at,
        "ended_at": given.ended_at,
        "end_reason": given.end_reason,
        "killed_by": None if kill is None else kill.by,
        "kill_reason": None if kill is None else kill.reason,
        "waits": beside.waits,
        "watchers": [watcher(each) for each in beside.watchers],
        "exit_status": given.exit_status,
        "exit_signal": given.exit_signal,
        "bytes_in": given.bytes_in,
        "bytes_out": given.bytes_out,
        "recording": {
            "path": given.recording.path,
            "sha256": given.recording.sha256,
            "size": given.recording.size,
            "events": given.recording.events,
            "sealed": given.recording.sealed,
            "kept_until": beside.kept_until,
            "held": beside.held,
            "let_go_at": given.recording.let_go_at,
            "compacted_size": given.recording.compacted_size,
            "encrypted": given.recording.compaction is Compaction.ENCRYPTED,
        },
    }
