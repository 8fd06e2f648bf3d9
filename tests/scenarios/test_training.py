"""Scenarios 34, 38, 39, 43, 45 and half of 44 on a whole cluster: real pods, the real store, the front door."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from tests.scenarios.cluster import Cluster, Obj, Refused, condition, wait_until

pytestmark = pytest.mark.cluster

IMAGE = "localhost/trainyard/operator:dev"  # has /bin/sh and python
MODEL = 'mkdir -p "$TRAINYARD_OUTPUT/model" && echo weights > "$TRAINYARD_OUTPUT/model/weights.bin"'
METRICS = """echo '{"auc": 0.91}' > "$TRAINYARD_OUTPUT/metrics.json" && echo Custom > "$TRAINYARD_OUTPUT/format\""""
TRAIN = f"{MODEL} && {METRICS}"
GPU = {"accelerator": {"resource": "nvidia.com/gpu", "count": 1}}
Wait = Callable[..., Obj]


def pipeline(script: str = TRAIN, *, image: str = IMAGE, job: Obj | None = None, **spec: Any) -> Obj:
    """Return a pipeline whose training is a shell script; `job` lays more over the engine's branch."""
    resources = {"requests": {"cpu": "10m", "memory": "16Mi"}, "limits": {"memory": "64Mi"}}
    more = dict(job or {})
    template = {
        "image": image,
        "command": ["/bin/sh", "-ec", script],
        "resources": resources,
        **more.pop("template", {}),
    }
    job = {"template": template, "volume": {"size": "16Mi"}, **more}
    body: Obj = {"model": "tiny", "engine": {"job": job}, "evaluation": {"metrics": [{"name": "auc", "min": "0.80"}]}}
    meta = {"name": "tiny"}
    return {
        "apiVersion": "trainyard.dev/v1alpha1",
        "kind": "TrainingPipeline",
        "metadata": meta,
        "spec": {**body, **spec},
    }


def one_off(name: str = "once", **spec: Any) -> Obj:
    """Return a run by hand."""
    meta = {"name": name}
    body = {"pipeline": "tiny", **spec}
    return {"apiVersion": "trainyard.dev/v1alpha1", "kind": "TrainingRun", "metadata": meta, "spec": body}


def fails(ns: Cluster, reason: str, timeout: float = 180) -> Obj:
    """Wait until the run `once` has failed for this reason, and left no ModelVersion."""
    run = ns.wait("trainingrun", "once", "Succeeded", "False", reason, timeout)
    assert ns.get("modelversion", "once") is None
    assert reason in ns.kubectl("get", "trainingruns", "once")
    return run


def failing_step(run: Obj) -> Obj:
    """Return the one step that failed."""
    failed: list[Obj] = [s for s in run["status"]["steps"] if s["state"] == "Failed"]
    (only,) = failed
    return only


def running(ns: Cluster, container: str = "train") -> Obj:
    """Wait until the training container runs and return its pod."""

    def probe() -> Obj | None:
        for pod in ns.list("pods", "trainyard.dev/run=once,trainyard.dev/role=train"):
            told = pod.get("status", {}).get("containerStatuses", [])
            if any(c["name"] == container and "running" in c["state"] for c in told):
                return pod
        return None

    found = wait_until("the training runs", probe)
    assert found is not None
    return found


def runs(ns: Cluster) -> list[str]:
    """Return the names of all runs."""
    return [r["metadata"]["name"] for r in ns.list("trainingruns")]


def seen(ns: Cluster) -> None:
    """Wait until the operator has seen the pipeline's present generation."""

    def probe() -> bool:
        found = ns.get("trainingpipeline", "tiny") or {}
        return bool(found.get("status", {}).get("observedGeneration") == found["metadata"]["generation"])

    wait_until("the pipeline is seen", probe)


# ---- 34: what starts a run ----


def test_34_only_inputs_start_runs(ns: Cluster) -> None:
    start: Obj = {"triggers": {"onChange": True}}
    ns.apply(pipeline(**start))
    (first,) = wait_until("a run", lambda: runs(ns))
    ns.wait("trainingrun", first, "Succeeded", "True")
    version = ns.wait("modelversion", first, "Ready", "True")
    assert version["spec"]["source"]["run"] == first
    changes: list[Obj] = [{}, {"suspend": True}, {"history": {"succeeded": 3}}, {"evaluation": {"noRules": "Accept"}}]
    for changed in changes:
        ns.apply(pipeline(**{**start, **changed}))
        seen(ns)
    assert runs(ns) == [first]
    ns.kubectl("delete", "trainingrun", first)
    ns.apply(pipeline(**start, timeoutSeconds=500))
    seen(ns)
    assert runs(ns) == [], "a run that was removed is not started again"
    assert ns.get("modelversion", first), "a model outlives the run that it came from"
    ns.apply(pipeline(f"{TRAIN} && true", **start))
    wait_until("a run of the changed training", lambda: runs(ns))
    assert runs(ns) != [first]


# ---- 38: parameters ----

EVERY_TYPE: list[Obj] = [
    {"name": "text", "type": "String", "default": "$(HOME) says 'hi'"},
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
    ],
    ids=["missing", "unknown", "mistyped"],
)
def test_38_wrong_parameters_start_nothing(ns: Cluster, given: Obj, sentence: str) -> None:
    ns.apply(pipeline(parameters=EVERY_TYPE))
    ns.create(one_off(parameters=given))
    run = fails(ns, "InvalidParameters")
    assert sentence in condition(run, "Accepted")["message"]
    assert ns.list("jobs") == []


def test_38_every_type_is_passed_exactly(ns: Cluster) -> None:
    ns.apply(pipeline(f'echo "$TRAINYARD_PARAMETERS" && {TRAIN}', parameters=EVERY_TYPE))
    ns.create(one_off(parameters={"whole": 7}))
    ns.wait("trainingrun", "once", "Succeeded", "True")
    passed = json.loads(ns.kubectl("logs", "job/once-1", "-c", "train"))
    assert passed == {p["name"]: p.get("default", 7) for p in EVERY_TYPE}


# ---- 39: each failure has its own reason, on the run and on the failing step ----


def test_39_out_of_memory(ns: Cluster) -> None:
    ns.apply(pipeline("python -c \"x = b'x' * (512 << 20)\""))
    ns.create(one_off())
    assert failing_step(fails(ns, "OutOfMemory"))["reason"] == "OutOfMemory"


def test_39_exit_3(ns: Cluster) -> None:
    ns.apply(pipeline("echo no column named target >&2; exit 3"))
    ns.create(one_off())
    run = fails(ns, "StepFailed")
    step = failing_step(run)
    assert (step["name"], step["exitCode"]) == ("train", 3)
    assert "no column named target" in condition(run, "Succeeded")["message"]


def test_39_a_gpu_that_nobody_has(ns: Cluster) -> None:
    ns.apply(pipeline(compute={"accelerator": {"resource": "nvidia.com/gpu", "count": 64}}, pendingTimeoutSeconds=20))
    ns.create(one_off())
    waiting = ns.wait("trainingrun", "once", "Succeeded", "Unknown", "Unschedulable")
    assert "nvidia.com/gpu" in condition(waiting, "Succeeded")["message"]
    run = fails(ns, "Unschedulable")
    assert failing_step(run)["reason"] == "Unschedulable"
    assert ns.list("pods", "trainyard.dev/run=once") == [], "a pod that waits is given up"


def test_39_an_image_that_does_not_exist(ns: Cluster) -> None:
    ns.apply(pipeline(image="localhost/trainyard/nowhere:1", pendingTimeoutSeconds=20))
    ns.create(one_off())
    waiting = ns.wait("trainingrun", "once", "Succeeded", "Unknown", "ImagePullFailed")
    assert "localhost/trainyard/nowhere:1" in condition(waiting, "Succeeded")["message"]
    assert failing_step(fails(ns, "ImagePullFailed"))["reason"] == "ImagePullFailed"


def test_39_evicted(ns: Cluster) -> None:
    """By the API that `kubectl drain` uses; no second try is configured."""
    ns.apply(pipeline("sleep 3600"))
    ns.create(one_off())
    pod = running(ns)["metadata"]["name"]
    eviction = {"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": pod, "namespace": ns.namespace}}
    eviction["deleteOptions"] = {"gracePeriodSeconds": 1}
    where = f"/api/v1/namespaces/{ns.namespace}/pods/{pod}/eviction"
    ns.kubectl("create", "--raw", where, "-f", "-", stdin=json.dumps(eviction))
    assert failing_step(fails(ns, "Evicted"))["reason"] == "Evicted"


def test_39_cancelled(ns: Cluster) -> None:
    ns.apply(pipeline("sleep 3600", compute=GPU))
    ns.create(one_off())
    running(ns)
    ns.patch("trainingrun", "once", {"spec": {"cancel": True}})
    assert failing_step(fails(ns, "Cancelled"))["reason"] == "Cancelled"
    assert ns.list("pods", "trainyard.dev/run=once") == [], "its accelerator is free"
    with pytest.raises(Refused, match="cancel cannot be taken back"):
        ns.patch("trainingrun", "once", {"spec": {"cancel": False}})


def test_39_timed_out(ns: Cluster) -> None:
    ns.apply(pipeline("sleep 3600", timeoutSeconds=5))
    ns.create(one_off())
    assert failing_step(fails(ns, "TimedOut"))["reason"] == "TimedOut"
    assert ns.list("pods", "trainyard.dev/run=once") == []


# ---- 43: deletion ----


def test_43_deletion_frees_the_accelerator_first(ns: Cluster) -> None:
    ns.apply(pipeline("sleep 3600", compute=GPU))
    ns.create(one_off())
    pod = running(ns)
    assert pod["spec"]["containers"][0]["resources"]["limits"]["nvidia.com/gpu"] == "1"
    ns.kubectl("delete", "trainingrun", "once", "--wait=false")

    def order() -> bool:
        """Whether the run is gone; its pod must be gone by then, so it is looked for first."""
        pods = ns.list("pods", "trainyard.dev/run=once")
        is_gone = ns.get("trainingrun", "once") is None
        assert not is_gone or not pods or not ns.list("pods", "trainyard.dev/run=once"), "the run went before its pod"
        return is_gone

    wait_until("the run is gone", order)
    wait_until(
        "its children are gone", lambda: not any(ns.list(k) for k in ("jobs", "services", "persistentvolumeclaims"))
    )


# ---- 44 (the part of the publisher) and 45 ----


def test_44_the_accelerator_is_free_while_it_is_published(ns: Cluster) -> None:
    ns.apply(pipeline(compute=GPU))
    ns.create(one_off())
    ns.wait("trainingrun", "once", "Succeeded", "True")
    (publisher,) = ns.list("pods", "trainyard.dev/run=once,trainyard.dev/role=publish")
    (trainer,) = ns.list("pods", "trainyard.dev/run=once,trainyard.dev/role=train")
    assert "nvidia.com/gpu" not in json.dumps(publisher["spec"]["containers"])
    ended = trainer["status"]["containerStatuses"][0]["state"]["terminated"]["finishedAt"]
    assert ended <= publisher["metadata"]["creationTimestamp"]


def test_44_the_upload_is_tried_again_and_nothing_is_trained_again(ns: Cluster) -> None:
    """The store refuses the publisher at first; the accelerator is free meanwhile."""
    secret = ns.get("secret", "trainyard-publisher")
    assert secret
    ns.patch("secret", "trainyard-publisher", {"stringData": {"AWS_SECRET_ACCESS_KEY": "wrong"}})
    ns.apply(pipeline(compute=GPU))
    ns.create(one_off())

    def retrying() -> bool:
        steps = (ns.get("trainingrun", "once") or {}).get("status", {}).get("steps", [])
        return any(s["name"] == "publish" and s.get("reason") == "Retrying" for s in steps)

    wait_until("the upload is tried again", retrying, 300)
    (trainer,) = ns.list("pods", "trainyard.dev/run=once,trainyard.dev/role=train")
    assert trainer["status"]["phase"] == "Succeeded", "a pod that has ended holds no accelerator"
    ns.patch("secret", "trainyard-publisher", {"data": secret["data"]})
    run = ns.wait("trainingrun", "once", "Succeeded", "True", timeout=420)
    assert run["status"]["attempt"] == 1
    assert len(ns.list("pods", "trainyard.dev/run=once,trainyard.dev/role=train")) == 1


# ---- volumes ----


def test_volumes_of_harmless_kinds(ns: Cluster) -> None:
    """A ConfigMap, a Secret that its owner opened to pods, and space of the pod's own; anything else is refused."""
    ns.kubectl("create", "configmap", "settings", "--from-literal=word=hello")
    ns.kubectl("create", "secret", "generic", "key", "--from-literal=token=s3cret")
    volumes: list[Obj] = [
        {"name": "settings", "mountPath": "/settings", "readOnly": True, "configMap": {"name": "settings"}},
        {"name": "key", "mountPath": "/key", "readOnly": True, "secret": {"name": "key"}},
        {"name": "space", "mountPath": "/space", "emptyDir": {"medium": "Memory", "sizeLimit": "1Mi"}},
    ]
    script = f'[ "$(cat /settings/word)" = hello ] && [ "$(cat /key/token)" = s3cret ] && touch /space/x && {TRAIN}'
    ns.apply(pipeline(script, job={"template": {"volumes": volumes}}))
    ns.create(one_off())
    ns.wait("trainingrun", "once", "Accepted", "False", "SecretNotUsable")
    ns.kubectl("label", "secret", "key", "trainyard.dev/usable-by-pods=true")
    ns.wait("trainingrun", "once", "Succeeded", "True")
    (pod,) = ns.list("pods", "trainyard.dev/run=once,trainyard.dev/role=train")
    assert pod["spec"]["securityContext"]["runAsNonRoot"] is True
    assert pod["spec"]["automountServiceAccountToken"] is False
    refused: tuple[Obj, ...] = ({"hostPath": {"path": "/"}}, {"projected": {"sources": []}}, {})
    for odd in refused:
        with pytest.raises(Refused):
            ns.apply(pipeline(job={"template": {"volumes": [{"name": "odd", "mountPath": "/odd", **odd}]}}))


def test_45_no_model(ns: Cluster) -> None:
    ns.apply(pipeline("true"))
    ns.create(one_off())
    run = fails(ns, "PublishFailed")
    assert (failing_step(run)["name"], failing_step(run)["exitCode"]) == ("publish", 3)


def test_45_malformed_metrics(ns: Cluster) -> None:
    ns.apply(pipeline(f'{MODEL} && echo "auc: high" > "$TRAINYARD_OUTPUT/metrics.json"'))
    ns.create(one_off())
    assert failing_step(fails(ns, "PublishFailed"))["name"] == "publish"


def test_45_a_half_upload_is_cut(ns: Cluster) -> None:
    """The publisher may not write: files may lie there, a manifest does not, and no model comes of it."""
    ns.patch("secret", "trainyard-publisher", {"stringData": {"AWS_SECRET_ACCESS_KEY": "wrong"}})
    ns.apply(pipeline())
    ns.create(one_off())
    run = fails(ns, "PublishFailed", timeout=420)  # three retries with the Job controller's backoff
    steps = {s["name"]: s["state"] for s in run["status"]["steps"]}
    assert steps == {"train": "Succeeded", "publish": "Failed"}, "it was retried without training again"
    assert len(ns.list("pods", "trainyard.dev/run=once,trainyard.dev/role=train")) == 1
