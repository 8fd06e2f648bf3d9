"""Zero failed requests for users over 50 rollouts under load, half of them aborted (issue 5, Proof).

Five Rollouts of real TensorFlow pods behind the gateway, ten counted revisions each: odd ones are promoted, even ones
aborted, by a person at either weight, by a real breach, or because they never become ready. A canary that answers 500
fails its users by itself while it has weight; so the bad model here answers 200 with wrong numbers, and a metric over
its predictions tells. Between them some are superseded and some rolled back. Every request is counted.
"""

from collections import Counter, deque
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest

from examples.demo.load import tally
from tests.scenarios.cluster import Cluster, Obj
from tests.scenarios.crowd import Crowd, crowd_of
from tests.scenarios.fleet import Member, Story, live, sums
from tests.scenarios.serving import pipeline, train
from tests.scenarios.watching import RULES, Watch

pytestmark = [pytest.mark.cluster, pytest.mark.soak, pytest.mark.timeout(1800)]

RATE = 10.0  # requests a second, to each Rollout
PEOPLE = 40  # of each; only where cookies are set it matters
LONG = 600  # seconds; somebody comes before they are over
PREVIEW = {"header": {"name": "X-Preview", "value": "1"}}


def canary(first: int = 3, second: int = 3, **more: Any) -> Obj:
    """A short ladder whose pauses take so many seconds."""
    pauses: list[Obj] = [{"pause": {"durationSeconds": seconds}} for seconds in (first, second)]
    return {"canary": {"steps": [{"setWeight": 20}, pauses[0], {"setWeight": 60}, pauses[1]], **more}}


def sticky(first: int = 3, second: int = 3) -> Obj:
    """The same with users who stay."""
    return canary(first, second, sessionAffinity={"cookie": {"name": "rev", "maxAgeSeconds": 600}})


def blue_green(first: int = 3, second: int = 3) -> Obj:
    """All traffic at once; it is watched as long as the longer pause of a ladder."""
    return {"blueGreen": {"preview": PREVIEW, "autoPromotionSeconds": 3, "afterSwitchSeconds": max(first, second, 8)}}


Strategy = Callable[..., Obj]
# (strategy, replicas, scaleDownDelaySeconds): without a delay, only the pods' own manners keep requests whole.
FLEET: list[tuple[Strategy, int, int]] = [
    (canary, 2, 10),
    (sticky, 1, 10),
    (blue_green, 1, 10),
    (canary, 1, 0),
    (sticky, 1, 0),
]
COUNTED = {"Promoted": 20, "FastPromoted": 5, "Aborted": 25}
BESIDE = {"Superseded": 5, "RolledBack": 5}  # not among the fifty


def promoted(member: Member, strategy: Strategy) -> Story:
    revision = yield from member.changes(strategy())
    yield member.ends(revision)
    assert member.outcomes[revision] == "Promoted"


def promoted_at_once(member: Member, strategy: Strategy) -> Story:
    revision = yield from member.changes(strategy(LONG))
    yield member.has(1)
    yield from member.trainyard("promote-full")
    yield member.ends(revision)
    assert member.outcomes[revision] == "FastPromoted"


def by_person(member: Member, strategy: Strategy) -> Story:
    revision = yield from member.changes(strategy(LONG))
    yield member.has(1)
    yield from member.trainyard("abort")
    yield member.ends(revision)
    assert member.outcomes[revision] == "Aborted"


def by_person_late(member: Member, strategy: Strategy) -> Story:
    revision = yield from member.changes(strategy(3, LONG))
    yield member.has(60)
    yield from member.trainyard("abort")
    yield member.ends(revision)
    assert member.outcomes[revision] == "Aborted"


def by_metric(member: Member, strategy: Strategy) -> Story:
    revision = yield from member.changes(strategy(LONG), "bad")
    yield member.ends(revision)
    assert member.outcomes[revision] == "Aborted"


def by_deadline(member: Member, strategy: Strategy) -> Story:
    """Its server refuses to begin."""
    revision = yield from member.changes(strategy(), deadline=20, SERVER_THREADS="none")
    yield member.ends(revision)
    assert member.outcomes[revision] == "Aborted"


def superseded(member: Member, strategy: Strategy) -> Story:
    """A canary with weight, over which the next one comes; that one's story ends it."""
    yield from member.changes(strategy(LONG))
    yield member.has(1)


def rolled_back(member: Member, strategy: Strategy) -> Story:
    """A canary with weight, when the stable revision is asked for again."""
    spec = (member.ns.get("rollout", member.name) or {})["spec"]
    former = spec["target"]["kubernetes"]["serving"]["env"]
    revision = yield from member.changes(strategy(LONG))
    yield member.has(1)
    member.serves("good", 300, former)
    yield member.ends(revision)


ABORTS = (by_person, by_metric, by_deadline, by_person_late, by_metric)


def life(member: Member, number: int) -> Story:
    """Ten counted revisions, and two beside them."""
    strategy, replicas, delay = FLEET[number]
    yield from member.begins(strategy(), replicas, delay)
    ways = deque(ABORTS)
    ways.rotate(number)
    for turn, way in enumerate(ways):
        if turn == 2:
            yield from superseded(member, strategy)
        yield from promoted_at_once(member, strategy) if turn == 1 else promoted(member, strategy)
        if turn == 4:
            yield from rolled_back(member, strategy)
        yield from way(member, strategy)


@pytest.fixture
def fleet(ns: Cluster) -> list[Member]:
    """Rollouts to be, and the two versions that they take."""
    ns.apply(pipeline())
    train(ns, "good")
    train(ns, "bad", bias=1000.0)
    return [Member(ns, f"sums-{n}", f"{n}.{ns.namespace}.example.com") for n in range(len(FLEET))]


@pytest.fixture
def crowds(cluster_env: dict[str, str], fleet: list[Member]) -> Iterator[list[Crowd]]:
    with ExitStack() as open_ones:
        yield [open_ones.enter_context(crowd_of(cluster_env, member.host, PEOPLE, RATE)) for member in fleet]


def test_no_request_fails_in_fifty_rollouts(
    ns: Cluster, fleet: list[Member], crowds: list[Crowd], capsys: pytest.CaptureFixture[str]
) -> None:
    with Watch(ns, "httproutes", RULES) as routes:
        live(ns, {member.name: watched(life(member, n), crowds[n]) for n, member in enumerate(fleet)})
        assert routes.is_whole, "the watch was cut off: weights may have been missed"
    for crowd in crowds:
        crowd.stop()
    outcomes = Counter(outcome for member in fleet for outcome in member.outcomes.values())
    told = tally(sample for crowd in crowds for sample in crowd.samples)
    with capsys.disabled():
        print(f"\n{told}\n{dict(outcomes)}, {len(routes.lines)} states of rules\n{failures(crowds)}")
    assert outcomes == COUNTED | BESIDE
    assert sums(routes.lines) == {100}
    assert told.failed == 0
    assert told.requests > 10_000


def watched(story: Story, crowd: Crowd) -> Story:
    """The same story, with its crowd asking from the moment that something serves."""
    told = yield next(story)
    crowd.start()
    while True:
        try:
            told = yield story.send(told)
        except StopIteration:
            return


def failures(crowds: list[Crowd]) -> Counter[tuple[str, int, str]]:
    """Return how many requests failed, by host, by when (in tens of seconds since the load began) and by how."""
    begun = min(crowd.samples[0].at for crowd in crowds)
    failed = [(crowd.host.partition(".")[0], s) for crowd in crowds for s in crowd.samples if s.failed]
    return Counter((host, int(s.at - begun) // 10 * 10, s.problem or str(s.status)) for host, s in failed)
