"""The parts of a status write that all kinds share: what differs, the patch that says so, rows that wait. Pure.

Called by `cycle` around each status write.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from datetime import datetime
from typing import Any

from trainyard.reconciling.plan import Record
from trainyard.resources.foreign import parts
from trainyard.systems.cluster.port import SCALARS

UNRECORDED_LIMIT = 50
RECORDED = "Recorded"
REASON_RECORDED = "Recorded"  # every row of this object is in the database
REASON_WAITING = "DatabaseUnavailable"  # rows wait in status.unrecorded

Status = Mapping[str, Any]


def normalised(value: Any) -> Any:
    """Return a value in which absent and empty are the same: no None, no empty map or list as a field."""
    if type(value) in SCALARS:
        return value
    if isinstance(value, Mapping):
        fields = {key: normalised(inner) for key, inner in value.items()}
        return {key: inner for key, inner in fields.items() if not _is_empty(inner)}
    if isinstance(value, Sequence) and not isinstance(value, str):
        return [normalised(item) for item in value]
    return value


def difference(live: Any, wanted: Status) -> dict[str, Any]:
    """Return the merge patch that turns the live map into the wanted one; {} where they say the same.

    What the live map has and the wanted one lacks is set to null.
    """
    if live == wanted:  # where most visits end
        return {}
    now, then = normalised(live if isinstance(live, Mapping) else {}), normalised(wanted)
    patch: dict[str, Any] = {key: None for key in now if key not in then}
    for key in then:
        before, value = now.get(key), wanted[key]
        if before == then[key]:
            continue
        patch[key] = difference(before, value) if isinstance(value, Mapping) and before else value
    return patch


def _is_empty(value: Any) -> bool:
    return value is None or (not value and isinstance(value, Mapping | list))


def waiting_rows(status: Status) -> list[dict[str, Any]]:
    """Return the rows that wait in a status; what is no row is left out."""
    return [dict(row) for row in parts(status, "unrecorded") if _is_row(row)]


def merged_rows(waiting: Iterable[Mapping[str, Any]], new: Iterable[Record]) -> list[dict[str, Any]]:
    """Add new rows to those that wait; a key (uid, sequence) that waits stays, but for another decision.

    See `Record`.
    """
    rows = {(row["uid"], row["sequence"]): dict(row) for row in waiting}
    for record in new:
        key, row = (record.uid, record.sequence), {**asdict(record), "data": dict(record.data)}
        if key not in rows or (record.type == "decision" and rows[key]["data"] != row["data"]):
            rows[key] = row
    return list(rows.values())


def as_record(row: Mapping[str, Any]) -> Record:
    """Read a waiting row back."""
    return Record(**row)


def _is_row(row: Mapping[str, Any]) -> bool:
    return row.keys() == Record.__dataclass_fields__.keys()


def with_rows(status: Status, live: Status, rows: Sequence[Any], generation: int, now: datetime) -> dict[str, Any]:
    """Return the status with the rows that wait, and the condition that tells."""
    cond = _recorded(live, bool(rows), generation, now)
    others = [c for c in parts(status, "conditions") if c.get("type") != RECORDED]
    return {**status, "unrecorded": list(rows), "conditions": [*others, cond]}


def keeping_rows(status: Status, live: Status, generation: int) -> dict[str, Any]:
    """Return the status with waiting rows as they are: intents leave them alone.

    Their condition speaks of this generation, or the status that follows would be another write.
    """
    others = [c for c in parts(status, "conditions") if c.get("type") != RECORDED]
    kept = [c for c in parts(live, "conditions") if c.get("type") == RECORDED]
    told = [{**c, "observedGeneration": generation} for c in kept]
    return {**status, "unrecorded": live.get("unrecorded") or [], "conditions": [*others, *told]}


def tells_of_rows(status: Status) -> bool:
    """Whether the status says anything about rows yet."""
    return bool(status.get("unrecorded")) or any(c.get("type") == RECORDED for c in parts(status, "conditions"))


def _recorded(live: Status, waits: bool, generation: int, now: datetime) -> dict[str, Any]:
    state = "False" if waits else "True"
    told: Status = {}
    before = next((c for c in parts(live, "conditions") if c.get("type") == RECORDED), told)
    since = before.get("lastTransitionTime") if before.get("status") == state else None
    return {
        "type": RECORDED,
        "status": state,
        "reason": REASON_WAITING if waits else REASON_RECORDED,
        "message": "The metadata database is away; rows wait in status." if waits else "",
        "observedGeneration": generation,
        "lastTransitionTime": since or now.strftime("%Y-%m-%dT%H:%M:%SZ"),
    }
