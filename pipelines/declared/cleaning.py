"""The `clean` of a declared table: from landed text to typed columns, the same for every declaration.

Belongs here: putting the columns of a cleaned table together. Does not belong here: which rows are rejected
(`rules.py`), and how single values are read (`values.py`, `label.py`).
"""

from collections.abc import Mapping
from dataclasses import dataclass

import polars as pl

from assets.contracts import PARTITION_KEY
from assets.logic.times import TimeSpec
from pipelines.declared.label import Label
from pipelines.declared.values import Field


@dataclass(frozen=True, kw_only=True)
class EventTime:
    """When a row happened.

    Attributes:
        name: Column of the cleaned table.
        schema: Landed columns it is made of, name and type.
    """

    name: str
    spec: TimeSpec
    schema: tuple[tuple[str, pl.DataType], ...]

    @property
    def value(self) -> pl.Expr:
        """The instant (UTC), null where it cannot be read."""
        return self.spec.parse(dict(self.schema))


@dataclass(frozen=True, kw_only=True)
class Cleaning:
    """A pure function from valid landed rows to cleaned rows; its `repr` is the declaration.

    Attributes:
        time: None for a register.
        fields: The columns to keep, in order.
        label: Of the table that is asked about.
    """

    time: EventTime | None
    fields: tuple[Field, ...]
    label: Label | None = None
    is_partitioned: bool = True

    def __call__(self, frame: pl.LazyFrame, lookups: Mapping[str, pl.LazyFrame]) -> pl.LazyFrame:  # noqa: ARG002
        """The time (UTC), the declared columns in their types, the label and when it was known; same rows, same order.

        Args:
            frame: Rows that no rule rejects, shape (n, landed columns).
            lookups: Not used.
        """
        columns = {field.name: field.value for field in self.fields}
        if self.time is not None:
            columns = {self.time.name: self.time.value, **columns}
            if self.label is not None:
                columns |= {
                    self.label.field.name: self.label.value,
                    self.label.known_column: self.label.known(self.time.value),
                }
        partition = [pl.col(PARTITION_KEY)] if self.is_partitioned else []
        return frame.select(*(value.alias(name) for name, value in columns.items()), *partition)
