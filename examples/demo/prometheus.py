"""The demo's own questions to Prometheus: how many requests each version answered, and how many with errors."""

import json
import urllib.error
import urllib.parse
import urllib.request

from examples.demo.shell import Failed

SERIES = "trainyard_server_requests_total"
WINDOW_SECONDS = 10


def total(url: str, namespace: str, version: str, *, errors: bool = False) -> float:
    """Return how many requests a version's pods counted, or only those answered with 5xx. Raises Failed.

    The last value of every pod's counter in the last hour is summed, so pods that are gone count too.
    """
    code = ',code=~"5.."' if errors else ""
    selector = f'{SERIES}{{namespace="{namespace}",version="{version}"{code}}}'
    return query(url, f"sum(last_over_time({selector}[1h]))")


def share(url: str, namespace: str, version: str) -> float | None:
    """Return a version's share of the requests of the last ten seconds in percent; None where nothing is known."""
    rate = f'sum(rate({SERIES}{{namespace="{namespace}"%s}}[{WINDOW_SECONDS}s]))'
    one = rate % f',version="{version}"'
    try:
        answered = query(url, rate % "")
        return 100 * query(url, one) / answered if answered else None
    except Failed:
        return None


def query(url: str, expression: str) -> float:
    """Return the number that an expression gives, 0 where there is no series. Raises Failed."""
    address = f"{url}/api/v1/query?{urllib.parse.urlencode({'query': expression})}"
    try:
        with urllib.request.urlopen(address, timeout=10) as answer:  # noqa: S310 - the address the demo was given
            result = json.load(answer)["data"]["result"]
    except (urllib.error.URLError, OSError, ValueError, KeyError) as error:
        raise Failed(f"Prometheus at {url} does not answer: {error}") from error
    return float(result[0]["value"][1]) if result else 0.0
