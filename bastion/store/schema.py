"""Which schema the database has, and bringing it up to date with alembic.

Several machines use one database, and are not brought up to date in the same minute. A migration
*expands*: it adds what older programs do without, and they go on. What takes something away, one
*contracts*, comes when no program is left that needs it, and says so in `schema_oldest`.
"""

from sqlalchemy import Connection, inspect, select, text

from bastion.errors import Misconfigured
from bastion.tables import SCHEMA, schema_oldest


def migrate(connection: Connection, name: str) -> None:
    """Bring the schema up to date, within the transaction of `connection`.

    One that a newer version made stays as it is. Raises Misconfigured where that is of no use to
    this program.
    """
    found = version(connection)
    if found is not None and found > SCHEMA:
        demand_usable(connection, name)
        return
    # Alembic takes longer to import than most commands take to run, and few of them migrate.
    from bastion.migrations import upgrade  # noqa: PLC0415

    upgrade(connection)


def is_current(connection: Connection) -> bool:
    """Whether the schema is the one that this program was written for."""
    return version(connection) == SCHEMA


def version(connection: Connection) -> str | None:
    """The migration that the schema stands at; None in a database that is empty, or not ours."""
    if not inspect(connection).has_table("alembic_version"):
        return None
    return connection.execute(text("SELECT version_num FROM alembic_version")).scalar()


def demand_usable(connection: Connection, name: str) -> None:
    """Raises Misconfigured, with the mend, where this program can't use the schema."""
    found = version(connection)
    if found == SCHEMA:
        return
    if found is None:
        raise Misconfigured(f"{name} is not a database of bastion: restore it from a copy.")
    if found > SCHEMA:
        if (_oldest(connection) or found) <= SCHEMA:
            return
        raise _newer(name)
    raise Misconfigured(
        f"{name} has the schema {found}, this program needs {SCHEMA}: "
        "start bastion-admin serve once, it brings the database up to date."
    )


def _oldest(connection: Connection) -> str | None:
    return connection.execute(select(schema_oldest.c.version)).scalar()


def _newer(name: str) -> Misconfigured:
    return Misconfigured(f"{name} was written by a newer version of bastion: install that one.")
