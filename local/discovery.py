"""Tells Prometheus which pods to scrape: `python3 discovery.py <api url> <ca> <certificate> <key> <target file>`.

Debian's Prometheus is built without Kubernetes discovery, so this watches the pods and writes the annotated ones
for `file_sd`, with the same meta labels that Kubernetes discovery gives. It stands alone and is run from the state
folder: a checkout may go away while its cluster runs.
"""

from __future__ import annotations

import http.client
import json
import re
import ssl
import sys
import time
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

ANNOTATION = "prometheus.io/scrape"
LIST_SECONDS = 300

Pod = dict[str, Any]


def target(pod: Pod) -> dict[str, Any] | None:
    """The pod as a scrape target; None for one that is not to be scraped or not reachable yet."""
    meta, address = pod["metadata"], pod.get("status", {}).get("podIP")
    annotations = meta.get("annotations") or {}
    port = annotations.get("prometheus.io/port")
    if annotations.get(ANNOTATION) != "true" or not address or not port or pod["status"].get("phase") != "Running":
        return None
    labels = {
        "__meta_kubernetes_namespace": meta["namespace"],
        "__meta_kubernetes_pod_name": meta["name"],
        "__metrics_path__": annotations.get("prometheus.io/path") or "/metrics",
    }
    for name, value in (meta.get("labels") or {}).items():
        safe = re.sub(r"[^a-zA-Z0-9_]", "_", name)
        labels[f"__meta_kubernetes_pod_label_{safe}"] = value
        labels[f"__meta_kubernetes_pod_labelpresent_{safe}"] = "true"
    return {"targets": [f"{address}:{port}"], "labels": labels}


class Watcher:
    """Follows the pods of the cluster and keeps the target file equal to them."""

    def __init__(self, url: str, context: ssl.SSLContext, file: Path) -> None:
        self._host = urlsplit(url).netloc
        self._context = context
        self._file = file
        self._pods: dict[str, Pod] = {}
        self._written: str | None = None

    def follow(self) -> None:
        """List once, then watch until the API server ends the watch."""
        listed = json.load(self._get("/api/v1/pods"))
        self._pods = {pod["metadata"]["uid"]: pod for pod in listed["items"]}
        self._write()
        version = listed["metadata"]["resourceVersion"]
        watch = self._get(f"/api/v1/pods?watch=true&timeoutSeconds={LIST_SECONDS}&resourceVersion={version}")
        while line := watch.readline():
            event = json.loads(line)
            if event["type"] == "ERROR":
                return
            self._take(event["type"], event["object"])

    def _take(self, kind: str, pod: Pod) -> None:
        uid = pod["metadata"]["uid"]
        if kind == "DELETED":
            self._pods.pop(uid, None)
        else:
            self._pods[uid] = pod
        self._write()

    def _write(self) -> None:
        found = [one for pod in self._pods.values() if (one := target(pod))]
        text = json.dumps(sorted(found, key=lambda one: str(one["targets"])), indent=1)
        if text != self._written:
            half = self._file.with_name(f".{self._file.name}.part")
            half.write_text(text)
            half.rename(self._file)
            self._written = text

    def _get(self, path: str) -> http.client.HTTPResponse:
        link = http.client.HTTPSConnection(self._host, context=self._context, timeout=LIST_SECONDS + 30)
        link.request("GET", path)
        answer = link.getresponse()
        if answer.status != 200:
            raise OSError(f"GET {path} answered {answer.status}")
        return answer


def main(url: str, authority: str, certificate: str, key: str, file: str) -> None:
    """Follow the pods for ever."""
    context = ssl.create_default_context(cafile=authority)
    context.load_cert_chain(certificate, key)
    watcher = Watcher(url, context, Path(file))
    while True:
        try:
            watcher.follow()
        except (OSError, ValueError, http.client.HTTPException) as error:
            print(f"lists again: {error}", file=sys.stderr, flush=True)
            time.sleep(1)


if __name__ == "__main__":
    main(*sys.argv[1:])
