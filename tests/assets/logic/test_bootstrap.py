import numpy as np
import numpy.typing as npt
import pytest
from sklearn.metrics import average_precision_score, mean_squared_error, r2_score, roc_auc_score

from assets.logic.bootstrap import DayBlocks, mean_difference
from assets.logic.metrics import score, task_metrics
from assets.logic.score_intervals import (
    intervals,
    resampled_average_precision,
    resampled_r2,
    resampled_rmse,
    resampled_roc_auc,
)
from tests.support.worlds import ANSWERS, world

DAYS = np.arange("2013-08-01", "2013-09-01", dtype="datetime64[D]")
Floats = npt.NDArray[np.float64]


def correlated(rng: np.random.Generator, rows: int, day_spread: float) -> tuple[npt.NDArray[np.datetime64], Floats]:
    """Values with mean zero whose rows share a common part per day."""
    day = np.sort(rng.choice(DAYS, rows))
    shared = rng.normal(0, day_spread, len(DAYS))
    return day, shared[np.searchsorted(DAYS, day)] + rng.normal(0, 0.3, rows)


def labelled(seed: int, rows: int = 3000) -> tuple[npt.NDArray[np.datetime64], npt.NDArray[np.int8], Floats]:
    rng = np.random.default_rng(seed)
    prediction = rng.beta(1, 3, rows)
    return np.sort(rng.choice(DAYS, rows)), (rng.random(rows) < prediction).astype(np.int8), prediction


@pytest.mark.parametrize("decimals", [2, 12])  # with ties, and without
def test_resampled_ranks_are_those_of_scikit_learn_with_the_same_weights(decimals: int) -> None:
    day, label, prediction = labelled(1)
    prediction, blocks = prediction.round(decimals), DayBlocks(day, seed=3, resamples=5)
    aucs, precisions = (
        resampled_roc_auc(label, prediction, blocks),
        resampled_average_precision(label, prediction, blocks),
    )
    for i, weights in enumerate(blocks.weights):
        weight = weights[blocks.codes]
        assert aucs[i] == pytest.approx(roc_auc_score(label, prediction, sample_weight=weight))
        assert precisions[i] == pytest.approx(average_precision_score(label, prediction, sample_weight=weight))


def test_whole_days_are_drawn_as_often_as_there_are_days() -> None:
    blocks = DayBlocks(labelled(1)[0], seed=3)
    assert (blocks.weights.sum(axis=1) == len(DAYS)).all()


def test_the_same_seed_gives_the_same_intervals() -> None:
    day, label, prediction = labelled(2)
    first, second = (intervals("binary", label, prediction, DayBlocks(day, seed=9)) for _ in range(2))
    assert first == second


def test_intervals_hold_the_score_they_belong_to() -> None:
    day, label, prediction = labelled(2)
    interval = intervals("binary", label, prediction, DayBlocks(day, seed=9))["roc_auc"]
    assert interval.low is not None
    assert interval.high is not None
    assert interval.low < roc_auc_score(label, prediction) < interval.high


def test_a_95_percent_interval_by_days_covers_the_truth_95_percent_of_the_time_and_by_rows_does_not() -> None:
    rng, trials = np.random.default_rng(11), 300
    covered = {"day": 0, "row": 0}
    for trial in range(trials):
        day, values = correlated(rng, 600, day_spread=0.3)
        as_rows = DAYS[0] + np.arange(len(values)).astype("timedelta64[D]")
        for name, unit in (("day", day), ("row", as_rows)):
            found = mean_difference(values, DayBlocks(unit, seed=trial, resamples=400), confidence=0.975)
            covered[name] += found.low is not None and found.high is not None and found.low <= 0 <= found.high
    assert 0.92 <= covered["day"] / trials <= 0.98
    assert covered["row"] / trials < 0.70


def test_a_one_sided_bound_is_missed_as_often_as_its_confidence_says() -> None:
    rng, trials = np.random.default_rng(12), 600
    missed = 0
    for trial in range(trials):
        day, values = correlated(rng, 400, day_spread=0.2)
        high = mean_difference(values, DayBlocks(day, seed=trial), confidence=0.95).high
        missed += high is not None and high < 0
    assert 0.025 <= missed / trials <= 0.08


def test_the_interval_of_a_log_loss_holds_the_truth_on_days_that_differ() -> None:
    rng, trials, covered = np.random.default_rng(13), 200, 0
    truth = -(0.2 * np.log(0.2) + 0.8 * np.log(0.8))
    for trial in range(trials):
        day = np.repeat(DAYS, 20)
        rate = np.clip(0.2 + rng.normal(0, 0.08, len(DAYS)), 0.01, 0.99)
        label = (rng.random(len(day)) < np.repeat(rate, 20)).astype(np.int8)
        found = intervals("binary", label, np.full(len(day), 0.2), DayBlocks(day, seed=trial, resamples=500))[
            "log_loss"
        ]
        covered += found.low is not None and found.high is not None and found.low <= truth <= found.high
    assert 0.90 <= covered / trials <= 0.99


def test_a_model_compared_with_itself_differs_by_exactly_nothing() -> None:
    day, _, prediction = labelled(3)
    found = mean_difference(np.zeros(len(prediction)), DayBlocks(day, seed=1), confidence=0.95)
    assert (found.mean, found.low, found.high) == (0.0, 0.0, 0.0)


def test_a_difference_that_is_the_same_on_every_row_is_certain() -> None:
    day, _, prediction = labelled(3)
    found = mean_difference(np.full(len(prediction), 0.125), DayBlocks(day, seed=1), confidence=0.95)
    assert found.low == pytest.approx(0.125, abs=1e-9)
    assert found.high == pytest.approx(0.125, abs=1e-9)


def test_only_the_asked_rows_count() -> None:
    day, values = correlated(np.random.default_rng(4), 900, day_spread=0.1)
    asked = np.arange(900) % 3 == 0
    shifted = np.where(asked, values, values + 100.0)
    blocks = DayBlocks(day, seed=1)
    found, expected = (mean_difference(v, blocks, confidence=0.9, rows=asked) for v in (shifted, values))
    assert found == expected


def test_four_days_carry_no_interval_and_say_so() -> None:
    day, label, prediction = labelled(5)
    few = day < DAYS[4]
    blocks = DayBlocks(day[few], seed=1)
    assert "4 days" in str(intervals("binary", label[few], prediction[few], blocks)["roc_auc"].reason)
    assert "4 days" in str(mean_difference(prediction[few], blocks, confidence=0.95).reason)


def test_a_loss_that_is_not_finite_is_no_measurement() -> None:
    day, _, prediction = labelled(6)
    prediction[7] = np.nan
    found = mean_difference(prediction, DayBlocks(day, seed=1), confidence=0.95)
    assert found.mean is None
    assert found.reason is not None


def test_no_rows_are_no_measurement() -> None:
    found = mean_difference(np.array([]), DayBlocks(np.array([], dtype="datetime64[D]"), seed=1), confidence=0.95)
    assert found.mean is None


def test_resamples_without_a_positive_row_leave_no_auc_interval() -> None:
    day, label, prediction = labelled(7)
    rare = np.where(day == DAYS[0], label, 0)
    interval = intervals("binary", rare, prediction, DayBlocks(day, seed=1))["roc_auc"]
    assert interval.low is None
    assert "only one class" in str(interval.reason)


@pytest.mark.parametrize("value", [197.4, 0.1, -3e-7])
def test_a_value_that_rounding_spoils_is_certain_all_the_same(value: float) -> None:
    day, _, prediction = labelled(3)
    found = mean_difference(np.full(len(prediction), value), DayBlocks(day, seed=1), confidence=0.95)
    assert found.low == found.high == found.mean == pytest.approx(value)


@pytest.mark.parametrize("task", ["regression", "count"])
def test_resampled_roots_and_ratios_are_those_of_the_rows_drawn(task: str) -> None:
    here = world(task, rows=900, days=12)
    label, prediction = here.rows.label.astype(np.float64), ANSWERS[task](here.truth)
    blocks = DayBlocks(here.rows.day, seed=3, resamples=5)
    roots, ratios = (f(label, prediction, blocks) for f in (resampled_rmse, resampled_r2))
    for i, weights in enumerate(blocks.weights):
        weight = weights[blocks.codes]
        squared = mean_squared_error(label, prediction[:, 0], sample_weight=weight)
        assert roots[i] == pytest.approx(np.sqrt(squared))
        assert ratios[i] == pytest.approx(r2_score(label, prediction[:, 0], sample_weight=weight))


@pytest.mark.parametrize("task", ["multiclass", "regression", "count"])
def test_intervals_of_every_task_hold_the_scores_they_belong_to(task: str) -> None:
    here = world(task, rows=3000)
    prediction = ANSWERS[task](here.truth)
    found = intervals(task, here.rows.label, prediction, DayBlocks(here.rows.day, seed=9, resamples=400))
    scores = score(task, here.rows.label, prediction)
    assert task_metrics(task).loss in found
    for name, interval in found.items():
        assert interval.low is not None
        assert interval.high is not None
        # All intervals of a quantity are equally wide here, so the mean width has no spread but rounding.
        assert interval.low - 1e-9 <= (scores[name].value or 0.0) <= interval.high + 1e-9


def test_equal_labels_leave_no_interval_of_r2_and_one_of_the_error() -> None:
    day, _, _ = labelled(5)
    prediction = np.tile([6.0, 5.0, 8.0], (len(day), 1))
    found = intervals("regression", np.full(len(day), 7.0), prediction, DayBlocks(day, seed=1))
    assert "all 3000 labels are 7" in str(found["r2"].reason)
    assert (found["mae"].low, found["mae"].high) == (1.0, 1.0)
