from typing import Any, cast

import pytest

from tests.fakes.cluster import FakeCluster
from trainyard.cli import rollouts
from trainyard.cli.connection import Connection
from trainyard.cli.problem import Problem
from trainyard.systems.cluster.port import ROLLOUT, Ref

KEY = Ref(ROLLOUT, "default", "churn")


class Api:
    """The part of the transport that says who we are."""

    async def request(self, method: str, url: str, **_: Any) -> dict[str, Any]:
        return {"status": {"userInfo": {"username": "ada"}}}


def rollout(**status: Any) -> dict[str, Any]:
    return {
        "apiVersion": ROLLOUT.api_version, "kind": ROLLOUT.kind, "metadata": {"name": "churn", "namespace": "default"},
        "spec": {"model": "churn"}, "status": status,
    }  # fmt: skip


def connection(**status: Any) -> tuple[Connection, FakeCluster]:
    cluster = FakeCluster()
    obj = rollout(**status)
    cluster.seed({k: v for k, v in obj.items() if k != "status"}, status=obj["status"])
    return Connection(cast("Any", cluster), cast("Any", Api()), "default"), cluster


CANARY = {"canary": {"version": "b", "revision": "bbbbbbbbbb"}, "step": 3}


def test_promote_is_bound_to_revision_and_step() -> None:
    assert rollouts.action(rollout(**CANARY), "Promote", "ada", "1") == {
        "kind": "Promote", "id": "1", "revision": "bbbbbbbbbb", "step": 3, "by": "ada",
    }  # fmt: skip


@pytest.mark.parametrize("kind", ["PromoteFull", "Abort"])
def test_these_are_bound_to_the_revision_only(kind: rollouts.Kind) -> None:
    made = rollouts.action(rollout(**CANARY), kind, "ada", "1")
    assert (made["revision"], made["step"]) == ("bbbbbbbbbb", None)


@pytest.mark.parametrize("kind", ["Promote", "PromoteFull", "Abort"])
def test_without_a_canary_there_is_nothing_to_do(kind: rollouts.Kind) -> None:
    with pytest.raises(Problem, match="has no canary: there is nothing to"):
        rollouts.action(rollout(), kind, "ada", "1")


def test_retry_is_for_what_was_rejected_last() -> None:
    history = [{"revision": r} for r in ("promoted000", "newest0000", "oldest0000")]
    status = {"rejected": ["oldest0000", "newest0000"], "history": history}
    assert rollouts.action(rollout(**status), "Retry", "ada", "1")["revision"] == "newest0000"
    assert rollouts.action(rollout(rejected=["a", "b"]), "Retry", "ada", "1")["revision"] == "b"
    with pytest.raises(Problem, match="has rejected nothing"):
        rollouts.action(rollout(), "Retry", "ada", "1")


async def test_it_is_written_with_who_asks() -> None:
    connected, cluster = connection(**CANARY)
    first = await rollouts.act(connected, "churn", "Promote")
    second = await rollouts.act(connected, "churn", "Abort")
    assert first["by"] == "ada"
    assert first["id"] != second["id"]
    obj = cluster.look(KEY)
    assert obj is not None
    assert obj["spec"]["action"] == {"kind": "Abort", "id": second["id"], "revision": "bbbbbbbbbb", "by": "ada"}


async def test_it_waits_for_the_operator() -> None:
    connected, cluster = connection(**CANARY)
    wanted = await rollouts.act(connected, "churn", "Promote")
    assert not await rollouts.taken_up(connected, "churn", wanted["id"], seconds=0)
    cluster.edit(KEY, {"status": {"handledAction": wanted["id"]}}, status=True)
    assert await rollouts.taken_up(connected, "churn", wanted["id"], seconds=0)


async def test_no_such_rollout() -> None:
    connected, _ = connection()
    with pytest.raises(Problem, match="There is no Rollout 'shop' in namespace 'default'"):
        await rollouts.act(connected, "shop", "Abort")


@pytest.mark.parametrize(
    ("status", "words"),
    [
        ({"actions": [{"id": "1", "result": "Done"}]}, ""),
        ({"handledAction": "1"}, ""),  # an operator that does not tell
        ({"actions": [{"id": "2", "result": "Stale"}, {"id": "1", "result": "Done"}]}, ""),
        ({"actions": [{"id": "1", "result": "Stale"}]}, "it does not fit any more: nothing is tried now"),
        (
            {"actions": [{"id": "1", "result": "Stale"}], **CANARY},
            "it does not fit any more: revision bbbbbbbbbb at step 3 is tried now",
        ),
        (
            {"actions": [{"id": "1", "result": "Frozen"}], "frozen": "weekend"},
            "freeze window weekend holds; wait for its end, or take it out of spec.freeze and ask again",
        ),
    ],
)
def test_what_became_of_it(status: dict[str, Any], words: str) -> None:
    assert rollouts.ignored(rollout(**status), "1") == words
