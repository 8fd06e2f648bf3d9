"""`trainyard alias set|remove|list`: which version of a model people call champion, and who was it before.

An alias is held by the newest Ready version that lists it. So it moves forward by a version listing it, and back by
the newer ones no longer listing it; `set` does both in an order in which it has a holder all along.
"""

from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from trainyard.cli import clock
from trainyard.cli.connection import Connection
from trainyard.cli.console import Columns, table
from trainyard.cli.objects import Obj, at, condition, reason
from trainyard.cli.problem import Problem
from trainyard.resources.aliases import Claim, age_key, holder
from trainyard.systems.cluster.port import MODEL_VERSION, Conflict, Ref

TRIES = 5  # a version's status may be written at the same time
COLUMNS = ("ALIAS", "MODEL", "VERSION", "AGE", "BEFORE")


@dataclass(frozen=True)
class Moved:
    """What `set` or `remove` did. before, now: who held the alias; None for nobody. taken_from: newer versions."""

    alias: str
    model: str
    before: str | None
    now: str | None
    taken_from: tuple[str, ...] = ()


async def set_alias(connection: Connection, version: str, alias: str) -> Moved:
    """Make a version hold an alias. Raises Problem where that would leave the alias without a holder."""
    target = await connection.find(MODEL_VERSION, version)
    versions = await _versions(connection, str(target["spec"]["model"]))
    newer = [v for v in versions if alias in _listed(v) and _age(v) > _age(target)]
    if newer and not claim(target).ready:
        raise Problem(
            f"ModelVersion {version!r} is not ready ({reason(target, 'Ready') or 'not judged yet'}): alias {alias!r} "
            f"stays with {_name(newer[-1])!r}."
        )
    await _write(connection, version, alias, listed=True)
    for other in newer:  # the oldest first: the newest holds it until the moment at which the target does
        await _write(connection, _name(other), alias, listed=False)
    return await _moved(connection, versions, alias, tuple(_name(v) for v in newer))


async def remove_alias(connection: Connection, version: str, alias: str) -> Moved:
    """Take an alias off a version; the next older Ready one that lists it holds it then."""
    target = await connection.find(MODEL_VERSION, version)
    if alias not in _listed(target):
        raise Problem(f"ModelVersion {version!r} does not list alias {alias!r}.")
    versions = await _versions(connection, str(target["spec"]["model"]))
    await _write(connection, version, alias, listed=False)
    return await _moved(connection, versions, alias, ())


def claim(version: Obj) -> Claim:
    """Return what counts of a version."""
    ready = condition(version, "Ready").get("status") == "True" and not at(version, "metadata.deletionTimestamp")
    return Claim(_name(version), at(version, "spec.createdAt"), bool(ready), frozenset(_listed(version)))


def sentence(moved: Moved) -> str:
    """Return what came of a move, for people."""
    words = f"Alias {moved.alias!r} of model {moved.model!r}"
    taken = f"; taken from {', '.join(moved.taken_from)}" if moved.taken_from else ""
    if moved.now is None:
        return f"{words} is held by nobody now{taken}."
    if moved.now == moved.before:
        return f"{words} stays with {moved.now}{taken}."
    return f"{words} is held by {moved.now} now" + (
        f", before by {moved.before}{taken}." if moved.before else f"{taken}."
    )


def as_json(moved: Moved) -> dict[str, Any]:
    """Return a move for programs."""
    return {
        "alias": moved.alias, "model": moved.model, "holder": moved.now, "before": moved.before,
        "takenFrom": list(moved.taken_from),
    }  # fmt: skip


def held(versions: Sequence[Obj]) -> list[tuple[str, str, Obj | None, list[Obj]]]:
    """Return (alias, model, its holder, the others that list it, newest first) of every alias."""
    found = []
    for model in sorted({str(v["spec"]["model"]) for v in versions}):
        of_model = sorted((v for v in versions if v["spec"]["model"] == model), key=_age, reverse=True)
        for alias in sorted({alias for v in of_model for alias in _listed(v)}):
            holding = holder(alias, map(claim, of_model))
            listing = [v for v in of_model if alias in _listed(v)]
            first = next((v for v in listing if holding and _name(v) == holding.name), None)
            found.append((alias, model, first, [v for v in listing if v is not first]))
    return found


def screen(versions: Sequence[Obj], present: datetime) -> Columns:
    """Return the aliases as a table; those that listed one before stand beside its holder."""
    return table(
        COLUMNS,
        [
            (
                alias, model, _name(holding) if holding else "(nobody)",
                clock.age(at(holding, "spec.createdAt"), present) if holding else "", ", ".join(map(_name, others)),
            )
            for alias, model, holding, others in held(versions)
        ],
        ("AGE", "MODEL", "BEFORE"),
    )  # fmt: skip


async def _moved(connection: Connection, before: Iterable[Obj], alias: str, taken_from: tuple[str, ...]) -> Moved:
    was = list(before)
    model = str(was[0]["spec"]["model"])
    holders = [holder(alias, map(claim, v)) for v in (was, await _versions(connection, model))]
    names = [h.name if h else None for h in holders]
    return Moved(alias, model, names[0], names[1], taken_from)


async def _versions(connection: Connection, model: str) -> list[Obj]:
    """Return the versions of a model, oldest first."""
    found = await connection.cluster.list(MODEL_VERSION, connection.namespace)
    return sorted((v for v in found if v["spec"]["model"] == model), key=_age)


async def _write(connection: Connection, name: str, alias: str, *, listed: bool) -> None:
    """Let a version list an alias, or no longer. A list is written as a whole, so over the object as it was read."""
    for _ in range(TRIES - 1):
        with suppress(Conflict):
            await _write_once(connection, name, alias, listed)
            return
    await _write_once(connection, name, alias, listed)


async def _write_once(connection: Connection, name: str, alias: str, listed: bool) -> None:
    version = await connection.find(MODEL_VERSION, name)
    others = [a for a in _listed(version) if a != alias]
    body = {"spec": {"aliases": [*others, alias] if listed else others}}
    seen = str(version["metadata"]["resourceVersion"])
    await connection.cluster.patch(Ref(MODEL_VERSION, connection.namespace, name), body, resource_version=seen)


def _listed(version: Obj) -> list[str]:
    return list(at(version, "spec.aliases", ()))


def _name(version: Obj) -> str:
    return str(version["metadata"]["name"])


def _age(version: Obj) -> tuple[datetime, str]:
    return age_key(str(at(version, "spec.createdAt")), _name(version))
