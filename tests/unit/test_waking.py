from collections.abc import Iterable, Mapping
from typing import Any

import pytest

from trainyard import naming
from trainyard.systems.cluster.port import (
    DEPLOYMENT,
    JOB,
    MODEL_VERSION,
    POD,
    ROLLOUT,
    TRAINING_PIPELINE,
    TRAINING_RUN,
    WORKFLOW,
    Kind,
    Obj,
    Ref,
)
from trainyard.systems.cluster.store import says
from trainyard.waking import woken_by


def obj(name: str, spec: Any = None, status: Any = None, **meta: Any) -> dict[str, Any]:
    return {"metadata": {"name": name, "namespace": "ns", **meta}, "spec": spec, "status": status}


def nothing(kind: Kind, namespace: str, fields: Mapping[str, str]) -> Iterable[Obj]:
    return ()


def woken(kind: Kind, before: Obj | None, now: Obj | None, *stored: tuple[Kind, Obj]) -> set[str]:
    def lookup(wanted: Kind, namespace: str, fields: Mapping[str, str]) -> Iterable[Obj]:
        return [o for k, o in stored if k == wanted and namespace in ("", "ns") and says(o, {}, fields)]

    keys = woken_by(kind, before, now, lookup)
    assert {k.namespace for k in keys} <= {"ns"}
    return {f"{k.kind.kind}/{k.name}" for k in keys}


def owner(kind: Kind, name: str) -> dict[str, str]:
    return {"apiVersion": kind.api_version, "kind": kind.kind, "name": name, "uid": "u"}


def test_no_object_wakes_nobody() -> None:
    assert woken_by(POD, None, None, nothing) == set()


def test_a_child_wakes_its_owner() -> None:
    child = obj("d", ownerReferences=[owner(ROLLOUT, "r"), owner(JOB, "j"), {"kind": "Odd"}])
    assert woken(DEPLOYMENT, None, child) == {"Rollout/r"}
    assert woken(DEPLOYMENT, child, None) == {"Rollout/r"}


def test_a_pod_wakes_by_label_for_its_owner_is_a_job() -> None:
    labels = {naming.LABEL_RUN: "run", naming.LABEL_PIPELINE: "p", "app": "x"}
    pod = obj("p-0", labels=labels, ownerReferences=[owner(JOB, "j")])
    assert woken(POD, None, pod) == {"TrainingRun/run", "TrainingPipeline/p"}


def test_a_child_that_changed_hands_wakes_both() -> None:
    before = obj("d", labels={naming.LABEL_ROLLOUT: "a"})
    after = obj("d", labels={naming.LABEL_ROLLOUT: "b"})
    assert woken(DEPLOYMENT, before, after) == {"Rollout/a", "Rollout/b"}


def test_a_stranger_wakes_nobody() -> None:
    assert woken(POD, None, obj("p")) == set()


def test_a_version_wakes_rollouts_of_its_model_and_its_run() -> None:
    version = obj("v", {"model": "m", "source": {"run": "r1"}})
    rollouts = [(ROLLOUT, obj("same", {"model": "m"})), (ROLLOUT, obj("other", {"model": "n"})), (ROLLOUT, obj("odd"))]
    assert woken(MODEL_VERSION, None, version, *rollouts) == {"ModelVersion/v", "Rollout/same", "TrainingRun/r1"}


def test_a_version_wakes_those_that_share_an_alias_which_it_lists_or_listed() -> None:
    before, now = obj("v", {"model": "m", "aliases": ["a"]}), obj("v", {"model": "m", "aliases": ["b"]})
    versions = [
        (MODEL_VERSION, obj(name, {"model": model, "aliases": aliases}))
        for name, model, aliases in (
            ("was", "m", ["a"]), ("is", "m", ["b", "c"]), ("no", "m", ["c"]), ("other", "n", ["a"]), ("odd", "m", 7),
        )
    ]  # fmt: skip
    assert woken(MODEL_VERSION, before, now, *versions) == {"ModelVersion/v", "ModelVersion/was", "ModelVersion/is"}
    assert woken(MODEL_VERSION, None, obj("v", {"model": "m"}), *versions) == {"ModelVersion/v"}


@pytest.mark.parametrize("spec", [None, "nonsense", {"model": None}, {"source": "nonsense"}, {"source": {"run": 7}}])
def test_a_strange_version_wakes_itself(spec: Any) -> None:
    assert woken(MODEL_VERSION, None, obj("v", spec), (ROLLOUT, obj("r", {}))) == {"ModelVersion/v"}


def test_a_run_wakes_its_pipeline() -> None:
    assert woken(TRAINING_RUN, None, obj("r", {"pipeline": "p"})) == {"TrainingRun/r", "TrainingPipeline/p"}


def test_a_pipeline_that_comes_or_changes_wakes_its_runs() -> None:
    runs = [(TRAINING_RUN, obj("mine", {"pipeline": "p"})), (TRAINING_RUN, obj("other", {"pipeline": "q"}))]
    one, two = obj("p", generation=1), obj("p", generation=2)
    assert woken(TRAINING_PIPELINE, None, one, *runs) == {"TrainingPipeline/p", "TrainingRun/mine"}
    assert woken(TRAINING_PIPELINE, one, two, *runs) == {"TrainingPipeline/p", "TrainingRun/mine"}
    assert woken(TRAINING_PIPELINE, one, one, *runs) == {"TrainingPipeline/p"}


def status(stable: str | None = None, canary: str | None = None, weight: int = 0, history: Any = ()) -> dict[str, Any]:
    roles = {"stable": stable and {"version": stable}, "canary": canary and {"version": canary}}
    return {**roles, "weight": weight, "history": history}


def test_a_rollout_wakes_the_versions_whose_part_in_it_changed() -> None:
    before = obj("r", {"version": {"name": "v1"}}, status("v1", "v2", 10))
    shifted = obj("r", {"version": {"name": "v1"}}, status("v1", "v2", 50))
    assert woken(ROLLOUT, before, shifted) == {"Rollout/r"}
    promoted = obj("r", {"version": {"name": "v1"}}, status("v2", None))
    assert woken(ROLLOUT, before, promoted) == {"Rollout/r", "ModelVersion/v1", "ModelVersion/v2"}
    named = obj("r", {"version": {"name": "v3"}}, status("v1", "v2", 10))
    assert woken(ROLLOUT, before, named) == {"Rollout/r", "ModelVersion/v1", "ModelVersion/v3"}
    assert woken(ROLLOUT, before, None) == {"Rollout/r", "ModelVersion/v1", "ModelVersion/v2"}


def test_an_aborted_version_is_woken_by_the_history() -> None:
    history = [{"version": "v2", "revision": "x", "outcome": "Aborted"}, "nonsense"]
    before, after = obj("r", None, status("v1")), obj("r", None, status("v1", history=history))
    assert woken(ROLLOUT, before, after) == {"Rollout/r", "ModelVersion/v2"}


def test_a_key_is_a_reference() -> None:
    assert woken_by(ROLLOUT, None, obj("r"), nothing) == {Ref(ROLLOUT, "ns", "r")}


def test_a_workflow_wakes_its_run_wherever_that_is() -> None:
    run = obj("once", annotations={naming.ANNOTATION_ENGINE_ID: "id-1"})
    others = (obj("other", annotations={naming.ANNOTATION_ENGINE_ID: "id-2"}), obj("fresh"))

    def everywhere(kind: Kind, namespace: str, fields: Mapping[str, str]) -> Iterable[Obj]:
        return (run, *others) if (kind, namespace) == (TRAINING_RUN, "") else ()

    def workflow(labels: Any) -> dict[str, Any]:
        return {"metadata": {"name": "w", "namespace": "kubeflow", "labels": labels}}

    assert woken_by(WORKFLOW, None, workflow({"pipeline/runid": "id-1"}), everywhere) == {
        Ref(TRAINING_RUN, "ns", "once")
    }
    assert woken_by(WORKFLOW, workflow({"pipeline/runid": "id-3"}), None, everywhere) == set()
    assert woken_by(WORKFLOW, None, workflow(None), everywhere) == set()
