"""A landed table at one glance: its columns, what identifies a row, and the target.

Belongs here: putting the profiles together. Does not belong here: how each is made, and what follows
(`suggestions.py`).
"""

from collections.abc import Collection
from dataclasses import dataclass
from typing import Final

import polars as pl

from assets.logic.profiling.column_profile import ColumnProfile
from assets.logic.profiling.columns import IsTime, profile_column
from assets.logic.profiling.keys import KeyFinding, find_key
from assets.logic.profiling.labels import require_column
from assets.logic.profiling.target import TargetProfile, profile_target
from assets.logic.profiling.values import quoted
from assets.policies import Task
from resources.errors import InputError

FEW_ROWS: Final = 200
"""A model cannot be trained and judged on fewer."""
MANY_COLUMNS: Final = 500


class TableError(InputError):
    """A table without rows or columns; there is nothing to look at."""


@dataclass(frozen=True, kw_only=True)
class Profile:
    """A landed table.

    Attributes:
        columns: In the order of the table, the target included.
        notes: What a person should know of the table as a whole, one sentence each.
    """

    rows: int
    columns: tuple[ColumnProfile, ...]
    key: KeyFinding
    target: TargetProfile
    notes: tuple[str, ...]

    def column(self, name: str) -> ColumnProfile:
        """The profile of one column.

        Raises:
            TargetError: If there is no such column, with near names.
        """
        require_column(name, [c.name for c in self.columns], "column that was asked for")
        return next(c for c in self.columns if c.name == name)


def profile(
    frame: pl.DataFrame,
    target: str,
    event_time: pl.Series | None = None,
    *,
    task: Task | None = None,
    time_columns: Collection[str] = (),
    decimal_comma: bool = False,
    is_time: IsTime | None = None,
) -> Profile:
    """The profile of a landed table.

    Args:
        frame: Rows in the order of the file, text or typed columns, shape (n, columns).
        target: Column to predict.
        event_time: When each row happened (UTC), shape (n,), null where unknown; None: the order of the rows.
        task: The kind of task if it was chosen; None: inferred.
        time_columns: Columns known to hold times, or parts of one.
        decimal_comma: Numbers in text are written as `1.234,5`.
        is_time: Whether a text column holds times.

    Raises:
        TableError: If there are no rows.
        TargetError: If the target is absent, or nothing can be learnt from it.
    """
    require_column(target, frame.columns)
    if not len(frame):
        raise TableError("The table has a header and no rows; deliver at least a few days of data.")
    told = profile_target(frame, target, event_time, task=task, decimal_comma=decimal_comma)

    def is_known_time(column: pl.Series) -> bool:
        return column.name in time_columns or (is_time is not None and is_time(column))

    columns = tuple(profile_column(c, decimal_comma=decimal_comma, is_time=is_known_time) for c in frame.get_columns())
    key = find_key(frame, columns, without=[target])
    return Profile(rows=len(frame), columns=columns, key=key, target=told, notes=tuple(_notes(frame, columns)))


def _notes(frame: pl.DataFrame, columns: Collection[ColumnProfile]) -> list[str]:
    found = []
    if len(frame) < FEW_ROWS:
        found.append(f"{len(frame)} rows are too few to train and judge a model; everything else works.")
    if frame.width > MANY_COLUMNS:
        found.append(
            f"{frame.width:,} columns: name those you need as inputs, since every one has to be sent with each request."
        )
    if constant := [c.name for c in columns if c.is_constant]:
        found.append(f"{len(constant)} column(s) hold one value only: {quoted(constant)}.")
    if empty := [c.name for c in columns if c.kind == "empty"]:
        found.append(f"{len(empty)} column(s) are empty: {quoted(empty)}.")
    return found
