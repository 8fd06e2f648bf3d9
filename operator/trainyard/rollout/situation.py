"""What `decide` knows, with the questions that its rules ask. Pure."""

from dataclasses import dataclass, replace
from datetime import datetime
from functools import cached_property

from trainyard import naming
from trainyard.resources.rollout import (
    Analysis,
    RevisionStatus,
    Rollout,
    RolloutSpec,
    RolloutStatus,
    Serving,
    Traffic,
    UserAction,
)
from trainyard.rollout import freeze, revisions, shortcuts, sizing, steps, strategies, weights
from trainyard.rollout.state import Observed, Progress
from trainyard.rollout.times import since, stamp
from trainyard.systems.cluster.port import Obj

GOING_BACK = ("Aborted", "Superseded", "RolledBack")


@dataclass(frozen=True)
class Situation:
    """One Rollout that could be read, at one moment.

    status: the one observed, or the one being thought of. progress: with this visit's time and measurement in it.
    """

    seen: Observed
    rollout: Rollout
    status: RolloutStatus
    now: datetime
    progress: Progress

    def thinking_of(self, **changes: object) -> "Situation":
        """Return the situation with another status."""
        return replace(self, status=self.status.model_copy(update=changes))

    @property
    def name(self) -> str:
        """Name of the Rollout, and of its route."""
        return self.rollout.metadata.name

    @property
    def spec(self) -> RolloutSpec:
        """What is asked for."""
        return self.rollout.spec

    @property
    def serving(self) -> Serving:
        """How the pods are asked for."""
        target = self.spec.target.kubernetes
        return target.serving if target else Serving()

    @property
    def traffic(self) -> Traffic:
        """Which requests are asked for."""
        target = self.spec.target.kubernetes
        assert target is not None  # noqa: S101 - `admission` has refused it otherwise
        return target.traffic

    @cached_property
    def steps(self) -> tuple[strategies.Rung, ...]:
        """The ladder, whatever the strategy."""
        return strategies.ladder(self.spec.strategy)

    @property
    def analysis(self) -> Analysis:
        """What is measured."""
        return self.spec.analysis

    @property
    def at(self) -> str:
        """Now, as status has it."""
        return stamp(self.now)

    @property
    def stable(self) -> RevisionStatus | None:
        """What serves."""
        return self.status.stable

    @property
    def canary(self) -> RevisionStatus | None:
        """What is being tried."""
        return self.status.canary

    @property
    def step(self) -> int:
        """The running step, 0 where none is."""
        return self.status.step or 0

    @cached_property
    def wanted(self) -> revisions.Wanted:
        """What the spec asks for now."""
        return revisions.wanted(self.rollout, self.status, self.serving, self.seen)

    @property
    def action(self) -> UserAction | None:
        """What a person asks for and has not been answered yet."""
        action = self.spec.action
        answered = {self.status.handled_action, *(a.id for a in self.status.actions)}
        return action if action and action.id not in answered else None

    @property
    def step_weight(self) -> int:
        """The weight that the running step stands for."""
        return steps.weight_at(self.steps, self.step) if self.stable else 100

    @property
    def routed(self) -> dict[str, int]:
        """Revision -> share, as the route has it."""
        return weights.routed(self.seen.route, self.name)

    @property
    def routed_weight(self) -> int:
        """The canary's share, as the route has it."""
        return self.routed.get(self.canary.revision, 0) if self.canary else 0

    @property
    def is_canary_named(self) -> bool:
        """Whether the route names the canary already, or did with this weight before somebody deleted it.

        A gateway's proxy may hear of routes before it hears of backends, and answers 503 meanwhile. So the canary is
        a backend of weight 0 that the Gateway took, before anything leads to it.
        """
        if self.canary is None or self.seen.route is None:
            return self.canary is not None and self.is_settled
        named = weights.annotation(self.seen.route, naming.ANNOTATION_CANARY_REVISION)
        return self.canary.revision == named or self.canary.revision in self.routed

    @property
    def is_settled(self) -> bool:
        """Whether the weight that is meant was read back once; somebody may have edited the route since."""
        return self.status.routed_weight == self.status.weight

    @property
    def is_routed(self) -> bool:
        """Whether the weight that is meant was read back, and still stands there."""
        return self.is_settled and self.status.weight == self.routed_weight

    @property
    def canary_size(self) -> int:
        """How many canary pods the step wants: enough for it, and for what was routed last."""
        sized = steps.sized_at(self.steps, self._step_kept) if self.stable else 100
        carried = max(self.status.weight, self.status.routed_weight or 0)
        wanted = weights.canary_size(self.spec, self.serving.replicas, max(sized, carried))
        if self.canary is None or not self.is_edit_held:
            return wanted
        stands = int((self.seen.deployments.get(self.canary.revision) or {}).get("spec", {}).get("replicas", 0))
        return min(wanted, max(stands, weights.canary_size(self.spec, self.serving.replicas, carried)))

    @property
    def demand(self) -> sizing.Demand:
        """What is asked for in pods and weights."""
        return sizing.Demand(self.serving.replicas, self.canary_size, self.routed_weight, self.status.weight)

    @cached_property
    def sizes(self) -> sizing.Sizes:
        """How many pods there are to be now."""
        if self.canary is None or self.stable is None:
            return sizing.Sizes(self.serving.replicas if self.stable else 0, self.canary_size if self.canary else 0)
        deployment = self.seen.deployments.get(self.stable.revision)
        return sizing.sizes(self.spec.strategy, self.serving, self.demand, deployment, not self.is_going_back)

    def alive(self, revision: RevisionStatus | None) -> bool:
        """Whether a revision has a ready endpoint."""
        return revision is not None and available(self.seen.deployments.get(revision.revision)) > 0

    def carries(self, revision: RevisionStatus, replicas: int) -> bool:
        """Whether that many pods of a revision are there, up to date and ready."""
        return is_complete(self.seen.deployments.get(revision.revision), replicas)

    @property
    def is_canary_ready(self) -> bool:
        """Whether the canary can take the weight that is meant."""
        return self.canary is not None and self.carries(self.canary, self.canary_size)

    @property
    def is_first_ready(self) -> bool:
        """Whether the canary has what it was waited for since it began; trouble from now on has a time of its own."""
        return self.is_canary_ready and self.status.unavailable_since == self.status.canary_started_time

    @property
    def is_canary_growing(self) -> bool:
        """Whether the canary has all the pods that its Deployment was asked for, and more are wanted by now."""
        deployment = self.seen.deployments.get(self.canary.revision) if self.canary else None
        asked = int((deployment or {}).get("spec", {}).get("replicas", 0))
        return 0 < asked < self.canary_size and is_complete(deployment, asked)

    @property
    def leads_beside(self) -> bool:
        """Whether the route leads to the canary beside its weight."""
        return shortcuts.lead_to(self.seen.route, self._canary_service)

    def beside(self, weight: int) -> shortcuts.Shortcuts:
        """Return what the running step puts beside a weight. An edit that is held may only take away."""
        wanted = shortcuts.at_step(self.spec.strategy, self.steps, self._step_kept, weight)
        return shortcuts.standing(wanted, self.seen.route, self._canary_service) if self.is_edit_held else wanted

    @property
    def _canary_service(self) -> str:
        return naming.revision_object(self.name, self.canary.revision) if self.canary else ""

    @property
    def is_placed(self) -> bool:
        """Whether the canary is as the running step wants it, and the Gateway took what the step put on the route."""
        return self.is_canary_ready and (self.is_route_accepted or not self.beside(self.status.weight).mark)

    @property
    def is_route_accepted(self) -> bool:
        """Whether every Gateway took the route as it stands."""
        route = self.seen.route
        namespace = self.rollout.metadata.namespace
        return route is not None and weights.is_accepted(route, self.traffic.parent_refs, namespace)

    @property
    def is_route_refused(self) -> bool:
        """Whether a Gateway refuses the route as it stands; right after a write it has said nothing yet."""
        route = self.seen.route
        namespace = self.rollout.metadata.namespace
        return route is not None and weights.is_refused(route, self.traffic.parent_refs, namespace)

    @property
    def is_route_answered(self) -> bool:
        """Whether no Gateway sends by an older route than the one that stands: every one took it or refused it."""
        route = self.seen.route
        namespace = self.rollout.metadata.namespace
        return route is None or weights.is_answered(route, self.traffic.parent_refs, namespace)

    @property
    def is_own_edit(self) -> bool:
        """Whether the spec changed since the last status: then a differing route is no drift."""
        return self.rollout.metadata.generation != self.status.observed_generation

    @property
    def leftovers(self) -> tuple[str, ...]:
        """Revisions that have objects and no role any more."""
        roles = {r.revision for r in (self.stable, self.canary) if r}
        return tuple(sorted({*self.seen.deployments, *self.seen.services} - roles))

    @property
    def takedown_in(self) -> float:
        """Seconds until leftovers may go."""
        passed = since(self.status.weightless_since, self.now) if self.status.weightless_since else float("inf")
        return max(0.0, self.spec.scale_down_delay_seconds - passed)

    @property
    def keeps_emptied(self) -> bool:
        """Whether what has no weight stays on the route, and its pods with it: for its time, and as a Gateway may
        still send to it by an older route.
        """
        return self.takedown_in > 0 or not self.is_route_answered

    @property
    def is_going_back(self) -> bool:
        """Whether the canary is on its way out: its weight may only become 0."""
        return self.status.ending is not None and self.status.ending.outcome in GOING_BACK

    @property
    def is_held_by_person(self) -> bool:
        """Whether `spec.paused` holds everything; what is on its way back still goes back."""
        return self.spec.paused and not self.is_going_back

    @cached_property
    def frozen(self) -> str | None:
        """The freeze window that holds now, by name."""
        return freeze.holding(self.spec.freeze, self.now)

    @property
    def is_weight_held(self) -> bool:
        """Whether no weight may rise: a person or a freeze window holds it."""
        return self.is_held_by_person or (self.frozen is not None and not self.is_going_back)

    @cached_property
    def edited(self) -> int | None:
        """The first step by which the ladder differs from the one that is climbed, None where none does."""
        return steps.first_difference(self.status.ladder, steps.ladder(self.steps)) if self.canary else None

    @property
    def restart(self) -> int:
        """The step that an edited ladder begins anew from."""
        return min(self.edited or 0, max(0, len(self.steps) - 1))

    @property
    def is_edit_held(self) -> bool:
        """Whether steps that were reached are edited, and a person or a freeze window keeps that from beginning."""
        return self.is_weight_held and self.edited is not None and self.edited <= self.step

    @property
    def _step_kept(self) -> int:
        """The running step; of an edit that is held the one in its place, and never its end."""
        return min(self.step, max(0, len(self.steps) - 1)) if self.is_edit_held else self.step

    @property
    def is_wanted_back(self) -> bool:
        """Whether what is wanted, or is being tried, was stable lately: then it needs no steps (`rollbackWindow`)."""
        revision = self.canary or self.wanted.revision
        lately = revisions.stable_lately(self.status, self.spec.rollback_window)
        return revision is not None and revision.revision in lately

    @property
    def is_deleting(self) -> bool:
        """Whether somebody deleted the Rollout."""
        return self.rollout.metadata.deletion_timestamp is not None


def available(deployment: Obj | None) -> int:
    """Return the ready pods of a Deployment."""
    return int((deployment or {}).get("status", {}).get("availableReplicas", 0) or 0)


def is_complete(deployment: Obj | None, replicas: int) -> bool:
    """Whether the Deployment as it stands has that many pods, up to date and ready."""
    if deployment is None:
        return False
    status = deployment.get("status", {})
    current = int(status.get("observedGeneration", 0)) >= int(deployment["metadata"].get("generation", 0))
    asked = int(deployment.get("spec", {}).get("replicas", 1)) >= replicas
    updated = int(status.get("updatedReplicas", 0) or 0) >= replicas
    return current and asked and updated and available(deployment) >= replicas


def is_ours(route: Obj, rollout: Rollout) -> bool:
    """Whether a route of the Rollout's name was made by us for it.

    By its owner's uid, or by our labels: the uid changes with a backup's restore, labels with somebody's `replace`.
    """
    meta = route["metadata"]
    if any(o.get("uid") == rollout.metadata.uid for o in meta.get("ownerReferences") or () if o.get("controller")):
        return True
    labels = meta.get("labels") or {}
    marked = labels.get(naming.LABEL_ROLLOUT) == rollout.metadata.name and (naming.MANAGED_BY.items() <= labels.items())
    owners = [o for o in meta.get("ownerReferences") or () if o.get("controller")]
    return marked and all(o.get("kind") == "Rollout" and o.get("name") == rollout.metadata.name for o in owners)
