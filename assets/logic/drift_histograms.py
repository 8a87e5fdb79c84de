"""Histograms of columns by day, over bins that a reference fixed, and how far two of them are apart.

Belongs here: bins, counting, the distance. Does not belong here: which distance is too far (`drift_limits.py`).
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final, Literal

import numpy as np
import numpy.typing as npt
import polars as pl

Counts = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
Kind = Literal["numeric", "categorical", "mean"]
"""How a column is compared: by its distribution, by the frequencies of its categories, or by its mean alone."""

QUANTILES: Final = (0.02, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.98)
"""Where the bins of a number meet. Both ends are open: a bin of its own for what lies outside the reference would be
empty in every quiet window, and so its share could not be calibrated."""
CATEGORIES: Final = 30
"""Most frequent categories with a bin of their own; all others share one."""


@dataclass(frozen=True, kw_only=True)
class Bins:
    """The bins of one column.

    Attributes:
        edges: Of a numeric column: bin i holds what is above `edges[i - 1]` and at most `edges[i]`. Of a mean: two
            values; a row counts in the bins of both, the more in one the nearer it lies to it, so that two histograms
            are as far apart as their means.
        categories: Of a categorical column: one bin each, then one for all others.
        counts_nulls: Whether the last bin holds nulls, NaN and infinities; else such rows are not counted.
    """

    column: str
    kind: Kind
    edges: tuple[float, ...] = ()
    categories: tuple[str, ...] = ()
    counts_nulls: bool = True

    @property
    def size(self) -> int:
        """How many bins there are, the one for nulls included."""
        if self.kind == "mean":
            return 2
        return len(self.edges if self.kind == "numeric" else self.categories) + 1 + self.counts_nulls

    def histograms(self, values: pl.Series, member: Counts, number: int) -> Floats:
        """How many values of each of `number` groups are in each bin, shape (number, bins).

        Args:
            values: Shape (n,).
            member: The group that each is in, from 0, shape (n,).
            number: How many groups there are.
        """
        if self.kind == "mean":
            upper = self._shares(values)
            there = np.isfinite(upper)
            sums = [np.bincount(member[there], weights=w[there], minlength=number) for w in (1 - upper, upper)]
            return np.stack(sums, axis=1)
        codes = self.codes(values)
        cells = member[codes >= 0] * self.size + codes[codes >= 0]
        return np.bincount(cells, minlength=number * self.size).reshape(number, self.size).astype(np.float64)

    def codes(self, values: pl.Series) -> Counts:
        """The bin of each value, shape (n,); -1 for one that is not counted. Not of a mean."""
        null = self.size - 1 if self.counts_nulls else -1
        if self.kind == "numeric":
            numbers = values.cast(pl.Float64, strict=False).to_numpy()
            codes = np.searchsorted(np.asarray(self.edges), numbers, side="left")
            return np.where(np.isfinite(numbers), codes, null).astype(np.int64)
        words, known = values.cast(pl.String), list(self.categories)
        found = words.replace_strict(known, list(range(len(known))), default=len(known), return_dtype=pl.Int64)
        return np.where(words.is_null().to_numpy(), null, found.to_numpy()).astype(np.int64)

    def _shares(self, values: pl.Series) -> Floats:
        """How much of each value is in the upper bin, 0 to 1; NaN for what is not a number."""
        low, high = self.edges
        numbers = values.cast(pl.Float64, strict=False).to_numpy()
        finite = np.where(np.isfinite(numbers), numbers, np.nan)
        return np.asarray(np.clip((finite - low) / (high - low), 0, 1), dtype=np.float64)


def fit_bins(values: pl.Series, kind: Kind, *, counts_nulls: bool = True) -> Bins:
    """Bins of equal rows of a number, or the most frequent categories; of a column without values, one bin.

    A mean lies between the outermost quantiles of the reference: few far values must not blur it.
    """
    if kind == "categorical":
        frequent = values.cast(pl.String).drop_nulls().value_counts()
        names = frequent.sort(["count", values.name], descending=[True, False])[values.name].head(CATEGORIES)
        return Bins(column=values.name, kind=kind, categories=tuple(names.to_list()), counts_nulls=counts_nulls)
    numbers = values.cast(pl.Float64, strict=False).drop_nulls().to_numpy()
    numbers = numbers[np.isfinite(numbers)]
    if kind == "mean":
        ends = np.quantile(numbers, [QUANTILES[0], QUANTILES[-1]]) if len(numbers) else np.zeros(2)
        low, high = float(ends[0]), float(ends[1]) if ends[1] > ends[0] else float(ends[0]) + 1.0
        return Bins(column=values.name, kind=kind, edges=(low, high), counts_nulls=False)
    if not len(numbers):
        return Bins(column=values.name, kind=kind, counts_nulls=counts_nulls)
    edges = np.unique(np.quantile(numbers, QUANTILES, method="inverted_cdf"))
    # An edge at the largest value would leave a bin above it that no row of the reference is in.
    edges = edges[edges < numbers.max()]
    return Bins(column=values.name, kind=kind, edges=tuple(edges.tolist()), counts_nulls=counts_nulls)


@dataclass(frozen=True, kw_only=True)
class DayCounts:
    """Histograms by column and calendar day, and what else is to be known of the days.

    Attributes:
        first: The first day; the others follow without a gap.
        rows: Rows of each day, shape (days,).
        counts: By column, shape (days, bins).
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


def day_counts(frame: pl.DataFrame, day: pl.Series, bins: Iterable[Bins]) -> DayCounts:
    """Count the rows of every day by column and bin, in one pass over the rows.

    Args:
        frame: Shape (n >= 0, columns); columns that no bins are for are not looked at.
        day: The local date of each row, shape (n,), without nulls.
        bins: Of the columns to count.
    """
    wanted = list(bins)
    days = day.to_numpy().astype("datetime64[D]")
    first = days.min() if len(days) else np.datetime64("1970-01-01", "D")
    offset = (days - first).astype(np.int64)
    total = int(offset.max()) + 1 if len(days) else 0
    missing = frozenset(b.column for b in wanted if b.column not in frame.columns)
    numeric = [b.column for b in wanted if b.kind != "categorical" and b.column not in missing]
    mistyped = frozenset(name for name in numeric if frame.schema[name] == pl.String())
    facts = {name: _facts(frame[name], offset, total) for name in numeric if name not in mistyped}
    return DayCounts(
        first=first,
        rows=np.bincount(offset, minlength=total),
        counts={b.column: _count(b, frame, offset, total) for b in wanted},
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


def _count(bins: Bins, frame: pl.DataFrame, offset: Counts, days: int) -> Floats:
    there = bins.column in frame.columns
    values = frame[bins.column] if there else pl.Series(bins.column, [None] * len(offset), dtype=pl.String)
    return bins.histograms(values, offset, days)


def _facts(values: pl.Series, offset: Counts, days: int) -> tuple[Floats, Counts]:
    numbers = values.cast(pl.Float64, strict=False).to_numpy()
    usable = np.isfinite(numbers)
    extremes = np.full((days, 2), np.nan)
    # `fmin` and `fmax` pass over the NaN that the days begin with.
    np.fmin.at(extremes[:, 0], offset[usable], numbers[usable])
    np.fmax.at(extremes[:, 1], offset[usable], numbers[usable])
    return extremes, np.bincount(offset[np.isinf(numbers)], minlength=days)
