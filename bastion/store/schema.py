"""Which schema the database has, and bringing it up to date with alembic."""

from sqlalchemy import Connection, inspect, text

from bastion.errors import Misconfigured
from bastion.tables import SCHEMA


def migrate(connection: Connection, name: str) -> None:
    """Bring the schema up to date, within the transaction of `connection`.

    Raises Misconfigured for one that a newer version made: an older program leaves it alone.
    """
    if (version(connection) or "") > SCHEMA:
        raise _newer(name)
    # Alembic takes longer to import than most commands take to run, and few of them migrate.
    from bastion.migrations import upgrade  # noqa: PLC0415

    upgrade(connection)


def is_current(connection: Connection) -> bool:
    """Whether the schema is the one that this program reads and writes."""
    return version(connection) == SCHEMA


def version(connection: Connection) -> str | None:
    """The migration that the schema stands at; None in a database that is empty, or not ours."""
    if not inspect(connection).has_table("alembic_version"):
        return None
    return connection.execute(text("SELECT version_num FROM alembic_version")).scalar()


def demand_current(connection: Connection, name: str) -> None:
    """Raises Misconfigured, with the mend, when the schema is another one."""
    found = version(connection)
    if found == SCHEMA:
        return
    if found is None:
        raise Misconfigured(f"{name} is not a database of bastion: restore it from a copy.")
    if found > SCHEMA:
        raise _newer(name)
    raise Misconfigured(
        f"{name} has the schema {found}, this program needs {SCHEMA}: "
        "start bastion-admin serve once, it brings the database up to date."
    )


def _newer(name: str) -> Misconfigured:
    return Misconfigured(f"{name} was written by a newer version of bastion: install that one.")
