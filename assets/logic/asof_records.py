"""What a history asks of a table, whether its rows stand still or records are still coming in.

Belongs here: that interface. Does not belong here: either kind of table (`asof_table.py`, `live_table.py`).
"""

from collections.abc import Iterator, Mapping, Sequence
from datetime import timedelta
from typing import Protocol, TypeAlias

import numpy as np
import numpy.typing as npt
import polars as pl

from assets.logic.asof_spine import Numbering
from assets.logic.clocks import Clock

Integers: TypeAlias = npt.NDArray[np.int64]
Sums: TypeAlias = Mapping[str, pl.Expr]


class Totals(Protocol):
    """Running totals of events."""

    def upto(self, codes: Integers, instants: Integers) -> dict[str, Integers]:
        """`count` and every total up to and including each (group, instant), each in the shape of `instants`."""
        ...


class Latest(Protocol):
    """Which row is the last one known."""

    def find(self, codes: Integers, instants: Integers) -> Integers:
        """Row number for each (group, instant), shape (n,); -1 where there is none."""
        ...


class Records(Protocol):
    """One table with its clock; see `asof_table.AsOfTable` for what the methods guarantee and refuse."""

    @property
    def clock(self) -> Clock:
        """When its records are known."""
        ...

    @property
    def schema(self) -> pl.Schema:
        """Its columns and their types."""
        ...

    @property
    def frame(self) -> pl.DataFrame:
        """Its rows."""
        ...

    def groups(self, by: Sequence[str]) -> Numbering:
        """Finds the groups over the columns `by`."""
        ...

    def totals(self, clock: str, by: Sequence[str], sums: Sums, where: pl.Expr | None = None) -> Totals:
        """Events that count from the instant at which the time column `clock` reaches us."""
        ...

    def stopped(
        self, opened: str, closed: Sequence[str], by: Sequence[str], sums: Sums, *, within: timedelta
    ) -> Totals:
        """The events of `totals(opened, ...)`, from the instant at which they are no longer pending."""
        ...

    def latest(self, by: Sequence[str]) -> Latest:
        """Rows from the instant they reach us."""
        ...

    def event_times(self, numbers: Integers) -> Integers:
        """Event times of the given rows, shape (n,), microseconds; any where the row number is -1."""
        ...

    def revealed(self, numbers: Integers, columns: Sequence[str], asked: Integers) -> pl.DataFrame:
        """Columns of the given rows as known at the instants `asked`, shape (n, columns); no row for -1."""
        ...


class Frames(Mapping[str, pl.DataFrame]):
    """The rows of tables by their names, looked at only when they are read."""

    def __init__(self, records: Mapping[str, Records]) -> None:
        self._records = dict(records)

    def __getitem__(self, name: str) -> pl.DataFrame:
        """The rows of one table."""
        return self._records[name].frame

    def __iter__(self) -> Iterator[str]:
        """The names."""
        return iter(self._records)

    def __len__(self) -> int:
        """Number of tables."""
        return len(self._records)
