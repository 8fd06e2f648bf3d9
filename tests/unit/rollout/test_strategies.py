"""Strategies as ladders, what stands beside the weights, and sizes where accelerators are short."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.fakes.cluster import FakeCluster
from tests.golden.rollout.manifests import NAMESPACE, TARGET, version
from tests.golden.rollout.stories import v1_serves, v2_comes
from tests.golden.rollout.stories_of_strategies import BESIDE, canary, on_gpus
from tests.golden.rollout.world import KEY, World
from tests.unit.rollout.making import NOW, revision, rollout, situation, told
from trainyard.resources.rollout import Rollout, Serving, Strategy
from trainyard.resources.rollout_strategy import Cookie
from trainyard.rollout import gateway, progress, routing, shortcuts, sizing, steps, strategies
from trainyard.rollout.state import Measurement
from trainyard.systems.cluster.port import (
    CONTROLLER_REVISION,
    DEPLOYMENT,
    GATEWAY,
    GATEWAY_CLASS,
    MODEL_VERSION,
    Forbidden,
    Ref,
)
from trainyard.systems.prometheus.port import Answer


def rungs(**strategy: Any) -> tuple[strategies.Rung, ...]:
    return strategies.ladder(Strategy.model_validate(strategy))


EXAMPLES = sorted((Path(__file__).parents[3] / "examples/strategies").glob("*.yaml"))


@pytest.mark.parametrize("file", EXAMPLES, ids=lambda f: f.stem)
def test_examples(file: Path) -> None:
    made = yaml.safe_load(file.read_text())
    if made["kind"] != "Rollout":
        assert made["spec"]["scaleTargetRef"]["kind"] == "Rollout"
        return
    meta = {**made["metadata"], "namespace": "team", "uid": "u"}
    spec = Rollout.model_validate({**made, "metadata": meta}).spec
    assert strategies.ladder(spec.strategy)


EXPERIMENT = {"share": 15, "durationSeconds": 600, "decideOn": "errors"}
HEADER = {"header": {"name": "X-Arm", "value": "b"}}


@pytest.mark.parametrize(
    ("strategy", "ladder"),
    [
        ({"canary": {}}, ()),
        ({}, ()),
        ({"blueGreen": {}}, ("setWeight 0, sized for 100", "pause", "setWeight 100")),
        (
            {"blueGreen": {"autoPromotionSeconds": 0, "beforeSwitch": {"count": 2}, "afterSwitchSeconds": 9}},
            ("setWeight 0, sized for 100", "analysis 2", "setWeight 100", "pause 9 s"),
        ),
    ],
)
def test_ladders(strategy: dict[str, Any], ladder: tuple[str, ...]) -> None:
    assert steps.ladder(rungs(**strategy)) == ladder


def test_every_step_has_its_text() -> None:
    names = [f"metric{n}" for n in range(12)]
    asked = [{"analysis": {"count": 2, "metrics": ["p99", "cpu"]}}, {"analysis": {"metrics": names}}]
    gone = {"setHeaderRoute": {"name": "testers"}}
    told = steps.ladder(rungs(canary={"steps": [*BESIDE[:3], *asked, gone]}))
    assert told[1:4] == ("pause", "setMirrorRoute 100", "analysis 2 of cpu, p99")
    assert re.fullmatch(r"setHeaderRoute testers [0-9a-f]{8}", told[0])
    assert re.fullmatch(r"analysis 1 of 12 metrics [0-9a-f]{8}", told[4])
    assert told[5] == "setHeaderRoute testers off"
    assert max(map(len, told)) <= 128


def test_experiments_by_share_and_by_header() -> None:
    by_share, by_header = rungs(experiment=EXPERIMENT), rungs(experiment={**EXPERIMENT, "assignment": HEADER})
    assert [r.set_weight for r in by_share] == [15, None]
    assert [steps.weight_at(by_header, n) for n in range(4)] == [0, 0, 0, 100]
    assert [steps.sized_at(by_header, n) for n in range(4)] == [15, 15, 15, 100]
    assert [r.lasts for r in by_header] == [False, False, True]
    assert list(steps.headers_at(by_header, 2)) == ["assigned"]
    assert by_share[1].text != rungs(experiment={**EXPERIMENT, "share": 16})[1].text


def test_header_routes_and_mirrors_stand_until_taken_away() -> None:
    other = {"setHeaderRoute": {"name": "region", "match": [{"name": "X-Region", "regex": "eu-.*"}]}}
    ladder = rungs(canary={"steps": [BESIDE[0], other, BESIDE[2], {"setHeaderRoute": {"name": "testers"}}, BESIDE[4]]})
    assert [list(steps.headers_at(ladder, n)) for n in (0, 1, 3, 5)] == [
        ["testers"], ["testers", "region"], ["region"], [],
    ]  # fmt: skip
    assert [steps.mirror_at(ladder, n) for n in (1, 2, 3, 4, 9)] == [0, 100, 100, 0, 0]
    assert shortcuts.at_step(Strategy.model_validate({}), ladder, 1, 100) == shortcuts.NONE
    match = steps.headers_at(ladder, 1)["region"][0]
    assert shortcuts.header(match) == {"type": "RegularExpression", "name": "X-Region", "value": "eu-.*"}


@pytest.mark.parametrize(
    ("header", "found"),
    [
        ("rev=aa", True),
        ("a=1; rev=aa", True),
        ("a=1;rev=aa;b=2", True),
        ("rev=aab", False),
        ("rev=bb; other=rev=aa", False),
        ("xrev=aa", False),
        ("rev.x=aa", False),
        ("", False),
    ],
)
def test_a_cookie_is_found_among_others(header: str, found: bool) -> None:
    pattern = shortcuts.carries_cookie(Cookie(name="rev"), "aa")["value"]
    assert bool(re.fullmatch(pattern, header)) is found
    assert bool(re.search(pattern, header)) is found


def test_a_cookies_name_is_no_pattern() -> None:
    pattern = shortcuts.carries_cookie(Cookie(name="r.v+"), "aa")["value"]
    assert re.fullmatch(pattern, "r.v+=aa")
    assert not re.fullmatch(pattern, "rxv+=aa")


def test_who_stayed_with_stable_is_dealt_anew_when_weight_or_canary_changes() -> None:
    """With 40 users who all had stable's cookie of the last canary, the next one saw nobody (the fifty rollouts)."""
    dealt = [shortcuts.stable_cookie("aa", canary, weight) for canary in ("bb", "cc") for weight in (20, 60)]
    assert len(set(dealt)) == 4


def test_a_cookies_path_is_the_rollouts() -> None:
    made = shortcuts.set_cookie(Cookie(name="rev", max_age_seconds=60), "aa", "/churn")
    text = made["responseHeaderModifier"]["add"][0]["value"]
    assert text == "rev=aa; Path=/churn; Max-Age=60; HttpOnly; SameSite=Lax"
    assert "Path=/;" in shortcuts.set_cookie(Cookie(), "aa", "/a;b")["responseHeaderModifier"]["add"][0]["value"]


@pytest.mark.parametrize(
    ("duration", "age", "kept"),
    [(600, None, 86_400), (604_800, None, 604_800), (604_800, 700_000, 700_000), (600, 600, 600)],
)
def test_the_cookie_of_an_experiment_outlasts_it_unless_told_otherwise(
    duration: int, age: int | None, kept: int
) -> None:
    assigned = {"cookie": {"name": "arm", **({"maxAgeSeconds": age} if age else {})}}
    made = {"experiment": {**EXPERIMENT, "durationSeconds": duration, "assignment": assigned}}
    cookie = strategies.cookie(Strategy.model_validate(made))
    assert cookie == Cookie(name="arm", max_age_seconds=kept)


def test_the_route_of_a_ladder_with_everything() -> None:
    affinity = {"cookie": {"name": "rev"}}
    made = rollout(strategy={"canary": {"steps": [*BESIDE[:3], {"setWeight": 20}], "sessionAffinity": affinity}})
    ladder = strategies.ladder(made.spec.strategy)
    ways = shortcuts.at_step(made.spec.strategy, ladder, 3, 20)
    stable, new = revision("v1").revision, revision("v2").revision
    rules = routing.route(made, [(stable, 80), (new, 20), ("old", 0)], {}, ways)["spec"]["rules"]
    backends = [[(b["name"], b["weight"]) for b in rule["backendRefs"]] for rule in rules]
    assert backends == [
        [(f"churn-{new}", 100)],
        [(f"churn-{new}", 100)],
        [(f"churn-{stable}", 100)],
        [(f"churn-{stable}", 80), (f"churn-{new}", 20), ("churn-old", 0)],
    ]
    assert ["filters" in rule for rule in rules] == [False, False, True, True], "stable's requests are copied"
    assert rules[3]["filters"][0]["requestMirror"]["backendRef"]["name"] == f"churn-{new}"
    cookies = [
        b["filters"][0]["responseHeaderModifier"]["add"][0]["value"].split(";")[0] for b in rules[3]["backendRefs"][:2]
    ]
    assert cookies == [f"rev={stable}-{new}-20", f"rev={new}"]
    assert "filters" not in rules[3]["backendRefs"][2]
    assert shortcuts.mirror({"name": "a", "weight": 0}, 20)["requestMirror"] == {
        "backendRef": {"name": "a"},
        "percent": 20,
    }


# ---- sizes ----


def bounded(extra: int | None, count: int = 1) -> tuple[Strategy, Serving]:
    strategy: dict[str, Any] = {"canary": {} if extra is None else {"maxExtraAccelerators": extra}}
    serving: dict[str, Any] = {"compute": {"accelerator": {"count": count}}} if count else {}
    return Strategy.model_validate(strategy), Serving.model_validate(serving)


@pytest.mark.parametrize(
    ("extra", "count", "pods"),
    [(None, 1, None), (3, 1, 3), (3, 2, 1), (1, 2, 0), (3, 0, None)],
)
def test_extra_pods(extra: int | None, count: int, pods: int | None) -> None:
    assert sizing.extra_pods(*bounded(extra, count)) == pods


@pytest.mark.parametrize(("replicas", "meant"), [(4, 50), (3, 50), (3, 100), (10, 30), (7, 100), (1, 100), (2, 10)])
def test_stable_gives_way_until_the_weight_is_there(replicas: int, meant: int) -> None:
    """With one accelerator to spare every weight is reached, and never are there more pods than allowed."""
    strategy, serving = bounded(1)
    wanted = max(1, -(-replicas * meant // 100))
    routed, stable = 0, replicas
    for _ in range(200):
        demand = sizing.Demand(replicas, wanted, routed, meant)
        now = sizing.sizes(strategy, serving, demand, {"status": {"replicas": stable}}, True)
        assert now.stable * 100 >= replicas * (99 - routed)
        assert stable + now.canary <= replicas + 1, "pods there are counted until they are gone"
        assert now.short == ""
        stable = now.stable
        routed = max(routed, sizing.attainable(demand, now.canary))
    assert routed == meant


def test_short_of_accelerators_is_said() -> None:
    strategy, serving = bounded(0)
    demand = sizing.Demand(4, 2, 0, 50)
    now = sizing.sizes(strategy, serving, demand, {"status": {"replicas": 4}}, True)
    assert (now.stable, now.canary) == (4, 0)
    assert now.short == "maxExtraAccelerators leaves room for 0 of the 2 canary pods while stable needs its 4"
    leaving = sizing.sizes(strategy, serving, sizing.Demand(4, 2, 50, 50), {"status": {"replicas": 4}}, True)
    assert leaving.short == "", "stable's pods are still leaving"


# ---- what a Gateway offers ----


def asking(*mirrors: int, **more: Any) -> tuple[str, ...]:
    steps_ = [{"setMirrorRoute": {"percent": percent}} for percent in mirrors]
    return gateway.needed(rollout(strategy=canary(*steps_, **more)).spec)


def test_features_that_are_needed() -> None:
    assert asking(0) == ()
    assert asking(100, 0) == (gateway.MIRROR,)
    assert asking(20) == (gateway.MIRROR, gateway.MIRROR_PERCENT)
    assert asking(sessionAffinity={"cookie": {}}) == (gateway.RESPONSE_HEADERS,)
    traffic = dict(TARGET["kubernetes"]["traffic"], timeouts={"requestSeconds": 3})
    timed = rollout(target={"kubernetes": {**TARGET["kubernetes"], "traffic": traffic}})
    assert gateway.needed(timed.spec) == (gateway.TIMEOUT,)
    assert gateway.needed(rollout(target={}).spec) == ()


@pytest.mark.parametrize(
    ("listed", "lacks"),
    [
        (None, ""),
        ({"x"}, gateway.MIRROR),
        ({gateway.MIRROR}, gateway.MIRROR_PERCENT),
        (set(), gateway.MIRROR_PERCENT),
        ({gateway.MIRROR, gateway.MIRROR_PERCENT}, ""),
    ],
)
def test_what_a_class_lists(listed: set[str] | None, lacks: str) -> None:
    offer = gateway.Offer("infra/gateway", "shop", None if listed is None else frozenset(listed))
    sentence = f"Gateway infra/gateway: its class shop does not list {lacks}" if lacks else ""
    assert gateway.lacking((gateway.MIRROR, gateway.MIRROR_PERCENT), (offer,)) == sentence


async def test_offers_are_read_once_a_minute_and_unknown_where_forbidden() -> None:
    cluster, gateways, there = FakeCluster(), gateway.Gateways(), Ref(GATEWAY, "infra", "gateway")
    meta = {"name": "gateway", "namespace": "infra"}
    cluster.seed(
        {"apiVersion": GATEWAY.api_version, "kind": "Gateway", "metadata": meta, "spec": {"gatewayClassName": "shop"}}
    )
    assert (await gateways.offers(cluster, [there], 0.0))[0].features is None, "no such class"
    meta = {"name": "shop", "namespace": ""}
    made = {"apiVersion": GATEWAY.api_version, "kind": "GatewayClass", "metadata": meta, "spec": {}}
    cluster.seed(made, status={"supportedFeatures": ["HTTPRoute", {"name": "Mesh"}]})
    assert (await gateways.offers(cluster, [there], 59.0))[0].features is None
    assert (await gateways.offers(cluster, [there], 60.0))[0].features == frozenset({"HTTPRoute", "Mesh"})
    cluster.fail("get", GATEWAY_CLASS, Forbidden())
    assert (await gateways.offers(cluster, [there], 120.0))[0].features is None


@pytest.mark.parametrize(
    ("steps_", "reason"),
    [
        ([{"analysis": {}}], "NothingToMeasure"),
        (
            [{"setHeaderRoute": {"name": f"r{n}", "match": [{"name": "X", "exact": str(n)}]}} for n in range(14)],
            "TooManyHeaderRoutes",
        ),
    ],
)
async def test_ladders_that_could_not_be_climbed_are_refused(steps_: list[dict[str, Any]], reason: str) -> None:
    w = World()
    await v1_serves(w, strategy=canary(*steps_))
    assert told(w, "Accepted") == ("False", reason)
    assert not w.cluster.all(DEPLOYMENT)


async def test_a_gateway_that_cannot_mirror_is_said_before_anything_moves() -> None:
    w = World()
    w.offer("HTTPRouteRequestTimeout")
    await v1_serves(w, strategy=canary(*BESIDE))
    assert told(w, "Accepted") == ("False", "GatewayLacksFeature")
    assert not w.cluster.all(DEPLOYMENT)


async def test_paused_before_the_pods_are_ready_puts_nothing_on_the_route() -> None:
    w = World(broken={"v2"})
    await v2_comes(w, strategy=canary(*BESIDE))
    w.edit(paused=True)
    await w.settle()
    w.broken.clear()
    await w.settle(60)
    assert len(w.route()["spec"]["rules"]) == 1
    w.edit(paused=False)
    await w.settle(10)
    assert len(w.route()["spec"]["rules"]) == 2


async def test_stable_is_away_at_abort_and_what_leads_beside_stays_with_the_canary() -> None:
    w = World()
    await v2_comes(w, strategy=canary(*BESIDE))
    w.broken.add("v1")
    await w.settle()
    w.act("Abort")
    await w.settle(30)
    assert len(w.route()["spec"]["rules"]) == 2
    w.broken.clear()
    await w.settle(10)
    assert len(w.route()["spec"]["rules"]) == 1
    assert w.outcome() == ["v1 Promoted", "v2 Aborted"]


# ---- held, and not yet taken ----


async def test_a_weight_reached_in_part_stays_while_paused() -> None:
    w = World()
    await v1_serves(w, strategy=canary({"setWeight": 50}, {"pause": {}}, maxExtraAccelerators=2), target=on_gpus(4))
    w.add(version("v2", 2))
    while "v2" not in w.shares():
        await w.round()
    w.gateway = False  # it answers no more after the first part
    await w.settle()
    assert w.shares() == {"v1": 75, "v2": 25}
    w.edit(paused=True)
    await w.settle(60)
    assert w.shares() == {"v1": 75, "v2": 25}
    w.gateway = True
    w.edit(paused=False)
    await w.settle(10)
    assert w.shares() == {"v1": 50, "v2": 50}


async def test_no_weight_before_the_gateway_took_an_edited_route() -> None:
    w = World()
    await v1_serves(w)
    w.gateway = False
    w.edit(target={"kubernetes": {"traffic": {"timeouts": {"requestSeconds": 5}}}})
    await w.settle()
    w.add(version("v2", 2))
    await w.settle(30)
    assert w.shares().get("v2", 0) == 0
    w.gateway = True
    await w.settle(10)
    assert w.shares() == {"v1": 80, "v2": 20}


async def test_pods_that_the_route_still_names_stay() -> None:
    w = World()
    await v2_comes(w)
    w.act("Abort")
    await w.settle()
    for _ in range(13):
        rule = w.route()["spec"]["rules"][0]
        edited = [{**b, "weight": 50} for b in rule["backendRefs"]]
        w.cluster.edit(w.route_ref, {"spec": {"rules": [{**rule, "backendRefs": edited}]}})
        w.pass_time(2.4)
        await w.settle()
    assert told(w, "Stalled")[1] == "RouteContested"
    assert len(w.cluster.all(DEPLOYMENT)) == 2
    await w.settle(120)
    assert len(w.cluster.all(DEPLOYMENT)) == 1


async def test_left_to_itself_without_a_kept_revision() -> None:
    w = World()
    await v1_serves(w, deletionPolicy="Orphan")
    w.cluster.remove(Ref(MODEL_VERSION, NAMESPACE, "v1"))
    w.cluster.remove(Ref(CONTROLLER_REVISION, NAMESPACE, w.cluster.all(CONTROLLER_REVISION)[0]["metadata"]["name"]))
    w.cluster.remove(KEY)
    await w.settle(10)
    assert w.cluster.look(KEY) is None
    assert len(w.cluster.all(DEPLOYMENT)) == 1


def test_nothing_is_due_without_a_step_and_no_share_without_stable() -> None:
    nothing = Answer(samples=())
    measurement = Measurement(3, NOW, nothing, {})
    s = situation({"canary": revision("v2"), "weight": 20}, measurement=measurement)
    assert (s.progress.share, s.progress.slot) == (None, 3)
    assert progress.due(s.rollout, s.status, None, None, 0.0, 2) is None
