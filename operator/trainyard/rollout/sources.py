"""Whose series answer which built-in metric: one table of sources, how their series name a revision, what they lack.

docs/metrics.md says where every name comes from and what has to be switched on for it. Every query groups by what
names a revision, so one text serves all Rollouts that ask the same. Pure. Used by `queries`, `asking`, `admission`.
"""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from trainyard import naming
from trainyard.resources.rollout import AnalysisMetric
from trainyard.rollout.analysis import COMPARED

PORT = 8080  # of every revision's Service (rendering.PORT)
QUANTILES = {"LatencyP50": "0.5", "LatencyP95": "0.95", "LatencyP99": "0.99"}
LATENCIES = (*QUANTILES, "SlowShare")
ON_PODS = ("CPU", "Memory", "Disk", "AcceleratorUse")
# Upper bounds of buckets in seconds, as series are labelled with them.
SERVER_BOUNDS = (
    "0.001", "0.002", "0.003", "0.005", "0.0075", "0.01", "0.015", "0.02", "0.03", "0.05", "0.075", "0.1", "0.15",
    "0.2", "0.25", "0.3", "0.4", "0.5", "0.75", "1", "1.5", "2.5", "5", "10", "30",
)  # fmt: skip
# Envoy's own, and Istio's; a mesh can be configured to others, so a bound that is missing there is found out later.
ENVOY_BOUNDS = (
    "0.0005", "0.001", "0.005", "0.01", "0.025", "0.05", "0.1", "0.25", "0.5", "1", "2.5", "5", "10", "30", "60",
    "300", "600", "1800", "3600",
)  # fmt: skip
KSERVE_BOUNDS = ("0.005", "0.01", "0.025", "0.05", "0.075", "0.1", "0.25", "0.5", "0.75", "1", "2.5", "5", "7.5", "10")


@dataclass(frozen=True)
class Subject:
    """Who is measured: a Rollout's revisions, the canary's first."""

    namespace: str
    rollout: str
    revisions: tuple[str, ...]


def quoted(text: str) -> str:
    """Return a PromQL string literal."""
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return f'"{escaped}"'


def either(texts: Iterable[str]) -> str:
    """Return a PromQL string literal with a regular expression that matches exactly these texts."""
    return quoted("|".join(re.escape(text).replace(r"\-", "-") for text in sorted(set(texts))))


@dataclass(frozen=True)
class Naming:
    """How series name a revision.

    by: the labels that do, once `named` has been put around an expression. key: their values for one revision.
    matchers: label matchers that find the revisions of these subjects. named: puts labels on that series lack.
    """

    by: tuple[str, ...]
    key: Callable[[Subject, str], tuple[str, ...]]
    matchers: Callable[[Sequence[Subject]], str]
    named: Callable[[str, Sequence[Subject], int], str] = lambda expression, _subjects, _window: expression


def _workloads(subjects: Sequence[Subject]) -> list[str]:
    return [naming.revision_object(s.rollout, r) for s in subjects for r in s.revisions]


def _namespaces(subjects: Sequence[Subject]) -> str:
    return either(s.namespace for s in subjects)


def _by_labels(subjects: Sequence[Subject]) -> str:
    rollouts, revisions = either(s.rollout for s in subjects), either(r for s in subjects for r in s.revisions)
    return f"namespace=~{_namespaces(subjects)},rollout=~{rollouts},revision=~{revisions}"


def _by_pods(subjects: Sequence[Subject], namespace: str = "namespace", pod: str = "pod") -> str:
    return f"{namespace}=~{_namespaces(subjects)},{pod}=~{quoted(_pod_pattern(subjects))}"


def _pod_pattern(subjects: Sequence[Subject]) -> str:
    """Match pods of Deployments: <Deployment>-<template hash>-<five letters>; long names lose the second dash."""
    return f"({'|'.join(sorted(set(_workloads(subjects))))})-[a-z0-9]+(-[a-z0-9]{{5}})?"


def _named_by_pod(expression: str, subjects: Sequence[Subject], _window: int, pod: str = "pod") -> str:
    return f'label_replace({expression}, "workload", "$1", "{pod}", {quoted(_pod_pattern(subjects))})'


def _named_by_exporter(expression: str, subjects: Sequence[Subject], window: int) -> str:
    placed = f'label_replace({expression}, "namespace", "$1", "exported_namespace", "(.+)")'
    return _named_by_pod(placed, subjects, window, "exported_pod")


def _traefik_pattern(subjects: Sequence[Subject]) -> str:
    services = sorted({f"{s.namespace}-{naming.revision_object(s.rollout, r)}" for s in subjects for r in s.revisions})
    return f"(.+-svc-)?({'|'.join(services)})-(http-)?[0-9]+@kubernetesgateway"


def _named_by_traefik(expression: str, subjects: Sequence[Subject], _window: int) -> str:
    return f'label_replace({expression}, "workload", "$2", "service", {quoted(_traefik_pattern(subjects))})'


def _named_by_address(expression: str, subjects: Sequence[Subject], window: int) -> str:
    """Take namespace, rollout and revision from our own scrape of the pod behind the endpoint's address."""
    pods = (
        f"max by (namespace, rollout, revision, instance) (present_over_time(up{{{_by_labels(subjects)}}}[{window}s]))"
    )
    known = f'label_replace({pods}, "envoy_endpoint_address", "$1", "instance", "(.+)")'
    return f"sum by (envoy_endpoint_address) ({expression}) * on (envoy_endpoint_address) group_right () {known}"


OWN_LABELS = Naming(
    by=("namespace", "rollout", "revision"),
    key=lambda s, revision: (s.namespace, s.rollout, revision),
    matchers=_by_labels,
)
POD_NAMES = Naming(
    by=("namespace", "workload"),
    key=lambda s, revision: (s.namespace, naming.revision_object(s.rollout, revision)),
    matchers=_by_pods,
    named=_named_by_pod,
)
CONTOUR_CLUSTER = Naming(  # <namespace>_<service>_<port>: neither namespaces nor services have an underscore
    by=("envoy_cluster_name",),
    key=lambda s, revision: (f"{s.namespace}_{naming.revision_object(s.rollout, revision)}_{PORT}",),
    matchers=lambda subjects: (
        "envoy_cluster_name=~"
        + either(f"{s.namespace}_{naming.revision_object(s.rollout, r)}_{PORT}" for s in subjects for r in s.revisions)
    ),
)
ENDPOINT_ADDRESS = Naming(
    by=("namespace", "rollout", "revision"),
    key=OWN_LABELS.key,
    matchers=lambda _subjects: 'envoy_endpoint_address!=""',
    named=_named_by_address,
)
ISTIO_WORKLOAD = Naming(
    by=("destination_workload_namespace", "destination_workload"),
    key=POD_NAMES.key,
    matchers=lambda subjects: (
        f'reporter="source",destination_workload_namespace=~{_namespaces(subjects)},'
        f"destination_workload=~{either(_workloads(subjects))}"
    ),
)
TRAEFIK_SERVICE = Naming(
    by=("workload",),
    key=lambda s, revision: (f"{s.namespace}-{naming.revision_object(s.rollout, revision)}",),
    matchers=lambda subjects: f"service=~{quoted(_traefik_pattern(subjects))}",
    named=_named_by_traefik,
)


# NVIDIA's exporter says which pod uses a GPU; its scrape renames those labels unless it honours them.
GPU_BY_EXPORTER = Naming(
    by=POD_NAMES.by,
    key=POD_NAMES.key,
    matchers=lambda subjects: _by_pods(subjects, "exported_namespace", "exported_pod"),
    named=_named_by_exporter,
)
GPU_BY_POD = POD_NAMES


@dataclass(frozen=True)
class Series:
    """Counters of one source. failed: "" where it does not count failures. buckets: "" where it has no histogram.

    Of failed: the counter and a further matcher. unit: how many of the histogram's units are a second. bounds: its
    buckets' upper bounds in seconds, () where every installation has others.
    """

    naming: Naming
    requests: str
    failed: tuple[str, str] = ("", "")
    buckets: str = ""
    unit: int = 1
    bounds: tuple[str, ...] = ()


SOURCES: Mapping[str, Series] = {
    "ModelServer": Series(
        OWN_LABELS,
        "trainyard_server_requests_total",
        ("trainyard_server_requests_total", 'code=~"5.."'),
        "trainyard_server_request_duration_seconds",
        bounds=SERVER_BOUNDS,
    ),
    "Contour": Series(
        CONTOUR_CLUSTER,
        "envoy_cluster_upstream_rq_xx",
        ("envoy_cluster_upstream_rq_xx", 'envoy_response_code_class="5"'),
        "envoy_cluster_upstream_rq_time",
        unit=1000,
        bounds=ENVOY_BOUNDS,
    ),
    "EnvoyGateway": Series(
        ENDPOINT_ADDRESS, "envoy_cluster_endpoint_rq_total", ("envoy_cluster_endpoint_rq_error", "")
    ),
    "Istio": Series(
        ISTIO_WORKLOAD,
        "istio_requests_total",
        ("istio_requests_total", 'response_code=~"5.."'),
        "istio_request_duration_milliseconds",
        unit=1000,
        bounds=ENVOY_BOUNDS,
    ),
    "Traefik": Series(
        TRAEFIK_SERVICE,
        "traefik_service_requests_total",
        ("traefik_service_requests_total", 'code=~"5.."'),
        "traefik_service_request_duration_seconds",
    ),
    "KServe": Series(
        OWN_LABELS, "request_predict_seconds_count", buckets="request_predict_seconds", bounds=KSERVE_BOUNDS
    ),
}

# Why a source cannot answer a built-in metric.
LACKS: Mapping[tuple[str, str], str] = {
    ("EnvoyGateway", "latency"): "Envoy Gateway keeps latencies by route rule, where both revisions are one",
    ("KServe", "ErrorRate"): "KServe's server counts a failed prediction like any other",
    ("KServe", "PredictionDrift"): "KServe's server exports no histogram of predictions",
}


def problem(source: str, metric: AnalysisMetric) -> tuple[str, str] | None:
    """Return (reason, sentence) where a built-in metric cannot be had from a source, or not with these fields."""
    if metric.builtin is None:
        return None
    kind = "latency" if metric.builtin in LATENCIES else metric.builtin
    lacking = LACKS.get((source, kind))
    if lacking:
        return ("SourceLacksMetric", f"metric {metric.name}: {source} has no {metric.builtin}: {lacking}")
    compared = any(getattr(metric, name) is not None for name in COMPARED)
    if metric.builtin == "PredictionDrift" and (metric.max is None or compared):
        sentence = f"metric {metric.name}: PredictionDrift is a distance from stable, which has none: its limit is max"
        return ("InvalidLimit", f"{sentence}, without maxIncrease or maxDecrease, in percent or not")
    if metric.sequential and source == "EnvoyGateway":
        why = "its counters lie in several proxies and are found by a pod's address"
        return ("SourceLacksMetric", f"metric {metric.name}: {source} cannot be compared block by block: {why}")
    return _bound_problem(source, metric) or _top_problem(source, metric)


def _bound_problem(source: str, metric: AnalysisMetric) -> tuple[str, str] | None:
    bounds = SOURCES[source].bounds
    if metric.slower_than_seconds is None or not bounds or bound(metric.slower_than_seconds) in map(bound, bounds):
        return None
    known = ", ".join(bounds)
    sentence = (
        f"metric {metric.name}: {source} has no bucket that ends at {metric.slower_than_seconds} s; it has {known}"
    )
    return ("NoSuchBucket", sentence)


def _top_problem(source: str, metric: AnalysisMetric) -> tuple[str, str] | None:
    """Refuse a latency limit that nothing exceeds: a quantile beyond the last finite bucket is told as its bound."""
    bounds = SOURCES[source].bounds
    if metric.builtin not in QUANTILES or not bounds:
        return None
    for name, limit in (("max", metric.max), ("maxIncrease", metric.max_increase)):
        if limit is not None and float(limit) >= bound(bounds[-1]):
            told = f"{source} tells no latency above {bounds[-1]} s, where its last bucket ends"
            return ("InvalidLimit", f"metric {metric.name}: {name} {limit} can never be exceeded: {told}")
    return None


def bound(seconds: str) -> float:
    """Return a bucket's bound as a number: 0.5 and 0.50 are the same bucket."""
    return float(seconds)
