"""What measurements ask for: the rules by which they end a canary or an experiment, and what status tells of them.

Pure. Used by `decide`, which has the order of the rules.
"""

from trainyard.resources.rollout import RolloutStatus
from trainyard.rollout import analysis, promotion, status, steps
from trainyard.rollout.moves import Move
from trainyard.rollout.progress import is_looked_at, is_measured
from trainyard.rollout.situation import Situation


def abort_on_failed_analysis(s: Situation) -> Move | None:
    """A metric failed more often than it may."""
    if not is_looked_at(s.rollout, s.status, s.seen.route):
        return None
    message = analysis.over_limit(s.analysis, s.progress.metrics)
    return promotion.go_back(s, "Aborted", message) if message else None


def abort_on_no_data(s: Situation) -> Move | None:
    """Measurements hold the step for too long, and the Rollout says to abort then."""
    if s.analysis.on_no_data != "Abort" or not status.is_held_too_long(s) or s.progress.looked_at is None:
        return None
    poor = next((m for m in s.progress.metrics if m.verdict not in ("Pass", "Fail")), None)
    what = f"{poor.name}: {poor.verdict} ({poor.message})" if poor else "the share of requests is off"
    return promotion.go_back(s, "Aborted", f"no passing measurement for {s.analysis.max_hold_seconds} s; {what}")


def conclude_experiment(s: Situation) -> Move | None:
    """The experiment is decided: promote, go back, or hold as its strategy says. Nothing is promoted that fails.

    One that was edited and waits for its beginning can't be over, and may be harmful.
    """
    rung = steps.rung(s.steps, s.step) if s.canary and s.stable and s.status.ending is None else None
    decision = s.progress.decision
    if rung is None or rung.experiment is None or decision is None or not is_measured(s.rollout, s.status):
        return None
    harmful = decision.word == "Harmful"
    over = decision.word == "NotShown" and not s.is_edit_held
    if harmful or (over and rung.experiment.otherwise == "Abort"):
        return promotion.go_back(s, "Aborted", decision.sentence)
    shown = decision.word == "Shown" and rung.experiment.then == "Promote"
    return promotion.go_on(s) if shown and s.progress.passing and not s.frozen else None


def with_numbers(s: Situation) -> RolloutStatus:
    """Return the status with the numbers of the running step; `moves` decides when they are written."""
    p = s.progress
    changes: dict[str, object] = {
        "counted_seconds": int(p.counted),
        "passed": p.passed,
        "metrics": p.metrics,
        "observed_share": p.share,
        "held_since": p.held_since,
    }
    counts = p.passed != s.status.passed or (any(m.failures for m in p.metrics) and p.metrics != s.status.metrics)
    if counts and p.slot >= 0:
        changes["last_interval"] = p.slot  # counted once, also by the next process
    if not s.is_canary_ready and s.stable and s.status.unavailable_since is None:
        changes["unavailable_since"] = s.at
    steady_in = status.steady_in(s)
    if s.is_first_ready or (steady_in is not None and steady_in <= 0):
        changes["unavailable_since"] = None
    return s.status.model_copy(update=changes)
