"""Every landed row ends either cleaned or quarantined with a reason, once."""

import gzip
from dataclasses import replace
from pathlib import Path

import polars as pl
import pytest

from assets.contracts import PARTITION_KEY, Clean, Expectation, SourceTable
from assets.logic.intake import REASON
from assets.stages.cleaned import clean_table
from assets.stages.raw import LINEAGE
from pipelines.flight_delays.source import FLIGHTS
from resources.errors import InputError
from tests.support.few_days import FEW_DAYS, Home, checks, failures, flights_file, steps_run, weather_file

DAY, NEXT, THIRD = "2013-01-01", "2013-01-02", "2013-01-03"
FLIGHT_ASSETS = ["raw_airports", "cleaned_airports", "quarantined_airports"]
FLIGHT_ASSETS += ["raw_flights", "cleaned_flights", "quarantined_flights"]
WEATHER_ASSETS = ["raw_weather", "cleaned_weather", "quarantined_weather"]


def lines(path: Path) -> list[str]:
    return gzip.decompress(path.read_bytes()).decode().splitlines(keepends=True)


def rewrite(path: Path, text: list[str]) -> None:
    path.write_bytes(gzip.compress("".join(text).encode(), mtime=0))


@pytest.mark.parametrize("table", FEW_DAYS.tables, ids=lambda table: table.name)
def test_cleaned_and_quarantined_rows_are_the_raw_rows(table: SourceTable, cleaned: Home) -> None:
    raw = cleaned.rows(f"raw_{table.name}").drop(LINEAGE)
    aside = cleaned.rows(f"quarantined_{table.name}")
    kept = cleaned.rows(f"cleaned_{table.name}")
    assert len(raw) == len(kept) + len(aside)
    assert aside[REASON].null_count() == 0
    # Landed rows of these days never repeat, so rows that are not kept aside are exactly the kept ones.
    rest = raw.join(aside.drop(REASON), on=raw.columns, how="anti", nulls_equal=True)
    again = clean_table(table, rest.with_columns(*(pl.lit(None).alias(n) for n in LINEAGE)), lookups(cleaned, table))
    assert again.rejected.is_empty()
    assert again.rows.sort(again.rows.columns).equals(kept)


def lookups(home: Home, table: SourceTable) -> dict[str, pl.LazyFrame]:
    return {name: home.rows(f"cleaned_{name}").lazy() for name in table.lookups}


def test_real_rows_are_quarantined_under_the_name_of_their_rule(cleaned: Home) -> None:
    reasons = cleaned.rows("quarantined_planes")[REASON].unique().to_list()
    assert "not_an_airliner" in reasons


def test_a_file_delivered_twice_over_is_quarantined_row_by_row_and_nothing_is_doubled(
    empty: Home, cleaned: Home
) -> None:
    file = empty.landing / flights_file(NEXT)
    header, *rows = lines(file)
    rewrite(file, [header, *rows, *rows])
    result = empty.run("ingest", *FLIGHT_ASSETS, first=DAY, last=THIRD)
    assert result.success, failures(result)
    assert empty.rows("cleaned_flights").equals(cleaned.rows("cleaned_flights", DAY, NEXT, THIRD))
    aside = empty.rows("quarantined_flights", NEXT)
    assert aside.filter(pl.col(REASON) == "repeated_row").height == len(rows)


def test_two_rows_that_contradict_each_other_are_both_kept_aside(empty: Home, cleaned: Home) -> None:
    file = empty.landing / flights_file(NEXT)
    header, first, *rows = lines(file)
    fields = first.split(",")
    fields[list(FLIGHTS.columns).index("arr_delay")] = "99"
    rewrite(file, [header, first, ",".join(fields), *rows])
    assert empty.run("ingest", *FLIGHT_ASSETS, first=NEXT).success
    assert (empty.rows("quarantined_flights")[REASON] == "conflicting_key").sum() == 2
    assert len(empty.rows("cleaned_flights")) == len(cleaned.rows("cleaned_flights", NEXT)) - 1


def test_the_checks_say_how_many_rows_went_where(empty: Home) -> None:
    result = empty.run("ingest", *FLIGHT_ASSETS, first=DAY, last=THIRD)
    counted = checks(result)["cleaned_flights/every_row_is_accounted_for"]
    assert counted.passed
    found = {name: counted.metadata[name].value for name in ("raw", "cleaned", "quarantined")}
    assert found == {n: len(empty.rows(f"{n}_flights")) for n in found}


def test_cleaning_the_same_rows_again_commits_nothing(empty: Home) -> None:
    names = FLIGHT_ASSETS + WEATHER_ASSETS
    assert empty.run("ingest", *names, first=DAY, last=THIRD).success
    before = empty.versions()
    assert empty.run("ingest", *names, first=DAY, last=THIRD).success
    assert empty.versions() == before


def test_absent_weather_leaves_an_empty_table_and_stops_nothing(empty: Home) -> None:
    for day in (DAY, NEXT, THIRD):
        (empty.landing / weather_file(day)).unlink()
    result = empty.run("ingest", *WEATHER_ASSETS, first=DAY, last=THIRD)
    assert result.success, failures(result)
    found = checks(result)
    for expectation in FEW_DAYS.table("weather").expectations:
        judged = found[f"cleaned_weather/{expectation.check}"]
        assert (judged.passed, judged.severity.value) == (False, "WARN"), expectation.check
    assert empty.rows("cleaned_weather").is_empty()
    assert empty.rows("quarantined_weather").is_empty()


def test_a_critical_expectation_that_fails_stops_what_comes_after(empty: Home) -> None:
    impossible = Expectation(
        check="every_flight_is_long",
        type="expect_column_values_to_be_between",
        arguments={"column": "distance_miles", "min_value": 2_000},
    )
    strict = replace(FLIGHTS, expectations=(impossible,))
    tables = tuple(strict if t.name == "flights" else t for t in FEW_DAYS.tables)
    home = replace(empty, use_case=replace(FEW_DAYS, tables=tables))
    result = home.run("ingest", first=DAY, last=NEXT)
    assert not result.success
    failed = checks(result)["cleaned_flights/every_flight_is_long"]
    assert (failed.passed, failed.severity.value) == (False, "ERROR")
    assert failed.metadata["unexpected_count"].value > 0
    assert "features" not in steps_run(result)


def test_a_warning_that_fails_stops_nothing(empty: Home) -> None:
    wish = Expectation(
        check="every_flight_is_long",
        type="expect_column_values_to_be_between",
        arguments={"column": "distance_miles", "min_value": 2_000},
        severity="warning",
    )
    tables = tuple(replace(t, expectations=(wish,)) if t.name == "flights" else t for t in FEW_DAYS.tables)
    home = replace(empty, use_case=replace(FEW_DAYS, tables=tables))
    result = home.run("ingest", *FLIGHT_ASSETS, first=DAY, last=NEXT)
    assert result.success, failures(result)
    assert checks(result)["cleaned_flights/every_flight_is_long"].severity.value == "WARN"


@pytest.mark.parametrize(
    ("clean", "says"),
    [
        (lambda frame, lookups: FLIGHTS.clean(frame, lookups).drop("tailnum"), "tailnum is absent, declared String"),
        (
            lambda frame, lookups: FLIGHTS.clean(frame, lookups).with_columns(pl.col("flight").cast(pl.Int64)),
            "flight is Int64, declared Int32",
        ),
        (
            lambda frame, lookups: FLIGHTS.clean(frame, lookups).head(10),
            "rejected by a named Rule, never dropped by clean",
        ),
    ],
    ids=["drops a column", "changes a type", "drops rows"],
)
def test_a_clean_that_breaks_its_declaration_is_refused(clean: Clean, says: str, cleaned: Home) -> None:
    raw = cleaned.rows("raw_flights", DAY)
    with pytest.raises(InputError, match=says):
        clean_table(replace(FLIGHTS, clean=clean), raw, lookups(cleaned, FLIGHTS))


def test_a_key_is_judged_within_its_day_so_that_a_range_gives_what_days_give(cleaned: Home) -> None:
    raw = cleaned.rows("raw_flights", DAY)
    copied = pl.concat([raw, raw.with_columns(pl.lit(NEXT).alias(PARTITION_KEY))])
    rejected = clean_table(FLIGHTS, copied, lookups(cleaned, FLIGHTS)).rejected
    assert not {"repeated_row", "conflicting_key"} & set(rejected[REASON])
