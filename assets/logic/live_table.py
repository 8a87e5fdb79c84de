"""A table to which records are still coming in: what stood still once, less what was replaced, plus what is new.

Belongs here: answers of the base and of the changes put together, to the bits that one table of all rows would give.
Does not belong here: which records hold (`live_rows.py`), and when what is swapped (`live_history.py`).

Method: sums are linear, so totals over the rows that hold are those of the base plus those of a small table of changes,
in which a replaced row counts -1. The latest row is the later one of two, unless that of the base has been replaced;
then its group is looked through. Only the changes are sorted again when records come in.
"""

from collections.abc import Callable, Hashable, Sequence
from datetime import timedelta
from functools import cached_property
from threading import RLock
from typing import TypeVar, cast

import numpy as np
import polars as pl

from assets.logic.asof_expressions import identity, serialized
from assets.logic.asof_index import Flags, Integers, LatestRows
from assets.logic.asof_records import Latest, Sums, Totals
from assets.logic.asof_table import AsOfTable
from assets.logic.clocks import Clock
from assets.logic.live_groups import LiveGroups

T = TypeVar("T")
Question = Callable[["LiveTable"], object]


class Changes(AsOfTable):
    """Rows beside the base, in the base's groups."""

    def __init__(
        self,
        base: "Base",
        frame: pl.DataFrame,
        weights: Integers | None = None,
        codes_of: Callable[[Sequence[str]], Integers] | None = None,
    ) -> None:
        super().__init__(base.table.name, frame, base.table.clock)
        self.weights = weights
        self._base, self._codes_of = base, codes_of

    def codes(self, by: Sequence[str]) -> Integers:
        """Group of every row, shape (n,)."""
        codes_of = self._codes_of or (lambda columns: self._base.groups(columns).of(self.frame))
        return self._once(("codes", tuple(by)), lambda: codes_of(by))


class Base:
    """What stands still, the numbers of its groups, and which questions it has been asked.

    Attributes:
        table: Its rows.
        questions: What was asked, by an identity of the question: a successor can prepare for it.
    """

    def __init__(self, table: AsOfTable) -> None:
        self.table = table
        self.questions: dict[Hashable, Question] = {}
        self._groups: dict[tuple[str, ...], LiveGroups] = {}
        self._lock = RLock()

    def groups(self, by: Sequence[str]) -> LiveGroups:
        """The numbers of the groups over the columns `by`."""
        key = tuple(by)
        if key not in self._groups:
            with self._lock:
                if key not in self._groups:
                    self._groups[key] = LiveGroups(self.table.groups(by), by)
        return self._groups[key]


class LiveTable:
    """A base and the changes to it, as one table; itself it never changes, and many threads may ask it.

    Row numbers are those of the base, then those of the added rows.

    Attributes:
        base: What stands still.
        added: Rows that hold and are not in the base, with its columns.
        removed: Row numbers of the base that hold no longer, each once.
    """

    def __init__(self, base: Base, added: pl.DataFrame, removed: Integers) -> None:
        self.base, self.added, self.removed = base, added, removed
        self.clock: Clock = base.table.clock
        self.schema = base.table.schema
        self._answers: dict[Hashable, object] = {}

    @staticmethod
    def still(table: AsOfTable, successor_of: "Base | None" = None) -> "LiveTable":
        """A table without changes; it prepares for the questions that the one before it was asked."""
        base = Base(table)
        base.questions |= successor_of.questions if successor_of else {}
        return LiveTable(base, table.frame.clear(), np.empty(0, dtype=np.int64))

    @property
    def changes(self) -> int:
        """Number of rows added and removed."""
        return len(self.added) + len(self.removed)

    @cached_property
    def frame(self) -> pl.DataFrame:
        """The rows that hold: those of the base in its order, then the added ones."""
        if not self.changes:
            return self.base.table.frame
        return pl.concat([self.base.table.frame.filter(~self.is_removed), self.added])

    def groups(self, by: Sequence[str]) -> LiveGroups:
        """Finds groups over the columns `by`."""
        return self.base.groups(by)

    def totals(self, clock: str, by: Sequence[str], sums: Sums, where: pl.Expr | None = None) -> Totals:
        """As `AsOfTable.totals`."""
        return self._answer(
            ("totals", clock, tuple(by), identity(sums), None if where is None else serialized(where)),
            lambda table: table.totals(clock, by, sums, where),
            lambda: self._summed(lambda part: part.totals(clock, by, sums, where)),
        )

    def stopped(
        self, opened: str, closed: Sequence[str], by: Sequence[str], sums: Sums, *, within: timedelta
    ) -> Totals:
        """As `AsOfTable.stopped`."""
        return self._answer(
            ("stopped", opened, tuple(closed), tuple(by), identity(sums), within),
            lambda table: table.stopped(opened, closed, by, sums, within=within),
            lambda: self._summed(lambda part: part.stopped(opened, closed, by, sums, within=within)),
        )

    def latest(self, by: Sequence[str]) -> Latest:
        """As `AsOfTable.latest`."""
        return self._answer(
            ("latest", tuple(by)),
            lambda table: table.latest(by),
            lambda: LatestOfBoth(self, by) if self.changes else self.base.table.latest(by),
        )

    def event_times(self, numbers: Integers) -> Integers:
        """As `AsOfTable.event_times`."""
        is_added = numbers >= self._base_rows
        times = self.base.table.event_times(np.where(is_added, -1, numbers))
        if not is_added.any():
            return times
        return np.where(is_added, self.additions.event_times(np.where(is_added, numbers - self._base_rows, -1)), times)

    def revealed(self, numbers: Integers, columns: Sequence[str], asked: Integers) -> pl.DataFrame:
        """As `AsOfTable.revealed`."""
        is_added = numbers >= self._base_rows
        if not is_added.any():
            return self.base.table.revealed(numbers, columns, asked)
        added = self.additions.revealed(np.where(is_added, numbers - self._base_rows, -1), columns, asked)
        if is_added.all():
            return added
        base = self.base.table.revealed(np.where(is_added, -1, numbers), columns, asked)
        rows = np.arange(len(numbers))
        return pl.concat([base, added])[np.where(is_added, rows + len(numbers), rows)]

    def prepare(self) -> None:
        """Sort what the questions asked so far need, so that no reader waits for it."""
        for ask in [*self.base.questions.values()]:
            ask(self)

    @cached_property
    def additions(self) -> Changes:
        """The added rows as a table."""
        return Changes(self.base, self.added)

    @cached_property
    def is_removed(self) -> Flags:
        """Which rows of the base hold no longer, shape (n_base,)."""
        flags = np.zeros(self._base_rows, dtype=np.bool_)
        flags[self.removed] = True
        return flags

    @cached_property
    def _signed(self) -> Changes:
        """The replaced rows, each counting -1, and the added ones."""
        rows = pl.concat([self.base.table.frame[self.removed], self.added])
        signs = np.repeat(np.array([-1, 1]), [len(self.removed), len(self.added)])

        def codes_of(by: Sequence[str]) -> Integers:
            # Looking groups up by their keys takes longer than all the sorting, so it is done for new rows only.
            return np.concatenate([self.base.table.codes(by)[self.removed], self.additions.codes(by)])

        return Changes(self.base, rows, signs, codes_of)

    @property
    def _base_rows(self) -> int:
        return len(self.base.table.frame)

    def _summed(self, ask: Callable[[AsOfTable], Totals]) -> Totals:
        base = ask(self.base.table)
        return Sum(base, ask(self._signed)) if self.changes else base

    def _answer(self, question: Hashable, ask: Question, build: Callable[[], T]) -> T:
        if question not in self._answers:
            # Two threads may build the same at once: each answer is as good, and what is dear waits for one another.
            self._answers[question] = build()
            self.base.questions.setdefault(question, ask)
        return cast("T", self._answers[question])


class Sum:
    """Totals of two parts."""

    def __init__(self, base: Totals, changes: Totals) -> None:
        self._base, self._changes = base, changes

    def upto(self, codes: Integers, instants: Integers) -> dict[str, Integers]:
        """Totals of the base and of the changes together."""
        changes = self._changes.upto(codes, instants)
        return {name: total + changes[name] for name, total in self._base.upto(codes, instants).items()}


class LatestOfBoth:
    """The later one of the base's latest row that holds and the latest added one."""

    def __init__(self, table: LiveTable, by: Sequence[str]) -> None:
        self._table = table
        self._base: LatestRows = table.base.table.latest(by)
        self._added: LatestRows = table.additions.latest(by)

    def find(self, codes: Integers, instants: Integers) -> Integers:
        """Row number for each (group, instant), shape (n,); -1 where there is none."""
        base, added = self._base.find(codes, instants), self._added.find(codes, instants)
        is_removed = self._table.is_removed
        for row in np.flatnonzero((base >= 0) & is_removed[base]) if len(is_removed) else ():
            base[row] = self._base.find_without(codes[row], instants[row], is_removed)
        offset = len(is_removed)
        found = np.where(added >= 0, added + offset, base)
        for row in np.flatnonzero((base >= 0) & (added >= 0)):
            if self._is_later(int(base[row]), int(added[row])):
                found[row] = base[row]
        return found

    def _is_later(self, base: int, added: int) -> bool:
        """Whether the row of the base is the later one."""
        tables = (self._table.base.table, self._table.additions)
        ours, theirs = (
            tuple(int(clock[row]) for clock in table.dated()) for table, row in zip(tables, (base, added), strict=True)
        )
        if ours != theirs:
            return ours > theirs
        columns = tables[0].known_with_row
        rows = pl.concat([table.frame.select(columns)[row] for table, row in zip(tables, (base, added), strict=True)])
        return int(rows.select(pl.arg_sort_by(columns)).to_series()[-1]) == 0
