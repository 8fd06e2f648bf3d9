"""Objects and observations for the tests of ModelVersions."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from trainyard.model_version.state import Evidence, Observed
from trainyard.resources.base import ObjectMeta
from trainyard.resources.model_version import ModelVersionSpec, ModelVersionStatus
from trainyard.systems.artifacts.port import Manifest, ManifestFile
from trainyard.systems.cluster.port import MODEL_VERSION, ROLLOUT, Ref

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
AT = "2026-03-01T12:00:00Z"
URI = "s3://trainyard/shop/churn/churn-1/1/"
KEY = Ref(MODEL_VERSION, "shop", "churn-1")
FILES = (ManifestFile("model/saved_model.pb", 40, "a" * 64), ManifestFile("model/variables/v.data", 900, "b" * 64))
MANIFEST = Manifest("SavedModel", FILES, {"auc": "0.93", "loss": "0.2"})
SIZES = {f.path: f.size for f in FILES}


def spec(*, rules: tuple[Mapping[str, str], ...] = ({"name": "auc", "min": "0.90"},), **changes: Any) -> dict[str, Any]:
    return {
        "model": "churn",
        "artifact": {"uri": URI, "digest": MANIFEST.digest, "format": "SavedModel"},
        "metrics": {"auc": "0.93"},
        "source": {"run": "churn-1"},
        "evaluation": {"metrics": list(rules)},
        "createdAt": "2026-03-01T11:59:00.123456Z",
        **changes,
    }


def manifest_object(**fields: Any) -> dict[str, Any]:
    return {
        "apiVersion": MODEL_VERSION.api_version,
        "kind": MODEL_VERSION.kind,
        "metadata": {"name": KEY.name, "namespace": KEY.namespace},
        "spec": spec(**fields),
    }


def observed(
    *,
    evidence: Evidence | None = None,
    status: Mapping[str, Any] | None = None,
    meta: Mapping[str, Any] | None = None,
    wanted: Mapping[str, Any] | None = None,
    **fields: Any,
) -> Observed:
    return Observed(
        meta=ObjectMeta.model_validate({"name": KEY.name, "namespace": KEY.namespace, "uid": "u1", **(meta or {})}),
        spec=ModelVersionSpec.model_validate(wanted or spec()),
        status=ModelVersionStatus.model_validate(status or {}),
        evidence=evidence or Evidence(manifest=MANIFEST, sizes=SIZES),
        **fields,
    )


def rollout(name: str, *, stable: str = "", canary: str = "", aborted: tuple[tuple[str, str], ...] = ()) -> Any:
    """A Rollout that serves these versions and has aborted these (version, message)."""
    digest = MANIFEST.digest
    status: dict[str, Any] = {
        "history": [
            {
                "revision": f"{n:010x}", "version": version, "digest": digest, "outcome": "Aborted", "message": message,
                "startedTime": AT, "finishedTime": AT,
            }
            for n, (version, message) in enumerate(aborted)
        ]
    }  # fmt: skip
    for role, version in (("stable", stable), ("canary", canary)):
        if version:
            status[role] = {"revision": "0123456789", "version": version, "digest": digest}
    return {
        "apiVersion": ROLLOUT.api_version,
        "kind": ROLLOUT.kind,
        "metadata": {"name": name, "namespace": KEY.namespace},
        "spec": {},
        "status": status,
    }


def by_type(status: Mapping[str, Any] | None) -> dict[str, tuple[str, str, str]]:
    """Conditions of a status as type -> (status, reason, message)."""
    assert status is not None
    return {c["type"]: (c["status"], c["reason"], c.get("message", "")) for c in status["conditions"]}
