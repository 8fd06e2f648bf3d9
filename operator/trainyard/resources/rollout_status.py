"""The status of a Rollout: what serves, what is tried, how the ladder stands, and how earlier revisions ended."""

from typing import Annotated, Any, Literal

from pydantic import Field, StringConstraints

from trainyard.resources.base import Digest, Name, StatusModel, Timestamp
from trainyard.resources.conditions import Conditions

Revision = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{10}$")]
Outcome = Literal["Promoted", "FastPromoted", "Aborted", "Superseded", "RolledBack"]


class RevisionStatus(StatusModel):
    """One revision that serves or is to serve."""

    revision: Revision = Field(description="Its hash.")
    version: Name = Field(description="Its ModelVersion.")
    digest: Digest = Field(description="The artifact's digest.")
    run: Name | None = Field(default=None, description="The TrainingRun that made it.")


class MetricStatus(StatusModel):
    """The last measurement of one metric."""

    name: Annotated[str, StringConstraints(max_length=63)] = Field(description="The metric.")
    verdict: Literal["Pass", "Fail", "Inconclusive", "NoData"] = Field(description="How it came out.")
    reason: Annotated[str, StringConstraints(max_length=63)] = Field(default="", description="One word.")
    message: Annotated[str, StringConstraints(max_length=512)] = Field(default="", description="A sentence.")
    value: Annotated[str, StringConstraints(max_length=40)] = Field(default="", description="What was measured.")
    samples: int = Field(default=0, description="Requests of the canary since the step began.")
    failures: int = Field(default=0, description="Failed measurements in this canary.")


class HistoryEntry(StatusModel):
    """How one revision's rollout ended."""

    revision: Revision = Field(description="Its hash.")
    version: Name = Field(description="Its ModelVersion.")
    digest: Digest = Field(description="The artifact's digest.")
    outcome: Outcome = Field(description="How it ended.")
    message: Annotated[str, StringConstraints(max_length=512)] = Field(default="", description="Why.")
    started_time: Timestamp = Field(description="When it began.")
    finished_time: Timestamp = Field(description="When it ended.")


class Ending(StatusModel):
    """How the canary's time ends: decided, and on its way."""

    outcome: Outcome = Field(description="What will stand in the history.")
    message: Annotated[str, StringConstraints(max_length=512)] = Field(default="", description="Why.")


class RolloutStatus(StatusModel):
    """What the operator knows of a rollout."""

    observed_generation: int = Field(default=0, description="The generation of the spec that this speaks of.")
    conditions: Conditions = Field(
        default=(),
        description="Accepted, Available, Ready, Degraded, Paused, Recorded, Reconciling, Stalled.",
    )
    stable: RevisionStatus | None = Field(default=None, description="What serves all other traffic.")
    canary: RevisionStatus | None = Field(default=None, description="What is being tried.")
    weight: Annotated[int, Field(ge=0, le=100)] = Field(default=0, description="The canary's share, as intended.")
    routed_weight: Annotated[int, Field(ge=0, le=100)] | None = Field(
        default=None, description="The canary's share, as read back from the route."
    )
    observed_share: Annotated[str, StringConstraints(max_length=16)] | None = Field(
        default=None, description="The canary's share of requests in percent, as Prometheus saw it."
    )
    step: int | None = Field(default=None, description="The step that is running, counted from 0.")
    steps_digest: Digest | None = Field(default=None, description="The steps that `step` counts in.")
    ladder: Annotated[tuple[Annotated[str, StringConstraints(max_length=32)], ...], Field(max_length=100)] = Field(
        default=(), description="The steps that `step` counts in, as text."
    )
    restarted_from: int | None = Field(
        default=None, description="The first step that differed when the steps were edited in flight."
    )
    step_started_time: Timestamp | None = Field(default=None, description="When its weight was set.")
    canary_started_time: Timestamp | None = Field(default=None, description="When this canary began.")
    weightless_since: Timestamp | None = Field(
        default=None, description="Since when the revisions to take down have no weight."
    )
    ending: Ending | None = Field(default=None, description="How the canary's time ends, while it is on its way.")
    unavailable_since: Timestamp | None = Field(
        default=None, description="Since when the canary is waited for; the progress deadline runs from here."
    )
    last_interval: int | None = Field(
        default=None, description="The last interval of this step in which a failed measurement was counted."
    )
    counted_seconds: int = Field(default=0, description="Seconds of the pause that counted.")
    held_since: Timestamp | None = Field(default=None, description="Since when measurements hold the step.")
    waiting_for: Annotated[str, StringConstraints(max_length=256)] | None = Field(
        default=None, description="What it waits for."
    )
    metrics: Annotated[tuple[MetricStatus, ...], Field(max_length=20)] = Field(
        default=(), description="The last measurements."
    )
    handled_action: Annotated[str, StringConstraints(max_length=64)] | None = Field(
        default=None, description="The id of the last action that was done."
    )
    rejected: Annotated[tuple[Revision, ...], Field(max_length=50)] = Field(
        default=(), description="Revisions that are refused until a person retries them."
    )
    history: Annotated[tuple[HistoryEntry, ...], Field(max_length=20)] = Field(
        default=(), description="How earlier revisions ended, newest first."
    )
    sequence: int = Field(default=0, description="How many decisions were recorded so far.")
    unrecorded: Annotated[
        tuple[
            Annotated[dict[str, Any], Field(json_schema_extra={"x-kubernetes-preserve-unknown-fields": True})],
            ...,
        ],
        Field(max_length=50),
    ] = Field(default=(), description="Rows that wait for the metadata database.")
