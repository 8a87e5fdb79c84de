"""When a record happened and when it could be known: the two clocks of a table, and what follows from them.

Belongs here: rules that need one table and its clock. Does not belong here: finding rows; that is `point_in_time`.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import cached_property
from typing import Final, TypeAlias

import numpy as np
import numpy.typing as npt
import polars as pl

Instants: TypeAlias = npt.NDArray[np.int64]
Flags: TypeAlias = npt.NDArray[np.bool_]

UTC_TIME: Final = pl.Datetime("us", "UTC")
NEVER: Final = 2**62
"""Instant in microseconds that no clock reaches, with room left to add a delay."""
NO_TIME: Final = np.iinfo(np.int64).min
"""What NumPy writes for a time that is missing."""


@dataclass(frozen=True, kw_only=True)
class Clock:
    """When the records of a table happened, and when they could be known.

    Attributes:
        event_time: Column with the instant the record is about (UTC); None for a register without time.
        known_at: Column with the instant at which a row is known at its origin (UTC). None: known in advance.
        known_at_by_column: The same for single columns that are known at another instant than their row. A time column
            named here as a clock is itself known at the time it tells.
        available_after: How much later than that a record reaches us. What is known in advance is not delayed.
    """

    event_time: str | None = None
    known_at: str | None = None
    known_at_by_column: Mapping[str, str] = field(default_factory=dict)
    available_after: timedelta = timedelta(0)

    def of(self, column: str) -> str | None:
        """The time column at which values of `column` are known at their origin; None: in advance."""
        return self._by_column.get(column, self.known_at)

    def available_at(self, frame: pl.DataFrame, column: str) -> Instants:
        """When the event dated by time column `column` reaches us, shape (n,), microseconds; null is never."""
        delay = timedelta(0) if self.of(column) is None else self.available_after
        return instants(frame[column]) + microseconds(delay)

    def check(self, table: str, frame: pl.DataFrame) -> None:
        """Refuse a table without the time columns of its clock.

        Raises:
            ValueError: If a clock column is absent or not `Datetime("us", "UTC")`, naming it.
        """
        named = {self.event_time, self.known_at, *self.known_at_by_column.values()} - {None}
        for column in sorted(str(c) for c in named):
            if (dtype := frame.schema.get(column)) != UTC_TIME:
                raise ValueError(f"table {table!r}: clock column {column!r} must be {UTC_TIME}, got {dtype}")

    def require_known_with(self, clock: str | None, columns: Iterable[str], table: str) -> None:
        """Refuse columns that may still be unknown when the event dated by time column `clock` is known.

        Args:
            clock: A time column, or None for what is known in advance.
            columns: What is used together with it.
            table: Name of the table, for the message.

        Raises:
            ValueError: If the row, `clock` itself or one of `columns` is known at another instant, naming it.
        """
        if self.known_at not in (None, clock):
            raise ValueError(f"table {table!r}: rows are known at {self.known_at!r}, so the clock cannot be {clock!r}")
        for column in (c for c in (clock, *columns) if c is not None):
            if (known := self.of(column)) not in (None, clock):
                raise ValueError(f"table {table!r}: {column!r} is known at {known!r}, which is not the clock {clock!r}")

    def cut(
        self, frame: pl.DataFrame, at: datetime, since: datetime | None = None, until: datetime | None = None
    ) -> pl.DataFrame:
        """The rows known at `at` and dated from `since` to `until`; of these, values that come later are null."""
        latest = pl.lit(at - self.available_after, UTC_TIME)
        keeps = [] if self.known_at is None else [pl.col(self.known_at) <= latest]
        if self.event_time is not None:
            event_time = pl.col(self.event_time)
            bounds = [event_time >= pl.lit(since, UTC_TIME)] if since is not None else []
            bounds += [event_time <= pl.lit(until, UTC_TIME)] if until is not None else []
            keeps += [event_time.is_null() | bound for bound in bounds]
        if keeps:
            frame = frame.filter(*keeps)
        late = {c: pl.col(known) <= latest for c, known in self._by_column.items() if c in frame.columns}
        return frame.with_columns(pl.when(is_known).then(pl.col(c)) for c, is_known in late.items())

    def reaches(self, frame: pl.DataFrame, since: datetime) -> Flags:
        """Which rows happened, or told something that reached us, at `since` (aware) or later, shape (n,).

        A row without any time always does.
        """
        columns = sorted({c for c in (self.event_time, self.known_at, *self._by_column.values()) if c is not None})
        if not columns:
            return np.ones(len(frame), dtype=np.bool_)
        times = np.stack([self.available_at(frame, column) for column in columns])
        is_told = times < NEVER
        bound = microseconds(since - datetime(1970, 1, 1, tzinfo=UTC))
        return np.asarray(((times >= bound) & is_told).any(axis=0) | ~is_told.any(axis=0))

    @cached_property
    def _by_column(self) -> dict[str, str]:
        # A departure time is not known before the departure, even if only the delay was declared to wait for it.
        return {c: c for c in self.known_at_by_column.values()} | dict(self.known_at_by_column)


def instants(times: pl.Series) -> Instants:
    """UTC times as microseconds since 1970, shape (n,), int64; null is `NEVER`.

    Raises:
        ValueError: If the series is not `Datetime("us", "UTC")`.
    """
    if times.dtype != UTC_TIME:
        raise ValueError(f"time column {times.name!r} must be {UTC_TIME}, got {times.dtype}")
    # By way of NumPy, because Polars starts a query of its own for each step, which for one row is all that takes time.
    counted: Instants = times.to_numpy().view(np.int64)
    return np.where(counted == NO_TIME, NEVER, counted) if times.null_count() else counted


def microseconds(length: timedelta) -> int:
    """Length in whole microseconds."""
    return length // timedelta(microseconds=1)
