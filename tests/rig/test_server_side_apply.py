"""Server-side apply of our kinds: an empty map is taken whatever stood in it, by one manager and beside others."""

import json
import subprocess
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import pytest

from local.rig import ApiServerRig
from tests.rig.kinds import Api, Obj, Refused, changed, full

pytestmark = pytest.mark.rig

KUBERNETES = "spec.target.kubernetes"
EMPTIED = [
    (0, f"{KUBERNETES}.serving.resources"),
    (0, f"{KUBERNETES}.serving.resources.requests"),
    (0, f"{KUBERNETES}.serving.compute.nodeSelector"),
    (0, f"{KUBERNETES}.traffic.timeouts"),
    (0, "spec.strategy.canary.sessionAffinity.cookie"),
    (0, "spec.analysis.metrics.4.sequential"),
    (1, "spec.version.latest"),
    (2, "spec.strategy.blueGreen"),
    (2, "spec.strategy.blueGreen.beforeSwitch"),
    (3, "spec.strategy.experiment.assignment.cookie"),
]
WHOLE: Obj = {
    "apiVersion": "trainyard.dev/v1alpha1",
    "kind": "Rollout",
    "metadata": {"name": "whole", "namespace": "default"},
    "spec": {
        "model": "churn",
        "version": {"latest": {}},
        "target": {
            "kubernetes": {
                "serving": {"resources": {}, "compute": {"nodeSelector": {}}},
                "traffic": {"parentRefs": [{"name": "public"}], "timeouts": {}},
            }
        },
        "strategy": {"blueGreen": {}},
        "analysis": {"metrics": [{"name": "errors", "builtin": "ErrorRate", "margin": "0.01", "sequential": {}}]},
    },
}


class Person:
    """Applies as `kubectl apply` does; raises AssertionError with what was said where it is refused."""

    def __init__(self, rig: ApiServerRig) -> None:
        self._command = [rig.kubectl, "--kubeconfig", str(rig.kubeconfig)]

    def server_side(self, obj: Obj, manager: str = "kubectl") -> Obj:
        """Apply by server-side apply."""
        return self._apply(obj, "--server-side", "--field-manager", manager)

    def client_side(self, obj: Obj) -> Obj:
        """Apply as kubectl does unless told otherwise."""
        return self._apply(obj)

    def _apply(self, obj: Obj, *flags: str) -> Obj:
        command = [*self._command, "apply", *flags, "-o", "json", "-f", "-"]
        done = subprocess.run(command, input=json.dumps(obj), text=True, capture_output=True, check=False, timeout=60)
        assert done.returncode == 0, done.stderr
        answer: Obj = json.loads(done.stdout)
        return answer


@pytest.fixture
def person(rig: ApiServerRig, api: Api) -> Iterator[Person]:
    yield Person(rig)
    for name in ("whole", "emptied"):
        with suppress(Refused):  # a test makes one of them
            api.delete(named(WHOLE, name))


def named(obj: Obj, name: str) -> Obj:
    """Return its spec under another name: objects of other tests may stand here."""
    return {**obj, "metadata": {"name": name, "namespace": "default"}}


@pytest.mark.parametrize(("example", "path"), EMPTIED, ids=str)
def test_what_was_filled_may_be_emptied(example: int, path: str, person: Person) -> None:
    filled = {key: value for key, value in full("Rollout")[example].items() if key != "status"}
    obj = named(filled, "emptied")
    person.server_side(obj)
    at: Any = person.server_side(changed(obj, path, {}))
    for part in path.split("."):
        at = at[int(part) if part.isdigit() else part]
    assert at == {}


def test_client_side_then_server_side_again_and_again(person: Person) -> None:
    person.client_side(WHOLE)
    told = [person.server_side(WHOLE)["metadata"]["generation"] for _ in range(3)]
    assert told == [1, 1, 1]


def test_unchanged_is_no_write(person: Person) -> None:
    told = [person.server_side(WHOLE)["metadata"]["resourceVersion"] for _ in range(3)]
    assert len(set(told)) == 1


def test_another_manager_may_own_another_part_or_apply_the_same(person: Person, api: Api) -> None:
    person.server_side(WHOLE)
    part = {**WHOLE, "spec": {"paused": True}}
    person.server_side(part, "other")
    person.server_side(WHOLE)
    person.server_side(WHOLE, "argocd")
    api.patch(WHOLE, {"metadata": {"finalizers": ["trainyard.dev/held"]}}, dry=False)
    kept = person.server_side(WHOLE)
    assert kept["spec"]["paused"] is True
    assert kept["metadata"]["finalizers"] == ["trainyard.dev/held"]
    assert kept["metadata"]["generation"] == 2
    api.patch(WHOLE, {"metadata": {"finalizers": None}}, dry=False)
