"""Days of schedules on a real API server, scenario 40: the operator's real process, its clock turned to before a slot.

From there it comes to the slot by itself. Nothing executes: a run is active until the test writes its end.
"""

import json
import signal
import subprocess
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from local.rig import ApiServerRig
from tests.rig.timed import Clock, process, until

pytestmark = pytest.mark.rig

NAMESPACE = "days"
BEFORE = timedelta(seconds=1.5)  # the clock is turned to so long before a slot
TEMPLATE = {"image": "localhost/trainer:1"}

Kubectl = Callable[..., str]


@dataclass
class Days:
    """A namespace with pipelines, and the operator with its clock."""

    rig: ApiServerRig
    call: Kubectl
    log: Path
    clock: Clock
    _running: ExitStack = field(default_factory=ExitStack)
    _process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start the operator."""
        self._process = self._running.enter_context(
            process(self.rig, self.log, "operator-days", NAMESPACE, self.clock.file)
        )

    def stop(self) -> int:
        """Ask the operator to end, as Kubernetes does; return its exit status."""
        assert self._process is not None
        self._process.send_signal(signal.SIGTERM)
        status = self._process.wait(60)
        self._running.close()
        return status

    def close(self) -> None:
        """Kill the operator."""
        self._running.close()

    def kubectl(self, *arguments: str, stdin: str | None = None) -> str:
        """Run kubectl in the namespace."""
        return self.call("-n", NAMESPACE, *arguments, stdin=stdin)

    def until(self, what: str, probe: Callable[..., Any], *given: Any) -> Any:
        """Wait for something true."""
        return until(what, partial(probe, *given), self.log)

    def until_handled(self, slot: str, name: str, *schedules: str) -> None:
        """Wait until a slot is the last one handled of these schedules, of all where none is named."""

        def is_handled() -> bool:
            last = self.handled(name)
            return {last[s] for s in schedules or last} == {slot}

        self.until(f"{name} has handled {slot}", is_handled)

    def until_ready_says(self, reason: str, name: str) -> None:
        """Wait until this is the reason of a pipeline's Ready."""
        self.until(f"{name} says {reason}", lambda: self.status(name)["ready"] == reason)

    def pipelines(self, at: str, schedules: Mapping[str, str], **specs: Mapping[str, Any]) -> None:
        """At this moment, give new pipelines, named by the keywords, these schedules: cron words by name."""
        self.turn(at)
        base = {"model": "churn", "engine": {"job": {"template": TEMPLATE}}, "concurrency": "Allow"}
        for name, spec in specs.items():
            meta = {"name": name, "namespace": NAMESPACE}
            body = {"apiVersion": "trainyard.dev/v1alpha1", "kind": "TrainingPipeline", "metadata": meta}
            self.kubectl("apply", "-f", "-", stdin=json.dumps({**body, "spec": {**base, **spec}}))
            self.seen(name)  # what schedules are told then has no past
            self.edit(name, triggers={"schedules": [by(*named) for named in schedules.items()]})

    def edit(self, name: str, **spec: Any) -> None:
        """Change a pipeline's spec, and wait until the operator has seen it."""
        self.kubectl("patch", "trainingpipeline", name, "--type=merge", "-p", json.dumps({"spec": spec}))
        self.seen(name)

    def seen(self, name: str) -> None:
        """Wait until the operator has seen the present spec."""

        def is_seen() -> bool:
            found = json.loads(self.kubectl("get", "trainingpipeline", name, "-o", "json"))
            return bool(found.get("status", {}).get("observedGeneration") == found["metadata"]["generation"])

        self.until(f"{name} is seen", is_seen)

    def turn(self, at: str) -> None:
        """Turn the clock."""
        self.clock.turn(datetime.fromisoformat(at))

    def come(self, slot: str) -> None:
        """Turn the clock to just before a slot, and let the operator look at it."""
        self.clock.turn(datetime.fromisoformat(slot) - BEFORE)
        self.look(slot)

    def look(self, at: str) -> None:
        """Wake the operator for every pipeline: it does not know that its clock was turned."""
        self.kubectl("annotate", "trainingpipeline", "--all", "--overwrite", f"example.com/turned={at}")

    def status(self, name: str) -> dict[str, Any]:
        """Return a pipeline's status, with `schedules` by name and the reason of Ready."""
        found: dict[str, Any] = json.loads(self.kubectl("get", "trainingpipeline", name, "-o", "json"))["status"]
        ready = next(c["reason"] for c in found["conditions"] if c["type"] == "Ready")
        return {**found, "schedules": {s["name"]: s for s in found.get("schedules", ())}, "ready": ready}

    def handled(self, name: str) -> dict[str, str | None]:
        """Return the last slot of each schedule."""
        return {s: entry.get("lastSlot") for s, entry in self.status(name)["schedules"].items()}

    def next(self, name: str, schedule: str = "hourly") -> str | None:
        """Return the slot that is armed."""
        armed: str | None = self.status(name)["schedules"][schedule].get("next")
        return armed

    def runs(self, name: str) -> list[dict[str, Any]]:
        """Return a pipeline's runs, by slot and schedule."""
        items = json.loads(self.kubectl("get", "trainingruns", "-o", "json"))["items"]
        return sorted((i for i in items if i["spec"]["pipeline"] == name), key=_when)

    def slots(self, name: str) -> list[str]:
        """Return "SLOT SCHEDULE" of a pipeline's runs."""
        return [" ".join(_when(run)) for run in self.runs(name)]

    def end(self, name: str, status: str = "True", reason: str = "Succeeded") -> None:
        """Write the end of a pipeline's first run, as its room does."""
        told = {"type": "Succeeded", "status": status, "reason": reason, "message": "Ended by the test."}
        told["lastTransitionTime"] = "2026-11-24T00:00:00Z"
        patch = json.dumps({"status": {"conditions": [told]}})
        run = self.runs(name)[0]["metadata"]["name"]
        self.kubectl("patch", "trainingrun", run, "--subresource=status", "--type=merge", "-p", patch)

    def told(self, name: str, reason: str) -> list[dict[str, Any]]:
        """Return the events of a pipeline with this reason."""
        where = f"involvedObject.name={name},reason={reason}"
        items: list[dict[str, Any]] = json.loads(
            self.kubectl("get", "events", "--field-selector", where, "-o", "json")
        )["items"]
        return items


def by(name: str, cron: str) -> dict[str, Any]:
    """Return a schedule in Berlin."""
    return {"name": name, "cron": cron, "timeZone": "Europe/Berlin"}


def _when(run: Mapping[str, Any]) -> tuple[str, str]:
    return run["spec"]["trigger"]["slot"], run["spec"]["trigger"]["name"]


@pytest.fixture(scope="module")
def operated(
    rig: ApiServerRig, kubectl: Kubectl, crds: None, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Days]:
    """Return the namespace with the operator running."""
    folder = tmp_path_factory.mktemp("days")
    kubectl("create", "namespace", NAMESPACE)
    made = Days(rig, kubectl, folder / "operator.log", Clock(folder / "clock"))
    made.turn("2027-01-01T00:00Z")
    made.start()
    yield made
    made.close()


@pytest.fixture
def days(operated: Days) -> Iterator[Days]:
    """Return it without pipelines."""
    yield operated
    operated.kubectl("delete", "trainingpipelines", "--all")


# ---- clocks change ----

# The slots at which the clock stops, and whose they are: "fixed" is 02:30 in Berlin, "star" half past every hour.
SPRING = {  # on 28 March, 02:00 is followed by 03:00
    "2027-03-27T01:30Z": ("fixed", "star"),
    "2027-03-27T23:30Z": ("star",),
    "2027-03-28T00:30Z": ("star",),
    "2027-03-28T01:00Z": ("fixed",),  # there is no 02:30; 03:00 is the next minute that exists
    "2027-03-28T01:30Z": ("star",),
    "2027-03-28T02:30Z": ("star",),
    "2027-03-29T00:30Z": ("fixed", "star"),
}
AUTUMN = {  # on 31 October, 03:00 is followed by 02:00
    "2027-10-30T00:30Z": ("fixed", "star"),
    "2027-10-30T23:30Z": ("star",),
    "2027-10-31T00:30Z": ("fixed", "star"),
    "2027-10-31T01:30Z": ("star",),  # 02:30 again
    "2027-10-31T02:30Z": ("star",),
    "2027-11-01T01:30Z": ("fixed", "star"),
}


@pytest.mark.parametrize(("name", "stops"), [("spring", SPRING), ("autumn", AUTUMN)])
def test_40_clocks_change(days: Days, name: str, stops: Mapping[str, tuple[str, ...]]) -> None:
    words = {"fixed": "30 2 * * *", "star": "30 * * * *"}
    day = next(iter(stops))[:10]
    days.pipelines(f"{day}T00:00Z", words, **{name: {"startingDeadlineSeconds": 600}})  # what is passed over is missed
    fixed = None
    for slot, whose in stops.items():
        days.come(slot)
        days.until_handled(slot, name, *whose)
        fixed = slot if "fixed" in whose else fixed
        assert days.handled(name)["fixed"] == fixed, slot
    wanted = [f"{slot} {schedule}" for slot, whose in stops.items() for schedule in whose]
    assert days.slots(name) == wanted
    told = days.until("all are told", lambda: len(found := days.told(name, "RunCreated")) == len(wanted) and found)
    early = [e["message"] for e in told if e["firstTimestamp"][:16] < e["message"].split()[-1][:16]]
    assert not early, "none starts before its minute"


# ---- concurrency ----


def test_40_two_in_one_minute(days: Days) -> None:
    twins = {f"{c.lower()}-twins": {"concurrency": c} for c in ("Allow", "Forbid", "Replace")}
    days.pipelines("2027-06-01T01:00Z", {"also": "0 4 * * *", "nightly": "0 4 * * *"}, **twins)
    slot = "2027-06-01T02:00Z"
    both = [f"{slot} also", f"{slot} nightly"]
    days.come(slot)
    for name in ("allow-twins", "replace-twins"):
        days.until_handled(slot, name)
        assert days.slots(name) == both
        assert not any(run["spec"].get("cancel") for run in days.runs(name)), "they do not replace each other"

    days.until_handled(slot, "forbid-twins", "also")
    assert days.status("forbid-twins")["ready"] == "WaitingForRun"
    assert days.slots("forbid-twins") == both[:1]
    assert days.next("forbid-twins", "nightly") == slot, "the other waits"
    days.end("forbid-twins")
    days.until_handled(slot, "forbid-twins", "nightly")
    assert days.slots("forbid-twins") == both


def test_40_a_slot_comes_while_a_run_is_active(days: Days) -> None:
    short = {"concurrency": "Forbid", "startingDeadlineSeconds": 180}
    busy: dict[str, dict[str, Any]] = {c: {"concurrency": c.capitalize()} for c in ("allow", "forbid", "replace")}
    days.pipelines("2027-06-02T01:30Z", {"hourly": "0 * * * *"}, **busy, short=short)
    one, two = "2027-06-02T02:00Z", "2027-06-02T03:00Z"
    first, second = [f"{one} hourly"], [f"{one} hourly", f"{two} hourly"]
    days.come(one)
    for name in (*busy, "short"):
        days.until_handled(one, name)
        assert days.slots(name) == first

    days.come(two)
    days.until("Allow starts beside it", lambda: len(days.status("allow")["activeRuns"]) == 2)
    assert days.slots("allow") == second
    waiting = {"forbid": "WaitingForRun", "short": "WaitingForRun", "replace": "ReplacingRun"}
    for name, reason in waiting.items():
        days.until_ready_says(reason, name)
        assert (days.slots(name), days.next(name)) == (first, two), name
    assert {n: days.runs(n)[0]["spec"].get("cancel", False) for n in waiting} == {
        "forbid": False,
        "short": False,
        "replace": True,
    }
    days.end("replace", "False", "Cancelled")
    days.until("Replace starts after it", lambda: days.slots("replace") == second)

    days.turn("2027-06-02T03:03:30Z")
    days.look("later")
    missed = days.until("it is missed", days.told, "short", "SlotMissed")
    assert [e["message"].split(";")[0] for e in missed] == [f"Schedule hourly: the slot {two} is missed"]
    days.end("short")
    days.until("nothing is active", lambda: not days.status("short").get("activeRuns"))
    assert (days.slots("short"), days.next("short")) == (first, "2027-06-02T04:00Z")
    days.end("forbid")
    days.until("Forbid starts, late and inside its hour", lambda: days.slots("forbid") == second)


# ---- the operator away ----


def test_40_slots_missed_while_the_operator_is_down(days: Days) -> None:
    limits = {name: {"startingDeadlineSeconds": s} for name, s in (("inside", 3600), ("outside", 1800))}
    days.pipelines("2027-06-03T01:30Z", {"hourly": "0 * * * *"}, **limits)
    assert days.stop() == 0
    days.turn("2027-06-03T04:40Z")
    days.start()
    last, coming = "2027-06-03T04:00Z", "2027-06-03T05:00Z"
    for name in limits:
        days.until_handled(last, name)
        days.until("a slot is told as missed", days.told, name, "SlotMissed")
        assert days.next(name) == coming
    assert days.slots("inside") == [f"{last} hourly"], "the latest only"
    assert days.slots("outside") == [], "forty minutes are too late"
    days.come(coming)
    for name in limits:
        days.until_handled(coming, name)
    assert days.slots("inside") == [f"{last} hourly", f"{coming} hourly"]
    assert days.slots("outside") == [f"{coming} hourly"]


# ---- suspended, edited ----


def test_40_suspended_over_a_slot(days: Days) -> None:
    days.pipelines("2027-06-04T01:30Z", {"hourly": "0 * * * *"}, paused={}, silenced={})
    schedule = by("hourly", "0 * * * *")
    days.edit("paused", suspend=True)
    days.edit("silenced", triggers={"schedules": [{**schedule, "suspend": True}]})
    days.turn("2027-06-04T02:05Z")
    for name in ("paused", "silenced"):
        days.edit(name, timeoutSeconds=500)  # whatever it was, it has looked after 02:00
        assert (days.slots(name), days.next(name)) == ([], None)
    assert days.status("paused")["ready"] == "Suspended"
    days.edit("paused", suspend=False)
    days.edit("silenced", triggers={"schedules": [schedule]})
    coming = "2027-06-04T03:00Z"
    assert {days.next(name) for name in ("paused", "silenced")} == {coming}
    days.come(coming)
    for name in ("paused", "silenced"):
        days.until_handled(coming, name)
        assert days.slots(name) == [f"{coming} hourly"], "02:00 is not made up for"


def test_40_edited_while_a_run_is_active(days: Days) -> None:
    days.pipelines("2027-06-05T01:30Z", {"hourly": "0 * * * *"}, edited={"concurrency": "Forbid"})
    one, two = "2027-06-05T02:00Z", "2027-06-05T03:00Z"
    days.come(one)
    (active,) = days.until("it runs", days.runs, "edited")
    days.come(two)
    days.until_ready_says("WaitingForRun", "edited")

    new = {"engine": {"job": {"template": {"image": "localhost/trainer:2"}}}}
    days.edit("edited", **new, triggers={"schedules": [by("hourly", "20 * * * *")]})
    assert days.next("edited") == two, "the edit does not drop what waits"
    assert days.runs("edited") == [active], "not a byte of the run is touched"
    days.end("edited")
    days.until_handled(two, "edited")
    assert days.slots("edited") == [f"{one} hourly", f"{two} hourly"]
    revisions = [run["spec"]["revision"] for run in days.runs("edited")]
    kept = [json.loads(days.kubectl("get", "controllerrevision", r, "-o", "json"))["data"] for r in revisions]
    images = [state["engine"]["job"]["template"]["image"] for state in kept]
    assert images == ["localhost/trainer:1", "localhost/trainer:2"], "each by the words of its time"
    days.until("the new words count", lambda: days.next("edited") == "2027-06-05T03:20Z")
