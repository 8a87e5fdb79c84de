"""Histograms of columns by day, over bins that a reference fixed, and how far two of them are apart.

Belongs here: counting days and windows, the distance. Does not belong here: where the bins lie (`drift_bins.py`), and
which distance is too far (`drift_limits.py`).
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
import numpy.typing as npt
import polars as pl

from assets.logic.drift_bins import AnyBins, Bins, Counts, Floats


@dataclass(frozen=True, kw_only=True)
class DayCounts:
    """Histograms by column and calendar day, and what else is to be known of the days.

    Attributes:
        first: The first day; the others follow without a gap.
        rows: Rows of each day, shape (days,).
        counts: By column or pair of columns, shape (days, bins).
        extremes: By numeric column, lowest and highest finite value of each day, shape (days, 2); NaN without any.
        infinite: By numeric column, how many infinite values each day has, shape (days,).
        missing: Columns that the rows do not have; all their rows count as null.
        mistyped: Numeric columns that hold text.
    """

    first: np.datetime64
    rows: Counts
    counts: Mapping[str, Floats]
    extremes: Mapping[str, Floats] = field(default_factory=dict)
    infinite: Mapping[str, Counts] = field(default_factory=dict)
    missing: frozenset[str] = frozenset()
    mistyped: frozenset[str] = frozenset()

    def sums(self, name: str, windows: "DayWindows") -> Floats:
        """Histograms of windows, shape (windows, bins)."""
        return window_sums(self.counts[name], windows.begin, windows.end)

    def number(self, windows: "DayWindows", what: Literal["rows", "days"]) -> Counts:
        """Rows of each window, or days with rows, shape (windows,)."""
        each = self.rows if what == "rows" else self.rows > 0
        return window_sums(each.astype(np.float64)[:, None], windows.begin, windows.end)[:, 0].astype(np.int64)

    def windows(self, last: npt.NDArray[np.datetime64], days: int) -> "DayWindows":
        """The windows of `days` days that end with the days `last`, shape (windows,), as far as there are rows."""
        end = (last - self.first).astype(np.int64) + 1
        bound = len(self.rows)
        return DayWindows(begin=np.clip(end - days, 0, bound), end=np.clip(end, 0, bound))


@dataclass(frozen=True, kw_only=True)
class DayWindows:
    """Ranges of days of a `DayCounts`: positions of the first, and of the one after the last, shape (windows,)."""

    begin: Counts
    end: Counts


def day_counts(frame: pl.DataFrame, day: pl.Series, bins: Iterable[AnyBins]) -> DayCounts:
    """Count the rows of every day by column and bin, in one pass over the rows.

    Args:
        frame: Shape (n >= 0, columns); columns that no bins are for are not looked at.
        day: The local date of each row, shape (n,), without nulls.
        bins: Of the columns and pairs of columns to count.
    """
    wanted = list(bins)
    days = day.to_numpy().astype("datetime64[D]")
    first = days.min() if len(days) else np.datetime64("1970-01-01", "D")
    offset = (days - first).astype(np.int64)
    total = int(offset.max()) + 1 if len(days) else 0
    alone = [b for b in wanted if isinstance(b, Bins)]
    missing = frozenset(b.column for b in alone if b.column not in frame.columns)
    numeric = [b.column for b in alone if b.kind != "categorical" and b.column not in missing]
    mistyped = frozenset(name for name in numeric if frame.schema[name] == pl.String())
    facts = {name: _facts(frame[name], offset, total) for name in numeric if name not in mistyped}
    return DayCounts(
        first=first,
        rows=np.bincount(offset, minlength=total),
        counts={b.column: b.histograms(frame, offset, total) for b in wanted},
        extremes={name: extremes for name, (extremes, _) in facts.items()},
        infinite={name: infinite for name, (_, infinite) in facts.items()},
        missing=missing,
        mistyped=mistyped,
    )


def window_sums(counts: Floats, begin: Counts, end: Counts) -> Floats:
    """Sums of `counts`, shape (days, bins), over ranges of days, shape (ranges, bins)."""
    running = np.concatenate([np.zeros((1, counts.shape[1])), np.cumsum(counts, axis=0)])
    # What a running sum of fractions leaves behind must not become less than nothing.
    return np.asarray(np.maximum(running[end] - running[begin], 0), dtype=np.float64)


def jensen_shannon(p: npt.ArrayLike, q: npt.ArrayLike) -> Floats:
    """Square root of the Jensen-Shannon divergence in bits between histograms, 0 (equal) to 1 (nothing in common).

    Args:
        p: Counts or shares, shape (..., bins).
        q: The same, or one histogram for all.

    Returns:
        Shape (...); NaN where either histogram is empty.

    Source: Endres and Schindelin, "A new metric for probability distributions", 2003.
    """
    with np.errstate(divide="ignore", invalid="ignore"):
        a = np.asarray(p, dtype=np.float64) / np.sum(p, axis=-1, keepdims=True)
        b = np.asarray(q, dtype=np.float64) / np.sum(q, axis=-1, keepdims=True)
        middle = (a + b) / 2
        parts = [np.where(x == 0, 0.0, x * np.log2(x / middle)).sum(axis=-1) for x in (a, b)]
    return np.asarray(np.sqrt(np.clip((parts[0] + parts[1]) / 2, 0, 1)), dtype=np.float64)


def noise(rows: npt.ArrayLike, filled_bins: int) -> Floats:
    """The distance that so many independent rows have from where they are drawn from, by chance alone.

    To second order the divergence is chi-squared over 8 n ln 2, with one degree of freedom less than filled bins.
    """
    least = np.maximum(np.asarray(rows, dtype=np.float64), 1)
    return np.asarray(np.sqrt(max(filled_bins - 1, 1) / (8 * np.log(2) * least)), dtype=np.float64)


def _facts(values: pl.Series, offset: Counts, days: int) -> tuple[Floats, Counts]:
    numbers = values.cast(pl.Float64, strict=False).to_numpy()
    usable = np.isfinite(numbers)
    extremes = np.full((days, 2), np.nan)
    # `fmin` and `fmax` pass over the NaN that the days begin with.
    np.fmin.at(extremes[:, 0], offset[usable], numbers[usable])
    np.fmax.at(extremes[:, 1], offset[usable], numbers[usable])
    return extremes, np.bincount(offset[np.isinf(numbers)], minlength=days)
