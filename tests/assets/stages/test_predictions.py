"""Every feature row has one score, by one exact version."""

from pathlib import Path

import polars as pl
import pytest

from assets.contracts import PARTITION_KEY, PREDICTION_TIME
from assets.stages.predictions import score_rows
from assets.trainers.families import load_model
from resources.lake import Commit
from tests.support.few_days import FEW_DAYS, LAST, Home, Trained, checks, days_between, failures

DAYS = days_between("2013-02-06", LAST)
ENTITY = list(FEW_DAYS.entity)
COMMIT = Commit(dagster_run_id="a test", code_version="a test")


@pytest.fixture
def home(trained: Trained, tmp_path: Path) -> Home:
    return trained.home.copy(tmp_path / "home")


def test_every_feature_row_is_scored_once(home: Home) -> None:
    result = home.run("score", first=DAYS[0], last=LAST)
    assert result.success, failures(result)
    scores, features = home.rows("predictions"), home.rows("features", *DAYS)
    assert scores.select(ENTITY).sort(ENTITY).equals(features.select(ENTITY).sort(ENTITY))
    assert scores["probability"].is_between(0, 1, closed="none").all()
    counted = checks(result)["predictions/every_feature_row_is_scored"]
    assert counted.passed
    assert counted.metadata["predictions"].value == counted.metadata["features"].value == len(features)


def test_a_score_is_that_of_the_champion_and_says_so(home: Home, tmp_path: Path) -> None:
    assert home.run("score", first=LAST).success
    champion = home.registry.champion("flight_delays")
    assert champion is not None
    rows = home.rows("features", LAST).sort(PREDICTION_TIME, *ENTITY)
    offline = load_model(home.registry.download(champion, tmp_path / "model")).predict(rows)
    scores = home.rows("predictions").sort(PREDICTION_TIME, *ENTITY)
    assert scores["probability"].to_list() == offline.tolist()
    assert scores["model_version"].unique().to_list() == [str(champion)]


def test_scoring_again_commits_nothing(home: Home) -> None:
    assert home.run("score", first=DAYS[0], last=LAST).success
    before = home.versions()
    assert home.run("score", first=DAYS[0], last=LAST).success
    assert home.versions() == before


def test_a_range_of_days_gives_what_the_days_give_one_by_one(home: Home) -> None:
    for day in DAYS:
        assert home.run("score", first=day).success
    alone = home.rows("predictions")
    home.lake.delete_partitions(home.table("predictions"), DAYS, COMMIT)
    assert home.run("score", first=DAYS[0], last=LAST).success
    assert home.rows("predictions").equals(alone)


def test_flights_of_a_carrier_and_to_a_place_never_seen_are_scored(home: Home) -> None:
    strange = home.rows("features", LAST).with_columns(
        pl.lit("ZZ").alias("carrier"), pl.lit("XXX").alias("destination"), pl.lit("N0NE").alias("tailnum")
    )
    home.lake.write(home.table("features"), strange, partitions=[LAST], commit=COMMIT)
    result = home.run("score", first=LAST)
    assert result.success, failures(result)
    assert len(home.rows("predictions", LAST)) == len(strange)


def test_rows_without_weather_and_without_plane_are_scored(home: Home) -> None:
    champion = home.registry.champion("flight_delays")
    assert champion is not None
    bare = [f.name for f in FEW_DAYS.features if f.group in ("weather", "plane")]
    features = home.rows("features", LAST)
    stripped = features.with_columns(pl.lit(None, dtype=features.schema[name]).alias(name) for name in bare)
    scores = score_rows(FEW_DAYS, stripped, champion, home.registry)
    assert scores["probability"].is_between(0, 1, closed="none").all()
    assert scores.columns == [*ENTITY, PREDICTION_TIME, "probability", "model_version", PARTITION_KEY]


def test_scoring_without_a_champion_says_what_to_materialise(ingested: Home, tmp_path: Path) -> None:
    told = failures(ingested.copy(tmp_path / "home").run("score", first=LAST))
    assert "materialise flight_delays/champion first" in told


def test_scoring_a_day_without_features_says_so(home: Home) -> None:
    result = home.run("score", first="2013-03-01")
    told = failures(result)
    assert "2013-03-01" in told
