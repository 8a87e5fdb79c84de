"""A training set holds no row whose label may follow from a model's own answer, unless its use case says so."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from assets.contracts import LABEL_KNOWN_AT, PARTITION_KEY, PREDICTION_TIME, UseCase
from assets.policies import DeclarationError, Influence
from assets.stages.influence import EXPLORATION
from assets.stages.logged_answers import COLUMNS, SCORES
from assets.stages.training_set import build_training_set, labelled_rows, make_manifest
from resources.lake import Lake
from tests.support.logged import COMMIT
from tests.support.toy_tasks import MINUTES
from tests.support.toy_use_case import PARCELS, TOY, parcels

NOW = datetime(2020, 4, 1, tzinfo=UTC)
TRAINED_ON = "2020-02-10"


def acting(influence: Influence) -> UseCase:
    return replace(TOY, target=replace(TOY.target, influenced_by_answers=influence))


def lake_of(folder: Path, answers: list[dict[str, Any]] | None) -> Lake:
    """A lake with features of all parcels, and answers about some of them."""
    lake, rows = Lake(root=str(folder)), parcels()
    features = rows.select(
        *TOY.inputs,
        (pl.col("due_at") - TOY.prediction_lead).alias(PREDICTION_TIME),
        TOY.target.label.cast(pl.Int8).alias(TOY.target.name),
        pl.when(pl.col("late_min").is_not_null()).then("came_at").alias(LABEL_KNOWN_AT),
        pl.col("due_at").dt.date().cast(pl.String).alias(PARTITION_KEY),
    )
    lake.write("parcels/features", features, partitions=[*features[PARTITION_KEY].unique()], commit=COMMIT)
    if answers is not None:
        log = pl.DataFrame(
            [{"mode": "live", "purpose": None, PARTITION_KEY: TRAINED_ON} | answer for answer in answers],
            schema={**COLUMNS, **SCORES["binary"], PARTITION_KEY: pl.String()},
        )
        lake.write("parcels/prediction_log", log, partitions=[TRAINED_ON], commit=COMMIT)
    return lake


def chosen() -> list[dict[str, Any]]:
    """Labelled parcels of a training day."""
    rows = parcels().filter(
        pl.col("late_min").is_not_null() & (pl.col("due_at").dt.date().cast(pl.String) == TRAINED_ON)
    )
    return rows.head(3).to_dicts()


def answer(parcel: dict[str, Any], *, before: timedelta = timedelta(minutes=1), **changed: Any) -> dict[str, Any]:
    return {"answered_at": parcel["came_at"] - before, "inputs": f'{{"parcel":{parcel["parcel"]}}}', **changed}


def trained_on(use_case: UseCase, lake: Lake) -> set[int]:
    return set(labelled_rows(use_case, lake, make_manifest(use_case, lake, NOW), "train")["parcel"])


def test_rows_that_were_answered_before_their_label_was_known_are_left_out_and_counted(tmp_path: Path) -> None:
    first, second, third = chosen()
    lake = lake_of(tmp_path, [answer(first), answer(second, before=-timedelta(minutes=1))])
    manifest = make_manifest(acting("exclude"), lake, NOW)
    left = set(labelled_rows(acting("exclude"), lake, manifest, "train")["parcel"])
    assert manifest.left_out == {"train": 1, "validation": 0, "test": 0}
    assert trained_on(TOY, lake) - left == {first["parcel"]}
    assert {second["parcel"], third["parcel"]} <= left
    assert manifest.tables["prediction_log"] == lake.version("parcels/prediction_log")


def test_what_a_shadow_said_changes_nothing(tmp_path: Path) -> None:
    (first, *_) = chosen()
    lake = lake_of(tmp_path, [answer(first, mode="shadow")])
    assert first["parcel"] in trained_on(acting("exclude"), lake)


@pytest.mark.parametrize(("influence", "is_kept"), [("exclude", False), ("explored", True)])
def test_rows_that_were_explored_are_kept_where_that_is_declared(
    influence: Influence, is_kept: bool, tmp_path: Path
) -> None:
    first, second, third = chosen()
    explored = [answer(parcel, purpose=EXPLORATION) for parcel in (first, second)]
    lake = lake_of(tmp_path, [*explored, answer(second), answer(third)])
    left = trained_on(acting(influence), lake)
    assert [parcel["parcel"] in left for parcel in (first, second, third)] == [is_kept, False, False]


def test_where_answers_change_nothing_the_manifest_is_as_it_was(tmp_path: Path) -> None:
    (first, *_) = chosen()
    with_answers = make_manifest(TOY, lake_of(tmp_path / "a", [answer(first)]), NOW)
    assert with_answers.left_out is None
    assert with_answers.id == make_manifest(TOY, lake_of(tmp_path / "b", None), NOW).id


def test_without_a_log_no_row_was_answered(tmp_path: Path) -> None:
    manifest = make_manifest(acting("exclude"), lake_of(tmp_path, None), NOW)
    assert manifest.left_out == {"train": 0, "validation": 0, "test": 0}


def test_answers_that_came_since_do_not_change_what_was_frozen(tmp_path: Path) -> None:
    first, second, _ = chosen()
    lake, use_case = lake_of(tmp_path, [answer(first)]), acting("exclude")
    manifest = make_manifest(use_case, lake, NOW)
    before = labelled_rows(use_case, lake, manifest, "train")
    lake_of(tmp_path, [answer(first), answer(second)])
    assert labelled_rows(use_case, lake, manifest, "train").equals(before)


def test_the_training_set_follows_from_the_log_where_answers_change_something() -> None:
    parents = {name: build_training_set(acting(name)) for name in ("no", "exclude")}
    found = {name: {key.path[-1] for key in asset.dependency_keys} for name, asset in parents.items()}
    assert found == {"no": {"features"}, "exclude": {"features", "prediction_log"}}


def test_rows_that_the_log_cannot_name_are_refused() -> None:
    hashed = {**PARCELS.cleaned_columns, "parcel": replace(PARCELS.cleaned_columns["parcel"], personal="hash")}
    with pytest.raises(
        DeclarationError, match=r"field target\.influenced_by_answers: rows that were answered are found"
    ):
        replace(acting("exclude"), tables=(replace(PARCELS, cleaned_columns=hashed), TOY.tables[1]))
    with pytest.raises(DeclarationError, match=r"field target\.influenced_by_answers"):
        replace(MINUTES, target=replace(MINUTES.target, influenced_by_answers="explored"))
