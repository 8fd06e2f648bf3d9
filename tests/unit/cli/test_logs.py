"""Which lines `trainyard logs` shows, of which pods, and what stands before them."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from typing import Any, cast

import pytest

from tests.fakes.cluster import FakeCluster
from trainyard.cli import log_sources, logs
from trainyard.cli.connection import Connection
from trainyard.cli.log_sources import Choice
from trainyard.cli.prefixes import Prefixes
from trainyard.cli.problem import Problem
from trainyard.systems.cluster.port import TRAINING_RUN, Forbidden, NotFound, Ref, Unavailable

NAME = "churn-1"
Part = bytes | Exception


class Api:
    """Log streams by pod and container: lines, then what ends the stream; one list a request."""

    def __init__(self) -> None:
        self.streams: dict[tuple[str, str], list[Sequence[Part]]] = {}

    async def lines(self, url: str, query: Sequence[tuple[str, str]], *, whole: bool = False) -> AsyncIterator[bytes]:
        assert whole
        left = self.streams[url.split("/")[-2], dict(query)["container"]]
        for part in left.pop(0) if len(left) > 1 else left[0]:
            await asyncio.sleep(0)
            if isinstance(part, Exception):
                raise part
            yield part


class World:
    """A run, its pods and what they write."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, **status: Any) -> None:
        monkeypatch.setattr(logs, "POLL_SECONDS", 0.01)
        self.cluster, self.api = FakeCluster(), Api()
        self.connection = Connection(cast("Any", self.cluster), cast("Any", self.api), "shop")
        run = {"apiVersion": TRAINING_RUN.api_version, "kind": "TrainingRun", "spec": {"pipeline": "churn"}}
        self.cluster.seed({**run, "metadata": {"name": NAME, "namespace": "shop"}}, status=status)

    def pod(
        self, name: str, role: str, *, attempt: int = 1, index: int = 0, namespace: str = "shop", begun: bool = True,
        **texts: Sequence[Part],
    ) -> None:  # fmt: skip
        """Add a pod whose containers write these texts."""
        labels = {
            "trainyard.dev/run": NAME, "trainyard.dev/attempt": str(attempt), "trainyard.dev/role": role,
            log_sources.INDEX: str(index),
        }  # fmt: skip
        self.add(name, namespace, labels, {}, texts, begun=begun)

    def task(self, name: str, node: str, *, engine: str = "run-2", **texts: Sequence[Part]) -> None:
        """Add a pod of a Workflow."""
        labels = {log_sources.WORKFLOW_RUN: engine}
        self.add(name, "kubeflow", labels, {log_sources.WORKFLOW_NODE: node}, texts | {"wait": [b"argo"]})

    def add(
        self, name: str, namespace: str, labels: dict[str, str], annotations: dict[str, str],
        texts: dict[str, Sequence[Part]], *, begun: bool = True,
    ) -> None:  # fmt: skip
        meta = {"name": name, "namespace": namespace, "labels": labels, "annotations": annotations}
        states = [{"name": c, "state": {"running": {}} if begun else {"waiting": {}}} for c in texts]
        first = [{"name": c} for c in texts if c == "data"]
        rest = [{"name": c} for c in texts if c != "data"]
        self.cluster.seed(
            {
                "apiVersion": "v1",
                "kind": "Pod",
                "metadata": meta,
                "spec": {"initContainers": first, "containers": rest},
            },
            status={"containerStatuses": states},
        )
        self.api.streams |= {(name, container): [text] for container, text in texts.items()}

    def end(self) -> None:
        done = [{"type": "Succeeded", "status": "True", "reason": "Succeeded"}]
        self.cluster.edit(Ref(TRAINING_RUN, "shop", NAME), {"status": {"conditions": done}}, status=True)

    async def read(self, choice: Choice | None = None, *, follow: bool = False) -> list[tuple[str, str]]:
        async with asyncio.timeout(20):
            told = logs.lines(self.connection, NAME, choice or Choice(), follow=follow)
            return [(line[0], line[1]) async for line in told]


async def test_one_container_after_the_other(monkeypatch: pytest.MonkeyPatch) -> None:
    world = World(monkeypatch, attempt=1)
    world.pod("p", "publish", publish=[b"uploaded"])
    world.pod("t", "train", data=[b"fetched"], train=[b"epoch 1", b"", b"\xff no end"])
    world.pod("later", "train", begun=False, train=[b"not yet"])
    assert await world.read() == [
        ("data", "fetched"), ("", "epoch 1"), ("", ""), ("", "\ufffd no end"), ("publish", "uploaded"),
    ]  # fmt: skip


async def test_workers_are_told_apart_and_chosen(monkeypatch: pytest.MonkeyPatch) -> None:
    world = World(monkeypatch, attempt=1)
    world.pod("b", "train", index=1, train=[b"one"])
    world.pod("a", "train", index=0, train=[b"zero"])
    both = [("train-0", "zero"), ("train-1", "one")]
    assert await world.read() == both
    assert await world.read(Choice(step="train")) == both
    assert await world.read(Choice(step="train-1")) == both[1:]


async def test_the_only_worker_is_also_train_0(monkeypatch: pytest.MonkeyPatch) -> None:
    world = World(monkeypatch, attempt=1)
    world.pod("a", "train", train=[b"zero"])
    assert await world.read(Choice(step="train-0")) == [("", "zero")]


async def test_attempts(monkeypatch: pytest.MonkeyPatch) -> None:
    world = World(monkeypatch, attempt=2)
    world.pod("a", "train", attempt=1, train=[b"first"])
    world.pod("b", "train", attempt=2, train=[b"second"])
    assert await world.read() == [("", "second")]
    assert await world.read(Choice(previous=True)) == [("", "first")]
    assert await world.read(Choice(attempt=1)) == [("", "first")]
    with pytest.raises(Problem, match="has no attempt 3: it is at attempt 2"):
        await world.read(Choice(attempt=3))


async def test_a_first_attempt_has_no_earlier_one(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(Problem, match="has no earlier attempt: it has had one attempt only"):
        await World(monkeypatch, attempt=1).read(Choice(previous=True))


async def test_an_attempt_whose_pods_are_gone_tells_why_it_failed(monkeypatch: pytest.MonkeyPatch) -> None:
    failed = {"attempt": 1, "engineId": "e", "reason": "StepFailed", "message": "Step train failed (exit code 9)"}
    world = World(monkeypatch, attempt=2, attempts=[failed])
    why = r"has no log lines of attempt 1 any more; it failed with StepFailed: Step train failed \(exit code 9\)$"
    with pytest.raises(Problem, match=why):
        await world.read(Choice(previous=True))


async def test_nothing_yet_and_nothing_any_more(monkeypatch: pytest.MonkeyPatch) -> None:
    world = World(monkeypatch)
    with pytest.raises(Problem, match=r"^TrainingRun churn-1 has written nothing yet: it is pending$"):
        await world.read()
    world.end()
    with pytest.raises(Problem, match=r"^Step x of TrainingRun churn-1 has no log lines \(any more\): Succeeded$"):
        await world.read(Choice(step="x"), follow=True)


async def test_following_goes_on_to_what_comes_later(monkeypatch: pytest.MonkeyPatch) -> None:
    world = World(monkeypatch, attempt=1)
    world.pod("t", "train", train=[b"1", b"2"])
    told: list[str] = []
    async with asyncio.timeout(20):
        async for line in logs.lines(world.connection, NAME, Choice(), follow=True):
            told.append(line.text)
            if line.text == "2":
                world.pod("p", "publish", publish=[b"3"])
            if line.text == "3":
                world.end()
    assert told == ["1", "2", "3"]


async def test_a_stream_that_is_cut_goes_on_where_it_was_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    world = World(monkeypatch, attempt=1)
    world.pod("t", "train", train=[])
    world.api.streams["t", "train"] = [[b"1", b"2", Unavailable("cut")], [b"1", b"2", b"3"]]
    world.end()
    assert await world.read(follow=True) == [("", "1"), ("", "2"), ("", "3")]


async def test_what_ends_a_reader(monkeypatch: pytest.MonkeyPatch) -> None:
    world = World(monkeypatch, attempt=1)
    world.pod("t", "train", train=[b"1", NotFound("gone")])
    world.end()
    assert await world.read(follow=True) == [("", "1")]
    world.api.streams["t", "train"] = [[b"1", Forbidden("no")]]
    with pytest.raises(Forbidden):
        await world.read(follow=True)
    world.api.streams["t", "train"] = [[b"1", Unavailable("away")]]
    with pytest.raises(Unavailable):
        await world.read()


KUBEFLOW = {
    "engine": {"kind": "kubeflow", "id": "run-2"}, "attempt": 2,
    "attempts": [{"attempt": 1, "engineId": "run-1", "reason": "StepFailed"}],
}  # fmt: skip


async def test_steps_of_a_workflow(monkeypatch: pytest.MonkeyPatch) -> None:
    world = World(monkeypatch, **KUBEFLOW)
    world.task("wf-1", "wf.root.fetch.executor", main=[b"fetched"])
    world.task("wf-2", "wf.root.train-driver", main=[b"driver"])
    world.task("wf-3", "wf.root.train.executor(0)", main=[b"trained"])
    world.pod("pub", "publish", attempt=2, publish=[b"uploaded"])
    world.task("wf-4", "wf.root.later.train.executor", main=[b"nested"])
    world.task("old", "wf-old.root.train.executor", engine="run-1", main=[b"old"])
    assert await world.read() == [
        ("fetch", "fetched"), ("later/train", "nested"), ("train", "trained"), ("publish", "uploaded"),
    ]  # fmt: skip
    assert await world.read(Choice(step="train")) == [("later/train", "nested"), ("train", "trained")]
    assert await world.read(Choice(step="train-driver")) == [("train-driver", "driver")]
    assert await world.read(Choice(previous=True)) == [("train", "old")]


@pytest.mark.parametrize(
    ("node", "task"),
    [
        ("wf.root.train.executor", "train"),
        ("wf.root.sub-dag.inner.executor", "sub-dag/inner"),
        ("wf.root-driver", "root-driver"),
        ("wf", "wf"),
    ],
)
def test_the_task_of_a_node(node: str, task: str) -> None:
    assert log_sources.task({"metadata": {"name": "p", "annotations": {log_sources.WORKFLOW_NODE: node}}}) == task


def test_prefixes() -> None:
    plain = Prefixes(coloured=False)
    assert [plain.of(step) for step in ("", "train-0", "publish", "train-0")] == [
        "", "train-0 | ", "publish | ", "train-0 | ",
    ]  # fmt: skip
    coloured = Prefixes(coloured=True)
    assert coloured.of("train-0") == "\x1b[36mtrain-0\x1b[0m | "
    assert coloured.of("train-1") == "\x1b[35mtrain-1\x1b[0m | "


def test_colours_are_for_terminals(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TERM", "xterm")
    assert "\x1b" in Prefixes().of("publish")
    monkeypatch.setenv("NO_COLOR", "1")
    assert "\x1b" not in Prefixes().of("publish")
