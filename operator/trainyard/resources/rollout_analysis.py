"""What is measured while a canary serves: metrics, their limits, and how they are compared with stable."""

from typing import Annotated, Literal

from pydantic import ConfigDict, Field, StringConstraints

from trainyard.resources.base import ATOMIC, Decimal, Model, Seconds, Word, exactly_one, map_by, ordered, rules

LIMITS = ("min", "max", "maxIncrease", "maxIncreasePercent", "maxDecrease", "maxDecreasePercent")
_NO_LIMIT = " && ".join(f"!has(self.{limit})" for limit in LIMITS)
_SHARES = "['ErrorRate', 'SlowShare', 'PredictionDrift']"
_IS_SHARE = "((!has(self.min) || (double(self.min) >= 0.0 && double(self.min) <= 1.0)) && "
_IS_SHARE += "(!has(self.max) || (double(self.max) >= 0.0 && double(self.max) <= 1.0)))"
# Two shares are never further apart than 1: at 1 or more nothing would ever fail.
_CAN_FAIL = " && ".join(f"(!has(self.{f}) || double(self.{f}) < 1.0)" for f in ("margin", "maxIncrease", "maxDecrease"))
PromQL = Annotated[str, StringConstraints(min_length=1, max_length=4096)]
Source = Literal["ModelServer", "Contour", "EnvoyGateway", "Istio", "Traefik", "KServe"]
# A share of error, strictly between 0 and 1/2: more would be a coin.
Alpha = Annotated[str, StringConstraints(pattern=r"^0\.(0[0-9]*[1-9][0-9]*|[1-4][0-9]*)$", max_length=10)]


class Ratio(Model):
    """Two counters whose quotient is a proportion or a mean: good answers of all, clicks of requests."""

    good: PromQL = Field(
        description="A PromQL selector of the numerator's counters, one series a process; several are added. A sum "
        "over processes falls when one of them goes, and a fall is read as a restart."
    )
    total: PromQL = Field(description="A PromQL selector of the denominator's counters, with the same labels.")
    better: Literal["Higher", "Lower"] = Field(default="Higher", description="Which direction is an improvement.")


class Sequential(Model):
    """Compare with stable by a test that may be looked at any time."""

    model_config = ConfigDict(json_schema_extra=ATOMIC)

    alpha: Alpha = Field(
        default="0.05", description="How often, at most, equal revisions may be told apart; 0.05 where left out."
    )


class AnalysisMetric(Model):
    """One measurement and its limits (all inclusive), or its comparison with stable by a margin."""

    model_config = ConfigDict(
        json_schema_extra=rules(
            exactly_one("builtin", "query", "ratio"),
            (
                " || ".join(f"has(self.{limit})" for limit in (*LIMITS, "sequential")),
                f"a metric needs at least one limit: {', '.join(LIMITS)}, or sequential with a margin",
            ),
            ordered("min", "max"),
            (
                f"!has(self.builtin) || !(self.builtin in {_SHARES}) || {_IS_SHARE}",
                "ErrorRate, SlowShare and PredictionDrift are shares between 0 and 1: write 1 percent as 0.01",
            ),
            (
                f"!has(self.builtin) || !(self.builtin in {_SHARES}) || ({_CAN_FAIL})",
                "margin, maxIncrease and maxDecrease of a share must be below 1, or nothing ever fails: "
                "write 1 percent as 0.01",
            ),
            (
                "!has(self.builtin) || !has(self.maxDecreasePercent) || double(self.maxDecreasePercent) < 100.0",
                "maxDecreasePercent of a built-in metric must be below 100: its value is never negative, so nothing "
                "would ever fail",
            ),
            (
                "(has(self.builtin) && self.builtin == 'SlowShare') == has(self.slowerThanSeconds)",
                "slowerThanSeconds belongs to SlowShare, and SlowShare needs it",
            ),
            (
                "has(self.sequential) == has(self.margin)",
                "sequential needs a margin, and a margin belongs to sequential",
            ),
            (
                f"!has(self.sequential) || ({_NO_LIMIT} && (!has(self.failureLimit) || self.failureLimit == 0))",
                "a sequential metric takes a margin and neither limits nor failureLimit",
            ),
            (
                "!has(self.sequential) || has(self.ratio) || "
                "(has(self.builtin) && self.builtin in ['ErrorRate', 'SlowShare'])",
                "sequential compares proportions and means: ErrorRate, SlowShare or a ratio",
            ),
            (
                "!has(self.margin) || double(self.margin) >= 0.0",
                "a margin is the harm that is tolerated: 0 or more",
            ),
            (
                "!has(self.labelDelaySeconds) || has(self.query) || has(self.ratio)",
                "labelDelaySeconds is for a query or a ratio: the built-in metrics need no labels",
            ),
            (
                "!has(self.minLabels) || has(self.ratio)",
                "minLabels is for a ratio: its total counts the labels",
            ),
        )
    )

    name: Word = Field(description="Its name; unique in the list.")
    builtin: (
        Literal[
            "ErrorRate",
            "SlowShare",
            "LatencyP50",
            "LatencyP95",
            "LatencyP99",
            "Requests",
            "CPU",
            "Memory",
            "Disk",
            "AcceleratorUse",
            "PredictionDrift",
        ]
        | None
    ) = Field(
        default=None,
        description="ErrorRate and SlowShare (shares, 0 to 1), latency quantiles (seconds), Requests (per second), "
        "CPU (cores a pod), Memory and Disk (bytes a pod), AcceleratorUse (share) or PredictionDrift (distance of "
        "the predictions' distribution from stable's, 0 to 1).",
    )
    query: PromQL | None = Field(
        default=None,
        description="PromQL with $(rollout) $(namespace) $(revision) $(version) $(stableRevision) $(window).",
    )
    ratio: Ratio | None = Field(default=None, description="Two counters, with the same placeholders.")
    slower_than_seconds: Decimal | None = Field(
        default=None, description="SlowShare: a request is slow beyond this; a bound of the server's histogram."
    )
    min: Decimal | None = Field(default=None, description="The least value that passes.")
    max: Decimal | None = Field(default=None, description="The greatest value that passes.")
    max_increase: Decimal | None = Field(default=None, description="At most this much above stable.")
    max_increase_percent: Decimal | None = Field(default=None, description="At most this many percent above stable.")
    max_decrease: Decimal | None = Field(default=None, description="At most this much below stable.")
    max_decrease_percent: Decimal | None = Field(default=None, description="At most this many percent below stable.")
    sequential: Sequential | None = Field(
        default=None, description="Compare with stable over all requests since the step began, at any time."
    )
    margin: Decimal | None = Field(
        default=None, description="The harm that is tolerated, in the metric's unit: worse than stable by so much."
    )
    label_delay_seconds: Annotated[int, Field(ge=0, le=604_800)] | None = Field(
        default=None, description="Labels arrive this much later: the window lies so far back."
    )
    min_labels: Annotated[int, Field(ge=0, le=1_000_000_000)] | None = Field(
        default=None, description="A ratio counts from this many on (its total) instead of minRequests."
    )
    background: bool = Field(
        default=True, description="Measured all the time a canary serves; false: only in steps that name it."
    )
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

    source: Source = Field(
        default="ModelServer",
        description="Whose series the built-in request metrics read: the stock server's, or a gateway's or mesh's.",
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
    metrics: Annotated[tuple[AnalysisMetric, ...], Field(max_length=20, json_schema_extra=map_by("name"))] = Field(
        default=(), description="What is measured."
    )
