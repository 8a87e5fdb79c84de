"""The pieces of a written time as expressions: numbers, month names, clocks, ISO 8601, counts since 1970.

Belongs here: expressions over one or two columns that are null where the text is not what it should be. Does not
belong here: which columns make up a time (`times.py`).
"""

from collections.abc import Callable
from typing import Final

import polars as pl

MONTHS: Final = (
    "january", "february", "march", "april", "may", "june", "july", "august", "september", "october", "november",
    "december",
)  # fmt: skip
MONTH_NUMBERS: Final = {
    **{name: number for number, name in enumerate(MONTHS, 1)},
    **{name[:3]: number for number, name in enumerate(MONTHS, 1)},
    "sept": 9,
}
CLOCK: Final = r"^([0-9]{1,2})(?:[:.]?([0-9]{2})(?:[:.]?([0-9]{2})(?:[.,]([0-9]{1,9}))?)?)?\s*(?:([AaPp])\.?[Mm]\.?)?$"
"""Hour, minute, second, fraction, and the letter of a.m. or p.m."""
ISO: Final = (
    r"^([0-9]{4}-[0-9]{2}-[0-9]{2})"
    r"(?:(?:[Tt]|\s+)([0-9]{1,2}:[0-9]{2}(?::[0-9]{2}(?:[.,][0-9]{1,9})?)?)\s*(?:([Zz]|UTC|GMT)|([+-][0-9]{2}):?([0-9]{2})?)?)?$"
)
"""Date; clock; a letter for UTC; or the hours and minutes of an offset."""
PER_SECOND: Final = {"s": 1, "ms": 1_000, "us": 1_000_000, "ns": 1_000_000_000}
MIDNIGHT: Final = 24
LAST_SECOND: Final = 253_402_300_799
"""The last second of the year 9999."""


def once(value: pl.Expr, then: Callable[[pl.Expr], pl.Expr]) -> pl.Expr:
    """`then` of `value`, which is computed once however often `then` uses it.

    Polars would compute it again for every use: a written time of some twenty uses of a regular expression took a
    hundred times as long.
    """
    staged = pl.struct(value.alias("value")).struct.with_fields(then(pl.field("value")).alias("found"))
    return staged.struct.field("found")


def iso_local_and_offset(text: pl.Expr) -> pl.Expr:
    """Date, with `T` or blanks a clock with or without seconds, with `Z` or an offset, as ISO 8601 writes them.

    Returns:
        A struct of `local`, a Datetime without zone, null if the text is not that; and `offset`, a Duration, null where
        none is written.
    """

    def taken_apart(parts: pl.Expr) -> pl.Expr:
        written, hours, minutes = (parts.struct.field(name) for name in ("2", "4", "5"))
        size = pl.duration(
            hours=hours.str.slice(1).cast(pl.Int64),
            minutes=minutes.cast(pl.Int64).fill_null(0),
            time_unit="us",
        )
        day = parts.struct.field("1").str.to_date("%Y-%m-%d", strict=False).cast(pl.Datetime("us"))
        none = pl.duration(hours=0, time_unit="us")
        return pl.struct(
            local=day + pl.when(written.is_null()).then(none).otherwise(clock(written)),
            offset=pl.when(parts.struct.field("3").is_not_null())
            .then(none)
            .otherwise(pl.when(hours.str.starts_with("-")).then(-size).otherwise(size)),
        )

    return once(text.str.extract_groups(ISO), taken_apart)


def clock(text: pl.Expr) -> pl.Expr:
    """Time since midnight of `13:05`, `13.05`, `1:05 PM`, `01:05:00.5 am`, `1305`; null for anything else.

    Digits alone are hours and minutes, so `5` is five past midnight.
    """

    def numbers(parts: pl.Expr) -> pl.Expr:
        hour, minute, second = (parts.struct.field(n).cast(pl.Int64) for n in ("1", "2", "3"))
        half = parts.struct.field("5").str.to_lowercase()
        of_twelve = pl.when(hour.is_between(1, 12)).then(hour % 12 + pl.when(half == "p").then(12).otherwise(0))
        fraction = parts.struct.field("4").str.pad_end(6, "0").str.slice(0, 6).cast(pl.Int64).fill_null(0)
        return pl.struct(
            hour=pl.when(half.is_null()).then(hour).otherwise(of_twelve),
            minute=minute.fill_null(0),
            second=second.fill_null(0),
            fraction=fraction,
        )

    def together(of: pl.Expr) -> pl.Expr:
        hour, minute, second, fraction = (of.struct.field(n) for n in ("hour", "minute", "second", "fraction"))
        return within(hour, minute, second) + pl.duration(microseconds=fraction, time_unit="us")

    padded = once(text, lambda t: pl.when(t.str.contains(r"^[0-9]{1,3}$")).then(t.str.zfill(4)).otherwise(t))
    return once(once(padded.str.extract_groups(CLOCK), numbers), together)


def within(hour: pl.Expr, minute: pl.Expr, second: pl.Expr) -> pl.Expr:
    """Time since midnight of whole numbers, null outside of the clock; 24:00 is the next midnight."""
    is_valid = minute.is_between(0, 59) & second.is_between(0, 59)
    is_valid &= hour.is_between(0, MIDNIGHT - 1) | ((hour == MIDNIGHT) & (minute == 0) & (second == 0))
    return pl.when(is_valid).then(pl.duration(hours=hour, minutes=minute, seconds=second, time_unit="us"))


def integer(name: str, dtype: pl.DataType) -> pl.Expr:
    """A column of whole numbers as Int64, be they written `7`, `07` or `7.0`; null for anything else."""
    if dtype.is_integer():
        return pl.col(name).cast(pl.Int64)
    column = pl.col(name) if dtype.is_numeric() else pl.col(name).cast(pl.String).str.strip_chars()
    return once(
        column.cast(pl.Float64, strict=False),
        lambda number: pl.when(number == number.round()).then(number.cast(pl.Int64, strict=False)),
    )


def year(name: str, dtype: pl.DataType) -> pl.Expr:
    """A year; two digits mean 1969 to 2068, as in formats."""

    def of_century(number: pl.Expr) -> pl.Expr:
        century = pl.when(number.is_between(0, 68)).then(2000).when(number.is_between(69, 99)).then(1900).otherwise(0)
        return number + century

    return once(integer(name, dtype), of_century)


def month(name: str, dtype: pl.DataType) -> pl.Expr:
    """A month as number, English name or its short form, in any case."""
    if dtype.is_numeric():
        return integer(name, dtype)
    names = pl.col(name).cast(pl.String).str.strip_chars().str.strip_chars_end(".").str.to_lowercase()
    named = names.replace_strict(MONTH_NUMBERS, default=None, return_dtype=pl.Int64)
    return pl.coalesce(named, integer(name, dtype))


def day_of(years: pl.Expr, months: pl.Expr, days: pl.Expr) -> pl.Expr:
    """The date of three numbers, null where the calendar has no such day."""

    def dated(of: pl.Expr) -> pl.Expr:
        y, m, d = (of.struct.field(n) for n in ("y", "m", "d"))
        is_month = y.is_between(1, 9999) & m.is_between(1, 12)
        first = pl.date(pl.when(is_month).then(y), pl.when(is_month).then(m), 1)
        found = first + pl.duration(days=pl.when(d.is_between(1, 31)).then(d - 1))
        return once(pl.struct(found=found, m=m), _in_its_month)

    return once(pl.struct(y=years, m=months, d=days), dated)


def _in_its_month(of: pl.Expr) -> pl.Expr:
    found = of.struct.field("found")
    return pl.when(found.dt.month() == of.struct.field("m")).then(found)


def epoch_instant(column: pl.Expr, dtype: pl.DataType, unit: str) -> pl.Expr:
    """The instant (UTC, microseconds) of a count since 1970, typed or written; null beyond the year 9999.

    Whole counts are exact; fractions (seconds with decimals) are rounded to the microsecond.
    """
    limit = min(LAST_SECOND * PER_SECOND[unit], 2**63 - 1)
    factor, divisor = max(PER_SECOND["us"] // PER_SECOND[unit], 1), max(PER_SECOND[unit] // PER_SECOND["us"], 1)

    def exact(whole: pl.Expr) -> pl.Expr:
        return pl.when(whole.is_between(-limit, limit)).then(whole * factor // divisor)

    def rounded(count: pl.Expr) -> pl.Expr:
        return pl.when(count.abs() < limit).then((count * factor / divisor).round().cast(pl.Int64, strict=False))

    source = column if dtype.is_numeric() else column.cast(pl.String).str.strip_chars()
    readings = [] if dtype.is_float() else [once(source.cast(pl.Int64, strict=False), exact)]
    if not dtype.is_integer():
        readings.append(once(source.cast(pl.Float64, strict=False), rounded))
    return pl.coalesce(readings).cast(pl.Datetime("us")).dt.replace_time_zone("UTC")
