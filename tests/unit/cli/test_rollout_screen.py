"""What people see of a Rollout, as text."""

import pytest

from tests.unit.cli.watched import NOW, PODS, canary, drawn, told, trail
from trainyard.cli import rollout_ladder
from trainyard.cli.rollout_screen import screen
from trainyard.cli.sparkline import axis, sparkline
from trainyard.cli.trail import LENGTH, Trail


def test_everything_on_eighty_columns() -> None:
    assert drawn(screen(canary(), NOW, trail(), PODS), width=80) == (
        "Rollout churn  Ready False  Inconclusive\n"
        "stable     churn-a1b2c3d4e5  revision aaaaaaaaaa  3/3 pods ready\n"
        "canary     churn-0f9e8d7c6b  revision bbbbbbbbbb  1/1 pod ready\n"
        "weight     ███░░░░░░░░░░░░░░░░░░░░░░░░░░░  10 % to the canary, seen 9.8 %\n"
        "ladder     header testers → 2 good measurements → 10 % → [pause 5m] → 50 % → 3 ×\n"
        "           (errors) → pause until promoted\n"
        "step       4 of 7, 3m5s of 5m counted\n"
        "waits for  metric slow: Inconclusive (NotDecided)\n"
        "held       by measurements for 30s; after 30m it is held on and told as Stalled\n"
        "\n"
        "METRIC  VERDICT       VALUE   LIMIT                 FAILED  LAST\n"
        "errors  Pass          0.0011  ≤ 0.01                1 of 2  ▁▁█▄▁▁▅▁▁▂▁▅\n"
        "p99     Pass          0.112   ≥ 0, ≤ stable + 20 %  0 of 0  ▁▁▁▂▄▄▅█▇▅▇▇\n"
        "slow    Inconclusive  0.031   worse by ≤ 0.02               █▇▄▃▂▂▁\n"
        "slow  ━━━━━━━━━━━━━━━━│━━━━  worse by -0.0042 … 0.0262; about 1900 more requests\n"
        "      (3m30s)\n"
        "\n"
        "VERSION           OUTCOME   ENDED  WHY\n"
        "churn-5d4c3b2a19  Aborted   2h10m  errors was 0.4448, above max 0.01 (49\n"
        "                                   requests; failed 1 times, failureLimit 0)\n"
        "churn-a1b2c3d4e5  Promoted  3d3h   all steps passed"
    )


def test_the_wider_the_more() -> None:
    wide = drawn(screen(canary(routedWeight=5), NOW, trail(), PODS))
    assert "10 % to the canary, the route says 5 %, seen 9.8 %" in wide
    assert "REQUESTS" in wide
    assert "REVISION" in wide
    for width in (100, 80, 60):
        assert max(map(len, drawn(screen(canary(), NOW, trail(), PODS), width=width).splitlines())) <= width


def test_without_a_status() -> None:
    text = drawn(screen({"metadata": {"name": "new"}, "spec": {}}, NOW))
    assert text == (
        "Rollout new  Ready Unknown\nstable  none\ncanary  none\nladder  no steps: promoted once it is ready"
    )


def test_trouble_is_said_once() -> None:
    refused = "NoServerImage: no server image is configured"
    text = drawn(screen(canary(conditions=told(f"Ready=False {refused}", f"Accepted=False {refused}")), NOW))
    assert text.count("no server image") == 1
    rejected = told("Ready=True RevisionRejected: stable serves", "Degraded=True RevisionRejected: b was rejected")
    assert "Degraded   RevisionRejected: b was rejected" in drawn(screen(canary(conditions=rejected), NOW))
    stalled = told("Ready=False NoData: held", "Stalled=True AnalysisHeld: too long", "Accepted=False Invalid: x")
    lines = drawn(screen(canary(conditions=stalled), NOW)).splitlines()
    assert {"Stalled    AnalysisHeld: too long", "refused    Invalid: x"} <= set(lines)


def test_how_far_a_step_is() -> None:
    analysis = drawn(screen(canary(step=5, passed=2), NOW)).splitlines()
    assert "step       6 of 7, 2 of 3 measurements passed" in analysis
    done = drawn(screen(canary(step=7, weight=100), NOW)).splitlines()
    assert "step       all steps are done" in done
    edited = drawn(screen(canary(step=2, restartedFrom=2), NOW)).splitlines()
    assert "step       3 of 7, the steps were edited: begun again at step 3" in edited


def test_frozen_and_a_note() -> None:
    lines = drawn(screen(canary(frozen="weekend"), NOW, note="away")).splitlines()
    assert "frozen     weekend: no weight rises" in lines
    assert lines[1] == "away"


def test_no_color_is_obeyed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NO_COLOR", raising=False)
    assert "\x1b[3" in drawn(screen(canary(), NOW), force_terminal=True, color_system="standard")
    monkeypatch.setenv("NO_COLOR", "1")
    assert "\x1b[3" not in drawn(screen(canary(), NOW), force_terminal=True, color_system="standard")


@pytest.mark.parametrize(
    ("step", "text"),
    [
        ({"setWeight": 5}, "5 %"),
        ({"pause": {}}, "pause until promoted"),
        ({"pause": {"durationSeconds": 90}}, "pause 1m30s"),
        ({"analysis": {}}, "1 good measurement"),
        ({"analysis": {"count": 3, "metrics": ["p99", "cpu"]}}, "3 × (p99, cpu)"),
        ({"setHeaderRoute": {"name": "testers"}}, "no header testers"),
        ({"setMirrorRoute": {}}, "mirror 100 %"),
        ({"setMirrorRoute": {"percent": 0}}, "no mirror"),
    ],
)
def test_steps_are_said(step: dict[str, object], text: str) -> None:
    assert rollout_ladder.spelled(step) == text


STRATEGIES = [
    (
        {"blueGreen": {"preview": {"header": {"name": "X-Preview", "value": "1"}}, "autoPromotionSeconds": 60,
                       "beforeSwitch": {"count": 2, "metrics": ["errors"]}, "afterSwitchSeconds": 120}},
        ["preview by X-Preview: 1", "2 × (errors)", "pause 1m", "switch", "watched for 2m"],
    ),
    ({"blueGreen": {}}, ["pause until promoted", "switch"]),
    ({"blueGreen": {"beforeSwitch": {}}}, ["1 good measurement", "pause until promoted", "switch"]),
    (
        {"experiment": {"share": 15, "durationSeconds": 604_800, "decideOn": "clicks"}},
        ["15 %", "clicks better within 7d: Promote, else Abort"],
    ),
    (
        {"experiment": {"share": 15, "durationSeconds": 60, "decideOn": "p", "hypothesis": "NonInferior",
                        "then": "Hold", "otherwise": "Hold"}},
        ["15 %", "p not worse within 1m: Hold, else Hold"],
    ),
]  # fmt: skip


@pytest.mark.parametrize(("strategy", "steps"), STRATEGIES)
def test_strategies_are_said(strategy: dict[str, object], steps: list[str]) -> None:
    assert rollout_ladder.told({"spec": {"strategy": strategy}}) == steps


def test_in_flight_the_ladder_is_the_operators() -> None:
    texts = [
        "setWeight 0, sized for 100", "setHeaderRoute preview 0a1b2c3d", "analysis 2 of errors, p99", "pause 60 s",
        "pause", "setWeight 100", "setHeaderRoute preview off", "analysis 1", "something new",
    ]  # fmt: skip
    climbing = canary(ladder=texts, step=3, countedSeconds=12)
    climbing["spec"]["strategy"] = {"blueGreen": {}}
    assert rollout_ladder.ladder(climbing).plain == (
        "full size at 0 % → header preview → 2 × (errors, p99) → [pause 1m] → pause until promoted → 100 % → "
        "no header preview → 1 good measurement → something new"
    )
    assert "step       4 of 9, 12s of 1m counted" in drawn(screen(climbing, NOW)).splitlines()


def test_an_experiment_in_flight() -> None:
    running = canary(ladder=["setWeight 15", "experiment 0a1b2c3d"], step=1)
    running["spec"]["strategy"] = {"experiment": {"share": 15, "durationSeconds": 3600, "decideOn": "clicks"}}
    assert rollout_ladder.ladder(running).plain == "15 % → [clicks better within 1h: Promote, else Abort]"


def test_sparklines() -> None:
    assert sparkline([], 5) == ""
    assert sparkline([None, float("nan")], 5) == ""
    assert sparkline([1, 1, 1], 5) == "▁▁▁"
    assert sparkline([0, 1, None, 2, float("inf"), 4], 5) == "▁ ▃ █"


@pytest.mark.parametrize(
    ("bounds", "text"),
    [
        ((-0.01, 0.005, 0.02), "━━━━━····│"),
        ((0.005, 0.01, 0.02), "0·━━━····│"),
        ((0.03, 0.04, 0.02), "0···│··━━━"),
        ((0.0, 0.0, 0.0), "│·········"),
    ],
)
def test_intervals(bounds: tuple[float, float, float], text: str) -> None:
    assert axis(*bounds, 10) == text


def test_a_trail_is_of_one_canary() -> None:
    seen = Trail()
    for value in ("1", "2", "2", "", "x"):
        seen.see(canary(metrics=[{"name": "m", "verdict": "Pass", "value": value}]))
    assert seen.of("m") == [1.0, 2.0, None, None]
    seen.see(canary(canary=None, metrics=[]))
    assert seen.of("m") == [1.0, 2.0, None, None], "it ended: what was seen stays on the screen"
    seen.see(canary(canary={"revision": "dddddddddd"}, metrics=[{"name": "m", "verdict": "Pass", "value": "9"}]))
    assert seen.of("m") == [9.0]
    seen.begin(canary(), {"m": [float(n) for n in range(2 * LENGTH)]})
    assert len(seen.of("m")) == LENGTH
    assert seen.of("nothing") == []


def test_bounds_without_a_margin_or_a_need() -> None:
    one = canary(metrics=[{"name": "slow", "verdict": "Pass", "lower": "0", "upper": "0.1"}])
    assert "worse by 0 … 0.1" in drawn(screen(one, NOW))
    needy = [{"name": "gone", "verdict": "NoData", "lower": "0", "upper": "0.1", "needs": 7, "message": "none"}]
    text = drawn(screen(canary(metrics=needy), NOW))
    assert "worse by 0 … 0.1; about 7 more requests" in text
    assert "gone  none" in text
