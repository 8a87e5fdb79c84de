"""Calibration: what every calibrator offers, and Platt scaling, which makes a score of two classes mean what it says.

Belongs here: the interface, and the two-parameter map from log odds to probability with its fit. Several classes are in
`temperature.py`, quantities and counts in `intervals.py`.
Does not belong here: which rows it is fitted on; that is `fitted.finish` (the validation window, never the test).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Protocol, TypeAlias

import numpy as np
import numpy.typing as npt

Floats: TypeAlias = npt.NDArray[np.float64]
Labels: TypeAlias = npt.NDArray[np.int8] | npt.NDArray[np.int64] | npt.NDArray[np.float64]

SMALLEST_SLOPE: Final = 1e-3
"""A model that ranks backwards on the validation window would get a negative slope, which would turn its ranking
round on the strength of one month. It gets this slope instead: nearly the base rate, same ranking, and it loses."""
_STEPS: Final = 100
_RIDGE: Final = 1e-12
"""Keeps the 2 x 2 Newton system solvable when all log odds are equal."""


class Calibrator(Protocol):
    """The step from raw scores, shape (n, width), to what the model answers. Values only, kept in `model.json`."""

    @property
    def width(self) -> int:
        """Raw scores per row."""
        ...

    def fitted(self, raw: Floats, label: Labels) -> "Calibrator":
        """The same, fitted on rows the model was not fitted on.

        Raises:
            ValueError: If there are no rows, or a score is not finite.
        """
        ...

    def answer(self, raw: Floats) -> Floats:
        """See `base.Model.predict`: shape (n,) for one output, else (n, outputs)."""
        ...

    def loss(self, raw: Floats, label: Labels) -> float:
        """Mean of the task's deciding loss of the answers."""
        ...

    def facts(self) -> Mapping[str, float]:
        """What was fitted, as metrics of the fit."""
        ...


@dataclass(frozen=True, kw_only=True)
class Platt:
    """Probability = sigmoid(slope * log odds + intercept), slope > 0, so that ranking (and ROC AUC) stays.

    Source: J. Platt, "Probabilistic outputs for support vector machines and comparisons to regularized likelihood
    methods", 1999; the targets are smoothed as there. Solved by Newton with backtracking as advised in Lin, Lin and
    Weng, "A note on Platt's probabilistic outputs for support vector machines", 2007.
    """

    slope: float = 1.0
    intercept: float = 0.0

    @property
    def width(self) -> int:
        """One score per row: log odds."""
        return 1

    def fitted(self, raw: Floats, label: Labels) -> "Platt":
        """See `fit`; `raw` has shape (n, 1)."""
        return Platt.fit(raw[:, 0], label.astype(np.int8))

    def answer(self, raw: Floats) -> Floats:
        """Calibrated probabilities, shape (n,)."""
        return self.probability(raw[:, 0])

    def loss(self, raw: Floats, label: Labels) -> float:
        """Mean log loss."""
        return log_loss(self.slope * raw[:, 0] + self.intercept, label.astype(np.int8))

    def facts(self) -> Mapping[str, float]:
        """Slope and intercept."""
        return {"calibration_slope": self.slope, "calibration_intercept": self.intercept}

    def probability(self, log_odds: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        """Calibrated probabilities, same shape."""
        return sigmoid(self.slope * log_odds + self.intercept)

    @classmethod
    def fit(cls, log_odds: npt.NDArray[np.float64], label: npt.NDArray[np.int8]) -> "Platt":
        """The slope and intercept of least log loss.

        Args:
            log_odds: Uncalibrated scores of rows the model was not fitted on, shape (n,).
            label: 0 or 1, shape (n,).

        Raises:
            ValueError: If there are no rows, or a score is not finite.
        """
        require_scores(log_odds)
        target = smoothed_targets(label)
        slope, intercept = _newton(log_odds, target)
        if slope < SMALLEST_SLOPE:
            # Only the intercept is left to fit: the rate that the scores so squeezed have to reach.
            intercept = _newton(np.zeros(1), np.array([target.mean()]))[1] - SMALLEST_SLOPE * float(log_odds.mean())
            slope = SMALLEST_SLOPE
        return cls(slope=slope, intercept=intercept)


def require_scores(raw: Floats) -> None:
    """Refuse to calibrate on nothing, or on scores that are no numbers.

    Raises:
        ValueError: If there are no rows, or a score is not finite.
    """
    if not len(raw) or not np.isfinite(raw).all():
        raise ValueError("calibration needs at least one row, and finite scores only")


def smoothed_targets(label: npt.NDArray[np.int8]) -> npt.NDArray[np.float64]:
    """Platt's targets (n1 + 1) / (n1 + 2) and 1 / (n0 + 2): finite parameters even when scores separate the classes."""
    positives = int(label.sum())
    negatives = len(label) - positives
    return np.where(label == 1, (positives + 1) / (positives + 2), 1 / (negatives + 2))


def sigmoid(x: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """1 / (1 + exp(-x)) without overflow."""
    return np.asarray(np.exp(-np.logaddexp(0.0, -x)))


def log_loss(log_odds: npt.NDArray[np.float64], target: npt.NDArray[np.float64] | npt.NDArray[np.int8]) -> float:
    """Mean log loss of scores in log odds against targets in [0, 1], exact also for extreme scores."""
    return float(np.mean(np.logaddexp(0.0, log_odds) - target * log_odds))


def _newton(x: npt.NDArray[np.float64], target: npt.NDArray[np.float64]) -> tuple[float, float]:
    design = np.column_stack([x, np.ones_like(x)])
    beta = np.array([0.0, float(np.log(target.mean() / (1 - target.mean())))])
    loss = log_loss(design @ beta, target)
    for _ in range(_STEPS):
        p = sigmoid(design @ beta)
        gradient = design.T @ (p - target) / len(x)
        hessian = (design * (p * (1 - p))[:, None]).T @ design / len(x) + _RIDGE * np.eye(2)
        step = np.linalg.solve(hessian, gradient)
        while (after := log_loss(design @ (beta - step), target)) > loss and np.abs(step).max() > _RIDGE:
            step /= 2
        beta, loss = beta - step, min(after, loss)
        if np.abs(step).max() < 1e-10:
            break
    return float(beta[0]), float(beta[1])
