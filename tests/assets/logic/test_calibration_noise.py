"""A model without fault is refused for its calibration no more often than it is said."""

import numpy as np
import pytest

from assets.logic.calibration_noise import EXCEEDED, of_coverage, of_probabilities
from assets.logic.metrics_binary import calibration_curve, expected_calibration_error
from assets.policies import INTERVAL

RUNS = 400


@pytest.mark.parametrize("rows", [150, 600, 5_000])
def test_perfect_probabilities_exceed_it_one_time_in_twenty(rows: int) -> None:
    random = np.random.default_rng(rows)
    exceeded = 0
    for _ in range(RUNS):
        probability = random.beta(1.5, 4.0, rows)
        label = (random.random(rows) < probability).astype(np.int8)
        found = expected_calibration_error(label, probability)
        exceeded += found > of_probabilities(calibration_curve(label, probability))
    # Four standard errors of a share of .05 in 400 runs.
    assert exceeded / RUNS == pytest.approx(EXCEEDED, abs=0.044)


def test_probabilities_that_are_off_exceed_it_even_on_few_rows() -> None:
    random = np.random.default_rng(1)
    probability = random.beta(1.5, 4.0, 600)
    label = (random.random(600) < probability**2).astype(np.int8)
    found = expected_calibration_error(label, probability)
    assert found > of_probabilities(calibration_curve(label, probability))


def test_many_rows_leave_little_to_chance() -> None:
    random = np.random.default_rng(2)
    probability = random.beta(1.5, 4.0, 30_000)
    assert of_probabilities(calibration_curve(np.zeros(30_000, dtype=np.int8), probability)) < 0.015


def test_intervals_without_fault_exceed_it_one_time_in_twenty() -> None:
    inside = np.random.default_rng(3).binomial(500, INTERVAL, 2_000) / 500
    assert (np.abs(inside - INTERVAL) > of_coverage(500)).mean() == pytest.approx(EXCEEDED, abs=0.02)
