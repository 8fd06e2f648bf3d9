"""An alias moves between versions over a cluster: never do two show it, and rows and events tell the whole way."""

import random
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any, cast

import pytest

from tests.fakes.artifacts import FakeArtifacts
from tests.fakes.cluster import FakeCluster, Write
from tests.fakes.metadata import FakeMetadata
from tests.unit.model_version.making import MANIFEST, NOW, manifest_object, observed, rollout, spec
from trainyard import naming
from trainyard.model_version.claims import claims_beside
from trainyard.model_version.decide import decide
from trainyard.model_version.room import ModelVersionRoom
from trainyard.reconciling.cycle import Cycle
from trainyard.resources.aliases import Claim, age_key, holder
from trainyard.resources.base import MOST_ROWS
from trainyard.resources.model_version import ModelVersionSpec
from trainyard.systems.bundle import Config, Systems
from trainyard.systems.cluster.port import EVENT, MODEL_VERSION, ROLLOUT, Ref

CHAMPION = frozenset({"champion"})


@dataclass
class Versions:
    """Versions of one model; every write is followed by a look at who shows the alias."""

    now: datetime = NOW
    shown: list[tuple[str, ...]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.cluster = FakeCluster(now=lambda: self.now)
        self.cluster.on_write(self._look)
        self.artifacts = FakeArtifacts()
        self.metadata = FakeMetadata()
        config = Config("courier", {}, "trainyard", "http://minio:9000")
        systems = Systems(self.cluster, {}, self.artifacts, cast("Any", None), self.metadata, config)
        self.cycle = Cycle(ModelVersionRoom(), systems, self.cluster, self._record)

    async def _record(self, rows: Any) -> bool:
        await self.metadata.record(rows)
        return True

    def add(self, name: str, minute: int, *aliases: str, good: bool = True) -> None:
        uri = f"s3://trainyard/shop/churn/{name}/1/"
        manifest = MANIFEST if good else replace(MANIFEST, metrics={"auc": "0.1"})
        self.artifacts.publish(uri, manifest)
        artifact = {"uri": uri, "digest": manifest.digest, "format": "SavedModel"}
        made = manifest_object(artifact=artifact, createdAt=f"2026-03-01T11:{minute:02d}:00Z", aliases=list(aliases))
        self.cluster.seed({**made, "metadata": {**made["metadata"], "name": name}})

    def call(self, name: str, *aliases: str) -> None:
        self.cluster.edit(Ref(MODEL_VERSION, "shop", name), {"spec": {"aliases": list(aliases)}})

    async def visit(self, name: str) -> None:
        self.now += timedelta(seconds=1)
        await self.cycle.run(Ref(MODEL_VERSION, "shop", name), self.now)

    async def settle(self, draw: random.Random | None = None) -> None:
        names = [v["metadata"]["name"] for v in self.cluster.all(MODEL_VERSION)]
        for _ in range(4):
            order = names if draw is None else draw.choices(names, k=len(names)) + names
            for name in order:
                await self.visit(name)

    def holders(self) -> list[str]:
        found = self.cluster.all(MODEL_VERSION)
        return [v["metadata"]["name"] for v in found if "champion" in v.get("status", {}).get("holds", ())]

    def _look(self, write: Write) -> None:
        holding = tuple(self.holders())
        assert len(holding) <= 1, holding
        if not self.shown or self.shown[-1] != holding:
            self.shown.append(holding)

    def told(self) -> list[tuple[str, str]]:
        """(version, event) of every row about an alias, in the order of the database."""
        rows = [row for row in self.metadata.rows.values() if "alias" in row.data]
        return [(row.name, row.data["event"]) for row in sorted(rows, key=lambda row: row.at)]


async def test_forward_and_back_with_one_holder_and_its_history() -> None:
    v = Versions()
    v.add("churn-1", 1, "champion")
    await v.settle()
    v.add("churn-2", 2, "champion")
    await v.settle()
    assert v.holders() == ["churn-2"]
    v.call("churn-2")
    await v.settle()
    assert v.holders() == ["churn-1"]
    assert [names for names in v.shown if names] == [("churn-1",), ("churn-2",), ("churn-1",)]
    assert v.told() == [
        ("churn-1", "AliasTaken"), ("churn-1", "AliasLost"), ("churn-2", "AliasTaken"), ("churn-2", "AliasLost"),
        ("churn-1", "AliasTaken"),
    ]  # fmt: skip
    events = [e["message"] for e in v.cluster.all(EVENT) if e["reason"].startswith("Alias")]
    assert sorted(set(events)) == ["does not hold alias champion", "holds alias champion"]
    assert len(events) == 5
    written = len(v.cluster.writes)
    await v.settle()
    assert len(v.cluster.writes) == written


async def test_what_is_not_ready_or_going_holds_nothing() -> None:
    v = Versions()
    v.add("churn-1", 1, "champion")
    v.add("churn-2", 2, "champion", good=False)
    await v.settle()
    assert v.holders() == ["churn-1"]
    v.add("churn-3", 3, "champion")
    await v.settle()
    web = rollout("web", stable="churn-3")
    v.cluster.seed({k: x for k, x in web.items() if k != "status"}, status=web["status"])
    await v.settle()
    v.cluster.remove(Ref(MODEL_VERSION, "shop", "churn-3"))
    await v.settle()
    assert v.holders() == ["churn-1"]
    going = v.cluster.look(Ref(MODEL_VERSION, "shop", "churn-3"))
    assert going is not None
    assert naming.FINALIZER in going["metadata"]["finalizers"]
    v.cluster.edit(Ref(ROLLOUT, "shop", "web"), {"status": None}, status=True)
    await v.visit("churn-3")
    assert v.cluster.look(Ref(MODEL_VERSION, "shop", "churn-3")) is None


@pytest.mark.parametrize("seed", range(20))
async def test_any_order_of_visits_and_edits(seed: int) -> None:
    draw, v = random.Random(seed), Versions()
    names = [f"churn-{n}" for n in range(4)]
    for n, name in enumerate(names):
        v.add(name, draw.randrange(4), *(["champion"] if draw.random() < 0.5 else []), good=n != 1)
    for _ in range(6):
        v.call(draw.choice(names), *(["champion"] if draw.random() < 0.5 else []))
        for name in draw.choices(names, k=3):
            await v.visit(name)
    await v.settle(draw)
    objects = [o for o in v.cluster.all(MODEL_VERSION) if "champion" in o["spec"]["aliases"]]
    ready = [o for o in objects if o["metadata"]["name"] != "churn-1"]
    newest = max(ready, key=lambda o: age_key(o["spec"]["createdAt"], o["metadata"]["name"]), default=None)
    assert v.holders() == ([newest["metadata"]["name"]] if newest else [])


def test_claims_of_odd_objects() -> None:
    mine = ModelVersionSpec.model_validate(spec(aliases=["champion"]))
    odd: list[dict[str, Any]] = [
        {"metadata": {"name": "a"}, "spec": None},
        {"metadata": {"name": "b"}, "spec": {"model": "churn", "aliases": 7}, "status": "what"},
        {"metadata": {"name": "c"}, "spec": {"model": "other", "aliases": ["champion"]}},
        {"metadata": {"name": "churn-1"}, "spec": {"model": "churn", "aliases": ["champion"]}},
        {
            "metadata": {"name": "d"},
            "spec": {"model": "churn", "aliases": ["champion"]},
            "status": {"conditions": ["x"]},
        },
    ]
    assert claims_beside("churn-1", mine, odd) == (Claim("d", "", False, CHAMPION),)
    assert holder("champion", claims_beside("churn-1", mine, odd)) is None


def test_rows_of_a_lost_status_are_numbered_on() -> None:
    wanted = spec(aliases=["champion"])
    fresh = decide(observed(wanted=wanted), NOW)
    assert [r.sequence for r in fresh.records] == [1, 2, 101]
    lost = decide(observed(wanted=wanted, meta={"generation": 3}), NOW)
    assert [r.sequence for r in lost.records] == [1, 2, int(NOW.timestamp()) + 1]
    assert (lost.status or {})["sequence"] == int(NOW.timestamp()) + 1


def test_a_deleted_one_lets_its_aliases_go() -> None:
    going = {"deletionTimestamp": "2026-03-01T12:00:00Z"}
    assert decide(observed(meta=going), NOW).status is None
    plan = decide(observed(meta=going, status={"holds": ["champion"]}), NOW)
    assert plan.status is not None
    assert plan.status["holds"] == []


def test_numbers_of_rows_end_where_json_ends() -> None:
    last = {"sequence": MOST_ROWS, "observedGeneration": 1}
    found = decide(observed(wanted=spec(aliases=["champion"]), status=last), NOW)
    assert (found.status or {})["sequence"] == MOST_ROWS
