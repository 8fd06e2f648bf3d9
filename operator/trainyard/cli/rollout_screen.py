"""A Rollout on one screen: what serves, the ladder, the weights, the measurements, and what it waits for."""

from collections.abc import Iterator
from datetime import datetime
from typing import Any

from rich.console import Group
from rich.text import Text

from trainyard.cli import clock
from trainyard.cli.console import table, word
from trainyard.cli.objects import Obj, at, condition, said

BAR = 40  # characters for a hundred percent
METRICS = ("METRIC", "VERDICT", "VALUE", "LIMIT", "REQUESTS", "FAILURES", "WHY")
HISTORY = ("REVISION", "VERSION", "OUTCOME", "ENDED", "WHY")
SHOWN_HISTORY = 5
_LIMITS = (
    ("min", "≥ {}"), ("max", "≤ {}"), ("maxIncrease", "≤ stable + {}"), ("maxIncreasePercent", "≤ stable + {} %"),
    ("maxDecrease", "≥ stable - {}"), ("maxDecreasePercent", "≥ stable - {} %"),
)  # fmt: skip


def screen(rollout: Obj, present: datetime) -> Group:
    """Return everything a person asks about a Rollout."""
    parts: list[Any] = [
        _head(rollout),
        *_serving(rollout),
        Text.assemble(("weight  ", "bold"), bar(at(rollout, "status.weight", 0)), f"  {weights(rollout)}"),
        Text.assemble(("ladder  ", "bold"), ladder(rollout)),
    ]
    if waiting := at(rollout, "status.waitingFor"):
        parts.append(Text.assemble(("waits   ", "bold"), waiting))
    if at(rollout, "status.metrics", ()):
        parts += [Text(), table(METRICS, _metrics(rollout))]
    if at(rollout, "status.history", ()):
        parts += [Text(), table(HISTORY, _history(rollout, present))]
    return Group(*parts)


def weights(rollout: Obj) -> str:
    """Return the canary's share: as intended, as routed where that differs, as Prometheus saw it."""
    weight, routed = at(rollout, "status.weight", 0), at(rollout, "status.routedWeight", None)
    told = [f"{weight} % to the canary"]
    if routed not in (None, weight):
        told.append(f"the route says {routed} %")
    if share := at(rollout, "status.observedShare"):
        told.append(f"seen {share} %")
    return ", ".join(told)


def bar(percent: int) -> Text:
    """Draw a share: the canary's part and stable's."""
    filled = round(percent * BAR / 100)
    return Text.assemble(("█" * filled, "yellow"), ("░" * (BAR - filled), "green"))


def ladder(rollout: Obj) -> Text:
    """Return the steps with the running one marked; those done are dim."""
    steps = at(rollout, "spec.strategy.canary.steps", ())
    running = at(rollout, "status.step", None) if at(rollout, "status.canary", None) else None
    text = Text()
    for number, step in enumerate(steps):
        style = "dim" if running is not None and number < running else ""
        here = number == running
        text.append(" → " if number else "")
        text.append(f"[{spelled(step)}]" if here else spelled(step), "bold yellow" if here else style)
    return text if steps else Text("no steps: promoted once it is ready")


def spelled(step: Obj) -> str:
    """Write one step: 10 %, pause 60s, pause until promoted."""
    if "setWeight" in step:
        return f"{step['setWeight']} %"
    seconds = at(step, "pause.durationSeconds", None)
    return "pause until promoted" if seconds is None else f"pause {clock.spoken(seconds)}"


def _head(rollout: Obj) -> Text:
    ready = condition(rollout, "Ready")
    return Text.assemble(
        ("Rollout ", "bold"), at(rollout, "metadata.name"), "  Ready ", word(ready.get("status", "Unknown")),
        f"  {said(rollout, 'Ready')}".rstrip(),
    )  # fmt: skip


def _serving(rollout: Obj) -> Iterator[Text]:
    for role in ("stable", "canary"):
        found = at(rollout, f"status.{role}", None)
        told = f"{found['version']}  revision {found['revision']}" if found else "none"
        yield Text.assemble((f"{role}  ", "bold"), told)
    for kind in ("Degraded", "Stalled"):
        if condition(rollout, kind).get("status") == "True":
            yield Text(f"{kind}: {said(rollout, kind)}", style="red")


def _metrics(rollout: Obj) -> list[tuple[str | Text, ...]]:
    limits = {m["name"]: limit(m) for m in at(rollout, "spec.analysis.metrics", ())}
    return [
        (
            m["name"],
            word(m["verdict"]),
            m.get("value", ""),
            limits.get(m["name"], ""),
            str(m.get("samples", 0)),
            str(m.get("failures", 0)),
            m.get("message") or m.get("reason", ""),
        )
        for m in at(rollout, "status.metrics", ())
    ]


def limit(metric: Obj) -> str:
    """Write a metric's limits."""
    return ", ".join(text.format(metric[name]) for name, text in _LIMITS if name in metric)


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
