"""The demo's story: train, serve, canary, promote; then a version that fails in serving, and one that is too weak."""

import json
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from examples.data import breast_cancer
from examples.demo import installing, manifests, prometheus
from examples.demo.board import Board
from examples.demo.claims import Claims
from examples.demo.load import Load
from examples.demo.observing import Api, Obj, Observer, condition
from examples.demo.settings import Settings
from examples.demo.shell import Failed, Shell, until
from trainyard.cli.objects import at

TRAIN_SECONDS = 600
SERVE_SECONDS = 420
CANARY_SECONDS = 600
LADDER = [10, 50, 100]


@dataclass
class Demo:
    """Everything that a part of the story needs."""

    settings: Settings
    board: Board
    shell: Shell
    api: Api
    observer: Observer
    claims: Claims
    load: Load
    objects: list[dict[str, Any]]
    run: Obj = field(default_factory=dict)
    versions: dict[str, str] = field(default_factory=dict)
    metrics: dict[str, dict[str, str]] = field(default_factory=dict)

    @property
    def pipeline(self) -> dict[str, Any]:
        """The TrainingPipeline's manifest."""
        return dict(manifests.of_kind(self.objects, "TrainingPipeline"))

    @property
    def rollout(self) -> str:
        """The Rollout's name."""
        return self.observer.rollout

    def phase(self, name: str) -> None:
        """Label the requests that are sent from now on."""
        self.load.phase = name


def play(demo: Demo) -> None:
    """Tell the whole story. Raises Failed where it goes otherwise."""
    _install(demo)
    _first(demo)
    _second(demo)
    _third(demo)
    _fourth(demo)


def _install(demo: Demo) -> None:
    with demo.board.part("install with Helm: operator, MySQL, MinIO"):
        for name in installing.remove_old(demo.shell):
            demo.board.say(f"removed {name} of an earlier demo")
        installing.make_namespace(demo.shell)
        installing.install(demo.shell, demo.settings)
    with demo.board.part("data set into MinIO"):
        uri = str(demo.pipeline["spec"]["data"]["datasets"][0]["uri"])
        size = installing.put_data(demo.shell, uri)
        demo.board.say(f"breast cancer, {size:,} bytes of CSV, at {uri}")


def _first(demo: Demo) -> None:
    with demo.board.part("v1: train"):
        demo.board.say("kubectl apply -f examples/quickstart/")
        apply_all = lambda: demo.shell.kubectl("apply", "-f", "-", stdin=manifests.text(demo.objects))  # noqa: E731 - a verb
        name = _accepted(demo, "v1", _train(demo, lambda: _changed(demo, apply_all)))
    with demo.board.part("v1: serve all traffic"):
        demo.observer.start()
        until("v1 serves", lambda: _ready_with(demo, name), SERVE_SECONDS)
        demo.claims.claim("v1 serves 100 %: no canary for a first version", not demo.observer.weights_of(name))
        _ask(demo)
        demo.phase("v1")
        demo.load.start()
        demo.board.say(f"load: {demo.load.rate:g} requests per second through {demo.settings.gateway_url}")
        time.sleep(10)
        _no_failures(demo, "v1")


def _second(demo: Demo) -> None:
    with demo.board.part("v2: train (an edit of the pipeline)"):
        demo.phase("v2 trains")
        edited = manifests.with_default(demo.pipeline, "epochs", 40)
        demo.board.say("kubectl apply: parameter epochs is now 40")
        apply_one = lambda: demo.shell.kubectl("apply", "-f", "-", stdin=manifests.text([edited]))  # noqa: E731 - a verb
        name = _accepted(demo, "v2", _train(demo, lambda: _changed(demo, apply_one)))
    with demo.board.part("v2: canary 10 → 50 → 100, promoted"):
        demo.phase("v2 canary")
        ended = until("the canary of v2 ends", lambda: _ended_and_pictured(demo, name), CANARY_SECONDS)
        demo.claims.claim("v2 was promoted", ended["outcome"] == "Promoted", f"{ended['outcome']}: {ended['message']}")
        seen = demo.observer.weights_of(name)
        demo.claims.claim("the route sent it 10, then 50, then 100 percent", seen == LADDER, f"weights {seen}")
        _shares(demo, name)
        _no_failures(demo, "v1", "v2 trains", "v2 canary")


def _ended_and_pictured(demo: Demo, version: str) -> Obj | None:
    """Look for the end, and save the screen while half of the traffic goes to the canary."""
    if demo.observer.moments and demo.observer.moments[-1].weight == LADDER[1]:
        demo.board.picture()
    return _ended(demo, version)


def _third(demo: Demo) -> None:
    with demo.board.part("v3: train (a guard that refuses rows it has not seen)"):
        demo.phase("v3 trains")
        demo.board.say(f"trainyard run {demo.pipeline['metadata']['name']} -p inputGuard=strict")
        name = _accepted(demo, "v3", _train(demo, lambda: _asked(demo, "inputGuard=strict")))
    with demo.board.part("v3: canary, aborted by its error rate"):
        demo.phase("v3 canary")
        ended = until("the canary of v3 ends", lambda: _ended(demo, name), CANARY_SECONDS)
        demo.claims.claim("v3 was aborted", ended["outcome"] == "Aborted", f"{ended['outcome']}: {ended['message']}")
        until("all traffic is back on v2", lambda: _back(demo), 60)
        demo.phase("after the abort")
        _undisturbed(demo, name)
        time.sleep(5)


def _undisturbed(demo: Demo, name: str) -> None:
    stable = demo.versions["v2"]
    url, namespace = demo.settings.prometheus_url, demo.shell.namespace
    until("Prometheus saw it", lambda: prometheus.total(url, namespace, name, errors=True) or None, 30)
    errors, answered = (prometheus.total(url, namespace, stable, errors=e) for e in (True, False))
    demo.claims.claim(
        "stable answered everything it was sent", not errors, f"{answered:.0f} requests, {errors:.0f} errors"
    )
    seen = demo.observer.weights_of(name)
    demo.claims.claim("v3 never had more than the first rung", seen == LADDER[:1], f"weights {seen}")
    phase = demo.load.of("v3 canary")
    demo.board.say(
        f"requests during v3's canary: {phase.requests}, failed {phase.failed} (all by v3): {phase.statuses}"
    )
    demo.claims.claim("a failure was an answer of v3, never a lost one", set(phase.statuses) <= {"200", "500"})


def _fourth(demo: Demo) -> None:
    with demo.board.part("v4: train (hardly at all)"):
        demo.phase("v4 trains")
        demo.board.say(f"trainyard run {demo.pipeline['metadata']['name']} -p epochs=0")
        version = _train(demo, lambda: _asked(demo, "epochs=0"))
        name = str(version["metadata"]["name"])
        demo.versions["v4"] = name
    with demo.board.part("v4: rejected, never reaches traffic"):
        rejected = condition(version, "Rejected")
        demo.claims.claim("v4 was rejected by its gate", rejected.get("status") == "True", rejected.get("message", ""))
        demo.phase("v4 rejected")
        time.sleep(10)
        touched = [m for m in demo.observer.moments if name in (m.stable, m.canary)]
        demo.claims.claim("v4 never had a pod or a request", not touched and not _pods(demo, name))
        until("the pods of v3 are gone", lambda: None if _pods(demo, demo.versions["v3"]) else True, 180)
        demo.claims.claim("v2 still serves", _ready_with(demo, demo.versions["v2"]) is not None)
        _no_failures(demo, "v3 trains", "after the abort", "v4 trains", "v4 rejected")


def _train(demo: Demo, begin: Callable[[], str]) -> Obj:
    """Start a run, follow it to its end, and return the judged ModelVersion."""
    name = begin()
    demo.board.say(f"TrainingRun {name}")
    told: list[str] = []

    def ended() -> Obj | None:
        demo.run = demo.api.get("trainingruns", name) or demo.run
        line = "  ".join(f"{s['name']} {s['state']}" for s in at(demo.run, "status.steps", ()))
        if line and told[-1:] != [line]:
            told.append(line)
            demo.board.say(f"  {line}", "dim")
        done = condition(demo.run, "Succeeded").get("status") in ("True", "False")
        return demo.run if done and demo.run["metadata"]["name"] == name else None

    run = until(f"TrainingRun {name} ends", ended, TRAIN_SECONDS)
    outcome = condition(run, "Succeeded")
    if outcome["status"] != "True":
        raise Failed(f"TrainingRun {name}: {outcome['reason']}: {outcome.get('message', '')}")
    return until(f"ModelVersion {name} is judged", lambda: _judged(demo, name), 120)


def _judged(demo: Demo, name: str) -> Obj | None:
    version = demo.api.get("modelversions", name)
    verified = condition(version, "Verified")
    if verified.get("status") == "False":
        raise Failed(f"ModelVersion {name}: {verified['reason']}: {verified.get('message', '')}")
    return version if at(version, "status.decision") else None


def _accepted(demo: Demo, label: str, version: Obj) -> str:
    """Claim that a version passed its gate; remember it under its label."""
    name = str(version["metadata"]["name"])
    demo.versions[label] = name
    demo.metrics[label] = dict(at(version, "spec.metrics", {}))
    rules = ", ".join(f"{r['rule']}: {r['value']}" for r in at(version, "status.decision.rules", ()))
    accepted = at(version, "status.decision.verdict") == "Accepted"
    demo.claims.claim(f"{label} is verified and passed its gate", accepted, f"{name}: {rules}")
    return name


def _changed(demo: Demo, apply: Callable[[], object]) -> str:
    """Apply something, and return the run that the pipeline started because of it."""
    before = {r["metadata"]["name"] for r in demo.api.list("trainingruns")}
    apply()
    return until("the pipeline starts a run by itself", lambda: _new_run(demo, before), 60)


def _new_run(demo: Demo, before: set[str]) -> str | None:
    new = [r["metadata"]["name"] for r in demo.api.list("trainingruns") if r["metadata"]["name"] not in before]
    return str(new[0]) if new else None


def _asked(demo: Demo, *parameters: str) -> str:
    """Start a run by hand, as a person does."""
    flags = [part for parameter in parameters for part in ("-p", parameter)]
    return demo.shell.trainyard("run", str(demo.pipeline["metadata"]["name"]), *flags).strip()


def _ready_with(demo: Demo, version: str) -> Obj | None:
    rollout = demo.api.get("rollouts", demo.rollout)
    ready = condition(rollout, "Ready").get("status") == "True"
    settled = at(rollout, "status.stable.version") == version and not at(rollout, "status.canary")
    return rollout if ready and settled else None


def _ended(demo: Demo, version: str) -> Obj | None:
    rollout = demo.api.get("rollouts", demo.rollout)
    return next((h for h in at(rollout, "status.history", ()) if h["version"] == version), None)


def _back(demo: Demo) -> bool | None:
    """Whether the route sends everything to one backend."""
    weights = [w for w in demo.observer.moments[-1].weights if w]
    return True if len(weights) == 1 and not demo.observer.moments[-1].weight else None


def _pods(demo: Demo, version: str) -> list[str]:
    return demo.shell.kubectl(
        "get", "pods", "-l", f"trainyard.dev/role=serve,trainyard.dev/version={version}", "-o", "name"
    ).split()


def _shares(demo: Demo, version: str) -> None:
    """Claim that the pods answered about as much as the route promised, by Prometheus' counters."""
    seen = demo.observer.shares_of(version)
    told = ", ".join(f"{weight} %: {share:g} % of all answers" for weight, share in sorted(seen.items()))
    near = all(abs(seen.get(weight, -100) - weight) <= max(5, weight / 5) for weight in LADDER[:2])
    demo.claims.claim("the canary answered the share that the route promised", near, told)


def _no_failures(demo: Demo, *phases: str) -> None:
    figures = demo.load.of(*phases)
    seen = f"{figures.requests} requests, {figures.failed} failed, p99 {figures.p99 * 1000:.0f} ms {figures.statuses}"
    demo.claims.claim(f"no request failed: {', '.join(phases)}", figures.requests > 0 and not figures.failed, seen)


def _ask(demo: Demo) -> None:
    """Ask the model about one malignant and one benign tumour, through the gateway."""
    features, labels = breast_cancer.rows()
    instances = [features[labels.index(0)], features[labels.index(1)]]
    answer = until("the gateway answers", lambda: _predict(demo, instances), 60)
    malignant, benign = answer["predictions"]
    low, high = (p if isinstance(p, float) else p["probability"] for p in (malignant, benign))
    demo.claims.claim(
        "v1 tells a malignant from a benign tumour", low < 0.5 < high, f"benign with {low:.2f}, {high:.2f}"
    )


def _predict(demo: Demo, instances: Sequence[Any]) -> dict[str, Any] | None:
    """Return the answer, None where the gateway has no answer yet."""
    command = ["curl", "-sS", "--max-time", "10", "-H", f"Host: {demo.load.host}", "-d", "@-", demo.load.url]
    try:
        answer: dict[str, Any] = json.loads(demo.shell.run(*command, stdin=json.dumps({"instances": instances})))
    except (Failed, ValueError):
        return None
    return answer if "predictions" in answer else None
