"""Scenarios 35-38 and 43 on the real Kubeflow Pipelines of the local cluster.

The engine itself is driven through a proxy that breaks what is wanted, and killed around each of its writes; then the
installed operator is used by the front door.
"""

import asyncio
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

import pytest
import yaml
from kubernetes.aio.config import new_client_from_config

from tests.fakes.artifacts import FakeArtifacts
from tests.golden.kubeflow.world import KillingApi
from tests.scenarios.cluster import Cluster, condition, wait_until
from tests.scenarios.fault_proxy import Fault, FaultProxy
from tests.scenarios.kubeflow import Kubeflow, two_steps
from trainyard.resources.kfp_package import KfpPackage
from trainyard.systems.bundle import Config, KubeflowConfig
from trainyard.systems.cluster.client import KubernetesCluster
from trainyard.systems.cluster.transport import Transport
from trainyard.systems.engine.kubeflow import KubeflowEngine
from trainyard.systems.engine.port import EngineError, EngineState, Owner, Phase, RunRequest

pytestmark = pytest.mark.cluster

SETTLE_SECONDS = 20.0  # this server works on one request for less
NODE_WORDS = "Insufficient nvidia.com/gpu"
Obj = dict[str, Any]


class Died(Exception):
    """The operator was killed here."""


@dataclass
class Life:
    """What the TrainingRun's room does with the engine: it keeps the announcement, and comes again after everything."""

    engine: KubeflowEngine
    request: RunRequest
    announced: str = ""
    steps: set[str] = field(default_factory=set)
    die_at_announcement: bool = False

    async def announce(self, at: str) -> None:
        self.announced = at
        if self.die_at_announcement:
            self.die_at_announcement = False
            raise Died

    @property
    def now(self) -> RunRequest:
        return replace(self.request, announced=self.announced, known=bool(self.steps))

    async def visit(self) -> EngineState | None:
        """One cycle; None where the engine did not answer, or the operator died in it."""
        try:
            state = await self.engine.state(self.now)
            if state.phase is Phase.ABSENT and not self.steps:
                await self.engine.start(self.now, self.announce)
        except (EngineError, Died):
            return None
        self.steps |= {step.name for step in state.steps}
        return state

    async def until(self, wanted: Callable[[EngineState], bool], seconds: float = 240) -> EngineState:
        """Visit until the state is as wanted."""
        async with asyncio.timeout(seconds):
            while True:
                state = await self.visit()
                if state is not None and wanted(state):
                    return state
                await asyncio.sleep(1)


@asynccontextmanager
async def engine_at(url: str, env: Mapping[str, str], **killing: Any) -> Any:
    """An engine in this process, on the real cluster and the server at a URL."""
    login = await new_client_from_config(config_file=env["KUBECONFIG"])  # type: ignore[no-untyped-call] # no types there
    transport = Transport(login)
    api = KillingApi(url, kills=Died, **killing)
    config = Config("none", {}, "trainyard", "", kubeflow=KubeflowConfig(url, namespaces=("default",)))
    cluster = KubernetesCluster(transport)
    try:
        yield KubeflowEngine(cluster, FakeArtifacts(), config, api, lambda: datetime.now(UTC), SETTLE_SECONDS)  # noqa: TID251 - the server's time
    finally:
        await api.close()
        await transport.close()


def request(**changes: Any) -> RunRequest:
    """A run of two steps, of a pipeline of its own; nothing of it is in the cache, which all pipelines share."""
    name = f"t{uuid.uuid4().hex[:8]}"
    whole = RunRequest(
        id=str(uuid.uuid4()), namespace="default", run=name, attempt=1, owner=Owner(name, "none"), pipeline=name,
        model=name, spec={"package": {"inline": KfpPackage(two_steps(), {}).text}, "caching": True}, compute={},
        parameters={"text": name}, datasets={}, output=f"s3://trainyard/default/{name}/{name}/1/",
    )  # fmt: skip
    return replace(whole, **changes)


@pytest.fixture(scope="module")
def proxy(kubeflow: Kubeflow) -> Iterator[FaultProxy]:
    with FaultProxy(kubeflow.url) as made:
        yield made


@pytest.fixture(autouse=True)
def healed(proxy: FaultProxy) -> Iterator[None]:
    yield
    proxy.heal()


def shown(state: EngineState) -> bool:
    return bool(state.steps)


async def stop(life: Life, kubeflow: Kubeflow) -> None:
    """Assert that it was started once, then stop it, and see that it is so."""
    assert len(kubeflow.workflows(life.request.id)) == 1
    for _ in range(120):
        if await life.engine.cancel(life.now):
            break
        await asyncio.sleep(1)
    (workflow,) = kubeflow.workflows(life.request.id)
    assert workflow["status"]["phase"] in ("Failed", "Succeeded")
    assert await life.engine.cancel(life.now)


@pytest.mark.parametrize("fault", list(Fault), ids=lambda f: f.name.lower())
async def test_one_run_whatever_becomes_of_the_answer(
    fault: Fault, proxy: FaultProxy, kubeflow: Kubeflow, cluster_env: dict[str, str]
) -> None:
    async with engine_at(proxy.url, cluster_env) as engine:
        life = Life(engine, request())
        proxy.fail(fault, "POST", "/runs$", seconds=3)
        await life.until(shown)
        await stop(life, kubeflow)


@pytest.mark.parametrize("before", [True, False], ids=["before", "after"])
@pytest.mark.parametrize("write", [1, 2, 3, 4], ids=["pipeline", "version", "experiment", "run"])
async def test_one_run_whenever_it_is_killed(
    write: int, before: bool, kubeflow: Kubeflow, cluster_env: dict[str, str]
) -> None:
    async with engine_at(kubeflow.url, cluster_env, kill_at=write, before=before) as engine:
        life = Life(engine, request())
        assert await life.visit() is None
        await life.until(shown)
        await stop(life, kubeflow)


async def test_killed_between_the_announcement_and_the_start(kubeflow: Kubeflow, cluster_env: dict[str, str]) -> None:
    async with engine_at(kubeflow.url, cluster_env) as engine:
        life = Life(engine, request(), die_at_announcement=True)
        assert await life.visit() is None
        state = await life.visit()
        assert state is not None
        assert state.reason == "Submitted"
        await life.until(shown)
        await stop(life, kubeflow)


async def test_steps_outputs_and_images(kubeflow: Kubeflow, cluster_env: dict[str, str]) -> None:
    async with engine_at(kubeflow.url, cluster_env) as engine:
        life = Life(engine, request())
        state = await life.until(lambda s: s.phase in (Phase.SUCCEEDED, Phase.FAILED))
        assert [(s.name, s.state, s.exit_code) for s in state.steps] == [
            ("make", Phase.SUCCEEDED, 0), ("shout", Phase.SUCCEEDED, 0),
        ]  # fmt: skip
        outputs = await engine.outputs(life.now)
        assert (outputs.uri, bool(outputs.completed_at)) == ("", True)
        assert len(outputs.image_digests) >= 1
        again = Life(engine, request(pipeline=life.request.pipeline, parameters=life.request.parameters))
        cached = await again.until(lambda s: s.phase in (Phase.SUCCEEDED, Phase.FAILED))
        assert [s.reason for s in cached.steps] == ["Cached", "Cached"]


async def test_what_cannot_begin_tells_why(kubeflow: Kubeflow, cluster_env: dict[str, str]) -> None:
    compute = {"steps": [{"name": "make", "accelerator": {"resource": "nvidia.com/gpu", "count": 60}}]}
    unpullable = {"package": {"inline": KfpPackage(two_steps("localhost/nobody/nothing:1"), {}).text}}
    async with engine_at(kubeflow.url, cluster_env) as engine:
        lives = [Life(engine, request(compute=compute)), Life(engine, request(spec=unpullable))]
        states = [await life.until(lambda s: bool(s.reason)) for life in lives]
        assert [s.reason for s in states] == ["Unschedulable", "ImagePullFailed"]
        assert NODE_WORDS in states[0].message
        assert all(s.waiting_since for s in states)
        for life in lives:
            await stop(life, kubeflow)


async def test_what_a_person_deletes_is_not_made_again(kubeflow: Kubeflow, cluster_env: dict[str, str]) -> None:
    async with engine_at(kubeflow.url, cluster_env) as engine:
        life = Life(engine, request())
        await life.until(shown)
        await stop(life, kubeflow)
        assert kubeflow.call("DELETE", f"runs/{life.request.id}")[0] == 200
        wait_until("the Workflow is gone", lambda: not kubeflow.workflows(life.request.id))
        state = await life.until(lambda s: s.phase is Phase.ABSENT)
        assert state.phase is Phase.ABSENT
        assert kubeflow.workflows(life.request.id) == []


# ---- the installed operator, by the front door ----


@dataclass(frozen=True)
class Door:
    """A namespace that may use Kubeflow."""

    ns: Cluster

    def pipeline(self, name: str, package: Obj, *, kubeflow: Obj | None = None, **spec: Any) -> None:
        """Apply a TrainingPipeline whose package is in a ConfigMap."""
        self.package(name, package)
        engine = {"package": {"configMap": {"name": name}}, **(kubeflow or {})}
        self._apply("TrainingPipeline", name, {"model": name, "engine": {"kubeflow": engine}, **spec})

    def package(self, name: str, package: Obj) -> None:
        """Apply the ConfigMap."""
        data = {"pipeline.yaml": yaml.safe_dump(package)}
        self.ns.apply({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": data})

    def run(self, pipeline: str, name: str, **spec: Any) -> None:
        """Apply a TrainingRun."""
        self._apply("TrainingRun", name, {"pipeline": pipeline, **spec})

    def ended(self, name: str, reason: str) -> Obj:
        """Wait for the run's end, for this reason."""
        status = "True" if reason == "Succeeded" else "False"
        return self.ns.wait("trainingrun", name, "Succeeded", status, reason, 400)

    def _apply(self, kind: str, name: str, spec: Obj) -> None:
        self.ns.apply({"apiVersion": "trainyard.dev/v1alpha1", "kind": kind, "metadata": {"name": name}, "spec": spec})


@pytest.fixture
def door(kubeflow_ns: Cluster) -> Door:
    return Door(kubeflow_ns)


def test_a_changed_package_is_one_run_and_one_model(door: Door, kubeflow: Kubeflow) -> None:
    outputs = {"modelOutput": {"task": "shout", "artifact": "model"}}
    text = uuid.uuid4().hex  # nothing of it is in the cache, which all pipelines share
    defaults = [{"name": "text", "type": "String", "default": text}]
    door.pipeline("shouts", two_steps(), kubeflow=outputs, parameters=defaults, triggers={"onChange": True})
    run = wait_until("the first run", lambda: next(iter(door.ns.list("trainingrun")), None))
    ended = door.ended(run["metadata"]["name"], "Succeeded")
    assert [(s["name"], s["state"]) for s in ended["status"]["steps"]] == [
        ("make", "Succeeded"), ("shout", "Succeeded"), ("publish", "Succeeded"),
    ]  # fmt: skip
    assert ended["status"]["parameters"] == {"text": text}
    version = door.ns.wait("modelversion", run["metadata"]["name"], "Verified")
    assert version["spec"]["artifact"]["digest"] == ended["status"]["outputs"]["artifact"]["digest"]
    assert len(kubeflow.workflows(ended["status"]["engine"]["id"])) == 1
    changed = two_steps()
    changed["pipelineInfo"]["description"] = "changed"
    door.package("shouts", changed)
    wait_until("the second run", lambda: len(door.ns.list("trainingrun")) == 2, 90)


def test_parameters_are_refused_before_anything_is_started(door: Door) -> None:
    door.pipeline("strict", two_steps())
    for name, given, sentence in (
        ("missing", {}, "text has no default and no value"),
        ("mistyped", {"text": 1}, "text is an Integer, not a String"),
        ("unknown", {"text": "x", "more": 1}, "more is not a parameter of the pipeline"),
    ):
        door.run("strict", name, parameters=given)
        ended = door.ended(name, "InvalidParameters")
        assert sentence in condition(ended, "Succeeded")["message"]
        assert "engine" not in ended["status"]


def test_cancelled_and_deleted(door: Door, kubeflow: Kubeflow) -> None:
    compute = {"steps": [{"name": "make", "accelerator": {"resource": "nvidia.com/gpu", "count": 60}}]}
    door.pipeline("stuck", two_steps(), compute=compute)
    for name in ("cancelled", "deleted"):
        door.run("stuck", name, parameters={"text": uuid.uuid4().hex})
    told = [
        door.ns.wait("trainingrun", n, "Succeeded", "Unknown", "Unschedulable", 200) for n in ("cancelled", "deleted")
    ]
    assert all(NODE_WORDS in condition(run, "Succeeded")["message"] for run in told)
    door.ns.patch("trainingrun", "cancelled", {"spec": {"cancel": True}})
    door.ended("cancelled", "Cancelled")
    door.ns.kubectl("delete", "trainingrun", "deleted", "--wait=false")
    door.ns.gone("trainingrun", "deleted")
    for run in told:
        assert [w["status"]["phase"] for w in kubeflow.workflows(run["status"]["engine"]["id"])] == ["Failed"]
