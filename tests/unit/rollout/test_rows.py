"""The rows of a Rollout and its status tell the same, also where a visit's status write was refused."""

from collections.abc import Sequence

from tests.golden.rollout.manifests import NAMESPACE
from tests.golden.rollout.stories import v1_serves, v2_comes
from tests.golden.rollout.world import ROUTE, World
from trainyard.reconciling.plan import Record
from trainyard.systems.cluster.port import DEPLOYMENT, Ref


def decisions(w: World) -> list[str]:
    return [str(row.data["decision"]) for row in w.database.rows.values()]


class Interrupted(World):
    """A person aborts just after a row is stored, and before the status that it belongs to is written."""

    async def _record(self, rows: Sequence[Record]) -> bool:
        await super()._record(rows)
        if any(row.data["decision"] == "WeightSet" for row in rows) and not self.status().get("handledAction"):
            self.act("Abort")
        return True


async def test_an_abort_that_comes_between_a_row_and_its_status() -> None:
    w = Interrupted()
    await v2_comes(w)
    await w.settle(60)
    assert w.outcome() == ["v1 Promoted", "v2 Aborted"]
    assert decisions(w).count("Aborted") == 1
    assert "WeightSet" not in decisions(w), "that it had 20 % was never told"
    assert len(w.database.rows) == w.status()["sequence"]


async def test_a_lost_status_writes_over_no_row() -> None:
    """Nothing is left that tells where the numbers were: no route either, and no pods."""
    w = World()
    await v1_serves(w)
    w.edit(scaleDownDelaySeconds=31)
    await w.settle()
    before = dict(w.database.rows)
    w.lose_status()
    w.cluster.remove(ROUTE)
    for obj in w.cluster.all(DEPLOYMENT):
        w.cluster.remove(Ref(DEPLOYMENT, NAMESPACE, obj["metadata"]["name"]))
    w.pass_time(3600.0)
    await w.settle(60)
    assert before.items() < w.database.rows.items()
    assert w.outcome() == ["v1 Promoted"]
