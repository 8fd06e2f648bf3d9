"""What a decision is: the words that every kind's `decide` answers in.

Used by each kind's `decide` (makes a Plan) and by `reconciling.cycle` (carries it out). Pure.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal

from trainyard.systems.cluster.port import Kind, Obj


@dataclass(frozen=True)
class Action:
    """One intention of a plan, carried out as at most one write. Each kind names its own in `state.py`.

    irrevocable: what it does cannot be put back by a later visit, so it is never decided on what a store tells alone.
    hangs_on: the kinds that are read live for it then, beside the object itself; None for all.
    by_name: whether only known objects of these kinds are, each by itself. A list waits for the API server's cache.
    at_once: it may be under way together with its neighbours in the plan that say so too.
    inward: it changes this process's memory alone, and is carried out also where a write before it is refused.
    """

    irrevocable: ClassVar[bool] = False
    hangs_on: ClassVar[frozenset[Kind] | None] = None
    by_name: ClassVar[bool] = False
    at_once: ClassVar[bool] = False
    inward: ClassVar[bool] = False

    @property
    def about(self) -> str:
        """The object that it writes, as a person is told of it (`Deployment churn-1`); "" for the object itself."""
        return ""


def named(obj: Obj) -> str:
    """Name an object for a person."""
    return f"{obj['kind']} {obj['metadata']['name']}"


@dataclass(frozen=True)
class WriteStatus(Action):
    """Write this whole status now, before the actions that follow: the intent of a two-sided change.

    The write carries the resourceVersion that the plan was decided on; a conflict ends the cycle.
    """

    status: Mapping[str, Any]


@dataclass(frozen=True)
class PatchMetadata(Action):
    """Merge-patch the object's own metadata: finalizers and annotations, with the decided resourceVersion."""

    finalizers: tuple[str, ...] | None = None
    annotations: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Release(PatchMetadata):
    """Take our finalizer from a deleted object: what it still tells of things outside goes with it."""

    irrevocable: ClassVar[bool] = True


@dataclass(frozen=True)
class Note:
    """A Kubernetes Event about a transition.

    `transition` makes it one event per transition: the same (reason, message, transition) is posted once.
    """

    reason: str
    message: str
    transition: str
    type: Literal["Normal", "Warning"] = "Normal"


@dataclass(frozen=True)
class Record:
    """One row for the metadata database; (uid, sequence) is its key, told once.

    Told again with other data, a decision replaces the one before, whose status write never landed; the other types
    stay as they were told first. `type` is the table's word: run, artifact, version or decision. `at` is RFC 3339 UTC.
    """

    uid: str
    sequence: int
    type: Literal["run", "artifact", "version", "decision"]
    at: str
    namespace: str
    name: str
    data: Mapping[str, Any]


@dataclass(frozen=True)
class Plan:
    """What to do now. The cycle carries it out in this order, and stops at the first write that fails.

    actions: in order, one write each, but for what may go at once. status: the whole resulting status, written last
    and only if it differs from the one observed (None: leave it alone). records: rows for the database, tried before
    that last status write, and before an intent that can be put back; those that could not be written are kept in
    `status.unrecorded`. notes: events, posted after.
    revisit_after: seconds until the next visit (None: when something changes, or at the regular visit).
    """

    actions: tuple[Action, ...] = ()
    status: Mapping[str, Any] | None = None
    records: tuple[Record, ...] = ()
    notes: tuple[Note, ...] = ()
    revisit_after: float | None = None
