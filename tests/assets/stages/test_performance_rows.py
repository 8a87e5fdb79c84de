"""Each prediction meets its own label, whatever the task and however rows are told apart."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from assets.contracts import LABEL_KNOWN_AT, PARTITION_KEY, PREDICTION_TIME, UseCase
from assets.logic.performance_days import NEVER
from assets.policies import OTHER
from assets.stages.feedback_labels import schema
from assets.stages.performance_rows import read_rows, versions_in
from resources.lake import Commit, Lake
from tests.support.toy_tasks import LOST_MINUTES, MINUTES, OUTCOME
from tests.support.toy_use_case import TOY

COMMIT = Commit(dagster_run_id="a test", code_version="a test")
KEYS = ["2020-01-01", "2020-01-02"]
SAID: dict[str, dict[str, Any]] = {
    "binary": {"probability": [0.1, 0.9, 0.2, 0.8]},
    "regression": {"prediction": [1.0, 2.0, 3.0, 4.0], "lower": [0.0] * 4, "upper": [9.0] * 4},
    "count": {"prediction": [1.0, 2.0, 3.0, 4.0], "lower": [0.0] * 4, "upper": [9.0] * 4},
    "multiclass": {
        "probabilities": [[0.7, 0.2, 0.1], [0.3, 0.6, 0.1], [0.8, 0.2], [0.4, 0.6]],
        "classes": [["early", "late", OTHER]] * 2 + [["late", OTHER]] * 2,
    },
}
LABELS: dict[str, list[Any]] = {
    "binary": [0, 1, None, 1],
    "regression": [1.5, 2.5, None, 4.5],
    "count": [1, 2, None, 4],
    "multiclass": ["late", "on time", None, "early"],
}
TASKS: dict[str, UseCase] = {use_case.task: use_case for use_case in (TOY, MINUTES, LOST_MINUTES, OUTCOME)}


def table(use_case: UseCase, columns: Mapping[str, Any]) -> pl.DataFrame:
    """Four rows of two days."""
    asked = [datetime(2020, 1, 1 + n // 2, 6 + n, tzinfo=UTC) for n in range(4)]
    told = {
        "parcel": pl.Series([1, 2, 3, 4], dtype=pl.Int32),
        "due_at": [moment + timedelta(hours=1) for moment in asked],
        PREDICTION_TIME: asked,
        **columns,
        PARTITION_KEY: [KEYS[0], KEYS[0], KEYS[1], KEYS[1]],
    }
    return pl.DataFrame(told).cast({"due_at": pl.Datetime("us", "UTC"), PREDICTION_TIME: pl.Datetime("us", "UTC")})


def lake_of(folder: Path, use_case: UseCase) -> Lake:
    """A lake with scores of two versions, and features whose rows stand in another order."""
    lake = Lake(root=str(folder))
    scores = table(use_case, {**SAID[use_case.task], "model_version": ["line/1", "line/1", "line/2", "line/2"]})
    labels = LABELS[use_case.task]
    known = [None if v is None else datetime(2020, 1, 5, n, tzinfo=UTC) for n, v in enumerate(labels)]
    features = table(use_case, {use_case.target.name: labels, LABEL_KNOWN_AT: known})
    features = features.cast({LABEL_KNOWN_AT: pl.Datetime("us", "UTC")}).reverse()
    if use_case.entity:
        scores = scores.drop("due_at")
    else:
        scores, features = scores.drop("parcel"), features.drop("parcel")
    lake.write(f"{use_case.name}/predictions", scores, partitions=KEYS, commit=COMMIT)
    lake.write(f"{use_case.name}/features", features, partitions=KEYS, commit=COMMIT)
    return lake


@pytest.mark.parametrize("task", TASKS)
def test_each_prediction_meets_its_own_label(task: str, tmp_path: Path) -> None:
    rows, _ = read_rows(TASKS[task], lake_of(tmp_path, TASKS[task]), KEYS, ["line/2", "line/1"])
    assert rows.day.astype(str).tolist() == [KEYS[0], KEYS[0], KEYS[1], KEYS[1]]
    assert rows.version.tolist() == [1, 1, 0, 0]
    assert (rows.known_at == NEVER).tolist() == [False, False, True, False]
    assert rows.known_at[3] == np.datetime64("2020-01-05T03:00")
    if task == "multiclass":
        assert rows.prediction.tolist() == [[0.7, 0.2, 0.1], [0.3, 0.6, 0.1], [0.0, 0.8, 0.2], [0.0, 0.4, 0.6]]
    else:
        wanted = next(iter(SAID[task].values()))
        assert (rows.prediction if task == "binary" else rows.prediction[:, 0]).tolist() == wanted
        assert rows.label[[0, 1, 3]].tolist() == [v for v in LABELS[task] if v is not None]


def test_a_class_that_is_news_to_the_version_of_a_row_is_other(tmp_path: Path) -> None:
    rows, _ = read_rows(OUTCOME, lake_of(tmp_path, OUTCOME), KEYS, ["line/1", "line/2"])
    assert rows.label[[0, 1, 3]].tolist() == [1, 2, 2]
    assert rows.loss[[0, 1, 3]] == pytest.approx(-np.log([0.2, 0.1, 0.6]))


def test_a_score_whose_features_are_gone_has_no_label(tmp_path: Path) -> None:
    lake = lake_of(tmp_path, TOY)
    lake.delete_partitions(f"{TOY.name}/features", [KEYS[0]], COMMIT)
    rows, _ = read_rows(TOY, lake, KEYS, ["line/1", "line/2"])
    assert (rows.known_at == NEVER).tolist() == [True, True, True, False]
    assert rows.day.astype(str).tolist() == [KEYS[0], KEYS[0], KEYS[1], KEYS[1]]


def test_the_versions_of_each_partition_are_told(tmp_path: Path) -> None:
    found = versions_in(TOY, lake_of(tmp_path, TOY), [*KEYS, "2020-01-03"])
    assert found == {KEYS[0]: {"line/1"}, KEYS[1]: {"line/2"}}


@pytest.mark.parametrize("use_case", [MINUTES, LOST_MINUTES], ids=lambda one: one.task)
def test_a_label_that_is_not_a_finite_number_is_refused_and_not_known(
    use_case: UseCase, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(LABELS, use_case.task, [1.5, float("nan"), None, float("inf")])
    rows, _ = read_rows(use_case, lake_of(tmp_path, use_case), KEYS, ["line/1", "line/2"])
    assert (rows.known_at == NEVER).tolist() == [False, True, True, True]
    assert (rows.refused_at == NEVER).tolist() == [True, False, True, False]
    assert rows.refused_at[3] == np.datetime64("2020-01-05T03:00")


def test_a_label_that_only_the_feedback_knows_is_the_label_of_its_row(tmp_path: Path) -> None:
    lake, came = lake_of(tmp_path, TOY), datetime(2020, 1, 3, tzinfo=UTC)
    told = {
        "received_at": came,
        "label_id": "w-1",
        "entity": '{"parcel":3}',
        "label": 1,
        "known_at": came,
        "is_known_at_said": False,
        PARTITION_KEY: "2020-01-03",
    }
    rows = pl.DataFrame([told], schema=schema("binary"))
    lake.write(f"{TOY.name}/feedback", rows, partitions=["2020-01-03"], commit=COMMIT)
    found, use = read_rows(TOY, lake, KEYS, ["line/1", "line/2"])
    assert (found.known_at == NEVER).tolist() == [False] * 4
    assert (found.label[2], found.known_at[2]) == (1.0, np.datetime64("2020-01-03"))
    assert (use.used, use.both) == (1, 0)
