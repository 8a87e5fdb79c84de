"""Sums over windows of the past: exact, as far as known at prediction time, and bounded in how far back they look.

Belongs here: from a column to counts, sums and sums of squares per window. Does not belong here: the blocks that make
features of them (`windows.py`, `rates.py`).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from functools import lru_cache
from typing import Final, Literal, TypeAlias

import numpy as np
import numpy.typing as npt
import polars as pl

from assets.logic.asof_index import Integers
from assets.logic.feature_blocks.base import clock, known_clock
from assets.logic.point_in_time import History
from resources.errors import InputError

Statistic = Literal["count", "mean", "sum", "std"]
Floats: TypeAlias = npt.NDArray[np.float64]

DECIMALS: Final = 6
"""Decimals that a number with decimals keeps in a sum, unless it is declared otherwise."""
HALF: Final = 2**31
"""Every scaled number is summed in two halves, so that four thousand million of them cannot overflow 64 bits."""
LIMIT: Final = 2.0**62
"""A scaled number has to be smaller than this."""


@dataclass(frozen=True, kw_only=True)
class Totals:
    """What windows hold: the number of values, their sum and the sum of their squares, each of shape (n,)."""

    count: Integers
    total: Floats
    squares: Floats | None = None

    def statistic(self, name: Statistic) -> Floats:
        """NaN where there are too few values: none for a mean, one for a spread. A count and a sum of nothing are 0."""
        count = self.count.astype(np.float64)
        if name == "count":
            return count
        if name == "sum":
            return self.total
        mean = ratio(self.total, count)
        if name == "mean" or self.squares is None:
            return mean
        # Sums in fixed point can leave a tiny negative rest where all values are equal.
        spread = np.maximum(self.squares - self.total * mean, 0.0)
        return ratio(spread, count - 1) ** 0.5


def ratio(part: Floats, whole: Floats) -> Floats:
    """Part by whole, shape (n,); NaN where the whole is not above 0."""
    shares = np.full(len(whole), np.nan)
    np.divide(part, whole, out=shares, where=whole > 0)
    return shares


def totals(
    spine: pl.DataFrame,
    history: History,
    *,
    table: str,
    column: str | None,
    by: tuple[str, ...],
    over: Mapping[str, timedelta],
    lateness: timedelta,
    ago: timedelta = timedelta(0),
    decimals: int = DECIMALS,
    equals: str | int | bool | None = None,
    with_squares: bool = False,
) -> dict[str, Totals]:
    """What the windows (P - ago - over, P - ago] hold, by the instant at which the values reached us.

    Numbers with decimals are summed in fixed point, because a running sum of floats depends on where it began.

    Args:
        spine: Rows that ask, shape (n, any), with `by` and `prediction_time`.
        history: Where `table` is known from.
        table: Whose rows.
        column: Numbers or Booleans; null and NaN do not count. None: rows are counted.
        by: Group columns, in the table and in the spine; empty: all rows together.
        over: Length of each window, by a name for it.
        lateness: A record that reached us later than this after its event time never counts: what is answered then
            needs no older records than that.
        ago: Where the windows end.
        decimals: Decimals that a float keeps.
        equals: Sum up whether `column` is this value instead of the value itself.
        with_squares: Sum up the squares as well.

    Returns:
        Totals per name of a window, rows as in `spine`.

    Raises:
        DeclarationError: If the table has no time.
        InputError: If a number in a window is too large for its decimals.
    """
    dated_by = known_clock(history, table, column)
    clocks = clock(history, table)
    is_float = column is not None and equals is None and history.schema(table)[column].is_float()
    scale = decimals if is_float else 0
    sums = {} if column is None else dict(_sums(column, scale, equals, with_squares))
    found = history.windows(
        spine,
        table=table,
        clock=dated_by,
        by=by,
        since={name: length + ago for name, length in over.items()},
        until=-ago,
        sums=sums,
        where=_counts(column, dated_by, clocks.event_time, lateness - clocks.available_after, is_float=is_float),
    )
    return {name: _totals(of, scale, table, column) for name, of in found.items()}


@lru_cache(maxsize=1024, typed=True)
def _counts(
    column: str | None, dated_by: str, event_time: str | None, within: timedelta, *, is_float: bool
) -> pl.Expr | None:
    """Which rows count: those with a value that came soon enough after their event."""
    conditions = []
    if column is not None:
        conditions.append(pl.col(column).is_not_nan() if is_float else pl.col(column).is_not_null())
    if event_time is not None and event_time != dated_by:
        conditions.append(pl.col(dated_by) - pl.col(event_time) <= within)
    return pl.all_horizontal(conditions) if conditions else None


@lru_cache(maxsize=1024, typed=True)
def _sums(
    column: str, scale: int, equals: str | int | bool | None, with_squares: bool
) -> tuple[tuple[str, pl.Expr], ...]:
    """Integer sums: the scaled value in two halves, its square as well, and how many are too large."""
    value = (pl.col(column) == equals if equals is not None else pl.col(column)).cast(pl.Float64)
    parts = {"total": value} | ({"squares": value * value} if with_squares else {})
    found: list[tuple[str, pl.Expr]] = []
    for name, part in parts.items():
        scaled = part * 10.0**scale
        fits = scaled.abs() < LIMIT
        whole = pl.when(fits).then(scaled.round()).cast(pl.Int64)
        found += [(f"{name}_high", whole // HALF), (f"{name}_low", whole % HALF), (f"{name}_too_large", ~fits)]
    return tuple(found)


def _totals(of: Mapping[str, Integers], scale: int, table: str, column: str | None) -> Totals:
    def total(name: str) -> Floats:
        if of[f"{name}_too_large"].any():
            raise InputError(
                f"Table {table!r} holds numbers in {column!r} too large to be summed with {scale} "
                "decimals; declare fewer"
            )
        return np.asarray((of[f"{name}_high"].astype(np.float64) * HALF + of[f"{name}_low"]) / 10.0**scale)

    if column is None:
        return Totals(count=of["count"], total=of["count"].astype(np.float64))
    return Totals(count=of["count"], total=total("total"), squares=total("squares") if "squares_low" in of else None)
