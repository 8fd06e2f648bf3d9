"""Who and what moves a Rollout: what an alias leads to, the rollback window, answers to actions, and by whom."""

from dataclasses import replace
from typing import Any

import pytest

from tests.golden.rollout.manifests import CONFIG, version
from tests.golden.rollout.stories import v1_serves, v2_comes
from tests.golden.rollout.stories_of_people import MORNING
from tests.golden.rollout.world import World
from tests.unit.rollout.making import candidate, events, revision, situation, told
from trainyard.resources.rollout import HistoryEntry, Outcome
from trainyard.rollout import history, revisions
from trainyard.rollout.revisions import Wanted
from trainyard.rollout.state import Candidate

CHAMPION = frozenset({"champion"})


def champion(name: str, minute: int, ready: bool = True) -> Candidate:
    return replace(candidate(name, minute, ready, "" if ready else "Rejected"), aliases=CHAMPION)


def following(*versions: Candidate, stable: str = "", rejected: tuple[str, ...] = ()) -> Wanted:
    """What `champion` leads to while a version serves and others were rejected."""
    status: dict[str, Any] = {"rejected": tuple(revision(name).revision for name in rejected)}
    status["history"] = tuple(ended(name, "Aborted") for name in rejected)
    if stable:
        status["stable"] = revision(stable)
    return situation(status, spec={"version": {"alias": "champion"}}, versions=versions).wanted


def ended(name: str, outcome: Outcome) -> HistoryEntry:
    of = revision(name)
    times = {"started_time": "2026-11-24T05:00:00Z", "finished_time": "2026-11-24T05:01:00Z"}
    return HistoryEntry(revision=of.revision, version=name, digest=of.digest, outcome=outcome, **times)


@pytest.mark.parametrize(
    ("versions", "stable", "rejected", "version_or_reason", "refused"),
    [
        # versions, what serves, what was rejected -> what is wanted or why nothing is, and what is refused
        ((candidate("v1", 1),), "", (), "AliasUnheld", ""),
        ((candidate("v1", 1),), "v1", (), "AliasUnheld", ""),
        ((champion("v1", 1), champion("v2", 2)), "", (), "v2", ""),
        ((champion("v1", 1), champion("v2", 2, ready=False)), "", (), "v1", ""),
        ((champion("v1", 1), candidate("v2", 2)), "v2", (), "v1", ""),  # taken away from v2: back
        ((champion("v1", 1), champion("v2", 2, ready=False)), "v2", (), "v2", ""),  # lost by accident: stays
        ((champion("v2", 2, ready=False),), "v2", (), "v2", ""),
        ((champion("v1", 1),), "v2", (), "v1", ""),  # nothing tells how old v2 was
        ((champion("v1", 1), champion("v3", 3)), "v1", ("v3",), "v1", "v3"),
        ((champion("v1", 1), champion("v2", 2), champion("v3", 3)), "v1", ("v3",), "v2", "v3"),
        ((champion("v1", 1), candidate("v2", 2), champion("v3", 3)), "v2", ("v3",), "v2", "v3"),  # never to v1 by that
        ((champion("v1", 1), candidate("v2", 2)), "v2", ("v1",), "v2", "v1"),
        ((champion("v1", 1),), "", ("v1",), "NoVersion", "v1"),
    ],
)
def test_what_an_alias_leads_to(
    versions: tuple[Candidate, ...], stable: str, rejected: tuple[str, ...], version_or_reason: str, refused: str
) -> None:
    found = following(*versions, stable=stable, rejected=rejected)
    assert (found.reason or (found.revision.version if found.revision else "")) == version_or_reason
    assert (found.refused.version if found.refused else "") == refused


def test_times_of_versions_are_compared_as_times() -> None:
    early = champion("v1", 1)
    late = replace(champion("v2", 1), created_at="2026-11-24T05:01:00.5Z")
    assert following(early, late).revision == revision("v2")


def test_the_window_counts_revisions_that_were_stable_each_once() -> None:
    outcomes: tuple[tuple[str, Outcome], ...] = (
        ("v4", "Promoted"), ("v9", "Aborted"), ("v3", "FastPromoted"), ("v4", "Promoted"), ("v3", "Promoted"),
        ("v8", "RolledBack"), ("v7", "Superseded"), ("v2", "Promoted"), ("v1", "Promoted"),
    )  # fmt: skip
    status = situation({"stable": revision("v4"), "history": tuple(ended(*o) for o in outcomes)}).status
    names = [revision(name).revision for name in ("v3", "v2", "v1")]
    assert [list(revisions.stable_lately(status, n)) for n in range(5)] == [names[:n] for n in (0, 1, 2, 3, 3)]


async def test_a_rejected_revision_in_the_window_stays_refused() -> None:
    w = World()
    await v1_serves(w, version={"name": "v1"}, rollbackWindow=5)
    w.add(version("v2", 2))
    w.edit(version={"name": "v2"})
    await w.settle()
    w.act("PromoteFull")
    await w.settle(40)
    w.edit(version={"name": "v1"}, rollbackWindow=0)
    await w.settle()
    w.act("Abort", "2")
    await w.settle(40)
    w.edit(rollbackWindow=5)
    await w.settle(40)
    assert (w.shares(), told(w, "Degraded")) == ({"v2": 100}, ("True", "RevisionRejected"))


async def test_only_the_last_twenty_answers_are_kept() -> None:
    w = World()
    await v1_serves(w)
    for number in range(history.ACTIONS_LIMIT + 3):
        w.act("Abort", f"a{number}")
        await w.settle()
    kept = [a["id"] for a in w.status()["actions"]]
    assert kept == [f"a{n}" for n in range(history.ACTIONS_LIMIT + 2, 2, -1)]
    assert events(w).count("ActionStale") == history.ACTIONS_LIMIT + 3


async def test_it_is_recorded_by_whom() -> None:
    w = World()
    await v2_comes(w)
    w.act("Promote")
    await w.settle()
    w.act("Abort", "2", by="bob")
    await w.settle(40)
    w.act("Retry", "3")
    await w.settle()
    w.act("PromoteFull", "4")
    await w.settle(40)
    assert [(a["kind"], a["by"], a["result"]) for a in reversed(w.status()["actions"])] == [
        ("Promote", "ada", "Done"), ("Abort", "bob", "Done"), ("Retry", "ada", "Done"), ("PromoteFull", "ada", "Done"),
    ]  # fmt: skip
    assert [(e["outcome"], e["by"]) for e in w.status()["history"]] == [
        ("FastPromoted", "ada"), ("Aborted", "bob"), ("Promoted", ""),
    ]  # fmt: skip
    rows = {row.data["decision"]: row.data.get("by") for row in w.database.rows.values()}
    assert {k: v for k, v in rows.items() if v} == {
        "StepPassed": "ada", "Aborted": "bob", "Retried": "ada", "FastPromoted": "ada",
    }  # fmt: skip


async def test_the_last_step_that_a_person_passes_is_theirs() -> None:
    w = World()
    await v2_comes(w, strategy={"canary": {"steps": [{"setWeight": 20}, {"pause": {}}]}})
    w.act("Promote")
    await w.settle(40)
    assert (w.status()["history"][0]["outcome"], w.status()["history"][0]["by"]) == ("Promoted", "ada")


async def test_without_a_policy_a_name_is_a_claim() -> None:
    w = World()
    w.systems = replace(w.systems, config=replace(CONFIG, proven_actions=False))
    w.start()
    await v2_comes(w)
    w.act("Abort")
    await w.settle(40)
    assert w.status()["history"][0]["message"] == "aborted by ada (as claimed)"
    assert w.status()["history"][0]["by"] == "ada"


async def test_paused_says_what_would_begin() -> None:
    w = World()
    await v1_serves(w, paused=True)
    assert w.status()["waitingFor"] == "spec.paused to be false"
    w.edit(paused=False)
    await w.settle(40)
    w.edit(paused=True)
    await w.settle()
    assert "waitingFor" not in w.status()
    w.add(version("v2", 2))
    await w.settle()
    assert told(w, "Ready") == ("False", "Paused")


async def test_steps_edited_within_a_window_raise_nothing() -> None:
    w = World()
    await v1_serves(w, freeze=[MORNING])
    w.add(version("v2", 2))
    await w.settle(270)
    assert w.status()["frozen"] == "morning"
    w.edit(strategy={"canary": {"steps": [{"setWeight": 50}, {"pause": {}}]}})
    await w.settle(60)
    assert (w.shares(), w.status()["weight"]) == ({"v1": 80, "v2": 20}, 20)
    await w.settle(600)
    assert w.shares() == {"v1": 50, "v2": 50}


async def test_full_promotion_that_runs_when_a_window_begins_waits() -> None:
    w = World()
    await v1_serves(w, freeze=[MORNING])
    w.add(version("v2", 2))
    await w.settle(250)
    w.broken.add("v2")
    w.edit(target={"kubernetes": {"serving": {"replicas": 4}}})
    w.act("PromoteFull")
    await w.settle(15)
    w.broken.discard("v2")
    await w.settle(60)
    assert w.shares()["v2"] <= 20
    await w.settle(600)
    assert w.outcome()[-1] == "v2 FastPromoted"


async def test_a_window_that_nobody_can_follow_is_refused() -> None:
    w = World()
    await v1_serves(w, freeze=[{**MORNING, "cron": "0 0 31 2 *"}])
    assert told(w, "Accepted") == ("False", "InvalidFreeze")
    w.edit(freeze=[MORNING])
    await w.settle(40)
    assert w.shares() == {"v1": 100}
