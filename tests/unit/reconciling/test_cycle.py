import itertools
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any, ClassVar

import pytest

from tests.fakes.cluster import FakeCluster, Write
from tests.unit.reconciling.tiny import KEY, Fail, MakeService, ScriptedRoom, TinyRoom, tiny
from trainyard import naming
from trainyard.reconciling.cycle import Cycle, Outcome
from trainyard.reconciling.plan import Note, PatchMetadata, Plan, Record, WriteStatus
from trainyard.systems.cluster.port import (
    EVENT,
    MODEL_VERSION,
    SERVICE,
    Cluster,
    Conflict,
    Fenced,
    Unavailable,
)

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)


@dataclass(frozen=True)
class Final(WriteStatus):
    """An intent that nothing puts back."""

    irrevocable: ClassVar[bool] = True


class Killed(BaseException):
    """SIGKILL: nothing catches it."""


class Database:
    """Takes rows, or does not."""

    def __init__(self, up: bool = True) -> None:
        self.up = up
        self.rows: dict[tuple[str, int], Record] = {}
        self.asked = 0

    async def record(self, rows: Sequence[Record]) -> bool:
        self.asked += 1
        if self.up:
            self.rows = {(r.uid, r.sequence): r for r in rows} | self.rows
        return self.up


def row(sequence: int, **data: Any) -> Record:
    return Record("u", sequence, "decision", "2026-03-01T12:00:00Z", "ns", "tiny", data)


async def run(cluster: FakeCluster, plan: Plan, database: Database | None = None) -> Outcome:
    room = ScriptedRoom(plan)
    record = database.record if database else None
    return await Cycle[Cluster](room, cluster, cluster, record).run(KEY, NOW)


@pytest.fixture
def cluster() -> FakeCluster:
    made = FakeCluster()
    made.seed(tiny(model="m"))
    return made


def verbs(cluster: FakeCluster) -> list[str]:
    return [w.verb for w in cluster.writes]


def status(cluster: FakeCluster) -> Any:
    obj = cluster.look(KEY)
    assert obj
    return obj.get("status", {})


def condition(cluster: FakeCluster, kind: str) -> Any:
    return next((c for c in status(cluster).get("conditions", []) if c["type"] == kind), None)


async def test_an_object_that_is_not_there_is_gone() -> None:
    outcome = await Cycle[Cluster](ScriptedRoom(), FakeCluster(), FakeCluster()).run(KEY, NOW)
    assert outcome == Outcome(gone=True)


async def test_decide_is_given_the_time(cluster: FakeCluster) -> None:
    room = ScriptedRoom()
    await Cycle[Cluster](room, cluster, cluster).run(KEY, NOW)
    assert room.asked == [NOW]


async def test_the_write_order_is_actions_status_events(cluster: FakeCluster) -> None:
    plan = Plan(
        actions=(PatchMetadata(finalizers=(naming.FINALIZER,)), WriteStatus({"intent": 1}), MakeService("s")),
        status={"intent": 1, "done": True},
        notes=(Note("Done", "It is done.", "1"),),
        revisit_after=7.0,
    )
    assert await run(cluster, plan) == Outcome(revisit_after=7.0)
    assert verbs(cluster) == ["patch", "status", "apply", "status", "create"]
    assert status(cluster) == {"intent": 1, "done": True}


async def test_a_cycle_that_changes_nothing_writes_nothing(cluster: FakeCluster) -> None:
    plan = Plan(
        actions=(
            PatchMetadata(finalizers=(naming.FINALIZER,), annotations={"a": "1"}),
            WriteStatus({"b": {"y": 1, "x": 2}, "a": []}),
        ),
        status={"b": {"x": 2, "y": 1}, "gone": None, "empty": {}},
    )
    await run(cluster, plan)
    cluster.writes.clear()
    await run(cluster, plan)
    assert cluster.writes == []


async def test_fields_that_a_status_leaves_out_are_removed(cluster: FakeCluster) -> None:
    await run(cluster, Plan(status={"keep": {"a": 1, "b": 2}, "drop": 1, "list": [1, 2]}))
    await run(cluster, Plan(status={"keep": {"a": 1}, "list": [3]}))
    assert status(cluster) == {"keep": {"a": 1}, "list": [3]}


async def test_no_status_in_the_plan_leaves_it_alone(cluster: FakeCluster) -> None:
    cluster.edit(KEY, {"status": {"a": 1}}, status=True)
    await run(cluster, Plan())
    assert cluster.writes == []


async def test_annotations_are_merged(cluster: FakeCluster) -> None:
    cluster.edit(KEY, {"metadata": {"annotations": {"theirs": "1"}}})
    await run(cluster, Plan(actions=(PatchMetadata(annotations={"ours": "2"}),)))
    obj = cluster.look(KEY)
    assert obj
    assert obj["metadata"]["annotations"] == {"theirs": "1", "ours": "2"}


async def test_a_change_after_the_decision_ends_the_cycle(cluster: FakeCluster) -> None:
    def meddle(write: Write) -> None:
        cluster.edit(KEY, {"spec": {"model": "other"}})

    cluster.on_write(meddle)
    with pytest.raises(Conflict):
        await run(cluster, Plan(actions=(WriteStatus({"intent": 1}),), status={"done": True}))
    assert status(cluster) == {"intent": 1}


async def test_the_first_write_that_fails_ends_the_cycle(cluster: FakeCluster) -> None:
    room = ScriptedRoom(Plan(actions=(Fail(Unavailable("no")), MakeService("s")), status={"done": True}))
    with pytest.raises(Unavailable):
        await Cycle[Cluster](room, cluster, cluster).run(KEY, NOW)
    assert len(room.acted) == 1
    assert cluster.writes == []


async def test_killed_after_every_single_write_it_ends_the_same() -> None:
    reached = set()
    for deaths in itertools.count():
        cluster = FakeCluster()
        cluster.seed(tiny())
        left = deaths

        def die(write: Write) -> None:
            nonlocal left
            left -= 1
            if left == 0:
                raise Killed

        cluster.on_write(die)
        cycle = Cycle[Cluster](TinyRoom(), cluster, cluster)
        try:
            await cycle.run(KEY, NOW)
        except Killed:
            await cycle.run(KEY, NOW)
        services = [s["metadata"]["name"] for s in cluster.all(SERVICE)]
        reached.add((str(status(cluster)), str(services)))
        if deaths > 0 and left > 0:
            break
    assert deaths > 4
    assert len(reached) == 1


# ---- events ----


async def test_the_same_transition_is_posted_once(cluster: FakeCluster) -> None:
    note = Note("Promoted", "Now stable.", "step 3", type="Warning")
    await run(cluster, Plan(notes=(note,)))
    await run(cluster, Plan(notes=(note, replace(note, transition="step 4"))))
    events = cluster.all(EVENT)
    assert [(e["reason"], e["message"], e["type"]) for e in events] == [("Promoted", "Now stable.", "Warning")] * 2
    assert events[0]["involvedObject"]["kind"] == MODEL_VERSION.kind


async def test_an_event_that_cannot_be_posted_does_not_fail_the_cycle(
    cluster: FakeCluster, caplog: pytest.LogCaptureFixture
) -> None:
    cluster.fail("create", EVENT, Unavailable("away"))
    await run(cluster, Plan(notes=(Note("A", "b", "c"),)))
    assert "was not posted" in caplog.text


async def test_the_fence_stops_events_too(cluster: FakeCluster) -> None:
    cluster.fail("create", EVENT, Fenced("lost"))
    with pytest.raises(Fenced):
        await run(cluster, Plan(notes=(Note("A", "b", "c"),)))


# ---- rows for the database ----


async def test_recorded_rows_leave_the_status_and_say_so(cluster: FakeCluster) -> None:
    database = Database()
    assert (await run(cluster, Plan(status={"a": 1}, records=(row(1), row(2))), database)).waiting == 0
    assert set(database.rows) == {("u", 1), ("u", 2)}
    assert "unrecorded" not in status(cluster)
    assert condition(cluster, "Recorded")["status"] == "True"
    cluster.writes.clear()
    await run(cluster, Plan(status={"a": 1}), database)
    assert cluster.writes == []
    assert database.asked == 1


async def test_a_kind_that_records_nothing_has_no_such_condition(cluster: FakeCluster) -> None:
    await run(cluster, Plan(status={"a": 1}), Database())
    assert status(cluster) == {"a": 1}


async def test_without_a_database_rows_are_not_kept(cluster: FakeCluster) -> None:
    await run(cluster, Plan(status={"a": 1}, records=(row(1),)))
    assert status(cluster) == {"a": 1}


async def test_rows_wait_in_the_status_while_the_database_is_away(cluster: FakeCluster) -> None:
    database = Database(up=False)
    outcome = await run(cluster, Plan(status={"a": 1}, records=(row(1, x="y"),)), database)
    assert (outcome.waiting, outcome.revisit_after) == (1, 60.0)
    assert condition(cluster, "Recorded") == {
        "type": "Recorded",
        "status": "False",
        "reason": "DatabaseUnavailable",
        "message": "The metadata database is away; rows wait in status.",
        "observedGeneration": 1,
        "lastTransitionTime": "2026-03-01T12:00:00Z",
    }
    cluster.writes.clear()
    outcome = await run(cluster, Plan(status={"a": 1}, revisit_after=5.0), database)
    assert outcome.revisit_after == 5.0
    assert cluster.writes == []  # still away: nothing to say
    outcome = await run(cluster, Plan(status={"a": 1}, records=(row(1, x="z"), row(2)), revisit_after=0.0), database)
    assert [r["data"] for r in status(cluster)["unrecorded"]] == [{"x": "z"}, {}]  # `Record` says why
    assert outcome.revisit_after == 0.0
    database.up = True
    await run(cluster, Plan(status=None), database)
    assert "unrecorded" not in status(cluster)
    assert condition(cluster, "Recorded")["status"] == "True"
    assert database.rows[("u", 1)].data == {"x": "z"}
    assert set(database.rows) == {("u", 1), ("u", 2)}


async def test_of_rows_that_wait_only_decisions_are_replaced(cluster: FakeCluster) -> None:
    database = Database(up=False)
    ended = replace(row(2, x="first"), type="run")
    await run(cluster, Plan(status={}, records=(row(1, x="y"), ended)), database)
    again = (replace(row(1, x="y"), at="2026-03-01T12:00:09Z"), replace(ended, data={"x": "later"}))
    await run(cluster, Plan(status={}, records=again), database)
    waits = [(r["data"]["x"], r["at"]) for r in status(cluster)["unrecorded"]]
    assert waits == [("y", "2026-03-01T12:00:00Z"), ("first", "2026-03-01T12:00:00Z")]


async def test_a_process_without_the_lease_sends_no_rows_and_writes_nothing(cluster: FakeCluster) -> None:
    async def record(_: Sequence[Record]) -> bool:
        raise Fenced("lost")

    room = ScriptedRoom(Plan(status={"a": 1}, records=(row(1),)))
    with pytest.raises(Fenced):
        await Cycle[Cluster](room, cluster, cluster, record).run(KEY, NOW)
    assert cluster.writes == []


async def test_an_intent_leaves_waiting_rows_alone(cluster: FakeCluster) -> None:
    database = Database(up=False)
    await run(cluster, Plan(status={"a": 1}, records=(row(1),)), database)
    room = ScriptedRoom(Plan(actions=(WriteStatus({"a": 2}), Fail(Unavailable("away")))))
    with pytest.raises(Unavailable):
        await Cycle[Cluster](room, cluster, cluster, database.record).run(KEY, NOW)
    assert status(cluster)["a"] == 2
    assert len(status(cluster)["unrecorded"]) == 1
    assert condition(cluster, "Recorded")["status"] == "False"


@pytest.mark.parametrize("up", [True, False], ids=["database", "no database"])
async def test_no_row_of_a_decision_is_lost_when_it_ends_after_its_intent(cluster: FakeCluster, up: bool) -> None:
    database = Database(up)
    room = ScriptedRoom(Plan(actions=(WriteStatus({"a": 2}), Fail(Unavailable("away"))), records=(row(1),)))
    with pytest.raises(Unavailable):
        await Cycle[Cluster](room, cluster, cluster, database.record).run(KEY, NOW)
    assert status(cluster)["a"] == 2
    assert len(database.rows) + len(status(cluster).get("unrecorded", ())) == 1
    assert condition(cluster, "Recorded")["status"] == str(up)


async def test_traffic_does_not_wait_for_the_database(cluster: FakeCluster) -> None:
    database = Database()
    asked: list[int] = []
    cluster.on_write(lambda _: asked.append(database.asked))
    await run(cluster, Plan(actions=(Final({"a": 2}),), status={"a": 2}, records=(row(1),)), database)
    assert asked[0] == 0
    assert list(database.rows)


async def test_at_most_fifty_rows_wait_and_the_newest_stay(cluster: FakeCluster) -> None:
    database = Database(up=False)
    outcome = await run(cluster, Plan(status={}, records=tuple(row(i) for i in range(53))), database)
    assert (outcome.waiting, outcome.dropped) == (50, 3)
    assert [r["sequence"] for r in status(cluster)["unrecorded"]] == list(range(3, 53))


async def test_what_is_no_row_is_dropped_from_the_status(cluster: FakeCluster) -> None:
    cluster.edit(KEY, {"status": {"unrecorded": [{"uid": "u"}, "nonsense"]}}, status=True)
    await run(cluster, Plan(), Database())
    assert "unrecorded" not in status(cluster)


async def test_a_change_of_state_moves_the_transition_time_of_recorded(cluster: FakeCluster) -> None:
    database = Database(up=False)
    await run(cluster, Plan(status={}, records=(row(1),)), database)
    database.up = True
    room = ScriptedRoom(Plan(status={}))
    later = datetime(2026, 3, 1, 13, 0, tzinfo=UTC)
    await Cycle[Cluster](room, cluster, cluster, database.record).run(KEY, later)
    assert condition(cluster, "Recorded")["lastTransitionTime"] == "2026-03-01T13:00:00Z"
    await run(cluster, Plan(status={}, records=(row(2),)), database)
    assert condition(cluster, "Recorded")["lastTransitionTime"] == "2026-03-01T13:00:00Z"


# ---- deletion ----


def deleted(cluster: FakeCluster, *finalizers: str) -> None:
    cluster.edit(KEY, {"metadata": {"finalizers": list(finalizers)}})
    cluster.remove(KEY)


async def test_rows_are_offered_before_an_object_is_let_go(cluster: FakeCluster) -> None:
    deleted(cluster, naming.FINALIZER)
    order: list[str] = []
    cluster.on_write(lambda write: order.append(write.verb))
    database = Database()

    async def record(rows: Sequence[Record]) -> bool:
        order.append("record")
        return await database.record(rows)

    plan = Plan(
        actions=(PatchMetadata(finalizers=()),), status={"a": 1}, records=(row(1),), notes=(Note("Gone", "b", "c"),)
    )
    outcome = await Cycle[Cluster](ScriptedRoom(plan), cluster, cluster, record).run(KEY, NOW)
    assert outcome == Outcome(gone=True)
    assert order == ["record", "patch", "create"]
    assert cluster.look(KEY) is None


async def test_rows_of_an_object_that_goes_while_the_database_is_away_count_as_dropped(cluster: FakeCluster) -> None:
    deleted(cluster, naming.FINALIZER)
    plan = Plan(actions=(PatchMetadata(finalizers=()),), records=(row(1),))
    assert await run(cluster, plan, Database(up=False)) == Outcome(gone=True, dropped=1, revisit_after=60.0)


async def test_another_s_finalizer_keeps_the_object_and_its_status(cluster: FakeCluster) -> None:
    deleted(cluster, naming.FINALIZER, "other/one")
    outcome = await run(cluster, Plan(actions=(PatchMetadata(finalizers=("other/one",)),), status={"a": 1}))
    assert not outcome.gone
    assert status(cluster) == {"a": 1}
