"""Which bytes a run is made from: the versions of its datasets, taken before it gets its identity. Used by `observe`.

The versions are kept in metadata, in the same write as the identity: a run that may have been started tells them for
good, also after it failed or its status was lost. What cannot be listed holds the run back, before it takes a GPU.
"""

import json
from dataclasses import dataclass

from pydantic import ValidationError

from trainyard import naming
from trainyard.resources.base import ObjectMeta
from trainyard.resources.training_run import DatasetStatus
from trainyard.systems.artifacts.addresses import address
from trainyard.systems.artifacts.datasets import NoFolder, TooMany, listing
from trainyard.systems.artifacts.port import ArtifactError, Artifacts
from trainyard.systems.bundle import Config
from trainyard.systems.engine.port import RunRequest
from trainyard.training_run import reasons

OBJECTS_LIMIT = 100_000  # of all datasets of a run: a hundred requests, some seconds
NAMESPACE = "{namespace}"  # stands in a configured location for the run's own


@dataclass(frozen=True)
class Data:
    """The versions of a run's datasets, or why there are none (`reason`, `message`)."""

    versions: tuple[DatasetStatus, ...] = ()
    reason: str = ""
    message: str = ""


class _Held(Exception):
    """The run cannot start with this dataset."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason


def written(data: Data) -> dict[str, str]:
    """Return the annotation that keeps the versions; none for a run without datasets."""
    rows = [version.to_wire() for version in data.versions]
    return {naming.ANNOTATION_DATASETS: naming.canonical(rows)} if rows else {}


def kept(meta: ObjectMeta) -> Data:
    """Return the versions that the run carries. What cannot be read tells nothing."""
    try:
        rows = json.loads(meta.annotations.get(naming.ANNOTATION_DATASETS, "[]"))
        return Data(tuple(DatasetStatus.model_validate(row) for row in rows))
    except (ValidationError, ValueError, TypeError, RecursionError):
        return Data()


def changed(before: Data, now: Data) -> tuple[str, ...]:
    """Return the names of the datasets that are not what they were."""
    present = {version.name: version.digest for version in now.versions}
    return tuple(version.name for version in before.versions if present.get(version.name) != version.digest)


async def looked_at(request: RunRequest, artifacts: Artifacts, config: Config) -> Data:
    """List every dataset, with the operator's own identity and so only where the run's namespace may look."""
    versions: list[DatasetStatus] = []
    left = OBJECTS_LIMIT
    try:
        for name, uri in request.datasets.items():
            digest, count = await _version(name, uri, request.namespace, left, artifacts, config)
            versions.append(DatasetStatus(name=name, uri=uri, digest=digest))
            left -= count
    except _Held as held:
        return Data((), held.reason, str(held))
    return Data(tuple(versions))


async def _version(
    name: str, uri: str, namespace: str, limit: int, artifacts: Artifacts, config: Config
) -> tuple[str, int]:
    """Return a dataset's digest and how many objects it has. Raises _Held."""
    if refusal := misplaced(uri, namespace, config):
        raise _Held(reasons.DATASET_NOT_ALLOWED, f"Dataset {name}: {refusal}.")
    try:
        found = await listing(artifacts, uri, limit)
    except ArtifactError as error:
        raise _Held(reasons.DATASET_UNAVAILABLE, f"Dataset {name}: {error}.") from error
    except TooMany as error:
        message = f"Dataset {name}: a run may have {OBJECTS_LIMIT:,} objects of data; pack them into larger ones."
        raise _Held(reasons.DATASET_TOO_LARGE, message) from error
    except NoFolder as error:
        raise _Held(reasons.DATASET_UNUSABLE, f"Dataset {name}: {error}.") from error
    if found is None:
        raise _Held(reasons.DATASET_EMPTY, f"Dataset {name}: there is nothing at {uri}.")
    return found.digest, len(found.objects)


def misplaced(uri: str, namespace: str, config: Config) -> str:
    """Return why a URI is refused, "" where it lies in one of the namespace's locations, however it is spelled."""
    try:
        address(uri)
    except ValueError as error:
        return str(error)
    if "%" in uri:
        return f"{uri!r} has a percent sign, which could be read in two ways"
    allowed = locations(namespace, config)
    if any(f"{uri}/".startswith(place) for place in allowed):
        return ""
    return f"{uri} lies in none of {', '.join(allowed)}"


def locations(namespace: str, config: Config) -> tuple[str, ...]:
    """Return the prefixes that a namespace's data may lie below: its own, the shared one, the configured ones."""
    own = (f"s3://{config.bucket}/{part}/" for part in (namespace, naming.DATA_PREFIX))
    return (*own, *(place.replace(NAMESPACE, namespace) for place in config.data_locations))
