"""Separate columns that make up one time: year, month and day; a date and its hour or clock.

Belongs here: which columns belong together, by their names and values. Does not belong here: formats of one column
(`times_formats.py`), and how well a set fits (`times_detection.py`).
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Final

import polars as pl

from assets.logic.times import Role, TimeSpec
from assets.logic.times_parts import clock, integer, month, within

_WORDS: Final[Mapping[Role, re.Pattern[str]]] = {
    "year": re.compile(r"^(year|yr|yyyy)$"),
    "month": re.compile(r"^(month|mon|mnth|mm)$"),
    "day": re.compile(r"^(day|dom|dayofmonth|mday|dd)$"),
    "hour": re.compile(r"^(hour|hr|hh)$"),
    "minute": re.compile(r"^(minute|min)$"),
    "second": re.compile(r"^(second|sec)$"),
    "time": re.compile(r"^(time|clock|timeofday)$"),
}
_LONG: Final = (("day", "of", "month"), ("time", "of", "day"))
_TIME_NAME: Final = re.compile(
    r"^(date|dt|day|time|timestamp|datetime|ts|epoch|at|when|year|month|hour|period|week|dteday)$|time$|date$|stamp$"
)
_CLOCK_SIGNS: Final = r":|\d\.\d+\.\d|[AaPp]\.?[Mm]"
LEAST_FITTING: Final = 0.9
"""Share of the values that must be what the name of their column says."""


def has_time_name(column: str) -> bool:
    """Whether the name of a column speaks of time: `created_at`, `date`, `arrival_date_year`, `timestamp`."""
    return any(_TIME_NAME.search(word) for word in _words(column))


def column_sets(sample: pl.DataFrame, dates: Sequence[TimeSpec], zone: str) -> Iterator[TimeSpec]:
    """Readings of several columns together, as far as names and values speak for them.

    Args:
        sample: Some rows, columns as text or typed.
        dates: Readings of single columns that hold dates without a clock.
        zone: Time zone of what is written.
    """
    stems = _by_stem(sample)
    for roles in stems.values():
        numbers: dict[Role, str] = {role: column for role, column in roles.items() if role != "time"}
        if "year" in numbers and "month" in numbers:
            yield TimeSpec(columns=_complete({**numbers}), zone=zone)
    for spec in dates:
        date = spec.columns["instant"]
        stem = _stem(date)
        own = stems.get(stem, {})
        clocks = [own] if {"hour", "time"} & set(own) else [r for r in stems.values() if {"hour", "time"} & set(r)]
        for roles in clocks:
            parts: Sequence[Role] = ("hour", "minute", "second") if "hour" in roles else ("time",)
            found: dict[Role, str] = {"date": date, **{role: roles[role] for role in parts if role in roles}}
            yield replace(spec, columns=_complete(found))


def _complete(roles: Mapping[Role, str]) -> dict[Role, str]:
    """Without the parts whose whole is missing: a minute without an hour says nothing."""
    found = dict(roles)
    wholes: tuple[tuple[Role, Role], ...] = (
        ("day", "month"),
        ("hour", "day"),
        ("minute", "hour"),
        ("second", "minute"),
    )
    for part, whole in wholes:
        if part in found and whole not in found and not (part == "hour" and "date" in found):
            del found[part]
    return found


def _by_stem(sample: pl.DataFrame) -> dict[str, dict[Role, str]]:
    """Columns by role, for each common beginning of their names (`arrival_date` of `arrival_date_year`)."""
    stems: dict[str, dict[Role, str]] = {}
    for column in sample.columns:
        role = _role(column)
        if role is not None and _fits(sample, column, role):
            stems.setdefault(_stem(column), {}).setdefault(role, column)
    return stems


def _words(column: str) -> list[str]:
    parted = re.sub(r"([a-z])([A-Z])", r"\1_\2", column)
    words = [word for word in re.split(r"[^a-z]+", parted.lower()) if word]
    for long in _LONG:
        for start in range(len(words) - 2):
            if tuple(words[start : start + 3]) == long:
                words[start : start + 3] = ["".join(long)]
                break
    return words


def _role(column: str) -> Role | None:
    words = _words(column)
    # `day of week` and `week of year` are no part of a date; `unit_min` is a price rather than a minute.
    if {"week", "weekday", "dayofyear"} & set(words):
        return None
    for role, pattern in _WORDS.items():
        if words and (pattern.match(words[-1]) or (len(words) > 1 and pattern.match(words[0]) and role != "time")):
            return role
    return None


def _stem(column: str) -> str:
    words = [word for word in _words(column) if word not in ("date", "dt", "dteday")]
    kept = [word for word in words if not any(pattern.match(word) for pattern in _WORDS.values())]
    return "_".join(kept)


def _fits(sample: pl.DataFrame, column: str, role: Role) -> bool:
    """Whether nearly all values can be what the name says."""
    dtype = sample.schema[column]
    if not (dtype == pl.String or dtype.is_numeric() or (role == "time" and dtype == pl.Time)):
        return False
    zero = pl.lit(0, pl.Int64)
    match role:
        case "year":
            valid = integer(column, dtype).is_between(1900, 2100)
        case "month":
            valid = month(column, dtype).is_between(1, 12)
        case "day":
            valid = integer(column, dtype).is_between(1, 31)
        case "hour":
            valid = within(integer(column, dtype), zero, zero).is_not_null()
        case "time":
            valid = _is_clock(column)
        case _:
            valid = integer(column, dtype).is_between(0, 59)
    counted = sample.select(valid=valid.sum(), present=pl.col(column).count())
    present, fitting = int(counted["present"].item()), int(counted["valid"].item() or 0)
    return present > 0 and fitting >= LEAST_FITTING * present


def _is_clock(column: str) -> pl.Expr:
    """Digits alone do not count: `lead_time` is a number of days, and `1305` must be declared to be a clock."""
    text = pl.col(column).cast(pl.String).str.strip_chars()
    return clock(text).is_not_null() & text.str.contains(_CLOCK_SIGNS)
