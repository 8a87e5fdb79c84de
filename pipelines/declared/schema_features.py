"""What a declaration says of features: which blocks, over which columns.

Belongs here: fields and their meaning for the JSON schema. Does not belong here: the blocks themselves
(`assets/logic/feature_blocks`), and which there are if nothing is said (`defaults.py`).
"""

from datetime import timedelta
from typing import Literal

from pydantic import Field

from assets.logic.feature_blocks.calendar import Part
from assets.logic.feature_blocks.sums import Statistic
from pipelines.declared.words import Declared, Length

Names = tuple[str, ...]
Lengths = tuple[Length, ...]


class Calendar(Declared):
    """What the local calendar says of the time asked about."""

    column: str | None = None
    """Input with the time; the time of the row if it is not said."""
    parts: tuple[Part, ...] = ("hour", "weekday", "is_weekend")
    """Which parts."""
    zone: str | None = None
    """Time zone of the calendar; that of the time if it is not said."""
    country: str | None = None
    """Whose public holidays, such as US or DE; needed by the parts that speak of holidays."""
    subdivision: str | None = None
    """State or province with holidays of its own."""


class Lag(Declared):
    """The value so long before the time asked about, if it was known by then."""

    column: str
    """Whose values: the target, or a column with the role known_later or input."""
    by: Names = ()
    """Columns of a group; none: all rows, and then there should be one row per time."""
    ago: Lengths
    """How long before."""


class Window(Declared):
    """Statistics of what became known within a window before the question."""

    column: str | None = None
    """Whose values; without it rows are counted."""
    by: Names = ()
    """Columns of a group; none: all rows."""
    over: Lengths
    """How long the windows are."""
    of: tuple[Statistic, ...] = ("mean",)
    """Which statistics."""


class SameSlot(Declared):
    """The mean at the same time of earlier periods, such as the same hour of the last four weeks."""

    column: str
    """Whose values."""
    by: Names = ()
    """Columns of a group."""
    every: Length = Field(default=timedelta(days=7))
    """Length of a period."""
    times: int = Field(default=4, ge=2)
    """How many periods."""


class Frequency(Declared):
    """How frequent a category is among what was known."""

    by: Names = Field(min_length=1)
    """The category columns."""
    over: Lengths = Field(default=(timedelta(days=30),), min_length=1)
    """How long the windows are."""


class TargetRate(Frequency):
    """How the target of a category turned out, over what was known; shrunk to the mean of all."""

    equals: str | int | bool | None = None
    """Of a target with several classes: the class whose share is meant."""
    smoothing: float = Field(default=20.0, gt=0)
    """As many rows of the mean of all are mixed in."""


class Ratio(Declared):
    """One number by another."""

    numerator: str
    """An input, or a feature that stands before."""
    denominator: str
    """The same."""
    name: str | None = None
    """What it is called."""


class Latest(Declared):
    """Values of the latest record of a further table, as known when the question is asked."""

    table: str
    """The further table."""
    columns: Names = Field(min_length=1)
    """Its columns to take over."""
    by: Names = ()
    """Columns that both tables have, by which records are found."""
    within: Length | None = None
    """An older record is none; needed if the table has a time."""


class Custom(Declared):
    """Features of a Python function of your own."""

    function: str = Field(pattern=r"^[\w.]+:\w+$")
    """package.module:name of a function from the rows that ask and the history to those rows with the new columns."""
    features: dict[str, Literal["numeric", "categorical"]] = Field(min_length=1)
    """The columns it makes."""
    lookback: Length = Field(default=timedelta(0))
    """How far back it looks."""
    tables: Names = ()
    """Tables of the history it looks into."""
    inputs: Names = ()
    """Inputs it reads."""


class Features(Declared):
    """Features, in this order. What is not said is not made; without `features` there is a choice by the columns."""

    as_is: Names = ()
    """Inputs as the caller gives them."""
    calendar: tuple[Calendar, ...] = ()
    """Parts of the calendar."""
    text_length: Names = ()
    """Texts of which the length counts."""
    lags: tuple[Lag, ...] = ()
    """Values a while ago."""
    same_slot: tuple[SameSlot, ...] = ()
    """Means of the same time of earlier periods."""
    windows: tuple[Window, ...] = ()
    """Statistics over windows."""
    frequency: tuple[Frequency, ...] = ()
    """Shares of categories."""
    target_rate: tuple[TargetRate, ...] = ()
    """How the target of a category turned out."""
    latest: tuple[Latest, ...] = ()
    """Values of further tables."""
    ratios: tuple[Ratio, ...] = ()
    """Ratios of inputs and features."""
    custom: tuple[Custom, ...] = ()
    """Your own functions."""
