"""One suite for the `Engine` port: the fake, the Job engine over the fake cluster with a kubelet played, and the
Kubeflow engine over a fake server with Kubeflow's habits.

The Job engine on a real API server is in `tests/rig/test_training.py`, the Kubeflow engine on a real Kubeflow in
`tests/scenarios/test_kubeflow.py`.
"""

from collections.abc import AsyncIterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

import pytest

from tests.fakes import kubelet
from tests.fakes.artifacts import FakeArtifacts
from tests.fakes.cluster import FakeCluster
from tests.fakes.engine import FakeEngine
from tests.fakes.kubeflow import FakeKubeflow
from tests.scenarios.kubeflow import two_steps
from trainyard import naming
from trainyard.resources.kfp_package import KfpPackage
from trainyard.systems.bundle import Config, KubeflowConfig
from trainyard.systems.cluster.port import JOB, Unavailable
from trainyard.systems.engine.job import JobEngine
from trainyard.systems.engine.kubeflow import KubeflowEngine
from trainyard.systems.engine.kubeflow_api import KubeflowApi
from trainyard.systems.engine.port import Engine, EngineError, Outputs, Owner, Phase, RunRequest

CONFIG = Config("localhost/operator:1", {}, "models", "http://minio:9000")
OWNER = "00000000-0000-0000-0000-000000000001"  # the uid that the fake cluster gives its first object
REQUEST = RunRequest(
    id="6f1c1f0e-6f0b-5b0e-9a0f-7472616e7964",
    namespace="team",
    run="once",
    attempt=1,
    owner=Owner("once", OWNER),
    pipeline="churn",
    model="churn",
    spec={"template": {"image": "localhost/trainer:1"}, "volume": {"size": "2Gi"}},
    compute={},
    parameters={"epochs": 3},
    datasets={},
    output="s3://models/team/churn/once/1/",
)


def other(bench: Any) -> RunRequest:
    """A second run of the same pipeline."""
    mine: RunRequest = bench.request
    return replace(mine, id="00000000-0000-5000-8000-000000000000", run="twice", owner=Owner("twice", "uid-2"))


def _now() -> datetime:
    return datetime(2026, 11, 24, tzinfo=UTC)


def one_step() -> dict[str, Any]:
    """A package with the one task `train`."""
    package = two_steps()
    package["root"]["dag"]["tasks"] = {"train": {"componentRef": {"name": "comp-shout"}, "inputs": {}}}
    package["root"].pop("inputDefinitions")
    return package


@dataclass
class FakeBench:
    """The fake, and its levers."""

    request: RunRequest = REQUEST
    engine: FakeEngine = field(default_factory=FakeEngine)

    async def enter(self) -> None:
        """Nothing has to be started."""

    async def leave(self) -> None:
        """Nothing was."""

    def started(self) -> int:
        return len(self.engine.starts)

    async def run_to_the_end(self) -> None:
        self.engine.become(self.request.id, Phase.SUCCEEDED)
        manifest = kubelet.MANIFEST
        published = Outputs(REQUEST.output, manifest.digest, manifest.format, manifest.size_bytes, manifest.metrics)
        self.engine.published[self.request.id] = published

    async def break_down(self) -> None:
        self.engine.become(self.request.id, Phase.FAILED, "StepFailed", "it broke")

    def let_go(self) -> None:
        self.engine.let_go(self.request.id)

    def go_away(self) -> None:
        self.engine.away = True


class JobBench:
    """The Job engine over the fake cluster."""

    request = REQUEST

    def __init__(self) -> None:
        self.cluster, self.artifacts = FakeCluster(), FakeArtifacts()
        self.engine = JobEngine(self.cluster, self.artifacts, CONFIG)
        meta = {"name": "once", "namespace": "team"}
        self.cluster.seed({"apiVersion": naming.API_VERSION, "kind": "TrainingRun", "metadata": meta, "spec": {}})
        self.kubelet = kubelet.Kubelet(self.cluster, self.artifacts, _now)

    async def enter(self) -> None:
        """Nothing has to be started."""

    async def leave(self) -> None:
        """Nothing was."""

    def started(self) -> int:
        return len(self.cluster.all(JOB))

    async def run_to_the_end(self) -> None:
        for _ in range(8):
            self.kubelet.tick()
            if (await self.engine.state(REQUEST)).due:
                await self.engine.start(REQUEST)

    async def break_down(self) -> None:
        self.kubelet.scripts["train"] = [kubelet.exited(1, "it broke")]
        self.kubelet.tick()

    def let_go(self) -> None:
        while self.kubelet.tick():
            continue

    def go_away(self) -> None:
        for verb in ("list", "get", "create", "delete"):
            self.cluster.fail(verb, JOB, Unavailable("no route"), times=100)


class KubeflowBench:
    """The Kubeflow engine over a fake server, whose Workflows are in the fake cluster."""

    request = replace(
        REQUEST,
        spec={
            "package": {"inline": KfpPackage(one_step(), {}).text},
            "modelOutput": {"task": "train", "artifact": "model"},
        },
        parameters={},
    )

    def __init__(self) -> None:
        self.cluster, self.artifacts = FakeCluster(), FakeArtifacts()
        meta = {"name": "once", "namespace": "team"}
        self.cluster.seed({"apiVersion": naming.API_VERSION, "kind": "TrainingRun", "metadata": meta, "spec": {}})
        self.kubelet = kubelet.Kubelet(self.cluster, self.artifacts, _now)
        self.server = FakeKubeflow(self.cluster, _now)

    async def enter(self) -> None:
        await self.server.__aenter__()
        kubeflow = KubeflowConfig(self.server.url, namespaces=("team",))
        self.api = KubeflowApi(self.server.url)
        config = replace(CONFIG, kubeflow=kubeflow)
        self.engine = KubeflowEngine(self.cluster, self.artifacts, config, self.api, _now)

    async def leave(self) -> None:
        await self.api.close()
        await self.server.__aexit__()

    def started(self) -> int:
        return len(self.server.created)

    async def run_to_the_end(self) -> None:
        for _ in range(8):
            self.server.tick()
            self.kubelet.tick()
            if (await self.engine.state(self.request)).due:
                await self.engine.start(self.request)

    async def break_down(self) -> None:
        self.server.fails, self.server.message = True, "it broke"
        self.server.tick()
        self.server.tick()

    def let_go(self) -> None:
        self.server.tick()

    def go_away(self) -> None:
        self.server.away = True
        for verb in ("list", "get", "create", "delete"):
            self.cluster.fail(verb, JOB, Unavailable("no route"), times=100)


@pytest.fixture(params=[FakeBench, JobBench, KubeflowBench], ids=["fake", "job", "kubeflow"])
async def bench(request: pytest.FixtureRequest) -> AsyncIterator[Any]:
    made = request.param()
    await made.enter()
    yield made
    await made.leave()


async def test_unknown_is_absent(bench: Any) -> None:
    assert (await bench.engine.state(bench.request)).phase is Phase.ABSENT


async def test_start_is_idempotent(bench: Any) -> None:
    for _ in range(3):
        await bench.engine.start(bench.request)
    assert bench.started() == 1
    assert (await bench.engine.state(bench.request)).phase is Phase.PENDING


async def test_a_known_run_tells_its_steps(bench: Any) -> None:
    await bench.engine.start(bench.request)
    assert [s.name for s in (await bench.engine.state(bench.request)).steps] == ["train"]


async def test_runs_are_apart(bench: Any) -> None:
    await bench.engine.start(bench.request)
    assert (await bench.engine.state(other(bench))).phase is Phase.ABSENT
    assert await bench.engine.cancel(other(bench))
    assert (await bench.engine.state(bench.request)).phase is Phase.PENDING


async def test_a_run_ends_with_outputs(bench: Any) -> None:
    await bench.engine.start(bench.request)
    assert await bench.engine.outputs(bench.request) is None
    await bench.run_to_the_end()
    assert (await bench.engine.state(bench.request)).phase is Phase.SUCCEEDED
    outputs = await bench.engine.outputs(bench.request)
    assert (outputs.uri, outputs.digest, outputs.metrics) == (
        bench.request.output,
        kubelet.MANIFEST.digest,
        {"auc": "0.91"},
    )


async def test_a_failure_has_a_reason(bench: Any) -> None:
    await bench.engine.start(bench.request)
    await bench.break_down()
    state = await bench.engine.state(bench.request)
    assert (state.phase, state.reason) == (Phase.FAILED, "StepFailed")
    assert "it broke" in state.message


async def test_cancel_is_idempotent_and_leaves_nothing_that_runs(bench: Any) -> None:
    assert await bench.engine.cancel(bench.request), "what the engine does not know counts as stopped"
    await bench.engine.start(bench.request)
    await bench.engine.cancel(bench.request)
    bench.let_go()
    assert await bench.engine.cancel(bench.request)
    state = await bench.engine.state(bench.request)
    assert state.phase is Phase.ABSENT or (state.phase is Phase.FAILED and state.released)


async def test_an_engine_that_is_away_says_so(bench: Any) -> None:
    await bench.engine.start(bench.request)
    bench.go_away()
    for call in (bench.engine.start, bench.engine.state, bench.engine.cancel):
        with pytest.raises(EngineError):
            await call(bench.request)


async def test_a_start_that_cannot_be_repeated_is_announced_once_before() -> None:
    bench, told = KubeflowBench(), []

    async def announce(at: str) -> None:
        told.append((at, bench.started()))

    await bench.enter()
    for _ in range(3):
        await bench.engine.start(bench.request, announce)
    await bench.leave()
    assert told == [("2026-11-24T00:00:00Z", 0)]


async def test_all_are_engines(bench: Any) -> None:
    engine: Engine = bench.engine
    assert (await engine.state(bench.request)).phase is Phase.ABSENT
