"""What the benchmark must know of an operator to measure it: its objects, and how to read them. Pure but `install`.

`measuring` runs the same parts for each; `ours` and `argo` say what a change, a weight and rest are to theirs.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Protocol

from local.rig import ApiServerRig
from trainyard.systems.cluster.port import Kind, Obj, Ref

Made = tuple[Kind, Obj]


class Edit(NamedTuple):
    """A merge patch of an object, or of its status."""

    ref: Ref
    body: Mapping[str, Any]
    status: bool = False


class View(Protocol):
    """The namespace of the benchmark as its watches show it."""

    def get(self, kind: Kind, name: str) -> Obj:
        """Return an object, {} where there is none."""
        ...

    def of(self, kind: Kind, rollout: str) -> Sequence[Obj]:
        """Return the objects that carry the tool's label of a Rollout."""
        ...


@dataclass(frozen=True)
class Command:
    """How a process is started."""

    arguments: tuple[str, ...]
    environment: Mapping[str, str] = field(default_factory=dict)


class Tool(Protocol):
    """One operator. key: its place in `latest.json`. user: who its requests come from. label: by which its objects
    tell their Rollout. played: what the benchmark answers in the name of pods and gateways.
    """

    key: str
    title: str
    user: str
    lease: str
    label: str
    rollout: Kind
    watched: tuple[Kind, ...]
    played: Mapping[Kind, Callable[[Obj], dict[str, Any]]]

    def install(self, rig: ApiServerRig) -> None:
        """Install the kinds, and wait until they are served."""
        ...

    def command(self, rig: ApiServerRig, url: str) -> Command:
        """Return how it is started; `url` is where the scripted store and Prometheus answer."""
        ...

    def setup(self, rig: ApiServerRig, url: str) -> Command | None:
        """Return how it is started to serve the first versions, where its own way would take very long."""
        ...

    def ahead(self, names: Sequence[str], url: str) -> Sequence[Made]:
        """Return what must be there before the Rollouts."""
        ...

    def rollouts(self, names: Sequence[str]) -> Sequence[Made]:
        """Return the Rollouts, each at its first version."""
        ...

    def is_prepared(self, view: View, name: str) -> bool:
        """Whether what must be there before a Rollout has been looked at."""
        ...

    def pin(self, name: str, number: int) -> Edit:
        """Return the change of a spec that asks for a version by its number: what is measured."""
        ...

    def promote(self, name: str, mark: str) -> Edit:
        """Return what sends a canary on from a pause; `mark` makes it happen once."""
        ...

    def weight(self, view: View, name: str) -> int:
        """Return the canary's weight in the route, in percent."""
        ...

    def share(self, view: View, name: str, revision: str) -> int:
        """Return the percent of the requests that Prometheus tells of a revision."""
        ...

    def revisions(self, view: View, name: str) -> Sequence[str]:
        """Return the revisions in the route, () where Prometheus is asked for one Rollout at a time."""
        ...

    def is_settled(self, view: View, name: str, weight: int) -> bool:
        """Whether the route has this weight, and the operator has said so and waits for a person."""
        ...

    def rests(self, view: View, name: str, number: int) -> bool:
        """Whether a version has all traffic, and no pod of another is left."""
        ...
