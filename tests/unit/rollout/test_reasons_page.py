"""docs/rollouts.md explains every reason that the code can give, and none that it cannot."""

import ast
import re
from pathlib import Path
from typing import Any, get_args

from trainyard.resources import rollout_analysis, rollout_strategy
from trainyard.resources.rollout import UserAction

ROOT = Path(__file__).parents[3]
PAGE = ROOT / "docs/rollouts.md"
CODE = [
    *sorted((ROOT / "operator/trainyard/rollout").glob("*.py")),
    ROOT / "operator/trainyard/reconciling/refusals.py",  # what the core says of every kind
]
CAMEL = re.compile(r"[A-Z][a-z]+(?:[A-Z][A-Za-z]*)*")
# CamelCase words of the code that are no reasons.
CONDITIONS = {"Accepted", "Available", "Degraded", "Paused", "Ready", "Reconciling", "Recorded", "Stalled"}
VERDICTS = {"Pass", "Fail", "Inconclusive", "NoData"}
TRUTH = {"True", "False", "Unknown", "Normal", "Warning", "Done", "Deleted", "Delete", "Orphan", "Queue", "Supersede"}
KUBELET = {
    "PodScheduled", "Unschedulable", "SchedulingGated", "CrashLoopBackOff", "CreateContainerConfigError",
    "CreateContainerError", "ErrImageNeverPull", "ErrImagePull", "ImagePullBackOff", "InvalidImageName",
    "RegistryUnavailable", "RunContainerError",
}  # fmt: skip
KUBERNETES = {
    "ControllerRevision", "Deployment", "FallbackToLogsOnError", "Gateway", "GatewayClass", "PathPrefix",
    "ResolvedRefs", "RollingUpdate", "Rollout", "RuntimeDefault", "Service", "Exact", "RegularExpression",
    "RequestMirror", "ResponseHeaderModifier", "ResponseHeader", "Cookie",
}  # fmt: skip
TYPES = {"Situation", "Made", "Told", "Estimate", "Count", "Kubelet"}
EXPERIMENT = {"Shown", "NotShown", "Superior", "NonInferior", "Higher", "Lower", "Hold"}
# Reasons that are put together.
WHOLE = {"TooFew": {"TooFewRequests", "TooFewLabels"}}


def choices(model: Any, field: str) -> set[str]:
    """Return the words that a field of the API takes."""
    kinds = get_args(model.model_fields[field].annotation)
    return {word for kind in kinds for word in (get_args(kind) or (kind,)) if isinstance(word, str)}


def words_of_the_api() -> set[str]:
    metric = choices(rollout_analysis.AnalysisMetric, "builtin")
    then = choices(rollout_strategy.Experiment, "then") | choices(rollout_strategy.Experiment, "otherwise")
    return metric | set(get_args(rollout_analysis.Source)) | choices(UserAction, "kind") | then


def written() -> set[str]:
    """Return the CamelCase words in the code of the room."""
    found: set[str] = set()
    for file in CODE:
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.Constant) and isinstance(node.value, str) and CAMEL.fullmatch(node.value):
                found |= WHOLE.get(node.value, {node.value})
    return found


def explained() -> set[str]:
    """Return the words in the first column of the tables of reasons."""
    text = PAGE.read_text().partition("## Reasons")[2]
    rows = re.findall(r"(?m)^\| (`[^|]*) \|", text)
    return {word for row in rows for word in re.findall(r"`(\w+)`", row)}


def test_every_reason_is_explained() -> None:
    others = CONDITIONS | VERDICTS | TRUTH | KUBELET | KUBERNETES | TYPES | EXPERIMENT | words_of_the_api()
    missing = written() - others - explained()
    assert not missing, f"explain them in {PAGE.name}, or say here that they are no reasons: {sorted(missing)}"


def test_nothing_else_is_explained() -> None:
    assert explained() - written() == set()
