"""One table with its clock, and the sorted arrays over it: each is built when first asked for and then kept.

Belongs here: from columns to the arrays of `asof_index`, refusing what was not known together. Does not belong here:
the questions themselves and the instants they are asked at; those are `point_in_time`.
"""

from collections.abc import Callable, Hashable, Sequence
from datetime import timedelta
from functools import partial
from threading import RLock
from typing import TypeAlias, TypeVar, cast

import numpy as np
import numpy.typing as npt
import polars as pl

from assets.logic.asof_expressions import identity, serialized
from assets.logic.asof_index import GroupCodes, Integers, LatestRows, RunningTotals, Timeline
from assets.logic.asof_records import Sums
from assets.logic.clocks import NEVER, Clock, instants, microseconds

Flags: TypeAlias = npt.NDArray[np.bool_]
T = TypeVar("T")


class AsOfTable:
    """A table that can be asked many times; asking is safe from many threads.

    Attributes:
        name: Its name, for messages.
        frame: Its rows.
        clock: When they are known.
        schema: Its columns and their types.
    """

    weights: Integers | None = None
    """What each row counts in totals, shape (n,); None: one."""

    def __init__(self, name: str, frame: pl.DataFrame, clock: Clock) -> None:
        """Take the table; nothing is sorted before it is asked for.

        Raises:
            ValueError: If a clock column is absent or not `Datetime("us", "UTC")`.
        """
        clock.check(name, frame)
        self.name, self.frame, self.clock = name, frame, clock
        self.schema = frame.schema
        self._built: dict[Hashable, object] = {}
        self._lock = RLock()

    def groups(self, by: Sequence[str]) -> GroupCodes:
        """Group codes over the columns `by`."""
        return self._once(("groups", tuple(by)), lambda: GroupCodes(self.frame, by))

    def codes(self, by: Sequence[str]) -> Integers:
        """Group of every row, shape (n,); -1 for none."""
        return self.groups(by).codes

    def totals(self, clock: str, by: Sequence[str], sums: Sums, where: pl.Expr | None = None) -> RunningTotals:
        """Events that count from the instant at which the time column `clock` reaches us.

        Raises:
            ValueError: If a column is not known at that clock, or an expression is not fit to be summed.
        """

        def build() -> RunningTotals:
            self.clock.require_known_with(clock, [*by, *self._roots(sums, where)], self.name)
            flags = self._once(("flags", which), lambda: self._flags(where))
            codes = np.where((self._available(clock) < NEVER) & flags, self.codes(by), -1)
            return RunningTotals(codes, self._timeline(clock), self._integers(sums), self.weights)

        which = None if where is None else serialized(where)
        return self._once(("totals", clock, tuple(by), identity(sums), which), build)

    def stopped(
        self, opened: str, closed: Sequence[str], by: Sequence[str], sums: Sums, *, within: timedelta
    ) -> RunningTotals:
        """The events of `totals(opened, ...)`, counting from the instant at which they are no longer pending.

        Raises:
            ValueError: If one of `closed` is not a clock that tells its own time.
        """

        def ends() -> Timeline:
            start = self._available(opened)
            first = start + microseconds(within)
            for column in closed:
                self.clock.require_known_with(column, [], self.name)
                # An end that is known before the event opens (an early departure) leaves nothing pending.
                first = np.minimum(first, np.maximum(start, self._available(column)))
            return Timeline(first)

        def build() -> RunningTotals:
            timeline = self._once(("ends", opened, tuple(closed), within), ends)
            codes = np.where(self._available(opened) < NEVER, self.codes(by), -1)
            return RunningTotals(codes, timeline, self._integers(sums), self.weights)

        return self._once(("stopped", opened, tuple(closed), tuple(by), identity(sums), within), build)

    def latest(self, by: Sequence[str]) -> LatestRows:
        """Rows that count from the instant they reach us, or from their event time if they are known in advance.

        Raises:
            ValueError: If the event time or a group column is not known with the row.
        """

        def build() -> LatestRows:
            dated_by = [column for column in (self.clock.event_time or self.clock.known_at,) if column]
            self.clock.require_known_with(self.clock.known_at, [*by, *dated_by], self.name)
            event_times, counts_from = self.dated()
            codes = np.where((event_times < NEVER) & (counts_from < NEVER), self.codes(by), -1)
            ranks = _tie_ranks(self.frame.select(self.known_with_row), codes, counts_from, event_times)
            return LatestRows(codes, Timeline(counts_from, ranks), event_times)

        return self._once(("latest", tuple(by)), build)

    def dated(self) -> tuple[Integers, Integers]:
        """What the latest row is the latest by, and from when it counts, each of shape (n,), microseconds."""

        def build() -> tuple[Integers, Integers]:
            dated_by = self.clock.event_time or self.clock.known_at
            always = np.full(len(self.frame), -NEVER, dtype=np.int64)
            event_times = instants(self.frame[dated_by]) if dated_by else always
            return event_times, self._available(self.clock.known_at) if self.clock.known_at else event_times

        return self._once(("dated",), build)

    @property
    def known_with_row(self) -> list[str]:
        """Columns whose values are known as soon as the row is."""
        return [c for c in self.frame.columns if self.clock.of(c) in (None, self.clock.known_at)]

    def event_times(self, numbers: Integers) -> Integers:
        """Event times of the given rows, shape (n,), microseconds; any where the row number is -1."""
        column = str(self.clock.event_time)
        return self._once(("event times",), lambda: np.append(instants(self.frame[column]), NEVER))[numbers]

    def revealed(self, numbers: Integers, columns: Sequence[str], asked: Integers) -> pl.DataFrame:
        """Columns of the given rows, shape (n, columns); null where the row number is -1.

        Values that had not reached us at the instants `asked` are null as well.
        """
        found: dict[str, pl.Series] = {}
        for clock, together in self._by_clock(columns).items():
            wanted = numbers
            if clock is not None:
                wanted = np.where(self._reached(clock)[numbers] > asked, -1, numbers)
            part = self._once(("rows", together), partial(self._and_a_row_of_nulls, together))
            found |= {s.name: s for s in taken(part, np.where(wanted < 0, len(self.frame), wanted)).iter_columns()}
        return pl.DataFrame([found[c] for c in columns])

    def _by_clock(self, columns: Sequence[str]) -> dict[str | None, tuple[str, ...]]:
        """The columns by the clock they wait for; None: known with the row."""
        known = [None if (c := self.clock.of(name)) == self.clock.known_at else c for name in columns]
        names = [*zip(known, columns, strict=True)]
        return {clock: tuple(name for c, name in names if c == clock) for clock in dict.fromkeys(known)}

    def _reached(self, clock: str) -> Integers:
        """`_available`, and one more instant, for the row number -1."""
        return self._once(("reached", clock), lambda: np.append(self._available(clock), NEVER))

    def _and_a_row_of_nulls(self, columns: Sequence[str]) -> pl.DataFrame:
        """Columns of all rows and below them nulls, so that no row is a row number too."""
        rows = self.frame.select(columns)
        return pl.concat([rows, rows.clear(1)], rechunk=True)

    def _timeline(self, clock: str) -> Timeline:
        """When the events dated by time column `clock` reach us."""
        return self._once(("timeline", clock), lambda: Timeline(self._available(clock)))

    def _available(self, clock: str) -> Integers:
        """The instant of each row at which the event dated by time column `clock` reaches us, shape (n,)."""
        return self._once(("available", clock), lambda: self.clock.available_at(self.frame, clock))

    def _once(self, key: Hashable, build: Callable[[], T]) -> T:
        """What was built for this key, built now if it was not: by one thread, while the others wait."""
        if key not in self._built:
            with self._lock:
                if key not in self._built:
                    self._built[key] = build()
        return cast("T", self._built[key])

    def _integers(self, sums: Sums) -> dict[str, Integers]:
        """The values to add up, by name, each of shape (n,); null adds 0."""
        return self._once(("integers", identity(sums)), lambda: self._evaluated(sums))

    def _evaluated(self, sums: Sums) -> dict[str, Integers]:
        if "count" in sums:
            raise ValueError(f"table {self.name!r}: 'count' is the number of events, give that sum another name")
        values = self.frame.with_columns(**sums).select(*sums) if sums else pl.DataFrame()
        for name, dtype in values.schema.items():
            if not (dtype.is_integer() or dtype == pl.Boolean):
                raise ValueError(
                    f"table {self.name!r}: sum {name!r} is {dtype}; scale, round and cast it to an integer, because a "
                    "running sum of floats depends on where it began"
                )
        return {name: values[name].cast(pl.Int64).fill_null(0).to_numpy() for name in values.columns}

    def _flags(self, where: pl.Expr | None) -> Flags:
        """Which rows count, shape (n,); null is false."""
        if where is None:
            return np.ones(len(self.frame), dtype=np.bool_)
        flags = self.frame.with_columns(_where=where)["_where"]
        if flags.dtype != pl.Boolean:
            raise ValueError(f"table {self.name!r}: `where` must be boolean, {where} is {flags.dtype}")
        return flags.fill_null(value=False).to_numpy()

    def _roots(self, sums: Sums, where: pl.Expr | None) -> list[str]:
        """Every column that the expressions read, each a function of its row alone."""
        expressions = [*sums.values(), *([] if where is None else [where])]
        for expression in expressions:
            if expression.meta.has_multiple_outputs() or not expression.meta.is_row_separable():
                raise ValueError(
                    f"table {self.name!r}: {expression} must name its columns and read no row but its own, or it could "
                    "carry later rows along"
                )
        return [name for expression in expressions for name in expression.meta.root_names()]


def taken(frame: pl.DataFrame, numbers: Integers) -> pl.DataFrame:
    """Rows by their numbers, shape (n, columns)."""
    return frame.slice(int(numbers[0]), 1) if len(numbers) == 1 else frame[numbers]


def _tie_ranks(known_with_row: pl.DataFrame, *clocks: Integers) -> Integers:
    """A rank among rows that are equal in all of `clocks`, by all else that is known with the row; others 0.

    Values that come later must not decide: which of two rows is found would then depend on what is not known yet.
    """
    ranks = np.zeros(len(known_with_row), dtype=np.int64)
    tied = np.flatnonzero(pl.DataFrame([pl.Series(str(i), clock) for i, clock in enumerate(clocks)]).is_duplicated())
    if len(tied) and known_with_row.columns:
        rows = known_with_row.select(pl.all().gather(tied))
        ranks[tied[rows.select(pl.arg_sort_by(rows.columns)).to_series().to_numpy()]] = np.arange(len(tied))
    return ranks
