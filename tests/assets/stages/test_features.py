"""Features of a day depend on what was known, and on nothing of how or when they were made."""

from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import polars as pl
import pytest

from assets.contracts import LABEL_KNOWN_AT, PREDICTION_TIME
from assets.logic.point_in_time import History
from assets.stages.cleaned import cleaned_frames
from assets.stages.features import feature_rows, load_history, look_back_days
from resources.lake import Commit
from tests.support.few_days import FEW_DAYS, LAST, Home, checks, days_between, failures, steps_run

STAGES = ("raw", "cleaned", "quarantined")
LAST_DAYS = days_between("2013-02-04", LAST)
COMMIT = Commit(dagster_run_id="a test", code_version="a test")
ENTITY = list(FEW_DAYS.entity)


@pytest.fixture
def own(cleaned: Home, tmp_path: Path) -> Home:
    return cleaned.copy(tmp_path / "home")


def without(home: Home, *days: str) -> None:
    """Take days out of every cleaned table."""
    for table in home.use_case.tables:
        if table.is_partitioned:
            home.lake.delete_partitions(home.table(f"cleaned_{table.name}"), days, COMMIT)


def test_a_range_of_days_gives_what_the_days_give_one_by_one(ingested: Home) -> None:
    together = ingested.rows("features", *LAST_DAYS)
    alone = []
    for day in LAST_DAYS:
        history = load_history(ingested.lake, ingested.use_case, [day])
        alone.append(feature_rows(ingested.use_case, history, [day]))
    found = pl.concat(alone)
    assert found.sort(found.columns).equals(together)


def test_a_day_made_without_the_days_after_it_is_the_same_as_with_them(ingested: Home, own: Home) -> None:
    without(own, *LAST_DAYS[2:])
    result = own.run("ingest", "features", first=LAST_DAYS[1])
    assert result.success, failures(result)
    assert own.rows("features", LAST_DAYS[1]).equals(ingested.rows("features", LAST_DAYS[1]))


def test_nothing_older_than_the_look_back_changes_a_feature(cleaned: Home) -> None:
    use_case = cleaned.use_case
    oldest = min(cleaned.lake.partitions(cleaned.table("cleaned_flights")))
    reach = use_case.partitions.before(LAST, look_back_days(use_case))
    assert oldest < reach, "the days that landed must reach further back"
    everything = History(cleaned_frames(cleaned.lake, use_case, None), use_case.clocks)
    recent = load_history(cleaned.lake, use_case, [LAST])
    assert len(recent.tables["flights"]) < len(everything.tables["flights"])
    assert feature_rows(use_case, recent, [LAST]).equals(feature_rows(use_case, everything, [LAST]))


def test_making_features_again_commits_nothing(ingested: Home, tmp_path: Path) -> None:
    own = ingested.copy(tmp_path / "home")
    before = own.versions()
    assert own.run("ingest", "features", first=LAST_DAYS[0], last=LAST).success
    assert own.versions() == before


def test_every_flight_that_holds_has_one_row_two_hours_before_it_is_to_leave(ingested: Home) -> None:
    flights, rows = ingested.rows("cleaned_flights", *LAST_DAYS), ingested.rows("features", *LAST_DAYS)
    assert rows.select(ENTITY).sort(ENTITY).equals(flights.select(ENTITY).sort(ENTITY))
    assert (rows["scheduled_departure"] - rows[PREDICTION_TIME]).unique().to_list() == [FEW_DAYS.prediction_lead]


def test_the_label_is_the_outcome_and_is_known_once_the_record_of_the_arrival_reaches_us(ingested: Home) -> None:
    flights = ingested.rows("cleaned_flights", *LAST_DAYS).select(*ENTITY, "arr_delay_min", "arrived_at")
    rows = ingested.rows("features", *LAST_DAYS).join(flights, on=ENTITY, how="inner", validate="1:1")
    late = (pl.col("arr_delay_min") >= 15).cast(pl.Int8)
    known = pl.col("arrived_at") + FEW_DAYS.table("flights").available_after
    assert rows.select(late.eq_missing(pl.col("is_late")).all()).item()
    assert rows.select(known.eq_missing(pl.col(LABEL_KNOWN_AT)).all()).item()
    assert rows.filter(pl.col("is_late").is_null()).height > 0, "some flights of these days were cancelled"


def test_no_outcome_stands_in_the_feature_table(ingested: Home) -> None:
    outcomes = {n for n, c in FEW_DAYS.table("flights").cleaned_columns.items() if c.known_at} - {"is_late"}
    assert not outcomes & set(ingested.rows("features").columns)


def test_days_without_weather_are_told_and_answered_with_nulls(own: Home) -> None:
    own.lake.delete_partitions(own.table("cleaned_weather"), days_between("2013-01-01", LAST), COMMIT)
    result = own.run("ingest", "features", first=LAST)
    assert result.success, failures(result)
    rows, weather = own.rows("features"), [f.name for f in FEW_DAYS.features if f.group == "weather"]
    assert rows.select(pl.col(weather).is_null().all()).row(0) == (True,) * len(weather)
    told = checks(result)["features/no_feature_is_empty"]
    assert (told.passed, told.severity.value) == (False, "WARN")
    assert set(weather) <= set(told.metadata["empty_features"].value)


def test_a_day_missing_in_the_middle_does_not_stop_the_days_after_it(own: Home) -> None:
    without(own, LAST_DAYS[1])
    result = own.run("ingest", "features", first=LAST_DAYS[2], last=LAST)
    assert result.success, failures(result)
    assert own.lake.partitions(own.table("features")) == set(LAST_DAYS[2:])


def test_an_aircraft_that_is_not_in_the_register_has_a_row_with_nothing_about_it(ingested: Home) -> None:
    known = ingested.rows("cleaned_planes")["tailnum"].to_list()
    rows = ingested.rows("features", *LAST_DAYS)
    strangers = rows.filter(pl.col("tailnum").is_not_null() & ~pl.col("tailnum").is_in(known))
    about = [f.name for f in FEW_DAYS.features if f.group == "plane"]
    assert about
    assert len(strangers) > 100
    assert strangers.select(pl.col(about).is_null().all()).row(0) == (True,) * len(about)


def test_a_feature_that_knows_the_future_stops_the_run_by_name(own: Home) -> None:
    def leaky(spine: pl.DataFrame, history: History) -> pl.DataFrame:
        outcome = history.tables["flights"].select(*ENTITY, pl.col("dep_delay_min").cast(pl.Float64).alias("leak"))
        built = FEW_DAYS.build_features(spine, history).join(outcome, on=ENTITY, how="left", maintain_order="left")
        return built.with_columns(pl.col("leak").alias("humid_pct")).drop("leak")

    home = replace(own, use_case=replace(FEW_DAYS, build_features=leaky))
    result = home.run("ingest", "features", first=LAST)
    assert not result.success
    found = checks(result)["features/features_do_not_know_the_future"]
    assert not found.passed
    assert found.metadata["leaking"].value == ["humid_pct"]


def test_an_entity_that_stands_twice_stops_the_run(own: Home) -> None:
    flights = own.rows("cleaned_flights", LAST)
    twice = pl.concat([flights, flights.head(1)])
    own.lake.write(own.table("cleaned_flights"), twice, partitions=[LAST], commit=COMMIT)
    result = own.run("ingest", "features", first=LAST)
    assert not result.success
    assert checks(result)["features/rows_are_unique"].metadata["repeated_rows"].value == 1


def test_deleting_a_day_and_backfilling_it_gives_the_same_data_back(ingested: Home, tmp_path: Path) -> None:
    own, day = ingested.copy(tmp_path / "home"), LAST_DAYS[1]
    partitioned = [f"{stage}_{t.name}" for t in own.use_case.tables for stage in STAGES if t.is_partitioned]
    for name in [*partitioned, "features"]:
        own.lake.delete_partitions(own.table(name), [day], COMMIT)
        assert day not in own.lake.partitions(own.table(name))
    result = own.run("ingest", first=day)
    assert result.success, failures(result)
    assert {"raw_flights", "cleaned_weather", "features"} <= steps_run(result)
    for name in [*partitioned, "features"]:
        assert own.rows(name).equals(ingested.rows(name)), name


def test_a_question_asked_when_its_answer_is_known_stops_the_run(own: Home) -> None:
    late = replace(own.use_case, asked_at=pl.col("scheduled_departure") + timedelta(hours=30))
    result = replace(own, use_case=late).run("ingest", "features", first=LAST)
    gate = checks(result)["features/no_answer_is_known_when_asked"]
    assert not gate.passed
    assert "labels were known when their question was asked" in str(gate.description)


def test_no_question_about_the_flights_is_asked_when_its_answer_is_known(ingested: Home) -> None:
    rows = ingested.rows("features")
    assert rows.filter(pl.col(LABEL_KNOWN_AT) <= pl.col(PREDICTION_TIME)).is_empty()
