"""Scenario 44 and what belongs to it: workers that find each other, that start again together, that wait in a queue.

The trainings are small Python scripts in the operator's image: they speak TCP to each other as TensorFlow and torch do.
"""

import json
from datetime import datetime
from typing import Any

import pytest

from tests.scenarios.cluster import ROOT, Cluster, Obj, condition, wait_until
from tests.scenarios.test_training import one_off, pipeline

pytestmark = pytest.mark.cluster

# What each worker begins with: it ends when it is told to, and knows how to meet the others.
MEETING = """
import json, os, signal, socket, sys, time
signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
me, count = int(os.environ["TRAINYARD_WORKER"]), int(os.environ["TRAINYARD_WORKERS"])

def reach(host, port):
    while True:
        try:
            return socket.create_connection((host, int(port)), 2)
        except OSError:
            time.sleep(0.2)

def leave_model(**metrics):
    out = os.environ["TRAINYARD_OUTPUT"]
    os.makedirs(out + "/model")
    open(out + "/model/weights.bin", "w").write("weights")
    open(out + "/format", "w").write("Custom")
    json.dump({"auc": 0.91, **metrics}, open(out + "/metrics.json", "w"))
"""
# Each listens where TF_CONFIG says, sees every other one, and then counts steps into the checkpoint for ever; from a
# checkpoint it counts a little and is done.
COUNTING = (
    MEETING
    + """
told = json.loads(os.environ["TF_CONFIG"])
assert told["task"] == {"type": "worker", "index": me}
peers = [peer.split(":") for peer in told["cluster"]["worker"]]
assert len(peers) == count
listener = socket.create_server(("", int(peers[me][1])))
for index, (host, port) in enumerate(peers):
    if index != me:
        reach(host, port)
        print(f"worker {me} sees worker {index}", flush=True)
        listener.accept()  # and is seen: nobody ends before the others have met it
folder = os.environ["TRAINYARD_CHECKPOINT"]
os.makedirs(folder, exist_ok=True)
file = f"{folder}/step-{me}"
first = int(open(file).read()) if os.path.exists(file) else 0
print(f"worker {me} starts at step {first}", flush=True)
step = first
while first == 0 or step < first + 5:
    step += 1
    open(file + ".part", "w").write(str(step))
    os.rename(file + ".part", file)
    if step == 3:
        print(f"worker {me} has saved step 3", flush=True)
    time.sleep(0.2)
if me == 0:
    leave_model(firstStep=first)
"""
)
# The first one takes the others' ranks at MASTER_ADDR, as torch's store does.
RANKS = (
    MEETING
    + """
rank, world = int(os.environ["RANK"]), int(os.environ["WORLD_SIZE"])
assert (rank, world) == (me, count) == (int(os.environ["PET_NODE_RANK"]), int(os.environ["PET_NNODES"]))
address = os.environ["MASTER_ADDR"], os.environ["MASTER_PORT"]
assert ":".join(address) == os.environ["PET_RDZV_ENDPOINT"] and os.environ["PET_RDZV_BACKEND"] == "static"
if rank == 0:
    listener, seen = socket.create_server(("", int(address[1]))), {0}
    while len(seen) < world:
        seen.add(int(listener.accept()[0].recv(8)))
    leave_model(ranks=len(seen))
else:
    reach(*address).send(str(rank).encode())
"""
)


def together(script: str, framework: str, workers: int = 2, job: Obj | None = None, **spec: Any) -> Obj:
    """Return a pipeline whose workers run a Python script."""
    template = {"command": ["python", "-c", script]}
    return pipeline(job={"template": template, "workers": workers, "framework": framework, **(job or {})}, **spec)


def members(ns: Cluster, attempt: int) -> dict[str, Obj]:
    """Return an attempt's training pods by index."""
    found = ns.list("pods", f"trainyard.dev/run=once,trainyard.dev/role=train,trainyard.dev/attempt={attempt}")
    return {p["metadata"]["labels"]["batch.kubernetes.io/job-completion-index"]: p for p in found}


def said(ns: Cluster, attempt: int, sentence: str) -> bool:
    """Whether all workers of an attempt have said this; `{me}` and `{other}` stand for their numbers."""
    logs = {i: ns.kubectl("logs", p["metadata"]["name"]) for i, p in members(ns, attempt).items() if _runs(p)}
    return len(logs) == 2 and all(sentence.format(me=i, other=1 - int(i)) in text for i, text in logs.items())


def _runs(pod: Obj) -> bool:
    return any("waiting" not in c["state"] for c in pod["status"].get("containerStatuses", []))


@pytest.mark.parametrize("own_claim", [False, True], ids=["on-the-runs-volume", "on-a-claim-of-its-own"])
def test_44_both_start_again_from_the_checkpoint(ns: Cluster, own_claim: bool) -> None:
    job = {"checkpoint": {"size": "8Mi"}} if own_claim else {}
    ns.apply(together(COUNTING, "TensorFlow", job=job, retry={"limit": 1, "backoffSeconds": 3}))
    ns.create(one_off())
    wait_until("both see each other", lambda: said(ns, 1, "worker {me} sees worker {other}"))
    wait_until("both train", lambda: said(ns, 1, "worker {me} has saved step 3"))
    ns.kubectl("delete", "pod", members(ns, 1)["1"]["metadata"]["name"], "--grace-period=1", "--wait=false")
    run = ns.wait("trainingrun", "once", "Succeeded", "Unknown", "Retrying")
    assert {s["name"] for s in run["status"]["steps"] if s["state"] == "Failed"} == {"train-0", "train-1"}
    wait_until("the second attempt", lambda: ns.get("job", "once-2"))
    assert members(ns, 1) == {}, "the next attempt begins after the pods of the failed one are gone"
    run = ns.wait("trainingrun", "once", "Succeeded", "True")
    (failed,) = run["status"]["attempts"]
    assert (failed["attempt"], failed["reason"], run["status"]["attempt"]) == (1, "StepFailed", 2)
    assert run["metadata"]["annotations"]["trainyard.dev/attempt"] == "2"
    assert said(ns, 2, "worker {me} sees worker {other}")
    assert not said(ns, 2, "worker {me} starts at step 0")
    assert int(run["status"]["outputs"]["metrics"]["firstStep"]) > 0
    assert (ns.get("persistentvolumeclaim", "once-ckpt") is not None) is own_claim


def test_44_the_environment_of_torchrun(ns: Cluster) -> None:
    ns.apply(together(RANKS, "PyTorch", workers=3))
    ns.create(one_off())
    run = ns.wait("trainingrun", "once", "Succeeded", "True")
    assert run["status"]["outputs"]["metrics"]["ranks"] == "3"
    assert [s["name"] for s in run["status"]["steps"]] == ["train-0", "train-1", "train-2", "publish"]
    warnings = [e["reason"] for e in ns.events("TrainingRun", "once") if e["type"] == "Warning"]
    assert warnings == ["NoGangScheduling"]


def test_a_queue_admits_and_takes_back(ns: Cluster) -> None:
    """The part of Kueue is played: it writes `suspend` and a node selector, and both are left alone."""
    ns.apply(together(COUNTING, "TensorFlow", compute={"queue": "training"}, pendingTimeoutSeconds=60))
    ns.create(one_off())
    waiting = ns.wait("trainingrun", "once", "Succeeded", "Unknown", "Queued")
    (job,) = ns.list("jobs", "kueue.x-k8s.io/queue-name=training")
    assert job["spec"]["suspend"] is True
    assert {s["state"] for s in waiting["status"]["steps"]} == {"Pending"}
    created = job["metadata"]["creationTimestamp"]
    wait_until("the queue takes longer than pendingTimeoutSeconds", lambda: _seconds_since(ns, created) > 65)
    admit = {"spec": {"suspend": False, "template": {"spec": {"nodeSelector": {"kubernetes.io/os": "linux"}}}}}
    ns.patch("job", "once-1", admit)
    wait_until("both train", lambda: said(ns, 1, "worker {me} has saved step 3"))
    ns.patch("job", "once-1", {"spec": {"suspend": True}})
    ns.wait("trainingrun", "once", "Succeeded", "Unknown", "Queued")
    ns.patch("job", "once-1", {"spec": {"suspend": False}})
    run = ns.wait("trainingrun", "once", "Succeeded", "True")
    assert run["status"]["attempt"] == 1, "a queue that takes its admission back is no failure"
    kept = ns.get("job", "once-1")
    assert kept
    assert kept["spec"]["template"]["spec"]["nodeSelector"] == {"kubernetes.io/os": "linux"}
    assert not [e for e in ns.events("TrainingRun", "once") if e["reason"] == "NoGangScheduling"]


def _seconds_since(ns: Cluster, created: str) -> float:
    """Return the seconds since a time of the API server, by the API server's own clock."""
    probe = ns.create({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"generateName": "clock-"}})
    return _epoch(probe["metadata"]["creationTimestamp"]) - _epoch(created)


def _epoch(stamp: str) -> float:
    return datetime.fromisoformat(stamp).timestamp()


def test_the_example_trains_on_two_workers(ns: Cluster) -> None:
    """examples/distributed, as its own words say: real TensorFlow, MultiWorkerMirroredStrategy."""
    folder = ROOT / "examples/distributed"
    ns.kubectl("create", "configmap", "distributed-train", f"--from-file={folder / 'train.py'}")
    ns.kubectl("apply", "-f", str(folder / "pipeline.yaml"))
    ns.create({**one_off(), "spec": {"pipeline": "line"}})
    run = ns.wait("trainingrun", "once", "Succeeded", "True", timeout=600)
    assert float(run["status"]["outputs"]["metrics"]["loss"]) < 0.01
    assert condition(ns.wait("modelversion", "once", "Ready", "True"), "Ready")
    first = json.loads(ns.kubectl("get", "pods", "-l", "trainyard.dev/role=train", "-o", "json"))["items"][0]
    assert "2 replicas" in ns.kubectl("logs", first["metadata"]["name"])
