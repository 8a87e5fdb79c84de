"""Intervals around a quantity or a count, from how far the model was off on rows it was not fitted on.

Belongs here: split conformal prediction in bins of the prediction, and the shift that takes out a common error.
Does not belong here: which rows it is fitted on; that is `fitted.finish` (the validation window, never the test).
"""

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Final, Self

import numpy as np

from assets.policies import INTERVAL
from assets.trainers.calibration import Floats, Labels, require_scores

ROWS_PER_BIN: Final = 100
"""With 100 rows the share of labels inside a bin's interval has a standard deviation of 3 percentage points."""
MOST_BINS: Final = 10
_DEVIATIONS: Final = 2.0
"""A common error that chance explains within so many standard deviations is left alone: taking it out adds noise."""
_LOWEST_LOG, _HIGHEST_LOG = -20.0, 30.0
"""Means of counts are kept within exp of these, so that no row far from all training has an infinite answer."""


@dataclass(frozen=True, kw_only=True)
class Intervals(ABC):
    """A point and the ends of the interval that holds `INTERVAL` of the labels, shape (n, 3).

    Split conformal prediction: the ends are the finite-sample quantiles of the validation window's residuals, one tail
    each, so a label from the same source falls inside with at least that probability, whatever the model and the noise.
    The residuals are taken in bins of the prediction (Mondrian), because errors differ between small and large ones.
    A bin of fewer than 19 rows has no such quantile; it takes its extremes, and promises less.

    Attributes:
        shift: Added to the raw score.
        edges: Predictions that divide the bins, ascending.
        below, above: Per bin, distances of the ends from the point in units of the task's spread; below <= 0 <= above.

    Source: Vovk, Gammerman and Shafer, "Algorithmic learning in a random world", 2005; Boström and Johansson,
    "Mondrian conformal regressors", 2020.
    """

    shift: float = 0.0
    edges: tuple[float, ...] = ()
    below: tuple[float, ...] = (0.0,)
    above: tuple[float, ...] = (0.0,)

    @property
    def width(self) -> int:
        """One score per row."""
        return 1

    def fitted(self, raw: Floats, label: Labels) -> Self:
        """Shift, bins and ends from rows the model was not fitted on; `raw` has shape (n, 1)."""
        require_scores(raw)
        wanted = label.astype(np.float64)
        shifted = replace(self, shift=self._common_error(raw[:, 0], wanted))
        point = shifted._point(raw[:, 0])
        residual = (wanted - point) / shifted._spread(point)
        edges = bin_edges(point)
        own = np.searchsorted(edges, point, side="right")
        ends = [conformal_ends(residual[own == b]) for b in range(len(edges) + 1)]
        below, above = zip(*ends, strict=True)
        return replace(shifted, edges=edges, below=below, above=above)

    def answer(self, raw: Floats) -> Floats:
        """Prediction, lower, upper."""
        point = self._point(raw[:, 0])
        own, spread = np.searchsorted(self.edges, point, side="right"), self._spread(point)
        lower, upper = point + np.array(self.below)[own] * spread, point + np.array(self.above)[own] * spread
        return np.column_stack([point, np.maximum(lower, self._floor), upper])

    def facts(self) -> Mapping[str, float]:
        """The shift, the number of bins, and the mean width of an interval in units of the spread."""
        width = float(np.mean(np.subtract(self.above, self.below)))
        return {"calibration_shift": self.shift, "interval_bins": float(len(self.below)), "interval_width": width}

    @abstractmethod
    def loss(self, raw: Floats, label: Labels) -> float:
        """Mean of the task's deciding loss of the point."""

    @property
    @abstractmethod
    def _floor(self) -> float: ...

    @abstractmethod
    def _point(self, raw: Floats) -> Floats: ...

    @abstractmethod
    def _spread(self, point: Floats) -> Floats: ...

    @abstractmethod
    def _common_error(self, raw: Floats, label: Floats) -> float: ...


@dataclass(frozen=True, kw_only=True)
class QuantityIntervals(Intervals):
    """Raw scores in the target's unit. The shift makes the point the median on the validation window."""

    def loss(self, raw: Floats, label: Labels) -> float:
        """Mean absolute error, in the target's unit."""
        return float(np.abs(label - self._point(raw[:, 0])).mean())

    @property
    def _floor(self) -> float:
        return -math.inf

    def _point(self, raw: Floats) -> Floats:
        return raw + self.shift

    def _spread(self, point: Floats) -> Floats:
        return np.ones_like(point)

    def _common_error(self, raw: Floats, label: Floats) -> float:
        residual = label - raw
        above, below = int((residual > 0).sum()), int((residual < 0).sum())
        by_chance = abs(above - below) <= _DEVIATIONS * math.sqrt(above + below)
        return 0.0 if by_chance else float(np.median(residual))


@dataclass(frozen=True, kw_only=True)
class CountIntervals(Intervals):
    """Raw scores are logarithms of means. The shift makes the predictions add up to what the validation window counted.

    Residuals are in units of the root of the mean, the spread of a Poisson count.
    """

    def loss(self, raw: Floats, label: Labels) -> float:
        """Mean Poisson deviance."""
        return float(poisson_deviance(label.astype(np.float64), self._point(raw[:, 0])).mean())

    @property
    def _floor(self) -> float:
        return 0.0

    def _point(self, raw: Floats) -> Floats:
        return np.exp(np.clip(raw + self.shift, _LOWEST_LOG, _HIGHEST_LOG))

    def _spread(self, point: Floats) -> Floats:
        return np.sqrt(point)

    def _common_error(self, raw: Floats, label: Floats) -> float:
        mean = self._point(raw)
        deviation = math.sqrt(float(((label - mean) ** 2).sum()))
        by_chance = abs(float((label - mean).sum())) <= _DEVIATIONS * deviation
        return 0.0 if by_chance else math.log((float(label.sum()) + 0.5) / (float(mean.sum()) + 0.5))


def poisson_deviance(label: Floats, mean: Floats) -> Floats:
    """2 (y log(y / mean) - y + mean) of each row, 0 or more, same shape; `mean` above 0."""
    ratio = np.log(np.where(label > 0, label / mean, 1.0))
    return np.asarray(2 * (label * ratio - label + mean), dtype=np.float64)


def bin_edges(point: Floats) -> tuple[float, ...]:
    """Edges between bins of about equal size, `ROWS_PER_BIN` rows or more on average and half of that at least."""
    bins = min(MOST_BINS, len(point) // ROWS_PER_BIN)
    kept: list[float] = []
    taken, smallest = 0, ROWS_PER_BIN // 2
    for edge in np.unique(np.quantile(point, np.arange(1, bins) / bins)) if bins > 1 else ():
        before = int((point < edge).sum())
        if before - taken >= smallest and len(point) - before >= smallest:
            kept.append(float(edge))
            taken = before
    return tuple(kept)


def conformal_ends(residual: Floats) -> tuple[float, float]:
    """The ends that a further residual of the same source leaves with probability (1 - `INTERVAL`) / 2 each, or less.

    The k-th smallest of n, with k = ceil((n + 1) (1 + `INTERVAL`) / 2), and its mirror image; 0 lies between them.
    """
    n, ordered = len(residual), np.sort(residual)
    # The share is a decimal fraction: without rounding, 0.95 * 20 would be a little above 19 and cost a rank.
    rank = min(n, math.ceil(round((n + 1) * (1 + INTERVAL) / 2, 9)))
    return min(0.0, float(ordered[n - rank])), max(0.0, float(ordered[rank - 1]))
