"""What all fitted models share: the step from scores to answers and explanations, and the facts kept of a fit.

Belongs here: the refusal of unusable training data, raw scores, calibration on the validation window.
Does not belong here: anything that differs between families, or between tasks (`tasks.py`).
"""

import time
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Self

import numpy as np
import polars as pl

from assets.trainers.base import Fit, Parameters, TrainingData
from assets.trainers.calibration import Calibrator, Floats
from assets.trainers.description import Description
from assets.trainers.encoding import RowReader, Table, check_features
from assets.trainers.tasks import HEADS, Lesson


class FittedModel(ABC):
    """A `base.Model`: families add scores, their explanation, and how their weights are kept.

    A family's own `_scores`, `_reference` and `_explain` speak of the labels of the `Lesson` it learnt from; what is
    public here speaks of the target.
    """

    def __init__(self, description: Description) -> None:
        self.description = description
        self.family = description.family
        self.features = description.features
        self.outputs = HEADS[description.task].outputs(description.classes)
        self._reader = RowReader(description.features)

    def calibrated(self, calibrator: Calibrator) -> Self:
        """The same model with another calibrator."""
        twin = object.__new__(type(self))
        twin.__dict__ = self.__dict__ | {"description": replace(self.description, calibrator=calibrator)}
        return twin

    def predict(self, features: pl.DataFrame) -> Floats:
        """Calibrated answers, shape (n,) or (n, outputs). See `base.Model.predict`."""
        return self.description.calibrator.answer(self.raw(features))

    def predict_rows(self, rows: Sequence[Sequence[float | str | None]]) -> Floats:
        """The same for a few rows of plain values. See `base.Model.predict_rows`."""
        scores = self._scores(self._reader.read(rows)) if rows else np.empty((0, self._width))
        return self.description.calibrator.answer(self._of_target(scores))

    def raw(self, features: pl.DataFrame) -> Floats:
        """Uncalibrated scores, shape (n, width).

        Log odds of a binary task; of a multiclass task one score per class that training saw, each the logarithm of its
        probability against the geometric mean of all; a quantity; the logarithm of the mean of a count.

        Raises:
            FeatureError: If a feature is absent or of another kind, naming it.
        """
        check_features(features, self.features)
        if not features.height:
            return np.empty((0, self._width))
        return self._of_target(self._scores(features))

    def explain(self, features: pl.DataFrame) -> Floats:
        """Contributions, shape (n, n_features), declared order. A row adds up to `raw` minus `reference`.

        Of a multiclass task they are those to the score of the most likely class.
        """
        check_features(features, self.features)
        if not features.height:
            return np.empty((0, len(self.features)))
        weights = np.ones((features.height, 1)) if self._width == 1 else _of_the_highest(self.raw(features))
        return np.asarray(self.description.target.scale * self._explain(features, weights), dtype=np.float64)

    @property
    def reference(self) -> Floats:
        """The raw score contributions are counted from: that of the training data's average, shape (width,)."""
        return self._of_target(self._reference()[None, :]).ravel()

    @property
    def _width(self) -> int:
        return self.description.calibrator.width

    def _of_target(self, scores: Floats) -> Floats:
        target = self.description.target
        # Only differences between classes mean anything, so families may differ by a constant per row.
        centred = scores if self._width == 1 else scores - scores.mean(axis=1, keepdims=True)
        return target.scale * centred + target.offset

    @abstractmethod
    def _scores(self, features: Table) -> Floats:
        """Shape (n, width), n > 0."""

    @abstractmethod
    def _reference(self) -> Floats:
        """Scores that contributions are counted from, shape (width,)."""

    @abstractmethod
    def _explain(self, features: pl.DataFrame, weights: Floats) -> Floats:
        """Contributions, shape (n, n_features), to the sum over the scores times `weights`, shape (n, width)."""

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


def _of_the_highest(raw: Floats) -> Floats:
    """Weights that make the sum over the scores the highest one against the mean of all."""
    n, width = raw.shape
    return np.asarray(np.eye(width)[raw.argmax(axis=1)] - np.full((n, width), 1 / width), dtype=np.float64)


def lesson_of(data: TrainingData) -> Lesson:
    """The data as a family can learn from it.

    Raises:
        ValueError: If no family can; see `require_usable`. Also if all training labels are equal, or one is impossible.
    """
    require_usable(data)
    return HEADS[data.task].lesson(data)


def require_usable(data: TrainingData) -> None:
    """Refuse data no family can learn from, before minutes are spent on it.

    Raises:
        ValueError: If a window is empty, its parts differ in length, no feature varies in training, or validation does
            not lie wholly after training.
    """
    for name, rows in (("training", data.train), ("validation", data.validation)):
        check_features(rows.features, data.features)
        lengths = {rows.features.height, len(rows.label), len(rows.day)}
        if lengths == {0} or len(lengths) > 1:
            raise ValueError(f"the {name} window needs rows with one label and one day each, got {sorted(lengths)}")
        if (rows.day[1:] < rows.day[:-1]).any():
            raise ValueError(f"the rows of the {name} window are not in time order")
    if data.validation.day[0] <= data.train.day[-1]:
        raise ValueError(f"validation starts on {data.validation.day[0]}, but training ends on {data.train.day[-1]}")
    if not any(data.train.features.get_column(f.name).n_unique() > 1 for f in data.features):
        raise ValueError(
            f"none of the features {[f.name for f in data.features]} takes more than one value in the "
            f"{len(data.train.label)} training rows; there is nothing to learn from"
        )


def finish(
    model: FittedModel,
    lesson: Lesson,
    *,
    started: float,
    metrics: Mapping[str, float],
    curves: Mapping[str, Sequence[float]] | None = None,
) -> Fit:
    """Calibrate on the validation window and gather what is worth keeping.

    Args:
        model: Not calibrated.
        lesson: What it learnt.
        started: A `time.perf_counter()`.
        metrics: Facts of the family.
        curves: Losses per iteration by window (`train`, `validation`), on the labels of the lesson.
    """
    data, loss = lesson.given, HEADS[lesson.given.task].loss
    label = data.validation.label
    raw = model.raw(data.validation.features)
    calibrator = lesson.calibrator.fitted(raw, label)
    facts = {
        f"validation_{loss}": calibrator.loss(raw, label),
        f"validation_{loss}_uncalibrated": lesson.calibrator.loss(raw, label),
        **calibrator.facts(),
        "train_rows": float(len(data.train.label)),
        "validation_rows": float(len(label)),
        "fit_seconds": time.perf_counter() - started,
    }
    return Fit(
        model=model.calibrated(calibrator),
        parameters=model.description.parameters,
        metrics={**facts, **metrics},
        curves={f"{window}_{loss}": [lesson.unit * v for v in values] for window, values in (curves or {}).items()},
    )
