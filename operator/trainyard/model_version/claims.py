"""Other versions of the model that list or show an alias of this one, by their objects. Pure. Used by `observe`."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from trainyard.resources.aliases import Claim
from trainyard.resources.foreign import condition_status, part
from trainyard.resources.model_version import ModelVersionSpec


def claims_beside(name: str, spec: ModelVersionSpec, versions: Iterable[Mapping[str, Any]]) -> tuple[Claim, ...]:
    """Return the claims of the others that matter. One that is being deleted still shows what it has not let go."""
    found = (_claim(v) for v in versions if part(v, "spec").get("model") == spec.model)
    wanted = set(spec.aliases)
    return tuple(c for c in found if c.name != name and wanted & (c.aliases | c.holds))


def _claim(obj: Mapping[str, Any]) -> Claim:
    meta, spec, status = obj["metadata"], part(obj, "spec"), part(obj, "status")
    ready = condition_status(obj, "Ready") == "True"
    living = ready and "deletionTimestamp" not in meta
    return Claim(
        str(meta["name"]), str(spec.get("createdAt", "")), living, _words(spec, "aliases"), _words(status, "holds")
    )


def _words(part: Mapping[str, Any], field: str) -> frozenset[str]:
    words = part.get(field)
    return frozenset(str(word) for word in words) if isinstance(words, Sequence) else frozenset()
