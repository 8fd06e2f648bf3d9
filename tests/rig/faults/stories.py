"""Whole Rollouts from their creation to their rest, as users see them; each waits for what must come, at any speed."""

import copy

from tests.rig.faults.stage import ANALYSIS, Stage, quiet

EXPERIMENT = {
    "share": 20,
    "assignment": {"cookie": {"name": "arm"}},
    "durationSeconds": 3600,
    "minPerArm": 500,
    "decideOn": "slow",
}
UNHURRIED = {
    "intervalSeconds": 600,
    "metrics": [
        {
            "name": "slow",
            "builtin": "SlowShare",
            "slowerThanSeconds": "1",
            "margin": "0.05",
            "sequential": {"alpha": "0.05"},
        }
    ],
}


async def first(stage: Stage, name: str, **spec: object) -> None:
    """The first version serves."""
    await stage.publish(name, 1)
    await stage.create(name, **spec)
    await stage.until("v1 serves", lambda: stage.ended(name, f"{name}-v1", "Promoted"))


async def at_first_step(stage: Stage, name: str, number: int) -> None:
    """A newer version is published, and waits at 20 % for a person."""
    await stage.publish(name, number)
    await waits_at_first_step(stage, name, number)


async def waits_at_first_step(stage: Stage, name: str, number: int) -> None:
    """It waits there."""
    canary = f"{name}-v{number}"
    await stage.until(f"{canary} waits at 20 %", lambda: _waits_at(stage, name, canary, 20))


def _waits_at(stage: Stage, name: str, canary: str, weight: int) -> bool:
    return stage.world.status(name).get("routedWeight") == weight and _is_paused(stage, name, canary)


def _is_paused(stage: Stage, name: str, canary: str) -> bool:
    told = stage.world.status(name)
    paused = any(c["type"] == "Paused" and c["status"] == "True" for c in told.get("conditions", ()))
    return paused and told.get("canary", {}).get("version") == canary


async def promoted(stage: Stage, name: str) -> None:
    """Up the ladder, a person says yes, a pause passes, and the former version's pods go."""
    await first(stage, name)
    await at_first_step(stage, name, 2)
    await stage.act(name, "Promote")
    await stage.until("v2 serves alone", lambda: stage.ended(name, f"{name}-v2", "Promoted"))
    await stage.until("v1's pods gone", lambda: stage.deployments(name) == [f"{name}-v2"])
    await quiet(stage, name)


async def aborted(stage: Stage, name: str) -> None:
    """A person aborts, and asks for another try, which is aborted too."""
    await first(stage, name)
    await at_first_step(stage, name, 2)
    await stage.act(name, "Abort")
    await stage.until("v2 is back at 0", lambda: stage.ended(name, f"{name}-v2", "Aborted"))
    await stage.until("v2's pods gone", lambda: stage.deployments(name) == [f"{name}-v1"])
    await quiet(stage, name)


async def failed(stage: Stage, name: str) -> None:
    """A metric says no."""
    steps = [{"setWeight": 50}, {"pause": {"durationSeconds": 3600}}]
    await first(stage, name, strategy={"canary": {"steps": steps}}, analysis=copy.deepcopy(ANALYSIS))
    stage.world.failing.add(await stage.publish(name, 2))
    await stage.until("v2 is rejected", lambda: stage.ended(name, f"{name}-v2", "Aborted"))
    await stage.until("v2's pods gone", lambda: stage.deployments(name) == [f"{name}-v1"])
    await quiet(stage, name)


async def superseded(stage: Stage, name: str) -> None:
    """A third version comes while the second is tried; it goes straight to the end."""
    await first(stage, name, version={"latest": {"whileProgressing": "Supersede"}})
    await at_first_step(stage, name, 2)
    await at_first_step(stage, name, 3)
    await stage.act(name, "PromoteFull")
    await stage.until("v3 serves alone", lambda: stage.ended(name, f"{name}-v3", "FastPromoted"))
    await stage.until("all other pods gone", lambda: stage.deployments(name) == [f"{name}-v3"])
    await quiet(stage, name)


async def deleted(stage: Stage, name: str) -> None:
    """It is deleted while a version is tried."""
    await first(stage, name)
    await at_first_step(stage, name, 2)
    await stage.delete(name)
    await stage.until("it is gone", lambda: not stage.is_there(name))
    await stage.until("all pods gone", lambda: not stage.deployments(name))


async def switched(stage: Stage, name: str) -> None:
    """Blue-green: the second version is ready beside the first, shown by a header, until a person switches."""
    preview = {"header": {"name": "X-Preview", "value": "1"}}
    await first(stage, name, strategy={"blueGreen": {"preview": preview}})
    await stage.publish(name, 2)
    await stage.until("v2 waits for a person", lambda: _is_paused(stage, name, f"{name}-v2"))
    await stage.act(name, "Promote")
    await stage.until("v2 serves alone", lambda: stage.ended(name, f"{name}-v2", "Promoted"))
    await stage.until("v1's pods gone", lambda: stage.deployments(name) == [f"{name}-v2"])
    await quiet(stage, name)


async def tried(stage: Stage, name: str) -> None:
    """An experiment at a fixed share with sticky users; a person ends it before it has shown anything."""
    await first(stage, name, strategy={"experiment": EXPERIMENT}, analysis=copy.deepcopy(UNHURRIED))
    await stage.publish(name, 2)
    await stage.until("v2 has its share", lambda: stage.world.status(name).get("routedWeight") == 20)
    await stage.act(name, "Abort")
    await stage.until("v2 is back at 0", lambda: stage.ended(name, f"{name}-v2", "Aborted"))
    await stage.until("v2's pods gone", lambda: stage.deployments(name) == [f"{name}-v1"])
    await quiet(stage, name)


STORIES = (promoted, aborted, failed, superseded, deleted, switched, tried)
