"""Every query of every source, asked of a real Prometheus over recorded series of that source: the right numbers.

Canary: 10 requests a second in two pods, a fifth failed, a tenth slow. Stable: 5 a second, all well. Beside them the
same names in a namespace of somebody else, with other numbers.
"""

import math
import time
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime, timedelta

import pytest

from tests.servers.recorded import Recorder, Traffic
from tests.servers.running import prometheus
from trainyard.rollout import blocks, queries_custom, sources
from trainyard.rollout.blocks import Grid
from trainyard.rollout.queries import COUNT, DRIFT, Form
from trainyard.rollout.sharing import Sharing
from trainyard.rollout.sharing_ranges import RangeSharing
from trainyard.rollout.sources import ENVOY_BOUNDS, KSERVE_BOUNDS, SERVER_BOUNDS, Subject
from trainyard.systems.prometheus.client import HttpPrometheus

pytestmark = pytest.mark.servers
AT = datetime.fromtimestamp(time.time() // 60 * 60 - 600, UTC)  # noqa: TID251 - retention starts from now
WINDOW = 60
NEW, OLD = "0123456789", "abcdef0123"
SUBJECT = Subject("team", "churn", (NEW, OLD))
STRANGER = Subject("other", "churn", (NEW, OLD))
FAST = {0.08: 1.0}
CANARY = Traffic(5.0, failed=0.2, slow={0.08: 0.9, 0.4: 0.1})  # of each of two pods
STABLE = Traffic(5.0)
ALIEN = Traffic(100.0, failed=0.9, slow={8.0: 1.0})
PROCESSES = (
    ("team", NEW, "a", CANARY),
    ("team", NEW, "b", CANARY),
    ("team", OLD, "c", STABLE),
    ("other", NEW, "d", ALIEN),
)
TRAEFIK_BOUNDS = ("0.1", "0.3", "1.2", "5")
BOUNDS = {
    "ModelServer": SERVER_BOUNDS, "Contour": ENVOY_BOUNDS, "Istio": ENVOY_BOUNDS, "KServe": KSERVE_BOUNDS,
    "Traefik": TRAEFIK_BOUNDS,
}  # fmt: skip


def milliseconds(bounds: tuple[str, ...]) -> list[str]:
    return [f"{float(bound) * 1000:g}" for bound in bounds]


def python_style(bounds: tuple[str, ...]) -> list[str]:
    return [repr(float(bound)) for bound in bounds]


def served(r: Recorder) -> list[str]:
    """Our model server, and KServe's, with the labels that relabelling gives."""
    told = []
    for namespace, revision, pod, traffic in PROCESSES:
        who = {"namespace": namespace, "rollout": "churn", "revision": revision, "pod": pod, "instance": f"{pod}:8080"}
        told += r.counter(
            "trainyard_server_requests_total", {**who, "code": "200"}, traffic.per_second * (1 - traffic.failed)
        )
        if traffic.failed:
            told += r.counter(
                "trainyard_server_requests_total", {**who, "code": "500"}, traffic.per_second * traffic.failed
            )
        told += r.histogram("trainyard_server_request_duration_seconds", who, traffic, python_style(SERVER_BOUNDS))
        told += r.histogram("request_predict_seconds", {**who, "model_name": "m"}, traffic, python_style(KSERVE_BOUNDS))
        told += r.gauge("up", {**who, "job": "trainyard-models"}, 1.0)
    return told


def envoy(r: Recorder) -> list[str]:
    """Contour's clusters in two Envoys, and Envoy Gateway's endpoints, as Envoy 1.35 names them (read from one)."""
    told = []
    for namespace, revision, pod, traffic in PROCESSES:
        cluster = {
            "envoy_cluster_name": f"{namespace}_churn-{revision}_8080",
            "namespace": "infra",
            "instance": f"e{pod}",
        }
        told += r.counter(
            "envoy_cluster_upstream_rq_xx",
            {**cluster, "envoy_response_code_class": "2"},
            traffic.per_second * (1 - traffic.failed),
        )
        if traffic.failed:
            told += r.counter(
                "envoy_cluster_upstream_rq_xx",
                {**cluster, "envoy_response_code_class": "5"},
                traffic.per_second * traffic.failed,
            )
        told += r.histogram("envoy_cluster_upstream_rq_time", cluster, traffic, milliseconds(ENVOY_BOUNDS), 1000.0)
        rule = {"envoy_cluster_name": f"httproute/{namespace}/churn/rule/0", "envoy_endpoint_address": f"{pod}:8080"}
        told += r.counter("envoy_cluster_endpoint_rq_total", rule, traffic.per_second)
        told += r.counter("envoy_cluster_endpoint_rq_error", rule, traffic.per_second * traffic.failed)
    return told


def istio(r: Recorder) -> list[str]:
    """Both sides report; the workload behind a request is the Deployment."""
    told = []
    for namespace, revision, pod, traffic in PROCESSES:
        for reporter in ("source", "destination"):
            who = {
                "reporter": reporter, "destination_workload": f"churn-{revision}", "instance": pod,
                "destination_workload_namespace": namespace, "namespace": "istio-ingress",
            }  # fmt: skip
            told += r.counter(
                "istio_requests_total", {**who, "response_code": "200"}, traffic.per_second * (1 - traffic.failed)
            )
            if traffic.failed:
                told += r.counter(
                    "istio_requests_total", {**who, "response_code": "503"}, traffic.per_second * traffic.failed
                )
            told += r.histogram("istio_request_duration_milliseconds", who, traffic, milliseconds(ENVOY_BOUNDS), 1000.0)
    return told


def traefik(r: Recorder) -> list[str]:
    """Services of the Gateway API provider, by their names of different versions."""
    told = []
    for (namespace, revision, pod, traffic), name in zip(
        PROCESSES, ("{}-8080", "{}-http-8080", "httproute-x-gw-y-ep-web-0-0123abc-svc-{}-1", "{}-8080"), strict=True
    ):
        service = name.format(f"{namespace}-churn-{revision}") + "@kubernetesgateway"
        who = {"service": service, "method": "POST", "protocol": "http", "instance": pod}
        told += r.counter(
            "traefik_service_requests_total", {**who, "code": "200"}, traffic.per_second * (1 - traffic.failed)
        )
        if traffic.failed:
            told += r.counter(
                "traefik_service_requests_total", {**who, "code": "502"}, traffic.per_second * traffic.failed
            )
        told += r.histogram("traefik_service_request_duration_seconds", {**who, "code": "200"}, traffic, TRAEFIK_BOUNDS)
    return told


PODS = (
    ("team", f"churn-{NEW}-7d4b9c6f5d-abcde", 0.5), ("team", f"churn-{NEW}-7d4b9c6f5d-fghij", 1.5),
    ("team", f"churn-{OLD}-5f5f5f5f5f-vwxyz", 3.0), ("other", f"churn-{NEW}-7d4b9c6f5d-abcde", 50.0),
    ("team", f"churn-{NEW}-{OLD}-7d4b9c6f5d-abcde", 70.0),  # of a Rollout that is called churn-0123456789
)  # fmt: skip


def kubelet(r: Recorder) -> list[str]:
    """cAdvisor's: containers, the pause container, and the pod's own sum beside them; one pod has the sum only."""
    told = []
    for namespace, pod, size in PODS:
        who = {"namespace": namespace, "pod": pod}
        parts = (
            {"": 1.1 * size}
            if size == 3.0
            else {"server": size * 0.75, "side": size * 0.25, "POD": 9.0, "": 1.1 * size}
        )
        for container, part in parts.items():
            named = {**who, "container": container} if container else who
            told += r.counter("container_cpu_usage_seconds_total", named, part)
            told += r.gauge("container_memory_working_set_bytes", named, part * 1e6)
            told += r.gauge("container_fs_usage_bytes", {**named, "device": "/dev/vda"}, part * 1e6)
        renamed = {
            "exported_namespace": namespace,
            "exported_pod": pod,
            "namespace": "gpu",
            "pod": "dcgm-x",
            "gpu": "0",
        }
        kept = {"namespace": namespace, "pod": pod, "gpu": "0"}
        told += r.gauge("DCGM_FI_DEV_GPU_UTIL", kept if size == 3.0 else renamed, min(100.0, size * 20))
    return told


def predictions(r: Recorder) -> list[str]:
    """The canary predicts low values more often; a third output is the stable revision's alone."""
    told = []
    shares = {NEW: {0.2: 0.7, 0.8: 0.3}, OLD: {0.2: 0.4, 0.8: 0.6}}
    for namespace in ("team", "other"):
        for revision, slow in shares.items():
            who = {"namespace": namespace, "rollout": "churn", "revision": revision}
            skewed = slow if namespace == "team" else {0.1 if revision == NEW else 0.9: 1.0}
            bounds = ("0.0", "0.25", "0.5", "1.0")
            told += r.histogram(
                "trainyard_server_prediction", {**who, "output": "p"}, Traffic(9.0, 0.0, skewed), bounds
            )
            told += r.histogram("trainyard_server_prediction", {**who, "output": "q"}, Traffic(9.0, 0.0, FAST), bounds)
        old = {"namespace": namespace, "rollout": "churn", "revision": OLD, "output": "r"}
        told += r.histogram("trainyard_server_prediction", old, Traffic(9.0), ("0.0", "0.25", "0.5", "1.0"))
        quiet = {"namespace": namespace, "rollout": "quiet", "output": "p"}
        for revision, rate in ((NEW, 9.0), (OLD, 0.0)):
            told += r.histogram("trainyard_server_prediction", {**quiet, "revision": revision}, Traffic(rate), ("0.5",))
    return told


def labels(r: Recorder) -> list[str]:
    """Labels that arrive late: of the canary 9 of 10 are right, of stable 8."""
    told = []
    for namespace, right in (("team", {NEW: 9.0, OLD: 8.0}), ("other", {NEW: 1.0, OLD: 1.0})):
        for revision, good in right.items():
            for pod in ("a", "b"):
                who = {"namespace": namespace, "revision": revision, "pod": pod}
                told += r.counter("correct_total", who, good / 2, start=0.0)
                told += r.counter("labelled_total", who, 5.0, start=0.0)
    return told


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    r = Recorder(AT.timestamp())
    told = [f for made in (served, envoy, istio, traefik, kubelet, predictions, labels) for f in made(r)]
    with prometheus("scrape_configs: []\n", recorded="\n".join([*told, "# EOF", ""])) as started:
        yield started


@pytest.fixture
async def client(url: str) -> AsyncIterator[HttpPrometheus]:
    found = HttpPrometheus(url)
    yield found
    await found.close()


async def asked(client: HttpPrometheus, source: str, metric: str, slower: str = "") -> dict[str, float]:
    """Ask for both tenants at once, and return what one of them gets."""
    sharing, form = Sharing(), Form(source, metric, WINDOW, slower)
    sharing.expect(form, STRANGER, AT)
    answer = await sharing.ask(client, form, SUBJECT, AT)
    assert answer.samples is not None, answer
    assert len({s.labels["revision"] for s in answer.samples}) == len(answer.samples)
    return {s.labels["revision"]: s.value for s in answer.samples}


@pytest.mark.parametrize("source", sources.SOURCES)
async def test_requests(client: HttpPrometheus, source: str) -> None:
    assert await asked(client, source, "Requests") == pytest.approx({NEW: 10.0, OLD: 5.0})
    assert await asked(client, source, COUNT) == pytest.approx({NEW: 600.0, OLD: 300.0})


@pytest.mark.parametrize("source", [s for s in sources.SOURCES if s != "KServe"])
async def test_error_rate(client: HttpPrometheus, source: str) -> None:
    assert await asked(client, source, "ErrorRate") == pytest.approx({NEW: 0.2, OLD: 0.0})


@pytest.mark.parametrize("source", BOUNDS)
@pytest.mark.parametrize(("metric", "share"), [("LatencyP50", 0.5), ("LatencyP95", 0.95), ("LatencyP99", 0.99)])
async def test_latency(client: HttpPrometheus, source: str, metric: str, share: float) -> None:
    bounds = [float(bound) for bound in BOUNDS[source]]
    wanted = {NEW: CANARY.quantile(share, bounds), OLD: STABLE.quantile(share, bounds)}
    assert await asked(client, source, metric) == pytest.approx(wanted)


@pytest.mark.parametrize("source", BOUNDS)
@pytest.mark.parametrize("slower", ["0.1", "5", "0.25"])
async def test_slow_share(client: HttpPrometheus, source: str, slower: str) -> None:
    found = await asked(client, source, "SlowShare", slower)
    if float(slower) not in map(float, BOUNDS[source]):
        assert found == {}  # no such bucket, no number
    else:
        wanted = 0.1 if float(slower) < 0.4 else 0.0
        assert found == pytest.approx({NEW: wanted, OLD: 0.0}, abs=1e-9)


async def test_pods(client: HttpPrometheus) -> None:
    assert await asked(client, "ModelServer", "CPU") == pytest.approx({NEW: 1.0, OLD: 3.3})
    assert await asked(client, "ModelServer", "Memory") == pytest.approx({NEW: 1.0e6, OLD: 3.3e6})
    assert await asked(client, "ModelServer", "Disk") == pytest.approx({NEW: 1.0e6, OLD: 3.3e6})
    assert await asked(client, "ModelServer", "AcceleratorUse") == pytest.approx({NEW: 0.2, OLD: 0.6})


async def test_drift_is_the_greatest_distance_of_the_distributions(client: HttpPrometheus) -> None:
    assert await asked(client, "ModelServer", DRIFT) == pytest.approx({NEW: 0.3})
    quiet = await Sharing().ask(client, Form("ModelServer", DRIFT, WINDOW), Subject("team", "quiet", (NEW, OLD)), AT)
    assert quiet.samples == ()  # one of both predicted nothing: no distance, rather than none


@pytest.mark.parametrize(("source", "metric", "slower", "share"), [
    ("ModelServer", "ErrorRate", "", 0.2), ("ModelServer", "SlowShare", "0.25", 0.1), ("Contour", "ErrorRate", "", 0.2),
    ("Istio", "SlowShare", "0.25", 0.1), ("Traefik", "ErrorRate", "", 0.2), ("KServe", "SlowShare", "0.25", 0.1),
])  # fmt: skip
async def test_counters_by_process(client: HttpPrometheus, source: str, metric: str, slower: str, share: float) -> None:
    form, grid = Form(source, metric, WINDOW, slower), Grid(AT - timedelta(seconds=120), AT, 30, 30)
    grown: list[dict[tuple[str, str], float]] = []
    for answer in await RangeSharing().ask(client, form, SUBJECT, grid, AT):
        assert answer.series is not None, answer
        assert all(len(series.points) == 5 for series in answer.series)
        ends = {(s.labels["revision"], s.labels["instance"]): s.points for s in answer.series}
        grown.append({who: points[-1][1] - points[0][1] for who, points in ends.items()})
    part, total = grown
    assert sum(v for (r, _), v in total.items() if r == NEW) == pytest.approx(1200.0)
    assert sum(v for (r, _), v in total.items() if r == OLD) == pytest.approx(600.0)
    assert sum(v for (r, _), v in part.items() if r == NEW) == pytest.approx(1200.0 * share)
    assert sum(v for (r, _), v in part.items() if r == OLD) == pytest.approx(0.0, abs=1e-9)


async def test_a_bucket_that_is_not_configured_has_no_series(client: HttpPrometheus) -> None:
    form, grid = Form("Traefik", "SlowShare", WINDOW, "0.5"), Grid(AT - timedelta(seconds=120), AT, 30, 30)
    arm = await RangeSharing().ask(client, form, SUBJECT, grid, AT)
    found = blocks.made(grid, arm, arm, (NEW, OLD))
    assert found.parts == (False, False)
    assert sum(block.total for block in found.canary) == pytest.approx(1200.0)


async def test_a_ratio_of_late_labels(client: HttpPrometheus) -> None:
    values = {"revision": NEW, "namespace": "team"} | dict.fromkeys(("rollout", "version", "stableRevision"), "x")
    sides = [
        queries_custom.counter(f"{n}_total{{revision=$(revision)}}", values, "team") for n in ("correct", "labelled")
    ]
    good, total = (queries_custom.grown(side, WINDOW) for side in sides)
    answer = await client.query(f"{good} / {total}", AT - timedelta(seconds=100))
    assert [s.value for s in answer.samples or ()] == pytest.approx([0.9])
    raw = await client.query_range(queries_custom.raw(sides[0]), AT - timedelta(seconds=60), AT, 30)
    assert [(set(s.labels) - {"namespace", "revision"}, len(s.points)) for s in raw.series or ()] == [({"pod"}, 3)] * 2


async def test_nobody_gets_numbers_of_a_namesake(client: HttpPrometheus) -> None:
    form = Form("ModelServer", "ErrorRate", WINDOW)
    sharing = Sharing()
    sharing.expect(form, SUBJECT, AT)
    stranger = await sharing.ask(client, form, STRANGER, AT)
    assert {s.labels["revision"]: s.value for s in stranger.samples or ()} == pytest.approx({NEW: 0.9})


async def test_no_requests_are_no_number(client: HttpPrometheus) -> None:
    nobody = Subject("team", "nobody", (NEW, OLD))
    assert (await Sharing().ask(client, Form("ModelServer", "ErrorRate", WINDOW), nobody, AT)).samples == ()
    nan = (await client.query("vector(0) / 0", AT)).samples
    assert nan
    assert math.isnan(nan[0].value)
