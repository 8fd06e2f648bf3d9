"""From the operator's rows to the tables' rows. Pure; called by the client inside its transaction."""

import json
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any, NamedTuple

from sqlalchemy import JSON, Integer, String, Table

from trainyard.systems.metadata.port import Row, replaces
from trainyard.systems.metadata.tables import artifacts, decisions, events, executions

# The row's own word for a column, where it is not the column's name; a dot leads into a part of the row.
WORDS: Mapping[str, Mapping[str, str]] = {
    "executions": {
        "version": "modelVersion",
        "requested_by": "requestedBy",
        "trigger_type": "trigger.type",
        "trigger_name": "trigger.name",
        "engine_id": "engineId",
        "package_digest": "packageDigest",
    },
    "artifacts": {},
    "decisions": {"actor": "by"},
}
TABLES: Mapping[str, tuple[Table, str]] = {
    "run": (executions, ""),
    "artifact": (artifacts, "Artifact"),
    "version": (artifacts, "ModelVersion"),
    "decision": (decisions, ""),
}
MESSAGE_LENGTH = 4096


class Insert(NamedTuple):
    """Rows of one table, all with the same columns."""

    table: Table
    rows: list[dict[str, Any]]


def inserts(rows: Iterable[Row]) -> list[Insert]:
    """Return what is to be inserted, table by table, a key once. Raises ValueError for what is no row."""
    kept: dict[tuple[str, int], Row] = {}
    for row in rows:
        key = (row.uid, row.sequence)
        if key not in kept or replaces(row, kept[key]):
            kept[key] = row
    found: dict[str, Insert] = {}
    for row in kept.values():
        for table, values in _values(row):
            found.setdefault(table.name, Insert(table, [])).rows.append(values)
    return list(found.values())


def _values(row: Row) -> Iterable[tuple[Table, dict[str, Any]]]:
    if row.type not in TABLES:
        raise ValueError(f"a row of type {row.type!r} has no table")
    table, kind = TABLES[row.type]
    data = json.loads(json.dumps(dict(row.data), allow_nan=False, default=str))
    fixed = {"uid": row.uid, "sequence": row.sequence, "at": utc(row.at), "namespace": row.namespace, "name": row.name}
    told = {c.name: _word(data, WORDS[table.name].get(c.name, c.name)) for c in table.columns if c.name not in fixed}
    told["data"] = data
    if kind:
        told["type"] = kind
    if table is decisions:
        told["decision"] = told["decision"] or data.get("event")
    yield table, fixed | {name: _fitting(table, name, value) for name, value in told.items()}
    if row.type in ("run", "version"):
        yield from _inputs(row, data.get("datasets"))


def _word(data: Any, word: str) -> Any:
    """Return what the row says under a word, None where it says nothing."""
    for part in word.split("."):
        data = data.get(part) if isinstance(data, Mapping) else None
    return data


def _inputs(row: Row, datasets: Any) -> Iterable[tuple[Table, dict[str, Any]]]:
    listed = datasets if isinstance(datasets, list) else ()
    for position, one in enumerate(d for d in listed if isinstance(d, Mapping)):
        values = {"type": "INPUT", "dataset": one.get("name"), "uri": one.get("uri"), "digest": one.get("digest")}
        fitting = {name: _fitting(events, name, value) for name, value in values.items()}
        yield events, {"uid": row.uid, "sequence": row.sequence, "position": position, **fitting}


def _fitting(table: Table, name: str, value: Any) -> Any:
    """Return the value as the column takes it: text cut to its length, a number that is none left out."""
    kind = table.columns[name].type
    if value is None or isinstance(kind, JSON):
        return value
    if isinstance(kind, Integer):
        return value if isinstance(value, int) else None
    text = value if isinstance(value, str) else json.dumps(value)
    return text[: (kind.length if isinstance(kind, String) else None) or MESSAGE_LENGTH]


def utc(stamp: str) -> datetime:
    """Read RFC 3339 as a time in UTC without zone, as DATETIME keeps it. Raises ValueError."""
    moment = datetime.fromisoformat(stamp)
    if moment.tzinfo is None:
        raise ValueError(f"{stamp!r} has no time zone")
    return moment.astimezone(UTC).replace(tzinfo=None)
