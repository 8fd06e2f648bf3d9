from typing import Any, cast

import pytest

from tests.fakes.cluster import FakeCluster, Write
from tests.unit.cli.test_screens import NOW, drawn
from trainyard.cli import aliases
from trainyard.cli.connection import Connection
from trainyard.cli.problem import Problem
from trainyard.resources.aliases import holder
from trainyard.systems.cluster.port import MODEL_VERSION, Conflict, Ref


def version(name: str, minute: int, *listed: str, ready: bool = True, model: str = "churn") -> dict[str, Any]:
    told = {"type": "Ready", "status": "True" if ready else "False", "reason": "Ready" if ready else "Rejected"}
    return {
        "apiVersion": MODEL_VERSION.api_version, "kind": MODEL_VERSION.kind,
        "metadata": {"name": name, "namespace": "default"},
        "spec": {"model": model, "createdAt": f"2026-03-01T11:{minute:02d}:00Z", "aliases": list(listed)},
        "status": {"conditions": [told]},
    }  # fmt: skip


class Place:
    """Versions in a cluster; who holds `champion` is noted at every write."""

    def __init__(self, *versions: dict[str, Any]) -> None:
        self.cluster = FakeCluster()
        for made in versions:
            self.cluster.seed({k: v for k, v in made.items() if k != "status"}, status=made["status"])
        self.cluster.on_write(self._look)
        self.holders: list[str | None] = []
        self.connection = Connection(cast("Any", self.cluster), cast("Any", None), "default")

    def _look(self, _: Write) -> None:
        found = holder("champion", map(aliases.claim, self.cluster.all(MODEL_VERSION)))
        self.holders.append(found.name if found else None)

    def listed(self, name: str) -> list[str]:
        obj = self.cluster.look(Ref(MODEL_VERSION, "default", name))
        return list(obj["spec"].get("aliases", ())) if obj else []


async def test_forward_is_one_write() -> None:
    place = Place(version("v1", 1, "champion"), version("v2", 2, "best"))
    moved = await aliases.set_alias(place.connection, "v2", "champion")
    assert place.holders == ["v2"]
    assert place.listed("v2") == ["best", "champion"]
    assert aliases.sentence(moved) == "Alias 'champion' of model 'churn' is held by v2 now, before by v1."


async def test_back_takes_it_from_the_newer_ones_and_never_leaves_it_alone() -> None:
    place = Place(version("v1", 1), version("v2", 2, "champion"), version("v3", 3, "champion", "best"))
    moved = await aliases.set_alias(place.connection, "v1", "champion")
    assert place.holders == ["v3", "v3", "v1"]
    assert place.listed("v3") == ["best"]
    assert moved.taken_from == ("v2", "v3")
    assert aliases.sentence(moved).endswith("is held by v1 now, before by v3; taken from v2, v3.")
    assert aliases.as_json(moved) == {
        "alias": "champion", "model": "churn", "holder": "v1", "before": "v3", "takenFrom": ["v2", "v3"],
    }  # fmt: skip


async def test_what_is_not_ready_does_not_get_it_from_another() -> None:
    place = Place(version("v1", 1, ready=False), version("v2", 2, "champion"))
    with pytest.raises(Problem, match="'v1' is not ready \\(Rejected\\): alias 'champion' stays with 'v2'"):
        await aliases.set_alias(place.connection, "v1", "champion")
    assert place.cluster.writes == []


async def test_what_is_not_ready_yet_gets_it_later() -> None:
    place = Place(version("v1", 1, "champion"), version("v2", 2, ready=False))
    moved = await aliases.set_alias(place.connection, "v2", "champion")
    assert aliases.sentence(moved) == "Alias 'champion' of model 'churn' stays with v1."


async def test_remove() -> None:
    place = Place(version("v1", 1, "champion"), version("v2", 2, "champion"))
    moved = await aliases.remove_alias(place.connection, "v2", "champion")
    assert (moved.before, moved.now) == ("v2", "v1")
    moved = await aliases.remove_alias(place.connection, "v1", "champion")
    assert aliases.sentence(moved) == "Alias 'champion' of model 'churn' is held by nobody now."
    with pytest.raises(Problem, match="'v1' does not list alias 'champion'"):
        await aliases.remove_alias(place.connection, "v1", "champion")
    assert aliases.sentence(await aliases.set_alias(place.connection, "v1", "first")).endswith("is held by v1 now.")


async def test_a_write_in_between_is_written_over_as_it_is_then() -> None:
    place = Place(version("v1", 1))
    place.cluster.fail("patch", MODEL_VERSION, Conflict("changed"), times=2)
    await aliases.set_alias(place.connection, "v1", "champion")
    assert place.listed("v1") == ["champion"]
    place.cluster.fail("patch", MODEL_VERSION, Conflict("changed"), times=aliases.TRIES)
    with pytest.raises(Conflict):
        await aliases.set_alias(place.connection, "v1", "best")


def test_the_list_tells_who_held_it_before() -> None:
    versions = [
        version("v1", 1, "champion"), version("v2", 2, "champion"), version("v3", 3, "champion", ready=False),
        version("w1", 4, "best", ready=False, model="other"),
    ]  # fmt: skip
    assert drawn(aliases.screen(versions, NOW)) == (
        "ALIAS     MODEL  VERSION   AGE  BEFORE\n"
        "champion  churn  v2        58m  v3, v1\n"
        "best      other  (nobody)       w1"
    )
