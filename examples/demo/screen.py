"""The lower half of the live screen: the present run, the Rollout, the load."""

import time
from collections.abc import Sequence

from rich.console import Group, RenderableType
from rich.text import Text

from examples.demo.load import Load, Sample, Tally, tally
from examples.demo.observing import Obj, Observer, condition
from trainyard.cli import rollout_ladder, rollout_screen
from trainyard.cli.objects import at

RATE_SECONDS = 5.0


def below(run: Obj, observer: Observer, load: Load) -> RenderableType:
    """Draw what is known now."""
    parts: list[RenderableType] = [Text()]
    if run:
        parts.append(Text.assemble(("run     ", "bold"), run_line(run)))
    if observer.newest:
        rollout = observer.newest
        weight = at(rollout, "status.weight", 0)
        parts += [
            Text.assemble(("weight  ", "bold"), rollout_screen.bar(weight), f"  {rollout_screen.weights(rollout)}"),
            Text.assemble(("ladder  ", "bold"), rollout_ladder.ladder(rollout)),
            Text.assemble(("metrics ", "bold"), metrics_line(rollout)),
            Text.assemble(("waits   ", "bold"), at(rollout, "status.waitingFor") or "–"),
        ]
    if load.running:
        parts.append(Text.assemble(("load    ", "bold"), load_line(load.of(), list(load.recent), time.monotonic())))
    return Group(*parts)


def run_line(run: Obj) -> str:
    """Tell where a run is, in a line."""
    steps = "  ".join(f"{s['name']} {s['state']}" for s in at(run, "status.steps", ()))
    return f"{at(run, 'metadata.name')}  {condition(run, 'Succeeded').get('reason', 'Pending')}  {steps}".rstrip()


def metrics_line(rollout: Obj) -> str:
    """Tell the last measurements, in a line."""
    told = [f"{m['name']} {m['verdict']} {m.get('value', '')}".rstrip() for m in at(rollout, "status.metrics", ())]
    return "   ".join(told) or "–"


def load_line(so_far: Tally, recent: Sequence[Sample], now: float) -> str:
    """Tell the load of the last seconds and the failures so far, in a line."""
    lately = tally(s for s in recent if s.at > now - RATE_SECONDS)
    return (
        f"{lately.requests / RATE_SECONDS:.0f}/s  {so_far.requests} sent, {so_far.failed} failed; lately "
        f"{lately.failed} failed, p50 {lately.p50 * 1000:.0f} ms, p99 {lately.p99 * 1000:.0f} ms"
    )
