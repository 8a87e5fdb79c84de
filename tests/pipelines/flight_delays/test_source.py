"""The declared tables: which real rows are rejected, what each rule catches, and that clean data passes every gate."""

from datetime import UTC, datetime, timedelta

import polars as pl
import pytest

from assets.checks.expectations import validate
from assets.contracts import PARTITION_KEY, SourceTable
from assets.logic.intake import Split, quarantine
from pipelines.flight_delays.source import AIRPORTS, FLIGHTS, PLANES, WEATHER

TABLES = [AIRPORTS, PLANES, WEATHER, FLIGHTS]
FLIGHT = {
    "year": 2013, "month": 7, "day": 1, "dep_time": 1540, "sched_dep_time": 1540, "dep_delay": 0,
    "arr_time": 1710, "sched_arr_time": 1710, "arr_delay": 0, "carrier": "UA", "flight": 1, "tailnum": "N1",
    "origin": "EWR", "dest": "ORD", "air_time": 110, "distance": 719, "hour": 15, "minute": 40,
    "time_hour": datetime(2013, 7, 1, 19, tzinfo=UTC), PARTITION_KEY: "2013-07-01",
}  # fmt: skip
OBSERVATION = {
    "origin": "JFK", "year": 2013, "month": 7, "day": 1, "hour": 15, "temp": 80.0, "dewp": 60.0, "humid": 50.0,
    "wind_dir": 180.0, "wind_speed": 10.0, "wind_gust": None, "precip": 0.0, "pressure": 1015.0, "visib": 10.0,
    "time_hour": datetime(2013, 7, 1, 19, tzinfo=UTC), PARTITION_KEY: "2013-07-01",
}  # fmt: skip
PLANE = {
    "tailnum": "N1", "year": 2000, "type": "Fixed wing multi engine", "manufacturer": "BOEING", "model": "737",
    "engines": 2, "seats": 149, "speed": None, "engine": "Turbo-fan",
}  # fmt: skip
AIRPORT = {
    "faa": "ORD", "name": "O'Hare", "lat": 41.98, "lon": -87.9, "alt": 668, "tz": -6.0, "dst": "A",
    "tzone": "America/Chicago",
}  # fmt: skip
GOOD = {"flights": FLIGHT, "weather": OBSERVATION, "planes": PLANE, "airports": AIRPORT}


def reason(table: SourceTable, **changes: object) -> str | None:
    """Why the good row of a table is rejected once it is changed; None if it is not."""
    schema = {name: column.dtype for name, column in table.columns.items()}
    schema |= {PARTITION_KEY: pl.String()} if table.is_partitioned else {}
    rejected = quarantine(pl.DataFrame([GOOD[table.name] | changes], schema=schema), table.rules, table.key).rejected
    return None if rejected.is_empty() else rejected["reason"].item()


@pytest.mark.parametrize("table", TABLES, ids=lambda table: table.name)
def test_a_good_row_passes_every_rule(table: SourceTable) -> None:
    assert reason(table) is None


CASES: list[tuple[SourceTable, str, dict[str, object]]] = [
    (FLIGHTS, "missing_key", {"carrier": None}),
    (FLIGHTS, "origin_is_unknown", {"origin": "BOS"}),
    (FLIGHTS, "day_is_not_that_of_the_file", {PARTITION_KEY: "2013-07-02"}),
    (FLIGHTS, "schedule_is_incomplete", {"dest": None}),
    (FLIGHTS, "schedule_is_incomplete", {"sched_arr_time": None}),
    (FLIGHTS, "local_time_contradicts_utc", {"hour": 16}),
    (FLIGHTS, "local_time_contradicts_utc", {"month": 13}),
    (FLIGHTS, "clock_time_is_impossible", {"dep_time": 2401}),
    (FLIGHTS, "clock_time_is_impossible", {"sched_arr_time": 1260}),
    (FLIGHTS, "scheduled_clock_contradicts_itself", {"sched_dep_time": 1541}),
    (FLIGHTS, "distance_is_impossible", {"distance": 17}),
    (
        FLIGHTS,
        "departs_while_closed",
        {"hour": 4, "minute": 59, "sched_dep_time": 459, "time_hour": datetime(2013, 7, 1, 8, tzinfo=UTC)},
    ),
    (FLIGHTS, "lands_where_it_departs", {"dest": "EWR"}),
    (FLIGHTS, "delay_is_impossible", {"arr_delay": 5_000}),
    (FLIGHTS, "delay_is_impossible", {"dep_delay": -300}),
    (FLIGHTS, "air_time_is_impossible", {"air_time": 0}),
    (FLIGHTS, "outcome_contradicts_itself", {"dep_time": None}),
    (FLIGHTS, "outcome_contradicts_itself", {"dep_time": None, "dep_delay": None}),
    (WEATHER, "missing_key", {"time_hour": None}),
    (WEATHER, "origin_is_unknown", {"origin": "BOS"}),
    (WEATHER, "day_is_not_that_of_the_file", {PARTITION_KEY: "2013-06-30"}),
    (WEATHER, "local_time_contradicts_utc", {"hour": 19}),
    (WEATHER, "wind_speed_is_impossible", {"wind_speed": 1048.36}),
    (WEATHER, "wind_speed_is_impossible", {"wind_gust": 1206.0}),
    (WEATHER, "temperature_is_impossible", {"temp": -99.0}),
    (WEATHER, "humidity_is_impossible", {"humid": 161.0}),
    (WEATHER, "wind_direction_is_impossible", {"wind_dir": 361.0}),
    (WEATHER, "pressure_is_impossible", {"pressure": 29.9}),
    (WEATHER, "precipitation_is_impossible", {"precip": -0.1}),
    (WEATHER, "visibility_is_impossible", {"visib": 999.0}),
    (PLANES, "missing_key", {"tailnum": None}),
    (PLANES, "not_an_airliner", {"seats": 2}),
    (PLANES, "not_an_airliner", {"seats": None}),
    (PLANES, "year_is_impossible", {"year": 0}),
    (AIRPORTS, "not_in_america", {"lon": 112.457}),
    (AIRPORTS, "not_in_america", {"lat": None}),
    (AIRPORTS, "time_zone_is_unknown", {"tzone": "Asia/Chongqing"}),
]


@pytest.mark.parametrize(("table", "name", "changes"), CASES)
def test_a_bad_row_is_rejected_by_the_rule_that(table: SourceTable, name: str, changes: dict[str, object]) -> None:
    assert reason(table, **changes) == name


@pytest.mark.parametrize("table", TABLES, ids=lambda table: table.name)
def test_every_rule_has_a_row_it_catches(table: SourceTable) -> None:
    caught = {name for of, name, _ in CASES if of is table}
    assert {rule.name for rule in table.rules} <= caught


NORMAL: list[tuple[SourceTable, dict[str, object]]] = [
    (
        FLIGHTS,
        {"tailnum": None, "dep_time": None, "dep_delay": None, "arr_time": None, "arr_delay": None, "air_time": None},
    ),
    (FLIGHTS, {"arr_delay": None, "air_time": None}),
    (FLIGHTS, {"dep_time": 2400, "arr_time": 2400}),
    (FLIGHTS, {"dest": "XXX"}),
    (FLIGHTS, {"carrier": "ZZ", "tailnum": "UNKNOWN"}),
    (
        WEATHER,
        dict.fromkeys(("temp", "dewp", "humid", "wind_dir", "wind_speed", "precip", "pressure", "visib")),
    ),
    (PLANES, {"year": None, "engine": None}),
    (AIRPORTS, {"tzone": None}),
    (AIRPORTS, {"lat": 52.7, "lon": 174.1}),
]


@pytest.mark.parametrize(("table", "changes"), NORMAL)
def test_what_is_merely_unusual_passes(table: SourceTable, changes: dict[str, object]) -> None:
    assert reason(table, **changes) is None


@pytest.mark.parametrize(
    ("name", "reasons"),
    [
        ("flights", {"distance_is_impossible": 1}),
        ("weather", {"wind_speed_is_impossible": 1}),
        ("planes", {"not_an_airliner": 40}),
        ("airports", {"not_in_america": 3}),
    ],
)
def test_the_real_year_loses_only_its_impossible_rows(
    name: str, reasons: dict[str, int], landed_2013: dict[str, pl.DataFrame], split_2013: dict[str, Split]
) -> None:
    split = split_2013[name]
    assert dict(split.rejected["reason"].value_counts().iter_rows()) == reasons
    assert len(split.valid) + len(split.rejected) == len(landed_2013[name])


def test_a_day_judged_alone_gives_what_the_year_gives(
    landed_2013: dict[str, pl.DataFrame], split_2013: dict[str, Split]
) -> None:
    landed = landed_2013["flights"].filter(pl.col(PARTITION_KEY) == "2013-07-27")
    rejected = quarantine(landed, FLIGHTS.rules, [*FLIGHTS.key, PARTITION_KEY]).rejected
    assert rejected.equals(split_2013["flights"].rejected)


@pytest.mark.parametrize("table", TABLES, ids=lambda table: table.name)
def test_the_real_year_meets_every_expectation(table: SourceTable, cleaned_2013: dict[str, pl.DataFrame]) -> None:
    results = validate(cleaned_2013[table.name], table.expectations)
    assert [(r.check, r.observed) for r in results if not r.passed] == []


@pytest.mark.parametrize("day", ["2013-02-08", "2013-03-10", "2013-05-08", "2013-11-03", "2013-12-30"])
def test_a_bad_day_warns_but_stops_nothing(day: str, cleaned_2013: dict[str, pl.DataFrame]) -> None:
    failed = [
        r.check
        for table in (FLIGHTS, WEATHER)
        for r in validate(cleaned_2013[table.name].filter(pl.col(PARTITION_KEY) == day), table.expectations)
        if not r.passed and r.severity == "critical"
    ]
    assert failed == []


def test_a_storm_is_pointed_out(cleaned_2013: dict[str, pl.DataFrame]) -> None:
    storm = cleaned_2013["flights"].filter(pl.col(PARTITION_KEY) == "2013-02-09")
    assert [r.check for r in validate(storm, FLIGHTS.expectations) if not r.passed] == ["few_flights_are_cancelled"]


@pytest.mark.parametrize("table", TABLES, ids=lambda table: table.name)
def test_a_table_without_rows_fails_every_expectation(
    table: SourceTable, cleaned_2013: dict[str, pl.DataFrame]
) -> None:
    assert not any(r.passed for r in validate(cleaned_2013[table.name].clear(), table.expectations))


def test_a_lost_register_of_airports_stops_the_flights(
    split_2013: dict[str, Split], cleaned_2013: dict[str, pl.DataFrame]
) -> None:
    day = split_2013["flights"].valid.filter(pl.col(PARTITION_KEY) == "2013-07-01")
    airports = cleaned_2013["airports"].clear()
    flights = FLIGHTS.clean(day.lazy(), {"airports": airports.lazy()}).collect()
    failed = [r.check for r in validate(flights, FLIGHTS.expectations) if not r.passed and r.severity == "critical"]
    assert "destinations_have_a_time_zone" in failed


def test_keys_identify_every_real_row(landed_2013: dict[str, pl.DataFrame]) -> None:
    repeats = {t.name: landed_2013[t.name].select(t.key).is_duplicated().sum() for t in TABLES}
    assert repeats == {"airports": 0, "planes": 0, "weather": 0, "flights": 0}


def test_records_reach_us_as_late_as_they_really_would() -> None:
    delays = {t.name: t.available_after for t in TABLES}
    assert (delays["flights"], delays["weather"]) == (timedelta(minutes=15), timedelta(hours=1))


def test_every_outcome_of_a_flight_waits_for_its_clock() -> None:
    outcomes = {"departed_at", "dep_delay_min", "arrived_at", "arr_delay_min", "air_time_min"}
    outcomes |= {"is_diverted", "is_cancelled", "cancelled_at"}
    assert set(FLIGHTS.clock.known_at_by_column) == outcomes


def test_no_outcome_is_visible_before_its_departure(cleaned_2013: dict[str, pl.DataFrame]) -> None:
    flights = cleaned_2013["flights"]
    early = {
        name: flights.filter(
            pl.col(name).is_not_null() & (pl.col(clock) < pl.col("scheduled_departure") - timedelta(hours=1))
        )
        for name, clock in FLIGHTS.clock.known_at_by_column.items()
    }
    assert {name: len(rows) for name, rows in early.items() if len(rows)} == {}
