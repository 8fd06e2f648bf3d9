"""Our kinds on the rig: the full examples, and writes that answer with what the API server said."""

import copy
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from kubernetes import client

FOLDER = Path(__file__).parent
CRDS = FOLDER.parents[1] / "crds"
GROUP, VERSION = "trainyard.dev", "v1alpha1"

Obj = dict[str, Any]


class Refused(Exception):
    """The API server refused; `str()` is its sentence."""


def full(kind: str) -> list[Obj]:
    """Return the examples of a kind that use every field."""
    return list(yaml.safe_load_all((FOLDER / f"full/{kind.lower()}.yaml").read_text()))


def changed(obj: Mapping[str, Any], path: str, value: Any) -> Obj:
    """Return a copy with the field at a dotted path replaced; `value` None removes it. Numbers index lists."""
    copied = copy.deepcopy(dict(obj))
    *parents, last = [int(part) if part.isdigit() else part for part in path.split(".")]
    at: Any = copied
    for part in parents:
        at = at.setdefault(part, {}) if isinstance(at, dict) else at[part]
    if value is None:
        del at[last]
    else:
        at[last] = value
    return copied


@dataclass(frozen=True)
class Api:
    """Writes to one API server, in namespace default. Unknown fields are refused, as kubectl asks for it."""

    objects: client.CustomObjectsApi

    def create(self, obj: Mapping[str, Any], *, dry: bool = False) -> Obj:
        """Create an object; `dry` only asks. Raises Refused."""
        return self._call("create", self._where(obj), body=obj, dry_run="All" if dry else None)

    def patch(self, obj: Mapping[str, Any], body: Mapping[str, Any], *, dry: bool = True) -> Obj:
        """Merge-patch an object; `dry` only asks. Raises Refused."""
        return self._call("patch", self._named(obj), body=body, dry_run="All" if dry else None)

    def put_status(self, obj: Mapping[str, Any]) -> Obj:
        """Write an object's status over the present resourceVersion. Raises Refused."""
        now = self.get(obj)
        return self._call("replace", self._named(obj), "_status", body={**now, "status": obj["status"]})

    def get(self, obj: Mapping[str, Any]) -> Obj:
        """Return the object of that kind and name."""
        return self._call("get", self._named(obj))

    def delete(self, obj: Mapping[str, Any]) -> None:
        """Delete an object that is there."""
        self._call("delete", self._named(obj))

    def _where(self, obj: Mapping[str, Any]) -> dict[str, str]:
        return {"group": GROUP, "version": VERSION, "namespace": "default", "plural": f"{obj['kind'].lower()}s"}

    def _named(self, obj: Mapping[str, Any]) -> dict[str, str]:
        return {**self._where(obj), "name": obj["metadata"]["name"]}

    def _call(self, verb: str, where: Mapping[str, str], suffix: str = "", **arguments: Any) -> Obj:
        if verb == "patch":
            arguments["_content_type"] = "application/merge-patch+json"
        if verb not in ("get", "delete"):
            arguments["field_validation"] = "Strict"
        method = getattr(self.objects, f"{verb}_namespaced_custom_object{suffix}")
        try:
            answer: Obj = method(**where, **arguments)
        except client.ApiException as error:
            raise Refused(json.loads(error.body or "{}").get("message", str(error))) from None
        return answer
