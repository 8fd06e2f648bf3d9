"""What would have been decided: the operator's own rules over scripted pasts."""

import asyncio
import re
from datetime import datetime
from typing import Any

import pytest

from tests.fakes.prometheus import ScriptedPrometheus, vector
from tests.unit.replay.playing import CANARY, STABLE, at, past, policy, recorded
from trainyard.replay.past import Renamed
from trainyard.replay.replaying import CannotReplay, NothingAnswered, replay
from trainyard.replay.story import Story
from trainyard.systems.prometheus.port import Answer, RangeAnswer, Series


def told(story: Story, *kinds: str) -> list[str]:
    """Return the moments of these kinds: seconds since the start, and the text."""
    return [f"{(e.at - story.started).total_seconds():.0f} {e.text}" for e in story.events if e.kind in kinds]


async def test_a_good_past_is_promoted() -> None:
    story = await replay(policy(), past(), recorded(lambda _: 0.0))
    assert (story.outcome, story.message) == ("Promoted", "all steps passed")
    assert [event.weight for event in story.events if event.kind == "WeightSet"] == [20, 50]
    assert set(story.verdicts()["errors"]) == {"Pass"}
    assert CANARY.revision in told(story, "RolloutStarted")[0], "by the name that the series have"


async def test_a_breach_is_aborted_when_it_is_measured() -> None:
    story = await replay(policy(), past(), recorded(lambda moment: 0.4 if moment >= at(90) else 0.0))
    assert story.outcome == "Aborted"
    assert story.message.startswith("errors was 0.4, above max 0.05")
    assert story.ended is not None
    assert at(90) <= story.ended < at(105), "within one interval"
    assert story.verdicts()["errors"]["Fail"] == 1
    assert [e.weight for e in story.events if e.kind == "Measured"][-1] == 50, "what it had when it was measured"
    assert not [text for text in told(story, "Waits") if "pods" in text], "they take no time"


async def test_another_policy_judges_the_same_past_otherwise() -> None:
    failing = recorded(lambda moment: 0.4 if at(30) <= moment < at(40) else 0.0)
    strict = await replay(policy(), past(), failing)
    lenient = await replay(
        policy(metrics=[{"name": "errors", "builtin": "ErrorRate", "max": "0.05", "failureLimit": 3}]), past(), failing
    )
    assert (strict.outcome, lenient.outcome) == ("Aborted", "Promoted")


async def test_without_data_it_holds_to_the_end_of_the_range() -> None:
    story = await replay(policy(), past(minutes=5), ScriptedPrometheus())
    assert (story.outcome, story.ended) == ("Undecided", None)
    assert told(story, "Waits")[-1].endswith("waits for metric errors: Inconclusive (TooFewRequests)")
    assert story.to_dict()["seconds"] is None


async def test_it_aborts_without_data_where_the_policy_says_so() -> None:
    analysis = policy().spec["analysis"] | {"onNoData": "Abort", "maxHoldSeconds": 60}
    story = await replay(policy(spec={"analysis": analysis}), past(), ScriptedPrometheus())
    assert story.outcome == "Aborted"
    assert story.message.startswith("no passing measurement for 60 s")


async def test_a_pause_for_a_person_ends_only_where_one_is_played() -> None:
    steps = [{"setWeight": 20}, {"pause": {}}]
    waiting = await replay(policy(steps), past(minutes=3), recorded(lambda _: 0.0))
    assert (waiting.outcome, told(waiting, "WeightSet")[-1][-4:]) == ("Undecided", "20 %")
    passed = await replay(policy(steps, pass_pauses=True), past(minutes=3), recorded(lambda _: 0.0))
    assert passed.outcome == "Promoted"
    blind = await replay(policy(steps, pass_pauses=True), past(minutes=3), ScriptedPrometheus())
    assert blind.outcome == "Undecided", "nobody promotes what no measurement speaks for"
    unmeasured = await replay(policy(steps, metrics=(), pass_pauses=True), past(minutes=3), ScriptedPrometheus())
    assert unmeasured.outcome == "Promoted"


async def test_the_share_of_then_is_not_held_against_the_weights_of_now() -> None:
    """The recorded split is 10 to 90, the policy asks for half: no `ShareOff`."""
    story = await replay(
        policy([{"setWeight": 50}, {"pause": {"durationSeconds": 60}}]), past(), recorded(lambda _: 0.0)
    )
    assert story.outcome == "Promoted"
    assert not [text for text in told(story, "Waits") if "traffic" in text and "follow" in text]


async def test_a_stable_that_went_then_and_a_weight_of_0_are_no_share_either() -> None:
    """Then the canary was promoted after two minutes; a longer ladder, and a preview, are replayed all the same."""
    gone = recorded(lambda _: 0.0)
    alone = {"namespace": "shop", "rollout": "churn", "revision": CANARY.revision}
    gone.on("increase", lambda _, moment: vector(moment, (alone, 1000.0)))
    longer = [{"setWeight": 20}, {"pause": {"durationSeconds": 300}}, {"setWeight": 50}]
    assert (await replay(policy(longer), past(), gone)).outcome == "Promoted"
    preview = {"strategy": {"blueGreen": {"beforeSwitch": {"count": 3}}}}
    played = policy(spec=preview, pass_pauses=True)
    assert (await replay(played, past(), recorded(lambda _: 0.0))).outcome == "Promoted"


@pytest.mark.parametrize(("ours", "theirs"), [(1, 9), (9, 1)])
async def test_the_split_of_then_is_not_held_against_an_experiments_share(ours: int, theirs: int) -> None:
    """The recorded split is 10 to 90, or the other way round; the policy asks for half: no `SampleRatioMismatch`."""
    experiment = {"share": 50, "decideOn": "clicks", "hypothesis": "NonInferior", "margin": "0.05", "minPerArm": 50}
    ratio = {"good": "clicks_total{r=$(revision)}", "total": "visits_total{r=$(revision)}"}
    clicks = {"name": "clicks", "ratio": ratio, "sequential": {"alpha": "0.05"}, "margin": "0.05", "minLabels": 50}
    story = await replay(
        policy(metrics=[clicks], spec={"strategy": {"experiment": {**experiment, "durationSeconds": 1200}}}),
        past(),
        counted({CANARY.revision: ours, STABLE.revision: theirs}),
    )
    assert not [text for text in told(story, "Waits") if "split as declared" in text]
    assert story.outcome == "Promoted", (story.message, told(story, "Waits"))


def counted(speeds: dict[str, int]) -> ScriptedPrometheus:
    """A Prometheus that counts the visits of each revision at its speed, and clicks of half of them."""

    def count(text: str, moment: datetime) -> float:
        speed = next(speed for revision, speed in speeds.items() if revision in text)
        return (moment - at(-3600)).total_seconds() * speed * (5 if "clicks_total" in text else 10)

    prometheus = recorded(lambda _: 0.0)
    prometheus.on(re.compile("clicks_total|visits_total"), count)
    return prometheus


async def test_only_the_pods_changed_and_the_version_stayed() -> None:
    same = past(canary=type(CANARY)(CANARY.revision, STABLE.version))
    story = await replay(policy(), same, recorded(lambda _: 0.0))
    assert story.outcome == "Promoted"


@pytest.mark.parametrize(
    ("spec", "sentence"),
    [
        ({"analysis": {"metrics": [{"name": "a", "query": "up"}]}}, "NoLimit: metric a has no limit"),
        ({"strategy": {"canary": {"steps": [{"setWeight": 101}]}}}, "setWeight"),
        ({"target": {}}, "only target.kubernetes is replayed"),
    ],
)
async def test_a_policy_that_would_be_refused_is_not_replayed(spec: dict[str, object], sentence: str) -> None:
    with pytest.raises(CannotReplay, match=sentence):
        await replay(policy(spec=spec), past(), recorded(lambda _: 0.0))


async def test_there_must_be_time() -> None:
    with pytest.raises(CannotReplay, match="no time between"):
        await replay(policy(), past(minutes=0), recorded(lambda _: 0.0))


async def test_a_range_is_asked_and_answered_in_the_replays_names() -> None:
    class Ranges(ScriptedPrometheus):
        async def query_range(self, expression: str, start: Any, end: Any, step_seconds: int) -> RangeAnswer:
            self.queries.append(expression)
            return RangeAnswer(series=(Series({"revision": CANARY.revision}, ((0.0, 1.0),)),))

    behind = Ranges()
    renamed = Renamed(behind, {"1111111111": CANARY.revision})
    answer = await renamed.query_range('up{revision="1111111111"}', at(0), at(60), 15)
    assert behind.queries == [f'up{{revision="{CANARY.revision}"}}']
    assert answer.series is not None
    assert answer.series[0].labels == {"revision": "1111111111"}
    failing = Renamed(ScriptedPrometheus(), {})
    failing.behind = Failing()
    assert (await failing.query_range("up", at(0), at(60), 15)).failure == "away"
    assert (await failing.query("up")).failure == "away"


class Failing:
    """A Prometheus that is away."""

    async def query(self, expression: str, at: Any = None) -> Answer:
        return Answer(failure="away")

    async def query_range(self, expression: str, start: Any, end: Any, step_seconds: int) -> RangeAnswer:
        return RangeAnswer(failure="away")


async def test_a_prometheus_that_never_answers_is_no_verdict() -> None:
    with pytest.raises(NothingAnswered, match="away"):
        await replay(policy(), past(minutes=3), Failing())
    with pytest.raises(NothingAnswered, match="away"):
        await asyncio.wait_for(replay(policy(), past(minutes=60 * 24), Failing()), 10)


async def test_a_prometheus_that_fails_after_a_while_holds() -> None:
    prometheus = recorded(lambda _: 0.0)
    prometheus.on(lambda _: len(prometheus.queries) > 4, Answer(failure="away"))
    story = await replay(policy(), past(minutes=3), prometheus)
    assert story.outcome == "Undecided"
    assert set(story.verdicts()["errors"]) == {"Pass", "NoData"}


async def test_a_range_that_would_take_hours_is_refused() -> None:
    with pytest.raises(CannotReplay, match="every 10 s makes 20001, at most are 20000: shorten it, or measure less"):
        await replay(policy(), past(minutes=20_001 / 6), recorded(lambda _: 0.0))


async def test_measured_without_a_weight() -> None:
    """Before any weight, by a header: there is no share to be in proportion to."""
    testers = {"setHeaderRoute": {"name": "testers", "match": [{"name": "X-Tester", "exact": "1"}]}}
    story = await replay(policy([testers, {"analysis": {"count": 2}}]), past(minutes=5), recorded(lambda _: 0.0))
    assert story.outcome == "Promoted"
    assert {e.weight for e in story.events if e.kind == "Measured"} == {0}


async def test_a_freeze_window_of_then_holds_the_beginning() -> None:
    freeze = [{"name": "early", "cron": "0 6 * * *", "durationSeconds": 600}]
    same = past(canary=type(CANARY)(CANARY.revision, STABLE.version))
    story = await replay(policy(spec={"freeze": freeze}), same, recorded(lambda _: 0.0))
    assert story.outcome == "Promoted"
    began = next(event.at for event in story.events if event.kind == "RolloutStarted")
    assert at(590) <= began <= at(670)


async def test_a_replay_that_never_comes_to_rest_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("trainyard.replay.replaying.MOST_VISITS", 1)
    with pytest.raises(CannotReplay, match="does not come to rest at 2026-11-24T06:00:00Z"):
        await replay(policy(), past(), recorded(lambda _: 0.0))
