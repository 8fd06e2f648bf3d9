"""A server that answers lists and watches by a script, and the objects it tells of."""

import json
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from typing import Any

from trainyard.systems.cluster.port import (
    Kind,
)


class Enough(BaseException):
    """The script is over."""


class ScriptedTransport:
    """Answers lists and watches in turn; an exception in a script is raised at its place."""

    def __init__(self, *script: Any) -> None:
        self.script = list(script)
        self.asked: list[str] = []

    def _next(self) -> Iterator[Any]:
        if not self.script:
            raise Enough
        step = self.script.pop(0)
        if isinstance(step, BaseException):
            raise step
        for part in step:
            if isinstance(part, BaseException):
                raise part
            yield part

    async def pages(self, kind: Kind, namespace: str, selector: str) -> AsyncIterator[dict[str, Any]]:
        self.asked.append(f"list {selector}".strip())
        for page in self._next():
            yield page

    async def lines(
        self, url: str, query: Sequence[tuple[str, str]], opened: Callable[[], None]
    ) -> AsyncIterator[bytes]:
        self.asked.append(f"watch {dict(query)['resourceVersion']}")
        for number, event in enumerate(self._next()):
            if not number:
                opened()
            yield event if isinstance(event, bytes) else json.dumps(event).encode()


def obj(name: str, version: str, **more: Any) -> dict[str, Any]:
    meta = {"name": name, "namespace": "ns", "resourceVersion": version, "managedFields": [{"manager": "x"}]}
    return {"metadata": {**meta, **more}}


def page(version: str, *items: dict[str, Any], more: str = "") -> dict[str, Any]:
    return {"metadata": {"resourceVersion": version, "continue": more}, "items": list(items)}
