"""Scenarios 40 and 42 on a whole cluster: schedules by the wall clock, with real pods; what history limits keep."""

from typing import Any

import pytest

from tests.scenarios.cluster import Cluster, Obj, condition, wait_until
from tests.scenarios.test_training import one_off, pipeline

pytestmark = pytest.mark.cluster


def scheduled(*schedules: Obj, **spec: Any) -> Obj:
    """Return a pipeline with schedules."""
    return pipeline(triggers={"schedules": list(schedules)}, **spec)


def by_slot(ns: Cluster) -> dict[str, list[str]]:
    """Return slot -> the schedules that ran for it."""
    found: dict[str, list[str]] = {}
    for run in ns.list("trainingruns"):
        trigger = run["spec"]["trigger"]
        found.setdefault(trigger["slot"], []).append(trigger["name"])
    return {slot: sorted(names) for slot, names in found.items()}


def seen(ns: Cluster) -> bool:
    """Whether the operator has seen the pipeline's present spec."""
    found = ns.get("trainingpipeline", "tiny") or {}
    return bool(found.get("status", {}).get("observedGeneration") == found["metadata"]["generation"])


def test_40_two_schedules_run_in_every_minute_until_they_are_suspended(ns: Cluster) -> None:
    every = {"cron": "* * * * *", "timeZone": "Europe/Berlin"}
    ns.apply(scheduled({"name": "one", **every}, {"name": "two", **every}, concurrency="Allow"))
    wait_until("two runs for a minute", lambda: ["one", "two"] in by_slot(ns).values(), 120)
    first = min(by_slot(ns))
    assert first in ns.kubectl("get", "trainingruns", "-o", "yaml")
    ns.patch("trainingpipeline", "tiny", {"spec": {"suspend": True}})
    wait_until("it is seen", lambda: seen(ns))
    assert all(names == ["one", "two"] for names in by_slot(ns).values()), "each slot once for each schedule"
    stands = (ns.get("trainingpipeline", "tiny") or {})["status"]["schedules"]
    assert {s["name"]: s["lastSlot"] for s in stands} == dict.fromkeys(("one", "two"), max(by_slot(ns)))
    assert all("next" not in s for s in stands), "suspended, nothing is armed"
    for run in ns.list("trainingruns"):
        ended = ns.wait("trainingrun", run["metadata"]["name"], "Succeeded", "True", timeout=240)
        assert ended["metadata"]["annotations"]["trainyard.dev/slot"] == run["spec"]["trigger"]["slot"]


def test_40_wrong_values_of_a_schedule_stop_it_alone(ns: Cluster) -> None:
    wrong = {"name": "wrong", "cron": "0 2 * * *", "parameters": {"speed": 3}}
    ns.apply(scheduled(wrong, {"name": "right", "cron": "0 2 1 1 *"}))
    told = ns.wait("trainingpipeline", "tiny", "Accepted", "False", "InvalidTrigger")
    assert condition(told, "Accepted")["message"] == "Schedule wrong: speed is not a parameter of the pipeline."
    stands = {s["name"]: s.get("next", "") for s in told["status"]["schedules"]}
    assert stands["right"].endswith("-01-01T02:00Z")
    assert stands["right"] in ns.kubectl("get", "trainingpipelines")
    ns.apply(scheduled({"name": "right", "cron": "0 2 1 1 *"}))
    ns.wait("trainingpipeline", "tiny", "Accepted")


def test_42_history_limits_keep_what_a_model_needs(ns: Cluster) -> None:
    ns.apply(pipeline(history={"succeeded": 1, "failed": 1}))
    for name in ("good-1", "good-2"):
        ns.apply(one_off(name))
    for name in ("good-1", "good-2"):
        ns.wait("trainingrun", name, "Succeeded", "True", timeout=300)
    ns.apply(pipeline("exit 1", history={"succeeded": 1, "failed": 1}))
    wait_until("it is seen", lambda: seen(ns))
    for name in ("bad-1", "bad-2"):
        ns.apply(one_off(name))
        ns.wait("trainingrun", name, "Succeeded", "False", timeout=240)
    ns.gone("trainingrun", "bad-1")
    assert {r["metadata"]["name"] for r in ns.list("trainingruns")} == {"good-1", "good-2", "bad-2"}
    assert ns.get("modelversion", "good-1"), "its model keeps the run beyond the limit of one"
