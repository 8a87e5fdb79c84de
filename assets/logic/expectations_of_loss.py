"""What a prediction itself says of how wrong it will be: the loss, residual and spread to expect of each row, by task.

Belongs here: what holds of single rows. Does not belong here: days (`performance_days.py`) and losses once labels are
there (`metrics.py`).

A calibrated probability knows its own expected loss: that of labels drawn from it. Quantities and counts say how sure
they are by their intervals and their mean; how large a loss goes with it, a reference tells as one factor. The same
idea, called confidence-based performance estimation, is in use without labels: Garg et al., "Leveraging unlabeled data
to predict out-of-distribution performance", 2022. It holds as long as the model is calibrated, and so it stays an
estimate, marked as such, until labels tell.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from statistics import NormalDist
from typing import Final

import numpy as np

from assets.logic.metrics import Floats, Labels
from assets.logic.metrics_interface import SMALLEST_PROBABILITY
from assets.logic.metrics_quantities import SMALLEST_MEAN
from assets.policies import INTERVAL

WIDTH_OF_NORMAL: Final = 2 * NormalDist().inv_cdf((1 + INTERVAL) / 2)
"""Width of the interval, in standard deviations, if errors are normal."""
EXACT_BELOW: Final = 30.0
"""Above this mean, the expected deviance of a Poisson count is 1 + 1 / (6 mean) to four decimals."""


@dataclass(frozen=True, kw_only=True)
class Expected:
    """What predictions say of themselves, row by row, shape (n,) each.

    Attributes:
        loss: Expected loss; for quantities and counts up to a factor that a reference tells.
        loss_variance: Variance of the loss around it.
        variance: Variance of the residual, whose expected value is 0.
    """

    loss: Floats
    loss_variance: Floats
    variance: Floats


@dataclass(frozen=True, kw_only=True)
class TaskExpectations:
    """How one task expects.

    Attributes:
        expected: From predictions in the shape of the task.
        residual: Label less prediction of each row, shape (n,). Several classes: whether the most likely one was right
            less how sure the model was of it.
        is_scaled: Whether a reference has to tell the factor of `Expected.loss`.
    """

    expected: Callable[[Floats], Expected]
    residual: Callable[[Labels, Floats], Floats]
    is_scaled: bool


def _binary(prediction: Floats) -> Expected:
    p = np.clip(prediction, SMALLEST_PROBABILITY, 1 - SMALLEST_PROBABILITY)
    variance = p * (1 - p)
    odds = np.log(p / (1 - p))
    return Expected(loss=-p * np.log(p) - (1 - p) * np.log(1 - p), loss_variance=variance * odds**2, variance=variance)


def _multiclass(prediction: Floats) -> Expected:
    losses = -np.log(np.clip(prediction, SMALLEST_PROBABILITY, 1.0))
    loss, confidence = (prediction * losses).sum(axis=1), prediction.max(axis=1)
    spread = np.maximum((prediction * losses**2).sum(axis=1) - loss**2, 0.0)
    return Expected(loss=loss, loss_variance=spread, variance=confidence * (1 - confidence))


def _quantity(prediction: Floats) -> Expected:
    """Absolute errors of normal errors: mean sqrt(2 / pi) and variance 1 - 2 / pi in standard deviations."""
    deviation = (prediction[:, 2] - prediction[:, 1]) / WIDTH_OF_NORMAL
    loss = np.sqrt(2 / np.pi) * deviation
    return Expected(loss=loss, loss_variance=(1 - 2 / np.pi) * deviation**2, variance=deviation**2)


def _count(prediction: Floats) -> Expected:
    """Deviance of Poisson counts; its variance is about twice its mean squared, as of chi-square with one degree."""
    mean = np.maximum(prediction[:, 0], SMALLEST_MEAN)
    loss = poisson_deviance_to_expect(mean)
    return Expected(loss=loss, loss_variance=2 * loss**2, variance=mean)


def poisson_deviance_to_expect(mean: Floats) -> Floats:
    """Expected deviance of a Poisson count with this mean from the mean, shape of `mean`; interpolated to 0.1 %."""
    from scipy.stats import poisson

    grid = np.geomspace(SMALLEST_MEAN, EXACT_BELOW, 400)
    counts = np.arange(1, 120)
    logarithms = poisson.pmf(counts, grid[:, None]) @ (counts * np.log(counts))
    small = 2 * (logarithms - grid * np.log(grid))
    found: Floats = np.where(
        mean > EXACT_BELOW, 1 + 1 / (6 * mean), np.exp(np.interp(np.log(mean), np.log(grid), np.log(small)))
    )
    return found


def _right_less_sure(label: Labels, prediction: Floats) -> Floats:
    return np.asarray((prediction.argmax(axis=1) == label) - prediction.max(axis=1), dtype=np.float64)


def _of_point(label: Labels, prediction: Floats) -> Floats:
    return np.asarray(label - prediction[:, 0], dtype=np.float64)


EXPECTATIONS: Final[Mapping[str, TaskExpectations]] = {
    "binary": TaskExpectations(
        expected=_binary,
        residual=lambda label, prediction: np.asarray(label - prediction, dtype=np.float64),
        is_scaled=False,
    ),
    "multiclass": TaskExpectations(expected=_multiclass, residual=_right_less_sure, is_scaled=False),
    "regression": TaskExpectations(expected=_quantity, residual=_of_point, is_scaled=True),
    "count": TaskExpectations(expected=_count, residual=_of_point, is_scaled=True),
}


def expected_auc(probability: Floats) -> float | None:
    """ROC AUC to expect if probabilities mean what they say; None if nothing can be ranked.

    Of two rows, the first positive and the second not with the chance p (1 - q), the first ranks above: summed over all
    pairs, ties by half.

    Args:
        probability: Of label 1, shape (n,).
    """
    order, count = np.unique(probability, return_inverse=True)
    positive = np.bincount(count, weights=probability, minlength=len(order))
    negative = np.bincount(count, weights=1 - probability, minlength=len(order))
    # A row is no pair with itself.
    alone = float((probability * (1 - probability)).sum())
    pairs = float(positive.sum() * negative.sum()) - alone
    if pairs <= 0:
        return None
    below = np.cumsum(negative) - negative
    above = float((positive * (below + negative / 2)).sum()) - alone / 2
    return above / pairs
