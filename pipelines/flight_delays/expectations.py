"""What the cleaned tables must fulfil, each an asset check by Great Expectations.

Belongs here: the bounds of the usual, for a whole table. Every day of 2013 passes the critical ones; a warning fails on
days a person should know about, such as the storm of 8 February. Does not belong here: why one row is rejected
(`rules.py`).
"""

from typing import Final

from assets.contracts import Expectation
from pipelines.flight_delays.rules import ORIGINS

FLIGHT_EXPECTATIONS: Final = (
    Expectation(
        check="flights_were_scheduled", type="expect_table_row_count_to_be_between", arguments={"min_value": 1}
    ),
    Expectation(
        check="flights_are_unique",
        type="expect_compound_columns_to_be_unique",
        arguments={"column_list": ["carrier", "flight", "origin", "scheduled_departure"]},
    ),
    Expectation(
        check="carriers_are_iata_codes",
        type="expect_column_values_to_match_regex",
        arguments={"column": "carrier", "regex": "^[A-Z0-9]{2}$"},
    ),
    Expectation(
        check="destinations_have_a_time_zone",
        type="expect_column_values_to_not_be_null",
        arguments={"column": "scheduled_arrival", "mostly": 0.95},
    ),
    Expectation(
        check="arrivals_follow_departures",
        type="expect_column_pair_values_a_to_be_greater_than_b",
        arguments={"column_A": "arrived_at", "column_B": "departed_at", "ignore_row_if": "either_value_is_missing"},
    ),
    Expectation(
        check="departure_delays_are_plausible",
        type="expect_column_values_to_be_between",
        arguments={"column": "dep_delay_min", "min_value": -60, "max_value": 1_440},
    ),
    Expectation(
        check="few_flights_are_cancelled",
        type="expect_column_values_to_be_in_set",
        arguments={"column": "is_cancelled", "value_set": [False], "mostly": 0.85},
        severity="warning",
    ),
)

WEATHER_EXPECTATIONS: Final = (
    Expectation(check="weather_was_observed", type="expect_table_row_count_to_be_between", arguments={"min_value": 1}),
    Expectation(
        check="observations_are_unique",
        type="expect_compound_columns_to_be_unique",
        arguments={"column_list": ["origin", "observed_at"]},
    ),
    Expectation(
        check="temperatures_are_plausible",
        type="expect_column_values_to_be_between",
        arguments={"column": "temp_f", "min_value": -20, "max_value": 115},
    ),
    Expectation(
        check="wind_speeds_are_plausible",
        type="expect_column_values_to_be_between",
        arguments={"column": "wind_speed_mph", "min_value": 0, "max_value": 100},
    ),
    Expectation(
        check="temperatures_are_reported",
        type="expect_column_values_to_not_be_null",
        arguments={"column": "temp_f", "mostly": 0.9},
    ),
    Expectation(
        check="pressures_are_reported",
        type="expect_column_values_to_not_be_null",
        arguments={"column": "pressure_mb", "mostly": 0.3},
        severity="warning",
    ),
    Expectation(
        check="every_airport_reports",
        type="expect_column_distinct_values_to_contain_set",
        arguments={"column": "origin", "value_set": list(ORIGINS)},
        severity="warning",
    ),
)

PLANE_EXPECTATIONS: Final = (
    Expectation(check="planes_are_registered", type="expect_table_row_count_to_be_between", arguments={"min_value": 1}),
    Expectation(
        check="tail_numbers_are_unique",
        type="expect_column_values_to_be_unique",
        arguments={"column": "tailnum"},
    ),
    Expectation(
        check="seats_are_those_of_airliners",
        type="expect_column_values_to_be_between",
        arguments={"column": "seats", "min_value": 20, "max_value": 900},
    ),
    Expectation(
        check="years_of_manufacture_are_reported",
        type="expect_column_values_to_not_be_null",
        arguments={"column": "manufactured_year", "mostly": 0.9},
        severity="warning",
    ),
)

AIRPORT_EXPECTATIONS: Final = (
    Expectation(
        check="airports_are_registered", type="expect_table_row_count_to_be_between", arguments={"min_value": 1}
    ),
    Expectation(
        check="airport_codes_are_unique", type="expect_column_values_to_be_unique", arguments={"column": "faa"}
    ),
    Expectation(
        check="time_zones_are_reported",
        type="expect_column_values_to_not_be_null",
        arguments={"column": "timezone", "mostly": 0.99},
    ),
    Expectation(
        check="origins_are_registered",
        type="expect_column_distinct_values_to_contain_set",
        arguments={"column": "faa", "value_set": list(ORIGINS)},
    ),
)
