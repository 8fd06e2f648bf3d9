import json
from dataclasses import replace
from typing import Any

import pytest

from tests.contracts.test_engine import CONFIG, REQUEST
from tests.scenarios.kubeflow import two_steps
from trainyard.resources.kfp_package import KfpPackage, Malformed
from trainyard.systems.engine import kubeflow_objects

OUTPUTS = {"modelOutput": {"task": "shout", "artifact": "model"}, "metricsOutput": {"task": "make", "artifact": "data"}}
RUN = replace(
    REQUEST,
    spec={"package": {"inline": KfpPackage(two_steps(), {}).text}, **OUTPUTS, "format": "ONNX"},
    compute={"nodeSelector": {"pool": "gpu"}, "tolerations": [{"key": "a"}]},
    parameters={"text": "x"},
)


def caching(run: Any) -> list[bool]:
    tasks = kubeflow_objects.prepared(run).spec["root"]["dag"]["tasks"]
    return [bool(tasks[t]["cachingOptions"].get("enableCache")) for t in ("make", "shout")]


def test_steps_whose_outputs_are_published_always_run() -> None:
    assert caching(RUN) == [False, False]
    assert caching(replace(RUN, spec={**RUN.spec, "metricsOutput": None})) == [True, False]
    assert caching(replace(RUN, spec={"package": RUN.spec["package"], "caching": False})) == [False, False]


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"spec": {}}, "keeps no package"),
        ({"compute": {"queue": "q"}}, "compute.queue"),
        ({"parameters": {"n": 2**60}}, "no integer beyond"),
    ],
)
def test_what_cannot_be_run_is_refused(change: dict[str, Any], sentence: str) -> None:
    with pytest.raises(Malformed, match=sentence):
        kubeflow_objects.prepared(replace(RUN, **change))


def test_an_identity_alone_names_no_steps() -> None:
    assert kubeflow_objects.tasks(replace(RUN, spec={})) == ()
    assert kubeflow_objects.tasks(RUN) == (("make",), ("shout",))


def test_names_on_the_server() -> None:
    assert kubeflow_objects.pipeline_name(RUN, multi_user=False) == "trainyard.team.churn"
    assert kubeflow_objects.pipeline_name(RUN, multi_user=True) == "churn"
    assert kubeflow_objects.experiment_name(RUN, multi_user=True) == "churn"
    named = replace(RUN, spec={**RUN.spec, "experiment": "ours"})
    assert kubeflow_objects.experiment_name(named, multi_user=True) == "ours"
    assert kubeflow_objects.experiment_name(replace(named, experiment="mine"), multi_user=True) == "mine"


def test_what_is_posted() -> None:
    body = kubeflow_objects.run_body(replace(RUN, attempt=2, description="why"), "p", "v", "e")
    assert body["run_id"] == RUN.id
    assert body["display_name"] == "once (attempt 2)"
    assert body["description"] == "why\nTrainingRun team/once; TrainingPipeline churn; model churn"
    assert body["runtime_config"] == {"parameters": {"text": "x"}, "pipeline_root": f"{RUN.output}kubeflow"}


def test_the_job_that_publishes() -> None:
    job = kubeflow_objects.publish_job(RUN, CONFIG)
    pod = job["spec"]["template"]["spec"]
    (collect,) = pod["initContainers"]
    (publish,) = pod["containers"]
    assert [c["command"][-1] for c in (collect, publish)] == ["collect", "publish"]
    assert all(set(volume) == {"name", "emptyDir"} for volume in pod["volumes"])
    assert not {"nodeSelector", "tolerations", "priorityClassName"} & pod.keys()
    env = {e["name"]: e["value"] for e in collect["env"]}
    assert json.loads(env["TRAINYARD_COLLECT"].replace("$$", "$")) == {
        "root": f"{RUN.output}kubeflow/", "run": RUN.id, "format": "ONNX",
        "model": {"task": "shout", "artifact": "model"}, "metrics": {"task": "make", "artifact": "data"},
    }  # fmt: skip
    rules = job["spec"]["podFailurePolicy"]["rules"]
    assert {r["onExitCodes"]["containerName"]: r["onExitCodes"]["values"] for r in rules} == {
        "publish": [3],
        "collect": [3, 5],
    }
    bare = replace(RUN, spec={**RUN.spec, "metricsOutput": None})
    assert (
        "metrics"
        not in kubeflow_objects.publish_job(bare, CONFIG)["spec"]["template"]["spec"]["initContainers"][0]["env"][-1][
            "value"
        ]
    )
