"""The object store and Prometheus, scripted, on loopback. Used by `world`.

The store shows one small model below whatever prefix is asked for; Prometheus answers for the revisions that a query
names: requests by their share in the route, no errors.
"""

import hashlib
import re
from collections.abc import Callable, Iterable, Iterator
from typing import Self
from xml.sax.saxutils import escape

from aiohttp import web

from trainyard.systems.artifacts.port import MANIFEST, Manifest, ManifestFile

BUCKET = "bench"
FILE = "saved_model.pb"
SIZE_BYTES = 1024
REQUESTS = 1000.0  # of all revisions of a Rollout since its step began
REVISIONS = re.compile(r'rollout=~?"([^"]+)",revision=~"([^"]+)"')

# Rollout and revision -> percent of the requests.
Share = Callable[[str, str], int]
# Rollout -> its revisions that are in the route, () where whoever asks names its own.
Revisions = Callable[[str], Iterable[str]]


def manifest(prefix: str) -> Manifest:
    """Return the manifest of the model below a key prefix; every prefix has bytes of its own."""
    return Manifest("SavedModel", (ManifestFile(FILE, SIZE_BYTES, hashlib.sha256(prefix.encode()).hexdigest()),))


def digest(prefix: str) -> str:
    """Return the artifact digest of the model below a key prefix."""
    return manifest(prefix).digest


def listing(prefix: str) -> str:
    """Return S3's answer (ListObjectsV2) about what lies below a prefix."""
    sizes = {FILE: SIZE_BYTES, MANIFEST: len(manifest(prefix).to_json())}
    rows = "".join(
        f"<Contents><Key>{escape(prefix + name)}</Key><LastModified>2026-11-24T05:00:00.000Z</LastModified>"
        f"<ETag>&quot;{name}&quot;</ETag><Size>{size}</Size></Contents>"
        for name, size in sizes.items()
    )
    head = f"<Name>{BUCKET}</Name><Prefix>{escape(prefix)}</Prefix><KeyCount>{len(sizes)}</KeyCount>"
    return f"<ListBucketResult>{head}<IsTruncated>false</IsTruncated>{rows}</ListBucketResult>"


def value(expression: str, share: int) -> float:
    """Return what a query says of a revision with this share of the requests: no errors, ever."""
    return REQUESTS * share / 100 if "increase(" in expression else 0.0


class Loopback:
    """Both servers on one free port of 127.0.0.1. `queries` counts what Prometheus was asked."""

    def __init__(self, namespace: str, share: Share, revisions: Revisions) -> None:
        self._namespace = namespace
        self._share = share
        self._revisions = revisions
        self.queries = 0

    async def __aenter__(self) -> Self:
        app = web.Application()
        app.router.add_post("/api/v1/query", self._query)
        app.router.add_get(f"/{BUCKET}", self._list)
        app.router.add_get(f"/{BUCKET}/{{key:.*}}", self._get)
        self._runner = web.AppRunner(app, access_log=None)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0)
        await site.start()
        self.url = f"http://127.0.0.1:{self._runner.addresses[0][1]}"
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._runner.cleanup()

    async def _query(self, request: web.Request) -> web.Response:
        self.queries += 1
        form = await request.post()
        expression, at = str(form["query"]), float(str(form["time"]))
        found = REVISIONS.search(expression)
        if found is None:
            return web.json_response({"status": "error", "errorType": "bad_data"}, status=400)
        result = [
            {
                "metric": {"namespace": self._namespace, "rollout": rollout, "revision": one},
                "value": [at, str(value(expression, self._share(rollout, one)))],
            }
            for rollout, one in self._asked(found[1].split("|"), found[2].split("|"))
        ]
        return web.json_response({"status": "success", "data": {"resultType": "vector", "result": result}})

    def _asked(self, rollouts: list[str], revisions: list[str]) -> Iterator[tuple[str, str]]:
        """Return who a query asks for: it may name many Rollouts, and then the revisions of them all."""
        known = set(revisions)
        for rollout in rollouts:
            own = [one for one in self._revisions(rollout) if one in known]
            yield from ((rollout, one) for one in own or (revisions if len(rollouts) == 1 else ()))

    async def _list(self, request: web.Request) -> web.Response:
        return web.Response(text=listing(request.query.get("prefix", "")), content_type="application/xml")

    async def _get(self, request: web.Request) -> web.Response:
        key = request.match_info["key"]
        if not key.endswith(f"/{MANIFEST}"):
            return self._list_or_missing(key, request)
        headers = {"ETag": '"manifest"', "Last-Modified": "Tue, 24 Nov 2026 05:00:00 GMT"}
        return web.Response(text=manifest(key.removesuffix(MANIFEST)).to_json(), headers=headers)

    def _list_or_missing(self, key: str, request: web.Request) -> web.Response:
        """S3 clients list with or without a slash after the bucket."""
        if key:
            return web.Response(status=404, text="<Error><Code>NoSuchKey</Code></Error>")
        return web.Response(text=listing(request.query.get("prefix", "")), content_type="application/xml")
