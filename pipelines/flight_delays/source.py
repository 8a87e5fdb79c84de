"""What lands for the flights: four tables, their columns, and when their records can be known.

Belongs here: declarations. Does not belong here: how a valid row is cleaned (`cleaning.py`), which row is valid
(`rules.py`), and the features.

Landed columns allow missing values everywhere, keys included: one bad row then goes to quarantine by name instead of
refusing the whole file. A file with other columns, or with values that do not parse, is refused as a whole.
"""

from datetime import timedelta
from typing import Final

import polars as pl

from assets.contracts import Column, SourceTable
from pipelines.flight_delays import rules
from pipelines.flight_delays.cleaning import clean_airports, clean_flights, clean_planes, clean_weather
from pipelines.flight_delays.expectations import (
    AIRPORT_EXPECTATIONS,
    FLIGHT_EXPECTATIONS,
    PLANE_EXPECTATIONS,
    WEATHER_EXPECTATIONS,
)
from resources.serving.ranges import Range
from resources.sources import FileSource

UTC: Final = pl.Datetime("us", "UTC")
TEXT: Final = pl.String()
INT8: Final = pl.Int8()
INT16: Final = pl.Int16()
INT32: Final = pl.Int32()
FLOAT: Final = pl.Float64()

CLOCK: Final = "local clock, hour * 100 + minute"

FLIGHT_COLUMNS: Final = {
    "year": Column(dtype=INT16, description="Service date: year, local at the origin."),
    "month": Column(dtype=INT8, description="Service date: month, local at the origin."),
    "day": Column(dtype=INT8, description="Service date: day, local at the origin."),
    "dep_time": Column(dtype=INT16, description="Actual departure at the origin; missing if cancelled.", unit=CLOCK),
    "sched_dep_time": Column(dtype=INT16, description="Scheduled departure at the origin.", unit=CLOCK),
    "dep_delay": Column(dtype=INT16, description="Departure delay, negative if early.", unit="min"),
    "arr_time": Column(dtype=INT16, description="Actual arrival at the destination.", unit=CLOCK),
    "sched_arr_time": Column(dtype=INT16, description="Scheduled arrival at the destination.", unit=CLOCK),
    "arr_delay": Column(dtype=INT16, description="Arrival delay, negative if early.", unit="min"),
    "carrier": Column(dtype=TEXT, description="IATA code of the airline."),
    "flight": Column(dtype=INT32, description="Flight number."),
    "tailnum": Column(dtype=TEXT, description="Tail number of the aircraft; missing for some cancelled flights."),
    "origin": Column(dtype=TEXT, description="IATA code of the airport of departure."),
    "dest": Column(dtype=TEXT, description="IATA code of the scheduled destination."),
    "air_time": Column(dtype=INT16, description="Time in the air.", unit="min"),
    "distance": Column(dtype=INT32, description="Distance between the airports.", unit="mi"),
    "hour": Column(dtype=INT8, description="Hour of the scheduled departure, local at the origin.", unit="h"),
    "minute": Column(dtype=INT8, description="Minute of the scheduled departure.", unit="min"),
    "time_hour": Column(dtype=UTC, description="Scheduled departure, cut to the hour.", unit="UTC"),
}

CLEANED_FLIGHT_COLUMNS: Final = {
    "carrier": Column(dtype=TEXT, description="IATA code of the airline.", nullable=False),
    "flight": Column(dtype=INT32, description="Flight number.", nullable=False),
    "origin": Column(
        dtype=TEXT,
        description="IATA code of the airport of departure.",
        nullable=False,
        range=Range(allowed=rules.ORIGINS, otherwise="refuse"),
    ),
    "destination": Column(dtype=TEXT, description="IATA code of the scheduled destination.", nullable=False),
    "tailnum": Column(
        dtype=TEXT,
        description="Tail number of the aircraft that flew, which can be another than planned two hours before. "
        "Missing only for cancelled flights, so that its absence gives the cancellation away.",
    ),
    "scheduled_departure": Column(dtype=UTC, description="Scheduled departure.", unit="UTC", nullable=False),
    "scheduled_arrival": Column(
        dtype=UTC, description="Scheduled arrival; missing where the destination's zone is unknown.", unit="UTC"
    ),
    "service_date": Column(dtype=pl.Date(), description="Scheduled date, local at the origin.", nullable=False),
    "scheduled_hour": Column(dtype=INT8, description="Scheduled hour, local at the origin.", unit="h", nullable=False),
    "scheduled_minute_of_day": Column(
        dtype=INT16, description="Scheduled minutes since local midnight at the origin.", unit="min", nullable=False
    ),
    "distance_miles": Column(
        dtype=INT32,
        description="Distance between the airports.",
        unit="mi",
        nullable=False,
        range=Range(lowest=rules.DISTANCES[0], highest=rules.DISTANCES[1]),
    ),
    "departed_at": Column(dtype=UTC, description="Actual departure.", unit="UTC", known_at="departed_at"),
    "arrived_at": Column(
        dtype=UTC,
        description="Actual arrival; missing for cancelled and diverted flights, whose delay is never published.",
        unit="UTC",
        known_at="arrived_at",
    ),
    "cancelled_at": Column(
        dtype=UTC,
        description="The scheduled departure of a cancelled flight: when it was called off is not recorded, and by "
        "then everybody knows. Missing otherwise.",
        unit="UTC",
        known_at="cancelled_at",
    ),
    "dep_delay_min": Column(
        dtype=INT16, description="Departure delay, negative if early.", unit="min", known_at="departed_at"
    ),
    "arr_delay_min": Column(
        dtype=INT16, description="Arrival delay, negative if early.", unit="min", known_at="arrived_at"
    ),
    "air_time_min": Column(dtype=INT16, description="Time in the air.", unit="min", known_at="arrived_at"),
    "is_cancelled": Column(
        dtype=pl.Boolean(), description="It never departed.", nullable=False, known_at="cancelled_at"
    ),
    "is_diverted": Column(
        dtype=pl.Boolean(),
        description="It departed and never arrived as planned. No record says when that became known, and a diverted "
        "flight has no arrived_at: for statistics only, never visible to a feature.",
        nullable=False,
        known_at="arrived_at",
    ),
}

FLIGHTS: Final = SourceTable(
    name="flights",
    description="Scheduled departures of the New York airports with their outcome, one file per local service date.",
    source=FileSource(pattern="flights/flights_{partition}.csv.gz"),
    columns=FLIGHT_COLUMNS,
    cleaned_columns=CLEANED_FLIGHT_COLUMNS,
    key=("time_hour", "carrier", "flight", "origin"),
    clean=clean_flights,
    lookups=("airports",),
    rules=rules.FLIGHT_RULES,
    expectations=FLIGHT_EXPECTATIONS,
    event_time="scheduled_departure",
    available_after=timedelta(minutes=15),
)

WEATHER_COLUMNS: Final = {
    "origin": Column(dtype=TEXT, description="IATA code of the airport."),
    "year": Column(dtype=INT16, description="Year, local."),
    "month": Column(dtype=INT8, description="Month, local."),
    "day": Column(dtype=INT8, description="Day, local."),
    "hour": Column(dtype=INT8, description="Hour, local; one hour of 3 November stands twice.", unit="h"),
    "temp": Column(dtype=FLOAT, description="Temperature.", unit="°F"),
    "dewp": Column(dtype=FLOAT, description="Dew point.", unit="°F"),
    "humid": Column(dtype=FLOAT, description="Relative humidity.", unit="%"),
    "wind_dir": Column(dtype=FLOAT, description="Direction the wind comes from; missing if variable.", unit="degrees"),
    "wind_speed": Column(dtype=FLOAT, description="Wind speed.", unit="mph"),
    "wind_gust": Column(dtype=FLOAT, description="Speed of gusts; missing if there were none.", unit="mph"),
    "precip": Column(dtype=FLOAT, description="Precipitation of the hour.", unit="in"),
    "pressure": Column(dtype=FLOAT, description="Pressure at sea level.", unit="mb"),
    "visib": Column(dtype=FLOAT, description="Visibility, cut at 10.", unit="mi"),
    "time_hour": Column(dtype=UTC, description="Start of the hour.", unit="UTC"),
}

WEATHER: Final = SourceTable(
    name="weather",
    description="Hourly observations at the New York airports, one file per local date.",
    source=FileSource(pattern="weather/weather_{partition}.csv"),
    columns=WEATHER_COLUMNS,
    cleaned_columns={
        "origin": Column(dtype=TEXT, description="IATA code of the airport.", nullable=False),
        "observed_at": Column(dtype=UTC, description="Start of the observed hour.", unit="UTC", nullable=False),
        "known_at": Column(dtype=UTC, description="End of the observed hour.", unit="UTC", nullable=False),
        "temp_f": Column(dtype=FLOAT, description="Temperature.", unit="°F"),
        "dewp_f": Column(dtype=FLOAT, description="Dew point.", unit="°F"),
        "humid_pct": Column(dtype=FLOAT, description="Relative humidity.", unit="%"),
        "wind_dir_deg": Column(dtype=FLOAT, description="Direction the wind comes from.", unit="degrees"),
        "wind_speed_mph": Column(dtype=FLOAT, description="Wind speed.", unit="mph"),
        "wind_gust_mph": Column(dtype=FLOAT, description="Speed of gusts.", unit="mph"),
        "precip_in": Column(dtype=FLOAT, description="Precipitation of the hour.", unit="in"),
        "pressure_mb": Column(dtype=FLOAT, description="Pressure at sea level.", unit="mb"),
        "visib_mi": Column(dtype=FLOAT, description="Visibility, cut at 10.", unit="mi"),
    },
    key=("origin", "time_hour"),
    clean=clean_weather,
    rules=rules.WEATHER_RULES,
    expectations=WEATHER_EXPECTATIONS,
    event_time="observed_at",
    known_at="known_at",
    available_after=timedelta(hours=1),
    is_optional=True,
)

PLANES: Final = SourceTable(
    name="planes",
    description="Register of aircraft, one file for all.",
    source=FileSource(pattern="planes/planes.csv"),
    columns={
        "tailnum": Column(dtype=TEXT, description="Tail number."),
        "year": Column(dtype=INT16, description="Year of manufacture."),
        "type": Column(dtype=TEXT, description="Kind of aircraft."),
        "manufacturer": Column(dtype=TEXT, description="Manufacturer."),
        "model": Column(dtype=TEXT, description="Model."),
        "engines": Column(dtype=INT8, description="Number of engines."),
        "seats": Column(dtype=INT16, description="Number of seats."),
        "speed": Column(dtype=INT16, description="Cruising speed.", unit="mph"),
        "engine": Column(dtype=TEXT, description="Kind of engine."),
    },
    cleaned_columns={
        "tailnum": Column(dtype=TEXT, description="Tail number.", nullable=False),
        "manufactured_year": Column(dtype=INT16, description="Year of manufacture."),
        "type": Column(dtype=TEXT, description="Kind of aircraft."),
        "manufacturer": Column(dtype=TEXT, description="Manufacturer."),
        "model": Column(dtype=TEXT, description="Model."),
        "engines": Column(dtype=INT8, description="Number of engines."),
        "seats": Column(dtype=INT16, description="Number of seats.", nullable=False),
        "engine": Column(dtype=TEXT, description="Kind of engine."),
    },
    key=("tailnum",),
    clean=clean_planes,
    rules=rules.PLANE_RULES,
    expectations=PLANE_EXPECTATIONS,
    is_partitioned=False,
    is_optional=True,  # flights from BTS come without it
)

AIRPORTS: Final = SourceTable(
    name="airports",
    description="Register of American airports, one file for all.",
    source=FileSource(pattern="airports/airports.csv"),
    columns={
        "faa": Column(dtype=TEXT, description="FAA code, the IATA code for the airports of this feed."),
        "name": Column(dtype=TEXT, description="Name."),
        "lat": Column(dtype=FLOAT, description="Latitude, north positive.", unit="degrees"),
        "lon": Column(dtype=FLOAT, description="Longitude, east positive.", unit="degrees"),
        "alt": Column(dtype=INT32, description="Altitude.", unit="ft"),
        "tz": Column(dtype=FLOAT, description="Standard offset from UTC.", unit="h"),
        "dst": Column(dtype=TEXT, description="Daylight saving: A American, N none, U unknown."),
        "tzone": Column(dtype=TEXT, description="IANA time zone."),
    },
    cleaned_columns={
        "faa": Column(dtype=TEXT, description="FAA code.", nullable=False),
        "name": Column(dtype=TEXT, description="Name."),
        "latitude": Column(dtype=FLOAT, description="Latitude, north positive.", unit="degrees", nullable=False),
        "longitude": Column(dtype=FLOAT, description="Longitude, east positive.", unit="degrees", nullable=False),
        "altitude_ft": Column(dtype=INT32, description="Altitude.", unit="ft"),
        "timezone": Column(dtype=TEXT, description="IANA time zone."),
    },
    key=("faa",),
    clean=clean_airports,
    rules=rules.AIRPORT_RULES,
    expectations=AIRPORT_EXPECTATIONS,
    is_partitioned=False,
)
