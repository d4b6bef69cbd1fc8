"""What the store tells of each of its writes: from values to `events.Happened`.

Pure. One function for each kind of thing that is kept, so that no write is without its event.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta

from bastion.actor import Actor
from bastion.events import Details, Happened, What
from bastion.grants import Grant
from bastion.inventory import Host, PublicKey, User
from bastion.jumps import Jump
from bastion.ledger import Draft, Entry, Kind, Signed
from bastion.requests import Approval, Request
from bastion.retention import Hold, Leap, Retention
from bastion.watchers import Watcher
from recorder.seals import Kept
from recorder.session import EndReason, Session, SessionInfo
from recorder.tombstone import Tombstone
from recorder.tombstones import Laid


def by(actor: Actor, what: What, **columns: object) -> Happened:
    """`what`, done by `actor`; the columns are those of `Happened`."""
    told = Happened(what, actor.name, actor.source, account=actor.account)
    return replace(told, **columns)  # type: ignore[arg-type]


def of_user(actor: Actor, what: What, user: User) -> Happened:
    """An account as it stands after the change."""
    details: dict[str, Details] = {
        "roles": sorted(user.roles),
        "groups": sorted(user.groups),
        "email": user.email,
        "sponsor": user.sponsor,
        "until": None if user.until is None else user.until.isoformat(),
        "keys": [key.fingerprint for key in user.keys],
    }
    return by(actor, what, user=user.name, details=details)


def of_key(actor: Actor, what: What, user: str, key: PublicKey) -> Happened:
    """A key that was enrolled or taken away."""
    details: dict[str, Details] = {"key": key.fingerprint, "algorithm": key.algorithm}
    return by(actor, what, user=user, details=details)


def of_host(actor: Actor, what: What, host: Host) -> Happened:
    """A host as it stands after the change."""
    details: dict[str, Details] = {
        "address": f"{host.address}:{host.port}",
        "aliases": sorted(host.aliases),
        "labels": dict(sorted(host.labels)),
        "shell_type": host.shell_type,
        "host_keys": [key.fingerprint for key in host.host_keys],
        "host_cas": [key.fingerprint for key in host.host_cas],
    }
    return by(actor, what, host=host.name, details=details)


def of_grant(actor: Actor, what: What, grant: Grant, why: str | None = None) -> Happened:
    """A grant as it stands after the change."""
    details: dict[str, Details] = {
        **_access(grant),
        "starts_at": grant.starts_at.isoformat(),
        "ends_at": grant.ends_at.isoformat(),
        "ticket": grant.ticket,
        "approved_by": list(grant.approved_by),
        "rule": grant.rule,
        "policy": grant.policy,
        "override": grant.override,
        "emergency": grant.emergency,
    }
    return by(
        actor,
        what,
        user=grant.user,
        grant=grant.id,
        request=grant.request,
        why=why or grant.reason,
        details=details,
    )


def _access(asked: Grant | Request) -> dict[str, Details]:
    """Where, as whom and doing what, as a grant and a request say it alike."""
    return {
        "hosts": [str(selector) for selector in asked.hosts],
        "logins": sorted(asked.logins),
        "shell": asked.allows.shell,
        "commands": [str(command) for command in asked.allows.commands],
        "sftp": [str(files) for files in asked.allows.sftp],
        "forwards": [str(forward) for forward in asked.allows.forwards],
    }


def of_request(actor: Actor, what: What, request: Request, why: str | None = None) -> Happened:
    """A request that was made, withdrawn or turned down."""
    details: dict[str, Details] = {
        **_access(request),
        "seconds": int(request.duration.total_seconds()),
        "starts_at": None if request.starts_at is None else request.starts_at.isoformat(),
        "ticket": request.ticket,
        "rule": request.rule,
        "policy": request.policy,
        "emergency": request.emergency,
    }
    return by(
        actor,
        what,
        user=request.user,
        request=request.id,
        grant=request.grant or request.extends,
        why=why or request.reason,
        details=details,
    )


def of_approval(actor: Actor, request: Request, approval: Approval) -> Happened:
    """One person's yes."""
    seconds = None if approval.duration is None else int(approval.duration.total_seconds())
    details: dict[str, Details] = {
        "seconds": seconds,
        "key": approval.fingerprint,
        "policy": approval.policy,
    }
    return by(
        actor,
        What.REQUEST_APPROVED,
        user=request.user,
        request=request.id,
        grant=request.extends,
        why=approval.comment,
        details=details,
    )


def of_signed(draft: Draft, signed: Signed) -> Happened:
    """A certificate, for a contractor or for one connection to a target."""
    details: dict[str, Details] = {
        "kind": draft.kind,
        "serial": signed.serial,
        "sha256": signed.sha256,
        "key_id": signed.key_id,
        "grants": [f"G-{number}" for number in sorted(draft.grants)],
        "valid_before": signed.valid_before.isoformat(),
    }
    only = next(iter(draft.grants), None) if draft.kind is Kind.TARGET else None
    return Happened(
        What.CERTIFICATE_SIGNED,
        draft.user,
        draft.source or "local",
        user=draft.user,
        host=draft.host,
        connection=draft.connection,
        grant=only,
        details=details,
    )


def of_certificate(actor: Actor, entry: Entry, why: str) -> Happened:
    """A certificate that counts no more."""
    details: dict[str, Details] = {"kind": entry.kind, "serial": entry.serial}
    return by(actor, What.CERTIFICATE_REVOKED, user=entry.user, why=why, details=details)


def of_jump(jump: Jump, number: int, refused: str | None) -> Happened:
    """Door 1's answer: a connection that was let in, or was refused for a reason."""
    return Happened(
        What.CONNECTION_OPENED if refused is None else What.CONNECTION_REFUSED,
        jump.user,
        jump.source,
        user=jump.user,
        host=jump.host,
        connection=number,
        why=refused,
        details={
            "key": jump.fingerprint,
            "certificate": jump.certificate,
            "client": jump.client_version,
        },
    )


def of_end(jump: Jump) -> Happened:
    """A connection that is gone."""
    return Happened(
        What.CONNECTION_CLOSED,
        jump.user,
        jump.source,
        user=jump.user,
        host=jump.host,
        login=jump.login,
        connection=jump.id,
    )


LONGEST_COMMAND = 1000
"""Characters of a command line in an event; the recording has all of it."""


def dated(session: Session, now: datetime) -> tuple[Happened, datetime]:
    """What happened to a session, and when: the row may be written long after, and what a
    recording says of its end is no time to come."""
    return of_session(session), min(session.ended_at or session.started_at, now)


def of_session(session: Session) -> Happened:
    """A session that has begun; or has ended, with what the index keeps of its recording."""
    if session.live:
        return _of_session(session, What.SESSION_STARTED, None, {})
    failed = session.end_reason is EndReason.RECORDING_FAILED
    what = What.RECORDING_FAILED if failed else What.SESSION_ENDED
    details: dict[str, Details] = {
        "exit_status": session.exit_status,
        "exit_signal": session.exit_signal,
        "bytes_in": session.bytes_in,
        "bytes_out": session.bytes_out,
        "sha256": session.recording.sha256,
    }
    return _of_session(session, what, session.end_reason, details)


def _of_session(
    session: Session, what: What, why: str | None, details: dict[str, Details]
) -> Happened:
    command = (session.command or "").encode("utf-8", "replace").decode()
    ran: dict[str, Details] = {"command": command[:LONGEST_COMMAND]} if command else {}
    told = {"kind": session.kind, **ran, **details}
    return _in_session(session, session.id, what, told, why)


def _in_session(
    info: Session | SessionInfo,
    number: int,
    what: What,
    details: Mapping[str, Details],
    why: str | None = None,
) -> Happened:
    """What happened in a session, by the hand of whoever is in it."""
    return Happened(
        what,
        info.user,
        info.source,
        user=info.user,
        host=info.host,
        login=info.login,
        grant=info.grant,
        connection=info.connection,
        session=number,
        why=why,
        details=details,
    )


def of_seal(actor: Actor, session: Session, kept: Kept) -> Happened:
    """A recording was sealed: its manifest's number and SHA-256."""
    details: dict[str, Details] = {"manifest": kept.number, "sha256": kept.sha256}
    return _of_recording(actor, What.RECORDING_SEALED, session, details=details)


def _of_recording(
    actor: Actor,
    what: What,
    session: Session,
    why: str | None = None,
    details: Mapping[str, Details] | None = None,
) -> Happened:
    """What somebody did with a recording, or found of it: the columns say whose it is."""
    return by(
        actor,
        what,
        user=session.user,
        host=session.host,
        login=session.login,
        grant=session.grant,
        connection=session.connection,
        session=session.id,
        why=why,
        details=details or {},
    )


def of_watch(
    what: What, session: int, info: SessionInfo, watchers: Sequence[str], waited: timedelta
) -> Happened:
    """A session that somebody has to watch waits, is frozen, or goes on: then by whose watching,
    and after how long."""
    details: dict[str, Details] = {"kind": info.kind}
    if watchers:
        details |= {"watchers": list(watchers), "seconds": int(waited.total_seconds())}
    return _in_session(info, session, what, details)


def of_watch_over(watcher: Watcher, why: str, **whose: object) -> Happened:
    """Somebody watches no more: `left`, or `lost` where she went without a word.

    `whose` are the columns that say whose session it was.
    """
    seconds = int((watcher.seen_at - watcher.began).total_seconds())
    told = Happened(
        What.WATCH_ENDED,
        watcher.name,
        watcher.source,
        account=watcher.account,
        session=watcher.session,
        why=why,
        details={"seconds": seconds},
    )
    return replace(told, **whose)  # type: ignore[arg-type]


def of_corruption(actor: Actor, session: Session, why: str) -> Happened:
    """A recording that was to be compacted is not what was sealed, or is gone."""
    return _of_recording(actor, What.RECORDING_CORRUPT, session, why)


def of_refused_shipment(actor: Actor, session: Session, why: str) -> Happened:
    """A recording that was to go into the object store can't, for good."""
    return _of_recording(actor, What.RECORDING_REFUSED, session, why)


def of_recovery(actor: Actor, session: Session, size: int) -> Happened:
    """A recording of a machine that is gone was put together from so many bytes in the store."""
    why = "the machine that carried it is gone"
    return _of_recording(actor, What.RECORDING_RECOVERED, session, why, {"bytes": size})


def of_return(actor: Actor, session: Session, why: str) -> Happened:
    """A machine came back with another version of a recording than the one that was sealed."""
    return _of_recording(actor, What.RECORDING_RETURNED, session, why)


def of_look(actor: Actor, session: Session, how: str) -> Happened:
    """Somebody looks at a recording: `how` is the verb."""
    return _of_recording(actor, What.RECORDING_LOOKED_AT, session, details={"how": how})


def of_hold(actor: Actor, hold: Hold, whose: str) -> Happened:
    """Something of the user `whose` is held from now on, or by this hold no more."""
    released = hold.released_at is not None
    held_by = {"placed_by": hold.by, "placed_for": hold.reason} if released else {}
    return by(
        actor,
        What.HOLD_RELEASED if released else What.HOLD_PLACED,
        user=whose,
        session=hold.session,
        grant=hold.grant,
        why=hold.release_reason if released else hold.reason,
        details={"hold": hold.id, **held_by},
    )


def of_letting_go(actor: Actor, session: Session, tombstone: Tombstone, laid: Laid) -> Happened:
    """A recording was let go: by which rule, and the SHA-256 of what was signed of it."""
    details: dict[str, Details] = {
        "sha256": laid.sha256,
        "rule": tombstone.rule,
        "retention": tombstone.retention,
        "bytes": sum(part.size for part in tombstone.files),
    }
    return _of_recording(actor, What.RECORDING_LET_GO, session, details=details)


def of_retention(actor: Actor, retention: Retention, before: str | None) -> Happened:
    """Other rules say from now on how long recordings are kept."""
    details: dict[str, Details] = {
        "version": retention.version,
        "before": before,
        "rules": retention.lines(),
    }
    return by(actor, What.RETENTION_CHANGED, details=details)


def of_reset(actor: Actor, latest: datetime | None, reason: str) -> Happened:
    """The clock was taken for right, though `latest` was kept before."""
    details = {} if latest is None else {"latest": latest.isoformat()}
    return by(actor, What.CLOCK_RESET, why=reason, details=details)


def of_trust(actor: Actor, leap: Leap) -> Happened:
    """The clock was taken for right, though nothing was kept for long before it."""
    details = {"since": leap.since.isoformat(), "until": leap.until.isoformat()}
    return by(actor, What.CLOCK_TRUSTED, details=details)


def of_search(actor: Actor, text: str, wanted: Mapping[str, Details], hits: int) -> Happened:
    """Somebody has searched recordings for a text: where, and how many lines were found."""
    narrowed = {name: value for name, value in wanted.items() if value is not None}
    return by(actor, What.RECORDING_SEARCHED, details={"text": text, **narrowed, "hits": hits})


def of_evidence(
    actor: Actor, what: What, grant: Grant, session: int | None, details: dict[str, Details]
) -> Happened:
    """Somebody asks for the evidence of a grant, or of one session; or it is packed."""
    return by(
        actor,
        what,
        user=grant.user,
        grant=grant.id,
        request=grant.request,
        session=session,
        details=details,
    )
