"""Helm as the local cluster has it, and an API server of the chart tests' own."""

from collections.abc import Iterator

import pytest

from local import builds
from local.rig import ApiServerRig
from tests.chart.charts import Helm, helm_at


@pytest.fixture(scope="session")
def helm() -> Helm:
    """`helm(...)` without a cluster."""
    return helm_at(builds.program("helm"))


@pytest.fixture(scope="session")
def rig() -> Iterator[ApiServerRig]:
    """Return a running API server."""
    with ApiServerRig() as started:
        yield started
