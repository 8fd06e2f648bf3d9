"""ML Metadata as a gRPC server, from its Python package: the calls' raw bytes go to its C++ store and back.

Stands in for the store server, which is published as an image only. A few newer calls that Kubeflow does not make are
missing from the package and answered with UNIMPLEMENTED.
Environment: MYSQL_HOST, MYSQL_PORT (3306), MYSQL_DATABASE, MYSQL_USER and MYSQL_PASSWORD, or SQLITE with a file's path;
PORT (8080).
"""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from types import FrameType

import grpc
from ml_metadata.metadata_store.pywrap.metadata_store_extension import metadata_store as native
from ml_metadata.proto import metadata_store_pb2, metadata_store_service_pb2

WORKERS = 4
LONGEST_MESSAGE = 64 * 1024 * 1024
STATUS = {code.value[0]: code for code in grpc.StatusCode}
SERVICE = metadata_store_service_pb2.DESCRIPTOR.services_by_name["MetadataStoreService"]
# What MySQL's client says when the server went away or dropped an idle connection.
LOST = ("Lost connection", "gone away", "Can't connect")


def connection() -> metadata_store_pb2.ConnectionConfig:
    """The database as the environment names it."""
    config = metadata_store_pb2.ConnectionConfig()
    if "SQLITE" in os.environ:
        config.sqlite.filename_uri = os.environ["SQLITE"]
        return config
    config.mysql.host = os.environ["MYSQL_HOST"]
    config.mysql.port = int(os.environ.get("MYSQL_PORT", "3306"))
    config.mysql.database = os.environ["MYSQL_DATABASE"]
    config.mysql.user = os.environ["MYSQL_USER"]
    config.mysql.password = os.environ["MYSQL_PASSWORD"]
    return config


class Stores:
    """One C++ store for each worker, because a store serves one thread at a time."""

    def __init__(self, config: metadata_store_pb2.ConnectionConfig) -> None:
        self._config = config.SerializeToString()
        self._own = threading.local()
        self._making = threading.Lock()

    def call(self, name: str, request: bytes) -> tuple[bytes, str, int]:
        """Make one call: answer, message and gRPC's code number. A store that lost its database is made anew."""
        answer, message, code = self._call(name, request)
        if code and any(words in message for words in LOST):
            self._own.store = None
            answer, message, code = self._call(name, request)
        return answer, message, code

    def _call(self, name: str, request: bytes) -> tuple[bytes, str, int]:
        if getattr(self._own, "store", None) is None:
            try:
                self._own.store = self.make()
            except RuntimeError as error:
                return b"", str(error), grpc.StatusCode.UNAVAILABLE.value[0]
        answer, message, code = getattr(native, name)(self._own.store, request)
        return answer, message.decode(errors="replace") if isinstance(message, bytes) else message, code

    def make(self) -> native.MetadataStore:
        """Connect; the first makes the tables, so no two do it at once. Raises RuntimeError."""
        options = metadata_store_pb2.MigrationOptions(enable_upgrade_migration=True)
        with self._making:
            return native.CreateMetadataStore(self._config, options.SerializeToString())


def handler(stores: Stores, name: str) -> grpc.RpcMethodHandler:
    """Passes one method's bytes through."""

    def call(request: bytes, context: grpc.ServicerContext) -> bytes:
        answer, message, code = stores.call(name, request)
        if code:
            context.abort(STATUS.get(code, grpc.StatusCode.UNKNOWN), message)
        return answer

    return grpc.unary_unary_rpc_method_handler(call)


def serve(stores: Stores, port: int) -> grpc.Server:
    """Start serving every call that the package has."""
    server = grpc.server(
        ThreadPoolExecutor(WORKERS),
        options=[("grpc.max_receive_message_length", LONGEST_MESSAGE), ("grpc.max_metadata_size", 16384)],
    )
    handlers = {one.name: handler(stores, one.name) for one in SERVICE.methods if hasattr(native, one.name)}
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(SERVICE.full_name, handlers),))
    if not server.add_insecure_port(f"[::]:{port}"):
        raise SystemExit(f"port {port} is taken")
    server.start()
    return server


def main() -> None:
    """Serve until told to end."""
    stores = Stores(connection())
    try:
        stores.make()
    except RuntimeError as error:
        raise SystemExit(f"no database: {error}") from error
    server = serve(stores, int(os.environ.get("PORT", "8080")))
    print(f"serving {SERVICE.full_name}", file=sys.stderr, flush=True)
    stop = stopper(server)
    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, stop)
    server.wait_for_termination()


def stopper(server: grpc.Server) -> Callable[[int, FrameType | None], None]:
    """Ends the server within two seconds."""
    return lambda _number, _frame: server.stop(2) and None


if __name__ == "__main__":
    main()
