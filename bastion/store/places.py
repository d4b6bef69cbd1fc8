"""Which database a URL means."""

from typing import Final

from bastion.errors import Misconfigured
from bastion.store.database import Database
from bastion.store.postgres import Postgres
from bastion.store.sqlite import Sqlite, file_of, make_file

SERVERS: Final = ("postgresql", "postgres", "postgresql+psycopg")


def is_server(url: str) -> bool:
    """Whether a URL means a database of a server, which several machines may use."""
    return url.partition("://")[0] in SERVERS


def opened(url: str, *, make: bool) -> Database:
    """The database at `url`; a file that is not there is made where `make`.

    Raises Misconfigured for another kind of URL, and for a file that is missing.
    """
    scheme, colon, _ = url.partition("://")
    if not colon:
        raise Misconfigured(f"{url[:80]!a} is no database URL: write it as in sqlite:///FILE.")
    if is_server(url):
        return Postgres(url)
    if scheme != "sqlite":
        raise Misconfigured(
            f"{scheme[:40]!a} databases are not known: write sqlite:///FILE or postgresql://…."
        )
    file = file_of(url)
    if make:
        make_file(file)
    elif not file.exists():
        raise Misconfigured(
            f"There is no database {file}: restore it from a copy, or begin anew elsewhere: "
            "bastion-admin --home DIR init."
        )
    return Sqlite(file)
