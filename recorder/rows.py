"""Rows of sessions as values, and values as what is written into them."""

from datetime import datetime

from sqlalchemy import Row

from recorder.session import (
    Compaction,
    Ending,
    EndReason,
    Kind,
    Session,
    SessionInfo,
    Shipment,
    Stored,
)


def opening(info: SessionInfo, started_at: datetime) -> dict[str, object]:
    """The row of a session that begins."""
    return {
        "connection": info.connection,
        "user": info.user,
        "grant_id": info.grant,
        "host": info.host,
        "login": info.login,
        "kind": info.kind.value,
        "command": info.command,
        "source": info.source,
        "started_at": started_at,
        "path": "",
        "sealed": False,
    }


def closing(ending: Ending, stored: Stored) -> dict[str, object]:
    """What of its row is known when it is over."""
    return {
        "ended_at": ending.at,
        "end_reason": ending.reason.value,
        "exit_status": ending.exit_status,
        "exit_signal": ending.exit_signal,
        "bytes_in": ending.bytes_in,
        "bytes_out": ending.bytes_out,
        "sha256": stored.sha256,
        "size": stored.size,
        "events": stored.events,
    }


def session_of(row: Row[tuple[object, ...]]) -> Session:
    """The session that a row is. Raises ValueError, TypeError where it is none of ours."""
    return Session(
        id=row.id,
        connection=row.connection,
        user=row.user,
        grant=row.grant_id,
        host=row.host,
        login=row.login,
        kind=Kind(row.kind),
        command=row.command,
        source=row.source,
        started_at=row.started_at,
        ended_at=row.ended_at,
        end_reason=EndReason(row.end_reason) if row.end_reason else None,
        exit_status=row.exit_status,
        exit_signal=row.exit_signal,
        bytes_in=row.bytes_in,
        bytes_out=row.bytes_out,
        recording=_stored(row),
        runner=row.runner,
    )


def _stored(row: Row[tuple[object, ...]]) -> Stored:
    return Stored(
        row.path,
        row.sha256,
        row.size,
        row.events,
        row.sealed,
        row.let_go_at,
        Compaction(row.compaction) if row.compaction else None,
        row.compacted_size,
        row.points,
        Shipment(row.shipment) if row.shipment else None,
    )
