"""Which landed rows must not pass: named reasons to put one row in quarantine.

Belongs here: the bounds of the possible, row by row, with the real values they were chosen against. Does not belong
here: what a whole table must fulfil (`expectations.py`), and its columns and clocks (`source.py`).
"""

from typing import Final

import polars as pl

from assets.contracts import PARTITION_KEY, Rule
from pipelines.flight_delays.cleaning import NEW_YORK

ORIGINS: Final = ("EWR", "JFK", "LGA")
"""The airports whose departures the feed carries."""

ZONES: Final = (
    "America/Anchorage",
    "America/Boise",
    "America/Chicago",
    "America/Denver",
    "America/Detroit",
    "America/Los_Angeles",
    "America/New_York",
    "America/Phoenix",
    "America/Puerto_Rico",
    "America/Vancouver",
    "Pacific/Guam",
    "Pacific/Honolulu",
)
"""Time zones an airport of this feed can lie in."""

DISTANCES: Final = (50.0, 6_000.0)
"""The least and the greatest in miles; Honolulu is 4,983 away."""

_LOCAL_HOUR: Final = pl.col("time_hour").dt.convert_time_zone(NEW_YORK)


def _no_clock(*names: str) -> pl.Expr:
    """True where one of the columns shows a time that no clock shows; midnight may be written 0 or 2400."""
    return pl.any_horizontal((~pl.col(n).is_between(0, 2400)) | (pl.col(n) % 100 > 59) for n in names)


def _local_hour_differs() -> pl.Expr:
    """True where year, month, day and hour (local) are not those of `time_hour` (UTC)."""
    local = {"year": _LOCAL_HOUR.dt.year(), "month": _LOCAL_HOUR.dt.month(), "day": _LOCAL_HOUR.dt.day()}
    local["hour"] = _LOCAL_HOUR.dt.hour()
    return pl.any_horizontal(pl.col(name) != value for name, value in local.items())


def _outside(lowest: float, highest: float, *names: str) -> pl.Expr:
    return pl.any_horizontal(~pl.col(n).is_between(lowest, highest) for n in names)


UNKNOWN_ORIGIN: Final = Rule(
    name="origin_is_unknown",
    description=f"The origin is none of {', '.join(ORIGINS)}.",
    rejects=~pl.col("origin").is_in(ORIGINS),
)

OTHER_DAY: Final = Rule(
    name="day_is_not_that_of_the_file",
    description="The local date is not the one the file is named for.",
    rejects=_LOCAL_HOUR.dt.strftime("%Y-%m-%d") != pl.col(PARTITION_KEY),
)

CONTRADICTING_TIME: Final = Rule(
    name="local_time_contradicts_utc",
    description="Year, month, day and hour are not the New York time of time_hour.",
    rejects=_local_hour_differs(),
)

FLIGHT_RULES: Final = (
    UNKNOWN_ORIGIN,
    OTHER_DAY,
    Rule(
        name="schedule_is_incomplete",
        description="A part of the schedule (date, times, destination, distance) is missing.",
        rejects=pl.any_horizontal(
            pl.col(
                "year", "month", "day", "hour", "minute", "sched_dep_time", "sched_arr_time", "dest", "distance"
            ).is_null()
        ),
    ),
    CONTRADICTING_TIME,
    Rule(
        name="clock_time_is_impossible",
        description="A clock time is outside 0000 to 2400, or has a minute above 59.",
        rejects=_no_clock("dep_time", "sched_dep_time", "arr_time", "sched_arr_time"),
    ),
    Rule(
        name="scheduled_clock_contradicts_itself",
        description="The scheduled departure is not its own hour and minute.",
        rejects=pl.col("sched_dep_time") % 2400 != pl.col("hour").cast(pl.Int32()) * 100 + pl.col("minute"),
    ),
    Rule(
        name="distance_is_impossible",
        description="Shorter than 50 or longer than 6,000 miles (17 from EWR to LGA); real ones run from 80 to 4,983.",
        rejects=_outside(*DISTANCES, "distance"),
    ),
    Rule(
        name="departs_while_closed",
        description="Scheduled from 1:00 to 4:59 at night, when no departures are scheduled from these airports.",
        rejects=pl.col("hour").is_between(1, 4),
    ),
    Rule(
        name="lands_where_it_departs",
        description="Origin and destination are the same airport.",
        rejects=pl.col("origin") == pl.col("dest"),
    ),
    Rule(
        name="delay_is_impossible",
        description="More than 4 hours early or 3 days late; real delays run from 86 minutes early to 22 hours late.",
        rejects=_outside(-240, 4_320, "dep_delay", "arr_delay"),
    ),
    Rule(
        name="air_time_is_impossible",
        description="In the air for less than 10 minutes or more than 20 hours.",
        rejects=_outside(10, 1_200, "air_time"),
    ),
    Rule(
        name="outcome_contradicts_itself",
        description="A departure time without a delay or the reverse, or an arrival without a departure.",
        rejects=(pl.col("dep_time").is_null() != pl.col("dep_delay").is_null())
        | (pl.col("dep_time").is_null() & pl.any_horizontal(pl.col("arr_time", "arr_delay", "air_time").is_not_null())),
    ),
)

WEATHER_RULES: Final = (
    UNKNOWN_ORIGIN,
    OTHER_DAY,
    CONTRADICTING_TIME,
    Rule(
        name="wind_speed_is_impossible",
        description="Wind or gusts below 0 or above 200 mph (1,048 at EWR on 12 February); real ones end at 67.",
        rejects=_outside(0, 200, "wind_speed", "wind_gust"),
    ),
    Rule(
        name="temperature_is_impossible",
        description="Temperature or dew point below -60 or above 130 °F; the region's records are -26 and 110.",
        rejects=_outside(-60, 130, "temp", "dewp"),
    ),
    Rule(
        name="humidity_is_impossible",
        description="Relative humidity outside 0 to 100 % (with 1 % of rounding).",
        rejects=_outside(0, 101, "humid"),
    ),
    Rule(
        name="wind_direction_is_impossible",
        description="Direction outside 0 to 360 degrees.",
        rejects=_outside(0, 360, "wind_dir"),
    ),
    Rule(
        name="pressure_is_impossible",
        description="Sea-level pressure outside 870 to 1,085 mb, the lowest and highest ever measured.",
        rejects=_outside(870, 1_085, "pressure"),
    ),
    Rule(
        name="precipitation_is_impossible",
        description="Less than 0 or more than 12 inches in an hour, the most ever measured.",
        rejects=_outside(0, 12, "precip"),
    ),
    Rule(
        name="visibility_is_impossible",
        description="Below 0 or above 100 miles.",
        rejects=_outside(0, 100, "visib"),
    ),
)

PLANE_RULES: Final = (
    Rule(
        name="not_an_airliner",
        description="Fewer than 20 seats or none given: fleet numbers of AA and MQ match small aircraft.",
        rejects=(pl.col("seats") < 20) | pl.col("seats").is_null(),
    ),
    Rule(
        name="year_is_impossible",
        description="Made before the first flight, 1903, or after 2100.",
        rejects=_outside(1903, 2100, "year"),
    ),
)

AIRPORT_RULES: Final = (
    Rule(
        name="not_in_america",
        description="Coordinates missing or outside the United States: two airports of the register have lost the "
        "sign of their longitude and lie in China, with the time zone of that place; one lies in the Arctic Ocean.",
        rejects=pl.any_horizontal(pl.col("lat", "lon").is_null())
        | _outside(-15, 72, "lat")
        | pl.col("lon").is_between(-60, 140),
    ),
    Rule(
        name="time_zone_is_unknown",
        description="A time zone that no airport of this feed lies in.",
        rejects=~pl.col("tzone").is_in(ZONES),
    ),
)
