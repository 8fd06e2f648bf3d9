"""From what is observed and meant to conditions, all of them every time, and to the one line of what is waited for.

Messages change only with what they tell: numbers and times are fields. Pure. Called by `moves`.
"""

from dataclasses import dataclass

from trainyard.reconciling.refusals import WRITE_REFUSED
from trainyard.resources.conditions import Condition, condition, find
from trainyard.resources.rollout import RevisionStatus
from trainyard.rollout import steps
from trainyard.rollout.admission import Refusal
from trainyard.rollout.converging import CONTESTED, is_fought_over, unknown
from trainyard.rollout.pods import NO_CAPACITY, trouble
from trainyard.rollout.progress import is_measured
from trainyard.rollout.situation import Situation
from trainyard.rollout.times import parse, since


@dataclass(frozen=True)
class Waiting:
    """What a rollout waits for: a word, and the sentence after "waits for"."""

    reason: str
    sentence: str


def conditions(s: Situation, refused: Refusal | None) -> tuple[Condition, ...]:
    """Return every condition of the Rollout."""
    waits = waiting(s)
    return (
        _accepted(s, refused),
        _available(s),
        _ready(s, refused, waits),
        _degraded(s),
        _paused(s),
        _reconciling(s, refused, waits),
        _stalled(s, refused),
    )


def waiting(s: Situation) -> Waiting | None:
    """Return what the canary waits for, None where nothing moves."""
    if s.is_deleting:
        return Waiting("Deleting", "what it made to be taken down")
    if s.canary is None:
        return _held_still(s) if _is_another_wanted(s) else None
    if s.is_going_back:
        return Waiting("GoingBack", "all traffic to be back on stable")
    return _held_still(s) or _for_traffic(s) or _for_step(s)


def _held_still(s: Situation) -> Waiting | None:
    """Return who or what holds everything that could go forward."""
    if s.spec.paused:
        return Waiting("Paused", "spec.paused to be false")
    return Waiting("Frozen", f"freeze window {s.frozen} to end") if s.frozen else None


def _is_another_wanted(s: Situation) -> bool:
    """Whether something else than what serves is wanted and could begin."""
    wanted, serves = s.wanted.revision, s.stable.revision if s.stable else ""
    return wanted is not None and s.wanted.candidate is not None and wanted.revision != serves


def _for_traffic(s: Situation) -> Waiting | None:
    """Return what keeps the weight from being routed. That it just takes its time is one reason all along."""
    if s.is_settled and s.stable and s.is_placed:
        return None
    reason, sentence = _canary_trouble(s)
    if reason:
        return Waiting(reason, f"the canary's pods to be ready: {sentence}")
    if s.is_route_refused:
        return Waiting("RouteNotAccepted", "the Gateway to accept the route and find its backends")
    return Waiting("Progressing", "pods to be ready and the route to carry the weight")


def _canary_trouble(s: Situation) -> tuple[str, str]:
    """Return why the canary's pods do not serve, ("", "") where they do or it is only a matter of time."""
    if s.canary is None or s.is_canary_ready:
        return "", ""
    if s.sizes.short:
        return NO_CAPACITY, s.sizes.short
    return trouble(s.seen.pods.get(s.canary.revision, ()))


def _for_step(s: Situation) -> Waiting:
    held = _held(s)
    if held:
        return held
    if steps.waits_for_person(s.steps, s.step):
        return Waiting("WaitsForPromotion", f"a person: trainyard promote {s.name}")
    seconds = steps.pause_seconds(s.steps, s.step)
    if seconds is not None:
        return Waiting("TimedPause", f"{seconds} s in which all goes well")
    rung = steps.rung(s.steps, s.step)
    if rung and rung.analysis:
        return Waiting("Analysis", f"{rung.analysis.count} passing measurements")
    if rung and rung.experiment:
        return _for_experiment(s)
    return Waiting("Progressing", "the first measurements" if is_measured(s.rollout, s.status) else "the next step")


def _for_experiment(s: Situation) -> Waiting:
    """Return what an experiment waits for: its decision, other metrics, or a person where it is to be held."""
    decision, rung = s.progress.decision, steps.rung(s.steps, s.step)
    if decision is None or rung is None or rung.experiment is None:
        return Waiting("Experiment", "the first measurements")
    if decision.word == "Undecided":
        return Waiting(decision.reason, decision.sentence)
    if decision.word == "Shown" and rung.experiment.then == "Promote":
        return Waiting(decision.reason, f"the other metrics to pass: {decision.sentence}")
    return Waiting(decision.reason, f"a person: {decision.sentence}; trainyard promote {s.name}, or abort")


def _held(s: Situation) -> Waiting | None:
    """Return which measurement holds the step; a timed or manual pause is told as such while all is well."""
    if not is_measured(s.rollout, s.status) or s.progress.held_since is None:
        return None
    if s.progress.far:
        seen = s.progress.share or "0"
        return Waiting("ShareOff", f"traffic to follow the weight: weight says {s.status.weight} %, seen {seen} %")
    poor = next((m for m in s.progress.metrics if m.verdict not in ("Pass", "Fail")), None)
    if poor is None:
        return Waiting("Progressing", "the next measurements")
    return Waiting(poor.verdict, f"metric {poor.name}: {poor.verdict} ({poor.reason})")


def is_held_too_long(s: Situation) -> bool:
    """Whether measurements hold the step beyond `maxHoldSeconds`."""
    held = is_measured(s.rollout, s.status) and s.progress.held_since is not None
    return held and since(s.progress.held_since, s.now) >= s.analysis.max_hold_seconds


def is_short(s: Situation) -> bool:
    """Whether there is no room for the canary's pods: no node takes them, or stable needs the accelerators."""
    return _canary_trouble(s)[0] == NO_CAPACITY


def is_canary_overdue(s: Situation) -> bool:
    """Whether the canary is waited for beyond its deadline."""
    late = since(s.status.unavailable_since, s.now) >= s.serving.progress_deadline_seconds
    return s.canary is not None and s.status.unavailable_since is not None and not s.is_canary_ready and late


def steady_in(s: Situation) -> float | None:
    """Return in how many seconds the canary has been available for so long that earlier trouble no longer counts.

    None where it is not ready, or nobody says since when.
    """
    deployment = s.seen.deployments.get(s.canary.revision) if s.canary else None
    told = (deployment or {}).get("status", {}).get("conditions") or ()
    ready = next((c for c in told if c.get("type") == "Available" and c.get("status") == "True"), None)
    if ready is None or parse(ready.get("lastTransitionTime")) is None or not s.is_canary_ready:
        return None
    return s.serving.progress_deadline_seconds - since(ready["lastTransitionTime"], s.now)


def _accepted(s: Situation, refused: Refusal | None) -> Condition:
    problem = _problem(s, refused)
    if problem:
        return condition("Accepted", False, *problem)
    return condition("Accepted", True, "Accepted")


def _problem(s: Situation, refused: Refusal | None) -> Refusal | None:
    return refused or ((s.wanted.reason, s.wanted.message) if s.wanted.reason else None)


def _available(s: Situation) -> Condition:
    """Tell whether what should serve does; a canary that cannot start is told here, though stable serves."""
    reason, sentence = _canary_trouble(s)
    if s.canary and reason:
        return condition("Available", False, reason, f"revision {s.canary.revision}: {sentence}{_beside_it(s)}")
    if s.stable is None:
        return condition("Available", False, "NothingServes", "no revision has taken traffic yet")
    if not s.alive(s.stable):
        reason, sentence = trouble(s.seen.pods.get(s.stable.revision, ()))
        return condition("Available", False, reason or "StableUnavailable", sentence or "stable has no ready pod")
    if s.seen.route is None and not s.is_deleting:
        return condition("Available", False, "RouteMissing", "there is no HTTPRoute that leads to it")
    if s.is_route_refused:
        return condition("Available", False, "RouteNotAccepted", "the Gateway does not take the route as it is")
    return condition("Available", True, "Serving", f"revision {s.stable.revision} serves")


def _beside_it(s: Situation) -> str:
    """Return what stable does while the canary has trouble, "" where it does nothing."""
    if not s.alive(s.stable):
        return ""
    return "; stable serves the rest of the traffic" if s.routed_weight else "; stable serves untouched"


def _ready(s: Situation, refused: Refusal | None, waits: Waiting | None) -> Condition:
    obstacle = _obstacle(s, refused, waits)
    if obstacle:
        return condition("Ready", False, *obstacle)
    if s.wanted.refused:
        return condition("Ready", True, "RevisionRejected", "stable serves; the wanted revision was rejected")
    if waits:
        return condition("Ready", True, waits.reason, "accepted; the canary is under way")
    return condition("Ready", True, "Promoted", "the wanted revision has all traffic")


def _obstacle(s: Situation, refused: Refusal | None, waits: Waiting | None) -> tuple[str, str] | None:
    """Return (reason, sentence) where the Rollout is not ready."""
    problem = _problem(s, refused)
    if problem:
        return problem
    if waits and not (s.spec.ready_when == "Accepted" and s.stable and not s.is_deleting):
        return (waits.reason, f"waits for {_steady(waits)}")
    available = _available(s)
    if available.status == "True" or (s.canary and s.alive(s.stable)):
        return None
    return (available.reason, available.message)


def _steady(waits: Waiting) -> str:
    """Return the sentence without the numbers that change by themselves."""
    return "traffic to follow the weight" if waits.reason == "ShareOff" else waits.sentence


def _degraded(s: Situation) -> Condition:
    refused = s.wanted.refused
    if refused is None:
        return condition("Degraded", False, "AsWanted")
    told = next((e.message for e in s.status.history if e.revision == refused.revision), "")
    message = f"revision {refused.revision} ({refused.version}) was rejected: {told or 'see its ControllerRevision'}"
    return condition("Degraded", True, "RevisionRejected", f"{message}; trainyard retry {s.name} tries it again")


def _paused(s: Situation) -> Condition:
    if s.spec.paused:
        return condition("Paused", True, "Requested", "spec.paused holds everything as it is")
    waits = waiting(s)
    if waits and waits.reason == "Frozen":
        return condition("Paused", True, "Frozen", f"freeze window {s.frozen} holds")
    at_pause = s.canary is not None and s.is_settled and not s.status.ending and steps.is_pause(s.steps, s.step)
    if not at_pause:
        return condition("Paused", False, "NotPaused")
    if steps.waits_for_person(s.steps, s.step):
        return condition("Paused", True, "WaitsForPromotion", f"trainyard promote {s.name} goes on")
    return condition("Paused", True, "TimedPause", "it goes on by itself")


def _reconciling(s: Situation, refused: Refusal | None, waits: Waiting | None) -> Condition:
    if refused or waits is None:
        return condition("Reconciling", False, "Settled")
    restarted = s.status.restarted_from
    note = "" if restarted is None else f"; the steps were edited, restarted from step {restarted}"
    return condition("Reconciling", True, waits.reason, f"waits for {_steady(waits)}{note}")


def _stalled(s: Situation, refused: Refusal | None) -> Condition:
    lost = unknown(s)
    for holds, reason, message in (
        (refused is not None, *(refused or ("", ""))),
        (_is_cut_off(s), "StableUnavailable", "stable has no ready pod to go back to; the canary serves meanwhile"),
        (is_fought_over(s), CONTESTED, "somebody edits the route again and again"),
        (is_held_too_long(s), "AnalysisHeld", "no passing measurement within maxHoldSeconds"),
        (is_canary_overdue(s), *_overdue(s)),
        (lost is not None, "RevisionUnknown", _lost(lost) if lost else ""),
    ):
        if holds:
            return condition("Stalled", True, reason, message)
    return condition("Stalled", False, "Moving")


def _is_cut_off(s: Situation) -> bool:
    return s.canary is not None and s.status.weight < s.routed_weight and not s.alive(s.stable)


def _lost(revision: RevisionStatus) -> str:
    about = f"revision {revision.revision} of version {revision.version}"
    return (
        f"the ControllerRevision of {about} is gone, and the spec of now would give others: its pods stay as they are"
    )


def _overdue(s: Situation) -> tuple[str, str]:
    reason, sentence = _canary_trouble(s)
    if reason == NO_CAPACITY:
        return NO_CAPACITY, f"{sentence}; it goes on when there is room"
    why = sentence or refused_write(s) or "the pods are not ready within progressDeadlineSeconds"
    return "ProgressDeadlineExceeded", why


def refused_write(s: Situation) -> str:
    """Return what the API server refuses to let be written, "" where the last visit wrote all."""
    told = find(s.status.conditions, "Stalled")
    return told.message if told is not None and told.reason == WRITE_REFUSED else ""
