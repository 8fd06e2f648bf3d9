"""How a new revision takes over: the ladder of a canary, blue-green, or an experiment."""

from typing import Annotated, Literal

from pydantic import ConfigDict, Field, StringConstraints

from trainyard.resources.base import ATOMIC, Decimal, Model, Name, Word, exactly_one, map_by, rules
from trainyard.resources.rollout_analysis import Alpha

Token = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9!#$%&'*+.^_|~-]+$", min_length=1, max_length=128)]
HeaderValue = Annotated[str, StringConstraints(pattern=r"^[!-~]([ -~]*[!-~])?$", min_length=1, max_length=512)]


class Pause(Model):
    """Wait: for a time in which the measurements stay good, or for a person."""

    duration_seconds: Annotated[int, Field(ge=1, le=2_592_000)] | None = Field(
        default=None, description="How long; until `promote` where left out."
    )


class AnalysisStep(Model):
    """Measure before going on: a number of passing measurements, however long they take."""

    count: Annotated[int, Field(ge=1, le=1000)] = Field(
        default=1, description="So many measurements have to pass, every metric in each."
    )
    metrics: Annotated[tuple[Word, ...], Field(max_length=20, json_schema_extra={"x-kubernetes-list-type": "set"})] = (
        Field(default=(), description="These of `analysis.metrics`; all that are measured anyway where left out.")
    )


class HeaderMatch(Model):
    """One header that a request must carry."""

    model_config = ConfigDict(json_schema_extra=rules(exactly_one("exact", "regex")))

    name: Token = Field(description="The header's name; upper and lower case are the same.")
    exact: HeaderValue | None = Field(default=None, description="Its whole value.")
    regex: HeaderValue | None = Field(default=None, description="A regular expression, as the Gateway reads it.")


class SetHeaderRoute(Model):
    """Send requests with these headers to the canary, whatever the weight."""

    name: Name = Field(description="Its name; a later step of the same name replaces it.")
    match: Annotated[tuple[HeaderMatch, ...], Field(max_length=16, json_schema_extra=map_by("name"))] = Field(
        default=(), description="All of them must match; none takes the route away."
    )


class SetMirrorRoute(Model):
    """Send copies of stable's requests to the canary; its answers are thrown away."""

    percent: Annotated[int, Field(ge=0, le=100)] = Field(
        default=100, description="Copies of so many of a hundred requests; 0 takes the mirror away."
    )


class Step(Model):
    """One rung of the ladder: exactly one."""

    model_config = ConfigDict(
        json_schema_extra=rules(exactly_one("setWeight", "pause", "analysis", "setHeaderRoute", "setMirrorRoute"))
    )

    set_weight: Annotated[int, Field(ge=0, le=100)] | None = Field(
        default=None, description="Send this many of a hundred requests to the canary."
    )
    pause: Pause | None = Field(default=None, description="Wait for a time, or for a person ({}).")
    analysis: AnalysisStep | None = Field(default=None, description="Wait for passing measurements.")
    set_header_route: SetHeaderRoute | None = Field(default=None, description="A header leads to the canary.")
    set_mirror_route: SetMirrorRoute | None = Field(default=None, description="The canary gets copies of requests.")


class CanaryReplicas(Model):
    """How many canary pods: exactly one. Without it, in step with the weight, at least one."""

    model_config = ConfigDict(json_schema_extra=rules(exactly_one("percent", "count")))

    percent: Annotated[int, Field(ge=1, le=100)] | None = Field(default=None, description="Of the replicas.")
    count: Annotated[int, Field(ge=1, le=1000)] | None = Field(default=None, description="This many.")


class Cookie(Model):
    """A cookie that the Gateway sets and reads, naming the revision."""

    model_config = ConfigDict(json_schema_extra=ATOMIC)

    name: Token = Field(default="trainyard-revision", description="Its name; trainyard-revision where left out.")
    max_age_seconds: Annotated[int, Field(ge=1, le=31_536_000)] = Field(
        default=86_400, description="How long a client keeps it; a day where left out."
    )


class ArmCookie(Model):
    """The same for the arms of an experiment, kept for as long as it runs."""

    model_config = ConfigDict(json_schema_extra=ATOMIC)

    name: Token = Field(default="trainyard-revision", description="Its name; trainyard-revision where left out.")
    max_age_seconds: Annotated[int, Field(ge=1, le=31_536_000)] | None = Field(
        default=None, description="How long a client keeps it; a day, or durationSeconds if longer, where left out."
    )


class SessionAffinity(Model):
    """A user who saw the canary keeps seeing it while it serves: exactly one."""

    model_config = ConfigDict(json_schema_extra=rules(exactly_one("cookie")))

    cookie: Cookie | None = Field(default=None, description="By a cookie.")


class Canary(Model):
    """Step by step to the new revision."""

    model_config = ConfigDict(
        json_schema_extra=rules(
            (
                "!has(self.steps) || self.steps.all(s, !has(s.setWeight) || s.setWeight <= self.maxWeight)",
                "a step's setWeight is above maxWeight",
            )
        )
    )

    steps: Annotated[tuple[Step, ...], Field(max_length=100)] = Field(
        default=(), description="The ladder; after the last step the revision is promoted."
    )
    max_weight: Annotated[int, Field(ge=0, le=100)] = Field(
        default=100, description="No step may ask for more; promotion alone gives the rest."
    )
    replicas: CanaryReplicas | None = Field(default=None, description="How many canary pods.")
    max_extra_accelerators: Annotated[int, Field(ge=0, le=10_000)] | None = Field(
        default=None,
        description="How many accelerators the canary may take on top of stable's; stable gives way for the rest.",
    )
    session_affinity: SessionAffinity | None = Field(default=None, description="Keep users on the canary they saw.")


class Header(Model):
    """A header that tells two groups of requests apart."""

    name: Token = Field(description="The header's name; upper and lower case are the same.")
    value: HeaderValue = Field(description="Its whole value; all other requests are the other group.")


class Preview(Model):
    """How the new revision is reached before it serves."""

    header: Header = Field(description="Requests with this header go to the new revision.")


class BlueGreen(Model):
    """The new revision at full size beside the old one, then all traffic at once."""

    model_config = ConfigDict(json_schema_extra=ATOMIC)

    preview: Preview | None = Field(default=None, description="How it is reached before the switch.")
    auto_promotion_seconds: Annotated[int, Field(ge=0, le=2_592_000)] | None = Field(
        default=None, description="Switch after so long in which its pods were ready; by a person where left out."
    )
    before_switch: AnalysisStep | None = Field(
        default=None, description="Measurements (of preview traffic) that have to pass before the switch."
    )
    after_switch_seconds: Annotated[int, Field(ge=0, le=2_592_000)] = Field(
        default=0, description="How long the metrics must stay good with all traffic, before the old one goes."
    )


class Assignment(Model):
    """What keeps a user in one arm: exactly one."""

    model_config = ConfigDict(json_schema_extra=rules(exactly_one("cookie", "header")))

    cookie: ArmCookie | None = Field(default=None, description="The Gateway assigns at random and sets a cookie.")
    header: Header | None = Field(
        default=None, description="The caller's own service assigns, and marks the users of the new version."
    )


class Experiment(Model):
    """A fixed share for a time, a hypothesis, and a decision."""

    model_config = ConfigDict(
        json_schema_extra=rules(
            (
                "self.hypothesis != 'NonInferior' || double(self.margin) > 0.0",
                "NonInferior needs a margin above 0: the harm that would still be accepted",
            ),
            ("double(self.margin) >= 0.0", "a margin is 0 or more"),
            (
                "!has(self.outcomeDelaySeconds) || self.outcomeDelaySeconds < self.durationSeconds",
                "outcomeDelaySeconds must be shorter than durationSeconds, or no outcome is known before the end",
            ),
            (
                "!has(self.assignment) || !has(self.assignment.cookie) || "
                "!has(self.assignment.cookie.maxAgeSeconds) || "
                "self.assignment.cookie.maxAgeSeconds >= self.durationSeconds",
                "assignment.cookie.maxAgeSeconds is shorter than durationSeconds: users would change sides",
            ),
        )
    )

    share: Annotated[int, Field(ge=1, le=50)] = Field(description="Of a hundred users or requests.")
    assignment: Assignment | None = Field(
        default=None, description="What keeps a user in one arm; without it only per-request metrics can decide."
    )
    duration_seconds: Annotated[int, Field(ge=1, le=7_776_000)] = Field(description="The longest it runs.")
    outcome_delay_seconds: Annotated[int, Field(ge=0, le=604_800)] = Field(
        default=0, description="An answer's outcome is known this much later; it is measured so far back."
    )
    min_per_arm: Annotated[int, Field(ge=1, le=1_000_000_000)] = Field(
        default=1000, description="No decision before each arm has so many."
    )
    decide_on: Word = Field(description="The metric of `analysis` that decides; a sequential one.")
    hypothesis: Literal["Superior", "NonInferior"] = Field(
        default="Superior", description="To be shown: better than stable, or not worse by the margin."
    )
    margin: Decimal = Field(default="0", description="In the metric's unit.")
    alpha: Alpha = Field(default="0.05", description="How often, at most, it may be shown wrongly.")
    then: Literal["Promote", "Hold"] = Field(default="Promote", description="Once shown: promote, or wait.")
    otherwise: Literal["Abort", "Hold"] = Field(
        default="Abort", description="Time is over and nothing is shown: back to stable, or wait for a person."
    )


class Strategy(Model):
    """How a new revision takes over: exactly one."""

    model_config = ConfigDict(json_schema_extra=rules(exactly_one("canary", "blueGreen", "experiment")))

    canary: Canary | None = Field(default=None, description="Step by step.")
    blue_green: BlueGreen | None = Field(default=None, description="All at once, after a look at it.")
    experiment: Experiment | None = Field(default=None, description="A/B, with a decision.")
