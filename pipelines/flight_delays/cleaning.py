"""How landed rows of the four tables become cleaned ones: renamed, in UTC, with an instant for every outcome.

Belongs here: pure functions from valid rows to cleaned rows, one row out for each row in, in the same order.
Does not belong here: which rows are valid (the rules in `source.py`), and anything that looks at other rows.
"""

from collections.abc import Mapping
from datetime import timedelta
from typing import Final

import polars as pl

from assets.contracts import PARTITION_KEY

NEW_YORK: Final = "America/New_York"
"""Zone of the three origins, and so of the service date and of every departure clock."""
PUERTO_RICO: Final = "America/Puerto_Rico"
ISLAND_AIRPORTS: Final = ("BQN", "PSE", "SJU", "STT")
"""Destinations (7,602 flights of 2013) that the airports table does not list; STT, on the Virgin Islands, same zone."""
WEATHER_KNOWN_AFTER: Final = timedelta(hours=1)
"""The row stamped H is made of the observations from H:00 to H:51, so nobody can have it before H + 1 h."""


def clean_flights(frame: pl.LazyFrame, lookups: Mapping[str, pl.LazyFrame]) -> pl.LazyFrame:
    """One row per scheduled departure, every time in UTC.

    Cancelled means that the flight has no departure. Diverted means that it departed but has no arrival delay: it
    landed elsewhere, or its record was lost. Its `arrived_at` is null even where a clock time at the destination is
    given (717 flights of 2013): such an arrival can be a day late, the clock does not say which day, and the official
    delay, which is the label, is never published. So its outcome never becomes known; it does not count as on time.

    Args:
        frame: Valid landed rows (`source.FLIGHTS.columns`), shape (n, 19), with or without the partition key.
        lookups: `airports`, cleaned: the time zone of each destination.

    Returns:
        Rows as `source.FLIGHTS.cleaned_columns`, shape (n, 18), same order. `scheduled_arrival` and `arrived_at` are
        null where the destination has no known time zone.
    """
    airports = lookups["airports"].select(pl.col("faa").alias("dest"), "timezone")
    zones = airports.select(pl.col("timezone").drop_nulls().unique().sort()).collect()["timezone"].to_list()
    islands = pl.when(pl.col("dest").is_in(ISLAND_AIRPORTS)).then(pl.lit(PUERTO_RICO))
    scheduled = frame.join(airports, on="dest", how="left", maintain_order="left").with_columns(
        pl.coalesce("timezone", islands).alias("timezone"),
        (pl.col("time_hour") + pl.duration(minutes=pl.col("minute"))).alias("scheduled_departure"),
    )
    placed = scheduled.with_columns(_scheduled_arrival(sorted({*zones, PUERTO_RICO})).alias("scheduled_arrival"))
    return placed.select(*_schedule(), *_outcome(), *_partition_key())


def clean_weather(frame: pl.LazyFrame, _lookups: Mapping[str, pl.LazyFrame]) -> pl.LazyFrame:
    """One row per airport and hour (UTC), with the instant from which it could be known at the station.

    Args:
        frame: Valid landed rows (`source.WEATHER.columns`), shape (n, 15), with or without the partition key.

    Returns:
        Rows as `source.WEATHER.cleaned_columns`, shape (n, 12), same order.
    """
    return frame.select(
        "origin",
        pl.col("time_hour").alias("observed_at"),
        (pl.col("time_hour") + WEATHER_KNOWN_AFTER).alias("known_at"),
        pl.col("temp").alias("temp_f"),
        pl.col("dewp").alias("dewp_f"),
        pl.col("humid").alias("humid_pct"),
        pl.col("wind_dir").alias("wind_dir_deg"),
        pl.col("wind_speed").alias("wind_speed_mph"),
        pl.col("wind_gust").alias("wind_gust_mph"),
        pl.col("precip").alias("precip_in"),
        pl.col("pressure").alias("pressure_mb"),
        pl.col("visib").alias("visib_mi"),
        *_partition_key(),
    )


def clean_planes(frame: pl.LazyFrame, _lookups: Mapping[str, pl.LazyFrame]) -> pl.LazyFrame:
    """One row per registered aircraft. The cruising speed is left out: 99 % of it is missing.

    Args:
        frame: Valid landed rows (`source.PLANES.columns`), shape (n, 9).

    Returns:
        Rows as `source.PLANES.cleaned_columns`, shape (n, 8), same order.
    """
    year = pl.col("year").alias("manufactured_year")
    return frame.select("tailnum", year, "type", "manufacturer", "model", "engines", "seats", "engine")


def clean_airports(frame: pl.LazyFrame, _lookups: Mapping[str, pl.LazyFrame]) -> pl.LazyFrame:
    """One row per airport, with its place and its IANA time zone.

    Args:
        frame: Valid landed rows (`source.AIRPORTS.columns`), shape (n, 8).

    Returns:
        Rows as `source.AIRPORTS.cleaned_columns`, shape (n, 6), same order.
    """
    return frame.select(
        "faa",
        "name",
        pl.col("lat").alias("latitude"),
        pl.col("lon").alias("longitude"),
        pl.col("alt").alias("altitude_ft"),
        pl.col("tzone").alias("timezone"),
    )


def _scheduled_arrival(zones: list[str]) -> pl.Expr:
    """The scheduled arrival (UTC): the first time the destination's clock shows it after the departure."""
    return pl.coalesce(*(pl.when(pl.col("timezone") == zone).then(_first_after_departure(zone)) for zone in zones))


def _first_after_departure(zone: str) -> pl.Expr:
    # The overnight day is added on the local calendar and the zone applied last: the other order is an hour wrong in
    # the nights when the clocks change.
    departure = pl.col("scheduled_departure").dt.convert_time_zone(zone).dt.replace_time_zone(None)
    clock = pl.col("sched_arr_time").cast(pl.Int64())
    same_day = departure.dt.truncate("1d") + pl.duration(hours=clock // 100, minutes=clock % 100)
    arrival = pl.when(same_day > departure).then(same_day).otherwise(same_day.dt.offset_by("1d"))
    # No flight of 2013 is scheduled to land in the doubled or the skipped hour. If one ever is: the first of the two
    # (schedules are written before the change), and null for a time that no clock shows.
    local = arrival.dt.replace_time_zone(zone, ambiguous="earliest", non_existent="null")
    return local.dt.convert_time_zone("UTC")


def _schedule() -> list[pl.Expr]:
    """What is known in advance."""
    return [
        pl.col("carrier"),
        pl.col("flight"),
        pl.col("origin"),
        pl.col("dest").alias("destination"),
        pl.col("tailnum"),
        pl.col("scheduled_departure"),
        pl.col("scheduled_arrival"),
        pl.col("time_hour").dt.convert_time_zone(NEW_YORK).dt.date().alias("service_date"),
        pl.col("hour").alias("scheduled_hour"),
        (pl.col("hour").cast(pl.Int16()) * 60 + pl.col("minute")).alias("scheduled_minute_of_day"),
        pl.col("distance").alias("distance_miles"),
    ]


def _outcome() -> list[pl.Expr]:
    """What happened, and when.

    Instants are the schedule plus the delay, not the clock times: a clock does not say on which day (1,207 departures
    of 2013 crossed midnight, and midnight itself is written 2400). On the whole year the two agree to the minute.
    """
    cancelled = pl.col("dep_time").is_null()
    return [
        (pl.col("scheduled_departure") + pl.duration(minutes=pl.col("dep_delay"))).alias("departed_at"),
        (pl.col("scheduled_arrival") + pl.duration(minutes=pl.col("arr_delay"))).alias("arrived_at"),
        pl.when(cancelled).then("scheduled_departure").alias("cancelled_at"),
        pl.col("dep_delay").alias("dep_delay_min"),
        pl.col("arr_delay").alias("arr_delay_min"),
        pl.col("air_time").alias("air_time_min"),
        cancelled.alias("is_cancelled"),
        (~cancelled & pl.col("arr_delay").is_null()).alias("is_diverted"),
    ]


def _partition_key() -> list[pl.Expr]:
    """The partition key where the rows carry one (a pattern that matches nothing selects nothing)."""
    return [pl.col(f"^{PARTITION_KEY}$")]
