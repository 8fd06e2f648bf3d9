"""Rollout: how a model's versions take traffic."""

from typing import Annotated, Literal

from pydantic import ConfigDict, Field, StringConstraints

from trainyard.resources.base import (
    DNS1123,
    Decimal,
    Image,
    Model,
    Name,
    ObjectName,
    Resource,
    Seconds,
    Word,
    exactly_one,
    map_by,
    ordered,
    rules,
)
from trainyard.resources.pods import EnvVar, Placement, Resources
from trainyard.resources.rollout_status import (
    Ending,
    HistoryEntry,
    MetricStatus,
    Outcome,
    Revision,
    RevisionStatus,
    RolloutStatus,
)

Host = Annotated[
    str,
    StringConstraints(
        pattern=r"^(\*\.)?[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$", max_length=253
    ),
]


class Latest(Model):
    """Follow the newest Ready version of the model."""

    while_progressing: Literal["Queue", "Supersede"] = Field(
        default="Queue",
        description="A newer version during a canary: finish the canary first, or start over with the newer one.",
    )


class VersionSource(Model):
    """Which version is wanted: exactly one."""

    model_config = ConfigDict(json_schema_extra=rules(exactly_one("name", "latest")))

    name: Name | None = Field(default=None, description="A ModelVersion by name.")
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
    resources: Resources = Field(default_factory=Resources, description="CPU and memory of a pod.")
    compute: Placement = Field(default_factory=Placement, description="Accelerator and placement of a pod.")
    min_ready_seconds: int = Field(default=0, ge=0, le=3600, description="How long a pod must be ready to count.")
    progress_deadline_seconds: int = Field(
        default=600, ge=1, le=86_400, description="A canary that is not available by then is aborted."
    )


class ParentRef(Model):
    """The Gateway that traffic comes from; it consents by its own allowedRoutes."""

    namespace: Annotated[str, StringConstraints(pattern=DNS1123, min_length=1, max_length=63)] | None = Field(
        default=None, description="The Gateway's namespace; the Rollout's own where left out."
    )
    name: ObjectName = Field(description="The Gateway's name.")
    section_name: ObjectName | None = Field(default=None, description="One listener of it; all where left out.")


class Timeouts(Model):
    """Timeouts of the route."""

    request_seconds: int | None = Field(
        default=None, ge=1, le=3600, description="How long a whole request may take, in seconds."
    )


_DISTINCT = rules(
    (
        "self.all(a, self.exists_one(b, a.name == b.name && has(a.__namespace__) == has(b.__namespace__) && "
        "(!has(a.__namespace__) || a.__namespace__ == b.__namespace__) && has(a.sectionName) == has(b.sectionName) && "
        "(!has(a.sectionName) || a.sectionName == b.sectionName)))",
        "parentRefs names the same Gateway and listener twice",
    )
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
    path: Annotated[str, StringConstraints(pattern=r"^/[-A-Za-z0-9/._~%!$&'()*+,;=:@]*$", max_length=512)] = Field(
        default="/", description="The path prefix.", json_schema_extra=_CLEAN_PATH
    )
    timeouts: Timeouts = Field(default_factory=Timeouts, description="Timeouts of the route.")


class KubernetesTarget(Model):
    """Serving on this cluster, behind the Gateway API."""

    serving: Serving = Field(default_factory=Serving, description="The pods.")
    traffic: Traffic = Field(description="The route; the operator owns the HTTPRoute, named as the Rollout.")


class Target(Model):
    """Where the model is served: exactly one."""

    model_config = ConfigDict(json_schema_extra=rules(exactly_one("kubernetes")))

    kubernetes: KubernetesTarget | None = Field(default=None, description="On this cluster.")


class Pause(Model):
    """Wait: for a time in which the measurements stay good, or for a person."""

    duration_seconds: Annotated[int, Field(ge=1, le=2_592_000)] | None = Field(
        default=None, description="How long; until `promote` where left out."
    )


class Step(Model):
    """One rung of the ladder: exactly one."""

    model_config = ConfigDict(json_schema_extra=rules(exactly_one("setWeight", "pause")))

    set_weight: Annotated[int, Field(ge=0, le=100)] | None = Field(
        default=None, description="Send this many of a hundred requests to the canary."
    )
    pause: Pause | None = Field(default=None, description="Wait for a time, or for a person ({}).")


class CanaryReplicas(Model):
    """How many canary pods: exactly one. Without it, in step with the weight, at least one."""

    model_config = ConfigDict(json_schema_extra=rules(exactly_one("percent", "count")))

    percent: Annotated[int, Field(ge=1, le=100)] | None = Field(default=None, description="Of the replicas.")
    count: Annotated[int, Field(ge=1, le=1000)] | None = Field(default=None, description="This many.")


class Canary(Model):
    """Step by step to the new revision."""

    steps: Annotated[tuple[Step, ...], Field(max_length=100)] = Field(
        default=(), description="The ladder; after the last step the revision is promoted."
    )
    replicas: CanaryReplicas | None = Field(default=None, description="How many canary pods.")


class Strategy(Model):
    """How a new revision takes over: exactly one."""

    model_config = ConfigDict(json_schema_extra=rules(exactly_one("canary")))

    canary: Canary | None = Field(default=None, description="Step by step.")


_LIMITS = ("min", "max", "maxIncrease", "maxIncreasePercent", "maxDecrease", "maxDecreasePercent")


class AnalysisMetric(Model):
    """One measurement and its limits (all inclusive)."""

    model_config = ConfigDict(
        json_schema_extra=rules(
            exactly_one("builtin", "query"),
            (
                " || ".join(f"has(self.{f})" for f in _LIMITS),
                f"a metric needs at least one limit: {', '.join(_LIMITS[:-1])} or {_LIMITS[-1]}",
            ),
            ordered("min", "max"),
            (
                "!has(self.builtin) || self.builtin != 'ErrorRate' || "
                "((!has(self.min) || (double(self.min) >= 0.0 && double(self.min) <= 1.0)) && "
                "(!has(self.max) || (double(self.max) >= 0.0 && double(self.max) <= 1.0)))",
                "ErrorRate is a share between 0 and 1: write 1 percent as 0.01",
            ),
        )
    )

    name: Word = Field(description="Its name; unique in the list.")
    builtin: Literal["ErrorRate", "LatencyP50", "LatencyP95", "LatencyP99", "Requests"] | None = Field(
        default=None,
        description="ErrorRate (share 0 to 1), a latency quantile (seconds) or Requests (per second) of the server.",
    )
    query: Annotated[str, StringConstraints(min_length=1, max_length=4096)] | None = Field(
        default=None,
        description="PromQL with $(rollout) $(namespace) $(revision) $(version) $(stableRevision) $(window).",
    )
    min: Decimal | None = Field(default=None, description="The least value that passes.")
    max: Decimal | None = Field(default=None, description="The greatest value that passes.")
    max_increase: Decimal | None = Field(default=None, description="At most this much above stable.")
    max_increase_percent: Decimal | None = Field(default=None, description="At most this many percent above stable.")
    max_decrease: Decimal | None = Field(default=None, description="At most this much below stable.")
    max_decrease_percent: Decimal | None = Field(default=None, description="At most this many percent below stable.")
    failure_limit: Annotated[int, Field(ge=0, le=1000)] = Field(
        default=0, description="How many measurements may fail in a canary before it is aborted."
    )


class Analysis(Model):
    """What is measured while a canary serves."""

    model_config = ConfigDict(
        json_schema_extra=rules(
            (
                "self.maxHoldSeconds >= self.intervalSeconds",
                "maxHoldSeconds is shorter than intervalSeconds: it would end before the next measurement",
            )
        )
    )

    interval_seconds: Annotated[int, Field(ge=1, le=3600)] = Field(default=30, description="How often.")
    window_seconds: Annotated[int, Field(ge=1, le=86_400)] | None = Field(
        default=None, description="Over how long; four scrape intervals where left out, and never less."
    )
    warm_up_seconds: Seconds = Field(default=0, description="After each change of weight, before measuring.")
    min_requests: Annotated[int, Field(ge=0, le=1_000_000_000)] = Field(
        default=100, description="Requests since the step began before a measurement counts."
    )
    on_no_data: Literal["Hold", "Abort"] = Field(
        default="Hold",
        description="After maxHoldSeconds without a passing measurement: keep holding, or abort.",
    )
    max_hold_seconds: Annotated[int, Field(ge=1, le=2_592_000)] = Field(
        default=1800, description="How long a step may be held by missing or inconclusive measurements."
    )
    metrics: Annotated[
        tuple[AnalysisMetric, ...],
        Field(
            max_length=20,
            json_schema_extra=map_by("name"),
        ),
    ] = Field(default=(), description="What is measured.")


class UserAction(Model):
    """What a person asks for; written by the CLI. Done once per id."""

    kind: Literal["Promote", "PromoteFull", "Abort", "Retry"] = Field(
        description="Go on past a pause; to the end at once; back to stable; try a rejected revision again."
    )
    id: Annotated[str, StringConstraints(min_length=1, max_length=64)] = Field(description="Makes it happen once.")
    revision: Revision | None = Field(default=None, description="Only for this revision; ignored otherwise.")
    step: Annotated[int, Field(ge=0, le=1000)] | None = Field(default=None, description="Only at this step.")
    by: Annotated[str, StringConstraints(max_length=253)] = Field(default="", description="Who asks (as claimed).")


class RolloutSpec(Model):
    """How a model's versions take traffic."""

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
