"""`python -m modelserver`: listens at once, reports ready when the model is warm, ends cleanly on SIGTERM.

Exit codes: 0 after a signal, 2 for a wrong setting or a missing folder, 3 for a model that can't be loaded.
The sentence goes to stderr and to the pod's termination message.
"""

from __future__ import annotations

import logging
import os
import signal
import sys
import threading
import time
from contextlib import suppress
from pathlib import Path

import uvicorn

from . import VERSION
from .app import make_app
from .failures import first_line
from .holder import Holder
from .metrics import PREDICTION_BOUNDS, Metrics
from .settings import BadSetting, Settings, check_folder, read

log = logging.getLogger("modelserver")
TERMINATION_LOG = Path("/dev/termination-log")
# Longer than an hour, Envoy's idle timeout: were the server the first to close an idle connection, a request that
# Envoy sends on it at that moment would fail.
KEEP_ALIVE_SECONDS = 3700


class Loading(threading.Thread):
    """Loads and warms the model beside the listening server; stops the server where that fails."""

    def __init__(self, holder: Holder, server: uvicorn.Server) -> None:
        super().__init__(name="loading", daemon=True)
        self._holder = holder
        self._server = server
        self.failure: str | None = None

    def run(self) -> None:
        """Load, warm up, hand over."""
        from .saved_model import NotServable, SavedModel  # TensorFlow takes seconds to import

        started, settings = time.monotonic(), self._holder.settings
        try:
            model = SavedModel(settings.saved_model, settings.threads)
            refused = model.warm_up()
        except NotServable as error:
            self._fail(str(error))
        except Exception as error:  # noqa: BLE001 - a thread that dies silently would never be ready
            self._fail(f"the model can't be loaded: {first_line(error)}")
        else:
            if refused:
                log.warning("the model refuses a made-up batch of zeros: %s", refused)
            self._holder.take(model)
            log.info("model %s is ready after %.1f s", settings.model, time.monotonic() - started)

    def _fail(self, message: str) -> None:
        self.failure = message
        self._server.should_exit = True


def serve(settings: Settings) -> int:
    """Serve until a signal comes or the model turns out to be unusable; return the exit code."""
    metrics = Metrics(settings.prediction_bounds or PREDICTION_BOUNDS)
    holder = Holder(settings, metrics.predicted)
    server = uvicorn.Server(_config(settings, holder, metrics))
    # uvicorn raises the signal that stopped it once more when it is done; ending on request is no failure.
    for ending in (signal.SIGTERM, signal.SIGINT):
        signal.signal(ending, lambda *_: None)
    loading = Loading(holder, server)
    loading.start()
    log.info("trainyard-server %s listens on port %s, loading %s", VERSION, settings.port, settings.saved_model)
    server.run()
    holder.close()
    return _complain(loading.failure, 3) if loading.failure else 0


def _config(settings: Settings, holder: Holder, metrics: Metrics) -> uvicorn.Config:
    return uvicorn.Config(
        make_app(holder, metrics),
        host="0.0.0.0",  # noqa: S104 - a pod's own address
        port=settings.port,
        http="httptools",
        loop="asyncio",
        ws="none",
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
        timeout_keep_alive=KEEP_ALIVE_SECONDS,
        timeout_graceful_shutdown=settings.shutdown_seconds,
    )


def _complain(message: str, code: int) -> int:
    print(f"trainyard-server: {message}", file=sys.stderr, flush=True)
    with suppress(OSError):
        TERMINATION_LOG.write_text(message)
    return code


def main() -> int:
    """Read the environment and serve."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s", stream=sys.stderr)
    logging.getLogger("uvicorn").setLevel(logging.WARNING)
    try:
        settings = read(os.environ)
        check_folder(settings)
    except BadSetting as error:
        return _complain(str(error), 2)
    return serve(settings)


if __name__ == "__main__":
    code = main()
    logging.shutdown()
    # TensorFlow's threads are not waited for: taking them down at exit can hang or crash while a model loads.
    os._exit(code)
