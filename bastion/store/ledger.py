"""The ledger of certificates: the statements. Each takes a connection and gives back values."""

import secrets
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Connection,
    Row,
    Select,
    Text,
    bindparam,
    delete,
    func,
    insert,
    select,
    type_coerce,
    update,
)

from bastion.errors import Conflict, NotFound
from bastion.grants import Certificate
from bastion.ledger import Draft, Entry, Kind, SerialTaken, Signed, Signing
from bastion.tables import certificates

AtOnce = Callable[[Sequence[Callable[[], Signed]]], Sequence[Signed | Exception]]
"""Calls all of them, perhaps at once; what each gives, or raises."""

LATEST = 8
"""Certificates of one key that door 1 reads: the newest; a newer one counts for all that an
older one did, save what was revoked. More of them would be most of what the door takes."""

MOST_ROWS = 1000

_c = certificates.c
_insert = insert(certificates).returning(_c.serial)
_certify = update(certificates).where(_c.serial == bindparam("of_serial"))
_counted: Select[Any] = select(
    _c.serial,
    _c.user,
    _c.fingerprint,
    _c.sha256,
    _c.grants,
    _c.valid_after,
    _c.valid_before,
    _c.revoked_at,
)
_of_key = (
    _counted.where(
        _c.user == bindparam("user"),
        _c.fingerprint == bindparam("fingerprint"),
        _c.kind == Kind.USER.value,
    )
    .order_by(_c.serial.desc())
    .limit(LATEST)
)
_open_line = insert(certificates).returning(_c.serial)
_fill_line = update(certificates).where(_c.serial == bindparam("of_serial"))
_whole = _counted.where(_c.sha256 == bindparam("sha256"), _c.kind == Kind.USER.value)


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which certificates a list is about; what is None does not narrow it."""

    kind: Kind | None = None
    user: str | None = None
    grant: int | None = None
    live_at: datetime | None = None


def of_key(connection: Connection, user: str, fingerprint: str) -> tuple[Certificate, ...]:
    """The newest user certificates that were signed for this key of this user's."""
    rows = connection.execute(_of_key, {"user": user, "fingerprint": fingerprint})
    return tuple(_certificate(row) for row in rows)


def whole(connection: Connection, sha256: str) -> Certificate | None:
    """The user certificate whose wire form has this SHA-256 (hex)."""
    row = connection.execute(_whole, {"sha256": sha256}).first()
    return None if row is None else _certificate(row)


def known(connection: Connection, sha256s: Collection[str]) -> frozenset[str]:
    """Those of these hashes that certificates of any kind have."""
    rows = connection.execute(select(_c.sha256).where(_c.sha256.in_(sha256s)))
    return frozenset(row.sha256 for row in rows)


def find(
    connection: Connection, wanted: Wanted, limit: int = MOST_ROWS, before: int | None = None
) -> list[Entry]:
    """The newest lines first, at most `limit`; for the next page, `before` is the last serial."""
    statement = _narrowed(select(certificates), wanted)
    if before is not None:
        statement = statement.where(_c.serial < before)
    statement = statement.order_by(_c.serial.desc()).limit(max(0, min(limit, MOST_ROWS)))
    return [_entry(row) for row in connection.execute(statement)]


def sign(
    connection: Connection, wanted: Sequence[tuple[Draft, Signing]], at_once: AtOnce
) -> list[Signed | Exception]:
    """A line with a serial of its own for each, and the certificate that its `Signing` makes.

    For each both or neither: what its signing raises is given in its place, and takes its line
    with it. A line is never without its certificate for anybody else, as this is one transaction.
    """
    serials = [_line(connection, draft) for draft, _ in wanted]
    calls = [partial(signing, serial) for (_, signing), serial in zip(wanted, serials, strict=True)]
    outcomes = zip(wanted, serials, at_once(calls), strict=True)
    return [
        _settled(connection, signing, serial, outcome) for (_, signing), serial, outcome in outcomes
    ]


def tried(call: Callable[[], Signed]) -> Signed | Exception:
    """What it gives, or what it raises."""
    try:
        return call()
    except Exception as error:  # noqa: BLE001 (it is raised where that was asked for)
        return error


def _line(connection: Connection, draft: Draft) -> int:
    """A line that has no certificate yet; its serial."""
    unsigned = {
        "kind": draft.kind.value,
        "user": draft.user,
        "fingerprint": "",
        "sha256": f"unsigned-{secrets.token_hex(16)}",
        "key_id": "",
        "principals": [],
        "grants": sorted(draft.grants),
        "valid_after": draft.signed_at,
        "valid_before": draft.signed_at,
        "signed_at": draft.signed_at,
        "source": draft.source,
        "connection": draft.connection,
        "host": draft.host,
    }
    return int(connection.execute(_insert, unsigned).scalar_one())


def _settled(
    connection: Connection, signing: Signing, serial: int, outcome: Signed | Exception
) -> Signed | Exception:
    """The line has its certificate, or is gone."""
    if isinstance(outcome, SerialTaken):
        serial = _renumbered(connection, serial, outcome.next)
        outcome = tried(partial(signing, serial))
    if isinstance(outcome, Signed) and outcome.serial != serial:
        outcome = ValueError("a certificate was signed with another serial than its line's")
    if isinstance(outcome, Signed):
        connection.execute(_certify, _of(outcome) | {"of_serial": serial})
    else:
        connection.execute(delete(certificates).where(_c.serial == serial))
    return outcome


def _renumbered(connection: Connection, serial: int, wanted: int) -> int:
    """Another serial for a new line: `wanted`, or a higher one that nothing has yet."""
    highest = connection.execute(select(func.max(_c.serial))).scalar_one()
    fresh = max(wanted, int(highest) + 1)
    connection.execute(update(certificates).where(_c.serial == serial).values(serial=fresh))
    if connection.dialect.name == "postgresql":  # SQLite counts from the highest there is
        name = func.pg_get_serial_sequence(certificates.name, _c.serial.name)
        connection.execute(select(func.setval(name, fresh)))
    return fresh


def revoke(connection: Connection, serial: int, by: str, reason: str, now: datetime) -> Entry:
    """A certificate counts no more. Raises NotFound, or Conflict where it is over already."""
    statement = (
        update(certificates)
        .where(_c.serial == serial, _c.revoked_at.is_(None), _c.valid_before > now)
        .values(revoked_at=now, revoked_by=by, revoke_reason=reason)
        .returning(certificates)
    )
    row = connection.execute(statement).first()
    if row is None:
        raise _why_not(connection, serial)
    return _entry(row)


def _why_not(connection: Connection, serial: int) -> NotFound | Conflict:
    row = connection.execute(select(certificates).where(_c.serial == serial)).first()
    if row is None:
        return NotFound(f"There is no certificate {serial}.")
    how = "is over" if row.revoked_at is None else f"was revoked by {row.revoked_by}"
    return Conflict(f"The certificate {serial} {how} already.")


def _of(signed: Signed) -> dict[str, object]:
    return {
        "fingerprint": signed.fingerprint,
        "sha256": signed.sha256,
        "key_id": signed.key_id,
        "principals": list(signed.principals),
        "valid_after": signed.valid_after,
        "valid_before": signed.valid_before,
    }


def _narrowed(statement: Select[Any], wanted: Wanted) -> Select[Any]:
    if wanted.kind is not None:
        statement = statement.where(_c.kind == wanted.kind.value)
    if wanted.user is not None:
        statement = statement.where(_c.user == wanted.user)
    if wanted.grant is not None:
        statement = statement.where(_counts_for(wanted.grant))
    if wanted.live_at is not None:
        statement = statement.where(
            _c.valid_after <= wanted.live_at,
            _c.valid_before > wanted.live_at,
            _c.revoked_at.is_(None) | (_c.revoked_at > wanted.live_at),
        )
    return statement


def _counts_for(grant: int) -> ColumnElement[bool]:
    """Whether the list of numbers, as JSON without blanks, has this one."""
    bare = func.replace(func.replace(type_coerce(_c.grants, Text), "[", ","), "]", ",")
    return bare.contains(f",{grant},")


def _certificate(row: Row[Any]) -> Certificate:
    return Certificate(
        serial=row.serial,
        user=row.user,
        fingerprint=row.fingerprint,
        sha256=row.sha256,
        grants=frozenset(row.grants),
        valid_after=row.valid_after,
        valid_before=row.valid_before,
        revoked_at=row.revoked_at,
    )


def _entry(row: Row[Any]) -> Entry:
    return Entry(
        serial=row.serial,
        kind=Kind(row.kind),
        user=row.user,
        fingerprint=row.fingerprint,
        sha256=row.sha256,
        key_id=row.key_id,
        principals=tuple(row.principals),
        grants=frozenset(row.grants),
        valid_after=row.valid_after,
        valid_before=row.valid_before,
        signed_at=row.signed_at,
        source=row.source,
        connection=row.connection,
        host=row.host,
        revoked_at=row.revoked_at,
        revoked_by=row.revoked_by,
        revoke_reason=row.revoke_reason,
    )
