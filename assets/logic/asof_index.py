"""Sorted arrays that answer "how much, and which was the last, up to this instant" for many rows at once.

Belongs here: arithmetic on group codes (int64, -1 for no group) and instants (int64 microseconds since 1970, UTC).
Does not belong here: which instant counts as known; that is `point_in_time`, the only user of this module.

Every total is an int64, so a total over 28 days is the same bits whether the arrays hold 28 days or a year; a running
sum of floats would differ in its last digits with the first day it was given.
"""

from collections.abc import Mapping, Sequence
from typing import Final, TypeAlias

import numpy as np
import numpy.typing as npt
import polars as pl

from assets.logic.asof_spine import Spine

Integers: TypeAlias = npt.NDArray[np.int64]
Flags: TypeAlias = npt.NDArray[np.bool_]

FEW_ROWS: Final = 256
"""Up to this many rows a dictionary finds group codes faster than a join does."""


class GroupCodes:
    """Numbers the distinct groups of a table, and finds the number of a group for rows of another frame.

    Rows with a null in any key column belong to no group, code -1: null never equals null.

    Attributes:
        codes: Group of every row of the table, shape (n_table,).
    """

    def __init__(self, table: pl.DataFrame, by: Sequence[str]) -> None:
        self._by = list(by)
        self._schema = {name: table.schema[name] for name in by}
        self._groups = table.select(self._by).drop_nulls().unique().with_row_index("_code") if by else pl.DataFrame()
        self._by_key: dict[tuple[object, ...], int] | None = None
        self.codes = self._joined(table)

    def find(self, spine: Spine) -> Integers:
        """Group of every row, shape (n,); -1 for a group the table does not have.

        Raises:
            ValueError: If a key column is absent from `spine` or of another type than in the table.
        """
        self.require_keys(spine)
        if not self._by or len(spine) > FEW_ROWS:
            return self._joined(spine.frame)
        if self._by_key is None:
            self._by_key = self.by_key()
        return np.array([self._by_key.get(key, -1) for key in spine.keys(self._by)], dtype=np.int64)

    def by_key(self) -> dict[tuple[object, ...], int]:
        """The number of every group by its key."""
        if not self._by:
            return {(): 0}
        return dict(zip(self._groups.select(self._by).rows(), self._groups["_code"].to_list(), strict=True))

    def require_keys(self, spine: Spine) -> None:
        """Refuse rows without the key columns.

        Raises:
            ValueError: If a key column is absent from `spine` or of another type than in the table.
        """
        for name, dtype in self._schema.items():
            got = spine.dtype(name)
            if got is None or not (got in (dtype, pl.Null) or (got.is_integer() and dtype.is_integer())):
                raise ValueError(f"group column {name!r} is {dtype} in the table but {got} in the rows that ask")

    def _joined(self, frame: pl.DataFrame) -> Integers:
        if not self._by:
            return np.zeros(len(frame), dtype=np.int64)
        # A number too large for the table's narrower type becomes null: it is a group the table cannot have.
        keys = frame.select(pl.col(n).cast(t, strict=False) for n, t in self._schema.items())
        found = keys.join(self._groups, on=self._by, how="left", maintain_order="left")["_code"]
        return found.cast(pl.Int64).fill_null(-1).to_numpy()


class Timeline:
    """The rows of a table in order of a time column; one serves all groupings of the table.

    Attributes:
        rows: Row numbers in order of their instants, shape (n,).
        instants: The distinct instants, ascending, microseconds.
        steps: Number of the distinct instant of each of `rows`, shape (n,).
    """

    def __init__(self, instants: Integers, ranks: Integers | None = None) -> None:
        """Sort once.

        Args:
            instants: When each row counts from, shape (n,), microseconds.
            ranks: What comes first of rows with the same instant, shape (n,); by default any.
        """
        self.rows = np.argsort(instants) if ranks is None else np.lexsort((ranks, instants))
        in_order = instants[self.rows]
        is_new = np.diff(in_order, prepend=in_order[:1] - 1) > 0
        self.instants = in_order[is_new]
        self.steps = np.cumsum(is_new) - 1


class SortedEvents:
    """Events in order of (group, instant); a position is the number of events sorted up to there.

    The difference of two positions within one group is a count of events.

    Attributes:
        rows: Row number of each event in this order, shape (n_events,).
    """

    def __init__(self, codes: Integers, timeline: Timeline) -> None:
        """Sort once.

        Args:
            codes: Group of each row, shape (n,); rows without a group (-1) are left out.
            timeline: When each row counts from, for n rows.
        """
        self._instants, self._stride = timeline.instants, len(timeline.instants) + 1
        codes = codes[timeline.rows]
        events = np.flatnonzero(codes >= 0)
        codes = codes[events]
        # Rows stand in order of time already, so a stable sort by group is enough, and 16 bits are sorted ten times as
        # fast as 64.
        is_narrow = len(codes) == 0 or codes.max() < 2**16
        order = np.argsort(codes.astype(np.uint16) if is_narrow else codes, kind="stable")
        # Steps instead of microseconds: code x microseconds overflows int64 for years of data and 100,000 groups.
        self._keys = (codes * self._stride + timeline.steps[events] + 1)[order]
        self.rows = timeline.rows[events[order]]

    def positions(self, codes: Integers, instants: Integers) -> Integers:
        """Number of events sorted up to and including each (group, instant), shape of `instants`; 0 for no group.

        Args:
            codes: Groups, shape (n,).
            instants: Shape (n,), or (k, n) to ask about k instants of each group at once.
        """
        steps = self._instants.searchsorted(instants, "right")
        return np.where(codes < 0, 0, self._keys.searchsorted(codes * self._stride + steps, "right"))

    def starts(self, codes: Integers) -> Integers:
        """Position before the first event of each group, shape (n,); 0 where there is no group."""
        return np.where(codes < 0, 0, np.searchsorted(self._keys, codes * self._stride, "right"))


class RunningTotals:
    """Events with running totals of their values; the difference between two instants of one group is a sum."""

    def __init__(
        self, codes: Integers, timeline: Timeline, values: Mapping[str, Integers], weights: Integers | None = None
    ) -> None:
        """Sort and accumulate once.

        Args:
            codes: Group of each event, shape (n,); events without a group (-1) are left out.
            timeline: When each event counts from, for n events.
            values: What to add up, by name, each of shape (n,).
            weights: How often each event counts, shape (n,); None: once. An event that is taken back counts -1.
        """
        self._events = SortedEvents(codes, timeline)
        if weights is not None:
            values = {"count": weights, **{name: value * weights for name, value in values.items()}}
        in_order = {name: value[self._events.rows] for name, value in values.items()}
        self._totals = {name: np.concatenate([[0], np.cumsum(value)]) for name, value in in_order.items()}

    def upto(self, codes: Integers, instants: Integers) -> dict[str, Integers]:
        """`count` and every running total up to and including each (group, instant), each in the shape of `instants`.

        Only differences within one group mean anything: the totals run on from group to group.
        """
        positions = self._events.positions(codes, instants)
        return {"count": positions, **{name: running[positions] for name, running in self._totals.items()}}


class LatestRows:
    """For each (group, instant): the row with the greatest event time among those that count from that instant on.

    Of two rows with equal event time the one that counts later wins (a restatement), and of two equal in both the one
    with the greater rank.
    """

    def __init__(self, codes: Integers, timeline: Timeline, event_times: Integers) -> None:
        """Sort once.

        Args:
            codes: Group of each row, shape (n,); rows without a group (-1) are never found.
            timeline: When each row counts from, for n rows, with ranks that decide between rows equal in all.
            event_times: What the greatest is wanted of, shape (n,), microseconds.
        """
        self._events = SortedEvents(codes, timeline)
        self._event_times = event_times
        rows = self._events.rows
        distinct, event_ranks = np.unique(event_times[rows], return_inverse=True)
        # Groups ascend, so one running maximum over (group, event rank) starts afresh in every group.
        score = codes[rows] * (len(distinct) + 1) + event_ranks
        is_best = score == np.maximum.accumulate(score)
        self._best = rows[np.maximum.accumulate(np.where(is_best, np.arange(len(rows)), 0))]

    def find(self, codes: Integers, instants: Integers) -> Integers:
        """Row number for each (group, instant), shape (n,); -1 where there is none."""
        positions = self._events.positions(codes, instants)
        found = np.full(len(codes), -1, dtype=np.int64)
        exists = positions > self._events.starts(codes)
        found[exists] = self._best[positions[exists] - 1]
        return found

    def find_without(self, code: int, instant: int, left_out: Flags) -> int:
        """The row number for one (group, instant) if some rows were not there, by a look at the whole group.

        Args:
            code: Group; not -1.
            instant: Microseconds.
            left_out: Which rows of the table do not count, shape (n,).
        """
        group = np.array([code])
        begin, end = self._events.starts(group)[0], self._events.positions(group, np.array([instant]))[0]
        rows = self._events.rows[begin:end]
        rows = rows[~left_out[rows]]
        # The last of the greatest: rows stand in the order in which they count, so it is the restatement.
        return int(rows[::-1][np.argmax(self._event_times[rows][::-1])]) if len(rows) else -1
