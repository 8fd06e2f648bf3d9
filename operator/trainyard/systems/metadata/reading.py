"""Questions to the record, as typed rows: for the CLI and the pages, over a connection of `MySQLMetadata.reading`."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Row as SqlRow
from sqlalchemy import Select, select
from sqlalchemy.ext.asyncio import AsyncConnection

from trainyard.systems.metadata.tables import artifacts, decisions, events, executions


@dataclass(frozen=True)
class RunRow:
    """What was told of a run at one moment (its start, its end). Times are UTC."""

    uid: str
    at: datetime
    namespace: str
    name: str
    event: str
    pipeline: str
    model: str
    reason: str
    version: str
    parameters: Mapping[str, Any]
    data: Mapping[str, Any]


@dataclass(frozen=True)
class DatasetRow:
    """A dataset that a version was trained on, and which bytes it was."""

    name: str
    uri: str
    digest: str


@dataclass(frozen=True)
class VersionRow:
    """A version of a model: which run made it, from what, with which images."""

    at: datetime
    namespace: str
    name: str
    model: str
    run: str
    uri: str
    digest: str
    metrics: Mapping[str, str]
    images: tuple[str, ...]
    datasets: tuple[DatasetRow, ...]
    parameters: Mapping[str, Any]


@dataclass(frozen=True)
class DecisionRow:
    """One decision: who or what took it, when, about what, with which verdict and numbers (`data`)."""

    sequence: int
    at: datetime
    namespace: str
    name: str
    decision: str
    verdict: str
    actor: str
    version: str
    revision: str
    message: str
    data: Mapping[str, Any]


async def runs(
    connection: AsyncConnection,
    namespace: str,
    *,
    pipeline: str | None = None,
    run: str | None = None,
    limit: int = 100,
) -> tuple[RunRow, ...]:
    """Return what was told of a namespace's runs, newest first."""
    t = executions.c
    query = select(executions).where(t.namespace == namespace).order_by(t.at.desc(), t.sequence.desc()).limit(limit)
    if pipeline is not None:
        query = query.where(t.pipeline == pipeline)
    if run is not None:
        query = query.where(t.name == run)
    return tuple(_run(row) for row in await connection.execute(query))


async def versions(
    connection: AsyncConnection, namespace: str, *, version: str | None = None, dataset: str | None = None,
    limit: int = 100,
) -> tuple[VersionRow, ...]:  # fmt: skip
    """Return versions with their run's parameters and their datasets, newest first.

    version: this one only. dataset: those trained on it, by name or by digest.
    """
    t = artifacts.c
    query = select(artifacts).where(t.namespace == namespace, t.type == "ModelVersion")
    if version is not None:
        query = query.where(t.name == version)
    if dataset is not None:
        e = events.c
        used = select(e.uid).where(e.uid == t.uid, (e.dataset == dataset) | (e.digest == dataset))
        query = query.where(used.exists())
    found = (await connection.execute(query.order_by(t.at.desc()).limit(limit))).all()
    return tuple([await _version(connection, row) for row in found])


async def decisions_of(
    connection: AsyncConnection, namespace: str, name: str, *, until: datetime | None = None, limit: int = 100
) -> tuple[DecisionRow, ...]:
    """Return the decisions about one object (a Rollout, a ModelVersion), newest first, up to a moment."""
    t = decisions.c
    query = select(decisions).where(t.namespace == namespace, t.name == name)
    if until is not None:
        query = query.where(t.at <= until.astimezone(UTC).replace(tzinfo=None))
    return tuple(_decision(row) for row in await connection.execute(_newest(query, limit)))


def _newest(query: Select[Any], limit: int) -> Select[Any]:
    return query.order_by(decisions.c.at.desc(), decisions.c.sequence.desc()).limit(limit)


def _run(row: SqlRow[Any]) -> RunRow:
    return RunRow(
        uid=row.uid,
        at=_utc(row.at),
        namespace=row.namespace,
        name=row.name,
        event=row.event or "",
        pipeline=row.pipeline or "",
        model=row.model or "",
        reason=row.reason or "",
        version=row.version or "",
        parameters=row.parameters or {},
        data=row.data,
    )


async def _version(connection: AsyncConnection, row: SqlRow[Any]) -> VersionRow:
    e = events.c
    used = select(events).where(e.uid == row.uid, e.sequence == row.sequence).order_by(e.position)
    told = await runs(connection, row.namespace, run=row.run, limit=1) if row.run else ()
    return VersionRow(
        at=_utc(row.at),
        namespace=row.namespace,
        name=row.name,
        model=row.model or "",
        run=row.run or "",
        uri=row.uri or "",
        digest=row.digest or "",
        metrics=row.metrics or {},
        images=tuple(row.images or ()),
        datasets=tuple(
            DatasetRow(d.dataset or "", d.uri or "", d.digest or "") for d in await connection.execute(used)
        ),
        parameters=told[0].parameters if told else {},
    )


def _decision(row: SqlRow[Any]) -> DecisionRow:
    return DecisionRow(
        sequence=row.sequence,
        at=_utc(row.at),
        namespace=row.namespace,
        name=row.name,
        decision=row.decision or "",
        verdict=row.verdict or "",
        actor=row.actor or "",
        version=row.version or "",
        revision=row.revision or "",
        message=row.message or "",
        data=row.data,
    )


def _utc(moment: datetime) -> datetime:
    return moment.replace(tzinfo=UTC)
