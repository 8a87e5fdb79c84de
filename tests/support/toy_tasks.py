"""The toy parcels asked about in other ways: which of three outcomes, how many minutes, how many minutes late."""

from dataclasses import replace

import numpy as np
import numpy.typing as npt
import polars as pl

from assets.contracts import Target, UseCase
from assets.policies import TrainerSpec
from tests.support.toy_use_case import TOY

OUTCOMES = ("early", "late", "on time")
LATE = pl.col("late_min")

# How long before it is due one asks depends on the row, and nothing identifies a row.
ASKED_AT = pl.col("due_at") - pl.when(pl.col("is_express")).then(pl.duration(hours=1)).otherwise(pl.duration(hours=3))

OUTCOME = replace(
    TOY,
    name="outcome",
    task="multiclass",
    target=Target(
        name="outcome",
        definition="15 minutes to either side are on time",
        label=pl.when(LATE >= 15).then(pl.lit("late")).when(LATE <= -15).then(pl.lit("early")).otherwise(
            pl.when(LATE.is_not_null()).then(pl.lit("on time"))
        ),
        known_at="came_at",
    ),
)  # fmt: skip
MINUTES = replace(
    TOY,
    name="minutes",
    task="regression",
    entity=(),
    asked_at=ASKED_AT,
    trainers=(TrainerSpec(family="ridge"),),
    target=Target(name="late_min", definition="minutes", label=LATE.cast(pl.Float64), known_at="came_at"),
)
LOST_MINUTES = replace(
    TOY,
    name="lost_minutes",
    task="count",
    trainers=(TrainerSpec(family="ridge"),),
    target=Target(name="lost_min", definition="whole minutes lost", label=LATE.clip(0), known_at="came_at"),
)
TASKS: dict[str, UseCase] = {u.name: u for u in (OUTCOME, MINUTES, LOST_MINUTES)}
FAMILIES = {"binary": "catboost", "multiclass": "logistic_regression", "regression": "ridge", "count": "ridge"}


def path(use_case: UseCase) -> str:
    return f"{__name__}:{use_case.name.upper()}"


def label(
    use_case: UseCase, rows: pl.DataFrame
) -> npt.NDArray[np.int8] | npt.NDArray[np.int64] | npt.NDArray[np.float64]:
    """Labels of cleaned rows as `Rows.label` has them."""
    said = rows.select(use_case.target.label.alias("said"))["said"]
    if use_case.task == "multiclass":
        return np.array([OUTCOMES.index(word) for word in said], dtype=np.int64)
    return said.cast(pl.Int8).to_numpy() if use_case.task == "binary" else said.cast(pl.Float64).to_numpy()
