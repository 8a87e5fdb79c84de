"""The one door to history: every look at other rows goes through `History`, and sees only what was known by then.

Belongs here: the three questions features may ask (how much in a window, what is still pending, which row was the
latest) and the cut that proves the answers. Does not belong here: what a column means; that is the use case.

Method: as-of sums by sorting, cumulative sums and binary search; as-of rows by a running maximum. All at once for a
whole spine, and quick for one row, because what was sorted once is kept (many threads may read).
"""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta

import numpy as np
import polars as pl

from assets.logic.asof_index import Integers
from assets.logic.asof_records import Frames, Records, Sums
from assets.logic.asof_spine import ASKED_AT, Rows, Spine
from assets.logic.asof_table import AsOfTable
from assets.logic.clocks import Clock, microseconds

__all__ = ["ASKED_AT", "Clock", "History", "Spine"]


class History:
    """Tables that features may look into, each with its clock; sees at any instant only what was known by then.

    Every question takes a spine with the UTC column `prediction_time` (P) and answers in its rows and order; who has
    many questions wraps the frame in a `Spine` once. A null in a group column of either side means no group: no events,
    no row.

    Attributes:
        tables: The tables as given. Features must not read them; the leakage check catches those that do.
        clocks: The clock of each table.
    """

    def __init__(self, tables: Mapping[str, pl.DataFrame], clocks: Mapping[str, Clock]) -> None:
        """Take the tables; nothing is sorted before it is asked for.

        Raises:
            ValueError: If a table has no clock, or a clock column is absent or not `Datetime("us", "UTC")`.
        """
        if missing := sorted(set(tables) - set(clocks)):
            raise ValueError(f"tables {missing} have no clock; clocks are given for {sorted(clocks)}")
        self.tables: Mapping[str, pl.DataFrame] = dict(tables)
        self.clocks = dict(clocks)
        self._as_of: dict[str, Records] = {n: AsOfTable(n, frame, clocks[n]) for n, frame in tables.items()}

    @classmethod
    def over(cls, records: Mapping[str, Records], clocks: Mapping[str, Clock]) -> "History":
        """A history over tables that keep their own indices; their rows are put together only if they are read."""
        made = cls({}, clocks)
        made.tables, made._as_of = Frames(records), dict(records)
        return made

    def window(
        self,
        spine: Rows,
        *,
        table: str,
        clock: str,
        by: Sequence[str],
        since: timedelta,
        until: timedelta = timedelta(0),
        sums: Sums | None = None,
        where: pl.Expr | None = None,
        at: str = ASKED_AT,
    ) -> pl.DataFrame:
        """Count and sums of the events with P - since < known <= P + until; see `windows`.

        Returns:
            `count` and one Int64 column per sum, shape (n, 1 + sums), rows as in `spine`.
        """
        lengths = {"only": since}
        totals = self.windows(
            spine, table=table, clock=clock, by=by, since=lengths, until=until, sums=sums, where=where, at=at
        )
        return pl.DataFrame(totals["only"])

    def windows(
        self,
        spine: Rows,
        *,
        table: str,
        clock: str,
        by: Sequence[str],
        since: Mapping[str, timedelta],
        until: timedelta = timedelta(0),
        sums: Sums | None = None,
        where: pl.Expr | None = None,
        at: str = ASKED_AT,
    ) -> dict[str, dict[str, Integers]]:
        """Counts and sums of the events with P - since < known <= P + until, for several lengths of window at once.

        An event is known at `clock` plus the table's `available_after`; a clock known in advance is not delayed, and
        only such a clock may look ahead (`until` above 0, or `at` later than `prediction_time`).

        Args:
            spine: Rows that ask, shape (n, any), with the columns `by`, `at` and `prediction_time`.
            table: Table whose rows are the events.
            clock: Time column that dates an event; a row where it is null is no event.
            by: Group columns, in the table and in the spine; empty for all rows together.
            since: Length of each window, by a name for it.
            until: Where the windows end, relative to `at`.
            sums: Integer or boolean row-wise expressions over the table, by name. Null adds nothing. Scale and round a
                float to an integer first: sums of floats depend on what was summed before.
            where: Rows that count; null is false.
            at: Column of `spine` with the instant P of the windows.

        Returns:
            Per window name: `count` and every sum by its name, int64 arrays of shape (n,), rows as in `spine`. Arrays,
            because for one row a frame costs more than the search.

        Raises:
            ValueError: If the window would see more than was known, or a sum is not of integers, or a window is empty.
        """
        events = self._table(table)
        in_advance = events.clock.of(clock) is None
        if until > timedelta(0) and not in_advance:
            raise ValueError(f"table {table!r}: until={until} looks ahead, and {clock!r} is not known in advance")
        if empty := [name for name, length in since.items() if length + until <= timedelta(0)]:
            raise ValueError(f"table {table!r}: windows {empty} are empty, they end (until={until}) before they begin")
        totals = events.totals(clock, by, sums or {}, where)
        rows = Spine.of(spine)
        bounds = np.array([microseconds(bound) for bound in (until, *(-length for length in since.values()))])
        asked, codes = rows.asked(at, in_advance=in_advance), rows.codes(events.groups(by))
        upto = totals.upto(codes, asked + bounds[:, np.newaxis])
        held = {column: running[0] - running[1:] for column, running in upto.items()}
        return {name: {column: of[i] for column, of in held.items()} for i, name in enumerate(since)}

    def pending(
        self,
        spine: Rows,
        *,
        table: str,
        opened: str,
        closed: Sequence[str],
        by: Sequence[str],
        within: timedelta,
        sums: Sums | None = None,
    ) -> dict[str, Integers]:
        """Count and sums of events that opened in (P - within, P] and of whose end nothing was known at P.

        Method: an event is pending from `opened` until the first of its ends is known, or `within` is over. Those that
        have started less those that have stopped, both by binary search, are the pending ones.

        Args:
            spine: Rows that ask, shape (n, any), with the columns `by` and `prediction_time`.
            table: Table whose rows are the events.
            opened: Time column at which an event opens.
            closed: Time columns that end it; null means not ended.
            by: Group columns, in the table and in the spine; empty for all rows together.
            within: An event that opened longer ago counts no more.
            sums: Integer or boolean row-wise expressions over the table, by name.

        Returns:
            `count` and every sum by its name, int64 arrays of shape (n,), rows as in `spine`.

        Raises:
            ValueError: If a column is not known at the clock it is used with, or a sum is not of integers.
        """
        events = self._table(table)
        started = events.totals(opened, by, sums or {})
        stopped = events.stopped(opened, closed, by, sums or {}, within=within)
        rows = Spine.of(spine)
        asked, codes = rows.asked(ASKED_AT, in_advance=False), rows.codes(events.groups(by))
        now, gone = started.upto(codes, asked), stopped.upto(codes, asked)
        return {c: now[c] - gone[c] for c in now}

    def latest(
        self,
        spine: Rows,
        *,
        table: str,
        by: Sequence[str],
        columns: Sequence[str],
        at: str = ASKED_AT,
        before: str | None = None,
        tolerance: timedelta | None = None,
    ) -> pl.DataFrame:
        """The as-of join with two clocks: of the rows known at P, the one with the greatest event time.

        A row that arrives late is passed over until it is known; a restatement (same event time, known later) replaces
        what it restates. Of rows equal in both clocks the greatest by all columns known with the row is taken, so that
        the order of the table decides nothing. Values that come into the world after their row are null until known.

        Args:
            spine: Rows that ask, shape (n, any), with the columns `by`, `at` and `prediction_time`.
            table: Table to look into. Known in advance and without event time it is a register, joined as it stands.
            by: Group columns, in the table and in the spine.
            columns: What to return of the row.
            at: Column of `spine` with the instant P.
            before: Column of `spine`, needed for a dated table known in advance: its event time is strictly before it.
            tolerance: No row if its event time is longer ago than this (from `before` if given, else from P).

        Returns:
            `columns`, shape (n, columns), rows as in `spine`; null where no row is found.

        Raises:
            ValueError: If the answer would need more than was known, or `before` or `tolerance` does not apply.
        """
        records = self._table(table)
        clock = records.clock
        if (clock.known_at is None and clock.event_time is not None) != (before is not None):
            raise ValueError(f"table {table!r}: a dated table known in advance needs `before`, and no other takes it")
        asking = Spine.of(spine)
        asked = asking.asked(at, in_advance=all(clock.of(c) is None for c in columns))
        # Strictly before is one microsecond earlier, the unit of every instant here.
        upto = asked if before is None else asking.asked(before, in_advance=True) - 1
        rows = records.latest(by).find(asking.codes(records.groups(by)), upto)
        if tolerance is not None:
            if clock.event_time is None:
                raise ValueError(f"table {table!r} has no event time, so a tolerance of {tolerance} means nothing")
            earliest = upto + (before is not None) - microseconds(tolerance)
            rows = np.where(records.event_times(rows) >= earliest, rows, -1)
        return records.revealed(rows, columns, asked)

    def cut(self, at: datetime, since: datetime | None = None, until: datetime | None = None) -> "History":
        """What of this history was known at `at`: later rows dropped, later values null.

        Args:
            at: Instant (aware); a row or value known and available exactly then stays.
            since: If given, rows whose event time is earlier are dropped as well.
            until: If given, rows whose event time is later are dropped as well, even if known in advance.

        Raises:
            ValueError: If an instant has no time zone.
        """
        for instant in (at, since, until):
            if instant is not None and instant.tzinfo is None:
                raise ValueError(f"cut needs instants with a time zone, got {instant.isoformat()}")
        cut = {name: self.clocks[name].cut(frame, at, since, until) for name, frame in self.tables.items()}
        return History(cut, self.clocks)

    def schema(self, table: str) -> pl.Schema:
        """Columns and types of a table."""
        return self._table(table).schema

    def _table(self, name: str) -> Records:
        if name not in self._as_of:
            raise ValueError(f"table {name!r} is not in this history; it holds {sorted(self._as_of)}")
        return self._as_of[name]
