"""The model behind the HTTP paths: absent until it is warm, then computing on a few threads of its own."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Protocol

from .failures import Busy, ModelFailed, NotReady, first_line
from .protocol import Question, Signature, Tensors, write
from .settings import Settings
from .tensors import Array

log = logging.getLogger("modelserver")
Reader = Callable[[bytes, Signature, int], Question]
SAME_FAILURE_SECONDS = 10.0


class Computes(Protocol):
    """A model that is loaded."""

    @property
    def signature(self) -> Signature:
        """What it takes and gives."""
        ...

    def compute(self, tensors: Tensors) -> dict[str, Array]:
        """Return the outputs by name; raise what it likes."""
        ...


class Holder:
    """Owns the model and the threads that compute. `waiting` counts the requests that have no answer yet."""

    def __init__(self, settings: Settings, predicted: Callable[[Tensors], None] = lambda _: None) -> None:
        """Serve nothing yet. `predicted` is told every answer's outputs."""
        self.settings = settings
        self._predicted = predicted
        self._model: Computes | None = None
        self.waiting = 0
        self._pool = ThreadPoolExecutor(settings.threads, thread_name_prefix="compute")
        self._last_failure = ("", float("-inf"))

    @property
    def ready(self) -> bool:
        """Whether the model is loaded and warm."""
        return self._model is not None

    @property
    def signature(self) -> Signature:
        """The model's signature; NotReady before it is loaded."""
        return self._present().signature

    def take(self, model: Computes) -> None:
        """Serve this model from now on."""
        self._model = model

    async def answer(self, read: Reader, body: bytes) -> bytes:
        """Return the answer's body. Reading, computing and writing all happen off the event loop.

        BadRequest, NotReady, Busy or ModelFailed otherwise.
        """
        model = self._present()
        if self.waiting >= self.settings.max_waiting:
            raise Busy(f"{self.waiting} requests are waiting already")
        self.waiting += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(self._pool, self._answer, model, read, body)
        finally:
            self.waiting -= 1

    def _present(self) -> Computes:
        if self._model is None:
            raise NotReady("the model is not ready yet")
        return self._model

    def _answer(self, model: Computes, read: Reader, body: bytes) -> bytes:
        question = read(body, model.signature, self.settings.max_rows)
        try:
            outputs = model.compute(question.tensors)
            body = write(question, self.settings.model, model.signature, outputs)
        except Exception as error:
            self._tell(error)
            raise ModelFailed(f"the model failed: {first_line(error)}") from error
        self._predicted(outputs)
        return body

    def _tell(self, error: Exception) -> None:
        """Log a failure, one of the same kind at most every ten seconds: a bad model fails at every request."""
        kind, now = type(error).__name__, time.monotonic()
        if kind != self._last_failure[0] or now - self._last_failure[1] >= SAME_FAILURE_SECONDS:
            self._last_failure = (kind, now)
            log.error("the model failed: %s", first_line(error))

    def close(self) -> None:
        """Let the threads end after what they compute now."""
        self._pool.shutdown(wait=False, cancel_futures=True)
