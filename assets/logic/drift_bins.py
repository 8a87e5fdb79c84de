"""Bins that a reference fixes for a column, or for two together, and counting rows over them.

Belongs here: where bins lie, and which a row is in. Does not belong here: which columns are looked at together
(`drift_pairs.py`), and days and distances (`drift_histograms.py`).
"""

from collections.abc import Sequence
from dataclasses import dataclass
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
TOGETHER: Final = " \N{MULTIPLICATION SIGN} "
"""Between the names of two columns in that of their pair; a column's name is an identifier, and holds none."""


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

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns that are counted."""
        return (self.column,)

    def histograms(self, rows: pl.DataFrame, member: Counts, number: int) -> Floats:
        """How many rows of each of `number` groups are in each bin, shape (number, bins).

        Args:
            rows: Shape (n, columns); a column that they do not have counts as null.
            member: The group that each row is in, from 0, shape (n,).
            number: How many groups there are.
        """
        values = _values(rows, self.column)
        if self.kind == "mean":
            upper = self._shares(values)
            there = np.isfinite(upper)
            sums = [np.bincount(member[there], weights=w[there], minlength=number) for w in (1 - upper, upper)]
            return np.stack(sums, axis=1)
        return _cells(self.codes(values), self.size, member, number)

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


@dataclass(frozen=True, kw_only=True)
class PairBins:
    """The bins of two columns together: one for each bin of the one with each of the other, nulls included."""

    first: Bins
    second: Bins

    @property
    def column(self) -> str:
        """What the pair is called."""
        return f"{self.first.column}{TOGETHER}{self.second.column}"

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns that are counted."""
        return (self.first.column, self.second.column)

    @property
    def size(self) -> int:
        """How many bins there are."""
        return self.first.size * self.second.size

    def histograms(self, rows: pl.DataFrame, member: Counts, number: int) -> Floats:
        """As of one column; a row is in the bin of both of its values."""
        first, second = (part.codes(_values(rows, part.column)) for part in (self.first, self.second))
        both = np.where((first >= 0) & (second >= 0), first * self.second.size + second, -1)
        return _cells(both, self.size, member, number)


AnyBins = Bins | PairBins


def fit_bins(
    values: pl.Series,
    kind: Kind,
    *,
    counts_nulls: bool = True,
    quantiles: Sequence[float] = QUANTILES,
    categories: int = CATEGORIES,
) -> Bins:
    """Bins of equal rows of a number, or the most frequent categories; of a column without values, one bin.

    A mean lies between the outermost quantiles of the reference: few far values must not blur it.
    """
    if kind == "categorical":
        # Under a name of its own: a column may be called as that of the counts is.
        frequent = values.cast(pl.String).alias("word").drop_nulls().value_counts(name="rows")
        names = frequent.sort(["rows", "word"], descending=[True, False])["word"].head(categories)
        return Bins(column=values.name, kind=kind, categories=tuple(names.to_list()), counts_nulls=counts_nulls)
    numbers = values.cast(pl.Float64, strict=False).drop_nulls().to_numpy()
    numbers = numbers[np.isfinite(numbers)]
    if kind == "mean":
        ends = np.quantile(numbers, [quantiles[0], quantiles[-1]]) if len(numbers) else np.zeros(2)
        low, high = float(ends[0]), float(ends[1]) if ends[1] > ends[0] else float(ends[0]) + 1.0
        return Bins(column=values.name, kind=kind, edges=(low, high), counts_nulls=False)
    if not len(numbers):
        return Bins(column=values.name, kind=kind, counts_nulls=counts_nulls)
    edges = np.unique(np.quantile(numbers, quantiles, method="inverted_cdf"))
    # An edge at the largest value would leave a bin above it that no row of the reference is in.
    edges = edges[edges < numbers.max()]
    return Bins(column=values.name, kind=kind, edges=tuple(edges.tolist()), counts_nulls=counts_nulls)


def _cells(codes: Counts, size: int, member: Counts, number: int) -> Floats:
    """Rows by group and bin, shape (number, size); those with code -1 are not counted."""
    counted = codes >= 0
    cells = member[counted] * size + codes[counted]
    return np.bincount(cells, minlength=number * size).reshape(number, size).astype(np.float64)


def _values(frame: pl.DataFrame, column: str) -> pl.Series:
    there = column in frame.columns
    return frame[column] if there else pl.Series(column, [None] * len(frame), dtype=pl.String)
