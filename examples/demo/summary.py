"""What came of it: minutes, requests, weights, and where to look. As text for people and as JSON for figures."""

import json
import shlex
from dataclasses import asdict
from pathlib import Path
from typing import Any

from examples.demo.board import clock_text
from examples.demo.settings import ROOT, SYSTEM
from examples.demo.story import Demo


def figures(demo: Demo, ok: bool) -> dict[str, Any]:
    """Return all figures as one JSON value; times in seconds."""
    load = demo.load
    phases = dict.fromkeys(s.phase for s in load.samples)
    return {
        "ok": ok,
        "seconds": round(demo.board.elapsed(), 1),
        "parts": [{"name": p.name, "seconds": round(p.seconds or 0, 1), "ok": p.ok} for p in demo.board.parts],
        "slowest": [p.name for p in demo.board.slowest()],
        "versions": {
            label: {
                "name": name,
                "metrics": demo.metrics.get(label, {}),
                "weights": demo.observer.weights_of(name),
                "shares": {str(weight): share for weight, share in demo.observer.shares_of(name).items()},
            }
            for label, name in demo.versions.items()
        },
        "load": {phase: asdict(load.of(phase)) for phase in phases},
        "total": asdict(load.of()),
        "claims": [{"claim": sentence, "holds": holds} for sentence, holds in demo.claims.made],
    }


def write(demo: Demo, ok: bool) -> dict[str, Any]:
    """Write the JSON of figures and return it."""
    made = figures(demo, ok)
    demo.settings.figures.parent.mkdir(parents=True, exist_ok=True)
    demo.settings.figures.write_text(json.dumps(made, indent=1) + "\n")
    return made


def text(demo: Demo, made: dict[str, Any]) -> str:
    """Return the summary for people."""
    slowest = ", ".join(f"{p.name} {clock_text(p.seconds or 0)}" for p in demo.board.slowest())
    lines = ["", f"{clock_text(made['seconds'])} in all; slowest: {slowest}", "", "requests, by phase"]
    lines += [
        f"  {phase:<16} {t['requests']:>6} sent  {t['failed']:>4} failed  "
        f"p50 {t['p50'] * 1000:>4.0f} ms  p99 {t['p99'] * 1000:>4.0f} ms"
        for phase, t in made["load"].items()
    ]
    lines += ["", "versions"]
    lines += [
        f"  {label}  {v['name']}  weights as canary: {v['weights'] or 'none'}  "
        + "  ".join(f"{name} {value}" for name, value in sorted(v["metrics"].items()))
        for label, v in made["versions"].items()
    ]
    return "\n".join([*lines, "", "where to look", *(f"  {line}" for line in where(demo))])


def where(demo: Demo) -> list[str]:
    """Return the commands and addresses by which a person looks around afterwards."""
    kubeconfig = demo.shell.environment.get("KUBECONFIG", "")
    namespace = demo.shell.namespace
    exported = [f"export KUBECONFIG={shlex.quote(kubeconfig)}"] if kubeconfig else []
    return [
        *exported,
        f"kubectl -n {namespace} get trainyard",
        f"trainyard rollout get {demo.rollout} -n {namespace}",
        f"trainyard versions -n {namespace}",
        f"Prometheus: {demo.settings.prometheus_url}",
        f"MinIO: kubectl -n {SYSTEM} port-forward svc/trainyard-minio 9000 (Secret trainyard-minio)",
        f"figures: {_short(demo.settings.figures)}   transcript: {_short(demo.settings.transcript)}",
    ]


def _short(path: Path) -> str:
    """Return a path as it is typed in the checkout."""
    return str(path.relative_to(ROOT)) if path.is_relative_to(ROOT) else str(path)
