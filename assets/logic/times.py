"""Time as people write it: which columns hold it and how, and the instant in UTC that they mean.

Belongs here: a declared reading of time columns and the expression that carries it out. Does not belong here: finding
out how a file writes its times (`times_detection.py`), and the pieces of clocks and dates (`times_parts.py`).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from functools import lru_cache
from typing import Final, Literal, get_args
from zoneinfo import available_timezones

import polars as pl

from assets.logic.times_parts import (
    clock,
    day_of,
    epoch_instant,
    integer,
    iso_local_and_offset,
    month,
    once,
    within,
    year,
)
from assets.policies import DeclarationError

Role = Literal["instant", "date", "time", "year", "month", "day", "hour", "minute", "second"]
"""What a column holds: a whole point in time, its date or its clock alone, or one number of them."""
Epoch = Literal["s", "ms", "us", "ns"]
ROLES: Final[tuple[Role, ...]] = get_args(Role)

FIRST_YEAR, LAST_YEAR = 1000, 9999
"""A year has four digits; anything else is another format that only happens to fit."""


@dataclass(frozen=True, kw_only=True)
class TimeSpec:
    """How the point in time of a row is written.

    Attributes:
        columns: Column by role: `instant` alone; or `date`, or `year` with `month` and `day` (1 if they are left out);
            either with `time`, or with `hour` and then `minute` and `second`. A month may be a number or an English
            name. A `time` of digits alone is HHMM, with or without leading zeros; `2400` is the next midnight.
        format: How the text of `instant` or `date` is written, in the letters of strptime (`%d/%m/%Y %I:%M %p`). Two
            digits of a year mean 1969 to 2068. None: ISO 8601 in any of its usual forms.
        zone: Time zone of what is written without an offset.
        epoch: `instant` counts these units since 1970 (UTC).
    """

    columns: Mapping[Role, str]
    format: str | None = None
    zone: str = "UTC"
    epoch: Epoch | None = None

    def __post_init__(self) -> None:
        if unknown := sorted(self._roles - set(ROLES)):
            raise DeclarationError(f"time, field columns: {unknown} is not a role; known are {list(ROLES)}")
        require_zone(self.zone)
        if wrong := self._wrong_roles():
            raise DeclarationError(f"time, field columns: {sorted(self._roles)} is no point in time; {wrong}")
        if self.epoch is not None and (self.epoch not in get_args(Epoch) or self._roles != {"instant"} or self.format):
            raise DeclarationError(
                f"time, field epoch: {self.epoch!r} must be one of {list(get_args(Epoch))}, for a single column "
                "`instant` without a format"
            )
        if self.format is not None and not self._roles & {"instant", "date"}:
            raise DeclarationError("time, field format: only the columns `instant` and `date` have a format")

    def parse(self, schema: Mapping[str, pl.DataType]) -> pl.Expr:
        """The instant of each row, `Datetime("us", "UTC")`, as an expression over the columns of a frame.

        Null where the columns do not hold what is declared, where the local clock skips (the gap when summer time
        begins), and outside the years 1000 to 9999. Of a local hour that comes twice the first is meant. Columns that
        are typed already (dates, times, numbers) are read as what they are.

        Args:
            schema: Name and type of the columns of that frame.

        Raises:
            DeclarationError: If a column is absent, or of a type that cannot hold its role.
        """
        for role, column in self.columns.items():
            if column not in schema:
                near = get_close_matches(column, list(schema), n=1)
                hint = f"; did you mean {near[0]!r}?" if near else ""
                raise DeclarationError(f"time, field columns: there is no column {column!r} for {role}{hint}")
        if "instant" in self._roles:
            found = self._instant(self.columns["instant"], schema[self.columns["instant"]])
        else:
            found = self._localised(self._day(schema).cast(pl.Datetime("us")) + self._clock(schema))
        return once(found, lambda t: pl.when(t.dt.year().is_between(FIRST_YEAR, LAST_YEAR)).then(t))

    def describe(self) -> str:
        """In words for people: the columns, how they are written, and where that clock hangs."""
        columns = " + ".join(f"`{column}`" for column in self.columns.values())
        if self.epoch:
            return f"{columns}, {self.epoch} since 1970"
        written = f", written as {self.format}" if self.format else ""
        return f"{columns}{written}, in {self.zone} where it gives no offset"

    @property
    def _roles(self) -> set[str]:
        return set(self.columns)

    def _wrong_roles(self) -> str | None:
        roles = self._roles
        if "instant" in roles:
            return "`instant` stands alone" if len(roles) > 1 else None
        if ("date" in roles) == ("year" in roles):
            return "it needs one of `instant`, `date` and `year`"
        if "date" in roles and roles & {"month", "day"}:
            return "`date` holds month and day already"
        if "time" in roles and roles & {"hour", "minute", "second"}:
            return "`time` holds hour, minute and second already"
        for part, whole in (("day", "month"), ("minute", "hour"), ("second", "minute")):
            if part in roles and whole not in roles:
                return f"`{part}` needs `{whole}`"
        return None

    def _instant(self, name: str, dtype: pl.DataType) -> pl.Expr:
        column = pl.col(name)
        if self.epoch is not None:
            return epoch_instant(column, dtype, self.epoch)
        if isinstance(dtype, pl.Datetime):
            typed = column.cast(pl.Datetime("us", dtype.time_zone))
            return typed.dt.convert_time_zone("UTC") if dtype.time_zone else self._localised(typed)
        if dtype == pl.Date:
            return self._localised(column.cast(pl.Datetime("us")))
        text = _text(name, dtype)
        if self.format is not None:
            return self._formatted(text, self.format)
        return once(iso_local_and_offset(text), self._instant_of_iso)

    def _instant_of_iso(self, parts: pl.Expr) -> pl.Expr:
        local, offset = parts.struct.field("local"), parts.struct.field("offset")
        exact = (local - offset).dt.replace_time_zone("UTC")
        return pl.when(offset.is_null()).then(self._localised(local)).otherwise(exact)

    def _formatted(self, text: pl.Expr, form: str) -> pl.Expr:
        for needs, unless, filling in (("%H", "%M", "%M"), ("%I", "%M", "%M")):
            if needs in form and unless not in form:
                text, form = text + " 0", f"{form} {filling}"
        # A month alone means its first day; the parser wants every part of a date to be there.
        if not any(token in form for token in ("%d", "%e", "%j", "%D", "%F", "%+", "%x", "%c", "%s")):
            text, form = (text + " 1", f"{form} %d") if _has_month(form) else (text + " 1 1", f"{form} %m %d")
        found = text.str.to_datetime(form, time_unit="us", strict=False)
        has_offset = any(token in form for token in ("%z", "%:z", "%#z", "%+"))
        return found.dt.convert_time_zone("UTC") if has_offset else self._localised(found)

    def _day(self, schema: Mapping[str, pl.DataType]) -> pl.Expr:
        if "date" in self._roles:
            name = self.columns["date"]
            if schema[name].is_temporal() and schema[name] in (pl.Date, pl.Datetime):
                return pl.col(name).cast(pl.Date)
            text = _text(name, schema[name])
            return (
                iso_local_and_offset(text).struct.field("local").dt.date()
                if self.format is None
                else text.str.to_date(self.format, strict=False)
            )
        numbers = {
            role: (self.columns[role], schema[self.columns[role]])
            for role in ("year", "month", "day")
            if role in self._roles
        }
        first = pl.lit(1, pl.Int64)
        return day_of(
            year(*numbers["year"]),
            month(*numbers["month"]) if "month" in numbers else first,
            integer(*numbers["day"]) if "day" in numbers else first,
        )

    def _clock(self, schema: Mapping[str, pl.DataType]) -> pl.Expr:
        """Time since local midnight, null where it does not parse."""
        if "time" in self._roles:
            name = self.columns["time"]
            if schema[name] == pl.Time:
                return pl.col(name).cast(pl.Duration("us"))
            return clock(_text(name, schema[name]))
        hour, minute, second = (
            integer(self.columns[role], schema[self.columns[role]]) if role in self._roles else pl.lit(0, pl.Int64)
            for role in ("hour", "minute", "second")
        )
        return within(hour, minute, second)

    def _localised(self, local: pl.Expr) -> pl.Expr:
        return local.dt.replace_time_zone(self.zone, ambiguous="earliest", non_existent="null").dt.convert_time_zone(
            "UTC"
        )


@lru_cache(maxsize=256)
def require_zone(zone: str) -> None:
    """Refuse what is not the name of a time zone, with the names nearest to it.

    Raises:
        DeclarationError: If there is no such zone.
    """
    if zone not in (known := available_timezones()):
        near = get_close_matches(zone, sorted(known), n=3, cutoff=0.5)
        hint = f"; near are {near}" if near else ""
        raise DeclarationError(f"time, field zone: there is no time zone {zone!r}, such as Europe/Berlin{hint}")


def _has_month(form: str) -> bool:
    return any(token in form for token in ("%m", "%b", "%B", "%h"))


def _text(name: str, dtype: pl.DataType) -> pl.Expr:
    """The column as text without blanks around it; a whole number (20180131) is its digits.

    Raises:
        DeclarationError: If the column is neither text nor a whole number.
    """
    if dtype in (pl.String, pl.Categorical, pl.Enum, pl.Null) or dtype.is_integer():
        return pl.col(name).cast(pl.String).str.strip_chars()
    raise DeclarationError(f"time, field columns: {name!r} is {dtype}, and no time can be read from that")
