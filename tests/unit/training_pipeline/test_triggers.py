"""Several triggers of one pipeline: what it says as a whole, which entries stay, and what is waited for."""

from datetime import timedelta
from typing import Any

from tests.golden.training.world import NAMESPACE, NOW, World
from trainyard.reconciling.plan import Plan
from trainyard.resources.base import ObjectMeta
from trainyard.resources.training_pipeline import TrainingPipeline, TrainingPipelineStatus
from trainyard.systems.cluster.port import TRAINING_PIPELINE, TRAINING_RUN, Ref
from trainyard.training_pipeline import children, reasons
from trainyard.training_pipeline.decide import decide
from trainyard.training_pipeline.observe import observe
from trainyard.training_pipeline.state import CancelRun, CreateRun, Observed

KEY = Ref(TRAINING_PIPELINE, NAMESPACE, "churn")
EVENT = {"name": "new-data", "auth": {"kubernetes": {}}}


async def decided(status: dict[str, Any] | None = None, after: int = 0, **spec: Any) -> Plan:
    """What a pipeline with that status does so many seconds after NOW."""
    world = World()
    world.pipeline(**spec)
    if status is not None:
        world.cluster.edit(KEY, {"status": {"observedGeneration": 1, **status}}, status=True)
    return decide(await observe(world.look(KEY), world.systems), NOW + timedelta(seconds=after))


def schedule(name: str, cron: str, **fields: Any) -> dict[str, Any]:
    return {"name": name, "cron": cron, **fields}


def conditions(plan: Plan) -> dict[str, tuple[str, str]]:
    assert plan.status is not None
    return {c["type"]: (c["status"], c["reason"]) for c in plan.status["conditions"]}


async def test_it_wakes_at_the_nearest_slot() -> None:
    triggers = {"schedules": [schedule("late", "30 6 * * *"), schedule("soon", "10 6 * * *")]}
    plan = await decided(triggers=triggers, after=15)
    assert plan.revisit_after == 585.0
    assert plan.status is not None
    assert [s["name"] for s in plan.status["schedules"]] == ["soon", "late"], "the next one is printed"


async def test_it_says_what_stops_most() -> None:
    triggers = {"onChange": True, "schedules": [schedule("bad", "61 6 * * *")], "events": [EVENT]}
    found = conditions(await decided(triggers=triggers))
    assert found["Accepted"] == ("False", reasons.INVALID_TRIGGER)
    assert found["Ready"] == ("False", reasons.INVALID_TRIGGER)
    assert found["Stalled"][0] == "True"
    resting = await decided(triggers={"onChange": False, "events": [EVENT]})
    assert conditions(resting)["Ready"] == ("True", reasons.WAITING_FOR_TRIGGER)
    suspended = await decided(triggers={"onChange": False, "events": [EVENT]}, suspend=True)
    assert conditions(suspended)["Ready"] == ("True", reasons.SUSPENDED)


async def test_an_entry_that_is_no_date_is_armed_anew() -> None:
    status = {"schedules": [{"name": "nightly", "next": "2026-13-99T01:00Z"}]}
    plan = await decided(status, triggers={"schedules": [schedule("nightly", "0 7 * * *")]})
    assert plan.status is not None
    assert plan.status["schedules"] == [{"name": "nightly", "next": "2026-11-24T07:00Z"}]
    assert not any(isinstance(a, CreateRun) for a in plan.actions)


async def test_an_invalid_schedule_keeps_its_slot() -> None:
    status = {"schedules": [{"name": "nightly", "lastSlot": "2026-11-23T06:00Z", "next": "2026-11-24T06:00Z"}]}
    plan = await decided(status, triggers={"schedules": [schedule("nightly", "0 6 * * *", timeZone="No/Where")]})
    assert plan.status is not None
    assert plan.status["schedules"] == status["schedules"], "mended within its deadline, it is not lost"


async def test_entries_of_event_triggers_that_were_taken_out_stay_while_there_is_room() -> None:
    old = [{"name": f"old{n}", "handled": ["0123456789"]} for n in range(32)]
    plan = await decided({"events": old}, triggers={"onChange": False, "events": [EVENT]})
    assert plan.status is not None
    names = [e["name"] for e in plan.status["events"]]
    assert names == ["new-data", *(f"old{n}" for n in range(31))]


async def test_the_only_run_by_event_replaces_nothing() -> None:
    world = World()
    world.pipeline(concurrency="Replace", triggers={"events": [EVENT]})
    world.run("first", trigger={"type": "Event", "name": "new-data", "eventSource": "/s", "eventId": "1"})
    plan = decide(await observe(world.look(KEY), world.systems), NOW)
    assert not any(isinstance(a, CancelRun) for a in plan.actions)
    assert conditions(plan)["Ready"] == ("True", reasons.WAITING_FOR_TRIGGER)


async def test_a_schedule_gives_its_values() -> None:
    triggers = {"schedules": [schedule("nightly", "0 6 * * *", parameters={"epochs": 7})]}
    status = {"schedules": [{"name": "nightly", "next": "2026-11-24T06:00Z"}]}
    plan = await decided(status, after=1, triggers=triggers)
    (run,) = (a.run for a in plan.actions if isinstance(a, CreateRun))
    assert run["spec"]["parameters"] == {"epochs": 7}
    assert run["spec"]["trigger"] == {"type": "Schedule", "name": "nightly", "slot": "2026-11-24T06:00Z"}
    assert run["metadata"]["annotations"] == {"trainyard.dev/slot": "2026-11-24T06:00Z"}


async def test_values_of_events_count_as_given() -> None:
    wanted = [{"name": "speed", "type": "Integer"}]
    event = {**EVENT, "parametersFromData": {"speed": "/speed"}}
    good = await decided(parameters=wanted, triggers={"onChange": False, "events": [event]})
    assert conditions(good)["Accepted"] == ("True", reasons.ACCEPTED)
    bad = await decided(parameters=wanted, triggers={"onChange": False, "events": [EVENT]})
    assert bad.status is not None
    told = next(c["message"] for c in bad.status["conditions"] if c["type"] == "Accepted")
    assert told == "Event trigger new-data: speed has no default and no value."


def pipeline(**fields: Any) -> Observed:
    spec = {"model": "churn", "engine": {"job": {"template": {"image": "x"}}}}
    read = TrainingPipeline.model_validate({"metadata": {"name": "churn"}, "spec": spec})
    return Observed(ObjectMeta(name="churn"), TrainingPipelineStatus(), read, **fields)


def test_a_package_that_lies_elsewhere_is_looked_at_again() -> None:
    refused = decide(pipeline(package_reason=reasons.PACKAGE_NOT_FOUND, package_problem="It is away."), NOW)
    assert refused.revisit_after is None
    assert conditions(refused)["Accepted"] == ("False", reasons.PACKAGE_NOT_FOUND)
    elsewhere = decide(pipeline(package_elsewhere=True, package_reason=reasons.PACKAGE_NOT_FOUND), NOW)
    assert elsewhere.revisit_after == 30.0
    assert decide(pipeline(package_elsewhere=True), NOW).revisit_after == 30.0


async def test_runs_are_looked_up_in_the_whole_namespace() -> None:
    world = World()
    world.pipeline(triggers={})
    world.run("elsewhere", pipeline="other")
    seen = await observe(world.look(KEY), world.systems)
    assert list(seen.named) == ["elsewhere"]
    assert seen.runs == ()
    assert children.run_name(TrainingPipeline.model_validate(world.look(KEY))) not in seen.named
    assert len(world.cluster.all(TRAINING_RUN)) == 1
