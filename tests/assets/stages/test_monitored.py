"""For every kind of task, the columns that drift is looked for in, and rows that hold them."""

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta

import numpy as np
import polars as pl
import pytest

from assets.automation import Automation, DriftPolicy
from assets.contracts import LABEL_KNOWN_AT, PARTITION_KEY, PREDICTION_TIME, UseCase
from assets.policies import OTHER
from assets.stages.drift_reference import calibrated
from assets.stages.monitored import (
    DAY,
    late_days,
    monitored_columns,
    monitored_rows,
    rows_of_group,
    said_columns_of,
    scores_of,
)
from assets.stages.predictions import said_columns
from tests.support.toy_tasks import LOST_MINUTES, MINUTES, OUTCOME
from tests.support.toy_use_case import TOY

DAYS = 60
OUTPUTS = {
    "binary": ("probability",),
    "multiclass": ("early", "late", OTHER),
    "regression": ("prediction", "lower", "upper"),
    "count": ("prediction", "lower", "upper"),
}
USE_CASES = {u.task: replace(u, automation=Automation(drift=DriftPolicy(window=timedelta(days=5)))) for u in (
    TOY, OUTCOME, MINUTES, LOST_MINUTES,
)}  # fmt: skip


def feature_rows(use_case: UseCase, per_day: int = 20) -> pl.DataFrame:
    """Made-up rows of the feature table."""
    rng, number = np.random.default_rng(3), DAYS * per_day
    keys = [str(date(2020, 1, 1) + timedelta(days=i // per_day)) for i in range(number)]
    labels = {
        "binary": pl.Series(rng.integers(0, 2, number), dtype=pl.Int8),
        "multiclass": pl.Series(rng.choice(["early", "late", "on time"], number)),
        "regression": pl.Series(rng.normal(size=number)),
        "count": pl.Series(rng.poisson(3, number)),
    }
    start = datetime(2020, 1, 1, tzinfo=UTC)
    drawn = {
        f.name: rng.normal(size=number) if f.kind == "numeric" else rng.choice(["a", "b"], number)
        for f in use_case.features
    }
    return pl.DataFrame(
        {
            "parcel": range(number),
            "due_at": [start + timedelta(days=i // per_day, hours=i % 3) for i in range(number)],
            **drawn,
            use_case.target.name: labels[use_case.task],
            PARTITION_KEY: keys,
        }
    ).with_columns(
        pl.col("due_at").dt.offset_by("-1h").alias(PREDICTION_TIME),
        pl.col("due_at").dt.offset_by("3h").alias(LABEL_KNOWN_AT),
    )


def said(use_case: UseCase, number: int) -> pl.DataFrame:
    drawn = np.random.default_rng(4).dirichlet(np.ones(3), number)
    outputs = OUTPUTS[use_case.task]
    return pl.DataFrame(said_columns(use_case.task, outputs, drawn[:, : len(outputs)].squeeze()))


@pytest.mark.parametrize("task", USE_CASES)
def test_every_task_has_its_groups_and_each_gets_a_limit(task: str) -> None:
    use_case = USE_CASES[task]  # type: ignore[index]
    rows = feature_rows(use_case)
    seen = monitored_rows(use_case, rows, said(use_case, len(rows)))
    columns = monitored_columns(use_case, use_case.feature_names, seen.schema)
    reference = calibrated(use_case, seen, columns, {})
    limits = {group.name: group.limit for group in reference.groups}
    assert limits.keys() == {*(f.group for f in use_case.features), "prediction", "label", "residual"}
    assert all(limit is not None for limit in limits.values())


@pytest.mark.parametrize(
    ("task", "said_of_it", "label", "residual"),
    [
        ("binary", [0.75], 1, 0.25),
        ("regression", [7.0, 5.0, 9.0], 4.5, -2.5),
        ("count", [2.5, 0.0, 5.0], 4, 1.5),
        ("multiclass", [0.25, 0.5, 0.25], "late", 0.5),
        ("multiclass", [0.25, 0.5, 0.25], "on time", 0.75),
    ],
)
def test_the_residual_is_how_far_the_outcome_was_from_what_was_said(
    task: str, said_of_it: list[float], label: object, residual: float
) -> None:
    use_case = USE_CASES[task]  # type: ignore[index]
    answer = np.array(said_of_it) if len(said_of_it) == 1 else np.array([said_of_it])
    spoken = pl.DataFrame(said_columns(use_case.task, OUTPUTS[task], answer))
    row = feature_rows(use_case).head(1).with_columns(pl.lit(label).alias(use_case.target.name))
    assert monitored_rows(use_case, row, spoken)["residual"].to_list() == [residual]


@pytest.mark.parametrize("task", USE_CASES)
def test_rows_without_a_score_or_a_label_count_for_the_features_alone(task: str) -> None:
    use_case = USE_CASES[task]  # type: ignore[index]
    rows = feature_rows(use_case).head(3)
    rows = rows.with_columns(pl.when(pl.int_range(3) > 0).then(use_case.target.name).alias(use_case.target.name))
    spoken = pl.concat([said(use_case, 2), pl.DataFrame(schema=said_columns_of(use_case)).clear(1)], how="diagonal")
    seen = monitored_rows(use_case, rows, spoken)
    counted = {g: len(rows_of_group(use_case, seen, g)) for g in ("parcel", "prediction", "label", "residual")}
    assert counted == {"parcel": 3, "prediction": 2, "label": 2, "residual": 1}


@pytest.mark.parametrize(
    ("later", "days"),
    [("0h", 0), ("24h", 0), ("24h1us", 1), ("228h", 9)],
    ids=["same day", "midnight", "after midnight", "days"],
)
def test_labels_are_late_by_the_days_after_their_own(later: str, days: int) -> None:
    own = feature_rows(TOY).with_columns(pl.col(PARTITION_KEY).str.to_date().alias(DAY))
    begin = pl.col(DAY).cast(pl.Datetime("us")).dt.replace_time_zone(TOY.partitions.timezone)
    rows = own.with_columns(begin.dt.offset_by(later).dt.convert_time_zone("UTC").alias(LABEL_KNOWN_AT))
    assert late_days(TOY, rows) == days


def test_labels_are_late_by_as_much_as_almost_all_of_them() -> None:
    rows = feature_rows(TOY).with_columns(pl.col(PARTITION_KEY).str.to_date().alias(DAY))
    number, known = pl.int_range(pl.len()), pl.col(LABEL_KNOWN_AT)
    late = rows.with_columns(pl.when(number % 100 < 2).then(known.dt.offset_by("20d")).otherwise(known))
    lost = rows.with_columns(pl.when(number % 300 < 1).then(known.dt.offset_by("9y")).otherwise(known))
    assert late_days(TOY, late) == 20
    assert late_days(TOY, lost) == late_days(TOY, rows) == 0


def test_scores_find_their_rows_whatever_their_order() -> None:
    use_case = USE_CASES["binary"]
    rows = feature_rows(use_case).head(50)
    table = pl.concat([rows.select("parcel", PREDICTION_TIME, PARTITION_KEY), said(use_case, 50)], how="horizontal")
    found = scores_of(use_case, rows, table.sample(fraction=0.5, shuffle=True, seed=1))
    kept = found["probability"].is_not_null()
    assert found.filter(kept)["probability"].equals(table.filter(kept)["probability"])
    assert kept.sum() == 25


def test_where_nothing_identifies_a_row_none_is_paired_twice() -> None:
    use_case = USE_CASES["regression"]
    rows = feature_rows(use_case).head(60)
    keys = rows.select("due_at", PREDICTION_TIME, PARTITION_KEY)
    table = pl.concat([keys, said(use_case, 60)], how="horizontal")
    found = scores_of(use_case, rows, table)
    assert sorted(found["prediction"]) == sorted(table["prediction"])


def test_a_feature_called_like_a_prediction_keeps_its_name() -> None:
    use_case = USE_CASES["binary"]
    feature = replace(use_case.features[1], name="probability")
    twin = replace(use_case, features=(*use_case.features, feature))
    names = [c.name for c in monitored_columns(twin, twin.feature_names, pl.Schema())]
    assert names.count("probability") == 1
    assert "probability_of_model" in names


def test_a_feature_that_is_declared_no_more_is_watched_all_the_same() -> None:
    use_case = USE_CASES["binary"]
    schema = pl.Schema({"old": pl.String(), "older": pl.Float64()})
    found = monitored_columns(use_case, ["old", "older"], schema)[:2]
    assert [(c.name, c.kind, c.group) for c in found] == [
        ("old", "categorical", "undeclared"),
        ("older", "numeric", "undeclared"),
    ]
