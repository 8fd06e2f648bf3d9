"""What can't be undone is decided on what was read live; everything else on the stores."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, ClassVar

from tests.fakes.cluster import FakeCluster
from tests.unit.reconciling.tiny import KEY, ScriptedRoom, service, tiny
from trainyard.reconciling.cycle import Cycle
from trainyard.reconciling.plan import Action, Plan
from trainyard.reconciling.tracking import TrackedCluster, Visit, visiting
from trainyard.systems.cluster.port import DEPLOYMENT, MODEL_VERSION, SERVICE, Cluster, Kind, Obj, Ref

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
OTHER = Ref(DEPLOYMENT, "ns", "other")


@dataclass(frozen=True)
class Final(Action):
    irrevocable: ClassVar[bool] = True
    hangs_on: ClassVar[frozenset[Kind] | None] = frozenset({DEPLOYMENT})


@dataclass(frozen=True)
class FinalForAll(Action):
    irrevocable: ClassVar[bool] = True


@dataclass(frozen=True)
class FinalByName(Action):
    irrevocable: ClassVar[bool] = True
    hangs_on: ClassVar[frozenset[Kind] | None] = frozenset({SERVICE})
    by_name: ClassVar[bool] = True


class Seen(FakeCluster):
    """Notes of which kinds it was asked live."""

    def __init__(self) -> None:
        super().__init__()
        self.asked: list[tuple[str, bool]] = []

    async def get(self, ref: Ref, *, live: bool = False) -> Obj | None:
        self.asked.append((ref.kind.kind, live))
        return await super().get(ref, live=live)

    async def list(
        self,
        kind: Kind,
        namespace: str,
        labels: Mapping[str, str] | None = None,
        fields: Mapping[str, str] | None = None,
        *,
        live: bool = False,
    ) -> tuple[Obj, ...]:
        self.asked.append((kind.kind, live))
        return await super().list(kind, namespace, labels, fields, live=live)


@dataclass
class Reading(ScriptedRoom):
    """Reads two kinds; acts as often as it is asked to."""

    done: list[Any] = field(default_factory=list)

    async def observe(self, obj: Obj, systems: Cluster) -> Obj:
        await systems.get(OTHER)
        await systems.list(SERVICE, "ns")
        return obj

    async def act(self, action: Action, obj: Obj, systems: Cluster) -> Obj:
        self.done.append(action)
        return obj


async def visited(plan: Plan, visit: Visit, *others: Obj) -> tuple[Reading, list[tuple[str, bool]]]:
    inner, room = Seen(), Reading(plan)
    for obj in (tiny(), *others):
        inner.seed(obj)
    cluster = TrackedCluster(inner)
    with visiting(visit):
        await Cycle(room, cluster, cluster).run(KEY, NOW)
    return room, [asked for asked in inner.asked if asked[0] != MODEL_VERSION.kind]


async def test_a_plan_that_can_be_undone_is_made_once_on_the_stores() -> None:
    room, asked = await visited(Plan(actions=(Action(),)), Visit())
    assert asked == [("Deployment", False), ("Service", False)]
    assert (len(room.asked), len(room.done)) == (1, 1)


async def test_one_that_cannot_is_made_again_on_what_is_read_live() -> None:
    room, asked = await visited(Plan(actions=(Action(), Final())), Visit())
    assert asked[2:] == [("Deployment", True), ("Service", False)], "only the kinds that it hangs on"
    assert (len(room.asked), len(room.done)) == (2, 2)


async def test_a_visit_that_reads_live_anyway_decides_once() -> None:
    room, asked = await visited(Plan(actions=(Final(),)), Visit(live=True))
    assert asked == [("Deployment", True), ("Service", True)]
    assert len(room.asked) == 1


async def test_where_one_hangs_on_all_everything_is_read_live() -> None:
    _, asked = await visited(Plan(actions=(FinalForAll(), Final())), Visit())
    assert asked[2:] == [("Deployment", True), ("Service", True)]


async def test_by_name_a_list_is_what_the_store_knows_each_read_live() -> None:
    """A list from the API server waits until its own cache is up to date; a single object does not."""
    known = service("known", {**tiny(), "metadata": {"name": "tiny", "namespace": "ns", "uid": "1"}})
    visit = Visit()
    room, asked = await visited(Plan(actions=(FinalByName(),)), visit, known)
    assert asked[2:] == [("Deployment", False), ("Service", False), ("Service", True)]
    assert Ref(SERVICE, "ns", "known") in visit.read
    assert len(room.done) == 1
    _, asked = await visited(Plan(actions=(FinalByName(), Final())), Visit(), known)
    assert asked[2:] == [("Deployment", True), ("Service", True)], "one of them wants the list"
