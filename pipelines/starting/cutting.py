"""How a table is cut by time: partitions that hold enough rows, and a split that leaves enough to learn from.

Belongs here: choices by the number of rows and days. Does not belong here: carrying them out (`assets/partitions.py`,
`assets/logic/splits.py`).
"""

from dataclasses import dataclass
from datetime import date, timedelta
from typing import Final

import polars as pl

from assets.partitions import ONE_DAY, Partitions, Period

ROWS_PER_PARTITION: Final = 20
"""A partition is read, checked and written by itself, which is not worth it for a handful of rows."""
WINDOW: Final = 0.2
"""Share of the days for validation, and again for the test."""
ENOUGH_TEST_ROWS: Final = 1_000
YEAR: Final = timedelta(days=365)


@dataclass(frozen=True, kw_only=True)
class Cutting:
    """How a table is cut.

    Attributes:
        start: First day of the first partition.
        first: First local day with a row; `last` likewise.
        window: Length of validation, and of the test.
        minimum_rows: Labelled test rows below which nothing is decided.
    """

    every: Period
    start: date
    first: date
    last: date
    window: timedelta
    minimum_rows: int

    @property
    def days(self) -> int:
        """Days from the first to the last row."""
        return (self.last - self.first) // ONE_DAY + 1


def cut(event_time: pl.Series, is_labelled: pl.Series, zone: str, step: int) -> Cutting:
    """Partitions and split for rows with these times.

    Args:
        event_time: Instants (UTC), null where unknown, shape (n,), at least one known.
        is_labelled: Whether there is an outcome, shape (n,).
        zone: Time zone of local days.
        step: Of so many rows, one was looked at.
    """
    days = event_time.dt.convert_time_zone(zone).dt.date()
    first, last = _first_and_last(days)
    span = (last - first) // ONE_DAY + 1
    every = _every(days, span, step)
    labelled = days.filter(is_labelled).drop_nulls()
    until = labelled.max()
    known = (until - first) // ONE_DAY + 1 if isinstance(until, date) else span
    lengths = {"day": 1, "week": 7, "month": 28}
    window = ONE_DAY * max(2, lengths[every], round(WINDOW * known))
    begins = (until if isinstance(until, date) else last) - window
    test_rows = int((labelled > begins).sum()) * step
    return Cutting(
        every=every,
        start=_first_day(first, every),
        first=first,
        last=last,
        window=window,
        minimum_rows=ENOUGH_TEST_ROWS if test_rows >= 2 * ENOUGH_TEST_ROWS else max(20, test_rows // 2),
    )


def _first_and_last(days: pl.Series) -> tuple[date, date]:
    """Of the rows; a handful that lies more than a year apart from all others is left out."""
    known = days.drop_nulls().sort()
    few = len(known) // 1_000
    low, high = known[few], known[len(known) - 1 - few]
    first = known[0] if low - known[0] <= YEAR else low
    return first, known[-1] if known[-1] - high <= YEAR else high


def _every(days: pl.Series, span: int, step: int) -> Period:
    """Days if they are there and hold enough rows; else weeks; else months."""
    rows, there = len(days.drop_nulls()) * step, days.drop_nulls().n_unique()
    if rows / span >= ROWS_PER_PARTITION or (there >= 0.5 * span and span <= 400):
        return "day"
    if rows * 7 / span >= ROWS_PER_PARTITION or (there >= 0.1 * span and span <= 2_500):
        return "week"
    return "month"


def _first_day(day: date, every: Period) -> date:
    """First day of the partition that holds a day; 1900 began with a Monday, which begins all kinds of partitions."""
    return Partitions(start=date(1900, 1, 1), every=every).first_day(day)
