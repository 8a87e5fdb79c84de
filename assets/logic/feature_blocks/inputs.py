"""Blocks that need nothing but the row that asks: its inputs as they are, lengths of texts, ratios.

Belongs here: functions of the columns of one row. Does not belong here: anything about time (`calendar.py`) or about
other rows (`past_values.py`, `windows.py`, `rates.py`).
"""

from dataclasses import dataclass
from datetime import timedelta
from typing import ClassVar, Final

import polars as pl

from assets.contracts import Feature
from assets.logic.feature_blocks.base import numeric
from assets.logic.point_in_time import History
from assets.policies import DeclarationError

TEXT: Final = (pl.String, pl.Categorical, pl.Enum, pl.Null)


@dataclass(frozen=True, kw_only=True)
class AsIs:
    """Inputs as the caller gives them.

    Attributes:
        numbers: Columns of numbers or Booleans.
        categories: Columns of text.
        codes: Columns of whole numbers that are names rather than quantities; each gives a feature `<column>_code`.
    """

    lookback: ClassVar[timedelta] = timedelta(0)
    tables: ClassVar[tuple[str, ...]] = ()

    numbers: tuple[str, ...] = ()
    categories: tuple[str, ...] = ()
    codes: tuple[str, ...] = ()

    @property
    def inputs(self) -> tuple[str, ...]:
        """The columns themselves."""
        return (*self.numbers, *self.categories, *self.codes)

    def features(self) -> tuple[Feature, ...]:
        """One per column."""
        codes = (
            Feature(name=f"{n}_code", kind="categorical", group="input", description=f"{n} as given")
            for n in self.codes
        )
        texts = (
            Feature(name=n, kind="categorical", group="input", description=f"{n} as given") for n in self.categories
        )
        return (*(numeric(n, "input", f"{n} as given") for n in self.numbers), *texts, *codes)

    def build(self, spine: pl.DataFrame, history: History) -> dict[str, pl.Series]:  # noqa: ARG002
        """The columns, unchanged; codes as text.

        Raises:
            DeclarationError: If a column is of another kind than declared.
        """
        for name in self.numbers:
            dtype = spine.schema[name]
            if not (dtype.is_numeric() or dtype in (pl.Boolean, pl.Null)):
                raise DeclarationError(f"features, AsIs, field numbers: {name!r} is {dtype}; is it a category?")
        for name in self.categories:
            if spine.schema[name] not in TEXT:
                raise DeclarationError(
                    f"features, AsIs, field categories: {name!r} is {spine.schema[name]}, not text; put whole numbers "
                    "that are names under codes"
                )
        same = {name: spine[name] for name in (*self.numbers, *self.categories)}
        return same | {f"{name}_code": spine[name].cast(pl.String) for name in self.codes}


@dataclass(frozen=True, kw_only=True)
class TextLength:
    """How long texts are, in characters and in words (what stands between blanks); null where there is no text."""

    lookback: ClassVar[timedelta] = timedelta(0)
    tables: ClassVar[tuple[str, ...]] = ()

    columns: tuple[str, ...]

    @property
    def inputs(self) -> tuple[str, ...]:
        """The columns of text."""
        return self.columns

    def features(self) -> tuple[Feature, ...]:
        """Two per column."""
        return tuple(
            numeric(f"{name}_{unit}", "input", f"Number of {unit} of {name}")
            for name in self.columns
            for unit in ("characters", "words")
        )

    def build(self, spine: pl.DataFrame, history: History) -> dict[str, pl.Series]:  # noqa: ARG002
        """Float64."""
        found: dict[str, pl.Series] = {}
        for name in self.columns:
            text = spine[name].cast(pl.String)
            found[f"{name}_characters"] = text.str.len_chars().cast(pl.Float64)
            found[f"{name}_words"] = text.str.count_matches(r"\S+").cast(pl.Float64)
        return found


@dataclass(frozen=True, kw_only=True)
class Ratio:
    """One number by another, of the inputs or of the features of blocks that stand before; null where it divides by 0.

    Attributes:
        name: Of the feature; by default `<numerator>_per_<denominator>`.
    """

    lookback: ClassVar[timedelta] = timedelta(0)
    tables: ClassVar[tuple[str, ...]] = ()

    numerator: str
    denominator: str
    name: str | None = None

    @property
    def inputs(self) -> tuple[str, ...]:
        """Both columns, of which either may be a feature as well."""
        return (self.numerator, self.denominator)

    def features(self) -> tuple[Feature, ...]:
        """One."""
        name = self.name or f"{self.numerator}_per_{self.denominator}"
        return (numeric(name, "input", f"{self.numerator} divided by {self.denominator}"),)

    def build(self, spine: pl.DataFrame, history: History) -> dict[str, pl.Series]:  # noqa: ARG002
        """Float64; never infinite.

        Raises:
            DeclarationError: If a column is neither an input nor a feature of a block that stands before.
        """
        if absent := [name for name in self.inputs if name not in spine.columns]:
            raise DeclarationError(
                f"features, Ratio: {absent} is neither an input nor a feature of a block before; known are "
                f"{spine.columns}"
            )
        part, whole = (pl.col(name).cast(pl.Float64) for name in self.inputs)
        name = self.features()[0].name
        share = part / pl.when(whole != 0).then(whole)
        return {name: spine.select(pl.when(share.is_finite()).then(share).alias(name))[name]}
