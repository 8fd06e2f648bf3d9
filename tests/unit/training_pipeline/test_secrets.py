"""Which Secrets of event triggers are looked at, and what is said of those that cannot be used."""

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any, cast

import pytest

from tests.fakes.cluster import FakeCluster
from trainyard.resources.training_pipeline import TrainingPipeline
from trainyard.systems.bundle import Config, Systems
from trainyard.systems.cluster.port import SECRET, Forbidden
from trainyard.training_pipeline import reasons, secrets, status
from trainyard.training_pipeline.decide import decide
from trainyard.training_pipeline.observe import read

NOW = datetime(2026, 11, 24, tzinfo=UTC)
AUTHS: tuple[dict[str, Any], ...] = (
    {"bearer": {"secretRef": {"name": "b", "key": "k"}}},
    {"hmac": {"secretRef": {"name": "a", "key": "k"}}},
    {"hmac": {"secretRef": {"name": "b", "key": "other"}}},
    {"kubernetes": {}},
    {"oidc": {"issuer": "https://x", "audience": "y", "subjects": ["z"]}},
)


def pipeline(*auths: dict[str, Any]) -> dict[str, Any]:
    events = [{"name": f"t{i}", "auth": auth} for i, auth in enumerate(auths)]
    engine = {"job": {"template": {"image": "x"}}}
    return {
        "metadata": {"name": "churn", "namespace": "team", "uid": "u", "generation": 1},
        "spec": {"model": "churn", "engine": engine, "triggers": {"events": events}},
    }


def systems(cluster: FakeCluster, *readable: str) -> Systems:
    absent = cast("Any", None)
    return Systems(cluster, {}, absent, absent, absent, Config("i", {}, "models", "", trigger_secrets=readable))


def seed(cluster: FakeCluster, name: str, label: str | None) -> None:
    labels = {} if label is None else {"trainyard.dev/usable-by-triggers": label}
    meta = {"name": name, "namespace": "team", "labels": labels}
    cluster.seed({"apiVersion": "v1", "kind": "Secret", "metadata": meta})


def test_each_secret_is_named_once_and_only_shared_ones() -> None:
    assert secrets.named(TrainingPipeline.model_validate(pipeline(*AUTHS))) == ("a", "b")
    assert secrets.named(TrainingPipeline.model_validate(pipeline())) == ()


@pytest.mark.parametrize(
    ("label", "reason"),
    [("true", ""), ("false", reasons.SECRET_NOT_USABLE), (None, reasons.SECRET_NOT_USABLE)],
)
async def test_the_label_opens_it(label: str | None, reason: str) -> None:
    cluster = FakeCluster()
    seed(cluster, "b", label)
    found = await secrets.looked_at(TrainingPipeline.model_validate(pipeline(AUTHS[0])), systems(cluster))
    assert found["b"][0] == reason


async def test_a_name_that_the_receiver_may_not_read_is_told_without_a_look() -> None:
    cluster = FakeCluster()
    seed(cluster, "b", "true")
    made = TrainingPipeline.model_validate(pipeline(AUTHS[0]))
    found = await secrets.looked_at(made, systems(cluster, "trainyard-triggers"))
    assert (found["b"][0], cluster.reads) == (reasons.SECRET_NOT_USABLE, 0)
    assert "trainyard-triggers" in found["b"][1]
    assert await secrets.looked_at(made, systems(cluster, "b")) == {"b": secrets.FINE}


async def test_what_may_not_be_looked_at_is_unknown() -> None:
    cluster = FakeCluster()
    cluster.fail("get", SECRET, Forbidden("no"))
    obj = pipeline(AUTHS[0])
    found = await secrets.looked_at(TrainingPipeline.model_validate(obj), systems(cluster))
    (told,) = status.triggers_ready(replace(read(obj), secrets=found))
    assert (told.status, told.reason) == ("Unknown", reasons.SECRET_UNKNOWN)


def test_what_is_surely_wrong_gives_the_reason_and_all_is_told() -> None:
    wrong = {"a": (reasons.SECRET_UNKNOWN, "A?"), "b": (reasons.SECRET_MISSING, "B."), "c": secrets.FINE}
    (told,) = status.triggers_ready(replace(read(pipeline()), secrets=wrong))
    assert (told.status, told.reason, told.message) == ("False", reasons.SECRET_MISSING, "A? B.")


def test_it_is_said_once_and_looked_at_again_soon_while_the_pipeline_stays_ready() -> None:
    seen = replace(read(pipeline(AUTHS[0])), secrets={"b": (reasons.SECRET_MISSING, "Secret b does not exist.")})
    plan = decide(seen, NOW)
    assert [(n.reason, n.type) for n in plan.notes] == [(reasons.SECRET_MISSING, "Warning")]
    assert plan.revisit_after == 30.0
    assert plan.status is not None
    conditions = {c["type"]: c["status"] for c in plan.status["conditions"]}
    assert (conditions["TriggersReady"], conditions["Ready"], conditions["Stalled"]) == ("False", "True", "False")
    again = decide(replace(seen, before=seen.before.model_validate(plan.status)), NOW)
    assert again.notes == ()
    mended = decide(replace(seen, secrets={"b": secrets.FINE}), NOW)
    assert (mended.notes, mended.revisit_after) == ((), None)
