"""Users and their keys: the statements. Each takes a connection and gives back values."""

from collections import defaultdict
from collections.abc import Collection, Iterable
from datetime import datetime
from itertools import groupby, islice
from typing import Any

from sqlalchemy import (
    Connection,
    Row,
    Text,
    bindparam,
    delete,
    insert,
    select,
    type_coerce,
    union_all,
    update,
)
from sqlalchemy.exc import IntegrityError

from bastion.errors import Conflict, NotFound
from bastion.inventory import PublicKey, Role, User
from bastion.tables import enrolments, user_keys, users

MOST_KEYS = 32
"""A user's keys are read on the way in: so many, and no more."""

MOST_NAMES = 500
"""Names in one statement."""

_k = user_keys.c
_joined = (
    select(users, _k.id.label("key"), _k.algorithm, _k.blob, _k.fingerprint, _k.comment)
    .select_from(users.outerjoin(user_keys))
    .order_by(users.c.name, _k.id)
)
_named = _joined.where(users.c.name == bindparam("name"))
_owner = select(_k.user).where(_k.blob == bindparam("blob"))


def find(connection: Connection, name: str) -> User | None:
    """The user called `name`, with the keys."""
    return next(iter(_users(connection.execute(_named, {"name": name}))), None)


def everyone(connection: Connection) -> list[User]:
    """All users by name, with their keys."""
    return _users(connection.execute(_joined))


def having(connection: Connection, role: Role) -> list[User]:
    """All with this role among theirs, by name, with their keys."""
    kept = type_coerce(users.c.roles, Text)
    return _users(connection.execute(_joined.where(kept.contains(f'"{role.value}"'))))


def owner(connection: Connection, blob: bytes) -> User | None:
    """Whose the key with this wire form is."""
    name = connection.execute(_owner, {"blob": blob}).scalar()
    return None if name is None else find(connection, name)


def called(connection: Connection, names: Collection[str]) -> dict[str, User]:
    """Those of `names` that exist, by name."""
    found: dict[str, User] = {}
    rest = iter(sorted(names))
    while part := list(islice(rest, MOST_NAMES)):
        rows = connection.execute(_joined.where(users.c.name.in_(part)))
        found |= {user.name: user for user in _users(rows)}
    return found


def enrollers(connection: Connection, name: str) -> frozenset[str]:
    """Who enrolled the account, or any key that it has or had."""
    account = select(users.c.enrolled_by).where(users.c.name == name)
    keys = select(enrolments.c.by).where(enrolments.c.user == name)
    rows = connection.execute(union_all(account, keys))
    return frozenset(row[0] for row in rows if row[0] is not None)


def givers(connection: Connection, names: Collection[str]) -> dict[str, frozenset[str]]:
    """Who has ever enrolled which key of these users: by its fingerprint."""
    found: defaultdict[str, set[str]] = defaultdict(set)
    columns = (enrolments.c.fingerprint, enrolments.c.by)
    for fingerprint, by in connection.execute(
        select(*columns).where(enrolments.c.user.in_(sorted(names)[:MOST_NAMES]))
    ):
        found[fingerprint].add(by)
    return {fingerprint: frozenset(by) for fingerprint, by in found.items()}


def add(connection: Connection, user: User, by: str, now: datetime) -> None:
    """A new user with the keys. Raises Conflict when the name or a key is taken."""
    if find(connection, user.name) is not None:
        raise Conflict(f"There is a user {user.name} already.")
    given = {"name": user.name, "enrolled_by": by, "enrolled_at": now}
    connection.execute(insert(users), [given | _settable(user)])
    for key in user.keys:
        add_key(connection, user.name, key, by, now)


def change(connection: Connection, user: User, by: str, now: datetime) -> None:
    """Everything but the name, the keys and who enrolled. Raises NotFound."""
    values = {"changed_by": by, "changed_at": now} | _settable(user)
    if connection.execute(update(users).where(users.c.name == user.name), values).rowcount == 0:
        raise unknown(user.name)


def add_key(connection: Connection, name: str, key: PublicKey, by: str, now: datetime) -> None:
    """A further key of a user's. Raises NotFound, or Conflict: a key belongs to one user."""
    user = find(connection, name)
    if user is None:
        raise unknown(name)
    if len(user.keys) >= MOST_KEYS:
        raise Conflict(f"{name} has {MOST_KEYS} keys already: remove one first.")
    row = {"user": name, "enrolled_by": by, "enrolled_at": now} | key_columns(key)
    try:
        with connection.begin_nested():
            connection.execute(insert(user_keys), [row])
    except IntegrityError:
        holder = connection.execute(_owner, {"blob": key.blob}).scalar_one()
        whose = f"{name} has it already" if holder == name else f"it belongs to {holder}"
        raise Conflict(f"The key {key.fingerprint} can't be added: {whose}.") from None
    kept = {"user": name, "fingerprint": key.fingerprint, "by": by, "at": now}
    connection.execute(insert(enrolments), [kept])


def remove_key(connection: Connection, name: str, fingerprint: str) -> PublicKey:
    """Take a key away, and give it back. Raises NotFound."""
    user = find(connection, name)
    if user is None:
        raise unknown(name)
    for key in user.keys:
        if key.fingerprint == fingerprint:
            connection.execute(delete(user_keys).where(_k.blob == key.blob))
            return key
    raise NotFound(f"{name} has no key {fingerprint}.")


def unknown(name: str) -> NotFound:
    """The sentence for a user who does not exist."""
    return NotFound(f"There is no user {name}.")


def key_columns(key: PublicKey) -> dict[str, object]:
    """The columns that a public key fills, here and in `host_keys`."""
    return {
        "algorithm": key.algorithm,
        "blob": key.blob,
        "fingerprint": key.fingerprint,
        "comment": key.comment,
    }


def _settable(user: User) -> dict[str, object]:
    return {
        "roles": sorted(user.roles),
        "groups": sorted(user.groups),
        "email": user.email,
        "sponsor": user.sponsor,
        "until": user.until,
        "disabled_at": user.disabled_at,
    }


def _users(rows: Iterable[Row[Any]]) -> list[User]:
    return [_user(list(lines)) for _, lines in groupby(rows, key=lambda row: row.name)]


def _user(lines: list[Row[Any]]) -> User:
    """One user from the lines of the join: one for each key, or one without a key."""
    row = lines[0]
    return User(
        name=row.name,
        roles=frozenset(map(Role, row.roles)),
        groups=frozenset(row.groups),
        email=row.email,
        sponsor=row.sponsor,
        until=row.until,
        disabled_at=row.disabled_at,
        enrolled_by=row.enrolled_by,
        keys=tuple(read_key(line) for line in lines if line.key is not None),
    )


def read_key(row: Row[Any]) -> PublicKey:
    """The public key in a row."""
    return PublicKey(row.algorithm, row.blob, row.fingerprint, row.comment)
