"""Ridge regression: quantities by penalised least squares, counts by a penalised Poisson regression with a log link.

The linear family to beat where no classes are predicted; every prediction can be added up by hand.
"""

from typing import TYPE_CHECKING, Any, Final

from assets.trainers.base import Fit, Parameters, Progress, TrainingData
from assets.trainers.fitted import complete, lesson_of
from assets.trainers.linear import LinearModel, fit_linear
from assets.trainers.scaling import common_enough

if TYPE_CHECKING:
    import optuna

_DEFAULTS: Final[Parameters] = {"alpha": 3.0, "min_frequency": 100, "max_iter": 1_000, "tol": 1e-5}
"""`alpha` is the penalty beside the sum of the losses, so it means the same for quantities and counts."""


class RidgeModel(LinearModel):
    """See `LinearModel`."""


class RidgeTrainer:
    """Fits in closed form or with lbfgs; a fit that did not converge says so in `metrics['converged']`."""

    family = "ridge"
    defaults: Parameters = _DEFAULTS

    def defaults_for(self, data: TrainingData) -> Parameters:
        """Categories have to occur less often in small tables."""
        frequency = common_enough(len(data.train.label), int(_DEFAULTS["min_frequency"]))
        return {**_DEFAULTS, "min_frequency": frequency}

    def suggest(self, trial: "optuna.Trial", data: TrainingData) -> Parameters:
        """Strength of the penalty and how often a category must occur to get a weight of its own."""
        rows = len(data.train.label)
        return {
            "alpha": trial.suggest_float("alpha", 0.1, 3e3, log=True),
            "min_frequency": trial.suggest_int(
                "min_frequency", common_enough(rows, 20), common_enough(rows, 500), log=True
            ),
        }

    def fit(self, data: TrainingData, parameters: Parameters, progress: Progress) -> Fit:
        """See `base.Trainer.fit`. Convex, so there is no early stopping: validation only calibrates."""
        lesson = lesson_of(data)
        chosen = complete(self.defaults_for(data), parameters, self.family)
        regression = _REGRESSIONS[data.task](chosen, len(data.train.label), data.seed)
        return fit_linear(self.family, RidgeModel, lesson, chosen, regression, progress)


def _least_squares(chosen: Parameters, _: int, seed: int) -> Any:
    from sklearn.linear_model import Ridge

    return Ridge(alpha=float(chosen["alpha"]), tol=float(chosen["tol"]), random_state=seed % 2**32)


def _poisson(chosen: Parameters, rows: int, _: int) -> Any:
    from sklearn.linear_model import PoissonRegressor

    # scikit-learn's penalty stands beside the mean of the losses.
    alpha, max_iter = float(chosen["alpha"]) / rows, int(chosen["max_iter"])
    return PoissonRegressor(alpha=alpha, max_iter=max_iter, tol=float(chosen["tol"]))


_REGRESSIONS: Final = {"regression": _least_squares, "count": _poisson}
MODEL: Final = RidgeModel
TRAINER: Final = RidgeTrainer()
