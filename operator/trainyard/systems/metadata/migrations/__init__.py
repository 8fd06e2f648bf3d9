"""Brings a database to the tables of this version: alembic, without its command line.

One process at a time, under an advisory lock. MySQL commits each DDL statement by itself, so a migration that was
killed half-way is run again from its start: every step of `versions/` must bear that (IF NOT EXISTS).
"""

from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from sqlalchemy import Connection, text

LOCK_SECONDS = 60


def migrate(connection: Connection, version: str = "head") -> None:
    """Upgrade to the newest version, or to an earlier one. Raises SQLAlchemyError, TimeoutError for the lock."""
    lock = f"trainyard-migrations-{connection.engine.url.database}"[:64]
    if connection.scalar(text("SELECT GET_LOCK(:lock, :seconds)"), {"lock": lock, "seconds": LOCK_SECONDS}) != 1:
        raise TimeoutError("another process holds the lock of the migrations")
    try:
        _upgrade(connection, version)
        connection.commit()
    finally:
        connection.scalar(text("SELECT RELEASE_LOCK(:lock)"), {"lock": lock})


def current(connection: Connection) -> str | None:
    """Return the version that a database is at; None for an empty one."""
    return MigrationContext.configure(connection).get_current_revision()


def _upgrade(connection: Connection, version: str) -> None:
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent).replace("%", "%%"))
    config.attributes["connection"] = connection
    command.upgrade(config, version)
