"""From one value of a request to one of a field: what is allowed in it, said in the caller's words.

Belongs here: types, their bounds and declared ranges. Does not belong here: which fields there are (`rows.py`).
"""

import math
from collections.abc import Callable
from datetime import UTC, date, datetime
from functools import lru_cache
from typing import Any, Final

import polars as pl

from resources.serving.service import Field

MAX_TEXT: Final = 1_000
"""Characters in one value."""
MAX_NUMBER: Final = 1e15
"""Beyond it the 32-bit floats inside models overflow on the way, and a 64-bit one no longer counts by ones."""
EARLIEST: Final = datetime(1900, 1, 1, tzinfo=UTC)
LATEST: Final = datetime(2200, 1, 1, tzinfo=UTC)
"""Well within what nanosecond clocks can hold (1677 to 2262), which some calendars count in."""
TIME_FORM: Final = "an ISO-8601 time with a zone, such as 2013-09-01T14:00:00Z"


def parser_of(field: Field) -> Callable[[Any], Any]:
    """How a JSON value becomes one of a field; raises ValueError with what is allowed instead."""
    parse, usual = parser(field.dtype), field.range
    if usual is None or usual.otherwise == "warn":
        return parse

    def within(value: object) -> object:
        parsed = parse(value)
        if not usual.holds(parsed):
            raise ValueError(f"send {usual}")
        return parsed

    return within


@lru_cache
def parser(dtype: pl.DataType) -> Callable[[Any], Any]:
    """How a JSON value becomes one of `dtype`; raises ValueError with what is allowed instead."""
    if isinstance(dtype, pl.Datetime):
        return _time
    if dtype.is_integer():
        lowest, highest = whole_numbers(dtype)
        return lambda value: _integer(value, lowest, highest)
    if dtype.is_float():
        return number
    return {pl.String(): _text, pl.Boolean(): _boolean, pl.Date(): _date}[dtype]


def whole_numbers(dtype: pl.DataType) -> tuple[int, int]:
    """The least and the greatest value of an integer type."""
    lowest, highest = pl.select(dtype.min(), dtype.max().alias("max")).row(0)  # type: ignore[attr-defined]  # it has bounds
    return int(lowest), int(highest)


def _time(value: object) -> datetime:
    try:
        instant = datetime.fromisoformat(_text(value))
    except ValueError as error:
        raise ValueError(f"send {TIME_FORM}") from error
    if instant.tzinfo is None:
        raise ValueError(f"the time has no zone; send {TIME_FORM}")
    instant = instant.astimezone(UTC)
    if not EARLIEST <= instant < LATEST:
        raise ValueError(f"send a time from {EARLIEST.year} to {LATEST.year - 1}")
    return instant


def _date(value: object) -> date:
    try:
        day = date.fromisoformat(_text(value))
    except ValueError as error:
        raise ValueError("send an ISO-8601 date, such as 2013-09-01") from error
    if not EARLIEST.date() <= day < LATEST.date():
        raise ValueError(f"send a date from {EARLIEST.year} to {LATEST.year - 1}")
    return day


def _integer(value: object, lowest: int, highest: int) -> int:
    given = _finite(value)
    # Data frames with a missing value turn whole numbers into floats, so 12.0 counts as 12.
    if given is None or given != math.floor(given) or not lowest <= given <= highest:
        raise ValueError(f"send a whole number from {lowest} to {highest}")
    return int(given)


def number(value: object) -> float:
    """A JSON number as a float; raises ValueError with what is allowed instead."""
    given = _finite(value)
    if given is None or abs(given) > MAX_NUMBER:
        raise ValueError(f"send a number from -{MAX_NUMBER:g} to {MAX_NUMBER:g}, or null")
    return float(given)


def _finite(value: object) -> int | float | None:
    if not isinstance(value, int | float) or isinstance(value, bool):  # to Python, true is a number
        return None
    return value if math.isfinite(value) else None


def _text(value: object) -> str:
    if not isinstance(value, str) or len(value) > MAX_TEXT:
        raise ValueError(f"send text of at most {MAX_TEXT} characters")
    return value


def _boolean(value: object) -> bool:
    if not isinstance(value, bool):
        raise ValueError("send true or false")  # noqa: TRY004  # one kind of error for every wrong value
    return value
