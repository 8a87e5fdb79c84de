"""How sure a score is, and a difference of scores, when the rows of one day are alike.

Belongs here: resampling whole days, and means of a value per row. Does not belong here: the scores themselves
(`metrics.py`), their intervals (`score_intervals.py`) and decisions.

Why days: the rows of a day share weather and congestion. Resampled by row, the standard error of a monthly ROC AUC
comes out at .003 to .005; resampled by day, it is .016 to .028 (DATA.md 1.2, 'Uncertainty').
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from assets.logic.metrics import Floats

RESAMPLES: Final = 1_000
DECISION_RESAMPLES: Final = 4_000
"""Differences need only sums by day, so more are cheap (30 ms), and the bounds of many slices lie far out."""
MINIMUM_DAYS: Final = 5
"""With fewer days a resample often repeats one day only, and no interval deserves its name."""
ROUNDING: Final = 1e-12
"""Relative size of what double precision leaves of a difference that is none."""


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


def mean_difference(
    difference: Floats, blocks: DayBlocks, *, confidence: float, rows: npt.NDArray[np.bool_] | None = None
) -> Difference:
    """Mean of a paired difference per row with one-sided bounds, by the day-block bootstrap-t.

    Days are drawn with replacement; each resample's mean is studentised by its own standard error over days. On
    simulated days (31, normal day effects) each bound is missed 4.7 to 5.8 % of the time at confidence 0.95; with
    strongly skewed days (log-normal) 3.3 and 10 %, where plain percentiles miss 2.3 and 15 %. Differences between two
    equally good models (log loss, absolute error, Poisson deviance; 20 or 31 days) lie between: 6 to 8 %.

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
    # Every day says the same but for rounding, as when a model is compared with itself.
    if error <= ROUNDING * abs(mean):
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
    result: Floats = np.divide(away, error, out=apart, where=error > ROUNDING * np.abs(away))
    return result
