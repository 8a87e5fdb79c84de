"""History to which records are added as they happen: the answers of `History` over all rows that hold, kept current.

Belongs here: generations, threads, and merging what came in into a new base. Does not belong here: which records hold
(`live_rows.py`), how answers are put together (`live_table.py`), reading or keeping records on disk.

A reader takes `history` once for all its questions: it never changes, so each batch of records is seen as a whole or
not at all. Whoever observes makes another one and sorts what it needs before it is handed out; no reader waits.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from threading import Lock, RLock

import polars as pl

from assets.logic.asof_table import AsOfTable
from assets.logic.clocks import Clock
from assets.logic.live_table import LiveTable
from assets.logic.live_upserts import Upserts
from assets.logic.point_in_time import History

Batch = Mapping[str, pl.DataFrame]


@dataclass(frozen=True, kw_only=True)
class Observed:
    """What a batch did.

    Attributes:
        rows: Records it held.
        changed: Those of them that hold now and did not before.
        generation: Number of the history that has them.
    """

    rows: int
    changed: int
    generation: int


class LiveHistory:
    """Tables with their clocks, and the records observed since they were read.

    Attributes:
        clocks: The clock of each table.
    """

    def __init__(
        self,
        tables: Mapping[str, pl.DataFrame],
        clocks: Mapping[str, Clock],
        *,
        keys: Mapping[str, Sequence[str]],
        as_of: datetime,
    ) -> None:
        """Take the tables.

        Args:
            tables: Cleaned rows by table name.
            clocks: The clock of each.
            keys: Columns that identify a record, by table name; empty: all columns do.
            as_of: When the tables were read (UTC): of two records that know equally much, the one stated later holds.

        Raises:
            ValueError: If a table has no clock or no key, or a column of either is missing.
        """
        if missing := sorted(n for n in tables if n not in clocks or n not in keys):
            raise ValueError(f"tables {missing} lack a clock or a key")
        self.clocks = dict(clocks)
        self._upserts = {
            n: Upserts(LiveTable.still(AsOfTable(n, frame, clocks[n])), keys[n], [as_of] * len(frame))
            for n, frame in tables.items()
        }
        self._writing, self._compacting = RLock(), Lock()
        self._since: list[tuple[Batch, datetime]] | None = None
        self._rows_observed, self._rows_changed = 0, 0
        self._generation = 0
        self._history = self._made()

    @property
    def history(self) -> History:
        """The rows that hold now; take it once for all questions that belong together."""
        return self._history

    @property
    def generation(self) -> int:
        """Goes up by one with every batch that changes an answer."""
        return self._generation

    @property
    def rows_observed(self) -> int:
        """Records observed, repeats included."""
        return self._rows_observed

    @property
    def rows_changed(self) -> int:
        """Records observed that were newer than what held."""
        return self._rows_changed

    @property
    def rows_uncompacted(self) -> int:
        """Rows added to and removed from the base; what an observation costs grows with it."""
        return sum(upserts.table.changes for upserts in self._upserts.values())

    def observe(self, table: str, rows: pl.DataFrame, *, as_of: datetime) -> Observed:
        """Take in records of one table; see `observe_batch`."""
        return self.observe_batch({table: rows}, as_of=as_of)

    def observe_batch(self, batch: Batch, *, as_of: datetime) -> Observed:
        """Take in records of several tables, seen by readers all at once; which of them hold, `live_rows` says.

        Any order of batches, and any number of repeats, give the same history.

        Args:
            batch: Rows by table, with the cleaned columns; what is not known yet is null.
            as_of: When they were stated (UTC), by the sender's word or else when they came in; a batch that is observed
                again, or elsewhere, has to say the same.

        Raises:
            ValueError: If a table is unknown, a column is missing or of another type, a key is null, or `as_of` has no
                time zone. Nothing is taken in then.
        """
        if as_of.tzinfo is None:
            raise ValueError(f"as_of needs a time zone, got {as_of.isoformat()}")
        if unknown := sorted(set(batch) - set(self._upserts)):
            raise ValueError(f"tables {unknown} are not in this history; it holds {sorted(self._upserts)}")
        with self._writing:
            checked = {name: self._upserts[name].checked(rows) for name, rows in batch.items()}
            if self._since is not None:
                self._since.append((checked, as_of))
            changed = sum(self._upserts[name].take(rows, as_of) for name, rows in checked.items())
            if changed:
                self._history = self._made()
                self._generation += 1
            rows = sum(map(len, checked.values()))
            self._rows_observed += rows
            self._rows_changed += changed
            return Observed(rows=rows, changed=changed, generation=self._generation)

    def compact(self, keep_since: datetime | None = None) -> None:
        """Merge what came in into a new base, beside the readers and those who observe. No answer changes.

        Args:
            keep_since: Rows that happened, and of which all was known, before it (UTC) are dropped: no question may
                reach so far back. Rows without any time stay.
        """
        with self._compacting:
            with self._writing:
                frozen = {name: upserts.copy() for name, upserts in self._upserts.items()}
                self._since = []
            try:
                # The long part: the base is put together and sorted while others read and write.
                fresh = {name: upserts.compacted(keep_since) for name, upserts in frozen.items()}
                with self._writing:
                    for batch, as_of in self._since:
                        for name, rows in batch.items():
                            fresh[name].take(rows, as_of)
                    self._upserts = fresh
                    self._history = self._made()
            finally:
                self._since = None

    def _made(self) -> History:
        tables = {name: upserts.table for name, upserts in self._upserts.items()}
        for table in tables.values():
            table.prepare()
        return History.over(tables, self.clocks)
