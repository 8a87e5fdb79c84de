"""Probabilities of models that know different classes, in the same terms."""

import numpy as np
import pytest

from assets.logic.classes import in_terms_of
from assets.policies import OTHER

SAID = np.array([[0.5, 0.3, 0.2], [0.1, 0.1, 0.8]])
KNOWN = ("rain", "sun", OTHER)


def test_the_same_classes_stay_as_they_are() -> None:
    assert np.array_equal(in_terms_of(SAID, KNOWN, KNOWN), SAID)


def test_another_order_moves_the_columns() -> None:
    assert np.array_equal(in_terms_of(SAID, KNOWN, ("sun", "rain", OTHER)), SAID[:, [1, 0, 2]])


def test_a_class_that_is_new_to_the_model_shares_its_rest() -> None:
    told = in_terms_of(SAID, KNOWN, ("rain", "snow", "sun", OTHER))
    assert told.tolist() == [[0.5, 0.1, 0.3, 0.1], [0.1, 0.4, 0.1, 0.4]]


def test_a_class_that_nobody_asks_for_any_more_joins_the_rest() -> None:
    assert in_terms_of(SAID, KNOWN, ("rain", OTHER)).tolist() == [[0.5, 0.5], [0.1, 0.9]]


def test_no_probability_is_lost_whatever_the_classes() -> None:
    random = np.random.default_rng(3)
    said = random.dirichlet(np.ones(5), size=50)
    told = in_terms_of(said, ("a", "b", "c", "d", OTHER), ("b", "x", "y", OTHER))
    assert np.allclose(told.sum(axis=1), 1.0, rtol=0, atol=1e-12)


def test_a_model_without_a_rest_is_refused() -> None:
    with pytest.raises(ValueError, match="both sides need"):
        in_terms_of(SAID, ("a", "b", "c"), KNOWN)
