"""Whole lives of ModelVersions against fakes, told as text and compared with the files beside this one.

A reviewer reads behaviour in the diff. `TRAINYARD_GOLDEN=write pytest tests/golden` writes the files anew.
"""

import os
import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, cast

import pytest

from tests.fakes.artifacts import FakeArtifacts
from tests.fakes.cluster import FakeCluster, Write
from tests.fakes.metadata import FakeMetadata
from tests.unit.model_version.making import KEY, MANIFEST, NOW, URI, manifest_object, rollout
from trainyard.model_version.room import ModelVersionRoom
from trainyard.reconciling.cycle import Cycle
from trainyard.reconciling.plan import Record
from trainyard.systems.artifacts.port import MANIFEST as MANIFEST_NAME
from trainyard.systems.bundle import Config, Systems
from trainyard.systems.cluster.port import EVENT, ROLLOUT, Ref
from trainyard.systems.metadata.port import MetadataUnavailable

FOLDER = Path(__file__).parent


@dataclass
class History:
    """One version's life; everything that is done or written becomes a line."""

    now: datetime = NOW
    lines: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.cluster = FakeCluster(now=lambda: self.now)
        self.cluster.on_write(self._tell)
        self.artifacts = FakeArtifacts()
        self.metadata = FakeMetadata()
        absent = cast("Any", None)
        config = Config("courier", {}, "trainyard", "http://minio:9000")
        systems = Systems(self.cluster, {}, self.artifacts, absent, self.metadata, config)
        self.cycle = Cycle(ModelVersionRoom(), systems, self.cluster, self._record)

    def say(self, text: str) -> None:
        """Note what somebody else does."""
        self.lines.append(f"{self._clock()} * {text}")

    async def visit(self, after: int = 10) -> None:
        """Let time pass and visit the version once."""
        self.now += timedelta(seconds=after)
        before = len(self.lines)
        outcome = await self.cycle.run(KEY, self.now)
        if len(self.lines) == before:
            self.lines.append(f"{self._clock()} visit: nothing to write")
        if outcome.revisit_after is not None:
            self.lines.append(f"{self._clock()} comes again in {outcome.revisit_after:.0f} s")
        if outcome.gone:
            self.lines.append(f"{self._clock()} gone")

    async def _record(self, rows: Any) -> bool:
        try:
            await self.metadata.record(rows)
        except MetadataUnavailable:
            return False
        self.lines.extend(f"{self._clock()} row {_row(row)}" for row in rows)
        return True

    def _clock(self) -> str:
        seconds = int((self.now - NOW).total_seconds())
        return f"{seconds // 60:02d}:{seconds % 60:02d}"

    def _tell(self, write: Write) -> None:
        for line in _told(write):
            self.lines.append(f"{self._clock()} {line}")


def _row(row: Record) -> str:
    return f"{row.sequence} {row.type} {row.data.get('verdict', row.data.get('digest', ''))}"


def _told(write: Write) -> list[str]:
    if write.ref.kind == EVENT:
        return [f"event {write.body['reason']}: {write.body['message']}"]
    if write.verb != "status":
        return [f"finalizers {write.body['metadata']['finalizers']}"]
    status = write.body["status"]
    told = [f"status {key} = {status[key]}" for key in sorted(status) if key in ("servedBy", "rejections")]
    conditions = sorted(status.get("conditions", ()), key=lambda c: str(c["type"]))
    return [*(f"status {c['type']}={c['status']} {c['reason']} {c['message']}".rstrip() for c in conditions), *told]


def seed_rollout(history: History, **fields: Any) -> None:
    made = rollout("web", **fields)
    body = {k: v for k, v in made.items() if k != "status"}
    if history.cluster.look(Ref(ROLLOUT, KEY.namespace, "web")):
        history.cluster.edit(Ref(ROLLOUT, KEY.namespace, "web"), {"status": None}, status=True)
        history.cluster.edit(Ref(ROLLOUT, KEY.namespace, "web"), {"status": made["status"]}, status=True)
    else:
        history.cluster.seed(body, status=made["status"])


async def accepted(h: History) -> None:
    h.artifacts.publish(URI, MANIFEST)
    h.say("a run publishes churn-1, auc 0.93 against min 0.90")
    h.cluster.seed(manifest_object())
    for _ in range(2):
        await h.visit()
    h.say("eight hours later")
    await h.visit(8 * 3600)


async def rejected(h: History) -> None:
    h.artifacts.publish(URI, replace(MANIFEST, metrics={"auc": "0.84", "loss": "NaN"}))
    h.say("a run publishes churn-1, auc 0.84 against min 0.90, loss NaN against max 0.3")
    h.cluster.seed(manifest_object(rules=({"name": "auc", "min": "0.90"}, {"name": "loss", "max": "0.3"})))
    await h.visit()
    h.say("somebody writes better metrics into the manifest: too late")
    h.artifacts.publish(URI, MANIFEST)
    await h.visit(600)


async def store_away(h: History) -> None:
    h.artifacts.publish(URI, MANIFEST)
    h.artifacts.away = True
    h.say("the store is away")
    h.cluster.seed(manifest_object())
    for _ in range(3):
        await h.visit(15)
    h.say("the store is back")
    h.artifacts.away = False
    await h.visit(15)
    h.say("the store is away again: a version that was verified stays ready")
    h.artifacts.away = True
    await h.visit(600)


async def truncated_then_healed(h: History) -> None:
    h.artifacts.publish(URI, MANIFEST)
    h.artifacts.objects[URI + "model/variables/v.data"] = b"half"
    h.say("one object is cut off")
    h.cluster.seed(manifest_object())
    for _ in range(2):
        await h.visit(60)
    h.say("the object is whole again")
    h.artifacts.publish(URI, MANIFEST)
    await h.visit(60)
    h.say("the manifest is deleted")
    del h.artifacts.objects[URI + MANIFEST_NAME]
    await h.visit(600)
    h.say("and comes back")
    h.artifacts.publish(URI, MANIFEST)
    for _ in range(2):
        await h.visit(60)


async def database_away(h: History) -> None:
    h.artifacts.publish(URI, MANIFEST)
    h.metadata.away = True
    h.say("the database is away")
    h.cluster.seed(manifest_object())
    for _ in range(2):
        await h.visit(60)
    h.say("the database is back")
    h.metadata.away = False
    for _ in range(2):
        await h.visit(60)


async def deleted_while_serving(h: History) -> None:
    h.artifacts.publish(URI, MANIFEST)
    h.cluster.seed(manifest_object())
    await h.visit()
    h.say("Rollout web tries it")
    seed_rollout(h, stable="churn-0", canary=KEY.name)
    for _ in range(2):
        await h.visit()
    h.say("somebody deletes it")
    h.cluster.remove(KEY)
    for _ in range(2):
        await h.visit()
    h.say("Rollout web aborts it")
    seed_rollout(h, stable="churn-0", aborted=((KEY.name, "errors 0.4 is above max 0.05"),))
    for _ in range(2):
        await h.visit()


async def aborted_by_a_rollout(h: History) -> None:
    h.artifacts.publish(URI, MANIFEST)
    h.cluster.seed(manifest_object())
    seed_rollout(h, stable="churn-0", canary=KEY.name)
    await h.visit()
    h.say("Rollout web aborts it")
    seed_rollout(h, stable="churn-0", aborted=((KEY.name, "errors 0.4 is above max 0.05"),))
    for _ in range(2):
        await h.visit()


async def outside_its_namespace(h: History) -> None:
    h.say("the artifact's URI climbs out of the namespace")
    h.cluster.seed(manifest_object(artifact={"uri": "s3://trainyard/shop-2/churn/", "digest": MANIFEST.digest}))
    for _ in range(2):
        await h.visit()
    h.say(f"the store was asked {h.artifacts.reads} times")


STORIES: tuple[Callable[[History], Awaitable[None]], ...] = (
    accepted, rejected, store_away, truncated_then_healed, database_away, deleted_while_serving, aborted_by_a_rollout,
    outside_its_namespace,
)  # fmt: skip


@pytest.mark.parametrize("story", STORIES, ids=lambda story: story.__name__)
async def test_history(story: Callable[[History], Awaitable[None]]) -> None:
    history = History()
    await story(history)
    told = "\n".join(history.lines) + "\n"
    golden = FOLDER / f"{story.__name__}.txt"
    if os.environ.get("TRAINYARD_GOLDEN") == "write":
        golden.write_text(told)
    assert told == golden.read_text()


@pytest.mark.parametrize("seed", range(25))
async def test_any_order_ends_the_same(seed: int) -> None:
    """Outages, truncations and visits in seeded-random order: once all is well, the end is always the same."""
    draw = random.Random(seed)
    h = History()
    h.artifacts.publish(URI, MANIFEST)
    h.cluster.seed(manifest_object())
    for _ in range(draw.randrange(3, 12)):
        h.artifacts.away = draw.random() < 0.4
        h.metadata.away = draw.random() < 0.4
        h.artifacts.objects[URI + "model/variables/v.data"] = b"\0" * draw.choice((0, 899, 900))
        await h.visit(draw.randrange(1, 60))
    h.artifacts.away = h.metadata.away = False
    h.artifacts.publish(URI, MANIFEST)
    await h.visit()
    await h.visit()
    obj = h.cluster.look(KEY)
    assert obj is not None
    assert {c["type"]: c["status"] for c in obj["status"]["conditions"]}["Ready"] == "True"
    assert obj["status"]["decision"]["verdict"] == "Accepted"
    assert not obj["status"].get("unrecorded")
    assert [(row.sequence, row.type) for row in h.metadata.of(obj["metadata"]["uid"])] == [
        (1, "version"),
        (2, "decision"),
    ]
    written = len(h.cluster.writes)
    await h.visit(600)
    assert len(h.cluster.writes) == written
