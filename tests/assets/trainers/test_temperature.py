import numpy as np
import pytest

from assets.trainers.temperature import Temperature


def sample(n: int = 20_000, classes: int = 4) -> tuple[np.ndarray, np.ndarray]:
    """True scores, and classes drawn from their softmax."""
    random = np.random.default_rng(3)
    scores = random.normal(0, 1.5, (n, classes))
    # The largest of scores plus Gumbel noise is a draw from their softmax.
    return scores, (scores + random.gumbel(size=scores.shape)).argmax(axis=1)


def whole(classes: int = 4) -> Temperature:
    return Temperature(classes=classes, seen=tuple(range(classes)), reserve=0.01)


def test_a_planted_temperature_is_recovered() -> None:
    scores, label = sample()
    assert whole().fitted(scores * 3, label).inverse == pytest.approx(1 / 3, rel=0.05)


def test_honest_scores_are_left_nearly_alone() -> None:
    scores, label = sample()
    assert whole().fitted(scores, label).inverse == pytest.approx(1, rel=0.05)


def test_the_fit_is_the_minimum_of_the_log_loss() -> None:
    scores, label = sample(5_000)
    best = whole().fitted(scores * 2, label)
    for factor in (0.9, 1.1):
        other = Temperature(classes=4, seen=(0, 1, 2, 3), reserve=0.01, inverse=best.inverse * factor)
        assert other.loss(scores * 2, label) > best.loss(scores * 2, label)


def test_scores_that_separate_the_classes_give_a_finite_map() -> None:
    fitted = whole().fitted(np.eye(4) * 40, np.arange(4))
    assert fitted.answer(np.eye(4) * 40).min() > 0


def test_every_class_is_possible_and_a_row_adds_up_to_one() -> None:
    answered = whole().answer(np.array([[1e4, -1e4, 0, 0], [0, 0, 0, 0]]))
    assert (answered > 0).all()
    np.testing.assert_allclose(answered.sum(axis=1), 1, rtol=0, atol=1e-12)


def test_a_class_without_rows_in_training_gets_the_reserve() -> None:
    some = Temperature(classes=4, seen=(0, 2), reserve=0.01)
    answered = some.answer(np.array([[0.0, 0.0]]))
    np.testing.assert_allclose(answered, [[0.49, 0.01, 0.49, 0.01]], rtol=1e-9)


def test_rows_of_a_class_without_rows_in_training_do_not_move_the_temperature() -> None:
    scores, label = sample(2_000, classes=2)
    some = Temperature(classes=3, seen=(0, 2), reserve=0.01)
    known = some.fitted(scores, label * 2)
    more = some.fitted(np.vstack([scores, scores[:50]]), np.concatenate([label * 2, np.ones(50, dtype=int)]))
    assert more == known
    assert some.fitted(scores, np.ones(2_000, dtype=int)) == some


def test_a_score_that_is_no_number_is_refused() -> None:
    with pytest.raises(ValueError, match="finite"):
        whole().fitted(np.full((1, 4), np.nan), np.array([0]))


def test_no_rows_are_answered_with_no_rows() -> None:
    assert whole().answer(np.empty((0, 4))).shape == (0, 4)
