"""Runs on a real API server: started once whatever is killed, refused before anything starts, freed before it goes.

Scenarios 34, 38, 43 and the Job engine's half of 35.
"""

import itertools
import json
import subprocess
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import pytest

from local.rig import ApiServerRig
from tests.fakes import kubelet
from tests.rig.kinds import CRDS
from tests.rig.training import Yard, summary

pytestmark = pytest.mark.rig

SPEC: dict[str, Any] = {
    "model": "churn",
    "engine": {"job": {"template": {"image": "localhost/trainer:1"}}},
    "parameters": [{"name": "epochs", "type": "Integer", "default": 3}],
    "compute": {"accelerator": {"resource": "nvidia.com/gpu", "count": 1}},
    "triggers": {"onChange": True},
}
BY_HAND = {**SPEC, "triggers": {"onChange": False}}
_numbers = itertools.count(1)


@pytest.fixture(scope="module")
def controlled() -> Iterator[ApiServerRig]:
    """Return an API server with the Job and garbage controllers, and our CRDs."""
    with ApiServerRig(kube_controllers=True) as started:
        yield started


@pytest.fixture(scope="module")
def kubectl(controlled: ApiServerRig) -> Callable[..., str]:
    """`kubectl(...)` as the admin."""

    def call(*arguments: str, stdin: str | None = None) -> str:
        command = [controlled.kubectl, "--kubeconfig", str(controlled.kubeconfig), *arguments]
        done = subprocess.run(command, input=stdin, text=True, capture_output=True, check=False, timeout=60)
        assert done.returncode == 0, done.stderr
        return done.stdout

    call("apply", "--server-side", "-f", str(CRDS))
    call("wait", "--for=condition=Established", "--timeout=60s", "-f", str(CRDS))
    return call


@pytest.fixture
def make(controlled: ApiServerRig, kubectl: Callable[..., str]) -> Iterator[Callable[[], Yard]]:
    """Return a function that makes a namespace with nothing in it; all operators end with the test."""
    yards: list[Yard] = []

    def new() -> Yard:
        name = f"yard-{next(_numbers)}"
        kubectl("create", "namespace", name)
        kubectl("wait", "--for=create", "--timeout=30s", "-n", name, "serviceaccount/default")
        yards.append(Yard(kubectl, controlled.kubeconfig, controlled.audit_log, name))
        return yards[-1]

    yield new
    for yard in yards:
        yard.stop()


@pytest.fixture
def yard(make: Callable[[], Yard]) -> Yard:
    """Return one such namespace, with the operator running."""
    made = make()
    made.start()
    return made


def _only_run(yard: Yard) -> str:
    names = [r["metadata"]["name"] for r in yard.until("a run", lambda: yard.those("trainingruns"))]
    assert len(names) == 1
    return str(names[0])


def _has_died_or_rests(yard: Yard) -> bool:
    return yard.has_died() or any(_at_rest(run) for run in yard.those("trainingruns"))


def test_started_once_though_killed_after_any_write(make: Callable[[], Yard]) -> None:
    kills = 0
    for j in itertools.count(1):
        yard = make()
        yard.apply("TrainingPipeline", "churn", SPEC)
        yard.start(kill_at=j)
        yard.until("died or ended", partial(_has_died_or_rests, yard))
        if not yard.has_died():
            break  # the whole life has fewer writes
        kills += 1
        yard.start()
        run = _only_run(yard)
        assert summary(yard.until(f"killed at write {j}", partial(yard.ended, run)))[1] == "Succeeded"
        yard.until("at rest", partial(yard.get, "modelversion", run))
        yard.stop()
        assert sorted(yard.created("jobs")) == [f"{run}-1", f"{run}-1-pub"], f"killed at write {j}"
        assert yard.created("trainingruns") == [run], f"killed at write {j}"
        assert yard.created("modelversions") == [run], f"killed at write {j}"
    assert kills >= 12, "a life has at least a dozen writes"


def _at_rest(run: dict[str, Any]) -> bool:
    return summary(run)[0] == "True"


def test_34_only_inputs_start_runs(yard: Yard) -> None:
    yard.apply("TrainingPipeline", "churn", SPEC)
    run = _only_run(yard)
    yard.until("it ends", lambda: yard.ended(run))
    for changed in ({}, {"suspend": True}, {"history": {"succeeded": 2, "failed": 2}}, {"suspend": False}):
        yard.apply("TrainingPipeline", "churn", {**SPEC, **changed})
        yard.until("the pipeline is seen", lambda: _is_seen(yard))
    assert [r["metadata"]["name"] for r in yard.those("trainingruns")] == [run]
    yard.kubectl("-n", yard.namespace, "delete", "trainingrun", run)
    yard.until("the run is gone", lambda: not yard.get("trainingrun", run))
    yard.apply("TrainingPipeline", "churn", {**SPEC, "suspend": False, "timeoutSeconds": 500})
    yard.until("the pipeline is seen", lambda: _is_seen(yard))
    assert yard.those("trainingruns") == [], "a run that was removed is not started again"
    yard.apply("TrainingPipeline", "churn", {**SPEC, "data": {"datasets": [{"name": "train", "uri": "s3://data/b/"}]}})
    assert _only_run(yard) != run


def _is_seen(yard: Yard) -> bool:
    pipeline = yard.get("trainingpipeline", "churn")
    return bool(pipeline.get("status", {}).get("observedGeneration") == pipeline["metadata"]["generation"])


EVERY_TYPE = [
    {"name": "text", "type": "String", "default": "a $(HOME) b"},
    {"name": "whole", "type": "Integer"},
    {"name": "rate", "type": "Double", "default": 0.1},
    {"name": "flag", "type": "Boolean", "default": False},
    {"name": "many", "type": "List", "default": [1, "two"]},
    {"name": "map", "type": "Struct", "default": {"a": {"b": 1}}},
]


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ({}, "whole has no default and no value"),
        ({"whole": 1, "other": 2}, "other is not a parameter of the pipeline"),
        ({"whole": 1.5}, "whole is a Double, not an Integer"),
        ({"whole": True}, "whole is a Boolean, not an Integer"),
        ({"whole": "1"}, "whole is a String, not an Integer"),
        ({"whole": 1, "text": 1}, "text is an Integer, not a String"),
        ({"whole": 1, "flag": 0}, "flag is an Integer, not a Boolean"),
        ({"whole": 1, "rate": "0.1"}, "rate is a String, not a Double"),
        ({"whole": 1, "many": {}}, "many is a Struct, not a List"),
        ({"whole": 1, "map": []}, "map is a List, not a Struct"),
    ],
    ids=["missing", "unknown", "fraction", "boolean", "text", "string", "flag", "double", "list", "struct"],
)
def test_38_wrong_parameters_start_nothing(yard: Yard, given: dict[str, Any], sentence: str) -> None:
    yard.apply("TrainingPipeline", "churn", {**BY_HAND, "parameters": EVERY_TYPE})
    yard.apply("TrainingRun", "once", {"pipeline": "churn", "parameters": given})
    run = yard.until("it is refused", lambda: yard.ended("once"))
    assert summary(run) == ("False", "InvalidParameters", f"Parameters: {sentence}.")
    accepted = next(c for c in run["status"]["conditions"] if c["type"] == "Accepted")
    assert (accepted["status"], accepted["reason"]) == ("False", "InvalidParameters")
    assert yard.created("jobs") == []


def test_38_every_type_is_passed_exactly(yard: Yard) -> None:
    yard.apply("TrainingPipeline", "churn", {**BY_HAND, "parameters": EVERY_TYPE})
    given = {"whole": 7, "many": [{"x": 1}], "rate": 2}
    yard.apply("TrainingRun", "once", {"pipeline": "churn", "parameters": given})
    pod = yard.until("a pod", lambda: yard.those("pods"))[0]
    env = {e["name"]: e.get("value", "") for e in pod["spec"]["containers"][0]["env"]}
    passed = json.loads(env["TRAINYARD_PARAMETERS"].replace("$$", "$"))
    expected = {"text": "a $(HOME) b", "flag": False, "map": {"a": {"b": 1}}}
    assert passed == {**expected, **given}
    assert "$$(HOME)" in env["TRAINYARD_PARAMETERS"], "Kubernetes must not expand it"


def test_43_deletion_frees_the_accelerator_first(yard: Yard) -> None:
    yard.scripts["train"] = [kubelet.running()]
    yard.apply("TrainingPipeline", "churn", BY_HAND)
    yard.apply("TrainingRun", "once", {"pipeline": "churn"})
    yard.until("it runs", lambda: summary(yard.get("trainingrun", "once"))[1] == "Running")
    (pod,) = yard.those("pods")
    assert pod["spec"]["containers"][0]["resources"]["limits"] == {"nvidia.com/gpu": "1"}
    where = ("-n", yard.namespace)
    hold = {"metadata": {"finalizers": [*pod["metadata"]["finalizers"], "test.example/kubelet"]}}
    yard.kubectl(*where, "patch", "pod", pod["metadata"]["name"], "--type", "merge", "-p", json.dumps(hold))
    yard.kubectl(*where, "delete", "trainingrun", "once", "--wait=false")
    stopping = yard.until("it stops", lambda: _is_stopping(yard))
    assert "trainyard.dev/cleanup" in stopping["metadata"]["finalizers"]
    yard.kubectl(
        *where, "patch", "pod", pod["metadata"]["name"], "--type", "merge", "-p", '{"metadata":{"finalizers":[]}}'
    )
    yard.until("the run is gone", lambda: not yard.get("trainingrun", "once"))
    assert yard.those("pods") == []
    yard.until("its children are gone", lambda: not any(yard.those(p) for p in ("jobs", "services")))
    assert yard.created("jobs") == ["once-1"]


def _is_stopping(yard: Yard) -> dict[str, Any]:
    run = yard.get("trainingrun", "once")
    return run if summary(run)[1] == "Stopping" else {}


def test_pods_of_a_run_meet_the_restricted_standard(yard: Yard) -> None:
    yard.kubectl("label", "namespace", yard.namespace, "pod-security.kubernetes.io/enforce=restricted")
    yard.apply("TrainingPipeline", "churn", {**SPEC, "data": {"datasets": [{"name": "train", "uri": "s3://data/a/"}]}})
    run = _only_run(yard)
    ended = yard.until("it ends", lambda: yard.ended(run))
    assert summary(ended)[1] == "Succeeded", ended["status"]
    version = yard.get("modelversion", run)
    assert version["spec"]["artifact"]["uri"] == f"s3://models/{yard.namespace}/churn/{run}/1/"
    assert version["spec"]["source"]["datasets"] == [kubelet.DATASET]
    assert "ownerReferences" not in version["metadata"]
