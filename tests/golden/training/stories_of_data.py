"""Lives of runs whose data is away, is not there yet or is somebody else's, and what a run tells of its data for good.

Told and compared by `test_histories`; some are lived through with a kill after each write by `test_kills`.
"""

from collections.abc import Awaitable, Callable

from tests.fakes import kubelet
from tests.golden.training.world import World
from trainyard.systems.cluster.port import TRAINING_RUN


async def store_away_before_the_start(w: World) -> None:
    w.say("the store is away when the run is created")
    w.artifacts.away = True
    w.pipeline()
    await w.settle()
    w.say("the store is back")
    w.artifacts.away = False
    await w.settle()


async def data_comes_later(w: World) -> None:
    w.say("there is nothing at the dataset's URI yet")
    rows = w.artifacts.objects.pop("s3://data/churn/rows.csv")
    w.pipeline()
    await w.settle()
    w.say("the data comes")
    w.artifacts.objects["s3://data/churn/rows.csv"] = rows
    await w.settle()


async def data_of_another_namespace(w: World) -> None:
    w.say("a pipeline names another namespace's data, which the operator itself could read")
    w.artifacts.objects["s3://models/other/secret.csv"] = b"1\n"
    w.pipeline(data={"datasets": [{"name": "train", "uri": "s3://models/other/"}]})
    await w.settle()
    assert not any(uri.startswith("s3://models/other/") for uri in w.artifacts.looked_at)
    w.say("a person cancels the run")
    w.cluster.edit(w.only_run(), {"spec": {"cancel": True}})
    await w.settle()


async def data_changes_after_a_failure(w: World) -> None:
    w.pipeline()
    w.kubelet.scripts["train"] = [kubelet.running(), kubelet.exited(3, "no column named target")]
    await w.settle()
    before = w.look(w.only_run())["status"]["datasets"]
    w.say("the data changes, and the run is restored from a backup without its status")
    w.artifacts.objects["s3://data/churn/rows.csv"] = b"5,6\n"
    w.restore(TRAINING_RUN)
    await w.settle()
    assert w.look(w.only_run())["status"]["datasets"] == before


STORIES: tuple[Callable[[World], Awaitable[None]], ...] = (
    store_away_before_the_start,
    data_comes_later,
    data_of_another_namespace,
    data_changes_after_a_failure,
)
