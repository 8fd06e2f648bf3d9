"""PromQL of the built-in metrics: one text asks for all revisions of all Rollouts that share it. Pure.

A `Form` is what Rollouts share: source, metric, window. It writes the text for a list of them, and finds each one's
part in the answer. Used by `sharing` and `asking`; queries of one's own are in `queries_custom`.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from trainyard.rollout.sources import (
    GPU_BY_EXPORTER,
    GPU_BY_POD,
    ON_PODS,
    OWN_LABELS,
    POD_NAMES,
    QUANTILES,
    SOURCES,
    Naming,
    Series,
    Subject,
    bound,
)
from trainyard.systems.prometheus.port import Answer, Sample

Key = tuple[str, ...]
PREDICTIONS = "trainyard_server_prediction"
GO_EXPONENT_FROM = 1e6  # strconv.FormatFloat(…, 'g', -1, 64)
COUNT = "Count"  # requests in the window, not per second
DRIFT = "PredictionDrift"
# Containers of a pod; the sum over all of them (no container's name) only where a runtime shows nothing else.
CONTAINERS, WHOLE_POD = 'container!="",container!="POD"', 'container=""'
PER_POD: Mapping[str, tuple[str, str]] = {
    "CPU": ("rate", "container_cpu_usage_seconds_total"),
    "Memory": ("avg_over_time", "container_memory_working_set_bytes"),
    "Disk": ("avg_over_time", "container_fs_usage_bytes"),
}


@dataclass(frozen=True)
class Form:
    """What is asked of a source over a window in seconds. metric: a built-in's name, or COUNT.

    slower_than: seconds, for SlowShare. more: label matchers that every series of the source must pass.
    """

    source: str
    metric: str
    window: int
    slower_than: str = ""
    more: str = ""

    @property
    def naming(self) -> Naming:
        """How the answer's series name a revision."""
        if self.metric in ON_PODS:
            return POD_NAMES
        return OWN_LABELS if self.metric == DRIFT else SOURCES[self.source].naming

    def text(self, subjects: Sequence[Subject]) -> str:
        """Return the query for these subjects."""
        if self.metric in PER_POD:
            return self._per_pod(subjects)
        if self.metric == "AcceleratorUse":
            return self._accelerators(subjects)
        return self._drift(subjects) if self.metric == DRIFT else _Requests(self, subjects).text()

    def indexed(self, answer: Answer) -> dict[Key, tuple[Sample, ...]]:
        """Return the answer's samples by what they name."""
        by = self.naming.by if self.metric != DRIFT else ("namespace", "rollout")
        found: dict[Key, tuple[Sample, ...]] = {}
        for sample in answer.samples or ():
            key = tuple(sample.labels.get(label, "") for label in by)
            found[key] = (*found.get(key, ()), sample)
        return found

    def part(self, found: Mapping[Key, tuple[Sample, ...]], subject: Subject) -> tuple[Sample, ...]:
        """Return one subject's samples, each with its revision as the only label."""
        if self.metric == DRIFT:
            samples = found.get((subject.namespace, subject.rollout), ())
            return tuple(_labelled(sample, subject.revisions[0]) for sample in samples)
        keyed = ((r, found.get(self.naming.key(subject, r), ())) for r in subject.revisions)
        return tuple(_labelled(sample, r) for r, samples in keyed for sample in samples)

    def counters(self, subjects: Sequence[Subject]) -> tuple[str, str]:
        """Return two queries for raw counters, one series a scraped process: what a share counts, and all there was.

        For ErrorRate and SlowShare. Not `increase`: what grew is reckoned from one reading to the next (`blocks`).
        """
        return _Requests(self, subjects).counters()

    def who(self, naming: Naming, subjects: Sequence[Subject], more: str = "") -> str:
        """Return the label matchers of a selector."""
        return ",".join(part for part in (naming.matchers(subjects), self.more, more) if part)

    def _per_pod(self, subjects: Sequence[Subject]) -> str:
        function, name = PER_POD[self.metric]
        sums = (
            f"sum by (namespace, pod) ({function}({name}{{{self.who(POD_NAMES, subjects, which)}}}[{self.window}s]))"
            for which in (CONTAINERS, WHOLE_POD)
        )
        return f"avg by ({', '.join(POD_NAMES.by)}) ({POD_NAMES.named(' or '.join(sums), subjects, self.window)})"

    def _accelerators(self, subjects: Sequence[Subject]) -> str:
        """Read the exporter's pod label whether or not its scrape lets it keep the name (honor_labels)."""
        made = []
        for n in (GPU_BY_EXPORTER, GPU_BY_POD):
            use = f"avg_over_time(DCGM_FI_DEV_GPU_UTIL{{{self.who(n, subjects)}}}[{self.window}s])"
            made.append(f"avg by ({', '.join(n.by)}) ({n.named(use, subjects, self.window)})")
        return f"({' or '.join(made)}) / 100"

    def _drift(self, subjects: Sequence[Subject]) -> str:
        """Return the greatest distance of the two distributions (Kolmogorov-Smirnov) over outputs and bucket bounds.

        Only where both revisions predicted, and only over bounds that both have.
        """
        who, window = self.who(OWN_LABELS, subjects), f"[{self.window}s]"
        buckets = f'{PREDICTIONS}_bucket{{{who},le!="+Inf"}}'
        by = "namespace, rollout, revision, output"
        below = f"sum by ({by}, le) (rate({buckets}{window}))"
        total = f"sum by ({by}) (rate({PREDICTIONS}_count{{{who}}}{window})) > 0"
        share = f"{below} / ignoring (le) group_left () ({total})"
        where = "namespace, rollout, output, le"
        apart = f"max by ({where}) ({share}) - min by ({where}) ({share})"
        return f"max by (namespace, rollout) (({apart}) and (count by ({where}) ({share}) == 2))"


@dataclass(frozen=True)
class _Requests:
    """Queries over a source's request counters and its latency histogram."""

    form: Form
    subjects: Sequence[Subject]

    @property
    def series(self) -> Series:
        return SOURCES[self.form.source]

    def text(self) -> str:
        metric = self.form.metric
        if metric in QUANTILES:
            return self._quantile(QUANTILES[metric])
        if metric == "SlowShare":
            return self._slow_share()
        if metric == "ErrorRate":
            return self._error_rate()
        return self._sum(self.series.requests, function="increase" if metric == COUNT else "rate")

    def _sum(self, name: str, more: str = "", by: Iterable[str] = (), function: str = "rate") -> str:
        who = self.form.who(self.series.naming, self.subjects, more)
        grown = f"{function}({name}{{{who}}}[{self.form.window}s])"
        kept = [*self.series.naming.by, *by]
        return f"sum by ({', '.join(kept)}) ({self.series.naming.named(grown, self.subjects, self.form.window)})"

    def _error_rate(self) -> str:
        """A revision without a failure may have no series of failures at all: that is 0."""
        total = self._sum(self.series.requests)
        return f"({self._sum(*self.series.failed)} or {total} * 0) / {total}"

    def _quantile(self, share: str) -> str:
        found = f"histogram_quantile({share}, {self._sum(f'{self.series.buckets}_bucket', by=('le',))})"
        return f"{found} / {self.series.unit}" if self.series.unit != 1 else found

    def counters(self) -> tuple[str, str]:
        """Return the queries for what a share counts and for all, by process."""
        if self.form.metric == "SlowShare":
            total = self._raw(f"{self.series.buckets}_count")
            fast = self._raw(f"{self.series.buckets}_bucket", le_matcher(self.form.slower_than, self.series.unit))
            return f"{total} - {fast}", total
        return self._raw(*self.series.failed), self._raw(self.series.requests)

    def _raw(self, name: str, more: str = "") -> str:
        who = self.form.who(self.series.naming, self.subjects, more)
        named = self.series.naming.named(f"{name}{{{who}}}", self.subjects, self.form.window)
        return f"sum by ({', '.join(self.series.naming.by)}, instance) ({named})"

    def _slow_share(self) -> str:
        fast = self._sum(f"{self.series.buckets}_bucket", le_matcher(self.form.slower_than, self.series.unit))
        return f"clamp_min(1 - {fast} / {self._sum(f'{self.series.buckets}_count')}, 0)"


def le_matcher(seconds: str, unit: int) -> str:
    """Match a bucket by its bound, as exporters write it, and as Prometheus 3 keeps it (1, 1.0; 1800000, 1.8e+06)."""
    value = bound(seconds) * unit
    written = f"{value:.12g}".replace(".", "[.]")
    plain = written if "." in written else f"{written}([.]0)?"
    return f'le=~"{plain}|{_with_exponent(value)}"' if value >= GO_EXPONENT_FROM else f'le=~"{plain}"'


def _with_exponent(value: float) -> str:
    mantissa, exponent = f"{value:.11e}".split("e")
    return f"{mantissa.rstrip('0').rstrip('.')}e{exponent}".replace(".", "[.]").replace("+", "[+]")


def _labelled(sample: Sample, revision: str) -> Sample:
    return Sample({"revision": revision}, sample.time, sample.value)


def counted_window(seconds: float) -> int:
    """Return a window in which requests since the step began are counted: at most an eighth shorter, never longer.

    Few lengths for all Rollouts, so that they share the query; a shorter window counts fewer requests, which holds a
    step a little longer and never promotes.
    """
    whole = max(1, int(seconds))
    spare = max(0, whole.bit_length() - 4)
    return whole >> spare << spare
