"""From landed text to typed rows, and from typed rows to those that hold and those that are kept aside.

Belongs here: the two decisions every table meets on its way in, whatever it is about. Does not belong here: reading
files (`resources/sources.py`), and the rules of one table; a use case declares them.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import polars as pl

from assets.contracts import Column, Rule
from resources.errors import InputError

REASON: Final = "reason"
"""Column of a quarantined row: the name of the rule that rejected it."""
MISSING_KEY: Final = "missing_key"
REPEATED_ROW: Final = "repeated_row"
CONFLICTING_KEY: Final = "conflicting_key"

SHOWN_VALUES: Final = 3
"""How many bad values of a column an error shows: enough to see the pattern, short enough to read."""
INSTANT_FORMAT: Final = "%Y-%m-%dT%H:%M:%S%.f%#z"
"""ISO 8601 with `Z` or an offset. A text without one is refused: whose local time it is would be a guess."""
LOCAL_FORMAT: Final = "%Y-%m-%dT%H:%M:%S%.f"
BOOLEANS: Final = {"true": True, "false": False, "1": True, "0": False, "t": True, "f": False}


class IntakeError(InputError):
    """A landed file that is not what its table declares; the message names the file, the columns and the rows."""


@dataclass(frozen=True, kw_only=True)
class Split:
    """Landed rows, each in exactly one of two frames.

    Attributes:
        valid: Rows that no rule rejects, shape (n_valid, landed columns), in the landed order.
        rejected: The others with `reason`, shape (n_rejected, landed columns + 1), in the landed order.
    """

    valid: pl.DataFrame
    rejected: pl.DataFrame


def typed(frame: pl.LazyFrame, columns: Mapping[str, Column], where: str) -> pl.DataFrame:
    """The landed rows with exactly the declared columns, in the declared order and types.

    All faults of a file are told in one error, so that nobody mends them one by one. A value is never rounded, cut or
    turned into a null to make it fit.

    Args:
        frame: Rows as landed, shape (n, landed columns): text from CSV, any types from Parquet; null is missing.
        columns: The declaration. Text for an instant (`Datetime` with a time zone) must carry `Z` or an offset.
        where: Name of the file for error messages, such as its URI.

    Raises:
        IntakeError: If columns are missing or undeclared, values do not parse as declared, or a column that is
            declared not nullable holds a null.
    """
    landed = frame.collect()
    _require_declared(landed, columns, where)
    converted = {name: _converted(landed[name], column.dtype) for name, column in columns.items()}
    faults = [fault for name, values in converted.items() if (fault := _fault(landed[name], values, columns[name]))]
    if faults:
        raise IntakeError(
            f"{where} is not as declared: {'; '.join(faults)}. Nothing was taken in; deliver it corrected."
        )
    return pl.DataFrame(converted)


def quarantine(frame: pl.DataFrame, rules: Sequence[Rule], key: Sequence[str]) -> Split:
    """Divide rows into those that hold and those that are kept aside with a reason. None is lost or doubled.

    The reasons in the order in which they are given: `missing_key` (a key column is null); the first rule that rejects
    the row; `repeated_row` (equal in every column to a row above it, which is kept); `conflicting_key` (same key,
    different values: nobody can say which is right, so all are rejected). Rules come before the comparison of rows, so
    that a broken copy does not take the good row with it.

    Args:
        frame: Typed rows, shape (n, landed columns). A column named `reason` is not allowed.
        rules: In order of precedence. A rule that evaluates to null does not reject.
        key: Columns that identify a row. Empty: rows are not compared with one another, and may repeat.

    Raises:
        IntakeError: If the frame already has a column `reason`, or lacks a key column.
    """
    if REASON in frame.columns:
        raise IntakeError(f"a landed column may not be called {REASON!r}: quarantined rows need that name; rename it")
    if absent := [name for name in key if name not in frame.columns]:
        raise IntakeError(f"key columns {absent} are not among the landed columns {frame.columns}")
    missing = pl.any_horizontal(pl.lit(False), *(pl.col(name).is_null() for name in key))
    broken = [pl.when(rule.rejects).then(pl.lit(rule.name)) for rule in rules]
    reason = pl.coalesce(pl.when(missing).then(pl.lit(MISSING_KEY)), *broken, pl.lit(None, pl.String))
    judged = frame.with_columns(reason.alias(REASON))
    if key:
        judged = _compared(judged, frame.columns, key)
    return Split(
        valid=judged.filter(pl.col(REASON).is_null()).drop(REASON),
        rejected=judged.filter(pl.col(REASON).is_not_null()),
    )


def _compared(judged: pl.DataFrame, columns: Sequence[str], key: Sequence[str]) -> pl.DataFrame:
    """Add the reasons that come from other rows, among rows that have no reason yet. Nulls equal nulls."""
    unjudged = pl.col(REASON).is_null()
    copy = unjudged & ~pl.struct(*columns).is_first_distinct()
    judged = judged.with_columns(pl.when(copy).then(pl.lit(REPEATED_ROW)).otherwise(REASON).alias(REASON))
    # With the reason so far among the compared: a rejected row is no argument against an accepted one.
    conflict = unjudged & pl.struct(*key, REASON).is_duplicated()
    return judged.with_columns(pl.when(conflict).then(pl.lit(CONFLICTING_KEY)).otherwise(REASON).alias(REASON))


def _require_declared(landed: pl.DataFrame, columns: Mapping[str, Column], where: str) -> None:
    missing = [name for name in columns if name not in landed.columns]
    extra = [name for name in landed.columns if name not in columns]
    faults = []
    if missing:
        faults.append(f"declared columns are missing: {missing}")
    if extra:
        faults.append(f"columns are not declared: {extra}")
    if faults:
        raise IntakeError(
            f"{where} has other columns than declared: {'; '.join(faults)}. Nothing was taken in; deliver the declared "
            "columns, or change the table's declaration if the source has changed for good."
        )


def _converted(values: pl.Series, dtype: pl.DataType) -> pl.Series:
    """The values in the declared type, null where they do not fit it exactly."""
    if values.dtype == dtype:
        return _finite(values)
    if values.dtype == pl.String():
        return _finite(_parsed(values, dtype))
    cast = values.cast(dtype, strict=False)
    # A cast may round or cut (1.5 to 1); what does not come back unchanged did not fit.
    exact = cast.cast(values.dtype, strict=False).eq_missing(values)
    return _finite(cast.set(~exact, None))


def _parsed(values: pl.Series, dtype: pl.DataType) -> pl.Series:
    if isinstance(dtype, pl.Datetime):
        form = INSTANT_FORMAT if dtype.time_zone else LOCAL_FORMAT
        return values.str.to_datetime(form, time_unit=dtype.time_unit, time_zone=dtype.time_zone, strict=False)
    if isinstance(dtype, pl.Date):
        return values.str.to_date("%Y-%m-%d", strict=False)
    if isinstance(dtype, pl.Boolean):
        return values.str.to_lowercase().replace_strict(BOOLEANS, default=None, return_dtype=pl.Boolean())
    return values.cast(dtype, strict=False)


def _finite(values: pl.Series) -> pl.Series:
    """Not a number and infinity are no measurements; a missing value has to be missing."""
    return values.set(~values.is_finite(), None) if values.dtype.is_float() else values


def _fault(landed: pl.Series, values: pl.Series, column: Column) -> str | None:
    """What is wrong with a column, with the first bad rows; the first row after the header is row 1."""
    bad = (values.is_null() & landed.is_not_null()).arg_true()
    if len(bad):
        shown = ", ".join(f"row {i + 1}: {landed[i]!r}" for i in bad[:SHOWN_VALUES])
        return f"column {landed.name!r} has {len(bad)} value(s) that are no {column.dtype} ({shown})"
    empty = values.is_null().arg_true()
    if len(empty) and not column.nullable:
        shown = ", ".join(str(i + 1) for i in empty[:SHOWN_VALUES])
        return f"column {landed.name!r} is declared without missing values but has {len(empty)} (row {shown})"
    return None
