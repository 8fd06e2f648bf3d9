"""How a run looks: a live screen on a terminal, a line per change elsewhere."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import Any

from rich.console import Console, Group
from rich.live import Live
from rich.text import Text

from trainyard.cli import clock
from trainyard.cli.console import stderr, table, word
from trainyard.cli.objects import Obj, at, condition, reason, said

COLUMNS = ("STEP", "STATE", "TIME", "REASON")


def screen(run: Obj, present: datetime) -> Group:
    """Return a run with its steps."""
    head = Text.assemble(
        ("TrainingRun ", "bold"), at(run, "metadata.name"), "  ", word(reason(run, "Succeeded") or "Pending"),
        f"  {_took(run, present)}",
    )  # fmt: skip
    steps = [_row(step, present) for step in at(run, "status.steps", ())]
    parts: list[Any] = [head, table(COLUMNS, steps)] if steps else [head]
    return Group(*parts, *(Text(line) for line in closing(run)))


def closing(run: Obj) -> list[str]:
    """Return what is known at the end: metrics and version, or why it failed."""
    state = condition(run, "Succeeded").get("status")
    if state == "False":
        return [said(run, "Succeeded")]
    metrics = at(run, "status.outputs.metrics", {})
    lines = ["metrics  " + "  ".join(f"{name} {value}" for name, value in sorted(metrics.items()))] if metrics else []
    version = at(run, "status.modelVersion")
    return [*lines, *([f"version  {version}"] if version else [])]


def change(run: Obj) -> str:
    """Return what a run is at as one line without times: it is written again only when it differs."""
    steps = "  ".join(f"{s['name']}={s['state']}" for s in at(run, "status.steps", ()))
    return f"{at(run, 'metadata.name')}: {reason(run, 'Succeeded') or 'Pending'}  {steps}".rstrip()


@contextmanager
def shown(console: Console | None = None) -> Iterator[Callable[[Obj], None]]:
    """Give a function that shows a run: live on a terminal, else a line on stderr for each change."""
    console = console or stderr()
    if not console.is_terminal:
        yield _lines(console)
        return
    with Live(console=console, auto_refresh=False) as live:
        yield lambda run: live.update(screen(run, clock.now()), refresh=True)


def _lines(console: Console) -> Callable[[Obj], None]:
    told: list[str] = []

    def show(run: Obj) -> None:
        line = change(run)
        if told[-1:] != [line]:
            told.append(line)
            console.print(Text(line))

    return show


def _row(step: Obj, present: datetime) -> tuple[str | Text, ...]:
    took = clock.spoken(clock.seconds_between(step.get("startTime"), step.get("completionTime"), present))
    code = step.get("exitCode")
    why = step.get("reason", "") + (f" (exit {code})" if code else "")
    return (step["name"], word(step["state"]), took, why)


def _took(run: Obj, present: datetime) -> str:
    return clock.spoken(
        clock.seconds_between(at(run, "status.startTime"), at(run, "status.completionTime") or None, present)
    )
