"""What the models see of a flight, two hours before it is to leave.

Belongs here: the list of features, and those of the schedule and the weather. Does not belong here: what earlier
flights tell (`history_features.py`), the aircraft (`aircraft_features.py`), and any look at other rows that does not go
through `History`.

The same function runs for training, batch scoring and the endpoint, and needs only what a caller knows.
"""

from datetime import timedelta
from functools import lru_cache, partial
from typing import Final

import numpy as np
import polars as pl

from assets.contracts import PREDICTION_TIME, Feature
from assets.logic.point_in_time import History
from pipelines.flight_delays import aircraft_features, history_features
from pipelines.flight_delays.aircraft_features import minutes
from pipelines.flight_delays.history_features import numeric_frame

NEW_YORK: Final = "America/New_York"
LOOKBACK: Final = timedelta(days=30)
"""The longest window is 28 days; a flight known within it was scheduled at most a day and a half before it began."""
WEATHER_WITHIN: Final = timedelta(hours=6)
"""An older observation is no news of today's weather."""
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
WEATHER: Final = {
    "temp_f": "Temperature in degrees Fahrenheit",
    "dewp_f": "Dew point in degrees Fahrenheit",
    "humid_pct": "Relative humidity in percent",
    "wind_dir_deg": "Direction the wind comes from in degrees",
    "wind_speed_mph": "Wind speed in miles per hour",
    "wind_gust_mph": "Speed of gusts in miles per hour, missing if there were none",
    "precip_in": "Precipitation of the hour in inches",
    "pressure_mb": "Pressure at sea level in millibars",
    "visib_mi": "Visibility in miles",
}
HAS_RAIN: Final = pl.col("precip_in").is_not_null()
RAIN: Final = {"hundredths": (pl.col("precip_in") * 100).round().cast(pl.Int64)}
"""Rain in hundredths of an inch, the unit it is measured in: whole numbers add up the same from any first hour."""
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
    *(Feature(name=n, kind="numeric", group="weather", description=f"{d}, as known") for n, d in WEATHER.items()),
    Feature(
        name="precip_in_6h", kind="numeric", group="weather", description="Precipitation known in the last 6 hours"
    ),
    Feature(name="weather_age_h", kind="numeric", group="weather", description="Hours since that weather was observed"),
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
    asked = _asked(spine)
    blocks = [
        _schedule(asked, history),
        _congestion(asked, history),
        _holidays(asked["service_date"]),
        _weather(asked, history),
        history_features.values(asked, history),
        aircraft_features.values(asked, history),
    ]
    features = pl.concat(blocks, how="horizontal").select(f.name for f in FEATURES if f.name not in spine.columns)
    return pl.concat([spine, features], how="horizontal")


def _asked(spine: pl.DataFrame) -> pl.DataFrame:
    """The spine with what follows from it alone: local date, hour and minute of departure, absent inputs as null."""
    # A column of nulls alone has no type of its own when it comes from a request.
    unknown = [n for n in OPTIONAL if spine.schema.get(n, pl.Null()) == pl.Null]
    local = pl.col("scheduled_departure").dt.convert_time_zone(NEW_YORK)
    return spine.with_columns(
        *(pl.lit(None, OPTIONAL[name]).alias(name) for name in unknown),
        local.dt.date().alias("service_date"),
        local.dt.hour().alias("scheduled_hour"),
        (local.dt.hour().cast(pl.Int16) * 60 + local.dt.minute()).alias("scheduled_minute_of_day"),
    )


def _schedule(asked: pl.DataFrame, history: History) -> pl.DataFrame:
    """What the timetable says of the flight itself."""
    route = history.latest(
        asked,
        table="flights",
        by=["origin", "destination"],
        columns=["distance_miles"],
        before="scheduled_departure",
        tolerance=ROUTE_WITHIN,
    )
    hour = pl.col("scheduled_hour")
    bands = pl.coalesce(*(pl.when(hour < bound).then(pl.lit(name)) for bound, name in HOUR_BANDS.items()))
    return asked.select(
        "carrier",
        "origin",
        "destination",
        day_of_week=pl.col("service_date").dt.to_string("%a"),
        scheduled_hour=hour.cast(pl.String).str.zfill(2),
        hour_band=bands,
        scheduled_minute_of_day=pl.col("scheduled_minute_of_day").cast(pl.Float64),
        scheduled_min=minutes(pl.col("scheduled_arrival") - pl.col("scheduled_departure")),
        route_miles=pl.coalesce("distance_miles", route["distance_miles"]).cast(pl.Float64),
    )


def _congestion(asked: pl.DataFrame, history: History) -> pl.DataFrame:
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
    return numeric_frame({name: total["count"].astype(np.float64) for name, total in counts.items()})


def _holidays(days: pl.Series) -> pl.DataFrame:
    """Days to the next and since the last federal holiday, capped; 0 on the day itself."""
    asked = days.to_physical().to_numpy().astype(np.int64)
    # Each day with the holidays of its own and of the adjacent years, so that the first and last of a year have both.
    years = {year + near for year in days.dt.year().unique().to_list() for near in (-1, 0, 1)} or {1970}
    holidays = np.array([day for year in sorted(years) for day in federal_holidays(year)], dtype=np.int64)
    following = np.searchsorted(holidays, asked, "left")
    previous = np.searchsorted(holidays, asked, "right") - 1
    return pl.DataFrame(
        {
            "days_to_holiday": np.minimum(holidays[following] - asked, HOLIDAY_DAYS).astype(np.float64),
            "days_since_holiday": np.minimum(asked - holidays[previous], HOLIDAY_DAYS).astype(np.float64),
        }
    )


@lru_cache
def federal_holidays(year: int) -> tuple[int, ...]:
    """Federal holidays of a year as observed, in days since 1970, ascending."""
    from pandas import Timestamp
    from pandas.tseries.holiday import USFederalHolidayCalendar

    holidays = USFederalHolidayCalendar().holidays(start=Timestamp(year, 1, 1), end=Timestamp(year, 12, 31))
    return tuple(int(day) for day in holidays.to_numpy().astype("datetime64[D]").astype(np.int64))


def _weather(asked: pl.DataFrame, history: History) -> pl.DataFrame:
    """The latest observation at the origin that had reached us, its age, and the rain of the last hours."""
    found = history.latest(
        asked, table="weather", by=["origin"], columns=[*WEATHER, "observed_at"], tolerance=WEATHER_WITHIN
    )
    rain = history.window(
        asked, table="weather", clock="known_at", by=["origin"], since=WEATHER_WITHIN, sums=RAIN, where=HAS_RAIN
    )
    age = asked[PREDICTION_TIME] - found["observed_at"]
    return found.select(
        *WEATHER,
        precip_in_6h=pl.when(rain["count"] > 0).then(rain["hundredths"] / 100),
        weather_age_h=age.dt.total_seconds() / 3600,
    )
