"""What to do with a Rollout now. Pure and total: rules in order, the first that answers wins.

Everything is decided from what is observed, so a crash between any two writes is healed by the next visit.
"""

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta

from trainyard import naming
from trainyard.reconciling.plan import Action, Note, PatchMetadata, Plan
from trainyard.resources.rollout import Rollout
from trainyard.rollout import (
    actions,
    converging,
    deletion,
    history,
    measured,
    promotion,
    recovery,
    status,
    steps,
    unreadable,
)
from trainyard.rollout.admission import HANDS_OFF, has_finalizer, refusal
from trainyard.rollout.clock import on_one_clock
from trainyard.rollout.moves import Move, paused_since, plan, was_short, was_stalled
from trainyard.rollout.pods import trouble
from trainyard.rollout.progress import advanced, is_measured
from trainyard.rollout.situation import Situation
from trainyard.rollout.state import Observed, Remove
from trainyard.rollout.times import parse, stamp
from trainyard.systems.cluster.port import CONTROLLER_REVISION, DEPLOYMENT, SERVICE, Ref

Rule = Callable[[Situation], Move | None]


def decide(observed: Observed, now: datetime) -> Plan:
    """Return the plan for a Rollout as it was observed."""
    observed = on_one_clock(observed, now)
    if observed.rollout is None:
        return unreadable.plan(observed, now)
    s = situation(observed, observed.rollout, now)
    if s.is_deleting:
        return deletion.decide(s)
    if not has_finalizer(s):
        finalizers = (*s.rollout.metadata.finalizers, naming.FINALIZER)
        return Plan((PatchMetadata(finalizers=finalizers),), revisit_after=0.0)
    for rule in RULES:
        move = rule(s)
        if move is not None:
            return plan(s, move)
    return plan(s, Move(s.status))


def situation(observed: Observed, rollout: Rollout, now: datetime) -> Situation:
    """Return what the rules ask, with this visit's time and measurement in it."""
    last = history.last_row(rollout.status, rollout.metadata.generation, now)
    told = rollout.status.model_copy(update={"sequence": last})
    s = Situation(observed, rollout, told, now, advanced(rollout, told, observed, now))
    since_when = told.unavailable_since
    return s if since_when is None or s.spec.paused else s.thinking_of(unavailable_since=_waited_since(s, since_when))


def _waited_since(s: Situation, told: str) -> str:
    """Return since when the canary is waited for: time in which it could not have what is missing does not count."""
    if was_short(s.status) and not status.is_short(s):
        return s.at  # there was no room for it until now
    if s.is_canary_growing and (s.is_own_edit or not was_stalled(s.status)):
        return s.at  # it was all there, and more is asked for
    paused = paused_since(s.status)
    return _later(told, paused, s.now) if paused else told


def _later(since: str, paused: str, now: datetime) -> str:
    """Return the moment that is as long ago now as `since` was when `spec.paused` began to hold."""
    began, held = parse(since), parse(paused)
    return stamp(now - max(held - began, timedelta())) if began and held else stamp(now)


def refuse(s: Situation) -> Move | None:
    """Say why, and leave everything as it is; a canary that is under way may only go back, and then its pods go."""
    refused = refusal(s)
    if refused is None:
        return None
    if s.stable is None or refused[0] in HANDS_OFF:
        return Move(s.status, refused=refused)
    found = next((move for rule in WHILE_REFUSED if (move := rule(s)) is not None), None)
    return replace(found or Move(measured.with_numbers(s) if s.canary else s.status), refused=refused)


def abort_by_person(s: Situation) -> Move | None:
    """A person's word that needs nothing of what is refused."""
    return actions.answer(s) if s.action and s.action.kind == "Abort" else None


def fall(s: Situation) -> Move | None:
    """Bring the route to a weight that is less than it has, and take out of it what has had none for long enough."""
    is_less = s.is_going_back or s.status.weight < s.routed_weight
    is_over = not s.keeps_emptied and any(revision in s.routed for revision in s.leftovers)
    return converge(s) if is_less or is_over else None


def restart_edited_steps(s: Situation) -> Move | None:
    """Go back to the first step that differs; steps that were not reached yet only change what comes.

    In a freeze window an edit of what was reached waits: it may only lower the weight.
    """
    if s.canary is None or s.stable is None or s.is_going_back or s.is_held_by_person:
        return None
    edited = s.edited
    if edited is None:
        return None
    known: dict[str, object] = {"ladder": steps.ladder(s.steps), "steps_digest": steps.ladder_digest(s.steps)}
    if s.status.ending and (s.status.ending.outcome == "FastPromoted" or s.is_wanted_back):
        return Move(s.status.model_copy(update=known | {"step": len(s.steps)}), again=0.0)
    if s.is_edit_held:
        return _lower_while_frozen(s)
    if edited > s.step or not s.steps:
        return Move(s.status.model_copy(update=known), again=0.0)
    known |= promotion.NEW_STEP | {"step": s.restart, "restarted_from": s.restart, "ending": None}
    message = f"the steps were edited; restarted from step {s.restart}"
    note = Note("StepsEdited", message, f"{s.rollout.metadata.generation}")
    return promotion.to_weight(s, steps.weight_at(s.steps, s.restart), (note,), **known)


def _lower_while_frozen(s: Situation) -> Move | None:
    """Take the weight of edited steps where it is lower than the present one; they begin anew after the window."""
    weight = steps.weight_at(s.steps, s.restart)
    if weight >= s.status.weight:
        return None
    message = f"the steps were edited; while freeze window {s.frozen} holds only their weight of {weight} % counts"
    note = Note("StepsEdited", message, f"{s.rollout.metadata.generation}/{s.frozen}")
    return promotion.to_weight(s, weight, (note,), ending=None)


def lose_version(s: Situation) -> Move | None:
    """A canary whose version is no longer ready has no business serving, however far it has come."""
    if s.canary is None or s.stable is None or s.is_going_back or s.is_held_by_person:
        return None
    version = next((v for v in s.seen.versions if v.name == s.canary.version), None)
    if version is not None and version.ready:
        return None
    why = version.why if version else "it was deleted"
    return promotion.go_back(s, "Aborted", f"ModelVersion {s.canary.version} is no longer ready: {why}")


def supersede(s: Situation) -> Move | None:
    """Another revision is wanted: weight 0 first; to stable again it is a rollback."""
    wanted = s.wanted.revision
    if s.canary is None or wanted is None or s.is_going_back or s.is_held_by_person:
        return None
    if wanted.revision == s.canary.revision:
        return None
    if s.frozen and (s.stable is None or wanted.revision != s.stable.revision):
        return None
    if s.stable is None:
        return promotion.begin(s, wanted)
    if wanted.revision == s.stable.revision:
        return promotion.go_back(s, "RolledBack", _why_stable(s, wanted.version))
    return promotion.go_back(s, "Superseded", f"version {wanted.version} (revision {wanted.revision}) is wanted")


def _why_stable(s: Situation, version: str) -> str:
    refused = s.wanted.refused
    if refused is None:
        return f"version {version}, which serves, is wanted again"
    return f"version {refused.version} is wanted, which was rejected; version {version} serves"


def begin(s: Situation) -> Move | None:
    """Begin with what is wanted and does not serve yet."""
    wanted = s.wanted.revision
    candidate = s.wanted.candidate
    if s.canary is not None or wanted is None or candidate is None or not candidate.ready:
        return None
    if s.spec.paused or s.frozen:
        return None
    if s.stable is not None and wanted.revision == s.stable.revision:
        return None
    return promotion.begin(s, wanted)


def retreat_from_unready(s: Situation) -> Move | None:
    """Weight never stays on a revision without a ready pod while stable has one."""
    if s.canary is None or s.is_going_back or s.alive(s.canary) or not s.alive(s.stable):
        return None
    if s.status.weight == 0 or s.routed_weight == 0:
        return None
    message = f"revision {s.canary.revision} has no ready pod; stable takes its traffic"
    note = Note("CanaryUnavailable", message, f"{s.status.step_started_time}", "Warning")
    return promotion.to_weight(s, 0, (note,), unavailable_since=s.status.unavailable_since or s.at)


def abort_on_deadline(s: Situation) -> Move | None:
    """A canary that does not become ready in time is rejected; one that finds no node waits on."""
    if s.canary is None or s.stable is None or s.is_going_back or s.is_held_by_person:
        return None
    if not status.is_canary_overdue(s):
        return None
    if status.is_short(s):
        return None
    reason, sentence = trouble(s.seen.pods.get(s.canary.revision, ()))
    seconds = s.serving.progress_deadline_seconds
    why = f"{reason}: {sentence}" if reason else status.refused_write(s) or "its pods are not ready"
    return promotion.go_back(s, "Aborted", f"not available within {seconds} s: {why}")


def regain(s: Situation) -> Move | None:
    """The canary is ready again: back to the weight of its step."""
    if s.canary is None or s.stable is None or s.is_going_back or not s.is_canary_ready:
        return None
    if s.status.weight == s.step_weight or s.status.routed_weight != s.status.weight:
        return None
    return promotion.to_weight(s, s.step_weight)


def converge(s: Situation) -> Move | None:
    """Bring objects and route to what is meant."""
    found = converging.differences(s)
    again = 0.0 if converging.looks_again(s, found) else None
    return Move(s.status, found, notes=converging.notes(s, found), again=again) if found else None


def finish_going_back(s: Situation) -> Move | None:
    """The canary's weight was read back as 0, and nothing leads to it beside."""
    if s.canary is None or s.status.ending is None or not s.is_going_back:
        return None
    is_back = s.routed_weight == 0 and not s.leads_beside
    return promotion.gone_back(s, s.canary, s.status.ending) if is_back else None


def promote(s: Situation) -> Move | None:
    """All traffic was read back on the canary, as decided before, or on the first version ever."""
    if s.canary is None or s.is_going_back or s.routed_weight != 100 or not s.is_route_accepted or s.frozen:
        return None
    if s.stable is None:
        return promotion.promoted(s, s.canary, s.status.ending)
    is_meant = s.status.ending is not None and s.status.weight == 100 and s.step >= len(s.steps)
    return promotion.promoted(s, s.canary, s.status.ending) if is_meant and s.alive(s.canary) else None


def confirm_weight(s: Situation) -> Move | None:
    """A changed weight was read back; an increase also has to be taken by the Gateway."""
    if s.canary is None or s.stable is None or s.is_going_back or s.seen.route is None:
        return None
    if s.routed_weight != s.status.weight or s.status.routed_weight == s.status.weight:
        return None
    rises = s.status.weight > (s.status.routed_weight or 0)
    return promotion.weight_set(s, s.canary) if s.is_route_accepted or not rises else None


def take_down(s: Situation) -> Move | None:
    """Delete what has had no weight for long enough, and no backend in the route any more."""
    if s.takedown_in > 0:
        return None
    found: list[Action] = []
    for revision in s.leftovers:
        if revision not in s.routed:
            found += _removals(s, revision)
    if not found:
        found = [_forget(s, revision) for revision in history.forgotten(s)]
    return Move(s.status, tuple(found)) if found else None


def _removals(s: Situation, revision: str) -> list[Action]:
    pairs = ((DEPLOYMENT, s.seen.deployments.get(revision)), (SERVICE, s.seen.services.get(revision)))
    living = [(kind, obj["metadata"]) for kind, obj in pairs if obj is not None]
    return [
        Remove(Ref(kind, m["namespace"], m["name"]), str(m["uid"]))
        for kind, m in living
        if "deletionTimestamp" not in m
    ]


def _forget(s: Situation, revision: str) -> Action:
    meta = s.seen.stored[revision].obj["metadata"]
    return Remove(Ref(CONTROLLER_REVISION, meta["namespace"], meta["name"]), str(meta["uid"]))


def hold_paused(s: Situation) -> Move | None:
    """`spec.paused`: everything stays as it is, and no time of it counts for `maxHoldSeconds`."""
    held = s.canary is not None and s.is_held_by_person
    return Move(s.status.model_copy(update={"held_since": None})) if held else None


def hold_frozen(s: Situation) -> Move | None:
    """A freeze window: it is measured on, and what goes wrong goes back; no step ends and no weight rises."""
    return Move(measured.with_numbers(s)) if s.canary is not None and s.frozen and not s.is_going_back else None


def hold_unwanted(s: Situation) -> Move | None:
    """What is wanted now cannot be had yet: the canary that runs goes no further meanwhile."""
    return Move(measured.with_numbers(s)) if s.canary is not None and s.wanted.reason else None


def wait_for_weight(s: Situation) -> Move | None:
    """Pods, Gateway or stable are not there yet."""
    waits = s.canary is not None and not (s.is_routed and s.stable and s.is_placed)
    return Move(measured.with_numbers(s)) if waits else None


def advance(s: Situation) -> Move | None:
    """The step is done: on to the next. Nothing but Pass goes on by itself."""
    if s.canary is None or s.status.ending is not None or not _is_done(s):
        return None
    return promotion.go_on(s)


def _is_done(s: Situation) -> bool:
    """Whether the running step is over. No weight rises, and no step that lasts ends, without a Pass."""
    rung = steps.rung(s.steps, s.step)
    following = s.step + 1
    rises = following >= len(s.steps) or steps.weight_at(s.steps, following) > s.status.weight
    if is_measured(s.rollout, s.status) and not s.progress.passing and (rises or steps.lasts(s.steps, s.step)):
        return False
    if rung is None or not rung.lasts:
        return True
    if rung.analysis:
        return s.progress.passed >= rung.analysis.count
    seconds = steps.pause_seconds(s.steps, s.step)
    return seconds is not None and s.progress.counted >= seconds


def wait(s: Situation) -> Move | None:
    """A pause or a measurement runs."""
    return Move(measured.with_numbers(s)) if s.canary is not None else None


WHILE_REFUSED: tuple[Rule, ...] = (
    finish_going_back,
    abort_by_person,
    lose_version,
    retreat_from_unready,
    measured.abort_on_failed_analysis,
    fall,
    take_down,
)
RULES: tuple[Rule, ...] = (
    refuse,  # what is not acceptable is said, and nothing is touched
    recovery.recovered,  # a lost status is read back from the objects, before anything is taken for new
    finish_going_back,  # weight 0 was read back: close the canary
    promote,  # weight 100 was read back: the canary is stable now
    actions.answer,  # a person's word counts before what the operator would do by itself
    restart_edited_steps,  # the ladder changed under the canary
    lose_version,  # the canary's version is not ready any more
    supersede,  # something else is wanted than what is being tried
    begin,  # something is wanted that neither serves nor is being tried
    retreat_from_unready,  # weight leaves a revision without ready pods
    abort_on_deadline,  # a canary that never becomes ready
    measured.abort_on_failed_analysis,  # before anything that would move on
    measured.abort_on_no_data,  # held for too long
    measured.conclude_experiment,  # it is shown, or harmful, or time is over
    converge,  # objects, then the route, as meant
    confirm_weight,  # what was written is read back
    take_down,  # what nobody needs any more
    hold_paused,  # spec.paused: no further step
    hold_frozen,  # spec.freeze: likewise, for its time
    hold_unwanted,  # the spec asks for something that is not to be had
    regain,  # the canary recovered
    wait_for_weight,  # pods, Gateway or stable are not there yet
    advance,  # the step is done
    wait,  # it runs
)
