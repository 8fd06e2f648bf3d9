"""Scenario 23 on a whole cluster: an A/B experiment with sticky users, decided by what the real servers counted.

v1 fails for its greatest row of ten. A better version is shown to be better and promoted, a worse one goes back as soon
as harm is shown, an equal one ends by its declared rule when time is over.
"""

from collections.abc import Iterator

import pytest

from tests.scenarios.cluster import Cluster, Obj, wait_until
from tests.scenarios.crowd import Crowd, Person, crowd_of
from tests.scenarios.serving import ended, host, pipeline, rollout, status, train

__all__ = ["host"]  # a fixture

pytestmark = [pytest.mark.cluster, pytest.mark.soak, pytest.mark.timeout(2400)]

RATE = 30.0  # requests a second, of all people together
# So many that each asks about twice in an experiment: the check of the split counts requests, and the luck of few users
# who ask often looks like a split otherwise than declared (docs/analysis.md, SampleRatioMismatch).
PEOPLE = 4000
FIRST = 1000  # people whose arm is compared with what they see later
SHARE = 50
WINDOW_SECONDS = 8  # four scrapes: a block of the test
# The test says nothing before 24 blocks; a little longer, and it must know two that are far apart.
DURATION_SECONDS = 32 * WINDOW_SECONDS
BIAS = 1000.0  # of v2 and v4: an answer tells which of two arms gave it
COOKIE = "arm"


def experiment() -> Obj:
    return {
        "experiment": {
            "share": SHARE,
            "assignment": {"cookie": {"name": COOKIE, "maxAgeSeconds": 3600}},
            "durationSeconds": DURATION_SECONDS,
            "minPerArm": 200,
            "decideOn": "errors",
            "hypothesis": "Superior",
            "then": "Promote",
            "otherwise": "Abort",
        }
    }


ERRORS = {"name": "errors", "builtin": "ErrorRate", "margin": "0", "sequential": {"alpha": "0.05"}}


@pytest.fixture
def crowd(cluster_env: dict[str, str], host: str) -> Iterator[Crowd]:
    with crowd_of(cluster_env, host, PEOPLE, RATE) as made:
        yield made


def arms(person: Person, since: int) -> set[bool]:
    """Return which arms answered somebody's requests from one on: whether with the bias. Failures do not tell."""
    return {told > BIAS / 2 for told in person.answers[since:] if told is not None}


def in_arms(ns: Cluster, crowd: Crowd) -> dict[str, int]:
    """Return how many people hold each revision's cookie."""
    told = status(ns)
    revisions = [str(told[role]["revision"]) for role in ("stable", "canary")]
    held = [person.cookies.get(COOKIE, "") for person in crowd.people]
    return {revision: sum(cookie.startswith(revision) for cookie in held) for revision in revisions}


def dealt(ns: Cluster, crowd: Crowd) -> dict[int, int]:
    """Wait until enough people have an arm, and return them, with the number of the answer that they have last."""
    wait_until("the share is on the route", lambda: status(ns).get("routedWeight") == SHARE, 240)
    wait_until("people have arms", lambda: sum(in_arms(ns, crowd).values()) >= FIRST, 120)
    revisions = tuple(in_arms(ns, crowd))
    held = [(n, p) for n, p in enumerate(crowd.people) if p.cookies.get(COOKIE, "").startswith(revisions)]
    return {n: len(person.answers) - 1 for n, person in held}


def stay(crowd: Crowd, since: dict[int, int]) -> None:
    """Nobody changed sides since then, and the sides are as large as declared."""
    found = [arms(crowd.people[n], first) for n, first in since.items()]
    assert all(len(sides) <= 1 for sides in found), "somebody changed sides"
    share = sum(True in sides for sides in found) / sum(bool(sides) for sides in found)
    assert abs(share - SHARE / 100) < 0.1, share


def answered(crowd: Crowd, least: int) -> None:
    goal = len(crowd.samples) + least
    wait_until(f"{least} more answers", lambda: len(crowd.samples) >= goal, 300)


def serves_v1(ns: Cluster, host: str, crowd: Crowd) -> None:
    ns.apply(pipeline())
    train(ns, "v1", limit=9.5)
    made = rollout(host, [], metrics=[ERRORS], windowSeconds=WINDOW_SECONDS)
    ns.apply({**made, "spec": {**made["spec"], "strategy": experiment()}})
    ns.wait("rollout", "sums", "Ready", "True", "Promoted", 300)
    crowd.start()


def outcome(ns: Cluster, version: str, timeout: float = DURATION_SECONDS + 240) -> tuple[str, str]:
    """Wait for the end of a version's experiment and return outcome and message."""
    found = wait_until(f"{version} ends", lambda: ended(ns, version), timeout)
    wait_until("nothing is under way", lambda: not status(ns).get("canary"), 120)
    return found["outcome"], found["message"]


def test_23_better_worse_and_equal(ns: Cluster, host: str, crowd: Crowd) -> None:
    serves_v1(ns, host, crowd)

    train(ns, "v2", bias=BIAS)  # never fails
    since = dealt(ns, crowd)
    answered(crowd, PEOPLE)
    stay(crowd, since)
    told = outcome(ns, "v2")
    assert told[0] == "Promoted", told
    assert status(ns)["stable"]["version"] == "v2"

    crowd.phase = "worse"
    train(ns, "v3", limit=5.5)  # fails for half of the rows
    told = outcome(ns, "v3")
    assert told[0] == "Aborted", told
    assert status(ns)["stable"]["version"] == "v2"
    after = len(crowd.samples)
    answered(crowd, 300)
    assert not any(sample.failed for sample in crowd.samples[after + 20 :]), "v2 answers everybody again"

    crowd.phase = "equal"
    train(ns, "v4")
    told = outcome(ns, "v4")
    assert told[0] == "Aborted", told
    assert crowd.of("equal").failed == 0, crowd.of("equal")
