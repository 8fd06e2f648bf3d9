"""What is known of one ModelVersion when it is decided about. Frozen; absence and failure are fields."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from trainyard.resources.aliases import Claim
from trainyard.resources.base import ObjectMeta
from trainyard.resources.model_version import DecisionStatus, ModelVersionSpec, ModelVersionStatus, Rejection
from trainyard.systems.artifacts.port import Manifest


@dataclass(frozen=True)
class Evidence:
    """What the object store shows of an artifact.

    away: the store did not answer, the rest means nothing. manifest: None where it is missing, or malformed (then
    `malformed` is the sentence). sizes: bytes by path of what lies beside the manifest; None where it was not
    listed, which an artifact that was verified before does not need.
    """

    away: bool = False
    manifest: Manifest | None = None
    malformed: str = ""
    sizes: Mapping[str, int] | None = None


@dataclass(frozen=True)
class Serving:
    """What the Rollouts of the namespace do with the version."""

    served_by: tuple[str, ...] = ()
    rejections: tuple[Rejection, ...] = ()


@dataclass(frozen=True)
class Observed:
    """One ModelVersion and what it depends on.

    spec: None where it cannot be read (then `problem` says why). misplaced: why the artifact's URI is refused, ""
    where it is not; nothing of a misplaced artifact is read. claims: other versions of the model that list or show one
    of its aliases.
    """

    meta: ObjectMeta
    spec: ModelVersionSpec | None
    status: ModelVersionStatus = field(default_factory=ModelVersionStatus)
    problem: str = ""
    misplaced: str = ""
    evidence: Evidence = field(default_factory=Evidence)
    serving: Serving = field(default_factory=Serving)
    claims: tuple[Claim, ...] = ()


@dataclass(frozen=True)
class Finding:
    """Whether the artifact is what the spec says: True, False, or None (not known now), with why."""

    verified: bool | None
    reason: str
    message: str = ""


@dataclass(frozen=True)
class View:
    """What was found out about an observed version: all that its status says. holds: the aliases that it may show."""

    accepted: Finding
    verified: Finding
    decision: DecisionStatus | None
    holds: tuple[str, ...] = ()

    @property
    def is_ready(self) -> bool:
        """Whether Rollouts may serve it."""
        accepted = self.decision is not None and self.decision.verdict == "Accepted"
        return bool(self.accepted.verified and accepted and self.verified.verified)
