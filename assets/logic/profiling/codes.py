"""A column as whole numbers that a tiny model can learn from: bins of numbers, values of categories.

Belongs here: the forms in which a single column may give a target away. Does not belong here: how well it does
(`scoring.py`).
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, TypeAlias

import numpy as np
import numpy.typing as npt
import polars as pl

from assets.logic.profiling.values import to_numbers

Codes: TypeAlias = npt.NDArray[np.int64]

FINE_BINS: Final = 200
ROWS_PER_BIN: Final = 25
"""A mean over fewer rows is noise: with 25 it adds 4 % of the variance that is left."""
REPEATING: Final = 0.25
"""Different values per row up to which a value comes often enough to have a mean of its own."""


@dataclass(frozen=True, kw_only=True)
class View:
    """A column in one form.

    Attributes:
        codes: Shape (n,), 0 to size - 1, and -1 where the column is empty.
        is_ordered: Larger codes stand for larger values, so the order alone may tell.
    """

    codes: Codes
    size: int
    is_ordered: bool


def views(values: pl.Series, event_time: pl.Series, *, decimal_comma: bool = False) -> Iterator[View]:
    """The forms in which this column is tried, cheapest first.

    Numbers by their order and in bins; times likewise, and as time since the event; categories by value; texts that
    seldom repeat by their alphabetical order, their length, and the first number in them.

    Args:
        values: The landed column without null texts, shape (n,).
        event_time: When each row happened (UTC), shape (n,), null where unknown.
        decimal_comma: Numbers in text are written as `1.234,5`.
    """
    if values.dtype.is_nested() or values.dtype in (pl.Binary, pl.Object) or not values.count():
        return
    if values.dtype.is_temporal():
        yield from _of_times(values, event_time)
        return
    numbers = to_numbers(values, decimal_comma=decimal_comma)
    # Booleans are spelled in many ways, and as values they tell as much as numbers.
    if numbers.count() >= 0.5 * values.count():
        yield from _of_numbers(numbers)
    if numbers.count() < values.count():
        yield from _of_texts(values.cast(pl.String))


def gaps(column: pl.Series) -> View:
    """Whether a column without null texts is empty, as codes 0 (filled) and 1 (empty)."""
    empty = column.is_null().to_numpy()
    return View(codes=empty.astype(np.int64), size=2, is_ordered=False)


def _of_numbers(numbers: pl.Series) -> Iterator[View]:
    x = numbers.to_numpy()
    filled = ~np.isnan(x)
    known = np.sort(x[filled])
    first = np.concatenate([[True], known[1:] != known[:-1]])
    different = known[first]
    if len(different) < 2:
        return
    size = min(len(different), FINE_BINS)
    edges = different[1:] if len(different) <= FINE_BINS else np.unique(known[_spread(len(known), FINE_BINS)])
    fine = np.where(filled, np.searchsorted(edges, x, side="right"), -1)
    size = len(edges) + 1
    yield View(codes=fine, size=size, is_ordered=True)
    bins = int(np.clip(len(known) // ROWS_PER_BIN, 5, FINE_BINS))
    coarse = np.where(filled, fine * bins // size, -1) if size > bins else fine
    yield View(codes=coarse, size=min(size, bins), is_ordered=False)
    if FINE_BINS < len(different) <= REPEATING * len(known):
        codes = np.where(filled, np.searchsorted(different, x), -1)
        yield View(codes=codes, size=len(different) + 1, is_ordered=False)
    elif bins < size <= REPEATING * len(known) and len(different) <= FINE_BINS:
        yield View(codes=fine, size=size, is_ordered=False)


def _spread(n: int, parts: int) -> Codes:
    return np.unique(np.linspace(0, n - 1, parts + 1)[1:-1].astype(np.int64))


def _of_texts(values: pl.Series) -> Iterator[View]:
    rank = values.rank("dense")
    codes = rank.cast(pl.Int64).fill_null(0).to_numpy() - 1
    size = int(codes.max()) + 1
    if size < 2:
        return
    yield View(codes=codes, size=size, is_ordered=False)
    if size > REPEATING * values.count():
        yield from _of_numbers(rank.cast(pl.Float64))
        yield from _of_numbers(values.str.len_chars().cast(pl.Float64))
        inside = values.str.extract(r"(-?\d+(?:\.\d+)?)").cast(pl.Float64, strict=False)
        if inside.count() >= 0.5 * values.count():
            yield from _of_numbers(inside)


def _of_times(values: pl.Series, event_time: pl.Series) -> Iterator[View]:
    stamps = values.cast(pl.Int64, strict=False).cast(pl.Float64)
    yield from _of_numbers(stamps)
    if isinstance(values.dtype, pl.Datetime) and isinstance(event_time.dtype, pl.Datetime):
        since = as_utc(values) - as_utc(event_time)
        yield from _of_numbers(since.cast(pl.Int64).cast(pl.Float64))


def as_utc(times: pl.Series) -> pl.Series:
    """Times as Datetime in microseconds, without a zone and meant in UTC, so that two columns compare."""
    if isinstance(times.dtype, pl.Datetime) and times.dtype.time_zone:
        times = times.dt.convert_time_zone("UTC").dt.replace_time_zone(None)
    return times.cast(pl.Datetime("us"))
