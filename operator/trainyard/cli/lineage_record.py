"""Lineage as the metadata database tells it: also what was pruned from the cluster. Read only, never migrated."""

from collections.abc import Sequence
from datetime import UTC, datetime
from urllib.parse import unquote, urlsplit

from trainyard.cli.lineage import Dataset, Decision, Facts, Run, Version
from trainyard.cli.problem import USAGE, Problem
from trainyard.systems.metadata import reading
from trainyard.systems.metadata.client import MySQLMetadata
from trainyard.systems.metadata.port import MetadataUnavailable

LIMIT = 10_000  # rows of one kind; a namespace's history of years
PORT = 3306


def database(address: str) -> MySQLMetadata:
    """Return a client for mysql://user:password@host:port/name. Raises Problem."""
    try:
        url = urlsplit(address)
        port = url.port or PORT
    except ValueError:
        raise _unreadable() from None
    name = url.path.strip("/")
    if url.scheme != "mysql" or not url.hostname or not name or not url.username:
        raise _unreadable()
    return MySQLMetadata(url.hostname, port, name, unquote(url.username), unquote(url.password or ""))


async def facts(address: str, namespace: str) -> Facts:
    """Read what was recorded of a namespace. Raises Problem."""
    client = database(address)
    try:
        async with client.reading(migrated=False) as connection:
            versions = await reading.versions(connection, namespace, limit=LIMIT)
            runs = await reading.runs(connection, namespace, limit=LIMIT)
            decisions = await reading.decisions_of(connection, namespace, limit=LIMIT)
    except MetadataUnavailable as error:
        raise Problem(f"The record: {error}. Without --database the cluster alone is asked.") from error
    finally:
        await client.close()
    return Facts(tuple(map(_version, versions)), _runs(runs), tuple(map(_decision, decisions)))


def _unreadable() -> Problem:
    return Problem("--database: write mysql://user:password@host:port/name.", USAGE)


def _version(row: reading.VersionRow) -> Version:
    return Version(
        name=row.name,
        model=row.model,
        at=_stamp(row.at),
        run=row.run,
        uri=row.uri,
        digest=row.digest,
        metrics=row.metrics,
        datasets=_datasets(row.datasets),
        images=row.images,
    )


def _runs(rows: Sequence[reading.RunRow]) -> tuple[Run, ...]:
    """Return one run for all that was told of it; rows come newest first."""
    told: dict[str, list[reading.RunRow]] = {}
    for row in rows:
        told.setdefault(row.uid, []).append(row)
    return tuple(_run(of) for of in told.values())


def _run(rows: Sequence[reading.RunRow]) -> Run:
    first = rows[-1]
    last = next((row for row in rows if row.event != "AttemptFailed"), rows[0])
    trigger = last.trigger_name if last.trigger_type in ("Schedule", "Event") else ""
    return Run(
        name=last.name,
        pipeline=last.pipeline,
        at=_stamp(first.at),
        state=last.reason or last.event,
        requested_by=last.requested_by,
        trigger=f"{last.trigger_type} {trigger}".strip(),
        experiment=last.experiment,
        description=str(last.data.get("description", "")),
        revision=last.revision,
        package_digest=last.package_digest,
        parameters=last.parameters,
        datasets=_datasets(last.datasets),
        images=last.images,
        version=last.version,
        attempts=tuple(row.reason for row in reversed(rows) if row.event == "AttemptFailed"),
    )


def _decision(row: reading.DecisionRow) -> Decision:
    version = row.version or row.name  # the gate's rows are about the version that they are named after
    return Decision(_stamp(row.at), row.decision, row.verdict, row.actor or row.name, version, row.message)


def _datasets(rows: Sequence[reading.DatasetRow]) -> tuple[Dataset, ...]:
    return tuple(Dataset(row.dataset, row.uri, row.digest) for row in rows)


def _stamp(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
