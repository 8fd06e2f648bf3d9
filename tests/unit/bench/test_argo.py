"""Argo Rollouts' objects as the benchmark reads them: a weight or a rest that is read wrongly is a wrong figure."""

from collections.abc import Sequence
from typing import Any

import pytest

from bench import argo
from bench.argo import REPLICA_SET, ROLLOUT, ROUTE, ArgoRollouts
from bench.objects import LADDER
from trainyard.systems.cluster.port import Kind, Obj

TOOL = ArgoRollouts("argo", "Argo", ("--qps", "1"))
NAME = "model-0000"


class Seen:
    """A view of a few objects."""

    def __init__(self, rollout: Obj, route: Obj, *replica_sets: Obj) -> None:
        self._objects = {ROLLOUT: [rollout], ROUTE: [route], REPLICA_SET: list(replica_sets)}

    def get(self, kind: Kind, name: str) -> Obj:
        return next((o for o in self._objects[kind] if o["metadata"]["name"] == name), {})

    def of(self, kind: Kind, rollout: str) -> Sequence[Obj]:
        return [o for o in self._objects[kind] if o["metadata"]["labels"]["app"] == rollout]


def route(weight: int) -> dict[str, Any]:
    made = dict(argo.route(NAME))
    for backend in made["spec"]["http"][0]["route"]:
        backend["weight"] = weight if backend["destination"]["host"].endswith("-canary") else 100 - weight
    return made


def rollout(number: int = 1, **status: Any) -> dict[str, Any]:
    made = dict(argo.rollout(NAME))
    made["metadata"]["generation"] = 3
    made["spec"]["template"]["metadata"]["annotations"][argo.VERSION] = str(number)
    return made | {"status": {"observedGeneration": "3", **status}}


def replica_set(mark: str, replicas: int) -> dict[str, Any]:
    labels = {"app": NAME, argo.HASH: mark}
    return {"metadata": {"name": f"{NAME}-{mark}", "labels": labels, "generation": 2}, "spec": {"replicas": replicas}}


def weights(weight: int) -> dict[str, Any]:
    return {"weights": {"canary": {"weight": weight}, "stable": {"weight": 100 - weight}}}


@pytest.mark.parametrize("weight", [0, 10, 100])
def test_the_weight_is_the_canarys(weight: int) -> None:
    assert TOOL.weight(Seen(rollout(), route(weight)), NAME) == weight
    assert TOOL.weight(Seen(rollout(), route(weight)), "another") == 0


PAUSED = [{"reason": "CanaryPauseStep"}]


@pytest.mark.parametrize(
    ("routed", "told", "paused", "settled"),
    [(10, 10, PAUSED, True), (0, 10, PAUSED, False), (10, 0, PAUSED, False), (10, 10, None, False)],
)
def test_it_is_settled_once_route_and_status_agree_and_it_waits(
    routed: int, told: int, paused: Any, settled: bool
) -> None:
    seen = Seen(rollout(canary=weights(told), pauseConditions=paused), route(routed))
    assert TOOL.is_settled(seen, NAME, 10) is settled


HEALTHY = {"phase": "Healthy", "stableRS": "a", "currentPodHash": "a"}


@pytest.mark.parametrize(
    ("status", "others", "weight", "rests"),
    [
        (HEALTHY, [], 0, True),
        (HEALTHY, [replica_set("b", 0)], 0, True),
        (HEALTHY, [replica_set("b", 1)], 0, False),
        (HEALTHY, [], 10, False),
        (HEALTHY | {"currentPodHash": "b"}, [], 0, False),
        (HEALTHY | {"phase": "Progressing"}, [], 0, False),
        (HEALTHY | {"observedGeneration": "2"}, [], 0, False),
        ({}, [], 0, False),
    ],
)
def test_it_rests_when_one_replica_set_has_all(status: Any, others: list[Obj], weight: int, rests: bool) -> None:
    seen = Seen(rollout(2, **status), route(weight), replica_set("a", 2), *others)
    assert TOOL.rests(seen, NAME, 2) is rests
    assert TOOL.rests(seen, NAME, 1) is False


def test_a_change_is_one_of_the_pods() -> None:
    edit = TOOL.pin(NAME, 2)
    assert edit.body["spec"]["template"]["metadata"]["annotations"] == {argo.VERSION: "2"}
    assert not edit.status
    assert TOOL.promote(NAME, "once").status


def test_the_ladder_is_ours() -> None:
    steps = argo.rollout(NAME)["spec"]["strategy"]["canary"]["steps"]
    assert [step["setWeight"] for step in steps if "setWeight" in step] == list(LADDER)
    assert sum("pause" in step for step in steps) == len(LADDER)


def test_every_pod_of_a_replica_set_is_ready() -> None:
    told = argo.ready(replica_set("a", 3))
    assert (told["observedGeneration"], told["availableReplicas"], told["replicas"]) == (2, 3, 3)


def test_what_comes_first_is_there_for_each() -> None:
    kinds = [kind.kind for kind, _ in TOOL.ahead(["a", "b"], "http://prometheus")]
    assert kinds == ["AnalysisTemplate", *["Service"] * 4, *["VirtualService"] * 2]
