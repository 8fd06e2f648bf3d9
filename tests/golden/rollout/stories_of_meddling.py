"""Stories of one Rollout: somebody adds to its route, its user takes something out of the spec, or breaks it."""

from typing import Any

from tests.golden.rollout.manifests import TARGET
from tests.golden.rollout.stories import MEASURED, TIMED, v1_serves, v2_comes
from tests.golden.rollout.world import World
from trainyard.systems.prometheus.port import Answer

REDIRECT = {"type": "RequestRedirect", "requestRedirect": {"hostname": "elsewhere.example", "statusCode": 302}}
HEADER = {"type": "Exact", "name": "X-Only", "value": "1"}


def _target(**traffic: Any) -> dict[str, Any]:
    kubernetes = TARGET["kubernetes"]
    return {"kubernetes": {**kubernetes, "traffic": {"parentRefs": kubernetes["traffic"]["parentRefs"], **traffic}}}


async def route_added_to(w: World) -> None:
    """Nothing that we rendered changes, and yet the requests go elsewhere."""
    await v2_comes(w)
    rendered = w.route()["spec"]
    for words, added in (
        ("redirects all requests", {"filters": [REDIRECT]}),
        ("bounds the time of a request", {"timeouts": {"request": "1ms"}}),
    ):
        w.say(f"somebody {words}")
        w.cluster.edit(w.route_ref, {"spec": {"rules": [{**rendered["rules"][0], **added}]}})
        await w.settle(10)
        assert w.route()["spec"] == rendered


async def route_narrowed(w: World) -> None:
    await v1_serves(w, target=_target())
    rendered = w.route()["spec"]
    narrowed = {**rendered["rules"][0]["matches"][0], "headers": [HEADER]}
    for words, edited in (
        ("puts it on a host of its own", {"hostnames": ["elsewhere.example"]}),
        ("asks for a header", {"rules": [{**rendered["rules"][0], "matches": [narrowed]}]}),
    ):
        w.say(f"somebody {words}")
        w.cluster.edit(w.route_ref, {"spec": edited})
        await w.settle(10)
        assert w.route()["spec"] == rendered


async def hosts_and_timeout_taken_out(w: World) -> None:
    await v1_serves(w, target=_target(hostnames=["churn.example"], timeouts={"requestSeconds": 5}))
    w.say("the user takes host and time-out out of the spec")
    w.edit(target=_target(hostnames=None, timeouts=None))
    await w.settle(10)
    assert not w.route()["spec"].get("hostnames")
    assert "timeouts" not in w.route()["spec"]["rules"][0]


async def _break_spec(w: World) -> None:
    w.offer("HTTPRouteRequestTimeout")
    w.say("the spec is edited, and refused")
    steps = [{"setWeight": 20}, {"setMirrorRoute": {}}, {"pause": {}}]
    w.edit(strategy={"canary": {"steps": steps}})
    await w.settle(10)
    assert w.condition("Accepted")["reason"] == "GatewayLacksFeature"


async def refused_in_flight_and_aborted(w: World) -> None:
    """A spec that is wrong keeps nobody from going back."""
    await v2_comes(w)
    await _break_spec(w)
    assert w.shares() == {"v1": 80, "v2": 20}
    w.say("abort")
    w.act("Abort")
    await w.settle(40)
    assert w.shares() == {"v1": 100}
    assert w.condition("Accepted")["reason"] == "GatewayLacksFeature"


async def refused_in_flight_and_the_pods_die(w: World) -> None:
    await v2_comes(w)
    await _break_spec(w)
    w.say("v2's pods die")
    w.broken.add("v2")
    await w.settle(10)
    assert w.shares() == {"v1": 100, "v2": 0}
    w.say("they come back, and the spec is mended")
    w.broken.discard("v2")
    await w.settle(10)
    assert w.shares() == {"v1": 100, "v2": 0}
    w.edit(strategy={"canary": {"steps": [{"setWeight": 20}, {"pause": {}}]}})
    await w.settle(10)
    assert w.shares() == {"v1": 80, "v2": 20}


async def refused_in_flight_and_it_fails(w: World) -> None:
    w.measure(0.0)
    await v2_comes(w, strategy=TIMED, analysis=MEASURED)
    await _break_spec(w)
    w.say("errors")
    w.prometheus.rules.clear()
    w.measure(0.5)
    await w.settle(60)
    assert w.condition("Accepted")["reason"] == "GatewayLacksFeature"
    assert w.status()["history"][0]["outcome"] == "Aborted"


async def down_while_it_was_held(w: World) -> None:
    """After a stop it is measured first: that nothing was known for long is no reason any more."""
    spec = MEASURED | {"maxHoldSeconds": 120, "onNoData": "Abort"}
    await v2_comes(w, strategy=TIMED, analysis=spec)
    w.prometheus.on("", Answer(failure="connection refused"))
    await w.settle(100)
    assert w.status()["heldSince"]
    w.say("the operator is away for ten minutes, Prometheus comes back")
    w.pass_time(600)
    w.prometheus.rules.clear()
    w.measure(0.0)
    w.start()
    await w.settle(40)
    assert w.status()["canary"]
    await w.settle(120)


async def metrics_renamed_in_flight(w: World) -> None:
    """Status keeps what the spec asks for, not all that it ever asked for."""
    w.measure(0.0)
    steps = [{"setWeight": 20}, {"pause": {"durationSeconds": 3600}}]
    await v2_comes(w, strategy={"canary": {"steps": steps}}, analysis=MEASURED)
    for number in range(3):
        w.say(f"twenty metrics, names number {number}")
        metrics = [{"name": f"errors-{number}-{n}", "builtin": "ErrorRate", "max": "0.01"} for n in range(20)]
        w.edit(analysis={"metrics": metrics})
        await w.settle(70)
        assert len(w.status()["metrics"]) == 20


async def a_query_that_is_refused_at_length(w: World) -> None:
    await v1_serves(w)
    w.say("a query with a placeholder of four thousand letters")
    w.edit(analysis={"metrics": [{"name": "long", "query": f"$({'x' * 4000})", "max": "1"}]})
    await w.settle(10)
    told = w.condition("Accepted")
    assert (told["reason"], len(told["message"])) == ("InvalidQuery", 2048)
