"""A Rollout on one screen: what serves, the ladder, the weights, the measurements, and what it waits for. Pure."""

from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any

from rich.console import Group
from rich.text import Text

from trainyard.cli import clock
from trainyard.cli.console import facts, table, word
from trainyard.cli.objects import Obj, at, condition, said
from trainyard.cli.rollout_ladder import ladder, position, steps
from trainyard.cli.rollout_metrics import metrics, remarks
from trainyard.cli.trail import Trail

BAR = 30  # characters for a hundred percent
HISTORY = ("REVISION", "VERSION", "OUTCOME", "ENDED", "WHY")
HISTORY_DROPPED = ("REVISION",)
SHOWN_HISTORY = 5

Pods = Mapping[str, str]  # revision -> how many of its pods are ready


def screen(
    rollout: Obj, present: datetime, trail: Trail | None = None, pods: Pods | None = None, note: str = ""
) -> Group:
    """Return everything a person asks about a Rollout.

    note: one line about the screen itself, near its top, for low terminals cut the end.
    """
    if trail is None:
        trail = Trail()
        trail.see(rollout)
    parts: list[Any] = [_head(rollout), *([Text(note, style="yellow")] if note else [])]
    parts.append(facts(list(_facts(rollout, present, pods or {}))))
    if measured := metrics(rollout, trail):
        parts += [Text(), measured, facts(list(remarks(rollout)))]
    if at(rollout, "status.history", ()):
        parts += [Text(), table(HISTORY, _history(rollout, present), HISTORY_DROPPED)]
    return Group(*parts)


def weights(rollout: Obj) -> str:
    """Return the canary's share: as intended, as routed where that differs, as Prometheus saw it."""
    weight, routed = at(rollout, "status.weight", 0), at(rollout, "status.routedWeight", None)
    words = [f"{weight} % to the canary"]
    if routed not in (None, weight):
        words.append(f"the route says {routed} %")
    if share := at(rollout, "status.observedShare"):
        words.append(f"seen {share} %")
    return ", ".join(words)


def bar(percent: int) -> Text:
    """Draw a share: the canary's part and stable's."""
    filled = round(percent * BAR / 100)
    return Text.assemble(("█" * filled, "yellow"), ("░" * (BAR - filled), "green"))


def _head(rollout: Obj) -> Text:
    ready = condition(rollout, "Ready")
    waits = str(ready.get("message", "")).startswith("waits for")  # a line of its own says for what
    return Text.assemble(
        ("Rollout ", "bold"), at(rollout, "metadata.name"), "  Ready ", word(ready.get("status", "Unknown")),
        f"  {ready['reason'] if waits else said(rollout, 'Ready')}".rstrip(),
    )  # fmt: skip


def _facts(rollout: Obj, present: datetime, pods: Pods) -> Iterator[tuple[str, str | Text]]:
    """Yield the lines between head and measurements; those without a text are left out."""
    for role in ("stable", "canary"):
        yield role, _revision(at(rollout, f"status.{role}", None), pods)
    for kind in ("Accepted", "Degraded", "Stalled"):
        wrong = "False" if kind == "Accepted" else "True"
        if condition(rollout, kind).get("status") == wrong and not _is_said_already(rollout, kind):
            yield kind if wrong == "True" else "refused", Text(said(rollout, kind), style="red")
    if at(rollout, "status.canary", None):
        yield "weight", Text.assemble(bar(at(rollout, "status.weight", 0)), f"  {weights(rollout)}")
    yield "ladder", ladder(rollout)
    yield "step", _progress(rollout)
    yield "waits for", at(rollout, "status.waitingFor")
    yield "held", _held(rollout, present)
    if frozen := at(rollout, "status.frozen"):
        yield "frozen", f"{frozen}: no weight rises"


def _is_said_already(rollout: Obj, kind: str) -> bool:
    """Whether the head says the same."""
    return said(rollout, kind) == said(rollout, "Ready")


def _revision(found: Obj | None, pods: Pods) -> str:
    if found is None:
        return "none"
    ready = pods.get(str(found["revision"]), "")
    return f"{found['version']}  revision {found['revision']}" + (f"  {ready}" if ready else "")


def _progress(rollout: Obj) -> str:
    """Write how far the running step is."""
    running, ladder_steps = position(rollout), steps(rollout)
    if running is None or not ladder_steps:
        return ""
    if running >= len(ladder_steps):
        return "all steps are done"
    step, words = ladder_steps[running], [f"{running + 1} of {len(ladder_steps)}"]
    if seconds := at(step, "pause.durationSeconds", None):
        words.append(f"{clock.spoken(at(rollout, 'status.countedSeconds', 0))} of {clock.spoken(seconds)} counted")
    if count := at(step, "analysis.count", None):
        words.append(f"{at(rollout, 'status.passed', 0)} of {count} measurements passed")
    if (restarted := at(rollout, "status.restartedFrom", None)) is not None:
        words.append(f"the steps were edited: begun again at step {restarted + 1}")
    return ", ".join(words)


def _held(rollout: Obj, present: datetime) -> str:
    """Write for how long measurements hold the step, and for how long they may."""
    since = at(rollout, "status.heldSince", None)
    if since is None:
        return ""
    longest = at(rollout, "spec.analysis.maxHoldSeconds", 1800)
    then = "aborted" if at(rollout, "spec.analysis.onNoData", "Hold") == "Abort" else "held on and told as Stalled"
    return f"by measurements for {clock.age(since, present)}; after {clock.spoken(longest)} it is {then}"


def _history(rollout: Obj, present: datetime) -> list[tuple[str | Text, ...]]:
    return [
        (
            h["revision"],
            h["version"],
            word(h["outcome"]),
            clock.age(h.get("finishedTime"), present),
            h.get("message", ""),
        )
        for h in at(rollout, "status.history", ())[:SHOWN_HISTORY]
    ]
