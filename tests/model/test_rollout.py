"""The Rollout's decisions against a model of the world (issue 5): safety at every write, liveness at the end."""

import pytest
from hypothesis import HealthCheck, seed, settings
from hypothesis.stateful import run_state_machine_as_test

from tests.model.machine import Anything

STEPS = 50
SHARDS = 20  # of the hundred thousand steps, each with a seed of its own; the processes of a soak share them


def _run(worlds: int, number: int) -> None:
    """Try so many worlds; the same number gives the same worlds."""
    chosen = settings(
        max_examples=worlds,
        stateful_step_count=STEPS,
        deadline=None,
        derandomize=True,
        database=None,
        suppress_health_check=list(HealthCheck),
    )
    run_state_machine_as_test(seed(number)(type("Anything", (Anything,), {})), settings=chosen)


@pytest.mark.crashes
def test_anything_may_happen() -> None:
    _run(40, 0)


@pytest.mark.soak
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("shard", range(1, SHARDS + 1))
def test_anything_may_happen_for_a_hundred_thousand_steps(shard: int) -> None:
    _run(100_000 // STEPS // SHARDS, shard)
