"""The inventory's hosts: the statements. Each takes a connection and gives back values.

A host's names, keys and labels are tables of their own, read by one statement together.
"""

from collections import defaultdict
from collections.abc import Iterable
from typing import Any

from sqlalchemy import (
    BindParameter,
    CompoundSelect,
    Connection,
    LargeBinary,
    Row,
    bindparam,
    delete,
    insert,
    literal,
    null,
    select,
    type_coerce,
    union_all,
    update,
)
from sqlalchemy.exc import IntegrityError

from bastion.errors import Conflict, NotFound
from bastion.inventory import Host, PublicKey, ShellType
from bastion.store.users import key_columns
from bastion.tables import host_keys, host_labels, host_names, hosts

_n, _k, _l = host_names.c, host_keys.c, host_labels.c
_nothing = type_coerce(null(), LargeBinary)


def _parts(*, of_one: bool) -> CompoundSelect[Any]:
    """What belongs to one host, or to each: its names, keys and labels as (host, part, a, b, c)."""
    names = select(_n.host, literal("name"), _n.name, literal(""), literal(""), _nothing)
    keys = select(_k.host, _k.kind, _k.algorithm, _k.fingerprint, _k.comment, _k.blob)
    labels = select(_l.host, literal("label"), _l.key, _l.value, literal(""), _nothing)
    if of_one:
        name: BindParameter[str] = bindparam("host")
        names, keys, labels = (
            names.where(_n.host == name),
            keys.where(_k.host == name),
            labels.where(_l.host == name),
        )
    return union_all(names, keys, labels)


_parts_of_one = _parts(of_one=True)
_parts_of_all = _parts(of_one=False)
_asked = select(hosts).join(host_names).where(_n.name == bindparam("asked"))
_all = select(hosts).order_by(hosts.c.name)


def find(connection: Connection, asked: str) -> Host | None:
    """The host with this name or alias (in its kept form)."""
    row = connection.execute(_asked, {"asked": asked}).first()
    if row is None:
        return None
    return _host(row, connection.execute(_parts_of_one, {"host": row.name}))


def inventory(connection: Connection) -> list[Host]:
    """All hosts by name."""
    parts: defaultdict[str, list[Row[Any]]] = defaultdict(list)
    for part in connection.execute(_parts_of_all):
        parts[part[0]].append(part)
    return [_host(row, parts[row.name]) for row in connection.execute(_all)]


def add(connection: Connection, host: Host) -> None:
    """A new host. Raises Conflict when one of its names is taken."""
    for name in sorted(host.names):
        taken = find(connection, name)
        if taken is not None:
            raise Conflict(_taken(name, taken))
    row = {
        "name": host.name,
        "address": host.address,
        "port": host.port,
        "shell_type": host.shell_type,
        "target_ca": host.target_ca,
    }
    connection.execute(insert(hosts), [row])
    _add_parts(connection, host)


def replace(connection: Connection, host: Host) -> None:
    """The host of that name anew, with everything that belongs to it. Raises NotFound, Conflict."""
    remove(connection, host.name)
    add(connection, host)


def remove(connection: Connection, name: str) -> None:
    """Take a host out of the inventory. Raises NotFound."""
    if connection.execute(delete(hosts).where(hosts.c.name == name)).rowcount == 0:
        raise unknown(name)


def moved(connection: Connection, name: str, fingerprint: str) -> None:
    """The host trusts the target CA with this fingerprint by now. Raises NotFound."""
    statement = update(hosts).where(hosts.c.name == name).values(target_ca=fingerprint)
    if connection.execute(statement).rowcount == 0:
        raise unknown(name)


def unknown(name: str) -> NotFound:
    """The sentence for a host that does not exist."""
    return NotFound(f"There is no host {name}.")


def _taken(name: str, host: Host) -> str:
    if host.name == name:
        return f"There is a host {name} already."
    return f"{name} is an alias of {host.name} already."


def _add_parts(connection: Connection, host: Host) -> None:
    belongs = {"host": host.name}
    connection.execute(
        insert(host_names), [{"name": name} | belongs for name in sorted(host.names)]
    )
    keys = [("key", key) for key in host.host_keys] + [("ca", key) for key in host.host_cas]
    try:
        if keys:
            rows = [{"kind": kind} | belongs | key_columns(key) for kind, key in keys]
            connection.execute(insert(host_keys), rows)
    except IntegrityError:
        raise Conflict(f"A key is given twice for {host.name}.") from None
    if host.labels:
        labels = [{"key": key, "value": value} | belongs for key, value in sorted(host.labels)]
        connection.execute(insert(host_labels), labels)


def _host(row: Row[Any], parts: Iterable[Row[Any]]) -> Host:
    names: set[str] = set()
    labels: set[tuple[str, str]] = set()
    keys: dict[str, list[PublicKey]] = {"key": [], "ca": []}
    for part, first, second, third, blob in (tuple(line)[1:] for line in parts):
        if part == "name":
            names.add(first)
        elif part == "label":
            labels.add((first, second))
        else:
            keys[part].append(PublicKey(first, blob, second, third))
    return Host(
        name=row.name,
        address=row.address,
        port=row.port,
        host_keys=tuple(keys["key"]),
        host_cas=tuple(keys["ca"]),
        aliases=frozenset(names - {row.name}),
        labels=frozenset(labels),
        shell_type=None if row.shell_type is None else ShellType(row.shell_type),
        target_ca=row.target_ca,
    )
