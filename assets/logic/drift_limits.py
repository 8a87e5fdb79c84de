"""How far a quiet window strays from the reference, and from where on a window is no longer quiet.

Belongs here: the spread between windows of the reference itself, and the limit with a chosen false-alarm rate.
Does not belong here: judging a window by it (`drift.py`).

How the limit of a group of columns comes about:

- A quiet window is a run of days inside the reference, of the length that is judged later. It is compared with the
  reference less itself and less one window on either side: a window to come has no neighbours in the reference, and a
  season or a spell of weather makes neighbours alike.
- Distances d are stretched to -ln(1 - d). A distance ends at 1, and where quiet windows are .6 apart (temperature) a
  limit of several times that could never be reached; stretched ones have no end, and small ones stay as they are.
- Each column is measured in its own typical distance. One that the model uses as much as the average of the group, or
  more, counts fully; others by the square root of their use. The root, because what a shift costs grows with use, but
  importances are rough: a column with a quarter of the use must shift twice as far, not four times. One that is not
  used weighs nothing.
- The statistic is the logarithm of the largest. Ratios have a right tail, their logarithms do not; the left tail of a
  group with one column (windows that happen to lie right on the reference) is cut at `NEAR`.
- The limit is the upper prediction limit for one more window of a normal sample, with as many windows as fit into the
  reference side by side: windows that overlap are not worth more.

Measured on simulated years (`tests/assets/logic/test_drift.py`), independent or autocorrelated days, with and
without seasons.
"""

import math
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from assets.logic.drift_bins import Counts, Floats
from assets.logic.drift_histograms import jensen_shannon, noise, window_sums

FEWEST_WINDOWS: Final = 4.0
"""Windows that must fit side by side into a reference for it to say anything about spread."""
NEAR: Final = 0.5
"""A statistic below this is as good as this: how much nearer than typical says nothing about what is far."""
FARTHEST: Final = 0.9999
"""A distance of 1 would be infinite."""
FEWEST_STARTS: Final = 8
"""Days that quiet windows must begin on: where most windows have gaps there are fewer than days suggest."""
LEAST_LIMIT: Final = 2.0
"""No group drifts by less than this many times what is typical: where all quiet windows are within the chance of their
rows (a calendar), their spread says nothing of how far that chance goes."""
BETWEEN_BINS: Final = 0.25
"""Chance moves a mean less than it would if every row lay at one of the two ends; by how much differs."""
INDEPENDENT: Final = 0.7
"""Degrees of freedom per window that lies beside the others: seasons and spells last longer than a window. With 1, on
the year of data that ships, cut into fortnights and shuffled, 11 of 500 quiet windows were up to 6 % over a limit that
2 or 3 should be over."""
FULL_ENOUGH: Final = 0.5
"""Share of a window's days that must have rows."""


@dataclass(frozen=True, kw_only=True)
class Limit:
    """What quiet windows say of one group.

    Attributes:
        typical: Stretched distance of each column in quiet windows, root of the mean square, shape (columns,).
        limit: The statistic from which a window counts as drifted.
        windows: Quiet windows side by side.
    """

    typical: Floats
    limit: float
    windows: float


def stretched(distance: Floats) -> Floats:
    """Distances d as -ln(1 - d), which has no upper end; NaN stays."""
    return np.asarray(-np.log1p(-np.minimum(distance, FARTHEST)), dtype=np.float64)


def unstretched(value: float) -> float:
    """The distance that is this value when it is stretched."""
    return -math.expm1(-value)


def quiet_windows(rows: Counts, days: int) -> Counts:
    """First days of the windows with rows on enough of their days, shape (windows,).

    Args:
        rows: Rows of each day of the reference, shape (reference days,).
        days: Length of a window.
    """
    first = np.arange(max(len(rows) - days + 1, 0))
    filled = window_sums((rows > 0).astype(np.float64)[:, None], first, first + days)[:, 0]
    return np.asarray(first[filled >= FULL_ENOUGH * days], dtype=np.int64)


def quiet_distances(counts: Floats, first: Counts, days: int, *, is_mean: bool = False) -> Floats:
    """Distance of each quiet window from the reference without it and its neighbours, shape (windows,).

    Never less than the chance of so many rows alone: a column that stood still all the time must not be infinitely
    far away once it moves by a row.

    Args:
        counts: Histograms of one column by day, shape (reference days, bins).
        first: First days of the windows.
        days: Length of a window.
        is_mean: The rows are not in bins but between them, and chance moves them less.
    """
    inside = window_sums(counts, first, first + days)
    left, right = np.maximum(first - days, 0), np.minimum(first + 2 * days, len(counts))
    total = counts.sum(axis=0)
    rows = np.median(inside.sum(axis=1)) if len(first) else np.inf
    least = chance_distance(rows, total, is_mean=is_mean)
    return np.fmax(jensen_shannon(inside, total - window_sums(counts, left, right)), least)


def chance_distance(rows: npt.ArrayLike, reference: Floats, *, is_mean: bool) -> Floats:
    """The distance that windows of so many rows have from the reference by chance alone, shape of `rows`.

    Args:
        rows: In each window.
        reference: Histogram of one column, shape (bins,).
        is_mean: As of `quiet_distances`.
    """
    return noise(rows, int((reference > 0).sum())) * (BETWEEN_BINS if is_mean else 1.0)


def weights(usage: Floats) -> Floats:
    """Weight of each column in its group, 0 to 1, from its share of what the model uses, shape (columns,)."""
    typical = usage.mean() if len(usage) else 0.0
    return np.asarray(np.sqrt(np.minimum(usage / typical, 1.0)) if typical > 0 else np.zeros_like(usage))


def statistic(ratios: Floats, weight: Floats) -> Floats:
    """The largest weighted ratio of a group, shape (...), from ratios to what is typical, shape (..., columns)."""
    weighted = np.where(np.isnan(ratios), 0.0, ratios) * weight
    return np.asarray(weighted.max(axis=-1, initial=NEAR), dtype=np.float64)


def limit_of(distances: Floats, weight: Floats, first: Counts, *, days: int, windows: float, chance: float) -> Limit:
    """The limit that one more quiet window exceeds with `chance`.

    Args:
        distances: Of quiet windows by column, shape (windows, columns).
        weight: Of the columns, shape (columns,).
        first: First days of the windows.
        days: Length of a window.
        windows: How many lie side by side.
        chance: Of a false alarm of this group.

    Source: Hahn and Meeker, "Statistical intervals", 1991, chapter 4; here on logarithms.
    """
    from scipy import stats

    squares = stretched(distances) ** 2
    # A window is measured in what is typical of the others, as one to come will be.
    others = np.sqrt(np.stack([_mean_without(column, first, days) for column in squares.T], axis=1))
    seen = np.log(statistic(stretched(distances) / others, weight))
    spread = seen.std() * np.sqrt(windows / (windows - 1))
    reach = stats.t.isf(chance, INDEPENDENT * (windows - 1)) * np.sqrt(1 + 1 / windows)
    typical = np.sqrt(squares.mean(axis=0))
    limit = max(float(np.exp(seen.mean() + reach * spread)), LEAST_LIMIT)
    return Limit(typical=typical, limit=limit, windows=windows)


def _mean_without(values: Floats, first: Counts, days: int) -> Floats:
    """For each window the mean over those that do not overlap it, shape (windows,)."""
    sums = np.concatenate([[0.0], np.cumsum(values)])
    begin = np.searchsorted(first, first - days, side="right")
    end = np.searchsorted(first, first + days, side="left")
    number = len(values) - (end - begin)
    total = sums[-1] - (sums[end] - sums[begin])
    return np.asarray(np.where(number > 0, total / np.maximum(number, 1), np.nan), dtype=np.float64)
