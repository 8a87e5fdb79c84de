"""Logistic regression: the family to beat, and the one whose every prediction can be added up by hand.

Two classes by one log odds, several by one score each (softmax).
"""

from typing import TYPE_CHECKING, Final

import numpy as np

from assets.trainers.base import Fit, Parameters, Progress, TrainingData
from assets.trainers.fitted import complete, lesson_of
from assets.trainers.linear import LinearModel, fit_linear
from assets.trainers.scaling import LARGE, common_enough

if TYPE_CHECKING:
    import optuna

_DEFAULTS: Final[Parameters] = {"C": 0.01, "min_frequency": 100, "max_iter": 300, "tol": 3e-4}
_WEAKEST_PENALTY: Final = 0.5


class LogisticRegressionModel(LinearModel):
    """See `LinearModel`."""


class LogisticRegressionTrainer:
    """Fits with lbfgs; a fit that did not converge says so in `metrics['converged']`."""

    family = "logistic_regression"
    defaults: Parameters = _DEFAULTS

    def defaults_for(self, data: TrainingData) -> Parameters:
        """In small tables the penalty weighs as much beside the mean loss as it does in large ones."""
        rows = len(data.train.label)
        weakened = float(_DEFAULTS["C"]) * LARGE / rows
        return {
            **_DEFAULTS,
            "C": min(_WEAKEST_PENALTY, max(float(_DEFAULTS["C"]), weakened)),
            "min_frequency": common_enough(rows, int(_DEFAULTS["min_frequency"])),
        }

    def suggest(self, trial: "optuna.Trial", data: TrainingData) -> Parameters:
        """Strength of the penalty (C, inverse) and how often a category must occur to get a weight of its own."""
        rows = len(data.train.label)
        return {
            "C": trial.suggest_float("C", 1e-4, 1.0, log=True),
            "min_frequency": trial.suggest_int(
                "min_frequency", common_enough(rows, 20), common_enough(rows, 500), log=True
            ),
        }

    def fit(self, data: TrainingData, parameters: Parameters, progress: Progress) -> Fit:
        """See `base.Trainer.fit`. Convex, so there is no early stopping: validation only calibrates."""
        from sklearn.linear_model import LogisticRegression

        lesson = lesson_of(data)
        chosen = complete(self.defaults_for(data), parameters, self.family)
        max_iter, tolerance = int(chosen["max_iter"]), float(chosen["tol"])
        regression = LogisticRegression(C=float(chosen["C"]), max_iter=max_iter, tol=tolerance)
        # Half the memory traffic, which is what lbfgs waits for; the sums behind a prediction stay in float64.
        precision = np.float32
        return fit_linear(self.family, LogisticRegressionModel, lesson, chosen, regression, progress, precision)


MODEL: Final = LogisticRegressionModel
TRAINER: Final = LogisticRegressionTrainer()
