"""Counts, means, sums and spreads of a column over windows of the past.

Belongs here: statistics of the rows of a group that became known within a window before prediction time. Does not
belong here: single rows (`past_values.py`), shares of categories and rates of the target (`rates.py`).
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from typing import get_args

import polars as pl

from assets.contracts import Feature
from assets.logic.feature_blocks.base import LATENESS, grouped_name, numeric, of_group, require_lengths, span, spoken
from assets.logic.feature_blocks.sums import DECIMALS, Statistic, totals
from assets.logic.point_in_time import History
from assets.policies import DeclarationError


@dataclass(frozen=True, kw_only=True)
class Window:
    """Statistics of the rows of a group that became known within a window before prediction time.

    Attributes:
        table: Whose rows; the entity table itself for the past of the target.
        column: Numbers or Booleans (their mean is a share); null and NaN do not count. None: only `count`, of rows.
        by: Group columns, in the table and among the inputs; empty: all rows together.
        over: Lengths of the windows.
        of: `count` of values, `mean`, `sum`, `std` (of a sample, from two values on).
        ago: The windows end so long before prediction time.
        decimals: Decimals that numbers keep in sums.
        lateness: A record that reached us later than this after its event time never counts.
        name: Beginning of the names of the features; by default the column.
    """

    table: str
    column: str | None = None
    by: tuple[str, ...] = ()
    over: tuple[timedelta, ...]
    of: tuple[Statistic, ...] = ("mean",)
    ago: timedelta = timedelta(0)
    decimals: int = DECIMALS
    lateness: timedelta = LATENESS
    name: str | None = None

    def __post_init__(self) -> None:
        require_lengths(self, self.over, "over")
        if unknown := sorted(set(self.of) - set(get_args(Statistic))):
            raise DeclarationError(f"features, Window, field of: {unknown} is not one of {list(get_args(Statistic))}")
        if self.column is None and set(self.of) != {"count"}:
            raise DeclarationError("features, Window, field column: without a column there is only the statistic count")
        if self.ago < timedelta(0):
            raise DeclarationError(f"features, Window, field ago: {self.ago} would look ahead of prediction time")

    @property
    def lookback(self) -> timedelta:
        """The longest window, where it ends, and how late records may be."""
        return max(self.over) + self.ago + self.lateness

    @property
    def tables(self) -> tuple[str, ...]:
        """The table of the rows."""
        return (self.table,)

    @property
    def inputs(self) -> tuple[str, ...]:
        """The groups."""
        return self.by

    def features(self) -> tuple[Feature, ...]:
        """One per statistic and window: `price_mean_7d_by_shop`."""
        return tuple(self._declared())

    def build(self, spine: pl.DataFrame, history: History) -> dict[str, pl.Series]:
        """Float64; null where there is too little to tell, except that count and sum of nothing are 0."""
        found = totals(
            spine,
            history,
            table=self.table,
            column=self.column,
            by=self.by,
            over={span(length): length for length in self.over},
            lateness=self.lateness,
            ago=self.ago,
            decimals=self.decimals,
            with_squares="std" in self.of,
        )
        return {
            self._name(statistic, length): pl.Series(found[span(length)].statistic(statistic), nan_to_null=True)
            for length in self.over
            for statistic in self.of
        }

    def _declared(self) -> Iterator[Feature]:
        words = {"count": "Number", "mean": "Mean", "sum": "Sum", "std": "Standard deviation"}
        what = f"of {self.column} {of_group(self.by)}" if self.column else of_group(self.by)
        end = f" that ended {spoken(self.ago)} before" if self.ago else ""
        for length in self.over:
            for statistic in self.of:
                description = f"{words[statistic]} {what}, as known in the last {spoken(length)}{end}"
                yield numeric(self._name(statistic, length), "history", description)

    def _name(self, statistic: Statistic, length: timedelta) -> str:
        stem = f"{self.name or self.column or self.table}_{statistic}_{span(length)}"
        return grouped_name(f"{stem}_until_{span(self.ago)}_ago" if self.ago else stem, self.by)
