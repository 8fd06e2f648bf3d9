"""The metadata database through SQLAlchemy and asyncmy: MySQL 8.4 or MariaDB 10.11. Made by `wiring`.

Connects when first used, and brings the tables up to date then. A database that is away costs a caller two seconds,
and the callers of the next five seconds nothing: traffic and runs never wait for it.
"""

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Coroutine, Sequence
from contextlib import asynccontextmanager
from typing import Any

from sqlalchemy import URL, Table, case
from sqlalchemy.dialects.mysql import Insert as Statement
from sqlalchemy.dialects.mysql import insert
from sqlalchemy.exc import DataError, IntegrityError, ProgrammingError, SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

from trainyard.systems.metadata.migrations import migrate
from trainyard.systems.metadata.port import MetadataUnavailable, Row
from trainyard.systems.metadata.rows import Insert, inserts
from trainyard.systems.metadata.tables import decisions

log = logging.getLogger(__name__)

CALL_SECONDS = 2.0
MIGRATION_SECONDS = 180.0
PAUSE_SECONDS = 5.0  # after a failure nothing is tried for so long
REFUSALS = (DataError, IntegrityError, ProgrammingError)  # of these rows, by a database that is there


class MySQLMetadata:
    """The `Metadata` port. `reading` lends a connection to the queries of `reading.py`; `close` ends them all."""

    def __init__(self, host: str, port: int, name: str, user: str, password: str) -> None:
        """Keep the address; nothing is connected to yet."""
        self._engine = engine(host, port, name, user, password)
        self._migration: asyncio.Task[None] | None = None
        self._left: set[asyncio.Task[None]] = set()
        self._tried_again_at = 0.0

    async def record(self, rows: Sequence[Row]) -> None:
        """See the port. Raises MetadataUnavailable within 2 s."""
        try:
            wanted = inserts(rows)
        except ValueError as error:
            raise MetadataUnavailable(f"a row cannot be written: {error}") from error
        if not wanted:
            return
        if time.monotonic() < self._tried_again_at:
            raise MetadataUnavailable("the database was away a moment ago")
        try:
            await self._within_time(self._insert(wanted))
        except REFUSALS as error:
            self._migration = None  # the database may have been made anew, without its tables
            raise MetadataUnavailable(f"the database refuses the rows ({_kind(error)})") from error
        except (SQLAlchemyError, OSError, TimeoutError) as error:
            self._tried_again_at = time.monotonic() + PAUSE_SECONDS
            raise MetadataUnavailable(f"the database does not answer ({_kind(error)})") from error

    @asynccontextmanager
    async def reading(self, *, migrated: bool = True) -> AsyncIterator[AsyncConnection]:
        """Lend a connection, by default to a database that was brought to this version. Raises MetadataUnavailable."""
        try:
            if migrated:
                await self._ready()
            async with self._engine.connect() as connection:
                yield connection
        except (SQLAlchemyError, OSError, TimeoutError) as error:
            raise MetadataUnavailable(f"the database does not answer ({_kind(error)})") from error

    async def close(self) -> None:
        """End the connections."""
        for task in {self._migration, *self._left} - {None}:
            if task:
                task.cancel()
        await self._engine.dispose()

    async def _insert(self, wanted: Sequence[Insert]) -> None:
        await self._ready()
        async with self._engine.begin() as connection:
            for table, rows in wanted:
                await connection.execute(_statement(table), rows)

    async def _ready(self) -> None:
        """Wait for the tables; the migration goes on where a caller's time is up, and a failed one is made anew."""
        if self._migration is None or (self._migration.done() and not _succeeded(self._migration)):
            self._migration = asyncio.create_task(self._migrate())
        await asyncio.shield(self._migration)

    async def _migrate(self) -> None:
        async with asyncio.timeout(MIGRATION_SECONDS), self._engine.connect() as connection:
            await connection.run_sync(migrate)
        log.info("the metadata database has the tables of this version")

    async def _within_time(self, work: Coroutine[Any, Any, None]) -> None:
        """Await the work for CALL_SECONDS; then leave it to end by itself, for ending a connection takes its time."""
        task = asyncio.create_task(work)
        self._left.add(task)
        task.add_done_callback(self._forget)
        try:
            done, _ = await asyncio.wait({task}, timeout=CALL_SECONDS)
        except asyncio.CancelledError:
            task.cancel()
            raise
        if not done:
            task.cancel()
            raise TimeoutError
        await task

    def _forget(self, task: asyncio.Task[None]) -> None:
        self._left.discard(task)
        if not task.cancelled():
            task.exception()  # looked at, so that asyncio does not complain of one that nobody awaits any more


def _statement(table: Table) -> Statement:
    """Return how rows get into a table; of two rows with one key see `port.replaces`."""
    statement = insert(table)
    if table is not decisions:
        # Not INSERT IGNORE: that would also cut what does not fit, in silence.
        return statement.on_duplicate_key_update(uid=table.c.uid)
    new = statement.inserted
    others = [c.name for c in table.columns if not c.primary_key and c.name != "data"]
    # What a column is set to counts for those after it: `data`, which tells whether anything is new, goes last.
    return statement.on_duplicate_key_update(
        [(name, case((table.c.data == new.data, table.c[name]), else_=new[name])) for name in others]
        + [("data", new.data)]
    )


def engine(host: str, port: int, name: str, user: str, password: str) -> AsyncEngine:
    """Make an engine that connects on use, in UTC, and asks a kept connection whether it lives before it is used."""
    url = URL.create("mysql+asyncmy", user, password, host, port, name, {"charset": "utf8mb4"})
    return create_async_engine(
        url,
        pool_size=3,
        max_overflow=2,
        pool_pre_ping=True,
        pool_recycle=1800,
        pool_timeout=CALL_SECONDS,
        hide_parameters=True,  # an error's text must not carry rows
        connect_args={"connect_timeout": CALL_SECONDS, "init_command": "SET time_zone = '+00:00'"},
    )


def _succeeded(task: asyncio.Task[None]) -> bool:
    return not task.cancelled() and task.exception() is None


def _kind(error: Exception) -> str:
    """Return the error's class and MySQL's number, never its text: it may quote rows and addresses."""
    numbers = getattr(getattr(error, "orig", None), "args", ())
    number = f" {numbers[0]}" if numbers and isinstance(numbers[0], int) else ""
    return f"{type(error).__name__}{number}"
