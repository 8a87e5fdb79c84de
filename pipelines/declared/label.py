"""The outcome of a row as its task needs it, and when it was known.

Belongs here: from the landed target to a label. Does not belong here: other columns (`values.py`).
"""

from dataclasses import dataclass
from datetime import timedelta

import polars as pl

from assets.contracts import LABEL_TYPES, Task
from pipelines.declared.schema_tables import Value
from pipelines.declared.values import Field, as_boolean, as_number, is_value


@dataclass(frozen=True, kw_only=True)
class Label:
    """How the target column is read.

    Attributes:
        field: The column as text.
        positive: Of a binary task: what counts as 1, all else as 0; None: what is spelled as yes or no.
        known_after: The outcome is known so long after the time of the row, if `known_at` does not say it.
        known_at: The time column that says it.
    """

    field: Field
    task: Task
    positive: Value | None = None
    known_after: timedelta = timedelta(0)
    known_at: Field | None = None

    @property
    def value(self) -> pl.Expr:
        """The label in the type of `LABEL_TYPES`; null where there is no outcome, or none of this task."""
        text = self.field.written
        if self.task == "multiclass":
            return text
        if self.task == "binary":
            is_positive = as_boolean(text) if self.positive is None else is_value(text, self.positive)
            return is_positive.cast(LABEL_TYPES["binary"])
        if self.task == "regression":
            return as_number(text)
        count = as_number(text, is_whole=True)
        return pl.when(count >= 0).then(count)

    def known(self, event_time: pl.Expr) -> pl.Expr:
        """When the outcome was known (UTC); null where there is none, or nobody says when."""
        if self.known_at is not None:
            return self.known_at.value
        return pl.when(self.value.is_not_null()).then(event_time + self.known_after)

    @property
    def known_column(self) -> str:
        """Column of the cleaned table with that instant."""
        return f"{self.field.name}_known_at" if self.known_at is None else self.known_at.name
