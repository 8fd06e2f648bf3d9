"""The pure parts of the benchmark: a wrong sum here would be a wrong figure in the report."""

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from bench.apiserver import audit_lines, whole_lines
from bench.figures import Request, is_working, per_minute, percentile, requests
from bench.process import cpu_seconds, resident_mb
from local.rig import ApiServerRig

US = "operator-bench"


def line(verb: str, resource: str = "", *, user: str = US, stage: str = "ResponseComplete", **ref: str) -> str:
    """One audit line as kube-apiserver writes it."""
    entry: dict[str, Any] = {"stage": stage, "verb": verb, "user": {"username": user}}
    return json.dumps(entry | ({"objectRef": {"resource": resource, **ref}} if resource else {}))


@pytest.mark.parametrize(
    ("percent", "expected"), [(50, 50.0), (99, 99.0), (99.1, 100.0), (100, 100.0), (1, 1.0), (0.5, 1.0)]
)
def test_percentile_is_the_nearest_rank(percent: float, expected: float) -> None:
    samples = [float(n) for n in range(100, 0, -1)]
    assert percentile(samples, percent) == expected


def test_percentile_of_few_is_one_of_them() -> None:
    assert percentile([3.0, 1.0], 50) == 1.0
    assert percentile([3.0, 1.0, 2.0], 50) == 2.0
    assert percentile([3.0, 1.0], 99) == 3.0
    assert percentile([7.0], 1) == 7.0


@pytest.mark.parametrize(("samples", "percent"), [([], 50), ([1.0], 0), ([1.0], 101)])
def test_no_percentile_without_samples_or_outside_of_a_hundred(samples: list[float], percent: float) -> None:
    with pytest.raises(ValueError, match="no percentile"):
        percentile(samples, percent)


def test_a_request_is_counted_once_and_only_ours() -> None:
    lines = [
        line("patch", "rollouts", subresource="status"),
        line("patch", "rollouts", user="somebody"),
        line("list", "deployments"),
        line("watch", "pods", stage="ResponseStarted"),
        line("watch", "pods"),  # the end of a watch that was counted when it began
        line("get"),
        line("patch", "httproutes", stage="Panic"),
    ]
    assert requests(lines, US) == [
        Request(US, "patch", "rollouts"),
        Request(US, "list", "deployments"),
        Request(US, "watch", "pods"),
        Request(US, "get", ""),
    ]


@pytest.mark.parametrize(
    ("verb", "resource", "write", "event", "work"),
    [
        ("patch", "rollouts", True, False, True),
        ("create", "deployments", True, False, True),
        ("delete", "services", True, False, True),
        ("get", "rollouts", False, False, True),
        ("watch", "httproutes", False, False, True),
        ("create", "events", False, True, True),
        ("list", "events", False, False, True),
        ("patch", "leases", False, False, False),
        ("get", "leases", False, False, False),
        ("create", "selfsubjectaccessreviews", False, False, False),
        ("get", "", False, False, True),
    ],
)
def test_what_counts_as_what(verb: str, resource: str, write: bool, event: bool, work: bool) -> None:
    request = Request(US, verb, resource)
    assert (request.is_write, request.is_event, request.is_work) == (write, event, work)


def test_whether_somebody_works_is_told_by_the_first_line_of_work() -> None:
    lease, work = line("patch", "leases"), line("patch", "rollouts")
    assert not is_working([lease, line("patch", "rollouts", user="somebody")], US)
    assert is_working([lease, work, "what follows is not read"], US)


def test_a_mark_in_the_middle_of_a_line_leaves_that_line_out(tmp_path: Path) -> None:
    log = tmp_path / "audit.log"
    log.write_bytes(b"one\ntwo\nthr")
    rig = cast("ApiServerRig", SimpleNamespace(audit_log=log))
    assert audit_lines(rig, 0) == ["one", "two"]
    assert audit_lines(rig, 2) == ["two"]
    assert audit_lines(rig, 4) == ["two"]
    assert audit_lines(rig, 8) == audit_lines(rig, 11) == []


def test_a_rate_a_minute() -> None:
    assert per_minute(20, 30.0) == 40.0


def test_a_line_that_is_being_written_waits() -> None:
    assert whole_lines(b'{"a":1}\n{"b":2}\n{"c":') == ['{"a":1}', '{"b":2}']
    assert whole_lines(b'{"a":1}\n') == ['{"a":1}']
    assert whole_lines(b'{"a"') == []
    assert whole_lines(b"") == []


def test_processor_time_is_user_and_system() -> None:
    stat = "42 (a (odd) name) S 1 42 42 0 -1 4194304 900 0 3 0 250 150 7 8 20 0 5 0 1000 1 1 0"
    assert cpu_seconds(stat, 100) == 4.0


def test_resident_memory() -> None:
    assert resident_mb("Name:\tpython\nVmHWM:\t  200000 kB\nVmRSS:\t  100000 kB\n") == pytest.approx(102.4)
    with pytest.raises(ValueError, match="no memory"):
        resident_mb("Name:\tpython\nState:\tZ (zombie)\n")
