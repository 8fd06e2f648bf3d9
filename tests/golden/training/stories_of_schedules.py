"""Days in the life of schedules. Scenario 40; told by `test_schedules`."""

from collections.abc import Awaitable, Callable
from datetime import timedelta

from tests.golden.training.clockwork import PIPELINE, RARELY_SECONDS, Clockwork, by, day, nightly
from tests.golden.training.world import NAMESPACE, SPEC
from trainyard import naming
from trainyard.systems.cluster.port import MODEL_VERSION, TRAINING_PIPELINE, TRAINING_RUN

Story = Callable[[Clockwork], Awaitable[None]]
BERLIN = "Europe/Berlin"
NIGHTLY_RUN = naming.run_name("churn", "Schedule", "nightly", "2026-11-24T02:00Z")


# ---- clocks change ----


async def schedule_in_spring_at_a_fixed_time(w: Clockwork) -> None:
    w.now, w.regular = day("2027-03-27 00:00"), RARELY_SECONDS
    w.say("02:30 in Berlin; on the 28th, 02:00 is followed by 03:00")
    w.pipeline(**by(nightly("30 2 * * *", timeZone=BERLIN)))
    await w.until(day("2027-03-29 12:00"))


async def schedule_in_spring_with_a_star(w: Clockwork) -> None:
    w.now = day("2027-03-27 23:20")
    w.say("every hour in Berlin at half past; on the 28th, 02:00 is followed by 03:00")
    w.pipeline(**by(nightly("30 * * * *", timeZone=BERLIN)))
    await w.until(day("2027-03-28 03:00"))


async def schedule_in_autumn_at_a_fixed_time(w: Clockwork) -> None:
    w.now, w.regular = day("2026-10-24 00:00"), RARELY_SECONDS
    w.say("02:30 in Berlin; on the 25th, 03:00 is followed by 02:00")
    w.pipeline(**by(nightly("30 2 * * *", timeZone=BERLIN)))
    await w.until(day("2026-10-26 12:00"))


async def schedule_in_autumn_with_a_star(w: Clockwork) -> None:
    w.now = day("2026-10-24 23:20")
    w.say("every hour in Berlin at half past; on the 25th, 03:00 is followed by 02:00")
    w.pipeline(**by(nightly("30 * * * *", timeZone=BERLIN)))
    await w.until(day("2026-10-25 03:00"))


async def schedule_missed_in_the_doubled_hour(w: Clockwork) -> None:
    w.now = day("2026-10-25 00:20")
    w.say("02:30 in Berlin, and the operator is down from 02:20 until 02:10 of the second pass")
    w.pipeline(**by(nightly("30 2 * * *", timeZone=BERLIN)))
    await w.until(day("2026-10-25 00:20"))
    await w.down_until(day("2026-10-25 01:10"))
    await w.until(day("2026-10-25 02:00"))


# ---- several at once ----


async def schedules_in_one_minute_with_allow(w: Clockwork) -> None:
    await _two_in_one_minute(w, "Allow")


async def schedules_in_one_minute_with_forbid(w: Clockwork) -> None:
    await _two_in_one_minute(w, "Forbid")


async def schedules_in_one_minute_with_replace(w: Clockwork) -> None:
    await _two_in_one_minute(w, "Replace")


async def schedule_and_change_in_one_cycle(w: Clockwork) -> None:
    w.now = day("2026-11-24 01:50")
    w.say("a pipeline with a schedule, made while the operator is down; with concurrency Allow")
    w.pipeline(concurrency="Allow", triggers={"onChange": True, "schedules": [nightly()]})
    await w.down_until(day("2026-11-24 02:10"))


# ---- concurrency ----


async def schedule_with_forbid_waits(w: Clockwork) -> None:
    await _hourly_while_one_runs(w, "Forbid")
    w.say("the run ends")
    w.end_runs()
    await w.until(day("2026-11-24 02:03"))


async def schedule_with_forbid_is_missed(w: Clockwork) -> None:
    await _hourly_while_one_runs(w, "Forbid", startingDeadlineSeconds=180)
    await w.until(day("2026-11-24 02:04"))
    w.say("the run ends, too late")
    w.end_runs()
    await w.until(day("2026-11-24 02:05"))


async def schedule_with_allow_starts_beside(w: Clockwork) -> None:
    await _hourly_while_one_runs(w, "Allow")


async def schedule_with_replace_cancels(w: Clockwork) -> None:
    await _hourly_while_one_runs(w, "Replace")
    w.say("the cancelled run has ended")
    w.end_runs()
    await w.until(day("2026-11-24 02:03"))


async def schedule_of_every_minute_behind_a_long_run(w: Clockwork) -> None:
    w.now, w.busy = day("2026-11-24 01:59"), True
    w.say("every minute, with Forbid; each run takes long")
    w.pipeline(**by(nightly("* * * * *")))
    await w.until(day("2026-11-24 02:02:30"))
    w.say("the run ends")
    w.end_runs()
    await w.until(day("2026-11-24 02:02:40"))


# ---- missed slots ----


async def schedule_missed_inside_the_deadline(w: Clockwork) -> None:
    w.now = day("2026-11-23 23:00")
    w.say("every hour; the operator is down for three of them, the deadline is an hour")
    w.pipeline(**by(nightly("0 * * * *")))
    await w.until(day("2026-11-23 23:50"))
    await w.down_until(day("2026-11-24 02:40"))


async def schedule_missed_outside_the_deadline(w: Clockwork) -> None:
    w.regular = RARELY_SECONDS
    w.now = day("2026-11-24 00:00")
    w.say("02:00; the operator is down until 03:01, the deadline is an hour")
    w.pipeline(**by(nightly()))
    await w.until(day("2026-11-24 00:00"))
    await w.down_until(day("2026-11-24 03:01"))
    await w.until(day("2026-11-25 02:00:05"))


async def schedule_that_is_new_has_no_past(w: Clockwork) -> None:
    w.regular = RARELY_SECONDS
    w.now = day("2026-11-24 02:00:01")
    w.say("02:00, told a second later")
    w.pipeline(**by(nightly()))
    await w.until(day("2026-11-24 02:10"))
    w.say("another one, for 02:05")
    w.edit(**by(nightly(), {"name": "early", "cron": "5 2 * * *"}))
    await w.until(day("2026-11-25 02:06"))


# ---- suspend and edit ----


async def schedule_suspended(w: Clockwork) -> None:
    w.now = day("2026-11-24 01:30")
    w.say("every hour")
    w.pipeline(**by(nightly("0 * * * *")))
    await w.until(day("2026-11-24 01:30"))
    w.say("the schedule is suspended, and no longer at 02:10")
    w.edit(**by(nightly("0 * * * *", suspend=True)))
    await w.until(day("2026-11-24 02:10"))
    w.edit(**by(nightly("0 * * * *")))
    await w.until(day("2026-11-24 02:30"))
    w.say("the pipeline is suspended, and no longer at 03:10")
    w.edit(suspend=True)
    await w.until(day("2026-11-24 03:10"))
    w.edit(suspend=False)
    await w.until(day("2026-11-24 04:00:05"))


async def schedule_suspended_while_its_slot_waits(w: Clockwork) -> None:
    await _hourly_while_one_runs(w, "Forbid")
    w.say("the pipeline is suspended, then the run ends")
    w.edit(suspend=True)
    w.end_runs()
    await w.until(day("2026-11-24 02:03"))
    w.say("no longer suspended: the slot had come before")
    w.edit(suspend=False)
    await w.until(day("2026-11-24 02:04"))


async def schedule_alone_suspended_while_its_slot_waits(w: Clockwork) -> None:
    await _hourly_while_one_runs(w, "Forbid", startingDeadlineSeconds=180)
    w.say("the schedule is suspended; its slot waits until the deadline")
    w.edit(**by(nightly("0 * * * *", suspend=True)))
    await w.until(day("2026-11-24 02:04"))


async def schedule_edited_while_its_slot_waits(w: Clockwork) -> None:
    w.regular = RARELY_SECONDS
    await _hourly_while_one_runs(w, "Forbid")
    w.say("it is moved to 02:01, which has just passed: what waits is not lost, and the past does not come")
    w.edit(**by(nightly("1 2 * * *", parameters={"epochs": 5})))
    await w.until(day("2026-11-24 02:03"))
    w.say("the run ends")
    w.busy = False
    await w.until(day("2026-11-25 02:02"))


async def schedule_edited_before_its_slot(w: Clockwork) -> None:
    w.now = day("2026-11-24 01:30")
    w.say("02:00, then every ten minutes, then 02:00 again, then in Berlin, then taken out and back")
    w.pipeline(**by(nightly()))
    await w.until(day("2026-11-24 01:31"))
    for schedules in ([nightly("*/10 * * * *")], [nightly()], [nightly("0 3 * * *", timeZone=BERLIN)], [], [nightly()]):
        w.edit(**by(*schedules))
        w.now += timedelta(seconds=1)
        await w.until(w.now)
    await w.until(day("2026-11-24 02:30"))


async def schedule_resumed_after_its_slot_had_come(w: Clockwork) -> None:
    await _hourly_while_one_runs(w, "Forbid")
    w.say("suspended and back within a minute, the run ends: once")
    w.edit(suspend=True)
    await w.until(day("2026-11-24 02:03"))
    w.edit(suspend=False)
    w.end_runs()
    await w.until(day("2026-11-24 02:04"))


# ---- what is lost, taken, wrong ----


async def schedule_whose_status_is_lost(w: Clockwork) -> None:
    w.now = day("2026-11-24 01:59")
    w.pipeline(**by(nightly()))
    await w.until(day("2026-11-24 02:05"))
    w.say("the status of the pipeline is lost")
    w.cluster.edit(PIPELINE, {"status": None}, status=True)
    await w.until(day("2026-11-24 02:10"))


async def schedule_restored_from_a_backup(w: Clockwork) -> None:
    w.now = day("2026-11-24 00:59")
    w.pipeline(**by(nightly("0 * * * *")))
    await w.until(day("2026-11-24 01:05"))
    w.say("restored at 02:30 from a backup of 01:05: the slot 02:00 was before its time")
    w.now = day("2026-11-24 02:30")
    w.restore(TRAINING_PIPELINE, TRAINING_RUN)
    await w.until(day("2026-11-24 03:00:05"))


async def schedule_whose_model_is_there(w: Clockwork) -> None:
    w.now = day("2026-11-24 01:59")
    w.pipeline(**by(nightly()))
    await w.until(day("2026-11-24 01:59:30"))
    w.say("the slot's run is gone before anybody saw it, its model is there")
    spec = {"model": "churn", "source": {"run": NIGHTLY_RUN}, "createdAt": "2026-11-24T02:00:00Z"}
    meta = {"name": NIGHTLY_RUN, "namespace": NAMESPACE}
    w.cluster.seed({"apiVersion": MODEL_VERSION.api_version, "kind": "ModelVersion", "metadata": meta, "spec": spec})
    await w.until(day("2026-11-24 02:01"))


async def schedule_whose_name_is_taken(w: Clockwork) -> None:
    w.now = day("2026-11-24 01:59")
    w.say("the name of the run for 02:00 is held by a run by hand, which somebody else holds on to")
    w.pipeline(**by(nightly(), concurrency="Allow"))
    held = w.run(NIGHTLY_RUN)
    w.cluster.edit(held, {"metadata": {"finalizers": ["example.com/hold"]}})
    await w.until(day("2026-11-24 02:01"))
    w.say("it is deleted, and let go a minute later")
    w.cluster.remove(held)
    await w.until(day("2026-11-24 02:02"))
    w.cluster.edit(held, {"metadata": {"finalizers": []}})
    await w.until(day("2026-11-24 02:03"))


async def schedules_with_mistakes(w: Clockwork) -> None:
    w.now = day("2026-11-24 01:59")
    w.say("four that cannot be followed, one that can, and an event trigger; the change goes its way")
    wrong = [
        {"name": "a-minute", "cron": "61 * * * *"},
        {"name": "a-zone", "cron": "0 2 * * *", "timeZone": "Mars/Olympus"},
        {"name": "never", "cron": "0 0 30 2 *"},
        {"name": "values", "cron": "0 2 * * *", "parameters": {"epochs": "many", "rate": 1}},
    ]
    event = {"name": "new-data", "auth": {"kubernetes": {}}, "parametersFromData": {"speed": "/speed"}}
    w.pipeline(triggers={"onChange": True, "schedules": [*wrong, nightly()], "events": [event]})
    await w.until(day("2026-11-24 02:01"))
    w.say("a parameter without a default, which one schedule gives")
    given = {"name": "given", "cron": "2 2 * * *", "parameters": {"rate": 0.5}}
    needed = [*SPEC["parameters"], {"name": "rate", "type": "Double"}]
    w.edit(parameters=needed, triggers={"onChange": False, "schedules": [nightly(), given], "events": None})
    await w.until(day("2026-11-24 02:03"))


# ---- history ----


async def schedule_history_keeps_its_watermark(w: Clockwork) -> None:
    w.now = day("2026-11-24 01:30")
    w.say("limits 1 and 1; nightly at 02:00, then runs by hand")
    w.pipeline(**by(nightly(), history={"succeeded": 1, "failed": 1}))
    await w.until(day("2026-11-24 02:01"))
    for number in range(3):
        w.run(f"by-hand-{number}")
        await w.until(w.now + timedelta(minutes=1))
    w.say("the status is lost: 02:00 is not repeated")
    w.cluster.edit(PIPELINE, {"status": None}, status=True)
    await w.until(day("2026-11-24 02:10"))


# ---- the pieces ----


async def _two_in_one_minute(w: Clockwork, concurrency: str) -> None:
    w.now, w.busy = day("2026-11-24 01:59"), True
    w.say(f"two schedules for 02:00, concurrency {concurrency}")
    w.pipeline(**by(nightly(), {"name": "also", "cron": "0 2 * * *"}, concurrency=concurrency))
    await w.until(day("2026-11-24 02:01"))
    w.say("the runs end")
    w.end_runs()
    await w.until(day("2026-11-24 02:02"))
    w.end_runs()
    await w.until(day("2026-11-24 02:03"))


async def _hourly_while_one_runs(w: Clockwork, concurrency: str, **spec: object) -> None:
    w.now, w.busy = day("2026-11-24 00:59"), True
    w.say(f"every hour, concurrency {concurrency}; the run of 01:00 takes long")
    w.pipeline(**by(nightly("0 * * * *"), concurrency=concurrency, **spec))
    await w.until(day("2026-11-24 02:02"))


STORIES: tuple[Story, ...] = (
    schedule_in_spring_at_a_fixed_time,
    schedule_in_spring_with_a_star,
    schedule_in_autumn_at_a_fixed_time,
    schedule_in_autumn_with_a_star,
    schedule_missed_in_the_doubled_hour,
    schedules_in_one_minute_with_allow,
    schedules_in_one_minute_with_forbid,
    schedules_in_one_minute_with_replace,
    schedule_and_change_in_one_cycle,
    schedule_with_forbid_waits,
    schedule_with_forbid_is_missed,
    schedule_with_allow_starts_beside,
    schedule_with_replace_cancels,
    schedule_of_every_minute_behind_a_long_run,
    schedule_missed_inside_the_deadline,
    schedule_missed_outside_the_deadline,
    schedule_that_is_new_has_no_past,
    schedule_suspended,
    schedule_suspended_while_its_slot_waits,
    schedule_alone_suspended_while_its_slot_waits,
    schedule_edited_while_its_slot_waits,
    schedule_edited_before_its_slot,
    schedule_resumed_after_its_slot_had_come,
    schedule_whose_status_is_lost,
    schedule_restored_from_a_backup,
    schedule_whose_model_is_there,
    schedule_whose_name_is_taken,
    schedules_with_mistakes,
    schedule_history_keeps_its_watermark,
)

# What writes in each of the ways there are; the operator is killed after every write of these.
KILLED: tuple[Story, ...] = (
    schedules_in_one_minute_with_allow,
    schedules_in_one_minute_with_forbid,
    schedules_in_one_minute_with_replace,
    schedule_and_change_in_one_cycle,
    schedule_with_forbid_is_missed,
    schedule_with_replace_cancels,
    schedule_of_every_minute_behind_a_long_run,
    schedule_missed_inside_the_deadline,
    schedule_alone_suspended_while_its_slot_waits,
    schedule_whose_name_is_taken,
    schedule_history_keeps_its_watermark,
)
