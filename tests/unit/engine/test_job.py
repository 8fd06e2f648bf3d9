"""The Job engine over the fake cluster: what is created, whose it is, what events add, what was published."""

import json
from dataclasses import replace
from typing import Any

import pytest

from tests.contracts.test_engine import CONFIG, OWNER, REQUEST, JobBench
from tests.fakes import kubelet
from trainyard.systems.artifacts.port import MANIFEST, Manifest
from trainyard.systems.cluster.port import (
    EVENT,
    JOB,
    POD,
    SERVICE,
    VOLUME_CLAIM,
    Conflict,
    Forbidden,
    Invalid,
    Ref,
)
from trainyard.systems.engine import job_objects
from trainyard.systems.engine.port import EngineError, Phase


@pytest.fixture
def bench() -> JobBench:
    return JobBench()


async def test_everything_belongs_to_the_run(bench: JobBench) -> None:
    await bench.engine.start(REQUEST)
    made = [obj for kind in (VOLUME_CLAIM, SERVICE, JOB) for obj in bench.cluster.all(kind)]
    assert [o["metadata"]["name"] for o in made] == ["once", "once-1", "once-1"]
    for obj in made:
        (owner,) = obj["metadata"]["ownerReferences"]
        assert (owner["uid"], owner["blockOwnerDeletion"]) == (OWNER, False)
        assert obj["metadata"]["labels"]["app.kubernetes.io/managed-by"] == "trainyard"


@pytest.mark.parametrize("kind", [VOLUME_CLAIM, SERVICE, JOB])
async def test_a_namesake_of_somebody_else_is_not_taken(bench: JobBench, kind: Any) -> None:
    name = "once" if kind == VOLUME_CLAIM else "once-1"
    meta = {"name": name, "namespace": "team"}
    bench.cluster.seed({"apiVersion": kind.api_version, "kind": kind.kind, "metadata": meta, "spec": {}})
    with pytest.raises(EngineError, match=f"{kind.kind} {name} exists and does not belong to this run"):
        await bench.engine.start(REQUEST)


async def test_a_half_start_is_completed(bench: JobBench) -> None:
    bench.cluster.fail("create", JOB, Invalid("no"))
    with pytest.raises(EngineError, match="refuses: no"):
        await bench.engine.start(REQUEST)
    await bench.engine.start(REQUEST)
    assert bench.started() == 1


async def test_a_conflict_is_the_cycles_business(bench: JobBench) -> None:
    await bench.engine.start(REQUEST)
    bench.cluster.fail("delete", JOB, Conflict("another uid"))
    with pytest.raises(Conflict):
        await bench.engine.cancel(REQUEST)


async def test_an_event_tells_why_a_pod_waits(bench: JobBench) -> None:
    await bench.engine.start(REQUEST)
    assert (await bench.engine.state(REQUEST)).message == ""
    (job,) = bench.cluster.all(JOB)
    for name, reason, message, time, uid in (
        ("a", "FailedCreate", "old", "2026-11-24T00:00:01Z", job["metadata"]["uid"]),
        ("b", "FailedCreate", 'no PriorityClass with name "x"', "2026-11-24T00:00:02Z", job["metadata"]["uid"]),
        ("c", "FailedScheduling", "stale", "2026-11-24T00:00:03Z", job["metadata"]["uid"]),
        ("d", "FailedMount", "of another", "2026-11-24T00:00:04Z", "elsewhere"),
    ):
        bench.cluster.seed(
            {
                "apiVersion": "v1",
                "kind": "Event",
                "metadata": {"name": name, "namespace": "team"},
                "involvedObject": {"uid": uid},
                "reason": reason,
                "message": message,
                "lastTimestamp": time,
            }
        )
    state = await bench.engine.state(REQUEST)
    assert (state.phase, state.message) == (Phase.PENDING, 'no PriorityClass with name "x"')


async def test_events_that_may_not_be_read_are_done_without(bench: JobBench) -> None:
    await bench.engine.start(REQUEST)
    bench.cluster.fail("list", EVENT, Forbidden("no"))
    assert (await bench.engine.state(REQUEST)).phase is Phase.PENDING


async def test_absence_is_looked_at_live(bench: JobBench) -> None:
    before = bench.cluster.reads
    await bench.engine.state(REQUEST)
    assert bench.cluster.reads - before == 4, "store and live, Jobs and pods"


async def test_pods_without_their_job_are_deleted(bench: JobBench) -> None:
    await bench.engine.start(REQUEST)
    bench.kubelet.tick()
    (pod,) = bench.cluster.all(POD)
    where = Ref(POD, "team", pod["metadata"]["name"])
    bench.cluster.edit(where, {"metadata": {"ownerReferences": None}})
    bench.cluster.remove(Ref(JOB, "team", "once-1"))
    assert (await bench.engine.state(REQUEST)).reason == "Stopping"
    assert not await bench.engine.cancel(REQUEST)
    assert "deletionTimestamp" in bench.cluster.look(where)["metadata"]  # type: ignore[index] # it is there


# ---- outputs ----


async def _ended(bench: JobBench, manifest: Manifest) -> Any:
    bench.kubelet.manifest = manifest
    await bench.engine.start(REQUEST)
    await bench.run_to_the_end()
    return await bench.engine.outputs(REQUEST)


async def test_outputs_tell_image_datasets_and_time(bench: JobBench) -> None:
    outputs = await _ended(bench, kubelet.MANIFEST)
    assert outputs.image_digests == (kubelet.IMAGE,)
    assert outputs.datasets == (kubelet.DATASET,)
    assert outputs.completed_at == "2026-11-24T00:00:00Z"
    assert outputs.size_bytes == 12


async def test_what_is_no_decimal_and_no_dataset_is_left_out(bench: JobBench) -> None:
    details = {"datasets": [{"name": "half"}, "none", kubelet.DATASET]}
    metrics = {"auc": "0.9", "loss": "NaN", "tiny": "1e-9", "big": "12345678901234567890"}
    outputs = await _ended(bench, Manifest("ONNX", kubelet.FILES, metrics, details))
    assert outputs.metrics == {"auc": "0.9"}
    assert outputs.datasets == (kubelet.DATASET,)
    assert (await _ended(JobBench(), Manifest("ONNX", kubelet.FILES, {}, {"datasets": "x"}))).datasets == ()


async def test_a_malformed_manifest_is_none(bench: JobBench) -> None:
    bench.artifacts.objects[REQUEST.output + MANIFEST] = b'{"format": "SavedModel"'
    assert await bench.engine.outputs(REQUEST) is None


async def test_a_store_that_is_away_is_an_engine_error(bench: JobBench) -> None:
    bench.artifacts.away = True
    with pytest.raises(EngineError, match="The artifact store does not answer"):
        await bench.engine.outputs(REQUEST)


# ---- what is rendered ----

RICH = replace(
    REQUEST,
    datasets={"train": "s3://data/a/"},
    spec={
        "template": {
            "image": "localhost/trainer:1",
            "command": ["python"],
            "args": ["-m", "train"],
            "env": [
                {"name": "PLAIN", "value": "$(HOME) costs $5"},
                {"name": "KEY", "secretKeyRef": {"name": "key", "key": "token"}},
                {"name": "TRAINYARD_OUTPUT", "value": "/elsewhere"},
                {"name": "HOME", "value": "/home/me"},
            ],
            "resources": {"requests": {"cpu": "1", "nvidia.com/gpu": 4}, "limits": {"memory": "2Gi"}},
        },
        "volume": {"size": "5Gi", "storageClassName": "fast"},
    },
    compute={
        "accelerator": {"resource": "nvidia.com/gpu", "count": 2},
        "nodeSelector": {"pool": "gpu"},
        "tolerations": [{"key": "gpu", "operator": "Exists"}],
        "runtimeClassName": "nvidia",
        "priorityClassName": "low",
    },
)


def _pod(job: Any) -> Any:
    return job["spec"]["template"]["spec"]


def test_the_training_pod() -> None:
    pod = _pod(job_objects.train_job(RICH, CONFIG))
    (train,) = pod["containers"]
    (fetch,) = pod["initContainers"]
    assert train["resources"] == {"requests": {"cpu": "1"}, "limits": {"memory": "2Gi", "nvidia.com/gpu": 2}}
    assert (train["command"], train["args"]) == (["python"], ["-m", "train"])
    assert (pod["runtimeClassName"], pod["priorityClassName"], pod["nodeSelector"]) == (
        "nvidia",
        "low",
        {"pool": "gpu"},
    )
    assert fetch["envFrom"] == [{"secretRef": {"name": "trainyard-data"}}]
    assert "envFrom" not in train, "training sees no store credentials"
    assert pod["automountServiceAccountToken"] is False


def test_the_users_variables_are_literal_and_cannot_take_ours() -> None:
    (train,) = _pod(job_objects.train_job(RICH, CONFIG))["containers"]
    env = kubelet.environment(train)
    assert env["PLAIN"] == "$$(HOME) costs $$5"
    assert env["KEY"] == {"secretKeyRef": {"name": "key", "key": "token"}}
    assert env["TRAINYARD_OUTPUT"] == "/trainyard/output/1"
    assert env["HOME"] == "/home/me"
    assert env["TRAINYARD_PARAMETERS"] == {"epochs": 3}
    assert [e["name"] for e in train["env"]].count("TRAINYARD_OUTPUT") == 1


def test_home_is_writable_where_the_user_says_nothing() -> None:
    (train,) = _pod(job_objects.train_job(REQUEST, CONFIG))["containers"]
    assert kubelet.environment(train)["HOME"] == "/tmp"
    assert "initContainers" not in _pod(job_objects.train_job(REQUEST, CONFIG))


def test_the_publisher_holds_no_accelerator_and_follows_the_volume() -> None:
    job = job_objects.publish_job(RICH, CONFIG)
    pod = _pod(job)
    (publish,) = pod["containers"]
    assert "nvidia.com/gpu" not in json.dumps(publish["resources"])
    assert "runtimeClassName" not in pod
    assert pod["tolerations"] == RICH.compute["tolerations"]
    assert publish["volumeMounts"][0]["readOnly"] is True
    assert publish["envFrom"] == [{"secretRef": {"name": "trainyard-publisher"}}]
    assert kubelet.environment(publish)["TRAINYARD_ARTIFACT_URI"] == RICH.output
    (rule,) = job["spec"]["podFailurePolicy"]["rules"]
    assert (rule["action"], rule["onExitCodes"]["values"]) == ("FailJob", [3])


def test_the_volume() -> None:
    (claim,) = job_objects.claims(RICH)
    assert claim["spec"] == {
        "accessModes": ["ReadWriteOnce"],
        "resources": {"requests": {"storage": "5Gi"}},
        "storageClassName": "fast",
    }
    assert "storageClassName" not in job_objects.claims(REQUEST)[0]["spec"]


def test_checkpoints_on_a_claim_of_their_own() -> None:
    checkpoint = {"size": "7Gi", "accessMode": "ReadWriteMany"}
    wanted = replace(RICH, spec={**RICH.spec, "checkpoint": checkpoint})
    (_, claim) = job_objects.claims(wanted)
    assert (claim["metadata"]["name"], claim["spec"]["accessModes"]) == ("once-ckpt", ["ReadWriteMany"])
    pod = _pod(job_objects.train_job(wanted, CONFIG))
    mounts = {m["name"]: m["mountPath"] for m in pod["containers"][0]["volumeMounts"]}
    assert mounts["checkpoint"] == kubelet.environment(pod["containers"][0])["TRAINYARD_CHECKPOINT"]
    assert "once-ckpt" not in json.dumps(job_objects.publish_job(wanted, CONFIG))


VOLUMES = [
    {"name": "shm", "mountPath": "/dev/shm", "emptyDir": {"medium": "Memory", "sizeLimit": "1Gi"}},
    {"name": "cache", "mountPath": "/cache"},
    {"name": "settings", "mountPath": "/etc/train", "readOnly": True, "configMap": {"name": "train"}},
    {"name": "key", "mountPath": "/key", "secret": {"name": "key"}},
    {"name": "shared", "mountPath": "/shared", "persistentVolumeClaim": {"claimName": "corpus"}},
]


def test_volumes_of_harmless_kinds_reach_the_training_alone() -> None:
    template = {**RICH.spec["template"], "volumes": VOLUMES}
    pod = _pod(job_objects.train_job(replace(RICH, spec={**RICH.spec, "template": template}), CONFIG))
    assert pod["volumes"][2:] == [
        {"name": "shm", "emptyDir": {"medium": "Memory", "sizeLimit": "1Gi"}},
        {"name": "cache", "emptyDir": {}},
        {"name": "settings", "configMap": {"name": "train"}},
        {"name": "key", "secret": {"secretName": "key"}},
        {"name": "shared", "persistentVolumeClaim": {"claimName": "corpus"}},
    ]
    mounts = pod["containers"][0]["volumeMounts"]
    assert mounts[4] == {"name": "settings", "mountPath": "/etc/train", "readOnly": True}
    assert [m["name"] for m in pod["initContainers"][0]["volumeMounts"]] == ["run", "tmp"]


def test_a_queue_admits_the_job() -> None:
    queued = job_objects.train_job(replace(RICH, compute={**RICH.compute, "queue": "gpus"}), CONFIG)
    assert queued["spec"]["suspend"] is True
    assert queued["metadata"]["labels"]["kueue.x-k8s.io/queue-name"] == "gpus"
    free = job_objects.train_job(RICH, CONFIG)
    assert "suspend" not in free["spec"]
    assert "kueue.x-k8s.io/queue-name" not in free["metadata"]["labels"]
    assert "suspend" not in job_objects.publish_job(RICH, CONFIG)["spec"]


def test_an_upload_is_tried_as_often_as_the_pipeline_says() -> None:
    job = job_objects.publish_job(replace(RICH, retry_limit=4), CONFIG)
    assert job["spec"]["backoffLimit"] == 7
