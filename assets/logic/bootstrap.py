"""How sure a score is, and a difference of scores, when the rows of one day are alike.

Belongs here: resampling whole days. Does not belong here: the scores themselves (`metrics.py`) and decisions.

Why days: the rows of a day share weather and congestion. Resampled by row, the standard error of a monthly ROC AUC
comes out at .003 to .005; resampled by day, it is .016 to .028 (DATA.md 1.2, 'Uncertainty').
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from assets.logic.metrics import Floats, Labels, log_loss_rows, task_metrics

RESAMPLES: Final = 1_000
DECISION_RESAMPLES: Final = 4_000
"""Differences need only sums by day, so more are cheap (30 ms), and the bounds of many slices lie far out."""
MINIMUM_DAYS: Final = 5
"""With fewer days a resample often repeats one day only, and no interval deserves its name."""
CHUNK_CELLS: Final = 2_000_000
"""Thresholds times resamples weighed at once: 16 MB an array, which stays near the cache."""


@dataclass(frozen=True, kw_only=True)
class Interval:
    """Two-sided interval of a metric, or the reason why there is none."""

    low: float | None
    high: float | None
    reason: str | None = None


@dataclass(frozen=True, kw_only=True)
class Difference:
    """Mean difference per row; `low` and `high` are one-sided bounds, each at the asked confidence, or a reason."""

    mean: float | None
    low: float | None
    high: float | None
    reason: str | None = None


class DayBlocks:
    """Rows grouped by day and the same resamples of days for all that is compared.

    Attributes:
        codes: Index of each row's day, shape (n,).
        days: The days, ascending, shape (d,).
        weights: How often each resample draws each day, shape (resamples, d).
    """

    def __init__(self, day: npt.NDArray[np.datetime64], *, seed: int, resamples: int = RESAMPLES) -> None:
        self.days, self.codes = np.unique(day, return_inverse=True)
        count = len(self.days)
        even = np.full(count, 1 / max(count, 1))
        draws = (
            np.random.default_rng(seed).multinomial(count, even, size=resamples) if count else np.zeros((resamples, 0))
        )
        self.weights: Floats = np.asarray(draws, dtype=np.float64)

    @property
    def too_few(self) -> str | None:
        """Why these days carry no interval, or None."""
        if len(self.days) >= MINIMUM_DAYS:
            return None
        return f"{len(self.days)} days are too few for an interval, {MINIMUM_DAYS} are needed"

    def sums(self, values: Floats | npt.NDArray[np.bool_]) -> Floats:
        """Sum of a value per row over each day, shape (d,)."""
        totals = np.bincount(self.codes, weights=values.astype(np.float64), minlength=len(self.days))
        return totals.astype(np.float64)


def intervals(
    task: str, label: Labels, prediction: Floats, blocks: DayBlocks, *, confidence: float = 0.95
) -> dict[str, Interval]:
    """Two-sided intervals of the task's metrics that can be resampled.

    Means of a loss use the bootstrap-t; ranks use percentiles, widened for the small number of days (Hesterberg 2015,
    'What teachers should know about the bootstrap', section 3.3: percentiles of a sample of d are too narrow by
    about sqrt((d - 1) / d) and by the normal in place of t).

    Args:
        task: Kind of task, such as `binary`.
        label: Shape (n,).
        prediction: Shape (n,).
        blocks: Made from the days of the same n rows, in the same order.
        confidence: Two-sided.
    """
    reason = task_metrics(task).undefined(label, prediction) or blocks.too_few
    found: dict[str, Interval] = {}
    for name in task_metrics(task).metrics:
        if reason:
            found[name] = Interval(low=None, high=None, reason=reason)
        elif name in ROW_VALUES:
            tail = (1 + confidence) / 2
            mean = mean_difference(ROW_VALUES[name](label, prediction), blocks, confidence=tail)
            found[name] = Interval(low=mean.low, high=mean.high, reason=mean.reason)
        elif name in RANKS:
            found[name] = _percentiles(RANKS[name](label, prediction, blocks), len(blocks.days), confidence)
    return found


def mean_difference(
    difference: Floats, blocks: DayBlocks, *, confidence: float, rows: npt.NDArray[np.bool_] | None = None
) -> Difference:
    """Mean of a paired difference per row with one-sided bounds, by the day-block bootstrap-t.

    Days are drawn with replacement; each resample's mean is studentised by its own standard error over days. On
    simulated days (31, normal day effects) each bound is missed 4.7 to 5.8 % of the time at confidence 0.95; with
    strongly skewed days (log-normal) 3.3 and 10 %, where plain percentiles miss 2.3 and 15 %.

    Args:
        difference: Shape (n,): for example the loss of one model minus that of another, row by row.
        blocks: Made from the days of the same n rows.
        confidence: Of each bound by itself.
        rows: Only these rows, shape (n,); days without any count as days with no rows.

    Source: Efron and Tibshirani 1993, 'An Introduction to the Bootstrap', chapter 12.5; the standard error of a ratio:
    Cochran 1977, 'Sampling Techniques', 2.11.
    """
    used = np.ones(len(difference), dtype=bool) if rows is None else rows
    if not np.isfinite(difference[used]).all() or not used.any():
        return Difference(mean=None, low=None, high=None, reason="there are no rows, or a row has no finite loss")
    total, count = blocks.sums(np.where(used, difference, 0.0)), blocks.sums(used.astype(np.float64))
    mean = float(total.sum() / count.sum())
    occupied = int((count > 0).sum())
    if occupied < MINIMUM_DAYS:
        reason = f"{occupied} days with rows are too few for an interval, {MINIMUM_DAYS} are needed"
        return Difference(mean=mean, low=None, high=None, reason=reason)
    error = _standard_error(total, count, mean)
    if error == 0.0:  # every day says exactly the same, as when a model is compared with itself
        return Difference(mean=mean, low=mean, high=mean)
    studentised = _studentised(total, count, mean, blocks.weights)
    # Inverted: the upper quantile of the resamples' error is how far too high our own mean may be.
    below, above = np.quantile(studentised, [1 - confidence, confidence], method="inverted_cdf")
    return Difference(mean=mean, low=float(mean - above * error), high=float(mean - below * error))


def _standard_error(total: Floats, count: Floats, mean: float) -> float:
    days = len(total)
    return float(np.sqrt(((total - mean * count) ** 2).sum() * days / (days - 1)) / count.sum())


def _studentised(total: Floats, count: Floats, mean: float, weights: Floats) -> Floats:
    """(resampled mean - mean) / its own standard error, shape (resamples,)."""
    days = len(total)
    drawn = weights @ count
    usable = drawn > 0
    weights, drawn = weights[usable], drawn[usable]
    resampled = (weights @ total) / drawn
    # sum of w (total - resampled * count)^2, multiplied out so that no (resamples, days) array is built
    spread = weights @ total**2 - 2 * resampled * (weights @ (total * count)) + resampled**2 * (weights @ count**2)
    error = np.sqrt(np.maximum(spread, 0.0) * days / (days - 1)) / drawn
    away = resampled - mean
    # A resample of one day only has no spread; infinitely far away is the cautious answer.
    apart = np.where(away == 0.0, 0.0, np.copysign(np.inf, away))
    result: Floats = np.divide(away, error, out=apart, where=error > 1e-12 * np.abs(away))
    return result


def _percentiles(resampled: Floats, days: int, confidence: float) -> Interval:
    if undefined := int(np.isnan(resampled).sum()):
        reason = f"{undefined} of {len(resampled)} resamples of days have only one class"
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


ROW_VALUES: Final[Mapping[str, Callable[[Labels, Floats], Floats]]] = {
    "log_loss": log_loss_rows,
    "brier": lambda label, prediction: (prediction - label) ** 2,
}
"""Metrics that are means of a value per row."""
RANKS: Final[Mapping[str, Callable[[Labels, Floats, DayBlocks], Floats]]] = {
    "roc_auc": resampled_roc_auc,
    "average_precision": resampled_average_precision,
}
"""Metrics of the order of rows, which have to be counted again in each resample."""
