import numpy as np
import pytest

from assets.trainers.calibration import SMALLEST_SLOPE, Platt, log_loss, sigmoid, smoothed_targets


def sample(n: int = 20_000) -> tuple[np.ndarray, np.ndarray]:
    """True log odds, and labels drawn from them."""
    random = np.random.default_rng(3)
    truth = random.normal(-1.0, 1.5, n)
    return truth, (random.random(n) < sigmoid(truth)).astype(np.int8)


def test_a_planted_distortion_is_recovered() -> None:
    truth, label = sample()
    found = Platt.fit((truth - 0.8) / 2.5, label)
    assert found.slope == pytest.approx(2.5, rel=0.05)
    assert found.intercept == pytest.approx(0.8, abs=0.05)


def test_honest_scores_are_left_nearly_alone() -> None:
    truth, label = sample()
    found = Platt.fit(truth, label)
    assert (found.slope, found.intercept) == (pytest.approx(1.0, abs=0.05), pytest.approx(0.0, abs=0.05))


def test_the_fit_is_the_minimum_of_the_log_loss() -> None:
    truth, label = sample(2_000)
    distorted, target = truth * 3 + 1, smoothed_targets(label)
    best = Platt.fit(distorted, label)
    least = log_loss(best.slope * distorted + best.intercept, target)
    for slope, intercept in ((1e-3, 0.0), (-1e-3, 0.0), (0.0, 1e-3), (0.0, -1e-3)):
        assert log_loss((best.slope + slope) * distorted + best.intercept + intercept, target) > least


def test_separable_scores_give_a_finite_map() -> None:
    found = Platt.fit(np.array([-40.0, -30.0, 30.0, 40.0]), np.array([0, 0, 1, 1], dtype=np.int8))
    assert np.isfinite([found.slope, found.intercept]).all()


def test_one_class_gives_a_finite_map() -> None:
    found = Platt.fit(np.array([-1.0, 0.0, 2.0]), np.zeros(3, dtype=np.int8))
    assert np.isfinite([found.slope, found.intercept]).all()


def test_backward_scores_keep_their_ranking_and_meet_the_rate() -> None:
    truth, label = sample()
    found = Platt.fit(-truth, label)
    assert found.slope == SMALLEST_SLOPE
    assert found.probability(-truth).mean() == pytest.approx(label.mean(), abs=1e-3)


def test_equal_scores_meet_the_rate() -> None:
    _, label = sample()
    found = Platt.fit(np.full(len(label), -1.0), label)
    assert found.probability(np.array([-1.0]))[0] == pytest.approx(label.mean(), abs=1e-3)


def test_a_score_that_is_no_number_is_refused() -> None:
    with pytest.raises(ValueError, match="finite"):
        Platt.fit(np.array([0.0, np.nan]), np.array([0, 1], dtype=np.int8))


def test_extreme_scores_do_not_overflow() -> None:
    assert sigmoid(np.array([-1e4, 1e4])).tolist() == [0.0, 1.0]
    assert log_loss(np.array([1e4]), np.array([0], dtype=np.int8)) == 1e4
