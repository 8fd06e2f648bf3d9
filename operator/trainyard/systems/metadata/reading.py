"""Questions to the record, as typed rows: for the CLI and the pages, over a connection of `MySQLMetadata.reading`.

A row's class names the columns that it is read from; what a row does not tell is the field's default.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from datetime import UTC, datetime
from typing import Any, TypeVar

from sqlalchemy import Column, ColumnElement, Select, Table, exists, or_, select, tuple_
from sqlalchemy import Row as SqlRow
from sqlalchemy.ext.asyncio import AsyncConnection

from trainyard.systems.metadata.tables import artifacts, decisions, events, executions

LIMIT = 100
Key = tuple[str, int]


@dataclass(frozen=True)
class DatasetRow:
    """A dataset that went into a run or a version, and which bytes it was ("" where they were never read)."""

    dataset: str = ""
    uri: str = ""
    digest: str = ""


@dataclass(frozen=True)
class RunRow:
    """What was told of a run at one moment (its start, an attempt that failed, its end). Times are UTC."""

    uid: str
    sequence: int
    at: datetime
    namespace: str
    name: str
    event: str = ""
    pipeline: str = ""
    revision: str = ""
    model: str = ""
    attempt: int = 0
    reason: str = ""
    version: str = ""
    requested_by: str = ""
    trigger_type: str = ""
    trigger_name: str = ""
    experiment: str = ""
    engine: str = ""
    engine_id: str = ""
    package_digest: str = ""
    images: tuple[str, ...] = ()
    parameters: Mapping[str, Any] = field(default_factory=dict)
    data: Mapping[str, Any] = field(default_factory=dict)
    datasets: tuple[DatasetRow, ...] = ()


@dataclass(frozen=True)
class VersionRow:
    """A version of a model: which run made it, from what, with which images. `told`: its run, as it was told last."""

    uid: str
    sequence: int
    at: datetime
    namespace: str
    name: str
    model: str = ""
    run: str = ""
    uri: str = ""
    digest: str = ""
    metrics: Mapping[str, str] = field(default_factory=dict)
    images: tuple[str, ...] = ()
    datasets: tuple[DatasetRow, ...] = ()
    told: RunRow | None = None

    @property
    def parameters(self) -> Mapping[str, Any]:
        """The parameters of its run."""
        return self.told.parameters if self.told else {}


@dataclass(frozen=True)
class DecisionRow:
    """One decision: who or what took it, when, about what, with which verdict and numbers (`data`)."""

    sequence: int
    at: datetime
    namespace: str
    name: str
    decision: str = ""
    verdict: str = ""
    actor: str = ""
    version: str = ""
    revision: str = ""
    message: str = ""
    data: Mapping[str, Any] = field(default_factory=dict)


R = TypeVar("R", DatasetRow, RunRow, VersionRow, DecisionRow)


async def runs(
    connection: AsyncConnection, namespace: str, *, pipeline: str | None = None, model: str | None = None,
    run: str | None = None, requested_by: str | None = None, dataset: str | None = None, limit: int = LIMIT,
) -> tuple[RunRow, ...]:  # fmt: skip
    """Return what was told of a namespace's runs, newest first. dataset: a name, URI or digest that went in."""
    t = executions.c
    wanted = ((t.pipeline, pipeline), (t.model, model), (t.name, run), (t.requested_by, requested_by))
    found = await _found(connection, _newest(executions, namespace, wanted, _used(executions, dataset), limit))
    inputs = await _inputs(connection, found)
    return tuple(_read(RunRow, row, datasets=inputs.get((row.uid, row.sequence), ())) for row in found)


async def versions(
    connection: AsyncConnection, namespace: str, *, version: str | None = None, model: str | None = None,
    dataset: str | None = None, limit: int = LIMIT,
) -> tuple[VersionRow, ...]:  # fmt: skip
    """Return versions with their runs and their datasets, newest first. dataset: by name, URI or digest."""
    t = artifacts.c
    query = _newest(artifacts, namespace, ((t.name, version), (t.model, model)), _used(artifacts, dataset), limit)
    found = await _found(connection, query.where(t.type == "ModelVersion"))
    inputs = await _inputs(connection, found)
    makers = await _makers(connection, namespace, {row.run for row in found if row.run})
    return tuple(
        _read(VersionRow, row, datasets=inputs.get((row.uid, row.sequence), ()), told=makers.get(row.run))
        for row in found
    )


async def decisions_of(
    connection: AsyncConnection, namespace: str, *, name: str | None = None, version: str | None = None,
    until: datetime | None = None, limit: int = LIMIT,
) -> tuple[DecisionRow, ...]:  # fmt: skip
    """Return the decisions by or about an object or a version, newest first, up to a moment."""
    t = decisions.c
    query = _newest(decisions, namespace, ((t.name, name), (t.version, version)), None, limit)
    if until is not None:
        query = query.where(t.at <= until.astimezone(UTC).replace(tzinfo=None))
    return tuple(_read(DecisionRow, row) for row in await _found(connection, query))


def _newest(
    table: Table, namespace: str, wanted: Iterable[tuple[Column[Any], str | None]], more: ColumnElement[bool] | None,
    limit: int,
) -> Select[Any]:  # fmt: skip
    query = select(table).where(table.c.namespace == namespace)
    query = query.where(*(column == value for column, value in wanted if value is not None))
    query = query if more is None else query.where(more)
    return query.order_by(table.c.at.desc(), table.c.sequence.desc()).limit(limit)


def _used(table: Table, dataset: str | None) -> ColumnElement[bool] | None:
    """Return that a dataset of this name, URI or digest went into what a row tells of."""
    if dataset is None:
        return None
    e = events.c
    named = or_(*(column == dataset for column in (e.dataset, e.uri, e.digest)))
    return exists().where(e.uid == table.c.uid, e.sequence == table.c.sequence, named)


async def _found(connection: AsyncConnection, query: Select[Any]) -> Sequence[SqlRow[Any]]:
    rows: Sequence[SqlRow[Any]] = (await connection.execute(query)).all()
    return rows


async def _inputs(connection: AsyncConnection, of: Sequence[SqlRow[Any]]) -> Mapping[Key, tuple[DatasetRow, ...]]:
    """Return the datasets of rows, by the rows' keys."""
    e = events.c
    keys = [(row.uid, row.sequence) for row in of]
    query = select(events).where(tuple_(e.uid, e.sequence).in_(keys)).order_by(e.position)
    found: dict[Key, tuple[DatasetRow, ...]] = {}
    for row in await _found(connection, query) if keys else ():
        key = (row.uid, row.sequence)
        found[key] = (*found.get(key, ()), _read(DatasetRow, row))
    return found


async def _makers(connection: AsyncConnection, namespace: str, names: set[str]) -> Mapping[str, RunRow]:
    """Return what was told last of these runs, by name."""
    t = executions.c
    query = select(executions).where(t.namespace == namespace, t.name.in_(names)).order_by(t.at, t.sequence)
    return {row.name: _read(RunRow, row) for row in (await _found(connection, query) if names else ())}


def _read(kind: type[R], row: SqlRow[Any], **more: Any) -> R:
    columns = row._mapping
    told = {f.name: columns[f.name] for f in fields(kind) if f.name in columns and f.name not in more}
    return kind(**{name: _value(value) for name, value in told.items() if value is not None}, **more)


def _value(value: Any) -> Any:
    """Return a time with the zone that DATETIME does not keep, a list as a tuple, anything else as it is."""
    if isinstance(value, datetime):
        return value.replace(tzinfo=UTC)
    return tuple(value) if isinstance(value, list) else value
