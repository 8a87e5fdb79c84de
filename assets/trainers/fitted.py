"""What all fitted models share: their description on disk, calibration, and the facts kept of a fit.

Belongs here: `model.json`, the refusal of unusable training data, the step from a raw score to a calibrated one.
Does not belong here: anything that differs between families.
"""

import importlib.metadata
import json
import platform
import time
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Final, Self

import numpy as np
import numpy.typing as npt
import polars as pl

from assets.contracts import Feature
from assets.trainers.base import Fit, Parameters, TrainingData
from assets.trainers.calibration import Platt, log_loss
from assets.trainers.encoding import check_features

MODEL_FILE: Final = "model.json"


@dataclass(frozen=True, kw_only=True)
class Description:
    """Everything about a fitted model that is not weights, as `model.json` holds it.

    Attributes:
        libraries: Distributions the model depends on, with the versions it was fitted with.
        fitted: What the family fitted besides weights (category tables, means); JSON values only.
    """

    family: str
    features: tuple[Feature, ...]
    parameters: Parameters
    libraries: Mapping[str, str]
    fitted: Mapping[str, Any]
    calibrator: Platt = field(default_factory=Platt)

    def write(self, folder: Path) -> None:
        """Write `model.json`. Floats are written so that they read back as the same bits."""
        text = json.dumps(asdict(self), indent=1, allow_nan=False, default=dict)
        (folder / MODEL_FILE).write_text(text, encoding="utf-8")

    @classmethod
    def read(cls, folder: Path) -> "Description":
        """Read `model.json`.

        Raises:
            FileNotFoundError: If the folder holds no saved model.
        """
        path = folder / MODEL_FILE
        if not path.is_file():
            raise FileNotFoundError(f"no saved model in {folder}: {MODEL_FILE} is missing")
        values = json.loads(path.read_text(encoding="utf-8"))
        values["features"] = tuple(Feature(**f) for f in values["features"])
        values["calibrator"] = Platt(**values["calibrator"])
        return cls(**values)


def library_versions(*distributions: str) -> dict[str, str]:
    """Versions of Python, numpy, Polars and the named distributions."""
    versions = {name: importlib.metadata.version(name) for name in ("numpy", "polars", *distributions)}
    return {"python": platform.python_version(), **versions}


class FittedModel(ABC):
    """A `base.Model`: families add a raw score, its explanation, and how their weights are kept."""

    def __init__(self, description: Description) -> None:
        self.description = description
        self.family = description.family
        self.features = description.features

    def calibrated(self, calibrator: Platt) -> Self:
        """The same model with another calibrator."""
        twin = object.__new__(type(self))
        twin.__dict__ = self.__dict__ | {"description": replace(self.description, calibrator=calibrator)}
        return twin

    def predict(self, features: pl.DataFrame) -> npt.NDArray[np.float64]:
        """Calibrated probability of the positive class, shape (n,). See `base.Model.predict`."""
        return self.description.calibrator.probability(self.log_odds(features))

    def log_odds(self, features: pl.DataFrame) -> npt.NDArray[np.float64]:
        """Uncalibrated score in log odds, shape (n,).

        Raises:
            FeatureError: If a feature is absent or of another kind, naming it.
        """
        check_features(features, self.features)
        return self._log_odds(features) if features.height else np.empty(0)

    def explain(self, features: pl.DataFrame) -> npt.NDArray[np.float64]:
        """Contributions, shape (n, n_features), declared order. A row adds up to `log_odds` minus `reference`."""
        check_features(features, self.features)
        return self._explain(features) if features.height else np.empty((0, len(self.features)))

    @property
    @abstractmethod
    def reference(self) -> float:
        """The log odds contributions are counted from: those of the training data's average."""

    @abstractmethod
    def _log_odds(self, features: pl.DataFrame) -> npt.NDArray[np.float64]: ...

    @abstractmethod
    def _explain(self, features: pl.DataFrame) -> npt.NDArray[np.float64]: ...

    @abstractmethod
    def save(self, folder: Path) -> None:
        """Write the model into an existing empty folder."""

    @classmethod
    @abstractmethod
    def load(cls, folder: Path) -> Self:
        """Read what `save` wrote; predictions are the same bits."""


def complete(defaults: Parameters, parameters: Parameters, family: str) -> dict[str, float | int | str]:
    """The given parameters over the defaults.

    Raises:
        ValueError: If the family knows no parameter of that name.
    """
    if unknown := sorted(set(parameters) - set(defaults)):
        raise ValueError(f"{family} has no parameter {unknown}; it has {sorted(defaults)}")
    return {**defaults, **parameters}


def require_usable(data: TrainingData) -> None:
    """Refuse data no family can learn from, before minutes are spent on it.

    Raises:
        ValueError: If a window is empty, its parts differ in length, training has one class only, or validation does
            not lie wholly after training.
    """
    for name, rows in (("training", data.train), ("validation", data.validation)):
        check_features(rows.features, data.features)
        lengths = {rows.features.height, len(rows.label), len(rows.day)}
        if lengths == {0} or len(lengths) > 1:
            raise ValueError(f"the {name} window needs rows with one label and one day each, got {sorted(lengths)}")
        if (rows.day[1:] < rows.day[:-1]).any():
            raise ValueError(f"the rows of the {name} window are not in time order")
    if data.train.label.min() == data.train.label.max():
        raise ValueError(f"all {len(data.train.label)} training rows have label {data.train.label[0]}; need 0 and 1")
    if data.validation.day[0] <= data.train.day[-1]:
        raise ValueError(f"validation starts on {data.validation.day[0]}, but training ends on {data.train.day[-1]}")


def finish(
    model: FittedModel,
    data: TrainingData,
    *,
    started: float,
    metrics: Mapping[str, float],
    curves: Mapping[str, Sequence[float]] | None = None,
) -> Fit:
    """Calibrate on the validation window and gather what is worth keeping. `started` is a `time.perf_counter()`."""
    label = data.validation.label
    raw = model.log_odds(data.validation.features)
    calibrator = Platt.fit(raw, label)
    facts = {
        "validation_log_loss": log_loss(calibrator.slope * raw + calibrator.intercept, label),
        "validation_log_loss_uncalibrated": log_loss(raw, label),
        "calibration_slope": calibrator.slope,
        "calibration_intercept": calibrator.intercept,
        "train_rows": float(len(data.train.label)),
        "validation_rows": float(len(label)),
        "fit_seconds": time.perf_counter() - started,
    }
    parameters = model.description.parameters
    calibrated = model.calibrated(calibrator)
    return Fit(model=calibrated, parameters=parameters, metrics={**facts, **metrics}, curves=curves or {})
