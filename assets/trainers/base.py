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

if TYPE_CHECKING:
    import optuna

Parameters: TypeAlias = Mapping[str, float | int | str]
Progress: TypeAlias = Callable[[str], None]


@dataclass(frozen=True, kw_only=True)
class Rows:
    """Labelled rows in time order.

    Attributes:
        features: The declared features only, shape (n, n_features), declared order.
        label: 0 or 1, shape (n,), int8.
        day: Partition key of each row, shape (n,), `datetime64[D]`, ascending.
    """

    features: pl.DataFrame
    label: npt.NDArray[np.int8]
    day: npt.NDArray[np.datetime64]


@dataclass(frozen=True, kw_only=True)
class TrainingData:
    """What a family may look at: the training window, and the validation window after it. Never the test window."""

    features: tuple[Feature, ...]
    train: Rows
    validation: Rows
    seed: int


class Model(Protocol):
    """A fitted model with everything that was fitted: encoders, scalers, calibrator."""

    family: str

    def predict(self, features: pl.DataFrame) -> npt.NDArray[np.float64]:
        """Calibrated probability of the positive class, shape (n,), in (0, 1).

        Args:
            features: At least the features it was trained on, any order, shape (n, >= n_features). Nulls and categories
                never seen are allowed: they are answered as missing and as unknown.

        Raises:
            ValueError: If a feature is absent or of another kind, naming it.
        """
        ...

    def explain(self, features: pl.DataFrame) -> npt.NDArray[np.float64]:
        """Contribution of each feature to each prediction in log odds before calibration, shape (n, n_features)."""
        ...

    def save(self, folder: Path) -> None:
        """Write the model into an existing empty folder: `model.json` plus skops, cbm or safetensors; no pickle."""
        ...


@dataclass(frozen=True, kw_only=True)
class Fit:
    """A fitted model and how it came to be.

    Attributes:
        parameters: Every parameter that was used, the searched ones included.
        metrics: Plain numbers worth keeping, such as `validation_log_loss`, `best_iteration`, `fit_seconds`.
        curves: Learning curves by name, one value per iteration or epoch.
        trials: The search, one mapping per trial with its parameters and `log_loss`.
    """

    model: Model
    parameters: Parameters
    metrics: Mapping[str, float]
    curves: Mapping[str, Sequence[float]] = field(default_factory=dict)
    trials: Sequence[Mapping[str, float | int | str]] = ()


class Trainer(Protocol):
    """One model family."""

    family: str
    defaults: Parameters

    def suggest(self, trial: "optuna.Trial") -> Parameters:
        """Parameters to try, drawn by the search."""
        ...

    def fit(self, data: TrainingData, parameters: Parameters, progress: Progress) -> Fit:
        """Fit on the training window, stop early and calibrate on the validation window only; same seed, same model."""
        ...
