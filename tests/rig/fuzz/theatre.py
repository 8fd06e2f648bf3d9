"""A running operator that meets mutations by the batch: `python -m trainyard` with all rooms, MinIO, MariaDB, a rig.

Deployments, the Gateway and Prometheus are played (`watched.World`). Beside the mutations a witness of each kind is
changed once a batch, and must be answered promptly.
"""

import asyncio
import json
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from aiohttp import web
from minio import Minio

from local.rig import ApiServerRig
from tests.rig.faults.stage import connected, furnish, kubectl
from tests.rig.fuzz import living
from tests.rig.fuzz.doors import Answer, Doors, Tally
from tests.rig.fuzz.walking import KINDS, Mutation
from tests.rig.kinds import Obj
from tests.rig.tiny_processes import READS, Process
from tests.rig.watched import World
from tests.servers import running
from trainyard.systems.artifacts.client import ObstoreArtifacts
from trainyard.systems.artifacts.port import Manifest, ManifestFile

NAMESPACE = "fuzz"
BUCKET = "trainyard"
PATIENCE_SECONDS = 180.0
PROMPT_SECONDS = 20.0  # for a witness, on a machine that does much else
CALM_SECONDS = 2.0
MOST_WRITES = 60  # of one mutation's whole life: a ladder climbed and taken down
BATCH = 40
LOOK_SECONDS = 0.4
SECRETS = ("api-token", "api-key", "hook")
FILE = ManifestFile("model/saved_model.pb", 3, "b" * 64)


@dataclass
class Writes:
    """What the operator wrote, from the audit log as far as it was read."""

    log: Path
    user: str
    at: int = 0
    by_name: Counter[str] = field(default_factory=Counter)

    def read(self) -> int:
        """Read on; how many writes there were since."""
        with self.log.open("rb") as lines:
            lines.seek(self.at)
            told = lines.read()
        whole = told[: told.rfind(b"\n") + 1]
        self.at += len(whole)
        found = [entry for line in whole.splitlines() if self._counts(entry := json.loads(line))]
        self.by_name.update(str(entry["objectRef"].get("name", ""))[:6] for entry in found)
        return len(found)

    def _counts(self, entry: Mapping[str, Any]) -> bool:
        mine = entry["stage"] == "ResponseComplete" and entry["user"]["username"] == self.user
        resource = entry.get("objectRef", {}).get("resource", "leases")
        return mine and entry["verb"] not in READS and resource not in ("leases", "selfsubjectaccessreviews")


class Silent(World):
    """A World whose Prometheus knows nothing: no mutation may ask it anything that ends in a traceback."""

    async def _measure(self, request: web.Request) -> web.Response:
        return web.json_response({"status": "success", "data": {"resultType": "vector", "result": []}})


class Operator(Process):
    """The operator as it is deployed."""

    module = "trainyard"


@dataclass
class Theatre:
    """See the module. `wrong`: what broke the oracle; `slowest`: the seconds that a witness waited."""

    doors: Doors
    operator: Operator
    world: World
    writes: Writes
    artifact: Mapping[str, Any]
    tally: Tally = field(default_factory=Tally)
    wrong: list[str] = field(default_factory=list)
    slowest: float = 0.0
    most_writes: int = 0
    objects: Mapping[tuple[str, str], Obj] = field(default_factory=dict)
    _number: int = 0

    async def play(self, mutations: Iterable[Mutation]) -> None:
        """Let the operator meet them, a batch at a time."""
        left = list(mutations)
        while left:
            kept: dict[str, Mutation] = {}
            while left and len(kept) < BATCH:
                kept |= await self._sent([left.pop(0) for _ in range(min(len(left), BATCH - len(kept)))])
            await self._batch(kept)

    async def _sent(self, mutations: Sequence[Mutation]) -> dict[str, Mutation]:
        """Send them; those that the API server takes, by name."""
        names = {f"f{self._number + at:05d}": mutation for at, mutation in enumerate(mutations)}
        self._number += len(mutations)
        made = await asyncio.gather(*(self._made(name, m) for name, m in names.items()))
        return {name: m for (name, m), is_made in zip(names.items(), made, strict=True) if is_made}

    async def _batch(self, kept: Mapping[str, Mutation]) -> None:
        await self._witnesses()
        await self._each(kept, self._told)
        await self._each(kept, self._climbs)
        await self._calm(kept)
        await self._each(kept, self._gone)
        self._look(kept)

    async def _each(self, kept: Mapping[str, Mutation], step: Callable[[str, Mutation], Awaitable[str]]) -> None:
        found = await asyncio.gather(*(step(name, mutation) for name, mutation in kept.items()))
        self.wrong += [text for text in found if text]

    # ---- what is done to it ----

    async def _made(self, name: str, mutation: Mutation) -> bool:
        """Create it, and write its status where that is what was changed. False where the API server refuses."""
        obj = living.alive(mutation, name, self.artifact)
        answer = await self.doors.create(obj)
        if answer.is_accepted and mutation.is_status:
            answer = await self._with_status(obj)
            if not answer.is_accepted:
                await self.doors.delete(mutation.kind, name)
        self.tally.count(mutation.kind, "sent")
        self.tally.count(mutation.kind, "taken" if answer.is_accepted else "refused")
        return answer.is_accepted

    async def _with_status(self, obj: Obj) -> Answer:
        """Write its status while the operator may write it too."""
        answer = await self.doors.put_status(obj)
        for _ in range(50):
            if answer.code != 409:
                break
            await asyncio.sleep(0.1)
            answer = await self.doors.put_status(obj)
        return answer

    async def _told(self, name: str, mutation: Mutation) -> str:
        """Wait until its status speaks of it as it is."""
        found = await self.told(mutation.kind, name)
        if not found:
            answer = await self.doors.get(mutation.kind, name)
            if answer.code == 404 and _may_be_collected(mutation):
                self.tally.count(mutation.kind, "collected")
                return ""
            return f"{mutation}: {name} is not told of: {json.dumps(answer.obj.get('status'))[:600]}"
        state, reason = _summary(found)
        self.tally.count(mutation.kind, state)
        if state.endswith("False"):
            self.tally.count(f"{mutation.kind}: why", reason)
        return ""

    def _status(self, kind: str, name: str, generation: int = 0) -> Any:
        """The status, once it speaks in our words of this generation or a later one, with a reason for everything."""
        obj = self.objects.get((kind, name))
        status = (obj or {}).get("status") or {}
        told = status.get("conditions") or []
        wanted = max(generation, obj["metadata"]["generation"]) if obj else 1
        current = status.get("observedGeneration", 0) >= wanted and any(c["type"] in WORDS for c in told)
        return status if current and all(c.get("reason") for c in told) else None

    async def told(self, kind: str, name: str) -> Any:
        """Wait until an object's status speaks of it."""
        return await self._until(lambda: self._status(kind, name), PATIENCE_SECONDS)

    async def look_around(self) -> None:
        """Read what is there, again and again."""
        while True:
            found = [await self.doors.list(kind) for kind in KINDS]
            self.objects = {(kind, o["metadata"]["name"]): o for kind, of in zip(KINDS, found, strict=True) for o in of}
            await asyncio.sleep(LOOK_SECONDS)

    async def _climbs(self, name: str, mutation: Mutation) -> str:
        """Ask a Rollout for the second version, so that its ladder is climbed."""
        if mutation.kind != "Rollout" or mutation.path[:2] == ("spec", "version"):
            return ""
        answer = await self.doors.patch(mutation.kind, name, {"version": {"name": living.SECOND}})
        if answer.code == 404 and _may_be_collected(mutation):
            return ""
        if not answer.is_accepted:
            return f"{mutation}: {name} does not take another version: {answer.code} {answer.message[:300]}"
        found = await self._until(lambda: self._status(mutation.kind, name, answer.generation), PATIENCE_SECONDS)
        if found:
            return ""
        answer = await self.doors.get(mutation.kind, name)  # the collector may have come after the edit was taken
        if answer.code == 404 and _may_be_collected(mutation):
            return ""
        return f"{mutation}: {name} is not told of with another version"

    async def _calm(self, kept: Mapping[str, Mutation]) -> None:
        """Wait until each of them is written at most once in a while: steps of a ladder take their time."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        while True:
            self.writes.read()
            before = Counter({name: self.writes.by_name[name] for name in kept})
            await asyncio.sleep(CALM_SECONDS)
            self.writes.read()
            busy = {name: self.writes.by_name[name] - before[name] for name in kept}
            loud = [name for name, count in busy.items() if count > 2]
            if not loud:
                return
            if time.monotonic() > deadline:
                self.wrong += [f"{kept[name]}: {name} does not rest: {busy[name]} writes" for name in loud]
                return

    async def _gone(self, name: str, mutation: Mutation) -> str:
        """Delete it."""
        await self.doors.delete(mutation.kind, name)

        if _waits_for_an_engine(mutation):
            return ""

        def gone() -> bool:
            obj = self.objects.get((mutation.kind, name))
            return obj is None or obj["metadata"].get("finalizers") in FOREIGN

        return "" if await self._until(gone, PATIENCE_SECONDS) else f"{mutation}: {name} is not let go"

    async def _until(self, probe: Callable[[], Any], seconds: float) -> Any:
        deadline = time.monotonic() + seconds
        for _ in range(int(seconds / LOOK_SECONDS) + 1):
            if (found := probe()) or time.monotonic() > deadline:
                return found
            await asyncio.sleep(LOOK_SECONDS / 2)
        return probe()

    # ---- what is seen beside it ----

    async def _witnesses(self) -> None:
        """Change the witness of each kind, and wait for the answer to it."""
        number = self._number
        edits: dict[str, dict[str, Any]] = {
            "Rollout": {"scaleDownDelaySeconds": number % 1000},
            "TrainingPipeline": {"history": {"failed": 900 + number % 100}},
            "ModelVersion": {"aliases": [f"a{number}"]},
        }
        waiting = {}
        for kind, spec in edits.items():
            waiting[kind, "witness"] = await self.doors.patch(kind, "witness", spec)
        fresh = f"w{number:05d}"
        waiting["TrainingRun", fresh] = await self.doors.create(living.run(fresh))
        await asyncio.gather(*(self._witness(kind, name, answer) for (kind, name), answer in waiting.items()))
        await self.doors.delete("TrainingRun", fresh)

    async def _witness(self, kind: str, name: str, answer: Answer) -> None:
        assert answer.is_accepted, answer.message
        start = time.monotonic()
        if not await self._until(lambda: self._status(kind, name, answer.generation), PROMPT_SECONDS):
            self.wrong.append(f"the witness {kind} {name} was not served within {PROMPT_SECONDS:.0f} s")
        self.slowest = max(self.slowest, time.monotonic() - start)

    def _look(self, kept: Mapping[str, Mutation]) -> None:
        """Look at the process, its log, and how much it wrote."""
        assert self.operator.ended() is None, self.operator.log.read_text()[-3000:]
        self.writes.read()
        for name, mutation in kept.items():
            count = self.writes.by_name[name]
            self.most_writes = max(self.most_writes, count)
            if count > MOST_WRITES:
                self.wrong.append(f"{mutation}: {name} was written {count} times")
        for told in (self.world.routes, self.world.statuses, self.world.serves):
            told.clear()
        self.world.made.clear()

    def broken(self) -> list[str]:
        """Lines of the operator's log that no object may cause, each with what follows."""
        lines = self.operator.log.read_text().splitlines()
        marks = ("Traceback", " ERROR ", "Unexpected", "never awaited", "Unclosed")
        return ["\n".join(lines[at : at + 30]) for at, line in enumerate(lines) if any(m in line for m in marks)]


def _summary(status: Obj) -> tuple[str, str]:
    """What a status says of being accepted, or in the kinds that have no such word, of readiness or success."""
    told = {c["type"]: c for c in status["conditions"]}
    name = next(word for word in WORDS if word in told)
    return f"{name}={told[name]['status']}", str(told[name]["reason"])


def _may_be_collected(mutation: Mutation) -> bool:
    """Whether Kubernetes may delete it by itself: its owner is nowhere."""
    return mutation.path[:2] == ("metadata", "ownerReferences")


def _waits_for_an_engine(mutation: Mutation) -> bool:
    """Whether its deletion takes ten minutes: its status names an engine that this operator does not know."""
    return (mutation.kind, mutation.field, mutation.value) == ("TrainingRun", "status.engine.kind", "kubeflow")


FOREIGN = (["example.com/none"], ["none"])
WORDS = ("Accepted", "Ready", "Succeeded")  # one of them stands in every status that is ours


@asynccontextmanager
async def theatre(rig: ApiServerRig, folder: Path) -> AsyncIterator[Theatre]:
    """Set everything up, and end all of it."""
    furnish(rig)
    kubectl(rig, "create", "namespace", NAMESPACE)
    for name in SECRETS:
        kubectl(rig, "-n", NAMESPACE, "create", "secret", "generic", name, "--from-literal=token=x")
        labels = ("trainyard.dev/usable-by-pods=true", "trainyard.dev/usable-by-triggers=true")
        kubectl(rig, "-n", NAMESPACE, "label", "secret", name, *labels)
    async with AsyncExitStack() as stack:
        store, database = stack.enter_context(running.minio()), stack.enter_context(running.mariadb())
        artifact = await _stocked(store)
        transport = await connected(rig.kubeconfig)
        stack.push_async_callback(transport.close)
        world = await stack.enter_async_context(Silent(transport, NAMESPACE))
        doors = await stack.enter_async_context(Doors(rig, NAMESPACE))
        operator = stack.enter_context(Operator(rig, "fuzz", folder, **_settings(store, database, world)))
        made = Theatre(doors, operator, world, Writes(rig.audit_log, operator.user), artifact)
        looking = asyncio.create_task(made.look_around())
        try:
            await _set_up(made)
            yield made
        finally:
            looking.cancel()
            await asyncio.gather(looking, return_exceptions=True)


def _settings(store: running.Store, database: running.Database, world: World) -> dict[str, str]:
    return {
        "TRAINYARD_NAMESPACES": NAMESPACE,
        "TRAINYARD_POD_NAMESPACE": NAMESPACE,
        "TRAINYARD_LEASE_SECONDS": "60",
        "TRAINYARD_STORE_BUCKET": BUCKET,
        "TRAINYARD_STORE_ENDPOINT": store.url,
        "AWS_ACCESS_KEY_ID": store.user,
        "AWS_SECRET_ACCESS_KEY": store.password,
        "TRAINYARD_DATA_LOCATIONS": "s3://datasets/",
        "TRAINYARD_DATABASE_HOST": "127.0.0.1",
        "TRAINYARD_DATABASE_PORT": str(database.port),
        "TRAINYARD_DATABASE_NAME": database.name,
        "TRAINYARD_DATABASE_USER": database.user,
        "TRAINYARD_DATABASE_PASSWORD": database.password,
        "TRAINYARD_PROMETHEUS_URL": world.prometheus_url,
        "TRAINYARD_SCRAPE_INTERVAL_SECONDS": "1",
        "TRAINYARD_CUSTOM_QUERIES": "true",
        "TRAINYARD_EVENTS_SECRET_NAMES": "hook",
        "TRAINYARD_KUBEFLOW_URL": "http://127.0.0.1:9",  # nothing listens on it
        "TRAINYARD_KUBEFLOW_WORKFLOWS": "false",
    }


async def _stocked(store: running.Store) -> dict[str, Any]:
    """Fill the store; the artifact that lies in it."""
    admin = Minio(store.url.removeprefix("http://"), store.user, store.password, secure=False)
    for bucket in (BUCKET, "datasets"):
        await asyncio.to_thread(admin.make_bucket, bucket)
    artifacts = ObstoreArtifacts(store.url, "us-east-1", store.user, store.password)
    uri = f"s3://{BUCKET}/{NAMESPACE}/churn/1/"
    manifest = Manifest("SavedModel", (FILE,), {"auc": "0.91"})
    await artifacts.put(f"{uri}manifest.json", manifest.to_json().encode())
    await artifacts.put(f"{uri}{FILE.path}", b"abc")
    for rows in ("train/rows.csv", "labels.csv"):
        await artifacts.put(f"s3://datasets/default/churn/{rows}", b"1,2\n")
    return {"uri": uri, "digest": manifest.digest, "format": "SavedModel"}


async def _set_up(made: Theatre) -> None:
    """Make the versions, the witnesses, and the pipeline that runs are of; wait until each is told of."""
    objects = [
        living.version(living.FIRST, made.artifact, "2026-11-23T02:14:07Z"),
        living.version(living.SECOND, made.artifact, "2026-11-23T02:14:08Z"),
        living.version("witness", made.artifact, "2026-11-23T02:14:06Z"),
        living.pipeline(living.PIPELINE),
        living.pipeline("witness"),
        living.rollout("witness"),
    ]
    for obj in objects:
        answer = await made.doors.create(obj)
        assert answer.is_accepted, answer.message
    for obj in objects:
        kind, name = obj["kind"], obj["metadata"]["name"]
        told = await made.told(kind, name)
        assert told, f"{kind} {name}\n{made.operator.log.read_text()[-3000:]}"
