"""One ladder from each strategy: canary as written, blue-green and experiment derived. Pure.

The engine climbs ladders and knows no strategy: what a strategy is, is said here alone.
"""

from dataclasses import dataclass

from trainyard.naming import digest
from trainyard.resources.rollout import Pause, Step, Strategy
from trainyard.resources.rollout_strategy import (
    AnalysisStep,
    BlueGreen,
    Cookie,
    Experiment,
    HeaderMatch,
    Preview,
    SetHeaderRoute,
)

PREVIEW = "preview"
ASSIGNED = "assigned"


@dataclass(frozen=True)
class Rung:
    """One step of a ladder; of the fields after `text` one is set.

    text: the rung as a person would say it; equal rungs have equal texts. sized: the weight that the canary is sized
    for from here on, where that is more than its weight.
    """

    text: str
    set_weight: int | None = None
    pause: Pause | None = None
    analysis: AnalysisStep | None = None
    header: SetHeaderRoute | None = None
    mirror: int | None = None
    experiment: Experiment | None = None
    sized: int | None = None

    @property
    def lasts(self) -> bool:
        """Whether it takes time: it ends by a clock, by measurements or by a person."""
        return bool(self.pause or self.analysis or self.experiment)


def ladder(strategy: Strategy) -> tuple[Rung, ...]:
    """Return the rungs of a strategy, () where it has none: then the new revision gets everything at once."""
    if strategy.blue_green:
        return _blue_green(strategy.blue_green)
    if strategy.experiment:
        return _experiment(strategy.experiment)
    return tuple(_step(step) for step in strategy.canary.steps) if strategy.canary else ()


def cookie(strategy: Strategy) -> Cookie | None:
    """Return the cookie by which the Gateway keeps users at the revision they saw, None where it does not."""
    affinity = strategy.canary.session_affinity if strategy.canary else None
    if affinity:
        return affinity.cookie
    experiment = strategy.experiment
    arms = experiment.assignment.cookie if experiment and experiment.assignment else None
    if experiment is None or arms is None:
        return None
    age = arms.max_age_seconds or max(Cookie().max_age_seconds, experiment.duration_seconds)
    return Cookie(name=arms.name, max_age_seconds=age)


def _step(step: Step) -> Rung:
    if step.set_weight is not None:
        return _weight(step.set_weight)
    if step.analysis:
        return _analysis(step.analysis)
    if step.set_header_route:
        return _header(step.set_header_route)
    if step.set_mirror_route:
        percent = step.set_mirror_route.percent
        return Rung(f"setMirrorRoute {percent}", mirror=percent)
    return _pause(step.pause or Pause())


def _weight(weight: int, sized: int | None = None) -> Rung:
    rest = "" if sized is None else f", sized for {sized}"
    return Rung(f"setWeight {weight}{rest}", set_weight=weight, sized=sized)


def _pause(pause: Pause) -> Rung:
    seconds = pause.duration_seconds
    return Rung("pause" if seconds is None else f"pause {seconds} s", pause=pause)


def _analysis(step: AnalysisStep) -> Rung:
    names = ", ".join(sorted(step.metrics))
    told = f" of {names}" if len(names) <= 60 else f" of {len(step.metrics)} metrics {_mark(names)}"
    return Rung(f"analysis {step.count}{told if names else ''}", analysis=step)


def _header(route: SetHeaderRoute) -> Rung:
    matches = [m.to_wire() for m in route.match]
    return Rung(f"setHeaderRoute {route.name} {_mark(matches) if matches else 'off'}", header=route)


def _mark(data: object) -> str:
    return digest(data).removeprefix("sha256:")[:8]


def _blue_green(strategy: BlueGreen) -> tuple[Rung, ...]:
    """Full size beside stable, a look at it, the switch, and a time in which there is still a way back."""
    rungs = [_weight(0, sized=100)]
    if strategy.preview:
        rungs.append(_header(_previewed(strategy.preview)))
    if strategy.before_switch:
        rungs.append(_analysis(strategy.before_switch))
    if strategy.auto_promotion_seconds != 0:
        rungs.append(_pause(Pause(duration_seconds=strategy.auto_promotion_seconds)))
    rungs.append(_weight(100))
    if strategy.after_switch_seconds:
        rungs.append(_pause(Pause(duration_seconds=strategy.after_switch_seconds)))
    return tuple(rungs)


def _previewed(preview: Preview) -> SetHeaderRoute:
    return SetHeaderRoute(name=PREVIEW, match=(HeaderMatch(name=preview.header.name, exact=preview.header.value),))


def _experiment(strategy: Experiment) -> tuple[Rung, ...]:
    """The share, and then until it is decided. Where the callers assign, the share is theirs: no weight."""
    lasting = Rung(f"experiment {_mark(strategy.to_wire())}", experiment=strategy)
    header = strategy.assignment.header if strategy.assignment else None
    if header is None:
        return (_weight(strategy.share), lasting)
    route = SetHeaderRoute(name=ASSIGNED, match=(HeaderMatch(name=header.name, exact=header.value),))
    return (_weight(0, sized=strategy.share), _header(route), lasting)
