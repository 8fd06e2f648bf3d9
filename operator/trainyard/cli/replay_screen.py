"""A replay as a person reads it: one line a decision, measurements that are alike in one line, a summary. Pure."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

from rich.console import Group
from rich.text import Text

from trainyard.cli import clock
from trainyard.cli.console import facts, table, word
from trainyard.cli.objects import Obj

COLUMNS = ("TIME", "WEIGHT", "EVENT", "WHAT")
VERDICTS = ("Pass", "Fail", "Inconclusive", "NoData")
COUNTS = ("METRIC", *VERDICTS)
MEASURED = "Measured"

Event = Mapping[str, Any]


def screen(replay: Obj) -> Group:
    """Return head, events and summary. replay: as `-o json` gives it."""
    rows = [_row(event, count, _dated(replay)) for event, count in condensed(replay["events"])]
    counts = [
        (name, *(str(found.get(verdict, 0)) for verdict in VERDICTS)) for name, found in replay["verdicts"].items()
    ]
    parts: list[Any] = [facts(_head(replay)), Text(), table(COLUMNS, rows), Text()]
    parts += [table(COUNTS, counts), Text()] if counts else []
    return Group(*parts, _ending(replay))


def condensed(events: Sequence[Event]) -> Iterator[tuple[Event, int]]:
    """Yield each event with how often it came; a measurement stands for those after it with the same verdicts."""
    last: Event | None = None
    count = 0
    for event in events:
        if last is not None and event["kind"] == MEASURED == last["kind"] and event["text"] == last["text"]:
            count += 1
            continue
        if last is not None:
            yield last, count
        last, count = event, 1
    if last is not None:
        yield last, count


def _head(replay: Obj) -> list[tuple[str, str]]:
    then = replay.get("recorded")
    return [
        ("Rollout", f"{replay['rollout']} in {replay['namespace']}"),
        ("canary", "{version}  revision {revision}".format(**replay["canary"])),
        ("stable", "{version}  revision {revision}".format(**replay["stable"])),
        ("time", f"{replay['from']} to {replay['to']}"),
        ("then", f"{then['outcome'] or 'still on its way'}  {then['message']}".rstrip() if then else ""),
    ]


def _dated(replay: Obj) -> bool:
    """Whether times need their day."""
    return bool(replay["from"][:10] != replay["to"][:10])


def _row(event: Event, count: int, dated: bool) -> tuple[str | Text, ...]:
    moment = datetime.fromisoformat(event["time"])
    what = _measured(event, count) if event["kind"] == MEASURED else event["text"]
    return (
        moment.strftime("%m-%d %H:%M:%S" if dated else "%H:%M:%S"),
        f"{event['weight']} %",
        word(event["kind"]),
        what,
    )


def _measured(event: Event, count: int) -> str:
    metrics = "; ".join(
        " ".join(part for part in (m["name"], m["verdict"], m.get("value"), m.get("message")) if part)
        for m in event["metrics"]
    )
    return metrics if count == 1 else f"{metrics} (and {count - 1} more with these verdicts)"


def _ending(replay: Obj) -> Text:
    if replay["seconds"] is None:
        told = replay["events"][-1] if replay["events"] else {"weight": 0}
        return Text.assemble(word(replay["outcome"]), f" when the time is over, at {told['weight']} % of traffic")
    took = f" after {clock.spoken(replay['seconds'])} and {replay['measurements']} measurements: {replay['message']}"
    return Text.assemble(word(replay["outcome"]), took)
