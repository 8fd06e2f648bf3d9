"""How a watched Rollout is shown: a live screen, a line per change, or its object at each change."""

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from typing import Any

from rich.console import Console
from rich.live import Live
from rich.text import Text

from trainyard.cli import clock
from trainyard.cli.console import stdout, yaml_text
from trainyard.cli.objects import Obj, at, condition, said
from trainyard.cli.options import Format
from trainyard.cli.rollout_ladder import position, told
from trainyard.cli.rollout_screen import screen
from trainyard.cli.rollout_watch import Look, lost
from trainyard.cli.trail import Trail

Show = Callable[[Look], None]


@contextmanager
def shown(output: Format, trail: Trail, console: Console | None = None) -> Iterator[Show]:
    """Give a function that shows what was looked at, as it was asked for and as the terminal can."""
    console = console or stdout()
    if output in (Format.JSON, Format.YAML):
        yield _each_change(_documents(output))
    elif output is Format.NAME:
        yield lambda _: None  # the name is told at the end
    elif not console.is_terminal:
        yield _lines(console)
    else:
        with Live(console=console, auto_refresh=False) as live:
            yield _live(live, trail)


def change(rollout: Obj) -> str:
    """Return what a Rollout is at as one line without times: it is written again only when it differs."""
    return f"{at(rollout, 'metadata.name')}: " + "; ".join([*_canary(rollout), *_trouble(rollout), *_waits(rollout)])


def _canary(rollout: Obj) -> Iterator[str]:
    canary, steps, running = at(rollout, "status.canary.version"), told(rollout), position(rollout) or 0
    if not canary:
        yield f"{at(rollout, 'status.stable.version') or 'nothing'} serves"
        return
    step = f" at step {running + 1} of {len(steps)} ({steps[running]})" if running < len(steps) else ""
    yield f"{canary} {at(rollout, 'status.weight', 0)} %{step}"
    if measured := [f"{m['name']} {m['verdict']}" for m in at(rollout, "status.metrics", ())]:
        yield ", ".join(measured)


def _trouble(rollout: Obj) -> Iterator[str]:
    for kind, wrong in (("Accepted", "False"), ("Degraded", "True"), ("Stalled", "True")):
        if condition(rollout, kind).get("status") == wrong:
            yield f"{kind} {wrong}: {said(rollout, kind)}"


def _waits(rollout: Obj) -> Iterator[str]:
    """Yield what it waits for, as the condition says it: without numbers that change by themselves."""
    moving = condition(rollout, "Reconciling")
    if moving.get("status") == "True":
        yield str(moving.get("message", ""))


def _lines(console: Console) -> Show:
    def write(line: str) -> None:
        console.print(Text(line), soft_wrap=True)
        console.file.flush()  # what follows reads a pipe line by line

    told_last: list[str] = []

    def show(look: Look) -> None:
        line = "the API server does not answer" if look.away else change(look.rollout)
        if told_last[-1:] != [line]:
            told_last.append(line)
            write(line)

    return show


def _each_change(write: Callable[[Mapping[str, Any]], None]) -> Show:
    versions: list[str] = []

    def show(look: Look) -> None:
        version = str(at(look.rollout, "metadata.resourceVersion"))
        if versions[-1:] != [version]:
            versions.append(version)
            write(look.rollout)

    return show


def _documents(output: Format) -> Callable[[Mapping[str, Any]], None]:
    """Write JSON documents a line each, or YAML documents."""

    def write(obj: Mapping[str, Any]) -> None:
        print(json.dumps(obj) if output is Format.JSON else f"---\n{yaml_text(obj)}", flush=True)

    return write


def _live(live: Live, trail: Trail, now: Callable[[], datetime] = clock.now) -> Show:
    def show(look: Look) -> None:
        trail.see(look.rollout)
        live.update(screen(look.rollout, now(), trail, look.pods, lost(look)), refresh=True)

    return show
