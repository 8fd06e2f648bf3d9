"""The HTTP paths around a model that the test steers: not ready, busy, slow."""

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import uvicorn

from images.server.modelserver.app import make_app
from images.server.modelserver.holder import Holder
from images.server.modelserver.metrics import Metrics
from images.server.modelserver.protocol import Signature, Tensors
from images.server.modelserver.settings import Settings
from images.server.modelserver.tensors import Array, TensorSpec
from tests.images.serving import ask, metric, predict

BODY = {"instances": [[1.0]]}


class Steered:
    """A model that computes when the test lets it."""

    def __init__(self) -> None:
        spec = TensorSpec("x", "FP32", (-1, 1))
        self.signature = Signature((spec,), (TensorSpec("y", "FP32", (-1,)),))
        self.begun = threading.Semaphore(0)
        self.let = threading.Event()

    def compute(self, tensors: Tensors) -> dict[str, Array]:
        self.begun.release()
        assert self.let.wait(60)
        return {"y": np.asarray(tensors["x"][:, 0])}


class Running:
    """The application on a port of its own, in a thread."""

    def __init__(self, holder: Holder) -> None:
        self.holder = holder
        config = uvicorn.Config(make_app(holder, Metrics()), port=0, log_config=None, lifespan="off", ws="none")
        self.server = uvicorn.Server(config)
        self.thread = threading.Thread(target=self.server.run)
        self.thread.start()
        while not self.server.started:
            assert self.thread.is_alive()
        self.port = self.server.servers[0].sockets[0].getsockname()[1]

    def stop(self) -> None:
        self.server.should_exit = True
        self.thread.join()
        self.holder.close()


@pytest.fixture
def running() -> Iterator[Running]:
    application = Running(Holder(Settings("m", Path("/none"), threads=1, max_waiting=2)))
    yield application
    application.stop()


def test_before_the_model_is_warm(running: Running) -> None:
    assert ask(running.port, "GET", "/v2/health/live").status == 200
    for path in ("/v2/health/ready", "/v2/models/m", "/v2/models/m/ready", "/v1/models/m"):
        assert ask(running.port, "GET", path).status == 503
    assert ask(running.port, "GET", "/v1/models").json == {"models": []}
    assert predict(running.port, BODY).status == 503
    assert metric(running.port, 'trainyard_server_requests_total{code="503"}') == 1


def test_health_answers_while_the_model_computes_and_too_many_are_sent_away(running: Running) -> None:
    model = Steered()
    running.holder.take(model)
    with ThreadPoolExecutor(2) as clients:
        first = clients.submit(predict, running.port, BODY)
        assert model.begun.acquire(timeout=60)
        second = clients.submit(predict, running.port, BODY)
        while running.holder.waiting < 2:
            assert not second.done()
        assert ask(running.port, "GET", "/v2/health/ready").status == 200
        refused = predict(running.port, BODY)
        assert (refused.status, refused.json) == (503, {"error": "2 requests are waiting already"})
        model.let.set()
        assert [first.result().json, second.result().json] == [{"predictions": [1.0]}] * 2
    assert metric(running.port, "trainyard_server_request_duration_seconds_count") == 3
