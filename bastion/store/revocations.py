"""What of the ledger is revoked: the statements. Each takes a connection and gives back values."""

from datetime import datetime

from sqlalchemy import Connection, func, select

from bastion.events import What
from bastion.ledger import Kind
from bastion.tables import certificates, events

_c, _e = certificates.c, events.c


def unexpired(connection: Connection, now: datetime) -> dict[Kind, tuple[int, ...]]:
    """The serials of certificates that were revoked before their end, which is yet to come."""
    statement = (
        select(_c.kind, _c.serial)
        .where(_c.revoked_at.is_not(None), _c.valid_before > now)
        .order_by(_c.serial)
    )
    found: dict[Kind, list[int]] = {kind: [] for kind in Kind}
    for kind, serial in connection.execute(statement):
        found[Kind(kind)].append(serial)
    return {kind: tuple(serials) for kind, serials in found.items()}


def latest(connection: Connection) -> int:
    """The event of the latest revocation of a certificate: another number means another list."""
    statement = select(func.max(_e.id)).where(_e.what == What.CERTIFICATE_REVOKED)
    return connection.execute(statement).scalar() or 0


def live_before(connection: Connection, kind: Kind, signed_before: datetime, now: datetime) -> int:
    """How many certificates of a kind count now that were signed before a moment."""
    statement = (
        select(func.count())
        .select_from(certificates)
        .where(
            _c.kind == kind.value,
            _c.valid_before > now,
            _c.signed_at < signed_before,
            _c.revoked_at.is_(None),
        )
    )
    return connection.execute(statement).scalar_one()
