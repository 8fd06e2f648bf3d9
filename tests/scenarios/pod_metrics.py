"""A scripted metrics server: what metrics.k8s.io tells of pods here is what the test says, and nothing else.

The API server asks it through the aggregation layer, as it asks the real one; so the cluster's own autoscaler works on
a load that is known. It runs in the test's process, on the bridge's address.
"""

import json
import ssl
import threading
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

from local.addresses import HOST
from local.certificates import Authority
from tests.scenarios.cluster import Cluster, Obj, condition, wait_until

GROUP = "metrics.k8s.io"
API_SERVICE = f"v1beta1.{GROUP}"
LIST = {"kind": "APIResourceList", "apiVersion": "v1", "groupVersion": f"{GROUP}/v1beta1"}
RESOURCES: list[Obj] = [
    {"name": "pods", "singularName": "", "namespaced": True, "kind": "PodMetrics", "verbs": ["list"]}
]


@dataclass
class Script:
    """The load of one namespace. cores: what its ready pods use together, in equal parts. asked: how often."""

    ns: Cluster
    cores: float = 0.0
    asked: int = 0

    def answer(self, selector: str) -> Obj:
        """Return the PodMetricsList of the pods that are ready."""
        self.asked += 1
        ready = [p for p in self.ns.list("pods", selector) if condition(p, "Ready").get("status") == "True"]
        return {
            "kind": "PodMetricsList",
            "apiVersion": f"{GROUP}/v1beta1",
            "metadata": {},
            "items": [self._of(pod, self.cores / len(ready)) for pod in ready],
        }

    def _of(self, pod: Obj, cores: float) -> Obj:
        usage = {"cpu": f"{round(cores * 1e9)}n", "memory": "500Mi"}
        return {
            "metadata": {"name": pod["metadata"]["name"], "namespace": pod["metadata"]["namespace"]},
            "timestamp": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
            "window": "5s",
            "containers": [{"name": "server", "usage": usage}],
        }


def _handler(script: Script) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked = urlsplit(self.path)
            if asked.path.endswith(f"/namespaces/{script.ns.namespace}/pods"):
                self._tell(200, script.answer(parse_qs(asked.query).get("labelSelector", [""])[0]))
            elif asked.path == f"/apis/{GROUP}/v1beta1":
                self._tell(200, {**LIST, "resources": RESOURCES})
            else:
                self._tell(404, {"kind": "Status", "apiVersion": "v1", "status": "Failure", "code": 404})

        def _tell(self, code: int, obj: Obj) -> None:
            body = json.dumps(obj).encode()
            self.send_response(code)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            """Say nothing."""

    return Handler


def _way(namespace: str, port: int) -> list[Obj]:
    """Return the way to the server: a Service without selector, and its EndpointSlice."""
    meta = {"name": "scripted-metrics", "namespace": namespace}
    service = {"apiVersion": "v1", "kind": "Service", "metadata": meta}
    service |= {"spec": {"ports": [{"name": "https", "port": 443, "targetPort": port, "protocol": "TCP"}]}}
    slice_ = {
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": {**meta, "labels": {"kubernetes.io/service-name": "scripted-metrics"}},
        "addressType": "IPv4",
        "endpoints": [{"addresses": [HOST], "conditions": {"ready": True}}],
        "ports": [{"name": "https", "port": port, "protocol": "TCP"}],
    }
    return [service, slice_]


def _api_service(namespace: str) -> Obj:
    """Return who answers for the group."""
    spec = {
        "group": GROUP,
        "version": "v1beta1",
        "service": {"name": "scripted-metrics", "namespace": namespace, "port": 443},
        "insecureSkipTLSVerify": True,
        "groupPriorityMinimum": 100,
        "versionPriority": 100,
    }
    answers = {"apiVersion": "apiregistration.k8s.io/v1", "kind": "APIService", "metadata": {"name": API_SERVICE}}
    return {**answers, "spec": spec}


def _is_reached(ns: Cluster, authority: Authority) -> bool:
    """Whether the Service leads to this server, which has our authority's certificate.

    Until kube-proxy has heard of it, its address leads out of the machine; the API server would keep that connection.
    """
    service = ns.get("service", "scripted-metrics") or {}
    trusting = ssl.create_default_context(cafile=str(authority.pair.certificate))
    trusting.check_hostname = False
    url = f"https://{service['spec']['clusterIP']}/apis/{GROUP}/v1beta1"
    try:
        with urllib.request.urlopen(url, timeout=3, context=trusting) as told:
            return bool(told.status == 200)
    except OSError:
        return False


@contextmanager
def scripted_metrics(ns: Cluster, folder: Path) -> Iterator[Script]:
    """Answer for metrics.k8s.io while the block runs; afterwards nobody does, as before."""
    script = Script(ns)
    authority = Authority(folder)
    pair = authority.server("metrics", [HOST, f"scripted-metrics.{ns.namespace}.svc"])
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pair.certificate, pair.key)
    server = ThreadingHTTPServer((HOST, 0), _handler(script))
    # The handshake belongs to the thread of its connection: a client that is silent must not keep out the others.
    server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        ns.apply(*_way(ns.namespace, server.server_address[1]))
        wait_until("the Service leads to it", lambda: _is_reached(ns, authority))
        ns.apply(_api_service(ns.namespace))
        wait_until(
            "the API server reaches it",
            lambda: condition(ns.get("apiservice", API_SERVICE) or {}, "Available").get("status") == "True",
        )
        yield script
    finally:
        # While an APIService does not answer, no namespace of the cluster can end.
        ns.kubectl("delete", "apiservice", API_SERVICE, "--ignore-not-found")
        server.shutdown()
        server.server_close()
        thread.join(10)
