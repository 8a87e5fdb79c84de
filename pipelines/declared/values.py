"""Text as it landed, read as a declared type; null where it holds nothing or something else.

Belongs here: expressions over one column. Does not belong here: what becomes of a row whose value does not fit
(`rules.py`).
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

import polars as pl

from assets.logic.profiling.values import BOOLEANS
from assets.logic.times import TimeSpec
from pipelines.declared.schema_tables import ColumnType, Invalid, Value

UTC_TIME: Final = pl.Datetime("us", "UTC")
DTYPES: Final[Mapping[ColumnType, pl.DataType]] = {
    "text": pl.String(),
    "integer": pl.Int64(),
    "number": pl.Float64(),
    "boolean": pl.Boolean(),
    "time": UTC_TIME,
}


@dataclass(frozen=True, kw_only=True)
class Field:
    """How one landed column is read.

    Attributes:
        landed: Type in which it landed; text unless a file said otherwise.
        null_texts: Texts that stand for no value, in lower case.
        time: Of a time, how it is written.
    """

    name: str
    type: ColumnType
    landed: pl.DataType = field(default_factory=pl.String)
    null_texts: tuple[str, ...] = ("",)
    time: TimeSpec | None = None
    nullable: bool = True
    minimum: float | None = None
    maximum: float | None = None
    allowed: tuple[Value, ...] | None = None
    invalid: Invalid = "reject"

    @property
    def written(self) -> pl.Expr:
        """What stands there as text, null where that means no value."""
        text = pl.col(self.name).cast(pl.String).str.strip_chars()
        return pl.when(~text.str.to_lowercase().is_in(list(self.null_texts))).then(text)

    @property
    def value(self) -> pl.Expr:
        """The value in its declared type; null where none is written, or none of this type."""
        if self.type == "text":
            return self.written
        if self.type == "time":
            spec = self.time or TimeSpec(columns={"instant": self.name})
            return spec.parse({self.name: self.landed})
        if self.type == "boolean":
            return as_boolean(self.written)
        return as_number(self.written, is_whole=self.type == "integer")

    @property
    def is_misfit(self) -> pl.Expr:
        """True where something is written that is not of the declared type."""
        return self.written.is_not_null() & self.value.is_null()

    @property
    def is_out_of_range(self) -> pl.Expr:
        """True where the value is smaller or greater than declared; null where there is none."""
        value = self.value
        low = pl.lit(value=False) if self.minimum is None else value < self.minimum
        return low | (pl.lit(value=False) if self.maximum is None else value > self.maximum)

    @property
    def is_not_allowed(self) -> pl.Expr:
        """True where the value is none of those allowed; null where there is none."""
        if self.type == "text":
            return ~self.value.is_in([str(value) for value in self.allowed or ()])
        return ~self.value.cast(pl.Float64).is_in([float(value) for value in self.allowed or ()])


def as_number(text: pl.Expr, *, is_whole: bool = False) -> pl.Expr:
    """Finite numbers, Float64 or Int64; `5.0` is a whole number, `5.5` is none."""
    number = text.cast(pl.Float64, strict=False)
    if not is_whole:
        return pl.when(number.is_finite()).then(number)
    # Through a float only where it must be: above 2^53 that would change an id.
    return pl.coalesce(
        text.cast(pl.Int64, strict=False),
        pl.when(number.is_finite() & (number % 1 == 0)).then(number).cast(pl.Int64, strict=False),
    )


def as_boolean(text: pl.Expr) -> pl.Expr:
    """Yes or no by its spelling."""
    return text.str.to_lowercase().replace_strict(dict(BOOLEANS), default=None, return_dtype=pl.Boolean())


def is_value(text: pl.Expr, value: Value) -> pl.Expr:
    """True where a text says this value: the same letters in any case, or the same number. Null stays null."""
    said = str(value).strip().lower()
    same = text.str.to_lowercase() == said
    try:
        number = float(said)
    except ValueError:
        return same
    return same | (as_number(text) == number).fill_null(value=False)
