"""How an inference request can end without an answer, other than by a BadRequest."""

from __future__ import annotations

_NOISE = ("Graph execution error", "Detected at node", "<stack traces", "[[")


class NotReady(RuntimeError):
    """The model is not warm yet."""


class Busy(RuntimeError):
    """More requests wait than the limit allows."""


class ModelFailed(RuntimeError):
    """The model raised while it computed, or gave what can't be written."""


def first_line(error: BaseException) -> str:
    """Return an error's kind and its first telling line, at most some 200 characters.

    TensorFlow begins with where in the graph it was; what a person wants to read comes after that.
    """
    lines = [line.strip() for line in str(error).splitlines()]
    telling = [line for line in lines if line and not line.startswith(_NOISE)]
    return f"{type(error).__name__}: {telling[0][:200]}" if telling else type(error).__name__
