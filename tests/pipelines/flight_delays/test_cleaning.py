"""Cleaning: instants in UTC across midnight, time zones and clock changes; and the facts of the whole real year."""

from datetime import UTC, datetime, timedelta

import polars as pl
import pytest

from assets.contracts import PARTITION_KEY, SourceTable
from assets.logic.intake import Split
from pipelines.flight_delays.source import AIRPORTS, FLIGHTS, PLANES, WEATHER

ZONES = pl.LazyFrame(
    {
        "faa": ["ORD", "LAX", "HNL", "ATL", "PHX", "LRO"],
        "timezone": [
            "America/Chicago",
            "America/Los_Angeles",
            "Pacific/Honolulu",
            "America/New_York",
            "America/Phoenix",
            None,
        ],
    }
)


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def landed(**changes: object) -> pl.LazyFrame:
    """One landed flight, 15:40 from EWR to ORD on 1 July, on time, with values replaced by `changes`."""
    row = {
        "year": 2013, "month": 7, "day": 1, "dep_time": 1540, "sched_dep_time": 1540, "dep_delay": 0,
        "arr_time": 1710, "sched_arr_time": 1710, "arr_delay": 0, "carrier": "UA", "flight": 1, "tailnum": "N1",
        "origin": "EWR", "dest": "ORD", "air_time": 110, "distance": 719, "hour": 15, "minute": 40,
        "time_hour": at("2013-07-01T19:00"),
    }  # fmt: skip
    return pl.LazyFrame([row | changes], schema={name: column.dtype for name, column in FLIGHTS.columns.items()})


def cleaned(**changes: object) -> dict[str, object]:
    return FLIGHTS.clean(landed(**changes), {"airports": ZONES}).collect().row(0, named=True)


CANCELLED = {"dep_time": None, "dep_delay": None, "arr_time": None, "arr_delay": None, "air_time": None}


def test_the_departure_is_the_hour_plus_the_minute() -> None:
    assert cleaned()["scheduled_departure"] == at("2013-07-01T19:40")


def test_the_arrival_is_read_on_the_clock_of_the_destination() -> None:
    assert cleaned()["scheduled_arrival"] == at("2013-07-01T22:10")


def test_an_overnight_flight_arrives_on_the_next_local_day() -> None:
    flight = cleaned(
        dest="ATL", sched_dep_time=2330, hour=23, minute=30, time_hour=at("2013-07-02T03:00"), sched_arr_time=150
    )
    assert flight["scheduled_arrival"] == at("2013-07-02T05:50")


def test_a_westward_flight_past_midnight_in_new_york_is_not_overnight() -> None:
    flight = cleaned(
        dest="LAX", sched_dep_time=2130, hour=21, minute=30, time_hour=at("2013-07-02T01:00"), sched_arr_time=2359
    )
    assert flight["scheduled_arrival"] == at("2013-07-02T06:59")


def test_the_overnight_day_is_added_before_the_clocks_go_back() -> None:
    flight = cleaned(
        dest="ATL", month=11, day=2, sched_dep_time=2255, hour=22, minute=55, time_hour=at("2013-11-03T02:00"),
        sched_arr_time=230,
    )  # fmt: skip
    assert flight["scheduled_arrival"] == at("2013-11-03T07:30")


def test_the_overnight_day_is_added_before_the_clocks_go_forward() -> None:
    flight = cleaned(
        dest="ATL", month=3, day=9, sched_dep_time=2255, hour=22, minute=55, time_hour=at("2013-03-10T03:00"),
        sched_arr_time=330,
    )  # fmt: skip
    assert flight["scheduled_arrival"] == at("2013-03-10T07:30")


def test_a_zone_without_daylight_saving_keeps_its_offset() -> None:
    assert cleaned(dest="PHX", sched_arr_time=1830)["scheduled_arrival"] == at("2013-07-02T01:30")


def test_midnight_may_be_written_2400() -> None:
    assert cleaned(sched_arr_time=2400)["scheduled_arrival"] == at("2013-07-02T05:00")


def test_the_islands_have_a_zone_although_the_register_lacks_them() -> None:
    assert cleaned(dest="SJU", sched_arr_time=1945)["scheduled_arrival"] == at("2013-07-01T23:45")


@pytest.mark.parametrize("destination", ["LRO", "XXX"])
def test_a_destination_without_a_zone_has_no_arrival_but_keeps_its_row(destination: str) -> None:
    flight = cleaned(dest=destination)
    assert (flight["scheduled_arrival"], flight["arrived_at"], flight["arr_delay_min"]) == (None, None, 0)


def test_a_departure_that_crossed_midnight_is_the_schedule_plus_the_delay() -> None:
    flight = cleaned(
        sched_dep_time=2359, hour=23, minute=59, time_hour=at("2013-07-02T03:00"), dep_time=45, dep_delay=46
    )
    assert flight["departed_at"] == at("2013-07-02T04:45")


def test_an_arrival_of_the_next_day_is_the_schedule_plus_the_delay() -> None:
    assert cleaned(arr_time=1605, arr_delay=1375)["arrived_at"] == at("2013-07-02T21:05")


def test_a_cancelled_flight_is_known_to_be_so_at_its_departure() -> None:
    flight = cleaned(**CANCELLED)
    assert (flight["is_cancelled"], flight["cancelled_at"]) == (True, at("2013-07-01T19:40"))
    assert (flight["departed_at"], flight["arrived_at"], flight["is_diverted"]) == (None, None, False)


def test_a_diverted_flight_never_arrives() -> None:
    flight = cleaned(arr_time=2350, arr_delay=None, air_time=None)
    assert (flight["is_diverted"], flight["arrived_at"], flight["is_cancelled"]) == (True, None, False)


def test_local_time_stays_beside_utc() -> None:
    flight = cleaned(day=1, sched_dep_time=2130, hour=21, minute=30, time_hour=at("2013-07-02T01:00"))
    assert str(flight["service_date"]) == "2013-07-01"
    assert (flight["scheduled_hour"], flight["scheduled_minute_of_day"]) == (21, 1290)


def test_the_partition_key_is_carried_along_where_there_is_one() -> None:
    keyed = landed().with_columns(pl.lit("2013-07-01").alias(PARTITION_KEY))
    assert FLIGHTS.clean(keyed, {"airports": ZONES}).collect()[PARTITION_KEY].to_list() == ["2013-07-01"]
    assert PARTITION_KEY not in cleaned()


def test_weather_is_known_when_its_hour_is_over() -> None:
    hour = at("2013-07-01T19:00")
    row = dict.fromkeys(WEATHER.columns) | {"origin": "JFK", "time_hour": hour, "temp": 80.0}
    frame = pl.LazyFrame([row], schema={name: column.dtype for name, column in WEATHER.columns.items()})
    found = WEATHER.clean(frame, {}).collect().row(0, named=True)
    assert (found["observed_at"], found["known_at"], found["temp_f"]) == (hour, hour + timedelta(hours=1), 80.0)


@pytest.mark.parametrize("table", [AIRPORTS, PLANES, WEATHER, FLIGHTS], ids=lambda table: table.name)
def test_cleaning_returns_exactly_the_declared_columns(
    table: SourceTable, cleaned_2013: dict[str, pl.DataFrame]
) -> None:
    expected = {name: column.dtype for name, column in table.cleaned_columns.items()}
    expected |= {PARTITION_KEY: pl.String()} if table.is_partitioned else {}
    assert list(cleaned_2013[table.name].schema.items()) == list(expected.items())


@pytest.mark.parametrize("table", [AIRPORTS, PLANES, WEATHER, FLIGHTS], ids=lambda table: table.name)
def test_columns_declared_without_missing_values_have_none(
    table: SourceTable, cleaned_2013: dict[str, pl.DataFrame]
) -> None:
    required = [name for name, column in table.cleaned_columns.items() if not column.nullable]
    assert sum(cleaned_2013[table.name].select(required).null_count().row(0)) == 0


@pytest.mark.parametrize("table", [AIRPORTS, PLANES, WEATHER, FLIGHTS], ids=lambda table: table.name)
def test_a_table_without_rows_cleans_to_one_without_rows(
    table: SourceTable, landed_2013: dict[str, pl.DataFrame], cleaned_2013: dict[str, pl.DataFrame]
) -> None:
    lookups = {name: cleaned_2013[name].clear().lazy() for name in table.lookups}
    empty = table.clean(landed_2013[table.name].clear().lazy(), lookups).collect()
    assert empty.equals(cleaned_2013[table.name].clear())


def test_the_year_flies_no_longer_than_it_takes(cleaned_2013: dict[str, pl.DataFrame]) -> None:
    flown = cleaned_2013["flights"].drop_nulls("arrived_at")
    elapsed = (flown["arrived_at"] - flown["departed_at"]).dt.total_minutes()
    on_ground = elapsed - flown["air_time_min"]
    assert on_ground.is_between(11, 136).mean() == pytest.approx(0.9985, abs=1e-4)
    assert (on_ground.min(), on_ground.max()) == (5, 235)


def test_the_years_departures_show_on_the_airports_clock(
    split_2013: dict[str, Split], cleaned_2013: dict[str, pl.DataFrame]
) -> None:
    landed_year, flights = split_2013["flights"].valid, cleaned_2013["flights"]
    local = flights["departed_at"].dt.convert_time_zone("America/New_York")
    clock = local.dt.hour().cast(pl.Int16()) * 100 + local.dt.minute()
    assert clock.equals(landed_year["dep_time"] % 2400, null_equal=True)


def test_the_years_arrivals_show_on_the_destinations_clock(
    split_2013: dict[str, Split], cleaned_2013: dict[str, pl.DataFrame]
) -> None:
    # An independent way to the same clock: the zone of each destination applied to the instant, group by group.
    zones = dict(cleaned_2013["airports"].select("faa", "timezone").iter_rows())
    flights = cleaned_2013["flights"].with_columns(split_2013["flights"].valid["arr_time"])
    differs = 0
    for (destination,), rows in flights.drop_nulls("arrived_at").group_by("destination"):
        local = rows["arrived_at"].dt.convert_time_zone(zones.get(destination) or "America/Puerto_Rico")
        clock = local.dt.hour().cast(pl.Int16()) * 100 + local.dt.minute()
        differs += (clock != rows["arr_time"] % 2400).sum()
    assert differs <= 1  # the one that landed in the hour the clocks skipped


def test_the_years_outcomes_are_those_on_record(cleaned_2013: dict[str, pl.DataFrame]) -> None:
    flights = cleaned_2013["flights"]
    assert flights["is_cancelled"].sum() == 8_254  # and one cancelled flight in quarantine
    assert flights["is_diverted"].sum() == 1_175
    assert flights["arr_delay_min"].count() == 327_346
    assert flights.filter(pl.col("arrived_at").is_null() != pl.col("arr_delay_min").is_null()).is_empty()


def test_the_years_flights_keep_their_partition(cleaned_2013: dict[str, pl.DataFrame]) -> None:
    flights = cleaned_2013["flights"]
    assert flights[PARTITION_KEY].equals(flights["service_date"].cast(pl.String()), check_names=False)
