"""Numbers for groups that go on growing as records come in.

Belongs here: one numbering shared by what stands still and what is coming in. Does not belong here: either of them.
"""

from collections.abc import Sequence
from threading import Lock

import numpy as np
import polars as pl

from assets.logic.asof_index import GroupCodes, Integers
from assets.logic.asof_spine import Spine


class LiveGroups:
    """The numbers of a table's groups, and further ones for groups that it does not have.

    A number once given stays, so that many threads may find groups while one adds them.

    Attributes:
        by: The group columns.
    """

    def __init__(self, base: GroupCodes, by: Sequence[str]) -> None:
        self.by = list(by)
        self._base, self._numbers, self._lock = base, base.by_key(), Lock()

    def find(self, spine: Spine) -> Integers:
        """Group of every row, shape (n,); -1 for a group not seen yet.

        Raises:
            ValueError: If a key column is absent from `spine` or of another type than in the table.
        """
        self._base.require_keys(spine)
        if not self.by:
            return np.zeros(len(spine), dtype=np.int64)
        return np.array([self._numbers.get(key, -1) for key in spine.keys(self.by)], dtype=np.int64)

    def of(self, rows: pl.DataFrame) -> Integers:
        """Group of every row that came in, shape (n,), a new one if need be; -1 where a key column is null."""
        if not self.by:
            return np.zeros(len(rows), dtype=np.int64)
        keys = rows.select(self.by).rows()
        with self._lock:
            found = [-1 if None in key else self._numbers.setdefault(key, len(self._numbers)) for key in keys]
        return np.array(found, dtype=np.int64)
