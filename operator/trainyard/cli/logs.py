"""`trainyard logs`: what the pods of a run write, as it is written; several at once are told apart by a prefix."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import suppress
from typing import NamedTuple

from trainyard.cli.connection import Connection
from trainyard.cli.log_sources import Choice, Source, attempt_of, sources
from trainyard.cli.objects import Obj, at, said
from trainyard.cli.problem import Problem
from trainyard.cli.runs import ended
from trainyard.systems.cluster.port import POD, TRAINING_RUN, Invalid, NotFound, Unavailable
from trainyard.systems.cluster.transport import path

POLL_SECONDS = 1.0


class Line(NamedTuple):
    """A line, and what stands before it: its step, "" where one step alone writes."""

    prefix: str
    text: str


async def lines(connection: Connection, name: str, choice: Choice, *, follow: bool) -> AsyncIterator[Line]:
    """Yield the log lines of a run's containers; with follow until the run has ended and all was told."""
    run = await connection.find(TRAINING_RUN, name)
    attempt_of(run, choice)  # a Problem before anything is read
    stream = _followed(connection, name, choice) if follow else _present(connection, run, choice)
    told = False
    async for line in stream:
        told = True
        yield line
    if not told:
        raise Problem(nothing(run, choice))


def nothing(run: Obj, choice: Choice) -> str:
    """Return why there is not a line to show."""
    name = at(run, "metadata.name")
    of = f"Step {choice.step} of TrainingRun {name}" if choice.step else f"TrainingRun {name}"
    meant = attempt_of(run, choice)
    for failed in at(run, "status.attempts", ()):
        if failed["attempt"] == meant:
            why = f"{failed['reason']}: {failed.get('message', '')}".rstrip(": ")
            return f"{of} has no log lines of attempt {meant} any more; it failed with {why}"
    if ended(run):
        return f"{of} has no log lines (any more): {said(run, 'Succeeded')}".rstrip(": ")
    return f"{of} has written nothing yet: {said(run, 'Succeeded') or 'it is pending'}"


async def _present(connection: Connection, run: Obj, choice: Choice) -> AsyncIterator[Line]:
    """Read one container after the other."""
    for source in await sources(connection, run, choice):
        if source.begun:
            async for text in _of(connection, source, follow=False):
                yield Line(source.prefix, text)


async def _followed(connection: Connection, name: str, choice: Choice) -> AsyncIterator[Line]:
    """Read all containers at once, those that come later too, line by line as they are written."""
    queue: asyncio.Queue[Line] = asyncio.Queue(maxsize=1000)
    tasks: dict[tuple[str, str], asyncio.Task[None]] = {}
    try:
        while True:
            over = await _begin(connection, name, choice, tasks, queue)
            if over and all(task.done() for task in tasks.values()) and queue.empty():
                break
            with suppress(TimeoutError):
                async with asyncio.timeout(POLL_SECONDS):
                    while True:
                        yield await queue.get()
        _raise(list(tasks.values()))
    finally:
        for task in tasks.values():
            task.cancel()


async def _begin(
    connection: Connection, name: str, choice: Choice, tasks: dict[tuple[str, str], asyncio.Task[None]],
    queue: asyncio.Queue[Line],
) -> bool:  # fmt: skip
    """Begin to read what has begun to write; whether the run has ended, so that nothing more will."""
    try:
        run = await connection.find(TRAINING_RUN, name)
        found = await sources(connection, run, choice)
    except Unavailable:
        return False
    for source in found:
        if source.begun and source.key not in tasks:
            tasks[source.key] = asyncio.create_task(_pump(connection, source, queue))
    return ended(run)


async def _pump(connection: Connection, source: Source, queue: asyncio.Queue[Line]) -> None:
    async for text in _of(connection, source, follow=True):
        await queue.put(Line(source.prefix, text))


def _raise(tasks: Sequence[asyncio.Task[None]]) -> None:
    """Raise what a reader met with, as the others have told all they had."""
    for task in tasks:
        error = task.exception()
        if error is not None:
            raise error


async def _of(connection: Connection, source: Source, *, follow: bool) -> AsyncIterator[str]:
    """Yield a container's lines; a stream that is cut while following is opened again where it was cut."""
    url = path(POD, source.namespace, source.pod, "log")
    query = [("container", source.container), *([("follow", "true")] if follow else [])]
    told = 0
    while True:
        number = 0
        try:
            async for line in connection.transport.lines(url, query, whole=True):
                number += 1
                if number > told:
                    told = number
                    yield line.decode(errors="replace")
        except NotFound:
            return  # the pod is gone
        except (Unavailable, Invalid):  # 400: the container is about to start
            if not follow:
                raise
            await asyncio.sleep(POLL_SECONDS)
        else:
            return
