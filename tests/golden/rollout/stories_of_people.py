"""Stories of who and what moves a Rollout: aliases, `latest`, the rollback window, freeze windows, actions."""

from datetime import UTC, datetime
from typing import Any

from tests.golden.rollout.manifests import NAMESPACE, rollout, version
from tests.golden.rollout.stories import MEASURED, TIMED, v1_serves
from tests.golden.rollout.world import START, World
from trainyard.systems.cluster import port
from trainyard.systems.cluster.port import Ref

ALIAS: dict[str, Any] = {"version": {"alias": "champion"}}
# The world begins at 06:00 UTC: a window from 06:05 on, ten minutes long.
MORNING = {"name": "morning", "cron": "5 6 * * *", "durationSeconds": 600}
NO_STEPS: dict[str, Any] = {"strategy": {"canary": {"steps": []}}}


def _call(w: World, name: str, *aliases: str) -> None:
    w.cluster.edit(Ref(port.MODEL_VERSION, NAMESPACE, name), {"spec": {"aliases": list(aliases)}})


def _called(name: str, minute: int, *aliases: str, ready: bool = True) -> dict[str, Any]:
    made = version(name, minute, ready)
    return {**made, "spec": {**made["spec"], "aliases": list(aliases)}}


async def until(w: World, clock: str) -> None:
    """Let time pass until HH:MM:SS of the day."""
    hours, minutes, seconds = map(int, clock.split(":"))
    moment = datetime(START.year, START.month, START.day, hours, minutes, seconds, tzinfo=UTC)
    await w.settle((moment - w.now).total_seconds())


# ---- alias ----


async def alias_forward_and_back(w: World) -> None:
    w.say("v1, nobody is champion")
    w.add(_called("v1", 1))
    w.add(rollout(**ALIAS, rollbackWindow=1))
    await w.settle(40)
    assert w.condition("Accepted")["reason"] == "AliasUnheld"
    w.say("v1 is champion")
    _call(w, "v1", "champion")
    await w.settle(40)
    w.say("v2 is there, and is no champion yet")
    w.add(_called("v2", 2))
    await w.settle(40)
    assert w.shares() == {"v1": 100}
    w.say("it is")
    _call(w, "v2", "champion")
    await w.settle()
    w.say("and a third, at once")
    w.add(_called("v3", 3, "champion"))
    await w.settle(40)
    w.say("promote, all the way")
    w.act("PromoteFull")
    await w.settle(40)
    w.say("back: v3 and v2 are champion no more")
    _call(w, "v2")
    _call(w, "v3")
    await w.settle(40)
    assert w.shares() == {"v1": 100}


async def alias_lost_by_accident(w: World) -> None:
    w.say("v1 and v2 are champion, v2 holds it")
    w.add(_called("v1", 1, "champion"))
    w.add(_called("v2", 2, "champion"))
    w.add(rollout(**ALIAS))
    await w.settle(40)
    w.say("v2 is found broken: nobody took the alias away")
    w.set_ready("v2", ready=False)
    await w.settle(60)
    assert w.shares() == {"v2": 100}
    w.say("v2 is gone for good")
    w.cluster.remove(Ref(port.MODEL_VERSION, NAMESPACE, "v2"))
    await w.settle(60)
    assert w.condition("Ready")["reason"] == "AliasBehind"
    w.say("v1 by name")
    w.edit(version={"name": "v1", "alias": None}, **NO_STEPS)
    await w.settle(40)
    assert w.shares() == {"v1": 100}


async def alias_of_what_was_rejected(w: World) -> None:
    w.say("v1, v2, v3; v1 is champion")
    for n, name in enumerate(("v1", "v2", "v3"), start=1):
        w.add(_called(name, n, *(["champion"] if n == 1 else [])))
    w.add(rollout(**ALIAS))
    await w.settle(40)
    w.say("v3 is champion, and is aborted")
    _call(w, "v3", "champion")
    await w.settle()
    w.act("Abort")
    await w.settle(40)
    assert w.condition("Degraded")["reason"] == "RevisionRejected"
    w.say("v2 is champion too: v3 is skipped until a person retries it")
    _call(w, "v2", "champion")
    await w.settle()
    w.act("PromoteFull", "2")
    await w.settle(40)
    assert w.shares() == {"v2": 100}
    w.say("retry v3")
    w.act("Retry", "3")
    await w.settle()
    assert w.shares() == {"v2": 80, "v3": 20}


# ---- latest ----


async def queue_of_three_and_a_late_one(w: World) -> None:
    await v1_serves(w, strategy=TIMED)
    w.say("v2, then v3, v4, v5 while it is tried; v6 waits for an approval")
    w.add(version("v2", 2))
    await w.settle()
    for n in (3, 4, 5):
        w.add(version(f"v{n}", n))
        await w.settle(5)
    w.add(version("v0", 0, ready=False))
    w.add(version("v2b", 2, ready=False))
    await w.settle(200)
    assert w.outcome() == ["v1 Promoted", "v2 Promoted", "v5 Promoted"]
    w.say("older ones are approved late")
    w.set_ready("v0", ready=True)
    w.set_ready("v2b", ready=True)
    await w.settle(100)
    assert w.shares() == {"v5": 100}


async def supersede_by_three(w: World) -> None:
    await v1_serves(w, version={"latest": {"whileProgressing": "Supersede"}})
    w.say("v2, then v3, v4 while it is tried")
    for n in (2, 3, 4):
        w.add(version(f"v{n}", n))
        await w.settle(5)
    w.say("one between v3 and v4 is approved late")
    w.add(version("v3b", 3))
    await w.settle(60)
    assert w.shares() == {"v1": 80, "v4": 20}


async def latest_skips_what_was_rejected(w: World) -> None:
    await v1_serves(w)
    w.say("another image, aborted: it is not tried again and again")
    w.edit(target={"kubernetes": {"serving": {"image": "mine/server:2"}}})
    await w.settle()
    w.act("Abort")
    await w.settle(60)
    assert w.outcome() == ["v1 Promoted", "v1 Aborted"]
    w.say("v2, aborted; then more memory: v2 is skipped, v1 climbs")
    w.add(version("v2", 2))
    await w.settle()
    w.act("Abort", "2")
    await w.settle(60)
    w.edit(target={"kubernetes": {"serving": {"resources": {"limits": {"memory": "2Gi"}}}}})
    await w.settle(60)
    assert w.status()["canary"]["version"] == "v1"


# ---- rollback window ----


async def within_the_rollback_window(w: World) -> None:
    w.measure(0.0)
    await v1_serves(w, version={"name": "v1"}, rollbackWindow=1, analysis=MEASURED, **NO_STEPS)
    for n in (2, 3):
        w.say(f"v{n}")
        w.add(version(f"v{n}", n))
        w.edit(version={"name": f"v{n}"})
        await w.settle(40)
    w.edit(strategy={"canary": {"steps": [{"setWeight": 20}, {"pause": {}}]}})
    await w.settle(10)
    w.measure(0.5)
    w.say("back to v2, which was stable last: nothing is measured")
    w.edit(version={"name": "v2"})
    await w.settle(40)
    assert w.shares() == {"v2": 100}
    w.say("further back to v1: with all steps")
    w.edit(version={"name": "v1"})
    await w.settle(10)
    assert w.shares() == {"v2": 80, "v1": 20}
    w.say("and to v3 in between, which is in the window")
    w.edit(version={"name": "v3"})
    await w.settle(40)
    assert w.shares() == {"v3": 100}


async def steps_edited_on_the_way_back(w: World) -> None:
    await v1_serves(w, version={"name": "v1"}, rollbackWindow=1, **NO_STEPS)
    w.add(version("v2", 2))
    w.edit(version={"name": "v2"})
    await w.settle(40)
    w.broken.add("v1")
    w.say("back to v1, and the steps change while its pods start")
    w.edit(version={"name": "v1"})
    await w.settle(10)
    w.edit(strategy={"canary": {"steps": [{"setWeight": 20}, {"pause": {}}]}})
    await w.settle(10)
    w.broken.discard("v1")
    await w.settle(40)
    assert w.shares() == {"v1": 100}


# ---- freeze windows ----


async def frozen_at_a_pause(w: World) -> None:
    await v1_serves(w, strategy=TIMED, freeze=[MORNING])
    await until(w, "06:04:30")
    w.say("v2, half a minute before the window")
    w.add(version("v2", 2))
    await until(w, "06:05:01")
    assert (w.status()["frozen"], w.condition("Paused")["reason"]) == ("morning", "Frozen")
    w.say("a person asks to go on: not now, and not later either")
    w.act("Promote")
    await w.settle()
    w.act("PromoteFull", "2")
    await w.settle()
    assert [a["result"] for a in w.status()["actions"]] == ["Frozen", "Frozen"]
    writes = w.own_writes
    await until(w, "06:14:59")
    assert w.own_writes == writes
    w.say("the window ends: the pause goes on where it stood")
    await until(w, "06:15:25")
    assert w.shares() == {"v1": 80, "v2": 20}
    await until(w, "06:16:10")
    assert w.shares() == {"v2": 100}


async def steps_edited_while_frozen(w: World) -> None:
    """More requests and pods wait for the end of the window; a lower weight does not."""
    everybody = {"setHeaderRoute": {"name": "all", "match": [{"name": "User-Agent", "regex": ".*"}]}}
    pause: dict[str, Any] = {"pause": {}}
    await v1_serves(w, strategy={"canary": {"steps": [{"setWeight": 50}, pause]}}, freeze=[MORNING])
    w.add(version("v2", 2))
    await until(w, "06:05:10")
    w.say("everybody by a header, and all the weight")
    w.edit(strategy={"canary": {"steps": [{"setWeight": 100}, everybody, pause]}})
    await w.settle(10)
    w.say("10 % instead of 50")
    w.edit(strategy={"canary": {"steps": [{"setWeight": 10}, everybody, pause]}})
    await until(w, "06:14:59")
    assert w.shares() == {"v1": 90, "v2": 10}
    w.say("the window ends")
    await w.settle(10)


async def nothing_begins_while_frozen(w: World) -> None:
    await v1_serves(w, freeze=[MORNING])
    await until(w, "06:06:00")
    w.say("v2 comes within the window")
    w.add(version("v2", 2))
    await w.settle(60)
    assert (w.shares(), w.condition("Ready")["reason"]) == ({"v1": 100}, "Frozen")
    await until(w, "06:15:01")
    assert w.shares() == {"v1": 80, "v2": 20}


async def measured_and_aborted_while_frozen(w: World) -> None:
    w.measure(lambda name, at: 0.05 if at.minute >= 6 else 0.0)
    steps = [{"setWeight": 20}, {"pause": {"durationSeconds": 600}}]
    await v1_serves(w, strategy={"canary": {"steps": steps}}, analysis=MEASURED, freeze=[MORNING])
    w.add(version("v2", 2))
    await until(w, "06:05:59")
    w.say("errors from now on")
    await until(w, "06:07:00")
    assert (w.status()["frozen"], w.outcome()[-1]) == ("morning", "v2 Aborted")


async def pods_die_while_frozen(w: World) -> None:
    await v1_serves(w, freeze=[MORNING])
    w.add(version("v2", 2))
    await until(w, "06:05:10")
    w.say("v2's pods die, and come back: no weight until the window is over")
    w.broken.add("v2")
    await w.settle(5)
    assert w.shares() == {"v1": 100, "v2": 0}
    w.broken.discard("v2")
    await until(w, "06:14:59")
    assert w.shares() == {"v1": 100, "v2": 0}
    await until(w, "06:15:01")
    assert w.shares() == {"v1": 80, "v2": 20}


async def superseded_while_frozen(w: World) -> None:
    await v1_serves(w, version={"name": "v1"}, freeze=[MORNING])
    w.add(version("v2", 2))
    w.add(version("v3", 3))
    w.edit(version={"name": "v2"})
    await until(w, "06:06:00")
    w.say("v3 by name: that would begin something")
    w.edit(version={"name": "v3"})
    await w.settle(60)
    assert w.shares() == {"v1": 80, "v2": 20}
    w.say("back to v1, which serves: that goes")
    w.edit(version={"name": "v1"})
    await w.settle(60)
    assert w.shares() == {"v1": 100}
    w.say("v2 again, and an abort")
    await until(w, "06:15:30")
    w.edit(version={"name": "v2"}, freeze=[{**MORNING, "cron": "17 6 * * *"}])
    await until(w, "06:17:30")
    w.act("Abort")
    await w.settle(40)
    assert w.outcome()[-1] == "v2 Aborted"


async def the_first_version_waits_for_the_window_too(w: World) -> None:
    await until(w, "06:04:58")
    w.broken.add("v1")
    w.say("v1 and a Rollout; its pods are ready within the window")
    w.add(version("v1", 1))
    w.add(rollout(freeze=[MORNING]))
    await until(w, "06:06:00")
    w.broken.discard("v1")
    await w.settle(60)
    assert w.shares() == {}
    await until(w, "06:15:01")
    assert w.shares() == {"v1": 100}


# ---- actions ----


async def each_action_once(w: World) -> None:
    await v1_serves(
        w, strategy={"canary": {"steps": [{"setWeight": 20}, {"pause": {}}, {"setWeight": 40}, {"pause": {}}]}}
    )
    w.add(version("v2", 2))
    await w.settle()
    w.say("promote, then something that does not fit, then git brings the first one back")
    w.act("Promote", "1")
    await w.settle()
    w.act("Abort", "2", revision="0123456789")
    await w.settle()
    w.act("Promote", "1")
    await w.settle(60)
    assert w.shares() == {"v1": 60, "v2": 40}
    assert [(a["id"], a["result"]) for a in w.status()["actions"]] == [("2", "Stale"), ("1", "Done")]
    w.say("abort by who does not say their name")
    w.act("Abort", "3", by="", revision=None)
    await w.settle(40)
    assert w.status()["history"][0]["message"] == "aborted by a person"
