"""The ladder of a Rollout as a person says it, whatever its strategy. Pure."""

import re
from collections.abc import Iterator, Sequence

from rich.text import Text

from trainyard.cli import clock
from trainyard.cli.objects import Obj, at

# How the operator writes the steps of a ladder that it derived from another strategy (`status.ladder`).
_WEIGHT = re.compile(r"setWeight ([0-9]+)(, sized for [0-9]+)?")
_PAUSE = re.compile(r"pause(?: ([0-9]+) s)?")
_ANALYSIS = re.compile(r"analysis ([0-9]+)(?: of (.+))?")
_HEADER = re.compile(r"setHeaderRoute (\S+) (off|[0-9a-f]+)")
NO_STEPS = "no steps: promoted once it is ready"


def ladder(rollout: Obj) -> Text:
    """Return the steps with the running one in brackets; those done are dim."""
    words, running = told(rollout), position(rollout)
    text = Text()
    for number, step in enumerate(words):
        here = number == running
        style = "bold yellow" if here else "dim" if running is not None and number < running else ""
        text.append(" → " if number else "")
        text.append(f"[{step}]" if here else step, style)
    return text if words else Text(NO_STEPS)


def position(rollout: Obj) -> int | None:
    """Return the number of the running step, None where no canary climbs."""
    step = at(rollout, "status.step", None) if at(rollout, "status.canary", None) else None
    return None if step is None else int(step)


def told(rollout: Obj) -> list[str]:
    """Return the steps as a person says them."""
    return [spelled(step) for step in steps(rollout)] or list(_plan(at(rollout, "spec.strategy", {})))


def steps(rollout: Obj) -> Sequence[Obj]:
    """Return the steps that `status.step` counts in: a canary's own, else as the operator has derived them."""
    own: Sequence[Obj] = at(rollout, "spec.strategy.canary.steps", ())
    climbed: Sequence[str] = at(rollout, "status.ladder", ()) if position(rollout) is not None else ()
    if not climbed or len(climbed) == len(own):
        return own
    experiment = at(rollout, "spec.strategy.experiment", None)
    return [
        {"text": _decision(experiment)} if experiment and text.startswith("experiment ") else _read(text)
        for text in climbed
    ]


def spelled(step: Obj) -> str:
    """Write one step: 10 %, pause 60s, pause until promoted, 3 × (errors, p99), header testers, mirror 20 %."""
    if "text" in step:
        return str(step["text"])
    if "setWeight" in step:
        return f"{step['setWeight']} %"
    if "analysis" in step:
        return measurements(step["analysis"] or {})
    if "setHeaderRoute" in step:
        route = step["setHeaderRoute"]
        return f"header {route['name']}" if route.get("match") else f"no header {route['name']}"
    if "setMirrorRoute" in step:
        percent = at(step, "setMirrorRoute.percent", 100)
        return f"mirror {percent} %" if percent else "no mirror"
    return _pause(at(step, "pause.durationSeconds", None))


def measurements(step: Obj) -> str:
    """Write how many measurements have to pass, and of what."""
    count, names = step.get("count", 1), ", ".join(step.get("metrics", ()))
    return f"{count} × ({names})" if names else f"{count} good measurement{'s' if count != 1 else ''}"


def _pause(seconds: int | None) -> str:
    return "pause until promoted" if seconds is None else f"pause {clock.spoken(seconds)}"


def _read(text: str) -> Obj:
    """Read a step of a derived ladder; what is not known stands as it was told."""
    if found := _WEIGHT.fullmatch(text):
        return {"text": "full size at 0 %"} if found[2] and found[1] == "0" else {"setWeight": int(found[1])}
    if found := _PAUSE.fullmatch(text):
        return {"pause": {"durationSeconds": int(found[1])} if found[1] else {}}
    if found := _ANALYSIS.fullmatch(text):
        return {"analysis": {"count": int(found[1]), "metrics": found[2].split(", ") if found[2] else []}}
    if found := _HEADER.fullmatch(text):
        return {"setHeaderRoute": {"name": found[1], "match": [] if found[2] == "off" else [found[2]]}}
    return {"text": text}


def _plan(strategy: Obj) -> Iterator[str]:
    """Yield what blue-green and experiments do, before any canary climbs."""
    if (blue_green := strategy.get("blueGreen")) is not None:
        yield from _blue_green(blue_green)
    if experiment := strategy.get("experiment"):
        yield f"{experiment['share']} %"
        yield _decision(experiment)


def _decision(experiment: Obj) -> str:
    """Write what an experiment has to show, for how long at most, and what comes of it."""
    shown = "better" if experiment.get("hypothesis", "Superior") == "Superior" else "not worse"
    then, otherwise = experiment.get("then", "Promote"), experiment.get("otherwise", "Abort")
    longest = clock.spoken(experiment["durationSeconds"])
    return f"{experiment['decideOn']} {shown} within {longest}: {then}, else {otherwise}"


def _blue_green(strategy: Obj) -> Iterator[str]:
    if header := at(strategy, "preview.header", None):
        yield f"preview by {header['name']}: {header['value']}"
    if (before := strategy.get("beforeSwitch")) is not None:
        yield measurements(before)
    seconds = strategy.get("autoPromotionSeconds")
    yield _pause(seconds)
    yield "switch"
    if after := strategy.get("afterSwitchSeconds"):
        yield f"watched for {clock.spoken(after)}"
