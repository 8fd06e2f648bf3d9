"""One suite for the `Engine` port: the fake, and the Job engine over the fake cluster with a kubelet played.

The Job engine on a real API server is in `tests/rig/test_training.py`.
"""

from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

import pytest

from tests.fakes import kubelet
from tests.fakes.artifacts import FakeArtifacts
from tests.fakes.cluster import FakeCluster
from tests.fakes.engine import FakeEngine
from trainyard import naming
from trainyard.systems.bundle import Config
from trainyard.systems.cluster.port import JOB, Unavailable
from trainyard.systems.engine.job import JobEngine
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
OTHER = replace(REQUEST, id="00000000-0000-5000-8000-000000000000", run="twice", owner=Owner("twice", "uid-2"))


@dataclass
class FakeBench:
    """The fake, and its levers."""

    engine: FakeEngine = field(default_factory=FakeEngine)

    def started(self) -> int:
        return len(self.engine.starts)

    async def run_to_the_end(self) -> None:
        self.engine.become(REQUEST.id, Phase.SUCCEEDED)
        manifest = kubelet.MANIFEST
        published = Outputs(REQUEST.output, manifest.digest, manifest.format, manifest.size_bytes, manifest.metrics)
        self.engine.published[REQUEST.id] = published

    async def break_down(self) -> None:
        self.engine.become(REQUEST.id, Phase.FAILED, "StepFailed", "it broke")

    def let_go(self) -> None:
        self.engine.let_go(REQUEST.id)

    def go_away(self) -> None:
        self.engine.away = True


class JobBench:
    """The Job engine over the fake cluster."""

    def __init__(self) -> None:
        self.cluster, self.artifacts = FakeCluster(), FakeArtifacts()
        self.engine = JobEngine(self.cluster, self.artifacts, CONFIG)
        meta = {"name": "once", "namespace": "team"}
        self.cluster.seed({"apiVersion": naming.API_VERSION, "kind": "TrainingRun", "metadata": meta, "spec": {}})
        self.kubelet = kubelet.Kubelet(self.cluster, self.artifacts, lambda: datetime(2026, 11, 24, tzinfo=UTC))

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
            self.cluster.fail(verb, JOB, Unavailable("no route"), times=100)  # type: ignore[arg-type] # a literal each


@pytest.fixture(params=[FakeBench, JobBench], ids=["fake", "job"])
def bench(request: pytest.FixtureRequest) -> Any:
    return request.param()


async def test_unknown_is_absent(bench: Any) -> None:
    assert (await bench.engine.state(REQUEST)).phase is Phase.ABSENT


async def test_start_is_idempotent(bench: Any) -> None:
    for _ in range(3):
        await bench.engine.start(REQUEST)
    assert bench.started() == 1
    assert (await bench.engine.state(REQUEST)).phase is Phase.PENDING


async def test_a_known_run_tells_its_steps(bench: Any) -> None:
    await bench.engine.start(REQUEST)
    assert [s.name for s in (await bench.engine.state(REQUEST)).steps] == ["train"]


async def test_runs_are_apart(bench: Any) -> None:
    await bench.engine.start(REQUEST)
    assert (await bench.engine.state(OTHER)).phase is Phase.ABSENT
    assert await bench.engine.cancel(OTHER)
    assert (await bench.engine.state(REQUEST)).phase is Phase.PENDING


async def test_a_run_ends_with_outputs(bench: Any) -> None:
    await bench.engine.start(REQUEST)
    assert await bench.engine.outputs(REQUEST) is None
    await bench.run_to_the_end()
    assert (await bench.engine.state(REQUEST)).phase is Phase.SUCCEEDED
    outputs = await bench.engine.outputs(REQUEST)
    assert (outputs.uri, outputs.digest, outputs.metrics) == (
        REQUEST.output,
        kubelet.MANIFEST.digest,
        {"auc": "0.91"},
    )


async def test_a_failure_has_a_reason(bench: Any) -> None:
    await bench.engine.start(REQUEST)
    await bench.break_down()
    state = await bench.engine.state(REQUEST)
    assert (state.phase, state.reason) == (Phase.FAILED, "StepFailed")
    assert "it broke" in state.message


async def test_cancel_is_idempotent_and_ends_in_absence(bench: Any) -> None:
    assert await bench.engine.cancel(REQUEST), "what the engine does not know counts as stopped"
    await bench.engine.start(REQUEST)
    await bench.engine.cancel(REQUEST)
    bench.let_go()
    assert await bench.engine.cancel(REQUEST)
    assert (await bench.engine.state(REQUEST)).phase is Phase.ABSENT


async def test_an_engine_that_is_away_says_so(bench: Any) -> None:
    await bench.engine.start(REQUEST)
    bench.go_away()
    for call in (bench.engine.start, bench.engine.state, bench.engine.cancel):
        with pytest.raises(EngineError):
            await call(REQUEST)


def test_both_are_engines() -> None:
    engines: list[Engine] = [FakeEngine(), JobBench().engine]
    assert len(engines) == 2
