"""Rollout: how a model's versions take traffic."""

from typing import Annotated, Literal

from pydantic import ConfigDict, Field, StringConstraints

from trainyard.resources.base import (
    ATOMIC,
    DNS_LABEL,
    Image,
    Model,
    Name,
    ObjectName,
    Resource,
    Word,
    exactly_one,
    map_by,
    rules,
)
from trainyard.resources.pods import POD_RESOURCES, EnvVar, Placement, Resources
from trainyard.resources.rollout_analysis import Analysis, AnalysisMetric
from trainyard.resources.rollout_status import (
    Ending,
    HistoryEntry,
    MetricStatus,
    Outcome,
    Revision,
    RevisionStatus,
    RolloutStatus,
)
from trainyard.resources.rollout_strategy import Canary, CanaryReplicas, Pause, Step, Strategy
from trainyard.resources.triggers import Cron, TimeZone

Host = Annotated[
    str,
    StringConstraints(
        pattern=r"^(\*\.)?[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$", max_length=253
    ),
]


class Latest(Model):
    """Follow the newest Ready version of the model."""

    model_config = ConfigDict(json_schema_extra=ATOMIC)

    while_progressing: Literal["Queue", "Supersede"] = Field(
        default="Queue",
        description="A newer version during a canary: finish the canary first (Queue, where left out), or start over "
        "with the newer one.",
    )


class VersionSource(Model):
    """Which version is wanted: exactly one."""

    model_config = ConfigDict(json_schema_extra=rules(exactly_one("name", "alias", "latest")))

    name: Name | None = Field(default=None, description="A ModelVersion by name.")
    alias: Word | None = Field(
        default=None, description="The version that holds this alias; when the alias moves, it supersedes at once."
    )
    latest: Latest | None = Field(default=None, description="The newest Ready ModelVersion of the model.")


class Serving(Model):
    """The pods that serve. Any change but `replicas` is a new revision and climbs the ladder."""

    model_config = ConfigDict(
        json_schema_extra=rules(
            (
                "self.progressDeadlineSeconds > self.minReadySeconds",
                "progressDeadlineSeconds must be greater than minReadySeconds, or no pod is ever available in time",
            )
        )
    )

    runtime: Literal["TensorFlow"] = Field(default="TensorFlow", description="The stock model server.")
    image: Image | None = Field(default=None, description="Another server image with the same contract.")
    env: Annotated[
        tuple[EnvVar, ...],
        Field(
            max_length=100,
            json_schema_extra=map_by("name"),
        ),
    ] = Field(default=(), description="Environment variables of the server.")
    replicas: int = Field(default=1, ge=1, le=1000, description="Pods of the stable revision.")
    resources: Resources = Field(
        default_factory=Resources, description="CPU and memory of a pod.", json_schema_extra=POD_RESOURCES
    )
    compute: Placement = Field(default_factory=Placement, description="Accelerator and placement of a pod.")
    min_ready_seconds: int = Field(default=0, ge=0, le=3600, description="How long a pod must be ready to count.")
    progress_deadline_seconds: int = Field(
        default=600, ge=1, le=86_400, description="A canary that is not available by then is aborted."
    )


class ParentRef(Model):
    """The Gateway that traffic comes from; it consents by its own allowedRoutes."""

    namespace: Annotated[str, StringConstraints(pattern=DNS_LABEL, min_length=1, max_length=63)] | None = Field(
        default=None, description="The Gateway's namespace; the Rollout's own where left out."
    )
    name: ObjectName = Field(description="The Gateway's name.")
    section_name: ObjectName | None = Field(default=None, description="One listener of it; all where left out.")


class Timeouts(Model):
    """Timeouts of the route."""

    model_config = ConfigDict(json_schema_extra=ATOMIC)

    request_seconds: int | None = Field(
        default=None, ge=1, le=3600, description="How long a whole request may take, in seconds."
    )


# What the Gateway API refuses in the parentRefs of an HTTPRoute.
_DISTINCT = rules(
    (
        "self.all(a, self.exists_one(b, a.name == b.name && has(a.__namespace__) == has(b.__namespace__) && "
        "(!has(a.__namespace__) || a.__namespace__ == b.__namespace__) && has(a.sectionName) == has(b.sectionName) && "
        "(!has(a.sectionName) || a.sectionName == b.sectionName)))",
        "parentRefs names the same Gateway and listener twice",
    ),
    (
        "self.all(a, self.all(b, a.name != b.name || has(a.__namespace__) != has(b.__namespace__) || "
        "(has(a.__namespace__) && a.__namespace__ != b.__namespace__) || has(a.sectionName) == has(b.sectionName)))",
        "a Gateway that parentRefs names more than once needs a sectionName each time",
    ),
)
# What the Gateway API refuses in a path of an HTTPRoute.
_CLEAN_PATH = rules(
    (
        "!['//', '/./', '/../', '%2f', '%2F'].exists(bad, self.contains(bad)) && "
        "!self.endsWith('/.') && !self.endsWith('/..')",
        "a path may not contain //, /./, /../ or an escaped slash",
    )
)


class Traffic(Model):
    """Which requests reach the model."""

    parent_refs: Annotated[tuple[ParentRef, ...], Field(min_length=1, max_length=8)] = Field(
        description="The Gateways that traffic comes from.", json_schema_extra=_DISTINCT
    )
    hostnames: Annotated[tuple[Host, ...], Field(max_length=16)] = Field(
        default=(),
        description="Host names; the listener's where left out.",
        json_schema_extra={"x-kubernetes-list-type": "set"},
    )
    path: Annotated[
        str, StringConstraints(pattern=r"^/([-A-Za-z0-9/._~!$&'()*+,;=:@]|%[0-9a-fA-F]{2})*$", max_length=512)
    ] = Field(default="/", description="The path prefix.", json_schema_extra=_CLEAN_PATH)
    timeouts: Timeouts = Field(default_factory=Timeouts, description="Timeouts of the route.")


class KubernetesTarget(Model):
    """Serving on this cluster, behind the Gateway API."""

    serving: Serving = Field(default_factory=Serving, description="The pods.")
    traffic: Traffic = Field(description="The route; the operator owns the HTTPRoute, named as the Rollout.")


class Target(Model):
    """Where the model is served: exactly one."""

    model_config = ConfigDict(json_schema_extra=rules(exactly_one("kubernetes")))

    kubernetes: KubernetesTarget | None = Field(default=None, description="On this cluster.")


class UserAction(Model):
    """What a person asks for; written by the CLI. Done once per id."""

    kind: Literal["Promote", "PromoteFull", "Abort", "Retry"] = Field(
        description="Go on past a pause; to the end at once; back to stable; try a rejected revision again."
    )
    id: Annotated[str, StringConstraints(min_length=1, max_length=64)] = Field(description="Makes it happen once.")
    revision: Revision | None = Field(default=None, description="Only for this revision; ignored otherwise.")
    step: Annotated[int, Field(ge=0, le=1000)] | None = Field(default=None, description="Only at this step.")
    by: Annotated[str, StringConstraints(max_length=253)] = Field(default="", description="Who asks (as claimed).")


class Freeze(Model):
    """A window in which nothing new is begun and no weight rises; what goes wrong still goes back."""

    name: Name = Field(description="Its name, told while it holds.")
    cron: Cron = Field(description="When it begins.")
    duration_seconds: Annotated[int, Field(ge=60, le=2_592_000)] = Field(description="How long it lasts.")
    time_zone: TimeZone = Field(default="UTC", description="A name of the IANA time zone database.")


# A rule that cannot be evaluated refuses every write, also those of the operator to a status; so none relies on what
# an object from looser times may lack.
_UNREADABLE = "!has(self.strategy)"
_DECIDES = "m.name == self.strategy.experiment.decideOn && has(m.sequential)"
_KNOWN = "has(self.analysis.metrics) && {where}.metrics.all(n, self.analysis.metrics.exists(m, m.name == n))"
_BY_USER = "m.name == self.strategy.experiment.decideOn && has(m.ratio)"
# What decides an experiment is waited for as long as the experiment lasts, and holds nothing.
_HELD = "!(has(self.strategy.experiment) && m.name == self.strategy.experiment.decideOn)"
_LATEST = "self.analysis.maxHoldSeconds - self.analysis.intervalSeconds"
_LATE = f"has(m.labelDelaySeconds) && m.labelDelaySeconds > {_LATEST} && {_HELD}"


class RolloutSpec(Model):
    """How a model's versions take traffic."""

    model_config = ConfigDict(
        json_schema_extra=rules(
            (
                f"{_UNREADABLE} || !has(self.strategy.experiment) || "
                f"(has(self.analysis.metrics) && self.analysis.metrics.exists(m, {_DECIDES}))",
                "experiment.decideOn must name a sequential metric of analysis.metrics",
            ),
            (
                f"{_UNREADABLE} || !has(self.strategy.experiment) || has(self.strategy.experiment.assignment) || "
                f"!has(self.analysis.metrics) || !self.analysis.metrics.exists(m, {_BY_USER})",
                "NeedsAssignment: a ratio may count users; without strategy.experiment.assignment only per-request "
                "metrics (ErrorRate, SlowShare) can decide",
            ),
            (
                f"{_UNREADABLE} || "
                "!has(self.strategy.canary) || !has(self.strategy.canary.steps) || self.strategy.canary.steps.all(s, "
                f"!has(s.analysis) || !has(s.analysis.metrics) || ({_KNOWN.format(where='s.analysis')}))",
                "an analysis step names a metric that is not in analysis.metrics",
            ),
            (
                f"{_UNREADABLE} || !has(self.strategy.blueGreen) || !has(self.strategy.blueGreen.beforeSwitch) || "
                "!has(self.strategy.blueGreen.beforeSwitch.metrics) || "
                f"({_KNOWN.format(where='self.strategy.blueGreen.beforeSwitch')})",
                "blueGreen.beforeSwitch names a metric that is not in analysis.metrics",
            ),
            (
                f"{_UNREADABLE} || !has(self.analysis) || !has(self.analysis.metrics) || "
                "!has(self.analysis.maxHoldSeconds) || !has(self.analysis.intervalSeconds) || "
                f"!self.analysis.metrics.exists(m, {_LATE})",
                "labelDelaySeconds and one interval must fit into analysis.maxHoldSeconds: a step would be held too "
                "long before the first labels count",
            ),
        )
    )

    model: Name = Field(description="The model.")
    version: VersionSource = Field(description="Which version is wanted; exactly one branch.")
    target: Target = Field(description="Where it is served; exactly one branch.")
    strategy: Strategy = Field(description="How a new revision takes over; exactly one branch.")
    analysis: Analysis = Field(default_factory=Analysis, description="What is measured meanwhile.")
    ready_when: Literal["Promoted", "Accepted"] = Field(
        default="Promoted",
        description="Ready once the wanted revision is promoted, or as soon as it is accepted (for GitOps syncs).",
    )
    scale_down_delay_seconds: Annotated[int, Field(ge=0, le=86_400)] = Field(
        default=30, description="How long pods stay after their weight became 0."
    )
    rollback_window: Annotated[int, Field(ge=0, le=20)] = Field(
        default=0, description="Going back to one of so many revisions that were stable last needs no steps."
    )
    freeze: Annotated[tuple[Freeze, ...], Field(max_length=20, json_schema_extra=map_by("name"))] = Field(
        default=(), description="Times in which no weight rises."
    )
    paused: bool = Field(default=False, description="Hold everything as it is.")
    deletion_policy: Literal["Delete", "Orphan"] = Field(
        default="Delete", description="Take serving down with the Rollout, or leave stable serving."
    )
    action: UserAction | None = Field(default=None, description="Written by trainyard promote, abort, retry.")


class Rollout(Resource):
    """A Rollout object."""

    spec: RolloutSpec
    status: RolloutStatus = Field(default_factory=RolloutStatus)


__all__ = [
    "Analysis",
    "AnalysisMetric",
    "Canary",
    "CanaryReplicas",
    "Ending",
    "Freeze",
    "HistoryEntry",
    "KubernetesTarget",
    "Latest",
    "MetricStatus",
    "Outcome",
    "ParentRef",
    "Pause",
    "Revision",
    "RevisionStatus",
    "Rollout",
    "RolloutSpec",
    "RolloutStatus",
    "Serving",
    "Step",
    "Strategy",
    "Target",
    "Timeouts",
    "Traffic",
    "UserAction",
    "VersionSource",
]
