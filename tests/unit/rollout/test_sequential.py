"""The estimate and its bounds: by hand where that is possible, by their properties elsewhere."""

import math
from dataclasses import replace

import pytest

from tests.unit.rollout.making_blocks import BAD, FINE, STABLE, blocks
from trainyard.rollout import sequential
from trainyard.rollout.blocks import Block, Blocks
from trainyard.rollout.sequential import Estimate, estimate, more_data, reach, split


def made(harm: float = 0.0, variance: float = 1e-4, count: int = 50) -> Estimate:
    return Estimate(harm, variance, count, float(count), 1000.0, 9000.0, (0.02, 0.02))


def told(canary: object, stable: object, count: int = 30, lower: bool = True, proportion: bool = True) -> Estimate:
    found = estimate(blocks(canary, stable, count), lower, proportion)  # type: ignore[arg-type] # patterns
    assert found is not None
    return found


def test_the_harm_is_the_difference_of_ratios_in_the_direction_that_hurts() -> None:
    assert told(BAD, STABLE).harm == pytest.approx(0.08)
    assert told(BAD, STABLE, lower=False).harm == pytest.approx(-0.08)
    assert told(BAD, STABLE).values == pytest.approx((0.1, 0.02))
    assert (told(BAD, STABLE).canary, told(BAD, STABLE).stable) == (3000, 30_000)


def test_the_variance_is_that_of_the_blocks_by_hand() -> None:
    two = Blocks((Block(1, 0, 10), Block(2, 10, 10)), (Block(1, 5, 10), Block(2, 5, 10)))
    # Influences -1/4 and 1/4 of the canary's mean, none of stable's; their sum of squares, times 2 / (2 - 1).
    found = estimate(two, True, False)
    assert found is not None
    assert found.variance == pytest.approx(2 * (0.25**2 + 0.25**2))


def test_what_hits_both_at_once_is_no_noise() -> None:
    calm = told(((2, 100),), ((20, 1000),), proportion=False)
    storm = told(((0, 100), (40, 100)), ((0, 1000), (400, 1000)), proportion=False)
    alone = told(((0, 100), (40, 100)), ((200, 1000),), proportion=False)
    assert calm.variance == storm.variance == 0.0
    assert alone.variance > 0.0


def test_neighbours_that_are_alike_count_for_less() -> None:
    turns = told(((0, 100), (10, 100)), STABLE, 64)
    lasting = told(((0, 100),) * 8 + ((10, 100),) * 8, STABLE, 64)
    assert lasting.variance > 4 * turns.variance


def test_what_even_long_groups_miss_is_added_by_hand() -> None:
    sticky = [1.0, 1.0, -1.0, -1.0] * 4
    # Sums of squares of 16 and 8 groups, each times groups / (groups - 1): 16 and 32; of 4 groups 0.
    assert sequential._variance(sticky) == pytest.approx(2 * (32 * 8 / 7) - 16 * 16 / 15)
    assert sequential._variance(sticky[:8]) == pytest.approx(16 * 4 / 3)  # four groups are too few to reckon on
    assert sequential._variance([1.0, -1.0] * 8) == pytest.approx(16 * 16 / 15)  # what turns is not made smaller


def test_no_error_at_all_is_no_certainty() -> None:
    few, many = told(((0, 10),), ((0, 100),)), told(((0, 1000),), ((0, 10_000),))
    assert few.variance > many.variance > 0.0
    all_failed = told(((10, 10),), ((100, 100),))
    assert all_failed.variance > 0.0


def test_blocks_without_requests_teach_nothing() -> None:
    padded = told((*FINE, (0, 0)), (*STABLE, (0, 0)), 40)
    assert (padded.informative, padded.information) == (30, 30.0)
    assert padded.variance == pytest.approx(told(FINE, STABLE, 30).variance, rel=0.2)
    one_sided = told((*FINE, (0, 0)), (*STABLE, STABLE[0]), 40)
    assert one_sided.informative == 40


@pytest.mark.parametrize(("canary", "stable"), [(((0, 0),), STABLE), (FINE, ((0, 0),))])
def test_without_requests_of_one_there_is_no_harm(canary: object, stable: object) -> None:
    assert estimate(blocks(canary, stable, 30), True, True) is None  # type: ignore[arg-type] # patterns


def test_longer_blocks_are_as_much_information() -> None:
    assert told(FINE, STABLE).information == 30
    twice = estimate(blocks(FINE, STABLE, 30, step=20), True, True)
    assert twice is not None
    assert (twice.informative, twice.information) == (30, 60)


def test_the_bounds_narrow_with_data_and_widen_with_certainty() -> None:
    widths = [reach(made(count=count, variance=0.005 / count), 0.05) for count in (24, 30, 60, 120, 1000)]
    assert widths == sorted(widths, reverse=True)
    assert reach(made(), 0.001) > reach(made(), 0.05) > reach(made(), 0.4)
    assert reach(made(count=sequential.LEAST_BLOCKS - 1), 0.05) == math.inf
    assert reach(made(count=24), 1e-6) == math.inf  # too sure for so few blocks
    assert reach(made(variance=4e-4), 0.05) == pytest.approx(2 * reach(made(), 0.05))


def test_with_many_blocks_it_is_the_asymptotic_confidence_sequence() -> None:
    many = replace(made(), informative=100_000, information=100_000.0)
    rho2 = 1 / sequential.TUNED_FOR
    t = many.information
    log = math.log(1 + math.sqrt(t * rho2 + 1) / (2 * 0.05))
    wanted = math.sqrt(many.variance) * math.sqrt(2 * (t * rho2 + 1) / (t * rho2) * log)
    assert reach(many, 0.05) == pytest.approx(wanted, rel=1e-3)


def test_it_is_wider_than_a_test_that_looks_once() -> None:
    assert reach(made(count=100), 0.05) > 1.645 * math.sqrt(made().variance)


def test_more_data_is_what_would_decide() -> None:
    found = made(harm=0.02)
    times = more_data(found, 0.05, 0.05)
    assert times is not None
    assert times > 1
    assert reach(found.times(times), 0.05) <= 0.03
    assert reach(found.times(times / 1.05), 0.05) > 0.03
    assert more_data(made(harm=0.05), 0.05, 0.05) is None  # on the margin: never
    few = made(variance=0.0, count=10)
    assert (more_data(few, 0.01, 0.05) or 0) == pytest.approx(2.4, rel=0.15)  # so few blocks, whatever they say


def test_the_split_is_measured_against_the_declared_one() -> None:
    even = split(blocks(((100, 100), (110, 110)), ((0, 900), (0, 890)), 30), 0.1)
    assert even is not None
    assert even.harm == pytest.approx(0.005)
    assert even.variance > 0
    assert split(blocks(((0, 0),), ((0, 0),), 30), 0.1) is None
