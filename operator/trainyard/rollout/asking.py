"""Ask Prometheus for the interval that is due: every metric at the same instant. Called by `observe`.

Built-in metrics go through `sharing`; queries of one's own are asked one by one. Nothing here raises: what cannot be
asked becomes an answer that says why.
"""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from trainyard.resources.rollout import AnalysisMetric, Rollout
from trainyard.resources.rollout_analysis import Ratio
from trainyard.rollout import analysis, blocks, progress, queries_custom
from trainyard.rollout.blocks import Blocks, Grid
from trainyard.rollout.queries import COUNT, DRIFT, Form, counted_window
from trainyard.rollout.sharing import Sharing
from trainyard.rollout.sharing_ranges import RangeSharing
from trainyard.rollout.sources import ON_PODS, Subject, quoted
from trainyard.rollout.state import Measurement, Progress
from trainyard.rollout.times import parse
from trainyard.systems.bundle import Systems
from trainyard.systems.cluster.port import Obj
from trainyard.systems.prometheus.port import Answer, RangeAnswer

NOBODY = Answer(failure="there is no such revision")


@dataclass(frozen=True)
class Shared:
    """What Rollouts ask together, at one instant and over time."""

    instants: Sharing = field(default_factory=Sharing)
    ranges: RangeSharing = field(default_factory=RangeSharing)


async def measure(
    rollout: Rollout, systems: Systems, route: Obj | None, before: Progress | None, monotonic: float, shared: Shared
) -> Measurement | None:
    """Return the answers of the interval that is due, None where none is. route: the one that is decided on as well."""
    status, scrape = rollout.status, systems.config.scrape_interval_seconds
    started = parse(status.step_started_time)
    if before is None or started is None or not progress.is_looked_at(rollout, status, route):
        return None
    slot = progress.due(rollout, status, route, before, monotonic, scrape)
    spec, now = progress.analysis_now(rollout, status, route), before.wall + timedelta(seconds=monotonic - before.seen)
    coming = progress.next_slot(spec, started, before, now, scrape)
    at = analysis.instant(started, coming if slot is None else slot, spec.interval_seconds)
    asking = Asking(rollout, systems, shared, at, started, spec.metrics)
    if slot is not None:
        return await asking.measured(slot)
    asking.expect()
    return None


@dataclass(frozen=True)
class Asking:
    """The questions of one interval of one Rollout. metrics: those that count in the running step."""

    rollout: Rollout
    systems: Systems
    shared: Shared
    at: datetime
    started: datetime
    metrics: tuple[AnalysisMetric, ...]

    @property
    def window(self) -> int:
        """Over how many seconds metrics are taken."""
        return analysis.window_seconds(self.rollout.spec.analysis, self.systems.config.scrape_interval_seconds)

    @property
    def pod_window(self) -> int:
        """Over how many seconds metrics of pods are taken: kubelets are scraped at an interval of their own."""
        return max(self.window, analysis.SCRAPES_IN_WINDOW * self.systems.config.pod_scrape_interval_seconds)

    @property
    def present(self) -> Form:
        """The question who is there now: requests over the shortest window, which a revision that is idle answers too.

        Blocks end seldom, and what has been read of them stays: they tell of the past alone.
        """
        source = self.rollout.spec.analysis.source
        window = analysis.SCRAPES_IN_WINDOW * self.systems.config.scrape_interval_seconds
        return Form(source, "Requests", window, more=self._labels_of(source))

    @property
    def subject(self) -> Subject:
        """Whose series are asked for."""
        roles = (self.rollout.status.canary, self.rollout.status.stable)
        meta = self.rollout.metadata
        return Subject(meta.namespace, meta.name, tuple(role.revision for role in roles if role))

    @property
    def count(self) -> Form:
        """The question for requests since the step began."""
        source = self.rollout.spec.analysis.source
        window = counted_window((self.at - self.started).total_seconds())
        return Form(source, COUNT, window, more=self._labels_of(source))

    def form(self, metric: AnalysisMetric) -> Form | None:
        """Return the question of a built-in metric."""
        if metric.builtin is None:
            return None
        everywhere = metric.builtin in (*ON_PODS, DRIFT)
        source = "ModelServer" if everywhere else self.rollout.spec.analysis.source
        window = self.pod_window if metric.builtin in ON_PODS else self.window
        exporter = "DCGM" if metric.builtin == "AcceleratorUse" else "Kubelet" if metric.builtin in ON_PODS else source
        slower = metric.slower_than_seconds or ""
        return Form(source, metric.builtin, window, slower, self._labels_of(exporter))

    def _labels_of(self, exporter: str) -> str:
        """Return matchers for the labels that the configuration wants of an exporter's series."""
        wanted = self.systems.config.source_labels.get(exporter, {})
        return ",".join(f"{label}={quoted(value)}" for label, value in sorted(wanted.items()))

    def expect(self) -> None:
        """Let others ask for this Rollout too when their turn comes first."""
        metrics = [metric for metric in self.metrics if not metric.sequential]
        forms = [self.count, *(self.form(metric) for metric in metrics)]
        forms += [self.present] if len(metrics) < len(self.metrics) else []
        for form in forms:
            if form:
                self.shared.instants.expect(form, self.subject, self.at)

    async def measured(self, slot: int) -> Measurement:
        """Ask everything at once."""
        sequential = [metric for metric in self.metrics if metric.sequential]
        at_once = [metric for metric in self.metrics if not metric.sequential]
        requests, pairs, labels, found = await asyncio.gather(
            self._shared(self.count),
            asyncio.gather(*(self._metric(metric) for metric in at_once)),
            asyncio.gather(*(self._labels(metric) for metric in self.metrics if metric.min_labels is not None)),
            asyncio.gather(*(self._blocks(metric) for metric in sequential)),
        )
        named = {metric.name: pair for metric, pair in zip(at_once, pairs, strict=True)}
        made = {metric.name: one for metric, one in zip(sequential, found, strict=True) if one}
        return Measurement(slot, self.at, requests, named, dict(labels), made)

    async def _shared(self, form: Form) -> Answer:
        return await self.shared.instants.ask(self.systems.prometheus, form, self.subject, self.at)

    async def _metric(self, metric: AnalysisMetric) -> tuple[Answer, Answer]:
        """Return the canary's answer and stable's; a built-in metric asks for both at once."""
        form = self.form(metric)
        if form and self._is_early(form.window):
            answer = Answer(unusable=f"a window of {form.window} s does not lie in this step yet")
            return answer, answer
        if form:
            answer = await self._shared(form)
            return answer, answer
        compared = any(getattr(metric, name) is not None for name in analysis.COMPARED)
        ours = await self._own(metric, 0)
        return ours, await self._own(metric, 1) if compared else ours

    async def _own(self, metric: AnalysisMetric, role: int) -> Answer:
        """Ask a query or a ratio of one's own for the canary (0) or stable (1)."""
        values, delay = self._values(role), self._delay(metric)
        if values is None:
            return NOBODY
        if self._is_early(self.window, delay):
            return Answer(unusable=f"labels of this step are whole from {delay} s later on")
        try:
            return await self._asked(self._text(metric, values, self.window), delay)
        except queries_custom.QueryRefused as refused:
            return Answer(unusable=str(refused))

    def _text(self, metric: AnalysisMetric, values: Mapping[str, str], window: int) -> str:
        if metric.ratio is None:
            return queries_custom.custom(metric.query or "", values, self._namespace)
        return f"{self._grown(metric.ratio.good, values, window)} / {self._grown(metric.ratio.total, values, window)}"

    def _grown(self, query: str, values: Mapping[str, str], window: int) -> str:
        return queries_custom.grown(queries_custom.counter(query, values, self._namespace), window)

    async def _labels(self, metric: AnalysisMetric) -> tuple[str, float | None]:
        """Return a ratio's name and the canary's total since the step began."""
        values, delay = self._values(0), self._delay(metric)
        window = counted_window((self.at - self.started).total_seconds() - delay)
        if metric.ratio is None or values is None or self._is_early(self.window, delay):
            return metric.name, None
        try:
            answer = await self._asked(self._grown(metric.ratio.total, values, window), delay)
        except queries_custom.QueryRefused:
            return metric.name, None
        samples = answer.samples
        return metric.name, samples[0].value if samples else None if samples is None else 0.0

    async def _blocks(self, metric: AnalysisMetric) -> Blocks | None:
        """Return what both revisions did in each block since the step's start, None before the first has passed."""
        warm = self.started + timedelta(seconds=self.rollout.spec.analysis.warm_up_seconds)
        delay = self._delay(metric)
        grid = blocks.grid(warm, self.at - timedelta(seconds=delay), self.window)
        if grid is None:
            return None
        form = self.form(metric)
        if form is None:
            return await self._own_blocks(metric.ratio, grid, delay) if metric.ratio else None
        arm, now = await asyncio.gather(
            self.shared.ranges.ask(self.systems.prometheus, form, self.subject, grid, self.at, delay),
            self._shared(self.present),
        )
        canary, stable = self.subject.revisions
        found = blocks.made(grid, arm, arm, (canary, stable))
        return blocks.up_to_now(found, [_part(now, revision) for revision in (canary, stable)])

    async def _own_blocks(self, ratio: Ratio, grid: Grid, delay: int) -> Blocks:
        try:
            sides = [self._raw(side, role) for role in (0, 1) for side in (ratio.good, ratio.total)]
        except queries_custom.QueryRefused as refused:
            return Blocks(unusable=str(refused))
        (ours, all_ours, theirs, all_theirs), now = await asyncio.gather(
            self._ranges(sides, grid), asyncio.gather(*(self._asked(total, delay) for total in (sides[1], sides[3])))
        )
        found = blocks.made(grid, (ours, all_ours), (theirs, all_theirs), (None, None))
        return blocks.up_to_now(found, now)

    def _raw(self, query: str, role: int) -> str:
        values = self._values(role) or {}
        return queries_custom.raw(queries_custom.counter(query, values, self._namespace))

    async def _ranges(self, texts: Sequence[str], grid: Grid) -> list[RangeAnswer]:
        prometheus = self.systems.prometheus
        asked = (prometheus.query_range(text, grid.start, grid.end, grid.step_seconds) for text in texts)
        return await asyncio.gather(*asked)

    async def _asked(self, query: str, delay: int) -> Answer:
        """Ask so far back, and date the answer as if it were of now: it is as fresh as it can be."""
        answer = await self.systems.prometheus.query(query, self.at - timedelta(seconds=delay))
        if not delay or answer.samples is None:
            return answer
        return replace(answer, samples=tuple(replace(s, time=s.time + delay) for s in answer.samples))

    def _delay(self, metric: AnalysisMetric) -> int:
        """Return how far back a metric is measured: its labels, or the outcomes of an experiment, come so late."""
        experiment = self.rollout.spec.strategy.experiment
        outcome = experiment.outcome_delay_seconds if experiment and experiment.decide_on == metric.name else 0
        return max(metric.label_delay_seconds or 0, outcome)

    def _is_early(self, window: int, delay: int = 0) -> bool:
        """Whether a window, so far back, reaches before the step's start and warm-up."""
        early = delay + window + self.rollout.spec.analysis.warm_up_seconds
        return self.at < self.started + timedelta(seconds=early)

    @property
    def _namespace(self) -> str | None:
        """The namespace that queries of one's own are held in."""
        return self.rollout.metadata.namespace if self.systems.config.enforce_namespace else None

    def _values(self, role: int) -> dict[str, str] | None:
        """Return what stands for the placeholders, for the canary (0) or stable (1)."""
        canary, stable = self.rollout.status.canary, self.rollout.status.stable
        shown = (canary, stable)[role]
        if shown is None or stable is None:
            return None
        return {
            "rollout": self.rollout.metadata.name,
            "namespace": self.rollout.metadata.namespace,
            "revision": shown.revision,
            "version": shown.version,
            "stableRevision": stable.revision,
            "window": f"{self.window}s",
        }


def _part(answer: Answer, revision: str) -> Answer:
    """Return the samples of one revision."""
    if answer.samples is None:
        return answer
    return replace(answer, samples=tuple(s for s in answer.samples if s.labels.get("revision") == revision))
