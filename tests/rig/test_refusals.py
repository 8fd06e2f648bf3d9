"""Wrong manifests are refused by the API server, with the field and a sentence. One row a rule."""

import copy
import re
from collections.abc import Iterator
from typing import Any

import pytest

from tests.rig.kinds import Api, Refused, changed, full

pytestmark = pytest.mark.rig

TEMPLATE = "spec.engine.job.template"
SERVING = "spec.target.kubernetes.serving"
TRAFFIC = "spec.target.kubernetes.traffic"
STEPS = "spec.strategy.canary.steps"
METRIC = "spec.analysis.metrics"
HUGE = "x" * 1_000_000
SAME_PARENT = {"name": "public", "sectionName": "http", "namespace": "gateways"}
DIGEST = "sha256:" + "0" * 64


# (path, wrong value, words of the sentence[, field that is named where it is not the path])
Row = tuple[str, Any, str] | tuple[str, Any, str, str]

PIPELINE: list[Row] = [
    ("metadata.name", "a" * 33, "at most 32 characters"),
    ("metadata.name", "1st", "must begin with a lower case letter"),
    ("metadata.name", "a.b", "must begin with a lower case letter"),
    ("spec", None, "Required value"),
    ("spec.model", None, "Required value"),
    ("spec.model", "Churn", "should match"),
    ("spec.model", 7, "must be of type string"),
    ("spec.modell", "churn", "unknown field"),
    ("spec.engine", {}, "set exactly one of: job, kubeflow"),
    ("spec.engine.vertexAI", {}, "unknown field"),
    ("spec.engine.kubeflow", {"package": {"inline": "a"}}, "set exactly one of: job, kubeflow", "spec.engine"),
    ("spec.engine.job.volume.accessMode", "ReadWriteOncePod", "cannot be ReadWriteOncePod", "spec.engine.job"),
    ("spec.engine.job.workers", 65, "less than or equal to 64"),
    (f"{TEMPLATE}.volumes.0.hostPath", {"path": "/"}, "unknown field"),
    (f"{TEMPLATE}.volumes.0.configMap", {"name": "a"}, "set exactly one of: emptyDir", f"{TEMPLATE}.volumes[0]"),
    (f"{TEMPLATE}.volumes.0.mountPath", "/trainyard/output", "operator's own", f"{TEMPLATE}.volumes[0]"),
    (f"{TEMPLATE}.volumes.0.mountPath", "/a/../trainyard", "may not climb", f"{TEMPLATE}.volumes[0]"),
    (f"{TEMPLATE}.volumes.0.name", "run", "name is taken", f"{TEMPLATE}.volumes[0]"),
    ("spec.triggers.schedules.0.cron", "0 2 * *", "has five fields", "spec.triggers.schedules[0].cron"),
    ("spec.triggers.schedules.0.cron", "60 2 * * *", "out of range", "spec.triggers.schedules[0].cron"),
    ("spec.triggers.schedules.0.cron", "0 24 * * *", "out of range", "spec.triggers.schedules[0].cron"),
    ("spec.triggers.schedules.0.cron", "0 0 32 * *", "out of range", "spec.triggers.schedules[0].cron"),
    ("spec.triggers.schedules.0.cron", "0 0 * 13 *", "out of range", "spec.triggers.schedules[0].cron"),
    ("spec.triggers.schedules.0.cron", "0 0 * * 8", "out of range", "spec.triggers.schedules[0].cron"),
    ("spec.triggers.schedules.0.cron", "*/0 * * * *", "out of range", "spec.triggers.schedules[0].cron"),
    ("spec.triggers.schedules.0.cron", "a b c d e", "out of range", "spec.triggers.schedules[0].cron"),
    ("spec.triggers.schedules.0.cron", "0 0 0 * *", "out of range", "spec.triggers.schedules[0].cron"),
    ("spec.triggers.schedules.0.timeZone", "Mars/Olympus", "time zone", "spec.triggers.schedules[0].timeZone"),
    ("spec.triggers.schedules.0.timeZone", "localtime", "differs from", "spec.triggers.schedules[0].timeZone"),
    ("spec.triggers.schedules.0.timeZone", "Europe Berlin", "should match", "spec.triggers.schedules[0].timeZone"),
    ("spec.triggers.events.0.auth", {}, "set exactly one of: kubernetes", "spec.triggers.events[0].auth"),
    ("spec.triggers.events.0.parametersFromData", {"rate": "rate"}, "should match", "parametersFromData"),
    ("spec.startingDeadlineSeconds", 0, "greater than or equal to 1"),
    ("spec.retry.limit", 99, "less than or equal to 98"),
    ("spec.schedules", [], "unknown field"),
    (f"{TEMPLATE}.image", "", "at least 1 chars"),
    (f"{TEMPLATE}.image", "a b", "should match"),
    (f"{TEMPLATE}.hostNetwork", True, "unknown field"),
    (f"{TEMPLATE}.securityContext", {"privileged": True}, "unknown field"),
    (f"{TEMPLATE}.volumeMounts", [], "unknown field"),
    ("spec.engine.job.serviceAccountName", "admin", "unknown field"),
    (f"{TEMPLATE}.env.0.name", "TRAINYARD_RUN", "operator's own", f"{TEMPLATE}.env[0]"),
    (f"{TEMPLATE}.env.0.name", "A-B", "should match"),
    (f"{TEMPLATE}.env.1.value", "x", "not both", f"{TEMPLATE}.env[1]"),
    (f"{TEMPLATE}.env.1.name", "LEVEL", "Duplicate value", f"{TEMPLATE}.env[1]"),
    (f"{TEMPLATE}.env.0.valueFrom", {}, "unknown field"),
    (f"{TEMPLATE}.args", ["x"] * 300, "at most 256 items"),
    (f"{TEMPLATE}.args.0", HUGE, "more than 4096"),
    (f"{TEMPLATE}.resources.requests.cpu", 3, "greater than its limit", f"{TEMPLATE}.resources"),
    (f"{TEMPLATE}.resources.limits.cpu", "two", "should match", f"{TEMPLATE}.resources.limits"),
    (f"{TEMPLATE}.resources.limits.cpu", -1, "greater than or equal to 0", f"{TEMPLATE}.resources.limits"),
    ("spec.engine.job.volume.size", "0", "needs a size"),
    ("spec.parameters.1.name", "epochs", "Duplicate value", "spec.parameters[1]"),
    ("spec.parameters.0.type", "Int", "Unsupported value"),
    ("spec.data.datasets.1.name", "train", "Duplicate value", "spec.data.datasets[1]"),
    ("spec.data.datasets.0.uri", "http://169.254.169.254/", "should match"),
    ("spec.data.datasets.0.uri", "s3://a/b/../../c/", "may not climb"),
    ("spec.compute.accelerator.count", 0, "greater than or equal to 1"),
    ("spec.compute.accelerator.resource", "gpu", "should match"),
    ("spec.compute.nodeSelector.pool", "a b", "should match"),
    ("spec.compute.nodeSelector", {"a/b/c": "x"}, "a label's key is a name"),
    ("spec.compute.accelerator.resource", "requests.nvidia.com/gpu", "an accelerator is an extended resource"),
    ("spec.compute.nodeName", "node-1", "unknown field"),
    ("spec.compute.tolerations.0.key", None, "without key needs operator Exists", "spec.compute.tolerations[0]"),
    ("spec.compute.tolerations.0.operator", "Exists", "takes no value", "spec.compute.tolerations[0]"),
    ("spec.compute.tolerations.0.effect", "NoSchedule", "needs effect NoExecute", "spec.compute.tolerations[0]"),
    ("spec.evaluation.metrics.0", {"name": "auc"}, "needs min or max"),
    ("spec.evaluation.metrics.0.min", "1.01", "min is greater than max", "spec.evaluation.metrics[0]"),
    ("spec.evaluation.metrics.0.min", "80%", "should match"),
    ("spec.evaluation.metrics.0.min", 0.8, "must be of type string"),
    ("spec.concurrency", "Sometimes", "Unsupported value"),
    ("spec.timeoutSeconds", 0, "greater than or equal to 1"),
    ("spec.timeoutSeconds", 10**15, "less than or equal to 31536000"),
    ("spec.timeoutSeconds", "1h", "must be of type integer"),
    ("spec.timeoutSeconds", 1.5, "must be of type integer"),
    ("spec.history.failed", 0, "greater than or equal to 1"),
    ("spec.suspend", "yes", "must be of type boolean"),
    ("metadata.annotations", {"a": HUGE}, "Too long"),
]  # fmt: skip

RUN: list[Row] = [
    ("metadata.name", "a" * 48, "at most 47 characters"),
    ("metadata.name", "a-", "must"),
    ("spec.pipeline", "other/churn", "should match"),
    ("spec.trigger.inputsDigest", None, "type Change needs inputsDigest", "spec.trigger"),
    ("spec.trigger.inputsDigest", "sha256:0", "should match"),
    ("spec.trigger.type", "Trial", "Unsupported value"),
    ("spec.trigger.type", "Schedule", "type Schedule needs name and slot", "spec.trigger"),
    ("spec.trigger.type", "Event", "type Event needs name, eventSource and eventId", "spec.trigger"),
    ("spec.trigger.slot", "2026-11-24 01:00Z", "should match"),
    ("spec.parameters", [1], "must be of type object"),
    ("spec.parameters", {f"p{i}": 1 for i in range(101)}, "at most 100"),
    ("spec.description", HUGE, "more than 1024"),
]

VERSION: list[Row] = [
    ("metadata.name", "a" * 48, "at most 47 characters"),
    ("spec.artifact.uri", "s3://trainyard/default/churn", "end it with /"),
    ("spec.artifact.uri", "s3://trainyard/a/../b/", "may not climb"),
    ("spec.artifact.uri", "https://example.com/", "should match"),
    ("spec.artifact.digest", "md5:0", "should match"),
    ("spec.artifact.format", "Pickle", "Unsupported value"),
    ("spec.aliases", ["a", "a"], "Duplicate value"),
    ("spec.aliases", ["1st"], "should match"),
    ("spec.aliases", [f"a{i}" for i in range(17)], "at most 16 items"),
    ("spec.createdAt", "yesterday", "must be of type date-time"),
    ("spec.createdAt", None, "Required value"),
    ("spec.metrics", {f"m{i}": "1" for i in range(101)}, "at most 100"),
    ("spec.metrics.auc", "NaN", "should match"),
    ("spec.evaluation.metrics.0.max", "0.1", "min is greater than max", "spec.evaluation.metrics[0]"),
]  # fmt: skip

ROLLOUT: list[Row] = [
    ("metadata.name", "a" * 48, "at most 47 characters"),
    ("spec.version", {}, "set exactly one of: name, alias, latest"),
    ("spec.version.latest", {}, "set exactly one of: name, alias, latest", "spec.version"),
    ("spec.version.name", "../churn", "should match"),
    ("spec.target", {}, "set exactly one of: kubernetes"),
    ("spec.target.vertexAI", {}, "unknown field"),
    ("spec.strategy", {}, "set exactly one of: canary"),
    (f"{SERVING}.runtime", "Triton", "Unsupported value"),
    (f"{SERVING}.replicas", 0, "greater than or equal to 1"),
    (f"{SERVING}.replicas", 10**30, "less than or equal to 1000"),
    (f"{SERVING}.minReadySeconds", 300, "must be greater than minReadySeconds", SERVING),
    (f"{SERVING}.env.0.name", "TRAINYARD_MODEL", "operator's own", f"{SERVING}.env[0]"),
    (f"{SERVING}.resources.requests.memory", "2Gi", "greater than its limit", f"{SERVING}.resources"),
    (f"{TRAFFIC}.parentRefs", [], "at least 1 items"),
    (f"{TRAFFIC}.parentRefs", [{"name": "a"}, {"name": "a"}], "same Gateway and listener twice"),
    (f"{TRAFFIC}.parentRefs.1", SAME_PARENT, "twice", f"{TRAFFIC}.parentRefs"),
    (f"{TRAFFIC}.parentRefs", [{"name": "a"}, {"name": "a", "sectionName": "http"}], "needs a sectionName each time"),
    (f"{TRAFFIC}.parentRefs.0.name", "A b", "should match"),
    (f"{TRAFFIC}.hostnames.0", "Example.com", "should match"),
    (f"{TRAFFIC}.hostnames.0", "models.example.com", "Duplicate value", f"{TRAFFIC}.hostnames[1]"),
    (f"{TRAFFIC}.path", "churn", "should match"),
    (f"{TRAFFIC}.path", "/a/../b", "may not contain"),
    (f"{TRAFFIC}.path", "/50%", "should match"),
    (f"{TRAFFIC}.path", "/a%zz", "should match"),
    (f"{TRAFFIC}.parentRefs.0.namespace", "a.b", "should match"),
    (f"{SERVING}.resources.requests", {"foo bar": 1}, "device by compute.accelerator", f"{SERVING}.resources"),
    (f"{SERVING}.resources.limits", {"gpu": 1}, "ask for a device by compute.accelerator", f"{SERVING}.resources"),
    (f"{SERVING}.resources.requests", {"nvidia.com/gpu": 1}, "by compute.accelerator", f"{SERVING}.resources"),
    (f"{SERVING}.compute.nodeSelector", {"bad key!": "x"}, "a label's key is a name"),
    (f"{SERVING}.compute.nodeSelector", {"a/b/c": "x"}, "a label's key is a name"),
    (f"{SERVING}.compute.accelerator.resource", "requests.nvidia.com/gpu", "an accelerator is an extended resource"),
    (f"{SERVING}.compute.accelerator.resource", "kubernetes.io/gpu", "an accelerator is an extended resource"),
    (f"{SERVING}.compute.accelerator.resource", "a..b/gpu", "should match"),
    (f"{SERVING}.compute.tolerations.0.key", "a..b/x", "should match"),
    (f"{SERVING}.compute.tolerations.0.key", "x" * 64, "should match"),
    (f"{TRAFFIC}.path", "/a//b", "may not contain"),
    (f"{TRAFFIC}.timeouts.requestSeconds", 0, "greater than or equal to 1"),
    (f"{STEPS}.0.setWeight", 101, "less than or equal to 100"),
    (f"{STEPS}.0.setWeight", -1, "greater than or equal to 0"),
    (f"{STEPS}.0.setWeight", "5%", "must be of type integer"),
    (f"{STEPS}.0.pause", {}, "set exactly one of: setWeight, pause", f"{STEPS}[0]"),
    (f"{STEPS}.0", {}, "set exactly one of: setWeight, pause"),
    (f"{STEPS}.1.pause.durationSeconds", 0, "greater than or equal to 1"),
    (STEPS, [{"setWeight": 1}] * 10_000, "at most 100 items"),
    ("spec.strategy.canary.replicas", {"percent": 5, "count": 1}, "set exactly one of"),
    ("spec.strategy.canary.replicas.percent", 101, "less than or equal to 100"),
    (f"{METRIC}.1.name", "errors", "Duplicate value", f"{METRIC}[1]"),
    (f"{METRIC}.0.name", '"} or vector(1) #', "should match"),
    (f"{METRIC}.0.query", "vector(1)", "set exactly one of: builtin, query", f"{METRIC}[0]"),
    (f"{METRIC}.0.builtin", None, "set exactly one of: builtin, query", f"{METRIC}[0]"),
    (f"{METRIC}.0.builtin", "Vibes", "Unsupported value"),
    (f"{METRIC}.0", {"name": "errors", "builtin": "ErrorRate"}, "at least one limit"),
    (f"{METRIC}.0.max", "1e-3", "should match"),
    (f"{METRIC}.0.max", "1.5", "shares between 0 and 1", f"{METRIC}[0]"),
    (f"{METRIC}.0.min", "0.5", "min is greater than max", f"{METRIC}[0]"),
    (f"{METRIC}.2.query", HUGE, "more than 4096"),
    (f"{METRIC}.4.slowerThanSeconds", None, "SlowShare needs it", f"{METRIC}[4]"),
    (f"{METRIC}.0.slowerThanSeconds", "0.1", "belongs to SlowShare", f"{METRIC}[0]"),
    (f"{METRIC}.4.margin", None, "needs a margin", f"{METRIC}[4]"),
    (f"{METRIC}.4.margin", "-1", "0 or more", f"{METRIC}[4]"),
    (f"{METRIC}.4.margin", "5", "must be below 1, or nothing ever fails", f"{METRIC}[4]"),
    (f"{METRIC}.4.margin", "1", "write 1 percent as 0.01", f"{METRIC}[4]"),
    (f"{METRIC}.0.maxIncrease", "5", "must be below 1", f"{METRIC}[0]"),
    (f"{METRIC}.0.maxDecrease", "1.0", "must be below 1", f"{METRIC}[0]"),
    (f"{METRIC}.1.maxDecreasePercent", "150", "must be below 100", f"{METRIC}[1]"),
    (f"{METRIC}.0.maxDecreasePercent", "100", "must be below 100", f"{METRIC}[0]"),
    (f"{METRIC}.4.max", "0.1", "neither limits nor failureLimit", f"{METRIC}[4]"),
    (f"{METRIC}.4.sequential.alpha", "0.5", "should match"),
    (f"{METRIC}.1.labelDelaySeconds", 5, "is for a query or a ratio", f"{METRIC}[1]"),
    (f"{METRIC}.3.minLabels", 5, "minLabels is for a ratio", f"{METRIC}[3]"),
    (f"{METRIC}.5.ratio.total", None, "Required value"),
    (f"{METRIC}.5.ratio.better", "Sideways", "Unsupported value"),
    ("spec.analysis.source", "Nginx", "Unsupported value"),
    ("spec.analysis.intervalSeconds", 0, "greater than or equal to 1"),
    ("spec.analysis.maxHoldSeconds", 5, "shorter than intervalSeconds", "spec.analysis"),
    ("spec.analysis.maxHoldSeconds", 3614, "labelDelaySeconds and one interval must fit", "spec"),
    ("spec.analysis.onNoData", "Promote", "Unsupported value"),
    ("spec.analysis.prometheus", "http://10.0.0.1", "unknown field"),
    ("spec.action.kind", "Yolo", "Unsupported value"),
    ("spec.action.id", None, "Required value"),
    ("spec.action.revision", "HEAD", "should match"),
    ("spec.deletionPolicy", "Keep", "Unsupported value"),
]  # fmt: skip


def rows() -> Iterator[Any]:
    """Yield the rows of all kinds as parameters of pytest."""
    tables = {"TrainingPipeline": PIPELINE, "TrainingRun": RUN, "ModelVersion": VERSION, "Rollout": ROLLOUT}
    for kind, table in tables.items():
        for path, value, words, *field in table:
            named = field[0] if field else re.sub(r"\.(\d+)", r"[\1]", path)
            yield pytest.param(kind, path, value, named, words, id=f"{kind} {path} {str(value)[:40]}")


@pytest.mark.parametrize(("kind", "path", "value", "field", "words"), list(rows()))
def test_refused_with_field_and_sentence(kind: str, path: str, value: Any, field: str, words: str, api: Api) -> None:
    with pytest.raises(Refused) as refusal:
        api.create(changed(full(kind)[0], path, value), dry=True)
    assert field in str(refusal.value)
    assert words in str(refusal.value)


EXPERIMENT = "spec.strategy.experiment"
AGE = f"{EXPERIMENT}.assignment.cookie.maxAgeSeconds"
EXPERIMENTS: list[tuple[str, Any, str]] = [
    (f"{EXPERIMENT}.outcomeDelaySeconds", 604_800, "outcomeDelaySeconds must be shorter than durationSeconds"),
    (f"{EXPERIMENT}.durationSeconds", 3600, "outcomeDelaySeconds must be shorter than durationSeconds"),
    (AGE, 604_799, "is shorter than durationSeconds: users would change sides"),
    (f"{EXPERIMENT}.durationSeconds", 604_801, "is shorter than durationSeconds: users would change sides"),
]


def experiment() -> dict[str, Any]:
    return next(obj for obj in full("Rollout") if obj["metadata"]["name"] == "experiment")


@pytest.mark.parametrize(("path", "value", "words"), EXPERIMENTS, ids=str)
def test_an_experiment_that_could_not_decide_is_refused(path: str, value: Any, words: str, api: Api) -> None:
    with pytest.raises(Refused) as refusal:
        api.create(changed(experiment(), path, value), dry=True)
    assert EXPERIMENT in str(refusal.value)
    assert words in str(refusal.value)


def test_an_experiment_whose_cookie_has_no_age_is_given_none(api: Api) -> None:
    made = api.create(changed(experiment(), AGE, None), dry=True)
    assert made["spec"]["strategy"]["experiment"]["assignment"]["cookie"] == {"name": "arm"}


RUN_EDITS: list[tuple[dict[str, Any], str]] = [
    ({"pipeline": "other"}, "spec.pipeline"),
    ({"revision": "other"}, "spec.revision"),
    ({"revision": None}, "revision:"),
    ({"trigger": {"name": "other"}}, "spec.trigger"),
    ({"parameters": {"epochs": 6}}, "spec.parameters"),
    ({"parameters": {"extra": {"a": {"b": False}}}}, "spec.parameters"),
    ({"parameters": {"more": 1}}, "spec.parameters"),
    ({"parameters": None}, "parameters:"),
    ({"description": "other"}, "spec.description"),
    ({"description": None}, "description:"),
    ({"experiment": "other"}, "spec.experiment"),
]


@pytest.mark.parametrize(("edit", "field"), RUN_EDITS, ids=str)
def test_a_run_cannot_be_edited(edit: dict[str, Any], field: str, api: Api) -> None:
    run = full("TrainingRun")[0]
    api.create(run)
    try:
        with pytest.raises(Refused) as refusal:
            api.patch(run, {"spec": edit})
    finally:
        api.delete(run)
    assert field in str(refusal.value)
    assert "a TrainingRun is immutable but for cancel" in str(refusal.value)


def test_a_run_can_be_cancelled_once_and_for_good(api: Api) -> None:
    run = full("TrainingRun")[0]
    api.create(changed(changed(run, "spec.cancel", None), "spec.cancelledBy", None))
    try:
        with pytest.raises(Refused, match="cancelledBy is set together with cancel"):
            api.patch(run, {"spec": {"cancelledBy": "joe"}})
        cancelled = api.patch(run, {"spec": {"cancel": True, "cancelledBy": "joe"}}, dry=False)
        assert cancelled["spec"]["cancel"] is True
        for other in ("jane", None):
            with pytest.raises(Refused, match="cancelledBy is set together with cancel, and stays"):
                api.patch(run, {"spec": {"cancelledBy": other}})
        for back in (False, None):
            with pytest.raises(Refused, match="cancel cannot be taken back"):
                api.patch(run, {"spec": {"cancel": back}})
        labelled = api.patch(run, {"metadata": {"labels": {"team": "a"}}})
        assert labelled["metadata"]["labels"] == {"team": "a"}
    finally:
        api.delete(run)


@pytest.mark.parametrize(
    "edit",
    [{"model": "other"}, {"artifact": {"digest": DIGEST[:-1] + "1"}}, {"metrics": None}, {"source": {"run": "other"}}],
    ids=str,
)
def test_a_model_version_cannot_be_edited(edit: dict[str, Any], api: Api) -> None:
    (version,) = full("ModelVersion")
    api.create(version)
    try:
        with pytest.raises(Refused, match="a ModelVersion is immutable"):
            api.patch(version, {"spec": edit})
        api.patch(version, {"metadata": {"annotations": {"note": "fine"}}})
        for aliases in (["best"], [], None):
            called = api.patch(version, {"spec": {"aliases": aliases}}, dry=False)
            assert called["spec"].get("aliases") == aliases
        with pytest.raises(Refused, match="a ModelVersion is immutable but for its aliases"):
            api.patch(version, {"spec": {"aliases": ["best"], **edit}})
    finally:
        api.delete(version)


# (path, value): what stands next to a refusal and is fine.
TAKEN: list[tuple[str, Any]] = [
    (f"{METRIC}.4.margin", "0.999999999999"),
    (f"{METRIC}.0.maxIncrease", "0"),
    (f"{METRIC}.1.maxIncrease", "5"),  # seconds
    (f"{METRIC}.1.maxDecreasePercent", "99.9"),
    (f"{METRIC}.3.maxDecreasePercent", "150"),  # a query may be negative
    (f"{METRIC}.3.maxDecrease", "5"),
    (f"{TRAFFIC}.path", "/a%20b"),
    (f"{SERVING}.resources.limits", {"cpu": 1, "memory": "1Gi", "nvidia.com/gpu": 1, "hugepages-2Mi": "4Mi"}),
    (f"{SERVING}.compute.nodeSelector", {"topology.kubernetes.io/zone": "a", "Pool_1.x": ""}),
    (f"{SERVING}.compute.tolerations.0.key", "x" * 63),
]


@pytest.mark.parametrize(("path", "value"), TAKEN, ids=str)
def test_what_stands_next_to_a_refusal_is_taken(path: str, value: Any, api: Api) -> None:
    api.create(changed(full("Rollout")[0], path, value), dry=True)


def test_every_wrong_row_starts_from_an_accepted_object(api: Api) -> None:
    for kind in ("TrainingPipeline", "TrainingRun", "ModelVersion", "Rollout"):
        for obj in full(kind):
            api.create(copy.deepcopy(obj), dry=True)
