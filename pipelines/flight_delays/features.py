"""What the models see of a flight, two hours before it is to leave.

Belongs here: the list of features, and those of the schedule. Does not belong here: what earlier flights tell
(`history_features.py`), the aircraft (`aircraft_features.py`), the weather (`weather_features.py`), and any look at
other rows that does not go through `History`.

The same function runs for training, batch scoring and the endpoint, and needs only what a caller knows.
"""

from collections.abc import Iterator
from datetime import timedelta
from functools import lru_cache, partial
from typing import Final

import numpy as np
import polars as pl

from assets.contracts import PREDICTION_TIME, Feature
from assets.logic.point_in_time import History, Spine
from pipelines.flight_delays import aircraft_features, history_features, weather_features
from pipelines.flight_delays.aircraft_features import minutes
from pipelines.flight_delays.history_features import Floats, numeric_frame

NEW_YORK: Final = "America/New_York"
LOOKBACK: Final = timedelta(days=30)
"""The longest window is 28 days; a flight known within it was scheduled at most a day and a half before it began."""
ROUTE_WITHIN: Final = timedelta(days=28)
"""How far back the distance of a route is looked up, for a caller who does not give it."""
HOLIDAY_DAYS: Final = 10
"""Farther holidays do not move traffic. Uncapped, the distance would be a clock that runs on and cannot be learnt."""
HOUR_BANDS: Final = {10: "before 10", 15: "10 to 15", 19: "15 to 19", 24: "after 19"}
"""Local hours below each bound: the model is as good as AUC .71 in the first and .80 in the last."""

OPTIONAL: Final = {
    "tailnum": pl.String(),
    "scheduled_arrival": pl.Datetime("us", "UTC"),
    "distance_miles": pl.Int32(),
}
SCHEDULE: Final = (
    Feature(name="carrier", kind="categorical", group="schedule", description="Airline"),
    Feature(name="origin", kind="categorical", group="schedule", description="Airport of departure"),
    Feature(name="destination", kind="categorical", group="schedule", description="Airport of destination"),
    Feature(name="day_of_week", kind="categorical", group="schedule", description="Local day of the week"),
    Feature(name="scheduled_hour", kind="categorical", group="schedule", description="Local hour of departure"),
    Feature(name="hour_band", kind="categorical", group="schedule", description="Local part of the day"),
    Feature(
        name="scheduled_minute_of_day", kind="numeric", group="schedule", description="Local minutes since midnight"
    ),
    Feature(name="scheduled_min", kind="numeric", group="schedule", description="Scheduled minutes from gate to gate"),
    Feature(
        name="route_miles",
        kind="numeric",
        group="schedule",
        description="Distance in miles as given, else as last scheduled on this route",
    ),
    Feature(
        name="days_to_holiday",
        kind="numeric",
        group="schedule",
        description=f"Days to the next federal holiday, at most {HOLIDAY_DAYS}",
    ),
    Feature(
        name="days_since_holiday",
        kind="numeric",
        group="schedule",
        description=f"Days since the last federal holiday, at most {HOLIDAY_DAYS}",
    ),
    Feature(
        name="all_scheduled_4h",
        kind="numeric",
        group="schedule",
        description="Flights scheduled from all three airports in the 4 hours up to this departure",
    ),
    Feature(
        name="origin_scheduled_1h",
        kind="numeric",
        group="schedule",
        description="Flights scheduled from the same airport in the hour up to this departure",
    ),
    Feature(
        name="origin_scheduled_4h",
        kind="numeric",
        group="schedule",
        description="Flights scheduled from the same airport in the 4 hours up to this departure",
    ),
    Feature(
        name="origin_carrier_scheduled_4h",
        kind="numeric",
        group="schedule",
        description="Flights of the same airline scheduled from the same airport in the 4 hours up to this departure",
    ),
    Feature(
        name="origin_scheduled_same_hour",
        kind="numeric",
        group="schedule",
        description="Flights scheduled from the same airport in the same local clock hour",
    ),
)
FEATURES: Final[tuple[Feature, ...]] = (
    *SCHEDULE,
    *weather_features.declared(),
    *history_features.declared(),
    *aircraft_features.declared(),
)


def build_features(spine: pl.DataFrame, history: History) -> pl.DataFrame:
    """The spine with one column per feature.

    Args:
        spine: Flights as their callers know them, shape (n, any): `carrier`, `flight`, `origin`, `destination`,
            `scheduled_departure` and `prediction_time` (UTC); `tailnum`, `scheduled_arrival` and `distance_miles` may
            be absent or null.
        history: The tables `flights`, `weather` and `planes`; `weather` may have no rows.

    Returns:
        Same rows, same order: the columns of `spine`, then those of `FEATURES` that are not among them. Numbers are
        Float64, categories String, null what is not known.

    Raises:
        ValueError: If a column of the spine is absent or of another type than in the history.
    """
    asked = Spine(_asked(spine))
    numbers = {**_congestion(asked, history), **_holidays(asked), **weather_features.values(asked, history)}
    numbers |= history_features.values(asked, history)
    found = [*weather_features.found(asked, history), *_route(asked, history), *aircraft_features.found(asked, history)]
    # Every query takes its time, however few its rows: there is one for all that is not a number already.
    looked_up = pl.DataFrame([*(asked.frame[name] for name in READ), *found])
    made = numeric_frame(numbers).hstack(looked_up.select(EXPRESSIONS))
    return pl.concat([spine, made[[f.name for f in FEATURES if f.name not in spine.columns]]], how="horizontal")


def _asked(spine: pl.DataFrame) -> pl.DataFrame:
    """The spine with what follows from it alone: local date, hour and minute of departure, absent inputs as null."""
    # A column of nulls alone has no type of its own when it comes from a request.
    unknown = [n for n in OPTIONAL if spine.schema.get(n, pl.Null()) == pl.Null]
    return spine.with_columns(*(pl.lit(None, OPTIONAL[name]).alias(name) for name in unknown), *LOCAL)


def _route(asked: Spine, history: History) -> Iterator[pl.Series]:
    """The distance as last scheduled, for a caller who does not give it."""
    route = history.latest(
        asked,
        table="flights",
        by=["origin", "destination"],
        columns=["distance_miles"],
        before="scheduled_departure",
        tolerance=ROUTE_WITHIN,
    )
    yield route["distance_miles"].rename("route_distance_miles")


def _congestion(asked: Spine, history: History) -> dict[str, Floats]:
    """How many flights are scheduled around this one, never of a later day: its file may not have landed yet."""
    scheduled = partial(history.windows, asked, table="flights", clock="scheduled_departure", at="scheduled_departure")
    one, four, two = timedelta(hours=1), timedelta(hours=4), timedelta(hours=2)
    origin = scheduled(by=["origin"], since={"1h": one, "4h": four})
    # The local hour ends within two hours on either side, also when the clocks change.
    same_hour = scheduled(by=["origin", "service_date", "scheduled_hour"], since={"hour": two}, until=two)
    counts = {
        "all_scheduled_4h": scheduled(by=[], since={"4h": four})["4h"],
        "origin_scheduled_1h": origin["1h"],
        "origin_scheduled_4h": origin["4h"],
        "origin_carrier_scheduled_4h": scheduled(by=["origin", "carrier"], since={"4h": four})["4h"],
        "origin_scheduled_same_hour": same_hour["hour"],
    }
    return {name: total["count"].astype(np.float64) for name, total in counts.items()}


def _holidays(asked: Spine) -> dict[str, Floats]:
    """Days to the next and since the last federal holiday, capped; 0 on the day itself."""
    dates = asked.frame["service_date"].to_numpy()
    days = dates.astype(np.int64)
    # Each day with the holidays of its own and of the adjacent years, so that the first and last of a year have both.
    years = {
        year + near for year in {*(dates.astype("datetime64[Y]").astype(int) + 1970).tolist()} for near in (-1, 0, 1)
    }
    holidays = np.array([day for year in sorted(years or {1970}) for day in federal_holidays(year)], dtype=np.int64)
    following = np.searchsorted(holidays, days, "left")
    previous = np.searchsorted(holidays, days, "right") - 1
    return {
        "days_to_holiday": np.minimum(holidays[following] - days, HOLIDAY_DAYS).astype(np.float64),
        "days_since_holiday": np.minimum(days - holidays[previous], HOLIDAY_DAYS).astype(np.float64),
    }


@lru_cache
def federal_holidays(year: int) -> tuple[int, ...]:
    """Federal holidays of a year as observed, in days since 1970, ascending."""
    from pandas import Timestamp
    from pandas.tseries.holiday import USFederalHolidayCalendar

    holidays = USFederalHolidayCalendar().holidays(start=Timestamp(year, 1, 1), end=Timestamp(year, 12, 31))
    return tuple(int(day) for day in holidays.to_numpy().astype("datetime64[D]").astype(np.int64))


def _schedule() -> list[pl.Expr]:
    """What the timetable says of the flight itself."""
    hour = pl.col("scheduled_hour")
    return [
        pl.col("carrier"),
        pl.col("origin"),
        pl.col("destination"),
        pl.col("service_date").dt.to_string("%a").alias("day_of_week"),
        hour.cast(pl.String).str.zfill(2),
        pl.coalesce(*(pl.when(hour < bound).then(pl.lit(name)) for bound, name in HOUR_BANDS.items())).alias(
            "hour_band"
        ),
        pl.col("scheduled_minute_of_day").cast(pl.Float64),
        minutes(pl.col("scheduled_arrival") - pl.col("scheduled_departure")).alias("scheduled_min"),
        pl.coalesce("distance_miles", "route_distance_miles").cast(pl.Float64).alias("route_miles"),
    ]


_LOCAL_DEPARTURE: Final = pl.col("scheduled_departure").dt.convert_time_zone(NEW_YORK)
LOCAL: Final = (
    _LOCAL_DEPARTURE.dt.date().alias("service_date"),
    _LOCAL_DEPARTURE.dt.hour().alias("scheduled_hour"),
    (_LOCAL_DEPARTURE.dt.hour().cast(pl.Int16) * 60 + _LOCAL_DEPARTURE.dt.minute()).alias("scheduled_minute_of_day"),
)
"""What the clock in New York says of the departure."""
READ: Final = (
    *("carrier", "origin", "destination", "scheduled_departure", "scheduled_arrival", "distance_miles"),
    *("service_date", "scheduled_hour", "scheduled_minute_of_day", PREDICTION_TIME),
)
"""What the expressions read of the rows that ask."""
EXPRESSIONS: Final = (
    *_schedule(),
    *weather_features.EXPRESSIONS,
    *aircraft_features.EXPRESSIONS,
)
"""The features that are not made as arrays, over `READ` and what was found in the history."""
