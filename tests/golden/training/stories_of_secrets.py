"""What a pipeline tells of the Secrets that its event triggers need. Told and compared by `test_histories`."""

from collections.abc import Awaitable, Callable
from typing import Any

from tests.golden.training.world import NAMESPACE, World
from trainyard.systems.cluster.port import SECRET, TRAINING_PIPELINE, Ref

PIPELINE = Ref(TRAINING_PIPELINE, NAMESPACE, "churn")
KEY = Ref(SECRET, NAMESPACE, "trainyard-triggers")
LABEL = {"metadata": {"labels": {"trainyard.dev/usable-by-triggers": "true"}}}


async def secret_of_a_trigger_comes_later(w: World) -> None:
    w.say("an event trigger names a Secret that is not there")
    w.pipeline(triggers={"onChange": False, "events": [_trigger("new-data", "minio"), _trigger("push", "github")]})
    await w.settle()
    await w.stays_quiet()
    w.say("it is made, without the label")
    w.cluster.seed({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": KEY.name, "namespace": NAMESPACE}})
    await w.settle()
    await w.stays_quiet()
    w.say("its owner labels it")
    w.cluster.edit(KEY, LABEL)
    await w.settle()
    w.say("somebody deletes it")
    w.cluster.remove(KEY)
    await w.settle()
    w.say("the triggers go")
    w.cluster.edit(PIPELINE, {"spec": {"triggers": {"events": []}}})
    await w.settle()
    assert "TriggersReady" not in {c["type"] for c in w.look(PIPELINE)["status"]["conditions"]}


def _trigger(name: str, key: str) -> dict[str, Any]:
    return {"name": name, "auth": {"bearer": {"secretRef": {"name": KEY.name, "key": key}}}}


STORIES: tuple[Callable[[World], Awaitable[None]], ...] = (secret_of_a_trigger_comes_later,)
