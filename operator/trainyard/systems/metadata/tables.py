"""The tables, in ML Metadata's words: executions, artifacts, events (what went in and out), and decisions.

No row is ever taken away; (uid, sequence) of the object that a row tells of is its key (`port.replaces`). `data`
keeps the whole of what was told; the columns beside it are what questions ask for, cut to their length. Plain SQL
types, so that MySQL 8.4 and MariaDB 10.11 take the same statements.
"""

from typing import Any

from sqlalchemy import JSON, BigInteger, Column, Index, Integer, MetaData, String, Table, Text
from sqlalchemy.dialects.mysql import DATETIME

metadata = MetaData()

NAME, DIGEST, URI = 253, 80, 1024
OPTIONS: dict[str, Any] = {"mysql_engine": "InnoDB", "mysql_charset": "utf8mb4", "mysql_collate": "utf8mb4_bin"}


def _key() -> list[Column[Any]]:
    """Return what every table begins with: the key, when it was (UTC, microseconds), and which object it tells of."""
    return [
        Column("uid", String(64), primary_key=True),
        Column("sequence", BigInteger, primary_key=True, autoincrement=False),
        Column("at", DATETIME(fsp=6), nullable=False),
        Column("namespace", String(63), nullable=False),
        Column("name", String(NAME), nullable=False),
    ]


# One row when a run starts, one for each attempt that failed, one when it ends.
executions = Table(
    "executions",
    metadata,
    *_key(),
    Column("event", String(63)),
    Column("pipeline", String(NAME)),
    Column("revision", String(NAME)),
    Column("model", String(NAME)),
    Column("attempt", Integer),
    Column("reason", String(63)),
    Column("version", String(NAME)),
    Column("parameters", JSON(none_as_null=True)),
    Column("data", JSON, nullable=False),
    Column("requested_by", String(NAME)),
    Column("trigger_type", String(16)),
    Column("trigger_name", String(63)),
    Column("experiment", String(128)),
    Column("engine", String(16)),
    Column("engine_id", String(64)),
    Column("package_digest", String(DIGEST)),
    Column("images", JSON(none_as_null=True)),
    Index("executions_by_name", "namespace", "name"),
    Index("executions_by_pipeline", "namespace", "pipeline", "at"),
    Index("executions_by_requester", "namespace", "requested_by", "at"),
    **OPTIONS,
)

# `type` is Artifact (what a run published) or ModelVersion (a model that may serve).
artifacts = Table(
    "artifacts",
    metadata,
    *_key(),
    Column("type", String(32), nullable=False),
    Column("model", String(NAME)),
    Column("run", String(NAME)),
    Column("uri", String(URI)),
    Column("digest", String(DIGEST)),
    Column("format", String(63)),
    Column("metrics", JSON(none_as_null=True)),
    Column("images", JSON(none_as_null=True)),
    Column("data", JSON, nullable=False),
    Index("artifacts_by_name", "namespace", "name"),
    Index("artifacts_by_model", "namespace", "model", "at"),
    Index("artifacts_by_digest", "digest"),
    **OPTIONS,
)

# The datasets of a run or a version: position in the row's list, and which bytes (none before they were read).
events = Table(
    "events",
    metadata,
    Column("uid", String(64), primary_key=True),
    Column("sequence", BigInteger, primary_key=True, autoincrement=False),
    Column("position", Integer, primary_key=True, autoincrement=False),
    Column("type", String(32), nullable=False),
    Column("dataset", String(NAME)),
    Column("uri", String(URI)),
    Column("digest", String(DIGEST)),
    Index("events_by_digest", "digest"),
    Index("events_by_dataset", "dataset"),
    **OPTIONS,
)

decisions = Table(
    "decisions",
    metadata,
    *_key(),
    Column("decision", String(63)),
    Column("verdict", String(63)),
    Column("actor", String(NAME)),
    Column("model", String(NAME)),
    Column("version", String(NAME)),
    Column("revision", String(NAME)),
    Column("digest", String(DIGEST)),
    Column("message", Text),
    Column("data", JSON, nullable=False),
    Index("decisions_by_name", "namespace", "name", "at"),
    Index("decisions_by_version", "namespace", "version", "at"),
    **OPTIONS,
)
