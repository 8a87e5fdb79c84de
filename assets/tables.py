"""A table as a use case declares it: its columns as they land and as they are cleaned, rules, expectations, clocks.

Belongs here: the vocabulary of one table. Does not belong here: what is predicted from tables (`contracts.py`).
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, Literal

import polars as pl

from assets.logic.point_in_time import Clock
from assets.policies import DeclarationError, require_known
from resources.serving.ranges import Range
from resources.sources import Source

Severity = Literal["critical", "warning"]
Personal = Literal["hash", "drop"]
Clean = Callable[[pl.LazyFrame, Mapping[str, pl.LazyFrame]], pl.LazyFrame]


@dataclass(frozen=True, kw_only=True)
class Column:
    """One column of a landed file or of a cleaned table.

    `known_at` names the time column (of the same cleaned table) at which this column's value comes into the world,
    when that is later than the row itself: how late an order came is known at its delivery.

    `personal` says what becomes of a caller's value before the endpoint's log keeps it: `hash`, by a key of the state
    folder, so that equal values can still be joined, or `drop`. A feature of the same name is treated alike. The
    lake holds what landed.

    `range` says which values of a request to the endpoint are usual, and what becomes of one with another.
    """

    dtype: pl.DataType
    description: str
    unit: str | None = None
    nullable: bool = True
    known_at: str | None = None
    # No part of the code version: no table changes with these.
    personal: Personal | None = field(default=None, repr=False)
    range: Range | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        if self.range is None or (self.range.lowest, self.range.highest) == (None, None):
            return
        if not self.dtype.is_numeric():  # every request would fail when its value is compared
            raise DeclarationError(
                f"field range: bounds are for numbers, and the column {self.description!r} is {self.dtype}"
            )


@dataclass(frozen=True, kw_only=True)
class Rule:
    """A named reason to reject a landed row. `rejects` is true for rows that must not pass; null counts as false."""

    name: str
    description: str
    rejects: pl.Expr = field(compare=False)


@dataclass(frozen=True, kw_only=True)
class Expectation:
    """One Great Expectations expectation on a cleaned table, shown as one asset check.

    Attributes:
        check: Name of the asset check, a sentence that is true when it passes (`wind_speeds_are_plausible`).
        type: Great Expectations' own name, such as `expect_column_values_to_be_between`.
        arguments: Its keyword arguments.
        severity: `critical` stops everything downstream of the table, `warning` is shown and stops nothing.
    """

    check: str
    type: str
    arguments: Mapping[str, Any]
    severity: Severity = "critical"


@dataclass(frozen=True, kw_only=True)
class SourceTable:
    """One table as it lands, how it is cleaned, and when its records can be known.

    Attributes:
        columns: The landed columns in order. A file with other columns is refused, naming them.
        cleaned_columns: What `clean` returns, in order.
        key: Columns of the landed table that identify a row; empty if there is none, and then nothing is de-duplicated.
        clean: Pure function from valid typed rows and `lookups` (other cleaned tables by name) to cleaned rows.
        event_time: Column of the cleaned table: when the record happened (UTC).
        known_at: Column of the cleaned table: when the row could first be known at its origin (UTC). None: known in
            advance (a schedule, a register).
        available_after: How much later the record reaches us. Training honours it, serving delivers it.
        is_partitioned: False for a whole file that replaces its predecessor.
        is_optional: A partition that has not arrived is recorded as a degradation instead of stopping the run.
    """

    name: str
    description: str
    source: Source
    columns: Mapping[str, Column]
    cleaned_columns: Mapping[str, Column]
    key: tuple[str, ...]
    clean: Clean = field(compare=False)
    lookups: tuple[str, ...] = ()
    rules: tuple[Rule, ...] = ()
    expectations: tuple[Expectation, ...] = ()
    event_time: str | None = None
    known_at: str | None = None
    available_after: timedelta = timedelta(0)
    is_partitioned: bool = True
    is_optional: bool = False

    def __post_init__(self) -> None:
        where = f"table {self.name!r}"
        require_known(self.key, self.columns, f"{where}, field key")
        clocks = [c for c in (self.event_time, self.known_at) if c]
        clocks += [c.known_at for c in self.cleaned_columns.values() if c.known_at]
        require_known(clocks, self.cleaned_columns, f"{where}, fields event_time, known_at")
        names = [r.name for r in self.rules] + [e.check for e in self.expectations]
        if twice := sorted({n for n in names if names.count(n) > 1}):
            raise DeclarationError(f"{where}: rules and expectations need different names, but {twice} stand twice")

    def personal(self, treatment: Personal) -> frozenset[str]:
        """Cleaned columns whose values the endpoint's log keeps only so, or not at all."""
        return frozenset(n for n, c in self.cleaned_columns.items() if c.personal == treatment)

    @property
    def clock(self) -> Clock:
        """The clocks of this table as the point-in-time functions need them."""
        by_column = {n: c.known_at for n, c in self.cleaned_columns.items() if c.known_at}
        return Clock(
            event_time=self.event_time,
            known_at=self.known_at,
            known_at_by_column=by_column,
            available_after=self.available_after,
        )
