"""Blocks that turn a category into numbers by its past: how frequent it is, and how its target turned out.

Belongs here: frequency and target encoding as of prediction time. Does not belong here: statistics of other columns
(`windows.py`).

Method: target encoding shrinks the mean of a category towards the mean of all rows, by the number of rows (D.
Micci-Barreca, "A preprocessing scheme for high-cardinality categorical attributes", SIGKDD Explorations 3(1), 2001). A
row's own target must not be in its encoding; here every row sees only targets known at its prediction time, which is
the strictest form of encoding in folds by time, and the same function in training and in serving.
"""

from dataclasses import dataclass
from datetime import timedelta

import numpy as np
import polars as pl

from assets.contracts import Feature
from assets.logic.feature_blocks.base import LATENESS, numeric, require_lengths, span, spoken
from assets.logic.feature_blocks.sums import DECIMALS, ratio, totals
from assets.logic.point_in_time import History
from assets.policies import DeclarationError


@dataclass(frozen=True, kw_only=True)
class Frequency:
    """Share of the rows known within a window that have the same category (or combination) as the row that asks.

    Attributes:
        table: Whose rows.
        by: The category columns, in the table and among the inputs.
        over: Lengths of the windows.
        lateness: A record that reached us later than this after its event time never counts.
    """

    table: str
    by: tuple[str, ...]
    over: tuple[timedelta, ...]
    lateness: timedelta = LATENESS

    def __post_init__(self) -> None:
        require_lengths(self, self.over, "over")
        _require_groups(self, self.by)

    @property
    def lookback(self) -> timedelta:
        """The longest window, and how late records may be."""
        return max(self.over) + self.lateness

    @property
    def tables(self) -> tuple[str, ...]:
        """The table of the rows."""
        return (self.table,)

    @property
    def inputs(self) -> tuple[str, ...]:
        """The category columns."""
        return self.by

    def features(self) -> tuple[Feature, ...]:
        """One per window: `shop_share_28d`."""
        what = f"Share of the rows of {self.table} with the same {' and '.join(self.by)} among all known in the last"
        return tuple(numeric(self._name(length), "history", f"{what} {spoken(length)}") for length in self.over)

    def build(self, spine: pl.DataFrame, history: History) -> dict[str, pl.Series]:
        """Float64; 0 for a category not seen within the window, null where nothing at all was."""
        over = {span(length): length for length in self.over}
        same, whole = (
            totals(spine, history, table=self.table, column=None, by=by, over=over, lateness=self.lateness)
            for by in (self.by, ())
        )
        return {
            self._name(length): pl.Series(ratio(same[name].total, whole[name].total), nan_to_null=True)
            for name, length in over.items()
        }

    def _name(self, length: timedelta) -> str:
        return f"{'_'.join(self.by)}_share_{span(length)}"


@dataclass(frozen=True, kw_only=True)
class TargetRate:
    """Mean target of the category of the row that asks, over targets known at prediction time, shrunk to that of all.

    With n targets of mean m in the category, and the mean M of all rows in the window: (n m + smoothing M) / (n +
    smoothing). A new category has M.

    Attributes:
        table: The table of the target, usually the entity table.
        column: The target: numbers or Booleans; or anything, if `equals` says which value counts as 1.
        equals: The class whose rate is meant, of a target in words or codes.
        by: The category columns, in the table and among the inputs.
        over: Lengths of the windows.
        smoothing: As many rows of the mean of all are mixed in.
        decimals: Decimals that numbers keep in sums.
        lateness: A target that reached us later than this after its event time never counts. Set it to how long
            targets take.
    """

    table: str
    column: str
    equals: str | int | bool | None = None
    by: tuple[str, ...]
    over: tuple[timedelta, ...]
    smoothing: float = 20.0
    decimals: int = DECIMALS
    lateness: timedelta = LATENESS

    def __post_init__(self) -> None:
        require_lengths(self, self.over, "over")
        _require_groups(self, self.by)
        if not self.smoothing > 0:
            raise DeclarationError(f"features, TargetRate, field smoothing: {self.smoothing} must be above 0")

    @property
    def lookback(self) -> timedelta:
        """The longest window, and how late targets may be."""
        return max(self.over) + self.lateness

    @property
    def tables(self) -> tuple[str, ...]:
        """The table of the target."""
        return (self.table,)

    @property
    def inputs(self) -> tuple[str, ...]:
        """The category columns."""
        return self.by

    def features(self) -> tuple[Feature, ...]:
        """One per window: `is_late_rate_28d_by_shop`."""
        what = f"Share of {self.column} = {self.equals}" if self.equals is not None else f"Mean of {self.column}"
        of = f"of the rows with the same {' and '.join(self.by)}, shrunk to that of all, as known in the last"
        return tuple(numeric(self._name(length), "history", f"{what} {of} {spoken(length)}") for length in self.over)

    def build(self, spine: pl.DataFrame, history: History) -> dict[str, pl.Series]:
        """Float64; null where no target at all was known within the window."""
        over = {span(length): length for length in self.over}
        same, whole = (
            totals(
                spine,
                history,
                table=self.table,
                column=self.column,
                by=by,
                over=over,
                lateness=self.lateness,
                decimals=self.decimals,
                equals=self.equals,
            )
            for by in (self.by, ())
        )
        found = {}
        for name, length in over.items():
            mean = whole[name].statistic("mean")
            rate = (same[name].total + self.smoothing * mean) / (same[name].count + self.smoothing)
            found[self._name(length)] = pl.Series(np.asarray(rate), nan_to_null=True)
        return found

    def _name(self, length: timedelta) -> str:
        stem = self.column if self.equals is None else f"{self.column}_{self.equals}"
        return f"{stem}_rate_{span(length)}_by_{'_'.join(self.by)}"


def _require_groups(block: object, by: tuple[str, ...]) -> None:
    if not by:
        raise DeclarationError(f"features, {type(block).__name__}, field by: name at least one category column")
