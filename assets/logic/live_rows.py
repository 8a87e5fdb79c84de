"""Which of several records with the same key holds: the newest, by a rule in which the order of arrival has no say.

Belongs here: keys of records, and what makes one newer than another. Does not belong here: what is computed over those
that hold (`live_table.py`).

Of records with equal key holds the one
    1. that became known later at its origin (`known_at`, where the table has it);
    2. that knows more: has fewer nulls;
    3. that was stated later (`as_of` of its batch; for a row of the base, the instant at which the base was read);
    4. whose values are greater, column by column, a null least.
Every record carries all four with it, so that any order of arrival, and any number of repeats, leave the same record.
A value can be restated, and so can its absence where a table has a `known_at`; elsewhere what was known stays known
until the next base. Landed files have no such rule: two records of a file with equal key and different values are
quarantined, both (`assets/stages/cleaned.py`), and equal ones count once, as here.

A table without a key identifies a record by all its values: a repeat changes nothing, nothing is ever restated.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import total_ordering
from typing import Any, Final, TypeAlias

import polars as pl

from assets.contracts import PARTITION_KEY, SourceTable
from assets.logic.clocks import Clock
from assets.policies import DeclarationError

Key: TypeAlias = tuple[Any, ...]
Values: TypeAlias = tuple[Any, ...]

NOT_OBSERVED: Final = (PARTITION_KEY,)
"""Columns that say where a row landed; nobody who observes it knows them, and they decide nothing."""


@total_ordering
@dataclass(frozen=True, slots=True, eq=False)
class Standing:
    """A record and what decides whether it holds; the greatest of those with equal key does.

    Attributes:
        values: Of the observed columns, in order.
        known: When it became known at its origin; None if the table does not say, or it is not known.
        knows: Number of values that are not null.
        as_of: When it was stated.
    """

    values: Values
    known: datetime | None
    knows: int
    as_of: datetime

    @property
    def _rank(self) -> tuple[object, ...]:
        return ((self.known is not None, self.known), self.knows, self.as_of)

    def __eq__(self, other: object) -> bool:
        """Whether both are the same record, stated at the same time."""
        return isinstance(other, Standing) and (self._rank, self.values) == (other._rank, other.values)

    def __hash__(self) -> int:
        """Equal for equal records."""
        return hash((self._rank, self.values))

    def __lt__(self, other: "Standing") -> bool:
        """Whether the other holds instead."""
        if self._rank != other._rank:
            return self._rank < other._rank
        return _ordered(self.values) < _ordered(other.values)


def _ordered(values: Values) -> tuple[object, ...]:
    return tuple((value is not None, value) for value in values)


@dataclass(frozen=True)
class Identity:
    """How the records of one table are told apart and compared.

    Attributes:
        columns: The observed columns, in order.
        key: Places of the key among them.
        known_at: Place of the column with the instant at which a row becomes known; None if there is none.
    """

    columns: tuple[str, ...]
    key: tuple[int, ...]
    known_at: int | None

    @staticmethod
    def of(schema: pl.Schema, key: Sequence[str], clock: Clock) -> "Identity":
        """Of a table with these columns; without a key, all columns are the key.

        Raises:
            ValueError: If a key column is not among the columns.
        """
        columns = tuple(name for name in schema if name not in NOT_OBSERVED)
        if absent := [name for name in key if name not in columns]:
            raise ValueError(f"key columns {absent} are not among the columns {list(columns)}")
        places = tuple(columns.index(name) for name in key or columns)
        return Identity(columns, places, columns.index(clock.known_at) if clock.known_at else None)

    def key_of(self, values: Values) -> Key:
        """The key of a record."""
        return tuple(values[place] for place in self.key)

    def standing(self, values: Values, as_of: datetime) -> Standing:
        """The record as one to be compared."""
        known = None if self.known_at is None else values[self.known_at]
        return Standing(values, known, sum(value is not None for value in values), as_of)


def observed_key(table: SourceTable) -> tuple[str, ...]:
    """The key of a declared table in terms of its cleaned columns; empty if it declares none.

    A key is declared over landed columns. One that cleaning has not kept under its name is a part of the time that the
    row is about, and stands for it: the hour and minute of a departure have become `scheduled_departure`.

    Raises:
        DeclarationError: If a key column is gone and the table has no event time.
    """
    kept = [name for name in table.key if name in table.cleaned_columns]
    if len(kept) == len(table.key):
        return tuple(kept)
    if table.event_time is None:
        gone = sorted(set(table.key) - set(kept))
        raise DeclarationError(f"table {table.name!r}: key columns {gone} are not among its cleaned columns")
    return tuple(dict.fromkeys([*kept, table.event_time]))
