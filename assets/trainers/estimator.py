"""One's own family: a function that returns an unfitted scikit-learn estimator, such as one tried in a notebook.

`TrainerSpec(family="package.module:function")` names it, and it is called as `function(task, seed)`. For `binary` and
`multiclass` it returns a classifier with `predict_proba` (or `decision_function`), for `regression` and `count` a
regressor; a pipeline may be either. It is fitted on a matrix of numbers: see `estimator_encoding.py`. Labels are 0 and
1, 0 to k - 1, or as they are. Calibration, intervals, explanations and the saved form are those of every other family.

Belongs here: the family around the function, and how what it fitted is kept. Does not belong here: the step from an
estimator's answers to raw scores (`estimator_scores.py`).
"""

import importlib
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Self

import numpy as np
import polars as pl

from assets.policies import DeclarationError, Task
from assets.trainers.base import Fit, Parameters, Progress, TrainingData
from assets.trainers.calibration import Floats
from assets.trainers.description import Description, describe, library_versions
from assets.trainers.encoding import Table
from assets.trainers.estimator_encoding import Encoding
from assets.trainers.estimator_scores import LEAST, NEEDED, SCORES
from assets.trainers.fitted import FittedModel, finish, lesson_of
from assets.trainers.scaling import common_enough
from assets.trainers.skops_io import skops_io
from assets.trainers.tasks import Target

if TYPE_CHECKING:
    import optuna

WEIGHTS_FILE: Final = "estimator.skops"
TRUSTED_PACKAGES: Final = (
    *("calibration", "compose", "covariance", "cross_decomposition", "decomposition", "discriminant_analysis"),
    *("dummy", "ensemble", "feature_selection", "gaussian_process", "impute", "isotonic", "kernel_approximation"),
    *("kernel_ridge", "linear_model", "multiclass", "naive_bayes", "neighbors", "neural_network", "pipeline"),
    *("preprocessing", "random_projection", "semi_supervised", "svm", "tree", "_loss"),
)
"""Packages of scikit-learn whose types may be built when a model is loaded: estimators and what they are made of."""
TRUSTED_TYPES: Final = (
    "numpy.dtype",
    "numpy.random.mtrand.RandomState",
    "numpy.random._mt19937.MT19937",
    "sklearn.metrics._dist_metrics.EuclideanDistance64",
    "sklearn.utils._bunch.Bunch",
)
"""Further types that estimators are made of; none can run code it brings along."""


class EstimatorModel(FittedModel):
    """A fitted estimator. `description.fitted` holds the encoding and the average encoded training row."""

    def __init__(self, description: Description, estimator: Any) -> None:
        super().__init__(description)
        self._estimator = estimator
        self._encoding = Encoding(**description.fitted["encoding"])

    def _scores(self, features: Table) -> Floats:
        return self._of(self._encoding.matrix(features, self.features))

    def _of(self, matrix: Floats) -> Floats:
        scores = SCORES[self.description.task](self._estimator, matrix, float(self.description.fitted["least"]))
        return scores.reshape(len(matrix), self._width)

    def _reference(self) -> Floats:
        """Scores of the average training row."""
        return self._of(np.array(self.description.fitted["means"])[None, :]).ravel()

    def _explain(self, features: pl.DataFrame, weights: Floats) -> Floats:
        """The average training row becomes the row feature by feature, and each gets the change it makes.

        In the declared order and in the reverse one, averaged: exact Shapley values where features add up or interact
        in pairs, an estimate elsewhere. Costs two predictions per feature and row. Source: Mitchell et al., "Sampling
        permutations for Shapley value estimation", 2022, with one antithetic pair of permutations.
        """
        matrix = self._encoding.matrix(features, self.features)
        owners, n = np.array(self._encoding.owners), len(self.features)
        total: Floats = np.zeros((len(matrix), n))
        for order in (range(n), range(n - 1, -1, -1)):
            between = np.tile(np.array(self.description.fitted["means"]), (len(matrix), 1))
            before = (self._of(between) * weights).sum(axis=1)
            for j in order:
                between[:, owners == j] = matrix[:, owners == j]
                after = (self._of(between) * weights).sum(axis=1)
                total[:, j] += (after - before) / 2
                before = after
        return total

    def save(self, folder: Path) -> None:
        """Write `model.json` and the estimator as skops.

        Raises:
            ValueError: If it holds types that would not be trusted when it is loaded.
        """
        self.description.write(folder)
        skops_io().dump(self._estimator, folder / WEIGHTS_FILE)
        _trusted(folder, self.family)

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Read what `save` wrote, trusting scikit-learn's own types only."""
        description = Description.read(folder)
        trusted = _trusted(folder, description.family)
        return cls(description, skops_io().load(folder / WEIGHTS_FILE, trusted=trusted))


def _trusted(folder: Path, family: str) -> list[str]:
    types: list[str] = skops_io().get_untrusted_types(file=folder / WEIGHTS_FILE)
    packages = tuple(f"sklearn.{package}." for package in TRUSTED_PACKAGES)
    if foreign := sorted(t for t in types if t not in TRUSTED_TYPES and not t.startswith(packages)):
        raise ValueError(f"the estimator of {family} holds types that are not scikit-learn's own: {foreign}")
    return types


@dataclass(frozen=True, kw_only=True)
class EstimatorTrainer:
    """Fits what the function returns; there is nothing to search, and `parameters` go to `set_params`."""

    family: str
    function: Callable[[Task, int], Any] = field(repr=False)
    defaults: Parameters = field(default_factory=dict)

    def defaults_for(self, data: TrainingData) -> Parameters:  # noqa: ARG002 (interface)
        """None: the function decides."""
        return {}

    def suggest(self, trial: "optuna.Trial", data: TrainingData) -> Parameters:  # noqa: ARG002 (interface)
        """None: the function decides."""
        return {}

    def fit(self, data: TrainingData, parameters: Parameters, progress: Progress) -> Fit:
        """See `base.Trainer.fit`. Validation only calibrates.

        Raises:
            DeclarationError: If the function does not return an estimator that fits the task.
        """
        started = time.perf_counter()
        lesson = lesson_of(data)
        if data.task != "multiclass":
            lesson = replace(lesson, data=lesson.given, target=Target(), unit=1.0)
        estimator = self.function(data.task, data.seed)
        _require_estimator(self.family, estimator, data.task)
        estimator = estimator.set_params(**parameters)
        rows = len(lesson.data.train.label)
        encoding = Encoding.fit(
            lesson.data.train.features, data.features, common_enough(rows, 100), allow_gaps=_takes_gaps(estimator)
        )
        matrix = encoding.matrix(lesson.data.train.features, data.features)
        progress(f"{self.family}: {type(estimator).__name__} on {rows} rows, {matrix.shape[1]} encoded columns")
        estimator.fit(matrix, lesson.data.train.label)
        fitted = {
            "encoding": vars(encoding),
            "means": encoding.means(matrix).tolist(),
            "least": LEAST[data.task](rows),
        }
        libraries = library_versions("scikit-learn", "skops")
        model = EstimatorModel(describe(self.family, lesson, parameters, libraries, fitted), estimator)
        fit = finish(model, lesson, started=started, metrics={})
        progress(f"{self.family}: fitted in {fit.metrics['fit_seconds']:.1f} s")
        return fit


def _require_estimator(family: str, estimator: Any, task: Task) -> None:
    kind = type(estimator).__name__
    if not hasattr(estimator, "set_params") or not hasattr(estimator, "fit"):
        raise DeclarationError(f"family {family}: returned a {kind}, not an unfitted scikit-learn estimator")
    if not any(hasattr(estimator, name) for name in NEEDED[task]):
        raise DeclarationError(f"family {family}: {kind} has none of {list(NEEDED[task])}, which the task {task} needs")


def _takes_gaps(estimator: Any) -> bool:
    from sklearn.utils import get_tags

    return bool(get_tags(estimator).input_tags.allow_nan)


def trainer_of(family: str) -> EstimatorTrainer:
    """The trainer around one's own function.

    Raises:
        DeclarationError: If the module or the function does not exist.
    """
    module, _, name = family.partition(":")
    try:
        found = importlib.import_module(module)
    except ModuleNotFoundError as error:
        raise DeclarationError(f"family {family!r}: {error}; the module has to be importable, say as a file") from error
    function = getattr(found, name, None)
    if not callable(function):
        raise DeclarationError(f"family {family!r}: {module} has no function {name}")
    return EstimatorTrainer(family=family, function=function)


MODEL: Final = EstimatorModel
