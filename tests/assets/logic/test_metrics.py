import numpy as np
import pytest
from sklearn.metrics import average_precision_score, brier_score_loss, log_loss, roc_auc_score

from assets.logic.metrics import (
    calibration_curve,
    expected_calibration_error,
    log_loss_rows,
    score,
    task_metrics,
)

RNG = np.random.default_rng(5)
PREDICTION = RNG.beta(1, 3, 4000)
LABEL = (RNG.random(4000) < PREDICTION).astype(np.int8)


def test_scores_agree_with_scikit_learn() -> None:
    scores = {name: measured.value for name, measured in score("binary", LABEL, PREDICTION).items()}
    assert scores["roc_auc"] == pytest.approx(roc_auc_score(LABEL, PREDICTION))
    assert scores["average_precision"] == pytest.approx(average_precision_score(LABEL, PREDICTION))
    assert scores["log_loss"] == pytest.approx(log_loss(LABEL, PREDICTION))
    assert scores["brier"] == pytest.approx(brier_score_loss(LABEL, PREDICTION))


@pytest.mark.parametrize("only", [0, 1])
def test_one_class_is_undefined_with_a_reason_and_never_zero(only: int) -> None:
    scores = score("binary", np.full(50, only), np.full(50, 0.3))
    assert {m.value for m in scores.values()} == {None}
    assert all(f"all 50 labels are {only}" in str(m.reason) for m in scores.values())


def test_no_rows_are_undefined_with_a_reason() -> None:
    assert score("binary", np.array([], dtype=np.int8), np.array([]))["log_loss"].reason == "there are no labelled rows"


@pytest.mark.parametrize("bad", [np.nan, np.inf, -0.1, 1.1])
def test_predictions_that_are_no_probabilities_are_undefined_with_their_number(bad: float) -> None:
    prediction = PREDICTION.copy()
    prediction[:3] = bad
    assert "3 of 4000 predictions" in str(score("binary", LABEL, prediction)["roc_auc"].reason)


def test_shapes_that_differ_are_refused() -> None:
    with pytest.raises(ValueError, match="one row each"):
        score("binary", LABEL, PREDICTION[:-1])


def test_a_task_without_metrics_is_refused_by_name() -> None:
    with pytest.raises(ValueError, match="'ranking' has no metrics"):
        task_metrics("ranking")


def test_one_certain_mistake_costs_a_finite_loss() -> None:
    assert np.isfinite(log_loss_rows(np.array([1, 0]), np.array([0.0, 1.0]))).all()


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
