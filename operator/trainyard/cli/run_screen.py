"""How a run looks: a live screen on a terminal, a line per change elsewhere."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import Any

from rich.console import Console, Group
from rich.live import Live
from rich.text import Text

from trainyard.cli import clock, selection
from trainyard.cli.console import Columns, stderr, table, word
from trainyard.cli.objects import Obj, at, condition, said

STEPS = ("STEP", "STATE", "TIME", "REASON")
ATTEMPTS = ("ATTEMPT", "REASON", "TOOK", "MESSAGE")
PLAIN = ("Running", "Pending", "Starting")  # states whose message tells nothing more


def screen(run: Obj, present: datetime) -> Group:
    """Return a run that is followed: how far it is, its steps, what it waits for."""
    parts: list[Any] = [head(run, present)]
    parts += [Text(line) for line in waits(run, present)]
    if at(run, "status.steps", ()):
        parts.append(steps(run, present))
    return Group(*parts, *(Text(line) for line in closing(run)))


def head(run: Obj, present: datetime) -> Text:
    """Return name, state and how long it took."""
    return Text.assemble(
        ("TrainingRun ", "bold"), at(run, "metadata.name"), "  ", word(selection.state(run)), f"  {_took(run, present)}"
    )


def waits(run: Obj, present: datetime) -> list[str]:
    """Return why a run does not go on just now, and which attempt it is at."""
    if condition(run, "Succeeded").get("status") in ("True", "False"):
        return []
    lines = [] if selection.state(run) in PLAIN else [said(run, "Succeeded")]
    if condition(run, "Accepted").get("status") == "False":
        lines.append(said(run, "Accepted"))
    failed = at(run, "status.attempts", ())
    if failed:
        last = failed[-1]
        lines.append(f"attempt {last['attempt']} failed: {_sentence(last)}")
    if again := at(run, "status.retryTime"):
        lines.append(f"attempt {last_attempt(run) + 1} starts {clock.until(again, present)}")
    return lines


def last_attempt(run: Obj) -> int:
    """Return the number of the newest attempt; 1 before there is one."""
    return int(at(run, "status.attempt", 0)) or 1


def steps(run: Obj, present: datetime) -> Columns:
    """Return the steps as a table."""
    return table(STEPS, [_row(step, present) for step in at(run, "status.steps", ())])


def attempts(run: Obj, present: datetime) -> Columns:
    """Return the attempts that failed as a table."""
    return table(
        ATTEMPTS,
        [
            (
                str(a["attempt"]),
                word(a["reason"]),
                clock.spoken(clock.seconds_between(a.get("startTime"), a.get("completionTime"), present)),
                a.get("message", ""),
            )
            for a in at(run, "status.attempts", ())
        ],
    )


def closing(run: Obj) -> list[str]:
    """Return what is known at the end: metrics and version, or why it failed."""
    state = condition(run, "Succeeded").get("status")
    if state == "False":
        return [said(run, "Succeeded")]
    if state != "True":
        return []
    metrics = at(run, "status.outputs.metrics", {})
    lines = ["metrics  " + "  ".join(f"{name} {value}" for name, value in sorted(metrics.items()))] if metrics else []
    version = at(run, "status.modelVersion")
    return [*lines, *([f"version  {version}"] if version else [])]


def change(run: Obj) -> str:
    """Return what a run is at as one line without times: it is written again only when it differs."""
    told = [f"{s['name']}={s['state']}" for s in at(run, "status.steps", ())]
    if at(run, "status.attempts", ()):
        told.insert(0, f"attempt {last_attempt(run)}")
    why = "" if selection.state(run) in PLAIN or _is_over(run) else at(condition(run, "Succeeded"), "message")
    return "  ".join([f"{at(run, 'metadata.name')}: {selection.state(run)}", *told, *([f"({why})"] if why else [])])


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
            console.print(Text(line), soft_wrap=True)

    return show


def _row(step: Obj, present: datetime) -> tuple[str | Text, ...]:
    took = clock.spoken(clock.seconds_between(step.get("startTime"), step.get("completionTime"), present))
    code = step.get("exitCode")
    why = step.get("reason", "") + (f" (exit {code})" if code else "")
    if step["state"] in ("Pending", "Failed") and step.get("message"):
        why = f"{why}: {step['message']}" if why else step["message"]
    return (step["name"], word(step["state"]), took, why)


def _sentence(attempt: Obj) -> str:
    message = attempt.get("message", "")
    return f"{attempt['reason']}: {message}" if message else str(attempt["reason"])


def _is_over(run: Obj) -> bool:
    return condition(run, "Succeeded").get("status") in ("True", "False")


def _took(run: Obj, present: datetime) -> str:
    return clock.spoken(
        clock.seconds_between(at(run, "status.startTime"), at(run, "status.completionTime") or None, present)
    )
