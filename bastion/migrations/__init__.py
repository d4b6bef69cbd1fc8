"""The migrations of the database, and running them from the program.

No `alembic.ini` is needed: the scripts lie beside this file, also in an installed wheel.
"""

from pathlib import Path

from alembic import command
from alembic.config import Config
from sqlalchemy import Connection


def configuration(connection: Connection | None = None) -> Config:
    """Alembic's settings for these scripts, on `connection`."""
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent).replace("%", "%%"))
    config.set_main_option("path_separator", "newline")
    if connection is not None:
        config.attributes["connection"] = connection
    return config


def upgrade(connection: Connection) -> None:
    """Run what has not been run yet, within the transaction of `connection`."""
    command.upgrade(configuration(connection), "head")
