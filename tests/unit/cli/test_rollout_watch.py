"""Watching: when it ends and how, what is shown where, and an API server that goes away."""

import io
import json
from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any, cast

import pytest
import yaml
from rich.console import Console

from tests.fakes.cluster import FakeCluster
from tests.unit.cli.watched import NOW, canary, told, trail
from trainyard import naming
from trainyard.cli import rollout_past, rollout_watch
from trainyard.cli.connection import Connection
from trainyard.cli.entering import Entrance
from trainyard.cli.options import Format
from trainyard.cli.problem import Problem
from trainyard.cli.rollout_rest import Until, rest
from trainyard.cli.rollout_show import change, shown
from trainyard.cli.rollout_watch import Look, Wish, lost
from trainyard.systems.cluster.port import DEPLOYMENT, Forbidden, Kind, Obj, Ref, Unavailable
from trainyard.systems.prometheus.port import Answer, Sample

STABLE: dict[str, Any] = {"version": "churn-b", "revision": "bbbbbbbbbb"}
PROMOTED = told("Ready=True Promoted", "Reconciling=False Settled", "Degraded=False AsWanted", "Accepted=True Accepted")
REJECTED = told("Ready=True RevisionRejected", "Reconciling=False Settled", "Degraded=True RevisionRejected: bad")
ENDED: dict[str, Any] = {"canary": None, "stable": STABLE, "conditions": PROMOTED}
WAITS = told(
    "Ready=False WaitsForPromotion", "Reconciling=True WaitsForPromotion: waits", "Paused=True WaitsForPromotion: p"
)
UNREADY = told("Accepted=False VersionNotReady: not yet", "Reconciling=False Settled")
NOTHING = told("Ready=False NothingServes", "Reconciling=False Settled")
ENDINGS = [
    (canary(), Until.SETTLED, None),
    (canary(**ENDED), Until.PROMOTED, 0),
    (canary(**ENDED), Until.SETTLED, 0),
    (canary(**{**ENDED, "observedGeneration": 3}), Until.PROMOTED, None),
    (canary(canary=None, conditions=REJECTED), Until.PROMOTED, 3),
    (canary(conditions=told("Accepted=False DuplicateMetric: twice")), Until.PROMOTED, 3),
    (canary(conditions=UNREADY), Until.PROMOTED, None),
    (canary(conditions=UNREADY), Until.SETTLED, 6),
    (canary(conditions=WAITS), Until.PROMOTED, None),
    (canary(conditions=WAITS), Until.SETTLED, 6),
    (canary(conditions=told("Reconciling=True TimeOver: waits for a person: 60 s are over")), Until.SETTLED, 6),
    (canary(conditions=told("Reconciling=True Frozen", "Paused=True Frozen: weekend")), Until.SETTLED, None),
    (canary(conditions=told("Paused=True Requested: by hand")), Until.SETTLED, 6),
    (canary(canary=None, conditions=NOTHING), Until.SETTLED, None),
]  # fmt: skip


@pytest.mark.parametrize(("rollout", "until", "status"), ENDINGS)
def test_when_it_has_come_to_rest(rollout: Obj, until: Until, status: int | None) -> None:
    found = rest(rollout, until)
    assert (found.status if found else None) == status


def test_called_back_is_not_promoted() -> None:
    back = canary(**ENDED, history=[{"revision": "eeeeeeeeee", "outcome": "RolledBack", "message": "a is wanted"}])
    assert rest(back, Until.PROMOTED) == rest(canary(**ENDED), Until.PROMOTED)
    found = rest(back, Until.PROMOTED, "eeeeeeeeee")
    assert found is not None
    assert (found.status, found.sentence) == (4, "RolledBack: a is wanted")


def test_a_line_per_change() -> None:
    file = io.StringIO()
    with shown(Format.TABLE, trail(), Console(file=file, width=40)) as show:
        for rollout in (canary(), canary(countedSeconds=190), canary(step=9), canary(**ENDED)):
            show(Look(rollout, {}))
        show(Look(canary(**ENDED), {}, 3.0))
        show(Look({"metadata": {"name": "new"}, "spec": {}}, {}))
        show(Look(canary(canary=None, stable=STABLE, conditions=REJECTED, metrics=[]), {}))
    reading = "errors Pass, p99 Pass, slow Inconclusive; waits for metric slow: Inconclusive (NotDecided)"
    assert file.getvalue().splitlines() == [
        f"churn: churn-0f9e8d7c6b 10 % at step 4 of 7 (pause 5m); {reading}",
        f"churn: churn-0f9e8d7c6b 10 %; {reading}",
        "churn: churn-b serves",
        "the API server does not answer",
        "new: nothing serves",
        "churn: churn-b serves; Degraded True: RevisionRejected: bad",
    ]
    assert change(canary(metrics=[])).count(";") == 1


def test_terminals_get_a_live_screen() -> None:
    file = io.StringIO()
    with shown(Format.TABLE, trail(), Console(file=file, width=100, force_terminal=True)) as show:
        show(Look(canary(), {"bbbbbbbbbb": "1/1 pod ready"}))
        show(Look(canary(), {}, 75.0))
    assert "1/1 pod ready" in file.getvalue()
    assert "The API server has not answered for 1m15s" in file.getvalue()
    assert lost(Look(canary(), {})) == ""


def test_a_low_terminal_shows_that_the_api_server_is_away() -> None:
    file = io.StringIO()
    with shown(Format.TABLE, trail(), Console(file=file, width=100, height=12, force_terminal=True)) as show:
        show(Look(canary(), {}, 75.0))
        assert "The API server has not answered for 1m15s" in file.getvalue()


def test_programs_get_the_object_at_each_change(capsys: pytest.CaptureFixture[str]) -> None:
    for output in (Format.JSON, Format.YAML, Format.NAME):
        with shown(output, trail()) as show:
            show(Look(canary(), {}))
            show(Look(canary(), {}, 2.0))
    lines, _, documents = capsys.readouterr().out.partition("\n")
    assert json.loads(lines)["status"]["weight"] == 10
    assert [d["status"]["weight"] for d in yaml.safe_load_all(documents) if d] == [10]


class Api(FakeCluster):
    """An API server that says these one after the other; the last one stays."""

    def __init__(self, answers: Sequence[Any]) -> None:
        super().__init__()
        self.answers = list(answers)
        self.pods: Exception | tuple[Obj, ...] = ()

    async def get(self, ref: Ref, *, live: bool = False) -> Obj | None:
        said = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(said, Exception):
            raise said
        return cast("Obj | None", said)

    async def list(
        self,
        kind: Kind,
        namespace: str,
        labels: Mapping[str, str] | None = None,
        fields: Mapping[str, str] | None = None,
        *,
        live: bool = False,
    ) -> tuple[Obj, ...]:
        assert kind == DEPLOYMENT
        if isinstance(self.pods, Exception):
            raise self.pods
        return self.pods


def connection(*answers: Any) -> Connection:
    return Connection(cast("Any", Api(answers)), cast("Any", None), "shop")


async def watched(connected: Connection, wish: Wish, monkeypatch: pytest.MonkeyPatch) -> tuple[list[Look], Any]:
    monkeypatch.setattr(rollout_watch, "POLL_SECONDS", 0.0)
    looks: list[Look] = []
    return looks, await rollout_watch.watch(connected, "churn", looks.append, wish)


async def test_it_goes_on_through_an_outage(monkeypatch: pytest.MonkeyPatch) -> None:
    connected = connection(canary(), Unavailable("away"), canary(**ENDED))
    looks, (last, ended) = await watched(connected, Wish(Until.PROMOTED), monkeypatch)
    assert [bool(look.away) for look in looks] == [False, True, False]
    assert (ended.status, last.rollout["status"]["stable"]) == (0, STABLE)


async def test_it_ends_after_the_timeout_and_where_nothing_was_ever_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(Problem, match="has not come to rest within 0 s; it goes on") as late:
        await watched(connection(canary()), Wish(Until.PROMOTED, 0.0), monkeypatch)
    assert late.value.status == 124
    with pytest.raises(Unavailable):
        await watched(connection(Unavailable("away")), Wish(), monkeypatch)
    with pytest.raises(Problem, match="There is no Rollout"):
        await watched(connection(canary(), None), Wish(), monkeypatch)


async def test_pods_are_counted_where_one_may() -> None:
    connected = connection(canary())
    labels = {naming.LABEL_REVISION: "bbbbbbbbbb"}
    deployment = {"metadata": {"labels": labels}, "spec": {"replicas": 2}, "status": {"availableReplicas": 1}}
    cast("Any", connected.cluster).pods = (deployment,)
    assert (await rollout_watch.see(connected, "churn")).pods == {"bbbbbbbbbb": "1/2 pods ready"}
    cast("Any", connected.cluster).pods = Forbidden("no")
    assert (await rollout_watch.see(connected, "churn")).pods == {}


def test_what_prometheus_kept() -> None:
    moments = rollout_past.instants(canary(), NOW)
    assert (moments[0], moments[-1], len(moments)) == (NOW - timedelta(seconds=30 * 23), NOW, 24)
    assert len(rollout_past.instants(canary(canaryStartedTime="2026-03-01T11:59:29Z"), NOW)) == 2
    assert rollout_past.instants(canary(canary=None), NOW) == []
    answers = [
        Answer(failure="away"),
        *(Answer(samples=(Sample({"metric": "p99"}, 0.0, value), Sample({}, 0.0, 1.0))) for value in (0.1, 0.2)),
    ]
    assert rollout_past.by_metric(answers)["p99"] == [0.1, 0.2]


async def test_without_an_address_nothing_is_asked() -> None:
    assert await rollout_past.earlier("", Entrance(), "shop", canary()) == {}
