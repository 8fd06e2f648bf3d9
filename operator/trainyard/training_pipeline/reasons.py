"""The reasons of a TrainingPipeline, each with its sentence. Tests, alerts and the CLI use the constants."""

from collections.abc import Mapping

ACCEPTED = "Accepted"
UNREADABLE = "Unreadable"
INVALID_PARAMETERS = "InvalidParameters"
PACKAGE_NOT_FOUND = "PackageNotFound"
PACKAGE_MALFORMED = "PackageMalformed"
PACKAGE_REFUSED = "PackageRefused"
ENGINE_NOT_AVAILABLE = "EngineNotAvailable"

INVALID_TRIGGER = "InvalidTrigger"

# TriggersReady: the Secrets of event triggers.
TRIGGERS_READY = "TriggersReady"
SECRET_MISSING = "SecretMissing"  # noqa: S105 - a reason, not a secret
SECRET_NOT_USABLE = "SecretNotUsable"  # noqa: S105 - as above
SECRET_UNKNOWN = "SecretUnknown"  # noqa: S105 - as above

MANUAL = "Manual"
SUSPENDED = "Suspended"
UP_TO_DATE = "UpToDate"
RUN_CREATED = "RunCreated"
WAITING_FOR_TRIGGER = "WaitingForTrigger"
WAITING_FOR_RUN = "WaitingForRun"
REPLACING = "ReplacingRun"
WAITING_FOR_NAME = "WaitingForName"
NAME_CONFLICT = "NameConflict"
PARAMETER_WITHOUT_VALUE = "ParameterWithoutValue"
REVISION_CONFLICT = "RevisionConflict"
SLOT_MISSED = "SlotMissed"

SENTENCES: Mapping[str, str] = {
    ACCEPTED: "The pipeline can be understood.",
    ENGINE_NOT_AVAILABLE: "This operator has no Kubeflow for this namespace.",
    TRIGGERS_READY: "The Secrets of the event triggers are there, and labelled.",
    MANUAL: "No trigger is declared; runs are started by hand.",
    SUSPENDED: "Suspended: no trigger starts a run.",
    UP_TO_DATE: "There is a run for the present inputs.",
    WAITING_FOR_TRIGGER: "No run is due; the next one comes by schedule or event.",
    RUN_CREATED: "A run for the present inputs was created.",
    WAITING_FOR_RUN: "A run is due; with concurrency Forbid it waits until the active ones have ended.",
    REPLACING: "A run is due; with concurrency Replace the active ones are being cancelled.",
    WAITING_FOR_NAME: "A run is due; its name is held by one that is being deleted.",
    NAME_CONFLICT: "A run is due, and its name is held by a TrainingRun of something else.",
    REVISION_CONFLICT: "The name of the present revision is held by a ControllerRevision of something else.",
}


def sentence(reason: str, message: str = "") -> str:
    """Return the message, or the reason's own sentence where there is none."""
    return message or SENTENCES.get(reason, "")
