"""Stages on use cases of other shapes: no key, weeks and months, a lead that differs by row, later classes."""

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import dagster as dg
import numpy as np
import polars as pl
import pytest

from assets.contracts import (
    PARTITION_KEY,
    PREDICTION_TIME,
    Column,
    Feature,
    Partitions,
    SourceTable,
    Target,
    UseCase,
)
from assets.logic.point_in_time import History
from assets.policies import OTHER, DeclarationError, TimeSplit, TrainerSpec
from assets.stages.common import look_back, partitions_definition
from assets.stages.features import feature_rows, spine_of
from assets.stages.predictions import said_columns
from assets.stages.training_set import as_rows, encoded_label, labelled_rows, make_manifest, training_data
from resources.lake import Commit, Lake
from resources.sources import FileSource

UTC_TIME = pl.Datetime("us", "UTC")
COMMIT = Commit(dagster_run_id="a-run", code_version="a-version")
START, NOW = datetime(2024, 1, 1, tzinfo=UTC), datetime(2026, 1, 1, tzinfo=UTC)


def build_features(spine: pl.DataFrame, _: History) -> pl.DataFrame:
    return spine.with_columns(hour=pl.col("read_at").dt.hour().cast(pl.Float64))


READINGS = SourceTable(
    name="readings",
    description="Readings of a meter, of which some are equal.",
    source=FileSource(pattern="readings_{partition}.csv"),
    columns={"read_at": Column(dtype=UTC_TIME, description="When.")},
    cleaned_columns={
        "read_at": Column(dtype=UTC_TIME, description="When.", unit="UTC", nullable=False),
        "ordered_at": Column(dtype=UTC_TIME, description="When it was asked for.", unit="UTC", nullable=False),
        "load_kw": Column(dtype=pl.Float64(), description="Load.", unit="kW", known_at="read_at"),
        "weather": Column(dtype=pl.String(), description="Weather.", known_at="read_at"),
    },
    key=(),
    clean=lambda frame, _: frame,
    event_time="read_at",
)
LOAD = UseCase(
    name="load",
    description="Load of a meter.",
    owner="team:tests",
    task="regression",
    tables=(READINGS,),
    partitions=Partitions(start=date(2024, 1, 1), every="week"),
    entity_table="readings",
    entity=(),
    inputs=("read_at", "ordered_at"),
    prediction_lead=timedelta(days=3),
    asked_at=pl.col("ordered_at"),
    lookback=timedelta(days=8),
    target=Target(name="load", definition="load in kW", label=pl.col("load_kw"), known_at="read_at"),
    features=(Feature(name="hour", kind="numeric", group="calendar", description="Hour"),),
    build_features=build_features,
    split=TimeSplit(validation=timedelta(days=4), test=timedelta(days=5)),
    trainers=(TrainerSpec(family="catboost"),),
)


def readings(days: int = 24) -> pl.DataFrame:
    """Two equal readings every hour."""
    hours = np.repeat(np.arange(days * 24), 2)
    at = pl.Series("read_at", [START + timedelta(hours=int(h)) for h in hours], dtype=UTC_TIME)
    frame = at.to_frame().with_columns(
        ordered_at=pl.col("read_at") - pl.duration(hours=pl.col("read_at").dt.hour()),
        load_kw=pl.Series(hours % 24).cast(pl.Float64),
        weather=pl.Series(["sun" if h < days * 18 else "snow" if h % 3 else "rain" for h in hours]),
    )
    return frame.with_columns(LOAD.partitions.keys(pl.col("read_at").dt.date()).alias(PARTITION_KEY))


def lake_of(use_case: UseCase, folder: Path) -> Lake:
    """A lake with the cleaned readings and the features of them."""
    lake, rows = Lake(root=str(folder)), readings()
    keys = rows[PARTITION_KEY].unique().to_list()
    lake.write(f"{use_case.name}/cleaned_readings", rows, partitions=keys, commit=COMMIT)
    made = feature_rows(use_case, History({"readings": rows}, use_case.clocks), keys)
    lake.write(f"{use_case.name}/features", made, partitions=keys, commit=COMMIT)
    return lake


def test_rows_without_a_key_all_become_features() -> None:
    rows = readings()
    made = feature_rows(LOAD, History({"readings": rows}, LOAD.clocks), rows[PARTITION_KEY].unique().to_list())
    assert len(made) == len(rows)


def test_a_lead_that_differs_by_row_is_the_prediction_time() -> None:
    spine = spine_of(LOAD, readings())
    assert (spine[PREDICTION_TIME] == spine["ordered_at"]).all()
    assert spine.select((pl.col("read_at") - pl.col(PREDICTION_TIME)).n_unique()).item() == 24


def test_weeks_are_split_by_day(tmp_path: Path) -> None:
    manifest = make_manifest(LOAD, lake_of(LOAD, tmp_path), NOW)
    assert str(manifest.windows.test) == "2024-01-20 to 2024-01-24"
    assert {name: rows.labelled for name, rows in manifest.rows.items()} == {
        "train": 15 * 48,
        "validation": 4 * 48,
        "test": 5 * 48,
    }


def test_rows_of_a_window_that_begins_within_a_week_are_only_its_own(tmp_path: Path) -> None:
    lake = lake_of(LOAD, tmp_path)
    rows = labelled_rows(LOAD, lake, make_manifest(LOAD, lake, NOW), "test")
    assert rows["read_at"].dt.date().min() == date(2024, 1, 20)


def test_resampling_goes_by_day_also_where_partitions_are_weeks(tmp_path: Path) -> None:
    lake = lake_of(LOAD, tmp_path)
    rows = as_rows(LOAD, labelled_rows(LOAD, lake, make_manifest(LOAD, lake, NOW), "test"))
    assert len(np.unique(rows.day)) == 5


def test_a_class_that_comes_after_training_is_one_of_the_others(tmp_path: Path) -> None:
    weather = replace(
        LOAD, task="multiclass", target=replace(LOAD.target, name="weather_then", label=pl.col("weather"))
    )
    lake = lake_of(weather, tmp_path)
    manifest = make_manifest(weather, lake, NOW)
    data = training_data(weather, lake, manifest)
    test = as_rows(weather, labelled_rows(weather, lake, manifest, "test"), manifest.classes)
    assert (manifest.classes, set(data.train.label), set(test.label)) == (("sun",), {0}, {1})


def test_labels_of_a_multiclass_task_are_positions() -> None:
    codes = encoded_label("multiclass", pl.Series(["b", "c", "a"]), ("a", "b"))
    assert codes.tolist() == [1, 2, 0]


@pytest.mark.parametrize(
    ("every", "keys"),
    [
        ("day", ["2024-01-01", "2024-01-02"]),
        ("week", ["2024-01-01", "2024-01-08"]),
        ("month", ["2024-01-01", "2024-02-01"]),
    ],
)
def test_dagster_names_partitions_as_the_rows_do(every: str, keys: list[str]) -> None:
    definition = partitions_definition(Partitions(start=date(2024, 1, 1), end=date(2024, 3, 31), every=every))  # type: ignore[arg-type]
    assert definition.get_partition_keys()[:2] == keys


@pytest.mark.parametrize(("every", "end", "last"), [
    ("day", date(2024, 3, 31), "2024-03-31"), ("week", date(2024, 3, 31), "2024-03-25"),
    ("month", date(2024, 3, 31), "2024-03-01"),
])  # fmt: skip
def test_the_last_partition_holds_the_last_day(every: str, end: date, last: str) -> None:
    definition = partitions_definition(Partitions(start=date(2024, 1, 1), end=end, every=every))  # type: ignore[arg-type]
    assert definition.get_last_partition_key() == last


def test_a_week_looks_back_over_all_weeks_its_days_need() -> None:
    mapping = look_back(LOAD.partitions, 8)
    assert isinstance(mapping, dg.TimeWindowPartitionMapping)
    assert mapping.start_offset == -2


def test_scores_of_classes_keep_the_columns_of_the_table_whatever_the_classes() -> None:
    said = np.array([[0.2, 0.7, 0.1], [0.5, 0.25, 0.25]])
    frame = pl.DataFrame(said_columns("multiclass", ("rain", "sun", OTHER), said))
    assert frame.columns == ["class", "probability", "probabilities", "classes"]
    assert frame["class"].to_list() == ["sun", "rain"]
    assert frame["probability"].to_list() == [0.7, 0.5]


def test_scores_of_quantities_carry_their_interval() -> None:
    frame = pl.DataFrame(said_columns("regression", ("prediction", "lower", "upper"), np.array([[2.0, 1.0, 3.0]])))
    assert frame.to_dicts() == [{"prediction": 2.0, "lower": 1.0, "upper": 3.0}]


def test_a_naive_prediction_of_a_probability_is_refused() -> None:
    with pytest.raises(DeclarationError, match="field naive holds quantities"):
        replace(LOAD, task="binary", naive={"as_ever": "hour"})


def test_a_naive_prediction_must_be_a_feature() -> None:
    with pytest.raises(DeclarationError, match=r"field naive: \['weekly'\] is not declared"):
        replace(LOAD, naive={"as_ever": "weekly"})
