"""What the users of the model ask for: strategies and analyses that hypothesis chooses from."""

from typing import Any

METRICS: list[dict[str, Any]] = [{"name": "errors", "builtin": "ErrorRate", "max": "0.01", "failureLimit": 1}]
MEASURED: dict[str, Any] = {"intervalSeconds": 10, "minRequests": 10, "maxHoldSeconds": 300, "metrics": METRICS}
COMPARED: dict[str, Any] = {
    **MEASURED,
    "metrics": [{"name": "errors", "builtin": "ErrorRate", "margin": "0.01", "sequential": {"alpha": "0.05"}}],
}
LADDERS: tuple[list[dict[str, Any]], ...] = (
    [],
    [{"setWeight": 20}, {"pause": {"durationSeconds": 30}}, {"setWeight": 60}, {"pause": {"durationSeconds": 30}}],
    [{"setWeight": 10}, {"pause": {}}, {"setWeight": 100}, {"pause": {"durationSeconds": 20}}],
    [
        {"setHeaderRoute": {"name": "testers", "match": [{"name": "X-Tester", "exact": "1"}]}},
        {"setMirrorRoute": {"percent": 100}},
        {"pause": {"durationSeconds": 20}},
        {"setWeight": 30},
        {"analysis": {"count": 2}},
    ],
    [{"setWeight": 50}, {"setWeight": 10}, {"pause": {"durationSeconds": 10}}],
)
STRATEGIES: tuple[dict[str, Any], ...] = (
    *({"canary": {"steps": steps}} for steps in LADDERS),
    {"canary": {"steps": LADDERS[1], "sessionAffinity": {"cookie": {}}, "replicas": {"count": 1}}},
    {"canary": {"steps": LADDERS[1], "maxExtraAccelerators": 1}},
    {"canary": {"steps": LADDERS[2], "maxExtraAccelerators": 2, "replicas": {"percent": 100}}},
    {"blueGreen": {"autoPromotionSeconds": 20, "afterSwitchSeconds": 30}},
    {"blueGreen": {"preview": {"header": {"name": "X-Preview", "value": "1"}}}},
    {
        "experiment": {
            "share": 20,
            "assignment": {"cookie": {}},
            "durationSeconds": 120,
            "minPerArm": 10,
            "decideOn": "errors",
            "hypothesis": "NonInferior",
            "margin": "0.05",
        }
    },
)
BRANCHES = ("canary", "blueGreen", "experiment")
