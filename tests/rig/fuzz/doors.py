"""The API server's doors: a mutation is sent as a person would send it, and its answer judged.

A refusal is sound where a person can act on it: 422 that names the field, or what is above or below it; 400 where it
cannot be read as this kind at all; 413 where it is too large. Anything else is a defect of a schema or of a rule.
"""

import asyncio
import json
import re
import ssl
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Self

import aiohttp

from local.rig import ApiServerRig
from tests.rig.fuzz.values import MANY
from tests.rig.fuzz.walking import KINDS, Mutation
from tests.rig.kinds import GROUP, VERSION, Obj, full

AT_A_TIME = 4
# Words of an API server that stumbled over one of our rules, and the sentence of a rule that has none.
STUMBLED = re.compile(
    r"rule evaluation error|no such (key|overload|field)|cost|failed rule|panic|internal error", re.IGNORECASE
)


@dataclass(frozen=True)
class Answer:
    """What the API server said. `fields`: what the causes of a refusal name. `obj`: the object it took."""

    code: int
    message: str
    fields: tuple[str, ...]
    obj: Obj

    @property
    def is_accepted(self) -> bool:
        return self.code < 300

    @property
    def generation(self) -> int:
        return int(self.obj["metadata"]["generation"])


@dataclass
class Tally:
    """What became of mutations, by kind."""

    counts: dict[str, Counter[str]] = field(default_factory=dict)

    def count(self, kind: str, what: str) -> None:
        """Add one."""
        self.counts.setdefault(kind, Counter())[what] += 1

    def __str__(self) -> str:
        return "\n".join(
            f"  {kind}: " + ", ".join(f"{number} {what}" for what, number in sorted(found.items()))
            for kind, found in self.counts.items()
        )


class Doors:
    """Requests to one API server as its admin. dry: everything is checked and nothing is kept."""

    def __init__(self, rig: ApiServerRig, namespace: str, *, dry: bool = False) -> None:
        self.rig, self.namespace = rig, namespace
        self._query = {"fieldValidation": "Strict", **({"dryRun": "All"} if dry else {})}

    async def __aenter__(self) -> Self:
        pki = self.rig.folder / "pki"
        context = ssl.create_default_context(cafile=str(self.rig.certificate_authority))
        context.load_cert_chain(pki / "admin.crt", pki / "admin.key")
        self._session = aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=context))
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._session.close()

    async def create(self, obj: Mapping[str, Any]) -> Answer:
        """Create an object in the namespace."""
        body = {**obj, "metadata": {**obj["metadata"], "namespace": self.namespace}}
        return await self._ask("POST", self._path(str(obj["kind"])), {k: v for k, v in body.items() if k != "status"})

    async def patch(self, kind: str, name: str, spec: Mapping[str, Any]) -> Answer:
        """Merge-patch a spec."""
        return await self._ask("PATCH", self._path(kind, name), {"spec": spec}, "application/merge-patch+json")

    async def put_status(self, obj: Mapping[str, Any]) -> Answer:
        """Put the object's status in the place of the one that is there."""
        there = await self.get(str(obj["kind"]), str(obj["metadata"]["name"]))
        kept = {k: v for k, v in there.obj.items() if k != "status"}
        body = {**kept, **({"status": obj["status"]} if "status" in obj else {})}
        return await self._ask("PUT", self._path(str(obj["kind"]), f"{obj['metadata']['name']}/status"), body)

    async def get(self, kind: str, name: str) -> Answer:
        """Read an object."""
        return await self._ask("GET", self._path(kind, name))

    async def list(self, kind: str) -> Sequence[Obj]:
        """Read all of a kind."""
        return list((await self._ask("GET", self._path(kind))).obj.get("items", ()))

    async def delete(self, kind: str, name: str) -> Answer:
        """Delete an object."""
        return await self._ask("DELETE", self._path(kind, name), {})

    def _path(self, kind: str, name: str = "") -> str:
        return f"/apis/{GROUP}/{VERSION}/namespaces/{self.namespace}/{kind.lower()}s" + (f"/{name}" if name else "")

    async def _ask(self, method: str, path: str, body: Any = None, mime: str = "application/json") -> Answer:
        data = None if body is None else json.dumps(body).encode()
        query = {} if method in ("GET", "DELETE") else self._query
        headers = {"Content-Type": mime}
        async with self._session.request(
            method, f"{self.rig.url}{path}", params=query, data=data, headers=headers
        ) as r:
            return _answer(r.status, await r.read())


def _answer(code: int, text: bytes) -> Answer:
    try:
        told = json.loads(text)
    except ValueError:
        told = {"message": text.decode(errors="replace")}
    if code < 300:
        return Answer(code, "", (), told)
    causes = told.get("details", {}).get("causes", ())
    return Answer(code, str(told.get("message", "")), tuple(str(c.get("field", "")) for c in causes), {})


def problem(mutation: Mutation, answer: Answer) -> str:
    """Return what is wrong with a refusal, "" where it is sound, as every acceptance is."""
    if answer.is_accepted:
        return ""
    if STUMBLED.search(answer.message):
        return f"{mutation}: the API server stumbled: {answer.message[:400]}"
    if answer.code == 422 and any(_related(mutation.field, named) for named in answer.fields):
        return ""
    if answer.code == 504 and mutation.what == MANY:
        return ""
    if answer.code in (400, 413) and len(answer.message) > 20:
        return ""
    return f"{mutation}: {answer.code} names {answer.fields[:3]}: {answer.message[:400]}"


def _related(one: str, other: str) -> bool:
    """Whether one of two fields is the other, or holds it."""
    steps, others = (re.findall(r"[^.\[\]]+", text) for text in (one, other))
    shorter = min(len(steps), len(others))
    return shorter > 0 and steps[:shorter] == others[:shorter]


async def tried(doors: Doors, mutations: Sequence[Mutation], tally: Tally) -> list[str]:
    """Send mutations through dry doors, some at a time; what is wrong with the answers."""
    await _furnish(doors.rig, doors.namespace)
    waiting = asyncio.Semaphore(AT_A_TIME)

    async def one(mutation: Mutation) -> str:
        async with waiting:
            body = mutation.body()
            send = doors.put_status(body) if mutation.is_status else doors.create(_renamed(body))
            answer = await send
        tally.count(mutation.kind, "mutations")
        tally.count(mutation.kind, "accepted" if answer.is_accepted else f"refused ({answer.code})")
        return problem(mutation, answer)

    return [found for found in await asyncio.gather(*map(one, mutations)) if found]


def _renamed(obj: Obj) -> Obj:
    """Of another name than the examples that are there."""
    return {**obj, "metadata": {**obj["metadata"], "name": "mutation"}}


async def _furnish(rig: ApiServerRig, namespace: str) -> None:
    """Keep the full examples there, for whoever changes a status."""
    async with Doors(rig, namespace) as doors:
        for obj in (example for kind in KINDS for example in full(kind)):
            answer = await doors.create(obj)
            assert answer.code in (201, 409), answer.message
