import numpy as np
import pytest
from sklearn.metrics import (
    average_precision_score,
    brier_score_loss,
    log_loss,
    mean_absolute_error,
    mean_poisson_deviance,
    mean_squared_error,
    r2_score,
    roc_auc_score,
)

from assets.logic.metrics import TASKS, Floats, score, task_metrics
from assets.logic.metrics_binary import calibration_curve, expected_calibration_error, log_loss_rows
from assets.logic.metrics_quantities import around, poisson_deviance_rows, residual_ends
from tests.support.worlds import ANSWERS, world

RNG = np.random.default_rng(5)
PREDICTION = RNG.beta(1, 3, 4000)
LABEL = (RNG.random(4000) < PREDICTION).astype(np.int8)
OTHERS = ("multiclass", "regression", "count")


def measured(task: str, label: np.ndarray, prediction: Floats) -> dict[str, float | None]:
    return {name: found.value for name, found in score(task, label, prediction).items()}


def test_scores_agree_with_scikit_learn() -> None:
    scores = measured("binary", LABEL, PREDICTION)
    assert scores["roc_auc"] == pytest.approx(roc_auc_score(LABEL, PREDICTION))
    assert scores["average_precision"] == pytest.approx(average_precision_score(LABEL, PREDICTION))
    assert scores["log_loss"] == pytest.approx(log_loss(LABEL, PREDICTION))
    assert scores["brier"] == pytest.approx(brier_score_loss(LABEL, PREDICTION))


def test_scores_of_classes_agree_with_scikit_learn() -> None:
    here = world("multiclass")
    label, prediction = here.rows.label, ANSWERS["multiclass"](here.truth)
    scores = measured("multiclass", label, prediction)
    assert scores["log_loss"] == pytest.approx(log_loss(label, prediction))
    assert scores["macro_auc"] == pytest.approx(roc_auc_score(label, prediction, multi_class="ovr"))
    assert scores["accuracy"] == pytest.approx((prediction.argmax(axis=1) == label).mean())
    wanted = np.eye(4)[label.astype(int)]
    assert scores["brier"] == pytest.approx(((prediction - wanted) ** 2).sum(axis=1).mean())


@pytest.mark.parametrize("task", ["regression", "count"])
def test_scores_of_quantities_agree_with_scikit_learn(task: str) -> None:
    here = world(task)
    label, prediction = here.rows.label, ANSWERS[task](here.truth)
    scores, point = measured(task, label, prediction), prediction[:, 0]
    assert scores["mae"] == pytest.approx(mean_absolute_error(label, point))
    assert scores["rmse"] == pytest.approx(np.sqrt(mean_squared_error(label, point)))
    assert scores["r2"] == pytest.approx(r2_score(label, point))
    assert scores["bias"] == pytest.approx(np.mean(point - label))
    if task == "count":
        assert scores["poisson_deviance"] == pytest.approx(mean_poisson_deviance(label, point))


@pytest.mark.parametrize("task", TASKS)
def test_the_mean_of_the_losses_of_rows_is_the_deciding_metric(task: str) -> None:
    here = world(task, rows=500)
    metrics, prediction = task_metrics(task), ANSWERS[task](here.truth)
    mean = metrics.row_loss(here.rows.label, prediction).mean()
    assert measured(task, here.rows.label, prediction)[metrics.loss] == pytest.approx(mean)


@pytest.mark.parametrize("task", TASKS)
def test_no_other_constant_has_a_lower_loss_than_the_constant_of_a_task(task: str) -> None:
    here, metrics, rng = world(task, rows=801), task_metrics(task), np.random.default_rng(3)
    best = metrics.constants(here.rows.label, ANSWERS[task](here.truth))
    lowest = metrics.row_loss(here.rows.label, best).mean()
    for _ in range(50):
        moved = best * np.exp(rng.normal(0, 0.1, best.shape[1:] or 1))
        moved = moved / moved.sum(axis=1, keepdims=True) if task == "multiclass" else moved
        assert metrics.row_loss(here.rows.label, np.clip(moved, 0, None)).mean() >= lowest - 1e-12


@pytest.mark.parametrize("only", [0, 1])
def test_one_class_is_undefined_with_a_reason_and_never_zero(only: int) -> None:
    scores = score("binary", np.full(50, only), np.full(50, 0.3))
    assert {m.value for m in scores.values()} == {None}
    assert all(f"all 50 labels are {only}" in str(m.reason) for m in scores.values())


def test_of_one_class_among_several_only_the_auc_is_undefined() -> None:
    scores = score("multiclass", np.zeros(50, dtype=np.int64), np.full((50, 3), 1 / 3))
    assert [name for name, m in scores.items() if m.value is None] == ["macro_auc"]
    assert "one class" in str(scores["macro_auc"].reason)


@pytest.mark.parametrize("task", ["regression", "count"])
def test_of_equal_quantities_only_r2_is_undefined(task: str) -> None:
    scores = score(task, np.full(50, 7.0), np.tile([6.0, 5.0, 8.0], (50, 1)))
    assert [name for name, m in scores.items() if m.value is None] == ["r2"]
    assert "all 50 labels are 7" in str(scores["r2"].reason)


@pytest.mark.parametrize("task", TASKS)
def test_no_rows_are_undefined_with_a_reason(task: str) -> None:
    none = ANSWERS[task](np.array([]).reshape(0)) if task != "multiclass" else np.zeros((0, 4))
    found = score(task, np.array([], dtype=np.int8), none)
    assert {(m.value, m.reason) for m in found.values()} == {(None, "there are no labelled rows")}


@pytest.mark.parametrize("bad", [np.nan, np.inf, -0.1, 1.1])
def test_predictions_that_are_no_probabilities_are_undefined_with_their_number(bad: float) -> None:
    prediction = PREDICTION.copy()
    prediction[:3] = bad
    assert "3 of 4000 predictions" in str(score("binary", LABEL, prediction)["roc_auc"].reason)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -0.1, 0.9])
def test_rows_of_probabilities_that_do_not_add_up_are_undefined_with_their_number(bad: float) -> None:
    prediction = np.full((40, 4), 0.25)
    prediction[:3, 1] = bad
    assert "3 of 40 predictions" in str(score("multiclass", np.arange(40) % 4, prediction)["accuracy"].reason)


def test_a_label_that_no_column_stands_for_is_undefined() -> None:
    found = score("multiclass", np.array([0, 4]), np.full((2, 4), 0.25))
    assert "not one of the 4 classes" in str(found["log_loss"].reason)


@pytest.mark.parametrize("row", [[np.nan, 0.0, 1.0], [5.0, 6.0, 9.0], [5.0, 1.0, 4.0], [np.inf, 0.0, np.inf]])
def test_points_outside_their_interval_and_such_that_are_no_numbers_are_undefined(row: list[float]) -> None:
    prediction = np.tile([5.0, 4.0, 6.0], (9, 1))
    prediction[2] = row
    assert "1 of 9 predictions" in str(score("regression", np.arange(9.0), prediction)["mae"].reason)


def test_a_count_below_nothing_is_undefined() -> None:
    prediction = np.tile([-1.0, -2.0, 6.0], (9, 1))
    assert "9 of 9 predictions are below 0" in str(score("count", np.arange(9.0), prediction)["mae"].reason)
    assert score("regression", np.arange(9.0), prediction)["mae"].value is not None


@pytest.mark.parametrize("task", TASKS)
def test_shapes_that_do_not_fit_the_task_are_refused(task: str) -> None:
    good = ANSWERS[task](np.zeros(9))
    for bad in (good[:-1], good[:, None] if good.ndim == 1 else good[:, 0], np.zeros((9, 2, 2))):
        with pytest.raises(ValueError, match="one row each"):
            score(task, np.zeros(9), bad)


def test_a_task_without_metrics_is_refused_by_name() -> None:
    with pytest.raises(ValueError, match="'ranking' has no metrics"):
        task_metrics("ranking")


def test_one_certain_mistake_costs_a_finite_loss() -> None:
    assert np.isfinite(log_loss_rows(np.array([1, 0]), np.array([0.0, 1.0]))).all()
    assert np.isfinite(task_metrics("multiclass").row_loss(np.array([1]), np.array([[1.0, 0.0]]))).all()
    assert np.isfinite(poisson_deviance_rows(np.array([5.0]), np.zeros((1, 3)))).all()


def test_a_count_of_none_that_was_foreseen_costs_nothing() -> None:
    assert poisson_deviance_rows(np.array([0.0]), np.zeros((1, 3)))[0] == pytest.approx(0.0, abs=1e-6)


def test_a_constant_prediction_has_one_calibration_bin_whatever_the_order_of_rows() -> None:
    curve = calibration_curve(np.sort(LABEL), np.full(len(LABEL), 0.25))
    assert curve.rows() == [(0.25, LABEL.mean(), len(LABEL))]


def test_honest_probabilities_have_a_small_calibration_error() -> None:
    assert expected_calibration_error(LABEL, PREDICTION) < 0.03


def test_the_calibration_error_of_shifted_probabilities_is_the_shift() -> None:
    shifted = np.clip(PREDICTION + 0.2, 0, 1)
    assert expected_calibration_error(LABEL, shifted) == pytest.approx(0.2, abs=0.03)


def test_calibration_bins_hold_equally_many_rows() -> None:
    rows = calibration_curve(LABEL, PREDICTION)["rows"]
    assert len(rows) == 15
    assert rows.max() - rows.min() <= 1  # type: ignore[operator]


def test_too_sure_a_model_of_classes_has_the_larger_calibration_error() -> None:
    here = world("multiclass")
    honest = ANSWERS["multiclass"](here.truth)
    sure = honest**3 / (honest**3).sum(axis=1, keepdims=True)
    found = [measured("multiclass", here.rows.label, p)["ece"] or 0.0 for p in (honest, sure)]
    assert found[0] < 0.03
    assert found[1] > 0.1


@pytest.mark.parametrize("label", [RNG.normal(0, 1, 2000), RNG.exponential(1, 2000) - 1, RNG.standard_t(2, 2000)])
def test_residual_quantiles_hold_nine_in_ten_whatever_the_noise(label: np.ndarray) -> None:
    point = np.zeros(2000)
    fresh = np.random.default_rng(8).permutation(label)
    prediction = around(point, residual_ends(label, point), -np.inf)
    found = measured("regression", fresh, prediction)
    assert found["coverage"] == pytest.approx(0.9, abs=0.005)
    assert found["coverage_error"] == pytest.approx(0.0, abs=0.005)


def test_conformal_intervals_of_models_are_seen_to_hold_what_they_promise() -> None:
    """The metric and the intervals of `assets/trainers/intervals.py` mean the same thing: 90 % of fresh labels."""
    from assets.trainers.intervals import QuantityIntervals

    rng, covered = np.random.default_rng(9), []
    for _ in range(60):
        raw, noise = rng.normal(0, 2, (2, 1200)), rng.standard_t(3, (2, 1200))
        label = raw + noise * (0.5 + np.abs(raw))
        answer = QuantityIntervals().fitted(raw[0][:, None], label[0]).answer(raw[1][:, None])
        covered.append(measured("regression", label[1], answer)["coverage"] or 0.0)
    # At least 0.9, and at most 2 / (rows of a bin + 1) more; three standard errors of the mean of 60 runs around it.
    assert 0.895 <= np.mean(covered) <= 0.93


def test_the_coverage_error_is_the_distance_from_nine_in_ten_on_either_side() -> None:
    label = np.zeros(100)
    for inside, error in ((100, 0.1), (90, 0.0), (50, 0.4)):
        prediction = np.where(np.arange(100)[:, None] < inside, [0.0, -1.0, 1.0], [5.0, 4.0, 6.0])
        assert measured("regression", label, prediction)["coverage_error"] == pytest.approx(error)


@pytest.mark.parametrize("task", OTHERS)
def test_a_model_nearer_the_truth_has_the_lower_loss(task: str) -> None:
    here = world(task)
    near, far = (here.model("m", noise).prediction for noise in (0.1, 0.8))
    assert near is not None
    assert far is not None
    loss = task_metrics(task).row_loss
    assert loss(here.rows.label, near).mean() < loss(here.rows.label, far).mean()
