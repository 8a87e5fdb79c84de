"""The one interface of every model family: what it is given, what it gives back, how it is kept.

Belongs here: the values and protocols between stages and families.
Does not belong here: anything one family needs for itself; that is its module beside this one.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, TypeAlias

import numpy as np
import numpy.typing as npt
import polars as pl

from assets.contracts import Feature
from assets.policies import INTERVAL, OTHER, Task

if TYPE_CHECKING:
    import optuna

__all__ = ["INTERVAL", "OTHER", "Fit", "Model", "Parameters", "Progress", "Rows", "Trainer", "TrainingData"]

Parameters: TypeAlias = Mapping[str, float | int | str]
Progress: TypeAlias = Callable[[str], None]


@dataclass(frozen=True, kw_only=True)
class Rows:
    """Labelled rows in time order.

    Attributes:
        features: The declared features only, shape (n, n_features), declared order.
        label: Shape (n,). Binary: 0 or 1, int8. Multiclass: position in `TrainingData.classes`, int64; one more than
            the last position is a class that is not among them. Regression and count: float64.
        day: Partition key of each row, shape (n,), `datetime64[D]`, ascending.
    """

    features: pl.DataFrame
    label: npt.NDArray[np.int8] | npt.NDArray[np.int64] | npt.NDArray[np.float64]
    day: npt.NDArray[np.datetime64]


@dataclass(frozen=True, kw_only=True)
class TrainingData:
    """What a family may look at: the training window, and the validation window after it. Never the test window.

    Attributes:
        classes: Of a multiclass task, those with rows enough to be told apart, in alphabetical order; all others are
            one class more, `OTHER`.
    """

    task: Task = "binary"
    classes: tuple[str, ...] = ()
    features: tuple[Feature, ...]
    train: Rows
    validation: Rows
    seed: int


class Model(Protocol):
    """A fitted model with everything that was fitted: encoders, scalers, calibrator.

    Attributes:
        outputs: What `predict` gives, by column. Binary: `probability`. Multiclass: the classes it knows, then `OTHER`.
            Regression and count: `prediction`, `lower`, `upper`.
    """

    family: str
    outputs: tuple[str, ...]

    def predict(self, features: pl.DataFrame) -> npt.NDArray[np.float64]:
        """Shape (n,) for one output, else (n, outputs).

        Binary: calibrated probability of label 1, in (0, 1). Multiclass: calibrated probabilities, each above 0, rows
        adding up to 1. Regression and count: the median (count: the mean) and the ends of the interval that holds
        `INTERVAL` of the labels, lower <= prediction <= upper; none below 0 for a count.

        Args:
            features: At least the features it was trained on, any order, shape (n, >= n_features). Nulls and categories
                never seen are allowed: they are answered as missing and as unknown.

        Raises:
            ValueError: If a feature is absent or of another kind, naming it.
        """
        ...

    def predict_rows(self, rows: Sequence[Sequence[float | str | None]]) -> npt.NDArray[np.float64]:
        """As `predict`, for a few rows without a data frame: quick for one.

        Args:
            rows: One sequence per row with the features in the declared order: numbers, texts, None where missing.
        """
        ...

    def explain(self, features: pl.DataFrame) -> npt.NDArray[np.float64]:
        """Contribution of each feature to each prediction before calibration, shape (n, n_features).

        In log odds for a binary task, in the logarithm of the most likely class's probability against the others for a
        multiclass task, in the target's unit for a regression, in the logarithm of the mean for a count.
        """
        ...

    @property
    def reference(self) -> npt.NDArray[np.float64]:
        """The raw score that contributions are counted from, shape (width,)."""
        ...

    def save(self, folder: Path) -> None:
        """Write the model into an existing empty folder: `model.json` plus skops, cbm or safetensors; no pickle."""
        ...


@dataclass(frozen=True, kw_only=True)
class Fit:
    """A fitted model and how it came to be.

    Attributes:
        parameters: Every parameter that was used, the searched ones included.
        metrics: Plain numbers worth keeping, such as `validation_<loss>`, `best_iteration`, `fit_seconds`; `<loss>` is
            the deciding loss of the task: `log_loss`, `mae` or `poisson_deviance`.
        curves: Learning curves by name, `train_<loss>` and `validation_<loss>`, one value per iteration or epoch.
        trials: The search, one mapping per trial with its parameters and its `<loss>`.
    """

    model: Model
    parameters: Parameters
    metrics: Mapping[str, float]
    curves: Mapping[str, Sequence[float]] = field(default_factory=dict)
    trials: Sequence[Mapping[str, float | int | str]] = ()


class Trainer(Protocol):
    """One model family.

    Attributes:
        defaults: All its parameters, as for large tables of a binary task; empty if there is nothing to search.
    """

    family: str
    defaults: Parameters

    def defaults_for(self, data: TrainingData) -> Parameters:
        """The parameters that suit the task and the number of training rows; those of `defaults`, other values."""
        ...

    def suggest(self, trial: "optuna.Trial", data: TrainingData) -> Parameters:
        """Parameters to try, drawn by the search; the range holds what `defaults_for` the same data says."""
        ...

    def fit(self, data: TrainingData, parameters: Parameters, progress: Progress) -> Fit:
        """Fit on the training window, stop early and calibrate on the validation window only; same seed, same model."""
        ...
