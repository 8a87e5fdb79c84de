"""Intervals of scores, from resampled days.

Belongs here: which score is resampled how. Does not belong here: the scores themselves (`metrics.py`), and resampling
as such (`bootstrap.py`).
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np

from assets.logic.bootstrap import DayBlocks, mean_difference
from assets.logic.metrics import Floats, Labels, task_metrics

CHUNK_CELLS: Final = 2_000_000
"""Thresholds times resamples weighed at once: 16 MB an array, which stays near the cache."""


@dataclass(frozen=True, kw_only=True)
class Interval:
    """Two-sided interval of a metric, or the reason why there is none."""

    low: float | None
    high: float | None
    reason: str | None = None


def intervals(
    task: str, label: Labels, prediction: Floats, blocks: DayBlocks, *, confidence: float = 0.95
) -> dict[str, Interval]:
    """Two-sided intervals of the task's metrics that can be resampled.

    Means of a value per row use the bootstrap-t; ranks, roots and ratios use percentiles, widened for the small number
    of days (Hesterberg 2015, 'What teachers should know about the bootstrap', section 3.3: percentiles of a sample of d
    are too narrow by about sqrt((d - 1) / d) and by the normal in place of t).

    Args:
        task: Kind of task, such as `binary`.
        label: Shape (n,).
        prediction: Shape (n,) or (n, width).
        blocks: Made from the days of the same n rows, in the same order.
        confidence: Two-sided.
    """
    common = task_metrics(task).undefined(label, prediction) or blocks.too_few
    found: dict[str, Interval] = {}
    for name, metric in task_metrics(task).metrics.items():
        reason = common or metric.undefined(label, prediction)
        if reason:
            found[name] = Interval(low=None, high=None, reason=reason)
        elif metric.rows is not None:
            tail = (1 + confidence) / 2
            mean = mean_difference(metric.rows(label, prediction), blocks, confidence=tail)
            found[name] = Interval(low=mean.low, high=mean.high, reason=mean.reason)
        elif name in RESAMPLED:
            found[name] = percentiles(RESAMPLED[name](label, prediction, blocks), len(blocks.days), confidence)
    return found


def percentiles(resampled: Floats, days: int, confidence: float) -> Interval:
    """Two-sided interval from the resamples of a score, or of a difference of scores; see `intervals`.

    Args:
        resampled: Shape (resamples,); NaN where a resample has none.
        days: That were resampled.
        confidence: Two-sided.
    """
    if undefined := int(np.isnan(resampled).sum()):
        reason = f"{undefined} of {len(resampled)} resamples of days have only one class or value"
        return Interval(low=None, high=None, reason=reason)
    tail = _widened((1 - confidence) / 2, days)
    low, high = np.quantile(resampled, [tail, 1 - tail])
    return Interval(low=float(low), high=float(high))


def _widened(tail: float, days: int) -> float:
    from scipy.special import ndtr, stdtrit

    return float(ndtr(np.sqrt(days / (days - 1)) * stdtrit(days - 1, tail)))


def resampled_roc_auc(label: Labels, prediction: Floats, blocks: DayBlocks) -> Floats:
    """ROC AUC of every resample, shape (resamples,); NaN where a resample has one class.

    Exact and without touching the rows again: the number of ordered (positive, negative) pairs is counted once for each
    pair of days, `won[d, e]`, and a resample weighs them: sum over d, e of w_d * w_e * won[d, e].
    """
    count = len(blocks.days)
    positive = label == 1
    won = np.zeros((count, count))
    scores, owners = prediction[positive], blocks.codes[positive]
    for day in range(count):
        negatives = np.sort(prediction[~positive & (blocks.codes == day)])
        left, right = np.searchsorted(negatives, scores, "left"), np.searchsorted(negatives, scores, "right")
        won[:, day] = np.bincount(owners, weights=(left + right) / 2, minlength=count)
    ordered = np.einsum("rd,de,re->r", blocks.weights, won, blocks.weights, optimize=True)
    pairs = (blocks.weights @ blocks.sums(positive)) * (blocks.weights @ blocks.sums(~positive))
    result: Floats = np.divide(ordered, pairs, out=np.full(len(pairs), np.nan), where=pairs > 0)
    return result


def resampled_average_precision(label: Labels, prediction: Floats, blocks: DayBlocks) -> Floats:
    """Average precision of every resample, shape (resamples,); NaN where a resample has no positive.

    Rows are ordered once. At each threshold that a positive reaches, the rows above it are counted by day, and a
    resample weighs the days: a product of matrices in place of one pass over the rows per resample.
    """
    order = np.argsort(-prediction, kind="stable")
    positive = label[order] == 1
    by_day = np.zeros((len(order), len(blocks.days)))
    by_day[np.arange(len(order)), blocks.codes[order]] = 1.0
    last = np.flatnonzero(np.append(np.diff(prediction[order]) != 0, True))  # ties share a threshold: its last row
    found = np.diff(np.cumsum(positive)[last], prepend=0) > 0
    taken, hits = np.cumsum(by_day, axis=0)[last[found]], np.cumsum(by_day * positive[:, None], axis=0)[last[found]]
    result = np.full(len(blocks.weights), np.nan)
    step = max(1, CHUNK_CELLS // max(len(taken), 1))
    for start in range(0, len(result), step):
        weights = blocks.weights[start : start + step].T
        above, right = taken @ weights, hits @ weights
        precision = np.divide(right, above, out=np.zeros_like(right), where=above > 0)
        sums = (np.diff(right, axis=0, prepend=0.0) * precision).sum(axis=0)
        total = blocks.sums(label == 1) @ weights
        result[start : start + step] = np.divide(sums, total, out=np.full(len(sums), np.nan), where=total > 0)
    return result


def resampled_rmse(label: Labels, prediction: Floats, blocks: DayBlocks) -> Floats:
    """Root mean squared error of the point in every resample, shape (resamples,)."""
    squared = blocks.sums((label - prediction[:, 0]) ** 2)
    result: Floats = np.sqrt((blocks.weights @ squared) / (blocks.weights @ blocks.sums(np.ones(len(label)))))
    return result


def resampled_r2(label: Labels, prediction: Floats, blocks: DayBlocks) -> Floats:
    """R² of the point in every resample, shape (resamples,); NaN where all labels of a resample are equal."""
    counted = label.astype(np.float64)
    centred = counted - counted.mean()  # else the spread would be the small difference of large sums
    rows, sums, squares = (
        blocks.weights @ blocks.sums(values) for values in (np.ones(len(label)), centred, centred**2)
    )
    spread = squares - sums**2 / rows
    error = blocks.weights @ blocks.sums((counted - prediction[:, 0]) ** 2)
    result: Floats = 1 - np.divide(error, spread, out=np.full(len(rows), np.nan), where=spread > 1e-12 * squares)
    return result


RESAMPLED: Final[Mapping[str, Callable[[Labels, Floats, DayBlocks], Floats]]] = {
    "roc_auc": resampled_roc_auc,
    "average_precision": resampled_average_precision,
    "rmse": resampled_rmse,
    "r2": resampled_r2,
}
"""Metrics that are no means of a value per row, and have to be counted again in each resample."""
