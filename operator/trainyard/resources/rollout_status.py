"""The status of a Rollout: what serves, what is tried, how the ladder stands, and how earlier revisions ended."""

from typing import Annotated, Any, Literal

from pydantic import Field, StringConstraints

from trainyard.resources.base import Digest, Name, RowNumber, StatusModel, Timestamp
from trainyard.resources.conditions import Conditions

Revision = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{10}$")]
Outcome = Literal["Promoted", "FastPromoted", "Aborted", "Superseded", "RolledBack"]
# Done; it did not fit what was running; a freeze window held.
ActionResult = Literal["Done", "Stale", "Frozen"]
Who = Annotated[str, StringConstraints(max_length=253)]


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
    lower: Annotated[str, StringConstraints(max_length=40)] = Field(
        default="", description="Sequential: the harm is at least this (in the metric's unit; negative is a gain)."
    )
    upper: Annotated[str, StringConstraints(max_length=40)] = Field(
        default="", description="Sequential: the harm is at most this."
    )
    needs: int | None = Field(default=None, description="Sequential: about so many more requests until it is decided.")
    needs_seconds: int | None = Field(default=None, description="Sequential: how long they take at the present rate.")


class HistoryEntry(StatusModel):
    """How one revision's rollout ended."""

    revision: Revision = Field(description="Its hash.")
    version: Name = Field(description="Its ModelVersion.")
    digest: Digest = Field(description="The artifact's digest.")
    outcome: Outcome = Field(description="How it ended.")
    message: Annotated[str, StringConstraints(max_length=512)] = Field(default="", description="Why.")
    by: Who = Field(default="", description="Who asked for that; nobody where it is empty.")
    started_time: Timestamp = Field(description="When it began.")
    finished_time: Timestamp = Field(description="When it ended.")


class Ending(StatusModel):
    """How the canary's time ends: decided, and on its way."""

    outcome: Outcome = Field(description="What will stand in the history.")
    message: Annotated[str, StringConstraints(max_length=512)] = Field(default="", description="Why.")
    by: Who = Field(default="", description="Who asked for it; nobody where it is empty.")


class HandledAction(StatusModel):
    """What became of something that a person asked for."""

    id: Annotated[str, StringConstraints(max_length=64)] = Field(description="The action's id.")
    kind: Annotated[str, StringConstraints(max_length=20)] = Field(description="What was asked for.")
    by: Who = Field(default="", description="Who asked.")
    result: ActionResult = Field(description="Done; or ignored: it did not fit (Stale), a freeze window held (Frozen).")
    at: Timestamp = Field(description="When it was answered.")


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
    step: Annotated[int, Field(ge=0)] | None = Field(
        default=None, description="The step that is running, counted from 0."
    )
    steps_digest: Digest | None = Field(default=None, description="The steps that `step` counts in.")
    ladder: Annotated[tuple[Annotated[str, StringConstraints(max_length=128)], ...], Field(max_length=100)] = Field(
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
    counted_seconds: int = Field(default=0, ge=0, description="Seconds of the pause that counted.")
    passed: int = Field(default=0, ge=0, description="Passing measurements of the running analysis step.")
    held_since: Timestamp | None = Field(default=None, description="Since when measurements hold the step.")
    waiting_for: Annotated[str, StringConstraints(max_length=256)] | None = Field(
        default=None, description="What it waits for."
    )
    frozen: Annotated[str, StringConstraints(max_length=63)] | None = Field(
        default=None, description="The freeze window that holds, by name."
    )
    replicas: int = Field(default=0, description="Pods of all revisions, for the scale subresource.")
    selector: Annotated[str, StringConstraints(max_length=256)] = Field(
        default="", description="Label selector of all its pods, for the scale subresource."
    )
    metrics: Annotated[tuple[MetricStatus, ...], Field(max_length=40)] = Field(
        default=(), description="The last measurements."
    )
    handled_action: Annotated[str, StringConstraints(max_length=64)] | None = Field(
        default=None, description="The id of the last action that was answered."
    )
    actions: Annotated[tuple[HandledAction, ...], Field(max_length=20)] = Field(
        default=(), description="What was asked for and what became of it, newest first; each is answered once."
    )
    rejected: Annotated[tuple[Revision, ...], Field(max_length=50)] = Field(
        default=(), description="Revisions that are refused until a person retries them."
    )
    history: Annotated[tuple[HistoryEntry, ...], Field(max_length=20)] = Field(
        default=(), description="How earlier revisions ended, newest first."
    )
    sequence: RowNumber = Field(default=0, description="How many decisions were recorded so far.")
    unrecorded: Annotated[
        tuple[
            Annotated[dict[str, Any], Field(json_schema_extra={"x-kubernetes-preserve-unknown-fields": True})],
            ...,
        ],
        Field(max_length=50),
    ] = Field(default=(), description="Rows that wait for the metadata database.")
