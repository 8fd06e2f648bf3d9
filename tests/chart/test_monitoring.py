"""Alerts and the dashboard: rendered, read by Prometheus' own tools, firing when they should, and about real series."""

import json
import re
import subprocess
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
import yaml
from prometheus_client.metrics_core import Metric

from tests.chart.charts import CHART, Helm, Obj, ci, one, rendered
from tests.servers.running import tool
from trainyard import telemetry
from trainyard.telemetry_rollouts import Rollouts

pytestmark = pytest.mark.rig

ALERTS = CHART / "files/alerts.yaml"
DASHBOARD = CHART / "files/dashboard.json"
OPERATING = CHART.parents[1] / "docs/operating.md"
SERIES = re.compile(r"\btrainyard_(?:operator|rollout)_\w+")
OWNER = 'namespace="shop",rollout="churn"'


def rules() -> list[Obj]:
    """Return the alerts."""
    return [rule for group in yaml.safe_load(ALERTS.read_text())["groups"] for rule in group["rules"]]


def exported() -> set[str]:
    """Return the name of every series that the operator exports."""
    rollouts = Rollouts(list, lambda: False, lambda: None)  # type: ignore[arg-type,return-value] # there is none to date
    ages = telemetry.WatchAges(lambda: [("Pod", "", 1.0, True)])
    waiting = telemetry.WaitingRows(lambda: 1)
    families = [*telemetry.REGISTRY.collect(), *rollouts.collect(), *ages.collect(), *waiting.collect()]
    names = {name for family in families for name in _names(family) if name.startswith("trainyard_")}
    # Other tests of this process may have loaded the receiver, which has a process and metrics of its own.
    return {name for name in names if not name.startswith("trainyard_events_")}


def _names(family: Metric) -> Iterable[str]:
    yield f"{family.name}_total" if family.type == "counter" else family.name
    if family.type == "histogram":
        yield from (f"{family.name}_{part}" for part in ("bucket", "sum", "count"))


def named(text: str) -> set[str]:
    return set(SERIES.findall(text))


def test_they_are_rendered_where_asked_for(helm: Helm) -> None:
    quiet = rendered(helm)
    assert not [o for o in quiet if o["kind"] == "PrometheusRule" or o["metadata"]["name"].endswith("-dashboard")]
    objects = rendered(helm, *ci("external"))
    rule = one(objects, "PrometheusRule", "trainyard")
    assert rule["spec"] == yaml.safe_load(ALERTS.read_text())
    assert rule["metadata"]["labels"]["release"] == "prometheus"
    board = one(objects, "ConfigMap", "trainyard-dashboard")
    assert board["metadata"]["labels"]["grafana_dashboard"] == "1"
    assert json.loads(board["data"]["trainyard.json"]) == json.loads(DASHBOARD.read_text())
    told = one(rendered(helm, *ci("namespaced")), "ConfigMap", "trainyard-alerts")["data"]["alerts.yaml"]
    assert yaml.safe_load(told) == yaml.safe_load(ALERTS.read_text())


def test_the_operators_own_labels_win_and_only_its_pods_are_asked(helm: Helm) -> None:
    monitor = one(rendered(helm, *ci("external")), "PodMonitor", "trainyard-operator")["spec"]
    assert [e["honorLabels"] for e in monitor["podMetricsEndpoints"]] == [True]
    assert "namespaceSelector" not in monitor, "its own namespace only"
    (pods,) = (
        o["spec"]["template"]["metadata"]["labels"]
        for o in rendered(helm, *ci("external"))
        if (o["kind"], o["metadata"]["name"]) == ("Deployment", "trainyard")
    )
    assert monitor["selector"]["matchLabels"].items() <= pods.items()


def test_prometheus_takes_the_rules() -> None:
    done = subprocess.run(
        [tool("promtool"), "check", "rules", str(ALERTS)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert f"SUCCESS: {len(rules())} rules found" in done.stdout


def test_every_alert_can_be_acted_on() -> None:
    assert len({rule["alert"] for rule in rules()}) == len(rules())
    for rule in rules():
        assert rule["labels"]["severity"] in ("warning", "critical")
        assert rule["annotations"].keys() == {"summary", "description"}


def test_alerts_and_dashboard_ask_for_series_that_there_are() -> None:
    asked = named(ALERTS.read_text()) | named(DASHBOARD.read_text())
    assert asked - exported() == set()


def test_the_page_lists_every_series_and_every_alert() -> None:
    text = OPERATING.read_text()
    families = {name for name in exported() if not name.endswith(("_bucket", "_sum", "_count"))}
    assert families - named(text) == set()
    assert named(text) - exported() == set()
    assert [rule["alert"] for rule in rules() if f"`{rule['alert']}`" not in text] == []


def test_panels_do_not_overlap_and_have_their_data_source() -> None:
    board = json.loads(DASHBOARD.read_text())
    cells: set[tuple[int, int]] = set()
    for panel in board["panels"]:
        at = panel["gridPos"]
        mine = {(x, y) for x in range(at["x"], at["x"] + at["w"]) for y in range(at["y"], at["y"] + at["h"])}
        assert not mine & cells, panel["title"]
        assert max(x for x, _ in mine) < 24
        cells |= mine
        assert all(t["datasource"]["uid"] == "${datasource}" for t in panel.get("targets", ()))
    assert len({panel["id"] for panel in board["panels"]}) == len(board["panels"])


def series(name: str, values: str, **labels: str) -> Mapping[str, str]:
    """Return one series for promtool: a value a minute."""
    inside = ",".join([*([OWNER] if "_rollout_" in name else []), *(f'{k}="{v}"' for k, v in labels.items())])
    return {"series": f"{name}{{{inside}}}", "values": values}


ROLLOUT, OPERATOR = "trainyard_rollout_", "trainyard_operator_"


def stands(condition: str, values: str) -> list[Mapping[str, str]]:
    """Return a condition of the Rollout."""
    return [series(f"{ROLLOUT}condition", values, condition=condition, reason="R")]


APART = [
    series(f"{ROLLOUT}weight_percent", "50x60", share="intended"),
    series(f"{ROLLOUT}weight_percent", "10x60", share="routed"),
]
FAILED = [series(f"{OPERATOR}errors_total", "0+60x60", kind="Rollout", reason="Forbidden")]
# alert, the series that make it fire, the minute at which it has to, and one at which it must not
FIRING: list[tuple[str, list[Mapping[str, str]], str, str]] = [
    ("TrainyardRolloutHeld", [series(f"{ROLLOUT}held_seconds", "0+60x60")], "25m", "10m"),
    ("TrainyardRolloutStalled", stands("Stalled", "1x60"), "6m", "4m"),
    ("TrainyardRolloutUnavailable", stands("Available", "1x9 0x60"), "16m", "9m"),
    ("TrainyardRolloutRefused", stands("Accepted", "0x60"), "16m", "10m"),
    ("TrainyardRolloutAborted", [series(f"{ROLLOUT}outcomes_total", "0x9 1x60", outcome="Aborted")], "12m", "9m"),
    ("TrainyardRolloutWeightApart", APART, "16m", "10m"),
    ("TrainyardOperatorNotLeading", [series(f"{OPERATOR}lease_held", "1x5 0x60")], "9m", "5m"),
    ("TrainyardOperatorWatchOld", [series(f"{OPERATOR}watch_age_seconds", "0+60x60", kind="Pod")], "6m", "2m"),
    ("TrainyardOperatorWatchNotListed", [series(f"{OPERATOR}watch_synced", "0x60", kind="Pod")], "6m", "3m"),
    ("TrainyardOperatorQueueDeep", [series(f"{OPERATOR}queue_depth", "500x60")], "11m", "5m"),
    ("TrainyardOperatorVisitsFail", FAILED, "30m", "5m"),
    ("TrainyardRowsWaiting", [series(f"{OPERATOR}rows_waiting", "3x60")], "31m", "20m"),
    ("TrainyardRowsDropped", [series(f"{OPERATOR}rows_dropped_total", "0x9 4x60", kind="Rollout")], "15m", "9m"),
]


def stays_quiet(folder: Path, told: Sequence[Mapping[str, str]], moments: Iterable[tuple[str, str]]) -> bool:
    """Ask promtool whether these alerts, each at its minute, are quiet over these series."""
    asked = [{"eval_time": minute, "alertname": alert, "exp_alerts": []} for alert, minute in moments]
    test = {"interval": "1m", "input_series": told, "alert_rule_test": asked}
    file = folder / "test.yaml"
    file.write_text(json.dumps({"rule_files": [str(ALERTS)], "evaluation_interval": "1m", "tests": [test]}))
    done = subprocess.run([tool("promtool"), "test", "rules", str(file)], capture_output=True, text=True, check=False)
    assert not done.returncode or "got:" in done.stderr + done.stdout, done.stderr + done.stdout
    return not done.returncode


@pytest.mark.parametrize("row", FIRING, ids=lambda row: row[0])
def test_an_alert_fires_when_it_should_and_only_then(row: Any, tmp_path: Path) -> None:
    alert, told, loud, quiet = row
    assert not stays_quiet(tmp_path, told, [(alert, loud)])
    assert stays_quiet(tmp_path, told, [(alert, quiet)])


def test_every_alert_is_tried() -> None:
    assert {row[0] for row in FIRING} == {rule["alert"] for rule in rules()}


def test_nothing_fires_while_all_is_well(tmp_path: Path) -> None:
    calm = [
        series(f"{ROLLOUT}held_seconds", "0x60"), series(f"{ROLLOUT}outcomes_total", "0x60", outcome="Aborted"),
        *(series(f"{ROLLOUT}condition", value, condition=kind, reason="R")
          for kind, value in (("Stalled", "0x60"), ("Available", "1x60"), ("Accepted", "1x60"))),
        *(series(f"{ROLLOUT}weight_percent", "20x60", share=share) for share in ("intended", "routed")),
        series(f"{OPERATOR}lease_held", "1x60"), series(f"{OPERATOR}watch_age_seconds", "30x60", kind="Pod"),
        series(f"{OPERATOR}watch_synced", "1x60", kind="Pod"), series(f"{OPERATOR}queue_depth", "3x60"),
        series(f"{OPERATOR}errors_total", "0+60x60", kind="Rollout", reason="Conflict"),
        series(f"{OPERATOR}rows_waiting", "0x60"), series(f"{OPERATOR}rows_dropped_total", "0x60", kind="Rollout"),
    ]  # fmt: skip
    minutes = ("20m", "50m")
    assert stays_quiet(tmp_path, calm, [(rule["alert"], minute) for rule in rules() for minute in minutes])
