"""What the calendar says of an instant: hour and weekday on the local clock, season, public holidays.

Belongs here: functions of one time column of the row that asks. Does not belong here: rows of the past.

There is no day of the year among the parts: a model split by time would meet days in the test that it never saw and
cannot extrapolate to. The season as sine and cosine runs smoothly from year to year, but it too needs more than one.
"""

from dataclasses import dataclass
from datetime import timedelta
from functools import lru_cache
from importlib.metadata import version
from typing import ClassVar, Final, Literal, get_args

import numpy as np
import numpy.typing as npt
import polars as pl

from assets.contracts import Feature
from assets.logic.point_in_time import History
from assets.logic.times import require_zone
from assets.policies import DeclarationError

Part = Literal[
    "hour", "minute_of_day", "weekday", "weekday_hour", "is_weekend", "day_of_month", "month", "season",
    "days_to_holiday", "days_since_holiday", "is_holiday",
]  # fmt: skip
OF_HOLIDAYS: Final = ("days_to_holiday", "days_since_holiday", "is_holiday")
HOLIDAY_DAYS: Final = 10
"""Farther holidays move nothing. Uncapped, the distance would be a clock that runs on and cannot be learnt."""
YEAR_DAYS: Final = 365.2425
_WORDS: Final[dict[str, str]] = {
    "hour": "Hour of the day, 0 to 23,",
    "minute_of_day": "Minutes since midnight",
    "weekday": "Day of the week, Monday 1 to Sunday 7,",
    "weekday_hour": "Day of the week and hour together",
    "is_weekend": "Saturday or Sunday",
    "day_of_month": "Day of the month",
    "month": "Month, 1 to 12,",
    "season_sin": "Sine of the time of the year",
    "season_cos": "Cosine of the time of the year",
    "days_to_holiday": f"Days to the next public holiday, at most {HOLIDAY_DAYS}, 0 on the day,",
    "days_since_holiday": f"Days since the last public holiday, at most {HOLIDAY_DAYS}, 0 on the day,",
    "is_holiday": "Public holiday",
}
_SIMPLE: Final = {"hour": "hour", "weekday": "weekday", "day_of_month": "day", "month": "month"}


@dataclass(frozen=True, kw_only=True, repr=False)
class Calendar:
    """Parts of the local calendar at an instant among the inputs; null where the instant is.

    Attributes:
        column: Input with the instant (UTC).
        zone: Time zone of the local calendar.
        parts: Which parts, each a feature `<column>_<part>`; `season` gives a sine and a cosine.
        country: Whose public holidays, as ISO 3166 code (`US`); needed by the parts that speak of holidays.
        subdivision: State or province with holidays of its own (`MN`).
    """

    lookback: ClassVar[timedelta] = timedelta(0)
    tables: ClassVar[tuple[str, ...]] = ()

    column: str
    zone: str = "UTC"
    parts: tuple[Part, ...] = ("hour", "weekday", "weekday_hour", "is_weekend")
    country: str | None = None
    subdivision: str | None = None

    def __post_init__(self) -> None:
        require_zone(self.zone)
        if unknown := sorted(set(self.parts) - set(get_args(Part))):
            raise DeclarationError(f"features, Calendar, field parts: {unknown} is not one of {list(get_args(Part))}")
        needs = [part for part in self.parts if part in OF_HOLIDAYS]
        if needs and self.country is None:
            raise DeclarationError(f"features, Calendar, field country: {needs} need a country, such as US")
        if self.country is not None:
            public_holidays(self.country, self.subdivision, 2020)

    def __repr__(self) -> str:
        """The declaration; with holidays, the version of the library that knows them, because lists change with it."""
        said = ", ".join(f"{name}={getattr(self, name)!r}" for name in self.__dataclass_fields__)
        known_by = f", holidays={version('holidays')!r}" if self.country else ""
        return f"Calendar({said}{known_by})"

    @property
    def inputs(self) -> tuple[str, ...]:
        """The instant."""
        return (self.column,)

    def features(self) -> tuple[Feature, ...]:
        """One per part, two for the season."""
        return tuple(
            Feature(
                name=f"{self.column}_{part}",
                kind="categorical" if part == "weekday_hour" else "numeric",
                group="calendar",
                description=f"{_WORDS[part]} of {self.column} in {self.zone}",
            )
            for part in self._flat_parts()
        )

    def build(self, spine: pl.DataFrame, history: History) -> dict[str, pl.Series]:  # noqa: ARG002
        """Numbers as Float64; `weekday_hour` as text such as `1-08` (Monday, 8 to 9)."""
        local = pl.col(self.column).dt.convert_time_zone(self.zone)
        wanted = [part for part in self._flat_parts() if part not in OF_HOLIDAYS]
        found = spine.select(_part(part, local).alias(f"{self.column}_{part}") for part in wanted)
        series = {name: found[name] for name in found.columns}
        if self.country is not None and len(wanted) < len(self._flat_parts()):
            days = spine.select(local.dt.date()).to_series()
            distances = _holiday_distances(days, self.country, self.subdivision)
            series |= {f"{self.column}_{part}": distances[part] for part in OF_HOLIDAYS if part in self.parts}
        return {feature.name: series[feature.name] for feature in self.features()}

    def _flat_parts(self) -> list[str]:
        flat = {"season": ["season_sin", "season_cos"]}
        return [name for part in self.parts for name in flat.get(part, [part])]


def _part(part: str, local: pl.Expr) -> pl.Expr:
    match part:
        case "minute_of_day":
            number = local.dt.hour().cast(pl.Int32) * 60 + local.dt.minute()
        case "weekday_hour":
            return pl.format("{}-{}", local.dt.weekday(), local.dt.hour().cast(pl.String).str.zfill(2))
        case "is_weekend":
            number = local.dt.weekday() > 5
        case "season_sin" | "season_cos":
            # Days since 1970 instead of days of the year: these jump where a year ends.
            angle = local.dt.date().cast(pl.Int32) * (2 * np.pi / YEAR_DAYS)
            number = angle.sin() if part == "season_sin" else angle.cos()
        case _:
            number = getattr(local.dt, _SIMPLE[part])()
    return number.cast(pl.Float64)


def _holiday_distances(days: pl.Series, country: str, subdivision: str | None) -> dict[str, pl.Series]:
    """Days to the next and since the last holiday, capped, and whether it is one; rows as in `days`."""
    is_null = days.is_null().to_numpy()
    asked = days.to_physical().fill_null(0).to_numpy().astype(np.int64)
    # Each day with the holidays of its own and of the adjacent years, so that the first and last of a year have both.
    years = {year + near for year in days.dt.year().drop_nulls().unique().to_list() for near in (-1, 0, 1)}
    known = [day for year in sorted(years) for day in public_holidays(country, subdivision, year)]
    far = HOLIDAY_DAYS + 1
    holidays = np.array([asked.min(initial=0) - far, *known, asked.max(initial=0) + far], dtype=np.int64)
    following = np.minimum(holidays[np.searchsorted(holidays, asked, "left")] - asked, HOLIDAY_DAYS)
    since = np.minimum(asked - holidays[np.searchsorted(holidays, asked, "right") - 1], HOLIDAY_DAYS)
    numbers = {"days_to_holiday": following, "days_since_holiday": since, "is_holiday": following == 0}
    return {part: _series(number.astype(np.float64), is_null) for part, number in numbers.items()}


def _series(numbers: npt.NDArray[np.float64], is_null: npt.NDArray[np.bool_]) -> pl.Series:
    return pl.Series(np.where(is_null, np.nan, numbers), nan_to_null=True)


@lru_cache(maxsize=1024)
def public_holidays(country: str, subdivision: str | None, year: int) -> tuple[int, ...]:
    """Public holidays of a year, in days since 1970, ascending.

    Source: the library `holidays`; what it knows depends on its release.

    Raises:
        DeclarationError: If it does not know the country or the subdivision.
    """
    from holidays import country_holidays

    try:
        found = country_holidays(country, subdiv=subdivision, years=year)
    except NotImplementedError as error:
        raise DeclarationError(f"features, Calendar, fields country and subdivision: {error}") from error
    return tuple(sorted(np.datetime64(day, "D").astype(np.int64).item() for day in found))
