"""Rules one by one, through the real cycle over fakes: what is said, and what is left alone."""

from typing import Any

import pytest

from tests.golden.rollout.manifests import CONFIG, NAMESPACE, TARGET, rollout, version
from tests.golden.rollout.stories import ERRORS, MEASURED, TIMED, v1_serves, v2_comes
from tests.golden.rollout.world import KEY, ROUTE, World
from tests.unit.rollout.making import serving, told
from trainyard.reconciling.plan import Action
from trainyard.rollout.act import act
from trainyard.systems.cluster.port import DEPLOYMENT, MODEL_VERSION, Ref
from trainyard.systems.prometheus.port import Answer

# ---- what cannot be read, or is not acceptable ----


async def test_an_unreadable_object_is_told_and_left_alone() -> None:
    w = World()
    w.add(version("v1", 1))
    w.add(rollout(nonsense=True))
    await w.settle()
    assert told(w, "Accepted") == ("False", "Invalid")
    assert "nonsense" in w.condition("Accepted")["message"]
    written = w.own_writes
    await w.settle(600)
    assert w.own_writes == written
    w.cluster.edit(KEY, {"status": {"conditions": [{"type": 7}]}}, status=True)
    await w.settle()
    assert told(w, "Accepted") == ("False", "Invalid")


async def test_a_status_that_cannot_be_read_counts_as_lost() -> None:
    w = World()
    await v2_comes(w)
    w.cluster.edit(KEY, {"status": {"weight": "much"}}, status=True)
    await w.settle()
    assert (w.status()["weight"], w.shares()) == (20, {"v1": 80, "v2": 20})


TRIED = {"share": 15, "durationSeconds": 600, "decideOn": "m"}
BY_SHARE = {"name": "m", "builtin": "ErrorRate", "margin": "0.01", "sequential": {}}
BY_MEAN = {"name": "m", "ratio": {"good": "a_total", "total": "b_total"}, "margin": "0.01", "sequential": {}}


@pytest.mark.parametrize(("metric", "margin"), [(BY_SHARE, "0.99"), (BY_MEAN, "5")])
async def test_a_margin_that_may_decide_is_taken(metric: dict[str, Any], margin: str) -> None:
    w = World()
    w.add(version("v1", 1))
    w.add(rollout(strategy={"experiment": {**TRIED, "margin": margin}}, analysis={"metrics": [metric]}))
    await w.settle(100)
    assert told(w, "Accepted")[0] == "True"


@pytest.mark.parametrize(
    ("spec", "reason"),
    [
        ({"target": {}}, "Unsupported"),
        ({"strategy": {}}, "Unsupported"),
        ({"analysis": {"metrics": [*ERRORS, *ERRORS]}}, "DuplicateMetric"),
        ({"analysis": {"metrics": [{"name": "m", "builtin": "ErrorRate"}]}}, "NoLimit"),
        ({"analysis": {"metrics": [{"name": "m", "query": "sum(", "max": "1"}]}}, "InvalidQuery"),
        ({"strategy": {"experiment": {**TRIED, "margin": "1"}}, "analysis": {"metrics": [BY_SHARE]}}, "InvalidLimit"),
        ({"strategy": {"experiment": {**TRIED, "margin": "5"}}, "analysis": {"metrics": [BY_SHARE]}}, "InvalidLimit"),
        ({"version": {"name": "v9"}}, "VersionNotFound"),
        ({"version": {"name": "raw"}}, "VersionNotReady"),
    ],
)
async def test_refused(spec: dict[str, Any], reason: str) -> None:
    w = World()
    w.add(version("v1", 1))
    w.add(version("raw", 2, ready=False))
    w.add(rollout(**spec))
    await w.settle(100)
    assert told(w, "Accepted") == ("False", reason)
    assert told(w, "Ready") == ("False", reason)
    assert not w.cluster.all(DEPLOYMENT)


async def test_fine_custom_queries_are_accepted_and_compared_with_stable() -> None:
    query = "sum(rate(clicks_total{revision=$(revision)}[$(window)]))"
    metrics = [{"name": "clicks", "query": query, "maxDecreasePercent": "50"}]
    w = World()
    w.measure(0.0)
    w.prometheus.on("clicks_total", 3.0)
    await v2_comes(w, strategy=TIMED, analysis=MEASURED | {"metrics": metrics})
    await w.settle(200)
    assert w.outcome() == ["v1 Promoted", "v2 Promoted"]
    asked = {q for q in w.prometheus.queries if "clicks_total" in q}
    assert len(asked) == 2  # the canary's and stable's
    assert all(f'namespace="{NAMESPACE}"' in q for q in asked)


async def test_a_custom_query_without_comparison_asks_once() -> None:
    metrics = [{"name": "clicks", "query": "sum(clicks{revision=$(revision)})", "min": "1"}]
    w = World()
    w.measure(0.0)
    w.prometheus.on("clicks", 0.5)
    await v2_comes(w, strategy=TIMED, analysis=MEASURED | {"metrics": metrics})
    await w.settle(30)
    assert len({q for q in w.prometheus.queries if "clicks" in q}) == 1
    assert w.outcome() == ["v1 Promoted", "v2 Aborted"]


async def test_no_version_yet_then_one() -> None:
    w = World()
    w.add(rollout())
    await w.settle(60)
    assert told(w, "Accepted") == ("False", "NoVersion")
    w.add(version("v1", 1))
    await w.settle()
    assert w.shares() == {"v1": 100}


async def test_versions_of_other_models_and_broken_ones_are_passed_over() -> None:
    w = World()
    other = version("v7", 7)
    w.add({**other, "spec": {**other["spec"], "model": "fraud"}})
    w.add({**version("v8", 8), "spec": {"model": "churn"}})
    w.add(rollout("neighbour", target={}, model=7))
    await v1_serves(w)
    assert w.shares() == {"v1": 100}


async def test_deleting_the_version_that_serves_moves_nothing() -> None:
    w = World()
    await v1_serves(w)
    w.cluster.remove(Ref(MODEL_VERSION, NAMESPACE, "v1"))
    await w.settle(60)
    assert (w.shares(), told(w, "Ready")) == ({"v1": 100}, ("True", "Promoted"))


async def test_pinned_to_something_that_is_not_there_holds_the_canary() -> None:
    w = World()
    await v2_comes(w, strategy=TIMED)
    w.edit(version={"name": "v9", "latest": None})
    await w.settle(300)
    assert w.shares() == {"v1": 80, "v2": 20}
    assert told(w, "Accepted") == ("False", "VersionNotFound")
    assert w.due is None or w.due >= 1, "what is held is not looked at in a hurry"


async def test_the_canarys_version_is_deleted() -> None:
    w = World()
    await v2_comes(w)
    w.cluster.remove(Ref(MODEL_VERSION, NAMESPACE, "v2"))
    await w.settle()
    assert w.outcome() == ["v1 Promoted", "v2 Aborted"]


# ---- the rest ----


async def test_section_names_and_timeouts_reach_the_route() -> None:
    parents = [{"name": "gateway", "namespace": "infra", "sectionName": "http"}, {"name": "near"}]
    traffic = {"parentRefs": parents, "timeouts": {"requestSeconds": 7}}
    w = World()
    await v1_serves(w, target={"kubernetes": {**TARGET["kubernetes"], "traffic": traffic}})
    spec = (w.cluster.look(ROUTE) or {})["spec"]
    assert [p.get("sectionName") for p in spec["parentRefs"]] == ["http", None]
    assert spec["rules"][0]["timeouts"] == {"request": "7s"}
    assert w.status()["waitingFor"].startswith("pods to be ready and the route")


async def test_no_server_image_is_refused() -> None:
    w = World()
    object.__setattr__(CONFIG, "server_images", {})
    try:
        await v1_serves(w)
        assert told(w, "Accepted") == ("False", "NoServerImage")
        w.edit(target=serving(image="mine:1"))
        await w.settle()
        assert w.shares() == {"v1": 100}
    finally:
        object.__setattr__(CONFIG, "server_images", {"TensorFlow": "trainyard/server:1"})


async def test_custom_queries_are_off_by_default() -> None:
    w = World()
    object.__setattr__(CONFIG, "custom_queries", False)
    try:
        await v1_serves(w, analysis={"metrics": [{"name": "m", "query": "x", "max": "1"}]})
        assert told(w, "Accepted") == ("False", "CustomQueriesDisabled")
    finally:
        object.__setattr__(CONFIG, "custom_queries", True)


async def test_one_count_an_interval_also_after_restarts() -> None:
    w = World()
    w.measure(0.05)
    await v2_comes(w, strategy=TIMED, analysis=MEASURED | {"metrics": [{**ERRORS[0], "failureLimit": 9}]})
    for _ in range(50):
        w.start()
        await w.visit()
        w.pass_time(0.5)
        await w.visit()
        w.pass_time(0.5)
    assert w.status()["metrics"][0]["failures"] == 5 - 1  # the first interval is the window's


async def test_no_metric_answer_ever_raises() -> None:
    w = World()
    w.prometheus.on("", Answer(unusable="a range matrix"))
    await v2_comes(w, strategy=TIMED, analysis=MEASURED)
    await w.settle(90)
    assert w.status()["metrics"][0]["verdict"] in ("NoData", "Inconclusive")
    assert w.shares() == {"v1": 80, "v2": 20}


async def test_a_strangers_intention_is_an_error() -> None:
    with pytest.raises(TypeError, match="no intention Action"):
        await act(Action(), World().cluster)
