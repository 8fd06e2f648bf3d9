"""Ladder, weights, pods' reasons, times: the words that the rules are made of."""

from datetime import timedelta
from typing import Any

import pytest

from tests.unit.rollout.making import NOW, candidate, pod_template, revision, rollout, serving, situation
from trainyard.resources.base import MOST_ROWS
from trainyard.resources.rollout import Canary, ParentRef, Pause, Serving, Step, Strategy
from trainyard.rollout import pods, revisions, steps, strategies, times, weights
from trainyard.rollout.moves import Move, plan

STEPS = (Step(set_weight=20), Step(pause=Pause()), Step(set_weight=50), Step(pause=Pause(duration_seconds=60)))
LADDER = strategies.ladder(Strategy(canary=Canary(steps=STEPS)))


def test_ladder_as_text() -> None:
    assert steps.ladder(LADDER) == ("setWeight 20", "pause", "setWeight 50", "pause 60 s")
    assert steps.ladder_digest(LADDER).startswith("sha256:")


def test_weights_and_pauses_of_steps() -> None:
    assert [steps.weight_at(LADDER, n) for n in range(5)] == [20, 20, 50, 50, 100]
    assert steps.weight_at(LADDER[1:], 0) == 0
    assert [steps.is_pause(LADDER, n) for n in range(5)] == [False, True, False, True, False]
    assert steps.waits_for_person(LADDER, 1)
    assert not steps.waits_for_person(LADDER, 3)
    assert steps.pause_seconds(LADDER, 9) is None


@pytest.mark.parametrize(
    ("before", "now", "first"),
    [(("a", "b"), ("a", "b"), None), (("a", "b"), ("a", "c"), 1), (("a",), ("a", "b"), 1), (("a", "b"), ("a",), 1)],
)
def test_first_difference(before: tuple[str, ...], now: tuple[str, ...], first: int | None) -> None:
    assert steps.first_difference(before, now) == first


def route(*backends: tuple[str, int], **status: Any) -> dict[str, Any]:
    refs = [{"name": name, "weight": weight} for name, weight in backends]
    return {"metadata": {"generation": 2}, "spec": {"rules": [{"backendRefs": refs}]}, **status}


def test_shares_are_percent_of_what_is_ours() -> None:
    assert weights.routed(route(("churn-a", 3), ("churn-b", 1), ("other-c", 9)), "churn") == {"a": 75, "b": 25}
    assert weights.routed(route(("churn-a", 0)), "churn") == {"a": 0}
    assert weights.routed(None, "churn") == {}


@pytest.mark.parametrize(
    ("replicas", "weight", "size"),
    [(None, 1, 1), (None, 20, 2), (None, 21, 3), (None, 100, 10), ({"percent": 50}, 5, 5), ({"count": 4}, 5, 4)],
)
def test_canary_size(replicas: dict[str, int] | None, weight: int, size: int) -> None:
    spec = rollout(strategy={"canary": {"steps": [], "replicas": replicas}}).spec
    assert weights.canary_size(spec, 10, weight) == size
    assert weights.canary_size(spec, 10, 100) == 10


@pytest.mark.parametrize(
    ("weight", "seen", "far"),
    [
        (20, 0.20, False),
        (20, 0.12, False),
        (20, 0.003, True),
        (20, 0.5, True),
        (1, 0.0, False),
        (100, 0.92, False),
        (100, 0.5, True),
    ],
)
def test_a_share_far_from_the_weight(weight: int, seen: float, far: bool) -> None:
    assert weights.is_far(weight, seen * 1000, 1000) is far


@pytest.mark.parametrize("weight", [1, 2, 3, 5, 50, 95, 98, 99])
def test_of_many_requests_none_for_either_revision_is_far_from_any_weight(weight: int) -> None:
    assert weights.is_far(weight, 0, 1_000_000)
    assert weights.is_far(weight, 1_000_000, 1_000_000)
    assert not weights.is_far(weight, weight * 10_000, 1_000_000)


@pytest.mark.parametrize(
    ("weight", "near", "far"),  # canary's requests of a million
    [(1, 5_001, 4_999), (1, 14_999, 15_001), (2, 10_001, 9_999), (50, 250_001, 249_999), (98, 989_999, 990_001)],
)
def test_half_of_the_smaller_weight_is_room_where_chance_is_less(weight: int, near: int, far: int) -> None:
    assert not weights.is_far(weight, near, 1_000_000)
    assert weights.is_far(weight, far, 1_000_000)


@pytest.mark.parametrize(
    ("weight", "total", "far"), [(1, 1500, False), (1, 1700, True), (2, 700, False), (2, 900, True)]
)
def test_of_few_requests_none_may_be_chance(weight: int, total: int, far: bool) -> None:
    assert weights.is_far(weight, 0, total) is far
    assert weights.is_far(100 - weight, total, total) is far


PARENT = (ParentRef(name="gateway", namespace="infra"),)


def told(accepted: str, resolved: str, generation: int = 2, **ref: str) -> dict[str, Any]:
    conditions = [
        {"type": "Accepted", "status": accepted, "observedGeneration": generation},
        {"type": "ResolvedRefs", "status": resolved, "observedGeneration": generation},
    ]
    parent = {"name": "gateway", "namespace": "infra"} | ref
    return route(status={"parents": [{"parentRef": parent, "conditions": conditions}]})


@pytest.mark.parametrize(
    ("seen", "accepted", "refused", "answered"),
    [
        (told("True", "True"), True, False, True),
        (told("True", "False"), False, True, True),
        (told("False", "True"), False, True, True),
        (told("False", "False", 1), False, False, False),  # it speaks of an older route
        (told("True", "True", name="another"), False, False, False),
        (route(), False, False, False),
    ],
)
def test_what_the_gateway_says(seen: dict[str, Any], accepted: bool, refused: bool, answered: bool) -> None:
    assert weights.is_answered(seen, PARENT, "team") is answered
    assert weights.is_accepted(seen, PARENT, "team") is accepted
    assert weights.is_refused(seen, PARENT, "team") is refused


def pod(**status: Any) -> dict[str, Any]:
    return {"metadata": {"name": "p"}, "status": status}


def fetched(code: int, state: str = "state") -> dict[str, Any]:
    return pod(initContainerStatuses=[{"name": "fetch", state: {"terminated": {"exitCode": code}}}])


def waits(reason: str, name: str = "server") -> dict[str, Any]:
    return pod(containerStatuses=[{"name": name, "state": {"waiting": {"reason": reason}}}])


BACKING_OFF = {"name": "fetch", "state": {"waiting": {"reason": "CrashLoopBackOff"}}}


@pytest.mark.parametrize(
    ("seen", "reason"),
    [
        (fetched(4), "DigestMismatch"),
        (fetched(5, "lastState"), "ArtifactMissing"),
        (fetched(1), "FetchFailed"),
        (fetched(0), ""),
        (pod(initContainerStatuses=[BACKING_OFF | {"lastState": {"terminated": {"exitCode": 4}}}]), "DigestMismatch"),
        (waits("ImagePullBackOff"), "ImagePullFailed"),
        (waits("CreateContainerConfigError"), "ConfigError"),
        (waits("CrashLoopBackOff"), "CrashLoop"),
        (waits("ContainerCreating"), ""),
        (
            pod(conditions=[{"type": "PodScheduled", "status": "False", "reason": "Unschedulable"}]),
            "InsufficientCapacity",
        ),
        (pod(conditions=[{"type": "PodScheduled", "status": "False", "reason": "SchedulerError"}]), ""),
        (pod(), ""),
    ],
)
def test_why_pods_do_not_serve(seen: dict[str, Any], reason: str) -> None:
    found, sentence = pods.trouble([seen])
    assert found == reason
    assert bool(sentence) == bool(reason)


def test_times() -> None:
    assert times.stamp_up(NOW) == times.stamp(NOW) == "2026-11-24T06:00:00Z"
    assert times.stamp_up(NOW + timedelta(milliseconds=1)) == "2026-11-24T06:00:01Z"
    assert times.parse("nonsense") is times.parse(None) is None
    assert times.since("2026-11-24T05:59:00Z", NOW) == 60
    assert times.since(None, NOW) == 0


def test_revisions_differ_by_version_and_serving_but_not_by_replicas() -> None:
    base = revision("v1").revision
    assert revisions.revision_of(candidate("v1"), Serving(replicas=9)).revision == base
    assert revisions.revision_of(candidate("v1"), Serving(image="mine:2")).revision != base
    assert revisions.revision_of(candidate("v2"), Serving()).revision != base
    assert revisions.parse_stored({"metadata": {}, "data": {}}) is None


def test_the_pod_fetches_checks_and_serves() -> None:
    spec = pod_template(
        env=[{"name": "A", "value": "$(B)"}, {"name": "S", "secretKeyRef": {"name": "s", "key": "k"}}],
        compute={"accelerator": {"count": 2}, "nodeSelector": {"pool": "gpu"}},
        resources={"requests": {"cpu": 1}},
    )["spec"]
    fetch, server = spec["initContainers"][0], spec["containers"][0]
    assert fetch["command"] == ["python", "-m", "trainyard.courier", "fetch"]
    assert fetch["envFrom"] == [{"secretRef": {"name": "trainyard-reader"}}]
    assert server["resources"] == {"requests": {"cpu": 1}, "limits": {"nvidia.com/gpu": 2}}
    assert {"name": "A", "value": "$$(B)"} in server["env"]
    assert {"name": "S", "valueFrom": {"secretKeyRef": {"name": "s", "key": "k"}}} in server["env"]
    assert spec["nodeSelector"] == {"pool": "gpu"}
    assert spec["automountServiceAccountToken"] is False


def test_home_of_ones_own() -> None:
    env = pod_template(env=[{"name": "HOME", "value": "/home/me"}])["spec"]["containers"][0]["env"]
    assert [e["value"] for e in env if e["name"] == "HOME"] == ["/home/me"]
    assert serving()["kubernetes"]["serving"] == {"replicas": 2}


def test_numbers_of_rows_end_where_json_ends() -> None:
    """One more, and the API server would refuse each status from then on."""
    s = situation({"sequence": MOST_ROWS})
    assert (plan(s, Move(s.status, rows=({"event": "Started"},))).status or {})["sequence"] == MOST_ROWS
