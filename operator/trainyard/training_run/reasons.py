"""The reasons of a TrainingRun, each one word to act on, with the sentence that stands where no better one is known.

Tests, alerts and the CLI use the constants.
"""

from collections.abc import Mapping

# Succeeded: how it ended, or what it is at.
STARTING = "Starting"
PENDING = "Pending"
RUNNING = "Running"
STOPPING = "Stopping"
RETRYING = "Retrying"
WAITING_FOR_RUN = "WaitingForRun"
SUCCEEDED = "Succeeded"
CANCELLED = "Cancelled"
TIMED_OUT = "TimedOut"
OUT_OF_MEMORY = "OutOfMemory"
UNSCHEDULABLE = "Unschedulable"
IMAGE_PULL_FAILED = "ImagePullFailed"
STEP_FAILED = "StepFailed"
EVICTED = "Evicted"
NODE_LOST = "NodeLost"
PUBLISH_FAILED = "PublishFailed"
ENGINE_UNREACHABLE = "EngineUnreachable"
ENGINE_REFUSED = "EngineRefused"
SUBMITTED = "Submitted"

# Told once, as an event.
NO_GANG_SCHEDULING = "NoGangScheduling"

# Accepted: why not.
ACCEPTED = "Accepted"
UNREADABLE = "Unreadable"
INVALID_PARAMETERS = "InvalidParameters"
PIPELINE_NOT_FOUND = "PipelineNotFound"
PIPELINE_NOT_ACCEPTED = "PipelineNotAccepted"
PIPELINE_NOT_SEEN = "PipelineNotSeen"
REVISION_NOT_FOUND = "RevisionNotFound"
REVISION_UNREADABLE = "RevisionUnreadable"
SECRET_NOT_USABLE = "SecretNotUsable"  # noqa: S105 - a reason, not a secret
DATASET_UNAVAILABLE = "DatasetUnavailable"
DATASET_EMPTY = "DatasetEmpty"
DATASET_NOT_ALLOWED = "DatasetNotAllowed"
DATASET_TOO_LARGE = "DatasetTooLarge"
DATASET_UNUSABLE = "DatasetUnusable"
ENGINE_NOT_AVAILABLE = "EngineNotAvailable"
NOT_ACCEPTED = "NotAccepted"

SENTENCES: Mapping[str, str] = {
    STARTING: "The engine is asked to start the run.",
    PENDING: "The engine has the run; nothing of it runs yet.",
    RUNNING: "The run is under way.",
    STOPPING: "The run is being stopped.",
    WAITING_FOR_RUN: "With concurrency Forbid it waits for an older run.",
    NO_GANG_SCHEDULING: "Several workers without a queue: some may wait for nodes while the others hold theirs. "
    "Name a Kueue LocalQueue in compute.queue to start all of them or none.",
    SUCCEEDED: "The model is trained and published.",
    CANCELLED: "The run was cancelled.",
    TIMED_OUT: "The run took longer than its pipeline's timeoutSeconds.",
    ENGINE_UNREACHABLE: "The engine does not answer; the run is looked for again.",
    ENGINE_REFUSED: "The engine will not take the run.",
    SUBMITTED: "The engine was asked to start the run and has not shown it yet.",
    ACCEPTED: "The run can be understood.",
    PIPELINE_NOT_FOUND: "The TrainingPipeline does not exist.",
    PIPELINE_NOT_ACCEPTED: "The TrainingPipeline is not accepted; its own conditions tell why.",
    PIPELINE_NOT_SEEN: "The TrainingPipeline's present state has no revision yet.",
    REVISION_NOT_FOUND: "The pipeline has no such revision.",
    ENGINE_NOT_AVAILABLE: "This operator has no such engine, or not for this namespace.",
    NOT_ACCEPTED: "The run is not accepted; that condition tells why.",
}


def sentence(reason: str, message: str = "") -> str:
    """Return the message, or the reason's own sentence where there is none."""
    return message or SENTENCES.get(reason, "")
