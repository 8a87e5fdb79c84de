"""The records of one table that hold, as they come in: which key has which record, and what that changes in the table.

Belongs here: taking records in, one table, one thread at a time. Does not belong here: the rule (`live_rows.py`), the
answers (`live_table.py`), threads and generations (`live_history.py`).
"""

from collections.abc import Mapping, Sequence
from copy import copy
from datetime import datetime

import numpy as np
import polars as pl

from assets.logic.asof_table import AsOfTable
from assets.logic.live_rows import Identity, Key, Standing
from assets.logic.live_table import LiveTable


class Upserts:
    """One table and the records that have come in since it stood still.

    Attributes:
        table: The rows that hold; another one after each change.
    """

    def __init__(self, table: LiveTable, key: Sequence[str], stated: Sequence[datetime]) -> None:
        """Take a table without changes.

        Args:
            table: Its rows. Several with equal key stay until a record replaces them all.
            key: Columns that identify a record; empty: all.
            stated: As of when each row holds, shape (n,).

        Raises:
            ValueError: If a column of the key is missing.
        """
        self.table = table
        self.identity = Identity.of(table.schema, key, table.clock)
        self._key, self._stated = tuple(key), [*stated]
        self._observed = table.frame.select(self.identity.columns)
        self._rows_of: dict[Key, tuple[int, ...]] = {}
        for row, found in enumerate(self._observed.select(self._key_columns).rows()):
            self._rows_of[found] = (*self._rows_of.get(found, ()), row)
        self._new: dict[Key, Standing] = {}
        self._keys: list[Key] = []

    @property
    def name(self) -> str:
        """Of the table."""
        return self.table.base.table.name

    @property
    def _key_columns(self) -> list[str]:
        return [self.identity.columns[place] for place in self.identity.key]

    def checked(self, rows: pl.DataFrame) -> pl.DataFrame:
        """The rows with the observed columns in order.

        Raises:
            ValueError: If a column is missing, unknown or of another type, or a key column holds a null.
        """
        wanted = {name: self.table.schema[name] for name in self.identity.columns}
        if dict(rows.schema) != wanted and {n: t for n, t in rows.schema.items() if n in wanted} != wanted:
            wrong = {n: str(rows.schema.get(n)) for n, t in wanted.items() if rows.schema.get(n) != t}
            raise ValueError(f"table {self.name!r}: observed rows have other columns or types than declared: {wrong}")
        rows = rows.select(self.identity.columns)
        # Without a declared key all columns are compared, and nulls equal nulls.
        if nulls := [name for name in self._key if rows[name].null_count()]:
            raise ValueError(f"table {self.name!r}: key columns {nulls} of observed rows hold nulls")
        return rows

    def take(self, rows: pl.DataFrame, as_of: datetime) -> int:
        """Let those records hold that are newer than what holds.

        Args:
            rows: As from `checked`.
            as_of: When they were stated (UTC).

        Returns:
            Number of keys whose record is another one now.
        """
        won: dict[Key, tuple[int, Standing]] = {}
        changed: set[Key] = set()
        for number, values in enumerate(rows.rows()):
            standing, key = self.identity.standing(values, as_of), self.identity.key_of(values)
            now = won[key][1] if key in won else self._holding(key)
            if now is not None and not now < standing:
                continue
            if now is not None and now.values == values:
                self._restate(key, standing, won)
                continue
            won[key] = (number, standing)
            changed.add(key)
        if changed:
            self._replace(rows, won)
        return len(changed)

    def copy(self) -> "Upserts":
        """The same records, to go on with apart from these."""
        made = copy(self)
        made._stated, made._new, made._keys = [*self._stated], dict(self._new), [*self._keys]
        return made

    def compacted(self, keep_since: datetime | None) -> "Upserts":
        """The rows that hold as a new base, sorted for what was asked so far.

        Args:
            keep_since: Rows that happened, and of which all was known, before it (UTC) are dropped.
        """
        rows, clock = self.table.frame, self.table.clock
        if keep_since is None and not self.table.changes:
            return self
        stays = np.ones(len(rows), dtype=np.bool_) if keep_since is None else clock.reaches(rows, keep_since)
        stated = [as_of for as_of, kept in zip(self._all_stated(), stays, strict=True) if kept]
        base = self.table.base
        table = LiveTable.still(AsOfTable(self.name, rows.filter(stays), clock), base)
        table.prepare()
        return Upserts(table, self._key, stated)

    def _holding(self, key: Key) -> Standing | None:
        """The record that holds for a key."""
        if key in self._new:
            return self._new[key]
        rows = self._rows_of.get(key, ())
        return max((self.identity.standing(self._observed.row(r), self._stated[r]) for r in rows), default=None)

    def _restate(self, key: Key, standing: Standing, won: dict[Key, tuple[int, Standing]]) -> None:
        """The same record, stated again later: only that is noted."""
        if key in won:
            won[key] = (won[key][0], standing)
        elif key in self._new:
            self._new[key] = standing
        else:
            for row in self._rows_of[key]:
                self._stated[row] = max(self._stated[row], standing.as_of)

    def _replace(self, rows: pl.DataFrame, won: Mapping[Key, tuple[int, Standing]]) -> None:
        stay = np.array([key not in won for key in self._keys], dtype=np.bool_)
        taken = rows[[number for number, _ in won.values()]]
        first_time = [key for key in won if key not in self._new]
        removed = [row for key in first_time for row in self._rows_of.get(key, ())]
        added = pl.concat([self.table.added.filter(stay), taken], how="diagonal")
        self._keys = [*(key for key, stays in zip(self._keys, stay, strict=True) if stays), *won]
        self._new |= {key: standing for key, (_, standing) in won.items()}
        gone = np.concatenate([self.table.removed, np.array(removed, dtype=np.int64)])
        self.table = LiveTable(self.table.base, added.select(self.table.schema.names()), gone)

    def _all_stated(self) -> list[datetime]:
        """As of when each row of `table.frame` holds."""
        removed = self.table.is_removed
        kept = [stated for stated, is_gone in zip(self._stated, removed, strict=True) if not is_gone]
        return [*kept, *(self._new[key].as_of for key in self._keys)]
