"""`trainyard rollout replay` over a past that a real Prometheus has in its store."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.servers.running import prometheus

pytestmark = pytest.mark.servers

START = datetime(2026, 11, 1, 6, 0, tzinfo=UTC)
SCRAPE = 5
BAD_FROM, LENGTH = 600, 1500  # seconds after the start: the canary begins to fail; the past ends
OWNER = 'namespace="shop",rollout="churn",model="churn"'
POLICY: dict[str, Any] = {
    "apiVersion": "trainyard.dev/v1alpha1",
    "kind": "Rollout",
    "metadata": {"name": "churn", "namespace": "shop"},
    "spec": {
        "model": "churn",
        "version": {"latest": {}},
        "target": {"kubernetes": {"traffic": {"parentRefs": [{"name": "gate"}]}}},
        "strategy": {
            "canary": {
                "steps": [
                    {"setWeight": 10}, {"pause": {"durationSeconds": 300}},
                    {"setWeight": 50}, {"pause": {"durationSeconds": 600}},
                ]
            }
        },
        "analysis": {
            "intervalSeconds": 15, "minRequests": 50,
            "metrics": [
                {"name": "errors", "builtin": "ErrorRate", "max": "0.05", "failureLimit": 1},
                {"name": "p99", "builtin": "LatencyP99", "maxIncreasePercent": "50"},
            ],
        },
    },
}  # fmt: skip


def past() -> str:
    """Tell what both revisions answered: ten requests a second each, all well until the canary fails every fifth."""
    counts = "trainyard_server_requests"
    durations = "trainyard_server_request_duration_seconds"
    lines = {counts: [f"# TYPE {counts} counter"], durations: [f"# TYPE {durations} histogram"]}
    for revision in ("aaaaaaaaaa", "bbbbbbbbbb"):
        who = f'{OWNER},revision="{revision}",version="churn-{revision[0]}"'
        for second in range(0, LENGTH + 1, SCRAPE):
            stamp = START.timestamp() + second
            failed = 2 * max(0, second - BAD_FROM) if revision[0] == "b" else 0
            total = 10 * second
            lines[counts].append(f'{counts}_total{{{who},code="200"}} {total - failed} {stamp:.0f}')
            lines[counts].append(f'{counts}_total{{{who},code="500"}} {failed} {stamp:.0f}')
            for bound, share in (("0.05", 0.9), ("0.1", 1.0), ("+Inf", 1.0)):
                lines[durations].append(f'{durations}_bucket{{{who},le="{bound}"}} {total * share:.0f} {stamp:.0f}')
            lines[durations].append(f"{durations}_count{{{who}}} {total} {stamp:.0f}")
            lines[durations].append(f"{durations}_sum{{{who}}} {total * 0.04:.2f} {stamp:.0f}")
    ordered = [*_by_series(lines[counts]), *_by_series(lines[durations])]
    return "\n".join([*ordered, "# EOF", ""])


def _by_series(lines: list[str]) -> list[str]:
    """OpenMetrics wants the samples of one series together, and a histogram's series of one labelling together."""
    head, *samples = lines
    return [head, *sorted(samples, key=lambda line: (line.split("{")[1].partition("version")[0], "le=" not in line))]


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with prometheus("global: {scrape_interval: 5s}\n", past()) as address:
        yield address


def replay(url: str, folder: Path, *arguments: str, **analysis: Any) -> dict[str, Any]:
    """Replay the policy, changed by these, without a cluster."""
    policy = json.loads(json.dumps(POLICY))
    policy["spec"]["analysis"] |= analysis
    file = folder / "policy.yaml"
    file.write_text(yaml.safe_dump(policy))
    times = ("--from", START.isoformat(), "--to", (START + timedelta(seconds=LENGTH)).isoformat())
    command = [
        sys.executable, "-m", "trainyard.cli", "rollout", "replay", "-f", str(file), "--prometheus", url, *times,
        "--canary", "bbbbbbbbbb", "--stable", "aaaaaaaaaa", "--scrape-seconds", str(SCRAPE), "-o", "json", *arguments,
    ]  # fmt: skip
    environment = {**os.environ, "KUBECONFIG": "/nonexistent"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def test_the_failure_is_found_where_it_was(url: str, tmp_path: Path) -> None:
    told = replay(url, tmp_path)
    assert told["outcome"] == "Aborted"
    assert told["message"].startswith("errors was 0.")
    assert BAD_FROM < told["seconds"] < BAD_FROM + 60, "two measurements that fail, and their window"
    assert [e["weight"] for e in told["events"] if e["kind"] == "WeightSet"] == [10, 50]
    assert told["verdicts"]["p99"].keys() == {"Pass"}
    assert told["verdicts"]["errors"]["Fail"] == 2


def test_a_more_lenient_policy_would_have_promoted_it(url: str, tmp_path: Path) -> None:
    metrics = [{"name": "errors", "builtin": "ErrorRate", "max": "0.5"}]
    assert replay(url, tmp_path, metrics=metrics)["outcome"] == "Promoted"


def test_a_query_of_ones_own(url: str, tmp_path: Path) -> None:
    query = 'sum(rate(trainyard_server_requests_total{revision=$(revision),code="500"}[$(window)]))'
    told = replay(url, tmp_path, metrics=[{"name": "failures", "query": query, "max": "1.5"}])
    assert (told["outcome"], told["message"].split()[0]) == ("Aborted", "failures")


def test_a_time_that_nobody_recorded_is_held(url: str, tmp_path: Path) -> None:
    early = (START - timedelta(hours=2)).isoformat()
    told = replay(url, tmp_path, "--from", early, "--to", (START - timedelta(hours=1)).isoformat())
    assert (told["outcome"], told["seconds"]) == ("Undecided", None)
    assert told["verdicts"]["errors"].keys() <= {"Inconclusive", "NoData"}


def test_measuring_less_often_asks_less(url: str, tmp_path: Path) -> None:
    often, seldom = replay(url, tmp_path), replay(url, tmp_path, "--step-seconds", "60")
    assert seldom["measurements"] < often["measurements"] / 2
    assert seldom["outcome"] == "Aborted"


def test_a_sequential_metric_is_compared_block_by_block(url: str, tmp_path: Path) -> None:
    metric = {"name": "errors", "builtin": "ErrorRate", "margin": "0.02", "sequential": {}}
    told = replay(url, tmp_path, metrics=[metric])
    measured = [event["metrics"][0] for event in told["events"] if event["kind"] == "Measured"]
    assert float(measured[-1]["lower"]) < float(measured[-1]["upper"])
    assert told["verdicts"]["errors"].keys() <= {"Pass", "Inconclusive", "Fail"}
