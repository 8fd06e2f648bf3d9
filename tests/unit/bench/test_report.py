"""What the benchmark makes of its measurements."""

import pytest

from bench.figures import Request
from bench.measuring import Plan, Results, Stretch
from bench.report import cpu_model, details, document, figures

US = "operator-bench"
STATUS, ROUTE = Request(US, "patch", "rollouts"), Request(US, "patch", "httproutes")
EVENT, READ, LEASE = Request(US, "create", "events"), Request(US, "get", "httproutes"), Request(US, "patch", "leases")
PLAN = Plan(rollouts=2, changes=4, steps=2, idle_seconds=30)
RESULTS = Results(
    idle=Stretch(30.0, 0.15, [LEASE] * 20 + [READ], 0),
    single=[0.04, 0.01, 0.03, 0.02],
    steps=[[STATUS, ROUTE, STATUS, EVENT, READ], [STATUS, ROUTE, STATUS, STATUS, EVENT]],
    burst=1.5,
    flying=Stretch(15.0, 1.5, [READ] * 30, 12),
    rss_mb=90.0,
    recovery=17.004,
    led_again=16.0,
)


def test_figures() -> None:
    assert figures(RESULTS) == {
        "single_p50_ms": 20.0,
        "single_p99_ms": 40.0,
        "burst_done_s": 1.5,
        "writes_per_step": 3.5,
        "requests_per_step": 5.0,
        "idle_requests_per_min": 42.0,
        "idle_cpu_percent": 0.5,
        "rss_mb": 90.0,
        "recovery_s": 17.0,
    }


def test_details() -> None:
    assert details(PLAN, RESULTS) == {
        "changes": 4,
        "steps": 2,
        "most_writes_of_a_step": 4,
        "events_per_step": 1.0,
        "idle_seconds": 30.0,
        "idle_lease_requests_per_min": 40.0,
        "idle_writes": 0,
        "in_flight_requests_per_min": 120.0,
        "in_flight_queries_per_min": 48.0,
        "in_flight_cpu_percent": 10.0,
        "recovery_until_lease_s": 16.0,
    }


def test_the_document_names_how_many() -> None:
    written = document(PLAN, RESULTS, {"trainyard": "1"}, {"cores": 2}, 61.26)
    assert list(written) == ["n2", "details", "versions", "machine"]
    assert written["n2"] == figures(RESULTS)
    assert written["details"]["run_seconds"] == 61.3


@pytest.mark.parametrize(
    ("cpuinfo", "name"), [("processor\t: 0\nmodel name\t: Some CPU \n", "Some CPU"), ("BogoMIPS\t: 50\n", "unknown")]
)
def test_the_processor(cpuinfo: str, name: str) -> None:
    assert cpu_model(cpuinfo) == name
