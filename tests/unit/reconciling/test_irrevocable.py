"""What cannot be put back is done only where a live read still says so."""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import ClassVar

from tests.fakes.cluster import FakeCluster
from tests.unit.reconciling.tiny import KEY, TinyRoom, tiny
from trainyard.reconciling import tracking
from trainyard.reconciling.cycle import Cycle
from trainyard.reconciling.plan import Action, Plan
from trainyard.systems.cluster.port import (
    Cluster,
    Obj,
    Ref,
)

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)


@dataclass(frozen=True)
class Burn(Action):
    """Destroy something."""

    irrevocable: ClassVar[bool] = True


class BurningRoom(TinyRoom):
    """Burns what it sees at step 1; its observations tell by which reads they were made."""

    def __init__(self) -> None:
        self.reads: list[bool] = []
        self.burnt: list[str] = []

    async def observe(self, obj: Obj, systems: Cluster) -> Obj:
        self.reads.append(tracking.relies_on_stores())
        return obj

    def decide(self, observed: Obj, now: datetime) -> Plan:
        return Plan((Burn(),) if observed["spec"].get("burns") else ())

    async def act(self, action: Action, obj: Obj, systems: Cluster) -> Obj:
        self.burnt.append(str(obj["spec"]["model"]))
        return obj


class Behind(FakeCluster):
    """Its store still has what it was told to remember."""

    stored: Obj | None = None

    async def get(self, ref: Ref, *, live: bool = False) -> Obj | None:
        return self.stored if self.stored is not None and not live else await super().get(ref, live=live)


async def burn(*, live: bool, burns: bool) -> BurningRoom:
    """Visit an object that burns, as the store has it, and does so or not any more."""
    cluster, room = Behind(), BurningRoom()
    cluster.seed(tiny(model="m", burns=True))
    cluster.stored = cluster.look(KEY)
    if not burns:
        cluster.edit(KEY, {"spec": {"burns": False}})
    with tracking.visiting(tracking.Visit(live=live)):
        await Cycle[Cluster](room, (tracked := tracking.TrackedCluster(cluster)), tracked).run(KEY, NOW)
    return room


async def test_what_cannot_be_put_back_is_decided_on_live_reads() -> None:
    room = await burn(live=False, burns=True)
    assert (room.reads, room.burnt) == ([True, False], ["m"])
    assert (await burn(live=True, burns=True)).reads == [False]


async def test_what_is_not_so_any_more_is_not_done() -> None:
    room = await burn(live=False, burns=False)
    assert (room.reads, room.burnt) == ([True, False, False], []), "the world of what has changed is looked at again"


async def test_what_is_gone_meanwhile_is_left_alone() -> None:
    cluster, room = Behind(), BurningRoom()
    cluster.seed(tiny(model="m", burns=True))
    cluster.stored = cluster.look(KEY)
    cluster.remove(KEY)
    with tracking.visiting(tracking.Visit()):
        outcome = await Cycle[Cluster](room, (tracked := tracking.TrackedCluster(cluster)), tracked).run(KEY, NOW)
    assert outcome.gone
    assert room.burnt == []
