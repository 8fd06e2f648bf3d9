"""`trainyard logs`: what the pods of a run write, training first, then publishing."""

import asyncio
from collections.abc import AsyncIterator

from trainyard import naming
from trainyard.cli.connection import Connection
from trainyard.cli.objects import Obj, at
from trainyard.cli.runs import ended
from trainyard.systems.cluster.port import POD, TRAINING_RUN, Unavailable
from trainyard.systems.cluster.transport import path

ORDER = {"train": 0, "publish": 1}
POLL_SECONDS = 1.0


async def lines(connection: Connection, run: str, *, follow: bool) -> AsyncIterator[str]:
    """Yield the log lines of a run's containers; with follow until the run has ended and all was told."""
    told: set[str] = set()
    while True:
        over = ended(await connection.find(TRAINING_RUN, run))
        for pod in await _pods(connection, run):
            if at(pod, "metadata.uid") not in told and _begun(pod):
                told.add(at(pod, "metadata.uid"))
                async for line in _of(connection, pod, follow=follow):
                    yield line
        if over or not follow:
            return
        await asyncio.sleep(POLL_SECONDS)


async def _pods(connection: Connection, run: str) -> list[Obj]:
    found = await connection.cluster.list(POD, connection.namespace, {naming.LABEL_RUN: run})
    return sorted(found, key=_place)


def _place(pod: Obj) -> tuple[int, int, str]:
    labels = at(pod, "metadata.labels", {})
    attempt = int(labels.get(naming.LABEL_ATTEMPT, "0"))
    return attempt, ORDER.get(labels.get(naming.LABEL_ROLE, ""), 2), at(pod, "metadata.creationTimestamp")


def _container(pod: Obj) -> str:
    return str(at(pod, "spec.containers", ({},))[0].get("name", ""))


def _begun(pod: Obj) -> bool:
    states = (c.get("state", {}) for c in at(pod, "status.containerStatuses", ()))
    return any("running" in state or "terminated" in state for state in states)


async def _of(connection: Connection, pod: Obj, *, follow: bool) -> AsyncIterator[str]:
    """Yield a container's lines; a stream that is cut while following is opened again where it was cut."""
    url = path(POD, connection.namespace, at(pod, "metadata.name"), "log")
    query = [("container", _container(pod)), *([("follow", "true")] if follow else [])]
    told = 0
    while True:
        number = 0
        try:
            async for line in connection.transport.lines(url, query):
                number += 1
                if number > told:
                    told = number
                    yield line.decode(errors="replace")
        except Unavailable:
            if not follow:
                raise
            await asyncio.sleep(POLL_SECONDS)
        else:
            return
