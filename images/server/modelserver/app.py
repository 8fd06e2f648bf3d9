"""The HTTP paths. Health and metadata answer at once; inference goes to the holder's threads."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable

from prometheus_client import CONTENT_TYPE_LATEST
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from . import VERSION
from .failures import Busy, ModelFailed, NotReady
from .holder import Holder, Reader
from .metrics import Metrics
from .protocol import PLATFORM, read_v1, read_v2
from .tensors import BadRequest

STATUSES: dict[type[Exception], int] = {BadRequest: 400, NotReady: 503, Busy: 503, ModelFailed: 500}
# Not a status that anything is answered with: the client left before its request was whole (as nginx counts it).
CLIENT_LEFT = 499
Handler = Callable[[Request], Awaitable[Response]]


class BodyTooLarge(ValueError):
    """The request's body is over the limit."""


class Paths:
    """The handlers."""

    def __init__(self, holder: Holder, metrics: Metrics) -> None:
        self.holder = holder
        self.metrics = metrics

    def routes(self) -> list[Route]:
        """Return every path of the protocol."""
        return [
            Route("/metrics", self.exposition),
            Route("/v1/models", self.v1_models),
            Route("/v1/models/{model}:predict", self.inference(read_v1), methods=["POST"]),
            Route("/v1/models/{model}", self.model_ready),
            Route("/v2", self.server),
            Route("/v2/health/live", self.live),
            Route("/v2/health/ready", self.ready),
            Route("/v2/models/{model}", self.model),
            Route("/v2/models/{model}/ready", self.model_ready),
            Route("/v2/models/{model}/infer", self.inference(read_v2), methods=["POST"]),
        ]

    async def exposition(self, _: Request) -> Response:
        """Metrics for Prometheus."""
        return Response(self.metrics.render(), media_type=CONTENT_TYPE_LATEST)

    async def live(self, _: Request) -> Response:
        """The process answers; that is all that liveness says."""
        return JSONResponse({"live": True})

    async def ready(self, _: Request) -> Response:
        """The model is loaded and warm."""
        ready = self.holder.ready
        return JSONResponse({"ready": ready}, status_code=200 if ready else 503)

    async def server(self, _: Request) -> Response:
        """Server metadata."""
        return JSONResponse({"name": "trainyard-server", "version": VERSION, "extensions": []})

    async def v1_models(self, _: Request) -> Response:
        """The models that are ready."""
        return JSONResponse({"models": [self.holder.settings.model] if self.holder.ready else []})

    async def model_ready(self, request: Request) -> Response:
        """Readiness of the model, in v1 and v2 alike."""
        name, ready = self._known(request), self.holder.ready
        return JSONResponse({"name": name, "ready": ready}, status_code=200 if ready else 503)

    async def model(self, request: Request) -> Response:
        """Model metadata."""
        name = self._known(request)
        try:
            signature = self.holder.signature
        except NotReady as error:
            raise HTTPException(503, str(error)) from error
        inputs = [spec.describe() for spec in signature.inputs]
        outputs = [spec.describe() for spec in signature.outputs]
        return JSONResponse({"name": name, "platform": PLATFORM, "inputs": inputs, "outputs": outputs})

    def inference(self, read: Reader) -> Handler:
        """Return the handler of one form of inference. Every request that reaches it is counted once."""

        async def handle(request: Request) -> Response:
            clock = _Clock()
            try:
                self._known(request)
                body = await self._body(request)
                clock.start()
                response = Response(await self.holder.answer(read, body), media_type="application/json")
            except HTTPException as error:
                response = _refusal(error.status_code, error.detail)
            except BodyTooLarge as error:
                response = _refusal(413, str(error))
            except ClientDisconnect:
                response = _refusal(CLIENT_LEFT, "the client left")
            except tuple(STATUSES) as error:
                response = _refusal(STATUSES[type(error)], str(error))
            self.metrics.answered(response.status_code, clock.seconds())
            return response

        return handle

    def _known(self, request: Request) -> str:
        name = str(request.path_params["model"])
        if name != self.holder.settings.model:
            raise HTTPException(404, f"this server serves the model {self.holder.settings.model!r}")
        return name

    async def _body(self, request: Request) -> bytes:
        """Return the request's body; BodyTooLarge as soon as it is known to be over the limit."""
        limit, parts, total = self.holder.settings.max_body_bytes, [], 0
        declared = request.headers.get("content-length", "")
        if declared.isdigit() and int(declared[:20]) > limit:
            raise BodyTooLarge(f"a body of {int(declared[:20])} bytes, at most {limit} are taken")
        async for part in request.stream():
            total += len(part)
            if total > limit:
                raise BodyTooLarge(f"a body of more than {limit} bytes")
            parts.append(part)
        return b"".join(parts)


class _Clock:
    """Seconds since the request was whole: a slow client is not a slow model."""

    def __init__(self) -> None:
        self._start = time.perf_counter()

    def start(self) -> None:
        self._start = time.perf_counter()

    def seconds(self) -> float:
        return time.perf_counter() - self._start


def _refusal(status: int, message: str) -> Response:
    headers = {"Retry-After": "1"} if status == 503 else None
    return JSONResponse({"error": message}, status_code=status, headers=headers)


async def _http_error(_: Request, error: Exception) -> Response:
    """Say what the router has to say (no such path, wrong method) as the protocol says errors."""
    if not isinstance(error, HTTPException):
        raise error
    return JSONResponse({"error": error.detail}, status_code=error.status_code, headers=error.headers)


def make_app(holder: Holder, metrics: Metrics) -> Starlette:
    """Return the ASGI application."""
    return Starlette(routes=Paths(holder, metrics).routes(), exception_handlers={HTTPException: _http_error})
