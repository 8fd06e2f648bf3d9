"""A pipeline as people see it: what starts its runs, and when next."""

import re
from typing import Any

from tests.unit.cli.test_screens import NOW, drawn, run
from trainyard.cli import listing, pipeline_screen

JOB = {"job": {"template": {"image": "example/trainer:1"}, "workers": 2}}


def pipeline(**spec: Any) -> dict[str, Any]:
    return {
        "metadata": {"name": "churn", "creationTimestamp": "2026-02-01T00:00:00Z"},
        "spec": {"model": "churn", "engine": JOB, **spec},
        "status": {
            "revision": "churn-1111111111", "lastRun": "churn-0a1b2c3d4e", "latestVersion": "churn-0a1b2c3d4e",
            "activeRuns": ["churn-0a1b2c3d4e"],
            "conditions": [{"type": "Ready", "status": "True", "reason": "UpToDate", "message": "There is a run."}],
            "schedules": [
                {"name": "nightly", "lastSlot": "2026-03-01T01:00Z", "next": "2026-03-02T01:00Z"},
                {"name": "late", "next": "2026-03-01T11:59Z"},
            ],
        },
    }  # fmt: skip


TRIGGERS = {
    "onChange": True,
    "schedules": [
        {"name": "nightly", "cron": "0 2 * * *", "timeZone": "Europe/Berlin"},
        {"name": "late", "cron": "59 * * * *"},
        {"name": "off", "cron": "0 0 1 1 *", "suspend": True},
    ],
    "events": [{"name": "new-data", "type": "s3:ObjectCreated", "source": "minio/", "auth": {"bearer": {}}}],
}
PARAMETERS = [
    {"name": "epochs", "type": "Integer", "default": 3, "description": "How often all data is seen."},
    {"name": "label", "type": "String"},
    {"name": "note", "type": "String", "default": "none"},
]


def test_everything_of_a_pipeline() -> None:
    full = pipeline(
        triggers=TRIGGERS, parameters=PARAMETERS, retry={"limit": 2}, timeoutSeconds=3600,
        data={"datasets": [{"name": "customers", "uri": "s3://trainyard/data/customers/"}]},
    )  # fmt: skip
    lines = drawn(pipeline_screen.screen(full, [run()], NOW)).splitlines()
    assert ["  ".join(re.split(r" {2,}", line)) for line in lines] == [
        "TrainingPipeline churn  Ready True  UpToDate: There is a run.",
        "model  churn",
        "engine  job  example/trainer:1  2 workers",
        "revision  churn-1111111111",
        "concurrency  Forbid",
        "limits  1h a run, 3 attempts",
        "active runs  churn-0a1b2c3d4e",
        "last run  churn-0a1b2c3d4e",
        "latest version  churn-0a1b2c3d4e",
        "",
        "TRIGGER  NAME  WHEN  NEXT  LAST",
        "Change  engine, parameters or data URIs change",
        "Schedule  nightly  0 2 * * * Europe/Berlin  2026-03-02T01:00Z (in 13h)  2026-03-01T01:00Z",
        "Schedule  late  59 * * * * UTC  2026-03-01T11:59Z (due)",
        "Schedule  off  0 0 1 1 * UTC  suspended",
        "Event  new-data  s3:ObjectCreated from minio/, proof: bearer",
        "",
        "PARAMETER  TYPE  DEFAULT  DESCRIPTION",
        "epochs  Integer  3  How often all data is seen.",
        "label  String  (a run must give it)",
        "note  String  none",
        "",
        "DATASET  URI",
        "customers  s3://trainyard/data/customers/",
        "",
        "NAME  PIPELINE  STATE  TOOK  VERSION  TRIGGER  BY  AGE",
        "churn-0a1b2c3d4e  churn  Running  1m  OneOff  2m",
    ]


def test_a_suspended_pipeline_without_triggers() -> None:
    text = drawn(pipeline_screen.screen(pipeline(suspend=True), [], NOW))
    assert "suspended       no run starts by trigger" in text
    assert "no triggers: runs start by hand only" in text
    assert "1 attempt\n" in text


def test_a_kubeflow_pipeline_says_where_its_package_is() -> None:
    for package, told in (
        ({"configMap": {"name": "churn-package", "key": "p.yaml"}}, "ConfigMap churn-package"),
        ({"artifact": "s3://trainyard/ns/p.yaml"}, "s3://trainyard/ns/p.yaml"),
        ({"inline": "pipelineInfo: {}"}, "inline"),
    ):
        text = drawn(pipeline_screen.screen(pipeline(engine={"kubeflow": {"package": package}}), [], NOW))
        assert f"engine          kubeflow  package {told}\n" in text


def test_a_pipeline_that_is_refused_says_why() -> None:
    refused = pipeline(engine={})
    refused["status"]["conditions"] = [
        {"type": "Accepted", "status": "False", "reason": "PackageNotFound", "message": "no ConfigMap p"},
    ]
    text = drawn(pipeline_screen.screen(refused, [], NOW))
    assert text.startswith("TrainingPipeline churn  Ready Unknown\nNot accepted: PackageNotFound: no ConfigMap p\n")


def test_the_list_tells_the_soonest_slot() -> None:
    lines = drawn(listing.pipelines([pipeline(), pipeline(suspend=True)], NOW)).splitlines()
    assert lines[0].split("  ")[0] == "NAME"
    assert " due " in lines[1]
    assert "suspended" in lines[2]
