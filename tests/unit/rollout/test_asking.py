"""The interval that is due: what is asked, at which instants, and what of it a Measurement keeps."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tests.fakes.artifacts import FakeArtifacts
from tests.fakes.cluster import FakeCluster
from tests.fakes.metadata import FakeMetadata
from tests.fakes.prometheus import ScriptedPrometheus, one, vector
from tests.golden.rollout.manifests import CONFIG
from tests.unit.rollout.making import revision, rollout
from trainyard.resources.rollout import Rollout, RolloutStatus
from trainyard.rollout import asking, comparing, progress
from trainyard.rollout.asking import Shared
from trainyard.rollout.state import Measurement, Progress
from trainyard.rollout.times import stamp
from trainyard.systems.bundle import Systems
from trainyard.systems.prometheus.port import Answer

STARTED = datetime(2026, 11, 24, 6, 0, 5, tzinfo=UTC)
CANARY, STABLE = revision("v2"), revision("v1")
RATIO = {"name": "right", "ratio": {"good": "good_total{revision=$(revision)}", "total": "all_total{r=$(revision)}"}}


def made(metrics: list[dict[str, Any]], **more: Any) -> Rollout:
    """A Rollout in its first step, with an interval of 10 s and a window of 8."""
    spec = rollout(analysis={"intervalSeconds": 10, "warmUpSeconds": 2, "metrics": metrics, **more})
    status = RolloutStatus(
        canary=CANARY, stable=STABLE, weight=20, routed_weight=20, step=0, step_started_time=stamp(STARTED)
    )
    return spec.model_copy(update={"status": status})


class Asked:
    """One process: a Prometheus by script, and what is shared."""

    def __init__(self) -> None:
        self.prometheus = ScriptedPrometheus()
        self.at: list[tuple[str, datetime | None]] = []
        self.shared = Shared()
        self.config = CONFIG

    async def measure(self, about: Rollout, seconds: float) -> Measurement | None:
        """Measure so long after the step's start, as a process that has seen it begin."""
        systems = Systems(FakeCluster(), {}, FakeArtifacts(), self.prometheus, FakeMetadata(), self.config)
        before = Progress(progress.step_key(about.status), STARTED, 100.0, 100.0)
        return await asking.measure(about, systems, None, before, 100.0 + seconds, self.shared)

    async def measured(self, about: Rollout, seconds: float) -> Measurement:
        found = await self.measure(about, seconds)
        assert found is not None
        return found


ERRORS = {"name": "errors", "builtin": "ErrorRate", "max": "0.1"}


async def test_nothing_is_asked_before_the_window_lies_in_the_step() -> None:
    asked = Asked()
    assert await asked.measure(made([ERRORS]), 14.9) is None
    assert asked.prometheus.queries == []
    measurement = await asked.measured(made([ERRORS]), 15.1)
    assert measurement.at == datetime(2026, 11, 24, 6, 0, 20, tzinfo=UTC)
    assert len(asked.prometheus.queries) == 2


STEPS: dict[str, Any] = {
    "canary": {"steps": [{"setWeight": 20}, {"analysis": {"count": 1, "metrics": ["late"]}}, {"pause": {}}]}
}


@pytest.mark.parametrize(("step", "named"), [(1, True), (2, False)])
@pytest.mark.parametrize("seconds", [3.0, 15.1])
async def test_what_only_a_step_measures_is_asked_only_there(step: int, named: bool, seconds: float) -> None:
    late = {**RATIO, "name": "late", "minLabels": 1, "min": "0.5", "background": False}
    memory = {"name": "memory", "builtin": "SlowShare", "slowerThanSeconds": "1", "max": "1", "background": False}
    asked, about = Asked(), made([ERRORS, late, memory])
    spec = about.spec.model_copy(update={"strategy": type(about.spec.strategy).model_validate(STEPS)})
    status = about.status.model_copy(update={"step": step})
    about = about.model_copy(update={"spec": spec, "status": status})
    other = about.model_copy(update={"metadata": about.metadata.model_copy(update={"name": "other"})})
    await asked.measure(other, seconds)  # whoever waits is not asked for either
    found = await asked.measured(about, 15.1)
    assert set(found.metrics) == ({"errors", "late"} if named else {"errors"})
    assert set(found.labels) == ({"late"} if named else set())
    assert any("good_total" in query for query in asked.prometheus.queries) is named
    assert not any("_bucket" in query for query in asked.prometheus.queries)


async def test_who_waits_is_asked_for_by_the_first_who_does_not() -> None:
    asked, waiting = Asked(), made([ERRORS, {"name": "m", "query": "vector(1)", "max": "1"}])
    other = waiting.model_copy(update={"metadata": waiting.metadata.model_copy(update={"name": "other"})})
    await asked.measure(other, 3.0)
    await asked.measured(waiting, 15.1)
    shared = [query for query in asked.prometheus.queries if query != "vector(1)"]
    assert all('rollout=~"churn|other"' in query for query in shared)
    await asked.measured(other, 15.2)
    assert [query for query in asked.prometheus.queries if query != "vector(1)"] == shared


async def test_both_revisions_and_the_requests_since_the_step_began() -> None:
    asked = Asked()
    who = [{"namespace": "team", "rollout": "churn", "revision": r.revision} for r in (CANARY, STABLE)]
    asked.prometheus.on("code=~", lambda _, at: vector(at, (who[0], 0.5), (who[1], 0.1)))
    asked.prometheus.on("increase(", lambda _, at: vector(at, (who[0], 50.0), (who[1], 200.0)))
    found = await asked.measured(made([ERRORS]), 25.1)
    told = {s.labels["revision"]: s.value for s in found.metrics["errors"][0].samples or ()}
    assert told == {CANARY.revision: 0.5, STABLE.revision: 0.1}
    assert found.metrics["errors"][0] == found.metrics["errors"][1]
    assert sum(s.value for s in found.requests.samples or ()) == 250.0


@pytest.mark.parametrize("builtin", ["CPU", "PredictionDrift"])
async def test_what_lies_on_pods_is_asked_alike_whatever_the_source(builtin: str) -> None:
    asked = Asked()
    metric = {"name": "m", "builtin": builtin, "max": "1"}
    await asked.measured(made([metric], source="ModelServer"), 135.1)
    before = set(asked.prometheus.queries)
    await asked.measured(made([metric], source="Contour"), 135.1)
    (only,) = set(asked.prometheus.queries) - before
    assert "envoy_cluster_upstream_rq_xx" in only  # the requests since the step began; the metric itself was shared


async def test_figures_of_pods_look_back_over_the_kubelets_own_intervals() -> None:
    asked, about = Asked(), made([{"name": "cpu", "builtin": "CPU", "max": "1"}])
    early = await asked.measured(about, 115.1)
    assert early.metrics["cpu"][0].unusable == "a window of 120 s does not lie in this step yet"
    assert (await asked.measured(about, 125.1)).metrics["cpu"][0].samples == ()
    assert any("container_cpu" in query and "[120s]" in query for query in asked.prometheus.queries)


async def test_series_of_a_source_must_carry_what_the_configuration_says() -> None:
    asked = Asked()
    asked.config = replace(
        CONFIG, source_labels={"Contour": {"job": "envoy"}, "Kubelet": {"job": 'a"b'}, "DCGM": {"x": "y"}}
    )
    metrics = [ERRORS, *({"name": m.lower(), "builtin": m, "max": "1"} for m in ("CPU", "AcceleratorUse"))]
    await asked.measured(made(metrics, source="Contour"), 125.1)
    for name, label in (("envoy_", 'job="envoy"'), ("container_", r'job="a\"b"'), ("DCGM", 'x="y"')):
        of_it = [query for query in asked.prometheus.queries if name in query]
        assert of_it
        assert all(label in query for query in of_it)


async def test_a_query_of_ones_own_is_asked_for_stable_where_it_is_compared() -> None:
    asked = Asked()
    asked.prometheus.on(CANARY.revision, 2.0)
    asked.prometheus.on(STABLE.revision, 3.0)
    single = {"name": "m", "query": "clicks{revision=$(revision)}", "max": "1"}
    found = await asked.measured(made([single, {**single, "name": "n", "maxIncrease": "1"}]), 15.1)
    values = {name: [a.samples[0].value for a in pair if a.samples] for name, pair in found.metrics.items()}
    assert values == {"m": [2.0, 2.0], "n": [2.0, 3.0]}
    assert any('namespace="team"' in query for query in asked.prometheus.queries)


async def test_without_enforcement_it_is_asked_as_it_stands() -> None:
    asked = Asked()
    asked.config = replace(CONFIG, enforce_namespace=False)
    await asked.measured(
        made([{"name": "m", "query": "vector(1)", "max": "1"}, {"name": "n", "query": "up", "max": "1"}]), 15.1
    )
    assert "up" in asked.prometheus.queries


async def test_a_query_that_is_refused_says_so() -> None:
    asked = Asked()
    found = await asked.measured(made([{"name": "m", "query": "sum(", "max": "1"}]), 15.1)
    assert "not PromQL" in found.metrics["m"][0].unusable
    ratio = {**RATIO, "ratio": {"good": "rate(x[5m])", "total": "y"}, "minLabels": 1, "min": "0.1"}
    found = await asked.measured(made([ratio]), 15.1)
    assert "a counter or a sum of counters" in found.metrics["right"][0].unusable
    bad = {**RATIO, "ratio": {"good": "x", "total": "rate(y[5m])"}, "minLabels": 1, "min": "0.1"}
    assert (await asked.measured(made([bad]), 25.1)).labels == {"right": None}


async def test_late_labels_are_measured_so_far_back_and_count_as_fresh() -> None:
    asked = Asked()
    asked.prometheus.on("good_total", lambda _, at: one(0.9, at))
    asked.prometheus.on(lambda text: "good_total" not in text and "all_total" in text, 70.0)
    late = made([{**RATIO, "labelDelaySeconds": 60, "minLabels": 50, "min": "0.5"}])
    early = await asked.measured(late, 55.1)
    assert "labels of this step are whole from 60 s later on" in early.metrics["right"][0].unusable
    assert early.labels == {"right": None}
    found = await asked.measured(late, 75.1)
    (sample,) = found.metrics["right"][0].samples or ()
    assert (sample.value, sample.time) == (0.9, found.at.timestamp())
    assert found.labels == {"right": 70.0}
    since = [q for q in asked.prometheus.queries if "all_total" in q and "good_total" not in q]
    assert "[15s]" in since[-1]  # from the step's start to a minute before this instant


async def test_labels_that_nobody_knows_and_none() -> None:
    asked = Asked()
    ratio = made([{**RATIO, "minLabels": 50, "min": "0.5"}])
    assert (await asked.measured(ratio, 15.1)).labels == {"right": 0.0}
    asked.prometheus.on("all_total", Answer(failure="away"))
    assert (await asked.measured(ratio, 25.1)).labels == {"right": None}


SEQUENTIAL = {"margin": "0.01", "sequential": {}}


async def test_blocks_of_a_built_in_metric() -> None:
    asked = Asked()
    who = [{"namespace": "team", "rollout": "churn", "revision": r.revision, "instance": "a"} for r in (CANARY, STABLE)]
    asked.prometheus.on("requests_total", lambda _, at: vector(at, *((w, at.timestamp()) for w in who)))
    about = made([{**ERRORS, "max": None, **SEQUENTIAL}])
    found = await asked.measured(about, 35.1)
    assert "errors" not in found.metrics  # what is compared over all blocks is not asked at one instant
    assert [(b.total, b.end % 8) for b in found.blocks["errors"].canary] == [(8.0, 0.0)] * len(
        found.blocks["errors"].stable
    )
    assert len(found.blocks["errors"].canary) >= 3


async def test_blocks_of_a_ratio() -> None:
    asked = Asked()
    asked.prometheus.on("good_total", lambda text, at: one(at.timestamp() * (1 if CANARY.revision in text else 2), at))
    asked.prometheus.on("all_total", lambda _, at: one(at.timestamp() * 4, at))
    found = (await asked.measured(made([{**RATIO, **SEQUENTIAL}]), 35.1)).blocks["right"]
    assert {(b.part, b.total) for b in found.canary} == {(8.0, 32.0)}
    assert {(b.part, b.total) for b in found.stable} == {(16.0, 32.0)}


async def test_counters_that_are_gone_at_this_moment_are_no_data_though_the_blocks_stand() -> None:
    """A built-in metric and a ratio; the last block ended before stable's counters went."""
    asked, about = Asked(), made([{**ERRORS, "max": None, **SEQUENTIAL}, {**RATIO, **SEQUENTIAL}], windowSeconds=60)
    who = [{"namespace": "team", "rollout": "churn", "revision": r.revision, "instance": "a"} for r in (CANARY, STABLE)]

    def counters(text: str, at: datetime) -> Answer:
        there = who if at < STARTED + timedelta(seconds=120) else who[:1]
        return vector(at, *((w, at.timestamp()) for w in there if "$" not in text and _named(w, text)))

    asked.prometheus.on("_total", counters)
    for seconds, verdicts in ((118.1, {"TooFewBlocks"}), (128.1, {"StaleSample"})):
        found = await asked.measured(about, seconds)
        told = comparing.compared(about.spec.analysis.model_copy(update={"min_requests": 0}), found.blocks, 1)
        assert {one.reason for one in told.values()} == verdicts
        assert {len(made.canary) for made in found.blocks.values()} == {1}


def _named(who: dict[str, str], text: str) -> bool:
    """Whether a query asks for a revision; those of one's own ask for one at a time."""
    return who["revision"] in text


async def test_prometheus_that_goes_away_is_noticed_before_the_next_block_ends() -> None:
    asked, about = Asked(), made([{**ERRORS, "max": None, **SEQUENTIAL}], windowSeconds=60)
    asked.prometheus.on("_total", lambda _, at: vector(at))
    await asked.measured(about, 118.1)
    asked.prometheus.on("", Answer(failure="connection refused"))
    found = await asked.measured(about, 128.1)
    assert found.blocks["errors"].failure == "connection refused"


async def test_who_waits_is_expected_among_those_that_are_present() -> None:
    asked = Asked()
    assert await asked.measure(made([{**ERRORS, "max": None, **SEQUENTIAL}]), 3.0) is None
    asked_for = [form.metric for form in asked.shared.instants._groups]
    assert sorted(asked_for) == ["Count", "Requests"]


async def test_a_good_counter_that_nobody_has_is_no_data_whatever_the_total_says() -> None:
    asked = Asked()
    asked.prometheus.on("all_total", lambda _, at: one(at.timestamp() * 100, at))
    about = made([{**RATIO, **SEQUENTIAL}])
    found = await asked.measured(about, 40 * 8 + 10.1)
    told = comparing.compared(about.spec.analysis, found.blocks, 1)["right"]
    assert (told.verdict, told.reason) == ("NoData", "NoSeries")
    assert "good_total{revision=$(revision)}" in told.message


async def test_no_blocks_yet_and_blocks_that_are_refused() -> None:
    asked = Asked()
    late = made([{**RATIO, **SEQUENTIAL, "labelDelaySeconds": 600}])
    assert (await asked.measured(late, 35.1)).blocks == {}
    bad = {**RATIO, "ratio": {"good": "x", "total": "rate(y[5m])"}, **SEQUENTIAL}
    assert "counter" in (await asked.measured(made([bad]), 35.1)).blocks["right"].unusable


async def test_an_experiments_outcomes_come_late_too() -> None:
    asked = Asked()
    about = made([{**ERRORS, "max": None, **SEQUENTIAL}])
    experiment = {
        "experiment": {
            "share": 20, "assignment": {"header": {"name": "X", "value": "b"}}, "durationSeconds": 600,
            "outcomeDelaySeconds": 600, "minPerArm": 10, "decideOn": "errors", "hypothesis": "Superior",
            "margin": "0", "then": "Promote", "otherwise": "Abort",
        }
    }  # fmt: skip
    strategy = type(about.spec.strategy).model_validate(experiment)
    changed = about.model_copy(update={"spec": about.spec.model_copy(update={"strategy": strategy})})
    assert (await asked.measured(changed, 35.1)).blocks == {}


async def test_without_a_canary_nothing_is_asked() -> None:
    asked, about = Asked(), made([ERRORS])
    gone = about.model_copy(update={"status": about.status.model_copy(update={"canary": None})})
    assert await asked.measure(gone, 60.0) is None
    alone = asking.Asking(
        gone,
        Systems(FakeCluster(), {}, FakeArtifacts(), asked.prometheus, FakeMetadata(), CONFIG),
        asked.shared,
        STARTED + timedelta(seconds=60),
        STARTED,
        (),
    )
    ratio = made([{**RATIO, "minLabels": 1, "min": "0.1"}]).spec.analysis.metrics[0]
    assert await alone._own(ratio, 0) == asking.NOBODY
    assert await alone._labels(ratio) == ("right", None)
