"""What every feature block has in common: its interface, names for spans of time, clocks of tables.

Belongs here: the vocabulary of blocks. Does not belong here: any block, and how blocks are put together (`blocks.py`).
"""

from collections.abc import Sequence
from datetime import timedelta
from typing import Final, Protocol

import polars as pl

from assets.contracts import Feature
from assets.logic.point_in_time import Clock, History
from assets.policies import DeclarationError

LATENESS: Final = timedelta(days=2)
"""How much later than its event time a record may reach us and still count, unless a block says otherwise."""
_UNITS: Final = (("d", "day", 86_400), ("h", "hour", 3_600), ("min", "minute", 60), ("s", "second", 1))


class Block(Protocol):
    """Declared features and how they are made; a frozen dataclass whose `repr` is the same in every process."""

    @property
    def lookback(self) -> timedelta:
        """How long before prediction time the records it reads may have happened."""
        ...

    @property
    def tables(self) -> tuple[str, ...]:
        """Tables of the history it looks into."""
        ...

    @property
    def inputs(self) -> tuple[str, ...]:
        """Columns it needs of the rows that ask, besides `prediction_time`."""
        ...

    def features(self) -> tuple[Feature, ...]:
        """The features it makes, in order."""
        ...

    def build(self, spine: pl.DataFrame, history: History) -> dict[str, pl.Series]:
        """One series per feature by its name, each of length n, rows as in `spine`."""
        ...


def numeric(name: str, group: str, description: str) -> Feature:
    """A numeric feature."""
    return Feature(name=name, kind="numeric", group=group, description=description)


def span(length: timedelta) -> str:
    """A length of time as part of a name, in the greatest unit that divides it: `7d`, `36h`, `30min`."""
    seconds = int(length.total_seconds())
    unit, _, size = next(unit for unit in _UNITS if seconds % unit[2] == 0)
    return f"{seconds // size}{unit}"


def spoken(length: timedelta) -> str:
    """A length of time in words: `7 days`, `1 hour`."""
    seconds = int(length.total_seconds())
    _, unit, size = next(unit for unit in _UNITS if seconds % unit[2] == 0)
    return f"{seconds // size} {unit}{'s' if seconds != size else ''}"


def require_lengths(block: object, lengths: Sequence[timedelta], field: str) -> None:
    """Refuse an empty list of lengths, and those that are not whole positive seconds.

    Raises:
        DeclarationError: Naming the block and the field.
    """
    wrong = [length for length in lengths if length <= timedelta(0) or length % timedelta(seconds=1)]
    if wrong or not lengths or len(set(lengths)) < len(lengths):
        raise DeclarationError(
            f"features, {type(block).__name__}, field {field}: needs different whole seconds above 0, got "
            f"{[str(length) for length in lengths]}"
        )


def clock(history: History, table: str) -> Clock:
    """The clocks of a table.

    Raises:
        DeclarationError: If the history has no such table.
    """
    if table not in history.clocks:
        raise DeclarationError(f"features: there is no table {table!r}; known are {sorted(history.clocks)}")
    return history.clocks[table]


def known_clock(history: History, table: str, column: str | None) -> str:
    """The time column at which rows, or the values of one column, are known; of what is known in advance, its date.

    Raises:
        DeclarationError: If the table has no time.
    """
    clocks = clock(history, table)
    found = (clocks.known_at if column is None else clocks.of(column)) or clocks.event_time
    if found is None:
        raise DeclarationError(f"features: table {table!r} has no time, so nothing can be counted over a window of it")
    return found


def grouped_name(stem: str, by: Sequence[str]) -> str:
    """A name that says of which group: `price_by_shop`; the stem alone where all rows count."""
    return f"{stem}_by_{'_'.join(by)}" if by else stem


def of_group(by: Sequence[str]) -> str:
    """In words: of which rows."""
    return f"of the rows with the same {' and '.join(by)}" if by else "of all rows"
