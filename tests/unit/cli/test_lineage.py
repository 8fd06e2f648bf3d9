"""What was this model trained on, which models came from this data, what became of this run."""

from dataclasses import replace
from typing import Any

import pytest

from tests.fakes.cluster import FakeCluster
from tests.unit.cli.test_screens import NOW, drawn
from trainyard.cli import lineage, lineage_cluster, lineage_record, lineage_screen
from trainyard.cli.connection import Connection
from trainyard.cli.lineage import Dataset, Decision, Facts, Run, Version
from trainyard.cli.problem import Problem

OLD, NEW = "sha256:" + "a" * 64, "sha256:" + "b" * 64
CUSTOMERS = Dataset("customers", "s3://b/customers/", OLD)
FRESH = replace(CUSTOMERS, digest=NEW)
FACTS = Facts(
    versions=(
        Version("churn-1", "churn", "2026-03-01T09:00:00Z", "churn-1", datasets=(CUSTOMERS,), state="Ready"),
        Version("churn-2", "churn", "2026-03-01T11:00:00Z", "churn-2", datasets=(FRESH,), served_by=("shop",)),
        Version("import", "churn", "2026-03-01T08:00:00Z"),
        Version("fraud-1", "fraud", "2026-03-01T10:00:00Z", "fraud-1", datasets=(Dataset("cards", "s3://b/cards/"),)),
    ),
    runs=(
        Run("churn-1", "churn", "2026-03-01T08:50:00Z", "Succeeded", requested_by="ada", datasets=(CUSTOMERS,)),
        Run("churn-2", "churn", "2026-03-01T10:50:00Z", "Succeeded", trigger="Schedule nightly", datasets=(FRESH,)),
        Run("churn-3", "churn", "2026-03-01T11:50:00Z", "OutOfMemory", datasets=(FRESH,), attempts=("OutOfMemory",)),
    ),
    decisions=(
        Decision("2026-03-01T11:01:00Z", "Evaluated", "Accepted", "trainyard", "churn-2"),
        Decision("2026-03-01T11:30:00Z", "Promoted", "", "Rollout shop", "churn-2", "all steps passed"),
        Decision("2026-03-01T10:01:00Z", "Evaluated", "Rejected", "trainyard", "fraud-1"),
    ),
)
CLUSTER = ("cluster",)


def names(answer: lineage.Answer) -> tuple[list[str], list[str]]:
    return [v.name for v in answer.versions], [r.name for r in answer.runs]


def test_what_a_model_was_trained_on() -> None:
    answer = lineage.of_model(FACTS, "churn", CLUSTER)
    assert names(answer) == (["churn-2", "churn-1", "import"], ["churn-2", "churn-1"])
    assert [d.decision for d in answer.decisions] == ["Promoted", "Evaluated"]
    text = drawn(lineage_screen.screen(answer, NOW))
    assert "customers@sha256:bbbbbbbbbbbb" in text
    assert text.endswith("From the cluster: what was pruned is in the record (--database).")


def test_one_version_in_full() -> None:
    answer = lineage.of_model(FACTS, "churn-1", CLUSTER)
    assert names(answer) == (["churn-1"], ["churn-1"])
    lines = drawn(lineage_screen.screen(answer, NOW)).splitlines()
    assert "run           churn-1  Succeeded" in lines
    assert "requested by  ada" in lines
    assert "customers  sha256:aaaaaaaaaaaa  s3://b/customers/" in lines


def test_an_import_has_no_run_and_no_data() -> None:
    text = drawn(lineage_screen.screen(lineage.of_model(FACTS, "import", CLUSTER), NOW))
    assert "version  import" in text
    assert "no datasets" in text


@pytest.mark.parametrize(
    ("text", "versions", "runs"),
    [
        ("customers", ["churn-2", "churn-1"], ["churn-3", "churn-2", "churn-1"]),
        ("s3://b/customers/", ["churn-2", "churn-1"], ["churn-3", "churn-2", "churn-1"]),
        (NEW, ["churn-2"], ["churn-3", "churn-2"]),
        (OLD[:15], ["churn-1"], ["churn-1"]),
    ],
)
def test_which_models_came_from_a_dataset(text: str, versions: list[str], runs: list[str]) -> None:
    answer = lineage.of_dataset(FACTS, text, CLUSTER)
    assert names(answer) == (versions, runs)
    screen = drawn(lineage_screen.screen(answer, NOW))
    assert ("runs that made no version" in screen) == ("churn-3" in runs)


def test_what_became_of_a_run() -> None:
    text = drawn(lineage_screen.screen(lineage.of_run(FACTS, "churn-2", ("cluster", "record")), NOW))
    assert "serves in  shop" in text
    assert "Promoted" in text
    assert "all steps passed" in text
    assert "From the cluster" not in text
    failed = drawn(lineage_screen.screen(lineage.of_run(FACTS, "churn-3", CLUSTER), NOW))
    assert "failed attempts  OutOfMemory" in failed


def test_what_is_not_known() -> None:
    with pytest.raises(Problem, match="Neither a model nor a ModelVersion 'x' is known to the cluster and the record"):
        lineage.of_model(FACTS, "x", ("cluster", "record"))
    with pytest.raises(Problem, match="Datasets here: cards, customers"):
        lineage.of_dataset(FACTS, "x", CLUSTER)
    with pytest.raises(Problem, match=r"No run was trained on a dataset 'x', as far as the cluster knows\.$"):
        lineage.of_dataset(Facts(), "x", CLUSTER)
    with pytest.raises(Problem, match="No TrainingRun 'x' is known to the cluster"):
        lineage.of_run(FACTS, "x", CLUSTER)


def test_the_record_adds_what_was_pruned() -> None:
    here = Facts(FACTS.versions[1:], FACTS.runs[1:], FACTS.decisions[:1])
    both = lineage.together(here, replace(FACTS, versions=(replace(FACTS.versions[1], state="old"), *FACTS.versions)))
    assert {v.name: v.pruned for v in both.versions} == {
        "churn-1": True, "churn-2": False, "import": False, "fraud-1": False,
    }  # fmt: skip
    assert {r.name: r.pruned for r in both.runs} == {"churn-1": True, "churn-2": False, "churn-3": False}
    assert next(v.state for v in both.versions if v.name == "churn-2") == ""
    assert both.decisions == FACTS.decisions
    assert lineage.together(here, Facts()).decisions == here.decisions
    text = drawn(lineage_screen.screen(lineage.of_run(both, "churn-1", ("cluster", "record")), NOW))
    assert "churn-1  Succeeded  (pruned)" in text


def test_json_and_names() -> None:
    answer = lineage.of_dataset(FACTS, NEW, CLUSTER)
    told = lineage_screen.as_json(answer)
    assert (told["kind"], told["asked"], told["versions"][0]["datasets"][0]["digest"]) == ("dataset", CLUSTER, NEW)
    assert lineage_screen.names(answer) == [
        "modelversion.trainyard.dev/churn-2", "trainingrun.trainyard.dev/churn-3", "trainingrun.trainyard.dev/churn-2",
    ]  # fmt: skip


async def test_from_the_cluster() -> None:
    cluster = FakeCluster()

    def seed(kind: str, name: str, spec: dict[str, Any], status: dict[str, Any]) -> None:
        meta = {"name": name, "namespace": "shop"}
        cluster.seed(
            {"apiVersion": "trainyard.dev/v1alpha1", "kind": kind, "metadata": meta, "spec": spec}, status=status
        )

    data = [{"name": "customers", "uri": "s3://b/customers/", "digest": OLD}]
    rules = [
        {"rule": "auc >= 0.9", "passed": False, "message": "auc 0.8 is below min 0.9"},
        {"rule": "x", "passed": True},
    ]
    seed(
        "ModelVersion", "churn-1",
        {"model": "churn", "createdAt": "2026-03-01T09:00:00Z", "artifact": {"uri": "s3://b/m/", "digest": NEW},
         "metrics": {"auc": "0.8"}, "source": {"run": "churn-1", "datasets": data, "images": [NEW]}},
        {"decision": {"verdict": "Rejected", "at": "2026-03-01T09:01:00Z", "rules": rules}, "servedBy": ["shop"],
         "conditions": [{"type": "Ready", "status": "False", "reason": "Rejected"}]},
    )  # fmt: skip
    seed(
        "TrainingRun", "churn-1",
        {"pipeline": "churn", "requestedBy": "ada", "trigger": {"type": "OneOff", "name": "ada"}, "experiment": "wide"},
        {"datasets": data, "images": [NEW], "parameters": {"epochs": 1}, "modelVersion": "churn-1",
         "conditions": [{"type": "Succeeded", "status": "True", "reason": "Succeeded"}],
         "attempts": [{"attempt": 1, "engineId": "e", "reason": "StepFailed"}]},
    )  # fmt: skip
    entry = {"version": "churn-1", "revision": "r", "outcome": "Aborted", "finishedTime": "2026-03-01T10:00:00Z"}
    seed("Rollout", "shop", {"model": "churn"}, {"history": [entry]})
    facts = await lineage_cluster.facts(Connection(cluster, None, "shop"))  # type: ignore[arg-type] # no transport is used
    (version,), (run,) = facts.versions, facts.runs
    assert (version.datasets, version.state, version.served_by) == ((CUSTOMERS,), "Rejected", ("shop",))
    assert (run.requested_by, run.trigger, run.experiment, run.attempts) == ("ada", "OneOff", "wide", ("StepFailed",))
    assert run.parameters == {"epochs": 1}
    assert [(d.decision, d.verdict, d.by, d.message) for d in facts.decisions] == [
        ("Evaluated", "Rejected", "trainyard", "auc 0.8 is below min 0.9"),
        ("Aborted", "", "Rollout shop", ""),
    ]


@pytest.mark.parametrize("url", ["", "postgres://a:b@h/x", "mysql://h/x", "mysql://a:b@h", "mysql://a:b@h:port/x"])
def test_addresses_that_are_none(url: str) -> None:
    with pytest.raises(Problem, match="write mysql://user:password@host:port/name"):
        lineage_record.database(url)
