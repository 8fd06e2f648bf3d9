"""What the benchmark makes of its measurements."""

import io
from pathlib import Path

import pytest
from rich.console import Console

from bench.figures import Request
from bench.measuring import Plan, Results, Stretch
from bench.parts import Finished
from bench.report import ROWS, Part, cpu_model, details, document, figures, table, verdicts

US = "operator-bench"
STATUS, ROUTE = Request(US, "patch", "rollouts"), Request(US, "patch", "httproutes")
EVENT, READ, LEASE = Request(US, "create", "events"), Request(US, "get", "httproutes"), Request(US, "patch", "leases")
PLAN = Plan(rollouts=2, changes=4, steps=2, idle_seconds=30)
RESULTS = Results(
    idle=Stretch(30.0, 0.15, [LEASE] * 20 + [READ], 0),
    single=[0.04, 0.01, 0.03, 0.02],
    steps=[[STATUS, ROUTE, STATUS, EVENT, READ], [STATUS, ROUTE, STATUS, STATUS, EVENT]],
    burst=1.5,
    burst_stretch=Stretch(2.0, 0.05, [STATUS] * 8 + [LEASE], 0),
    flying=Stretch(15.0, 1.5, [READ] * 30, 12),
    rss_mb=90.0,
    recovery=17.004,
    led_again=16.0,
    touched=0,
)
TITLES = {"trainyard": "Trainyard", "other": "Other"}


def part(tool: str, **changed: float) -> Part:
    return Part(2, tool, figures(RESULTS) | changed, details(PLAN, RESULTS), 61.3, 0.5)


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
    assert [row.key for row in ROWS] == list(figures(RESULTS))


def test_details() -> None:
    assert details(PLAN, RESULTS) == {
        "changes": 4,
        "steps": 2,
        "most_writes_of_a_step": 4,
        "events_per_step": 1.0,
        "idle_seconds": 30.0,
        "idle_lease_requests_per_min": 40.0,
        "idle_writes": 0,
        "burst_settled_s": 2.0,
        "burst_requests_per_rollout": 4.0,
        "burst_cpu_ms_per_rollout": 25.0,
        "in_flight_requests_per_min": 120.0,
        "in_flight_queries_per_min": 48.0,
        "in_flight_cpu_percent": 10.0,
        "recovery_until_lease_s": 16.0,
        "touched": 0,
    }


def test_the_document_names_how_many_and_who() -> None:
    written = document([part("trainyard"), part("other")], {"trainyard": "1"}, {"cores": 2})
    assert list(written) == ["n2", "details", "versions", "machine"]
    assert written["n2"] == {"trainyard": figures(RESULTS), "other": figures(RESULTS)}
    assert written["details"]["n2"]["other"]["run_seconds"] == 61.3


def test_a_table_has_a_column_for_each() -> None:
    shown = table([part("trainyard"), part("other")], TITLES)
    assert [column.header for column in shown.columns] == ["figure", "Trainyard", "Other", "unit", "target"]
    assert shown.row_count > len(ROWS)


def test_no_number_is_cut_in_a_narrow_window() -> None:
    made = [part(tool, burst_done_s=1234.5) for tool in ("trainyard", "other", "another")]
    page = io.StringIO()
    Console(width=80, file=page).print(table(made, {**TITLES, "another": "Another one"}))
    assert page.getvalue().count("1,234.50") == 3
    assert "% of a core" in page.getvalue()


def test_what_is_missed_and_who_is_ahead_is_said() -> None:
    said = verdicts([part("trainyard"), part("other", rss_mb=89.0, recovery_s=20.0)], TITLES)
    assert said == [
        "2 Rollouts: writes of a step that changes weight alone is 3.5, over the target of 3",
        "2 Rollouts: Other is ahead in: resident memory, all canaries in flight",
    ]
    assert verdicts([part("other")], TITLES) == []


def test_a_finished_part_is_kept(tmp_path: Path) -> None:
    kept = Finished(tmp_path / "parts")
    assert kept.get(2, "other") is None
    kept.keep(part("other"))
    assert Finished(tmp_path / "parts").get(2, "other") == part("other")
    assert kept.get(2, "trainyard") is None
    kept.clear()
    assert kept.get(2, "other") is None


@pytest.mark.parametrize(
    ("cpuinfo", "name"), [("processor\t: 0\nmodel name\t: Some CPU \n", "Some CPU"), ("BogoMIPS\t: 50\n", "unknown")]
)
def test_the_processor(cpuinfo: str, name: str) -> None:
    assert cpu_model(cpuinfo) == name
