"""What a task asks of every family: its deciding loss, what is learnt from, and how a raw score becomes an answer.

Belongs here: all that differs between tasks and is the same for every family. A family sees a `Lesson`: labels it can
learn without knowing their unit or which class they stand for.
Does not belong here: objectives in a library's own words; those are with the family.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Final

import numpy as np
import numpy.typing as npt

from assets.policies import OTHER, Task
from assets.trainers.base import Rows, TrainingData
from assets.trainers.calibration import Calibrator, Floats, Platt
from assets.trainers.intervals import CountIntervals, QuantityIntervals
from assets.trainers.temperature import Temperature


@dataclass(frozen=True, kw_only=True)
class Target:
    """Raw score = scale * what a family's model gives + offset: the way back from the labels it learnt."""

    scale: float = 1.0
    offset: float = 0.0


@dataclass(frozen=True, kw_only=True)
class Lesson:
    """Training data as every family can learn from it.

    Attributes:
        given: The data as it came.
        data: The same rows, labels made learnable. Binary: 0 or 1. Multiclass: 0 to width - 1, only classes that
            training has, and of validation only rows of these. Regression: centred, of spread 1. Count: divided by
            their mean.
        calibrator: Not fitted yet.
        unit: What a loss on the learnable labels is multiplied by to be the loss on the given ones.
    """

    given: TrainingData
    data: TrainingData
    calibrator: Calibrator
    target: Target = field(default_factory=Target)
    unit: float = 1.0

    @property
    def width(self) -> int:
        """Scores per row that a family's model has to give."""
        return self.calibrator.width


@dataclass(frozen=True, kw_only=True)
class TaskHead:
    """What one task asks.

    Attributes:
        loss: Name of the deciding loss, as in the metrics `validation_<loss>`.
        outputs: What a model answers, by column, from the classes.
        lesson: Makes training data learnable.
        calibrator: The form that is kept in `model.json`.
    """

    loss: str
    outputs: Callable[[tuple[str, ...]], tuple[str, ...]]
    lesson: Callable[[TrainingData], Lesson]
    calibrator: Callable[..., Calibrator]


def _binary(data: TrainingData) -> Lesson:
    if data.train.label.min() == data.train.label.max():
        raise ValueError(f"all {len(data.train.label)} training rows have label {data.train.label[0]}; need 0 and 1")
    return Lesson(given=data, data=data, calibrator=Platt())


def _multiclass(data: TrainingData) -> Lesson:
    names = (*data.classes, OTHER)
    for window, part in (("training", data.train), ("validation", data.validation)):
        if part.label.min() < 0 or part.label.max() >= len(names):
            raise ValueError(f"a label of the {window} window is not a position in {list(names)}")
    seen = np.unique(data.train.label).astype(np.int64)
    if len(seen) < 2:
        raise ValueError(f"all {len(data.train.label)} training rows are of class {names[seen[0]]!r}; need two classes")
    rows = len(data.train.label)
    calibrator = Temperature(classes=len(names), seen=tuple(seen.tolist()), reserve=1 / (rows + 2))
    train, validation = (_of_classes(r, seen) for r in (data.train, data.validation))
    if not len(validation.label):
        known = [names[s] for s in seen]
        raise ValueError(f"no row of the validation window is of a class that training has: {known}")
    return Lesson(given=data, data=replace(data, train=train, validation=validation), calibrator=calibrator)


def _of_classes(rows: Rows, seen: npt.NDArray[np.int64]) -> Rows:
    known = np.isin(rows.label, seen)
    label = np.searchsorted(seen, rows.label[known]).astype(np.int64)
    return Rows(features=rows.features.filter(known), label=label, day=rows.day[known])


def _regression(data: TrainingData) -> Lesson:
    _require_quantities(data)
    label = data.train.label.astype(np.float64)
    # Median and mean distance from it: a few extreme labels move neither, and the distance is 0 for a constant only.
    centre = float(np.median(label))
    spread = float(np.abs(label - centre).mean())
    made = _with_labels(data, lambda y: np.asarray((y - centre) / spread, dtype=np.float64))
    return Lesson(
        given=data,
        data=made,
        calibrator=QuantityIntervals(),
        target=Target(scale=spread, offset=centre),
        unit=spread,
    )


def _count(data: TrainingData) -> Lesson:
    _require_quantities(data)
    if min(data.train.label.min(), data.validation.label.min()) < 0:
        raise ValueError("a count cannot be below 0; declare the task regression, or correct the label")
    mean = float(data.train.label.mean())
    made = _with_labels(data, lambda y: y / mean)
    return Lesson(given=data, data=made, calibrator=CountIntervals(), target=Target(offset=math.log(mean)), unit=mean)


def _require_quantities(data: TrainingData) -> None:
    for window, part in (("training", data.train), ("validation", data.validation)):
        if not np.isfinite(part.label.astype(np.float64)).all():
            raise ValueError(f"a label of the {window} window is missing or infinite")
    if data.train.label.min() == data.train.label.max():
        rows, value = len(data.train.label), data.train.label[0]
        raise ValueError(f"all {rows} training rows have label {value}; there is nothing to learn")


def _with_labels(data: TrainingData, made: Callable[[Floats], Floats]) -> TrainingData:
    train, validation = (replace(r, label=made(r.label.astype(np.float64))) for r in (data.train, data.validation))
    return replace(data, train=train, validation=validation)


def _interval(_: tuple[str, ...]) -> tuple[str, ...]:
    return ("prediction", "lower", "upper")


HEADS: Final[Mapping[Task, TaskHead]] = {
    "binary": TaskHead(loss="log_loss", outputs=lambda _: ("probability",), lesson=_binary, calibrator=Platt),
    "multiclass": TaskHead(
        loss="log_loss", outputs=lambda classes: (*classes, OTHER), lesson=_multiclass, calibrator=Temperature
    ),
    "regression": TaskHead(loss="mae", outputs=_interval, lesson=_regression, calibrator=QuantityIntervals),
    "count": TaskHead(loss="poisson_deviance", outputs=_interval, lesson=_count, calibrator=CountIntervals),
}
