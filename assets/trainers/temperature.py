"""Temperature scaling: makes the probabilities of several classes mean what they say, without changing their order.

Belongs here: the map from one raw score per class to probabilities, and its fit.
Does not belong here: which classes there are (`tasks.py`), and which rows it is fitted on (`fitted.finish`).
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Final

import numpy as np

from assets.trainers.calibration import Floats, Labels, require_scores

SMALLEST_PROBABILITY: Final = 1e-12
"""No class is ever called impossible: one that then occurs would cost an infinite loss."""
_COLDEST, _HOTTEST = 1e-3, 1e2
"""Inverse temperatures that are looked through; beyond them probabilities are equal, or as good as certain."""
_HALVINGS: Final = 60


@dataclass(frozen=True, kw_only=True)
class Temperature:
    """Probability = (1 - reserved) * softmax(inverse * scores), one score per class that training saw.

    Every class without a row in training gets the same small probability, `reserve`: it cannot be told apart, and it
    may come.

    Attributes:
        classes: Number of outputs.
        seen: Positions of the outputs that training saw, ascending; one raw score each.
        reserve: Probability of each output that training did not see.
        inverse: 1 / temperature, above 0.

    Source: Guo, Pleiss, Sun and Weinberger, "On calibration of modern neural networks", 2017. The targets are smoothed
    as Platt smooths his (see `calibration.py`), so that the fit is finite when every row is classified rightly.
    """

    classes: int
    seen: tuple[int, ...]
    reserve: float
    inverse: float = 1.0

    @property
    def width(self) -> int:
        """One score per class that training saw."""
        return len(self.seen)

    def fitted(self, raw: Floats, label: Labels) -> "Temperature":
        """The temperature of least log loss on the rows whose class training saw; unchanged if there are none."""
        require_scores(raw)
        position = np.full(self.classes, -1)
        position[list(self.seen)] = np.arange(self.width)
        column = position[label.astype(np.int64)]
        if not (known := column >= 0).any():
            return self
        return replace(self, inverse=_least_loss(raw[known], column[known]))

    def answer(self, raw: Floats) -> Floats:
        """Probabilities, shape (n, classes), each above 0, rows adding up to 1."""
        scaled = self.inverse * raw
        exponential = np.exp(scaled - scaled.max(axis=1, keepdims=True)) if len(raw) else scaled
        found = np.full((len(raw), self.classes), self.reserve)
        shared = 1 - self.reserve * (self.classes - self.width)
        found[:, list(self.seen)] = shared * exponential / exponential.sum(axis=1, keepdims=True)
        floored = np.maximum(found, SMALLEST_PROBABILITY)
        return np.asarray(floored / floored.sum(axis=1, keepdims=True), dtype=np.float64)

    def loss(self, raw: Floats, label: Labels) -> float:
        """Mean log loss."""
        return float(-np.log(self.answer(raw)[np.arange(len(raw)), label.astype(np.int64)]).mean())

    def facts(self) -> Mapping[str, float]:
        """The temperature, and the probability kept for what training did not see."""
        return {
            "calibration_temperature": 1 / self.inverse,
            "reserved_probability": self.reserve * (self.classes - self.width),
        }


def _least_loss(raw: Floats, column: Labels) -> float:
    """The loss is convex in the inverse temperature: halve until its slope is zero."""
    n, k = raw.shape
    target = np.full((n, k), 1 / (n + 2) / (k - 1))
    target[np.arange(n), column.astype(np.int64)] = (n + 1) / (n + 2)
    wanted = float((target * raw).sum(axis=1).mean())
    low, high = np.log(_COLDEST), np.log(_HOTTEST)
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        scaled = np.exp(middle) * raw
        weight = np.exp(scaled - scaled.max(axis=1, keepdims=True))
        weight /= weight.sum(axis=1, keepdims=True)
        if float((weight * raw).sum(axis=1).mean()) < wanted:
            low = middle
        else:
            high = middle
    return float(np.exp((low + high) / 2))
