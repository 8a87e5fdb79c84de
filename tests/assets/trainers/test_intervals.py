"""Intervals around quantities and counts. Coverage is claimed with error rates: bounds rarely missed by chance."""

import math
from collections.abc import Callable

import numpy as np
import pytest

from assets.policies import INTERVAL
from assets.trainers.intervals import (
    MOST_BINS,
    ROWS_PER_BIN,
    CountIntervals,
    QuantityIntervals,
    bin_edges,
    conformal_ends,
    poisson_deviance,
)

Draw = Callable[[np.random.Generator, int], tuple[np.ndarray, np.ndarray]]
TRIALS = 400
FRESH = 200


def flat(random: np.random.Generator, n: int) -> tuple[np.ndarray, np.ndarray]:
    """Predictions, and labels with the same normal noise everywhere."""
    point = random.uniform(0, 10, n)
    return point, point + random.normal(size=n)


def fan(random: np.random.Generator, n: int) -> tuple[np.ndarray, np.ndarray]:
    """Noise that grows with the prediction, skewed, and a model that is off by 0.7 throughout."""
    point = random.uniform(0, 10, n)
    return point, point + 0.7 + (random.exponential(size=n) - 1) * (0.2 + point)


def covered(draw: Draw, rows: int, seed: int) -> np.ndarray:
    """Share of fresh labels inside the intervals, for each of `TRIALS` fits on `rows` rows."""
    random = np.random.default_rng(seed)
    shares = np.empty(TRIALS)
    for trial in range(TRIALS):
        point, label = draw(random, rows)
        fitted = QuantityIntervals().fitted(point[:, None], label)
        fresh, wanted = draw(random, FRESH)
        _, lower, upper = fitted.answer(fresh[:, None]).T
        shares[trial] = ((lower <= wanted) & (wanted <= upper)).mean()
    return shares


@pytest.mark.parametrize("draw", [flat, fan])
@pytest.mark.parametrize("rows", [19, 39, 150, 800])
def test_intervals_hold_the_share_of_labels_they_promise(draw: Draw, rows: int) -> None:
    """The mean over fits, whose bounds a method that keeps its promise leaves in fewer than 1 of 10,000 runs."""
    shares = covered(draw, rows, seed=rows)
    error = 4 * shares.std() / math.sqrt(TRIALS)
    bins = max(1, min(MOST_BINS, rows // ROWS_PER_BIN))
    # Per tail and bin of n rows the promise is kept to within 1 / (n + 1); 0 inside the interval may add to it.
    assert INTERVAL - error <= shares.mean() <= INTERVAL + 2 / (rows // bins + 1) + error


def test_each_part_of_the_range_has_its_own_width() -> None:
    random = np.random.default_rng(1)
    point, label = fan(random, 4_000)
    fitted = QuantityIntervals().fitted(point[:, None], label)
    fresh, wanted = fan(random, 40_000)
    _, lower, upper = fitted.answer(fresh[:, None]).T
    inside = (lower <= wanted) & (wanted <= upper)
    for low in range(0, 10, 2):
        part = (fresh >= low) & (fresh < low + 2)
        # 400 rows a bin: the share inside has a standard deviation of 1.5 points per bin.
        assert inside[part].mean() == pytest.approx(INTERVAL, abs=0.045)
    assert (upper - lower)[fresh > 9].mean() > 3 * (upper - lower)[fresh < 1].mean()


def test_intervals_of_counts_hold_what_they_promise_where_counts_are_overdispersed() -> None:
    random = np.random.default_rng(2)
    log_mean = random.normal(1.0, 1.0, 60_000)
    label = random.negative_binomial(2, 2 / (2 + np.exp(log_mean))).astype(np.float64)
    fitted = CountIntervals().fitted(log_mean[:2_000, None], label[:2_000])
    _, lower, upper = fitted.answer(log_mean[2_000:, None]).T
    share = ((lower <= label[2_000:]) & (label[2_000:] <= upper)).mean()
    # Whole numbers cannot leave exactly 5 % outside on either side, so the share is above the promise, not below it.
    assert INTERVAL - 0.03 <= share <= 0.97


def test_the_prediction_lies_within_its_interval_and_no_count_ends_below_zero() -> None:
    random = np.random.default_rng(3)
    raw = random.normal(size=(500, 1))
    far = np.array([[-1e6], [-30.0], [0.0], [30.0], [1e6]])
    for kind, label in ((QuantityIntervals, raw[:, 0] - 5), (CountIntervals, random.poisson(3, 500) + 5.0)):
        point, lower, upper = kind().fitted(raw, label).answer(np.vstack([raw, far])).T
        assert (lower <= point).all()
        assert (point <= upper).all()
        assert np.isfinite(point).all()
        assert kind is QuantityIntervals or (lower >= 0).all()


def test_a_common_error_is_taken_out() -> None:
    random = np.random.default_rng(4)
    raw = random.normal(size=(2_000, 1))
    quantity = QuantityIntervals().fitted(raw, raw[:, 0] + 3 + random.normal(size=2_000))
    assert quantity.shift == pytest.approx(3, abs=0.1)
    count = CountIntervals().fitted(raw, random.poisson(2 * np.exp(raw[:, 0])).astype(float))
    assert count.shift == pytest.approx(math.log(2), abs=0.1)


@pytest.mark.parametrize("kind", [QuantityIntervals, CountIntervals])
def test_an_error_that_chance_explains_is_left_alone(kind: type[QuantityIntervals] | type[CountIntervals]) -> None:
    """Two standard deviations: 1 of 20 honest models is shifted; 40 of 400 are, by chance, in 1 of 10,000 tests."""
    random = np.random.default_rng(5)
    shifted = 0
    for _ in range(400):
        raw = random.normal(size=(60, 1))
        label = raw[:, 0] + random.normal(size=60) if kind is QuantityIntervals else random.poisson(np.exp(raw[:, 0]))
        shifted += kind().fitted(raw, label.astype(float)).shift != 0
    assert shifted <= 40


def test_one_row_is_enough_for_a_finite_answer() -> None:
    fitted = QuantityIntervals().fitted(np.array([[2.0]]), np.array([5.0]))
    assert fitted.answer(np.array([[2.0]])).tolist() == [[2.0, 2.0, 5.0]]


def test_a_score_that_is_no_number_is_refused() -> None:
    with pytest.raises(ValueError, match="finite"):
        CountIntervals().fitted(np.array([[np.nan]]), np.array([1.0]))


def test_ends_are_the_finite_sample_quantiles() -> None:
    residual = np.arange(-10.0, 10.0)  # 20 values: the 20th smallest is the first that 95 % of 21 reach
    assert conformal_ends(residual) == (-10.0, 9.0)
    assert conformal_ends(np.arange(-50.0, 49.0)) == (-46.0, 44.0)  # 99 values: 95 are 0.95 * 100


def test_every_bin_has_rows_enough_also_where_predictions_repeat() -> None:
    random = np.random.default_rng(6)
    for point in (
        random.normal(size=1_000),
        np.repeat([0.0, 1.0, 2.0], [900, 60, 40]),
        np.zeros(500),
        np.arange(150.0),
    ):
        sizes = np.bincount(np.searchsorted(bin_edges(point), point, side="right"))
        assert sizes.min() >= min(ROWS_PER_BIN // 2, len(point))
    assert len(bin_edges(random.normal(size=5_000))) == MOST_BINS - 1


def test_poisson_deviance_is_that_of_scikit_learn() -> None:
    from sklearn.metrics import mean_poisson_deviance

    label, mean = np.array([0.0, 1.0, 7.0]), np.array([0.5, 1.0, 3.0])
    assert poisson_deviance(label, mean).mean() == pytest.approx(mean_poisson_deviance(label, mean))
