"""The model that all servers share: our own CatBoost family, fitted on made-up rows.

Belongs here: fitting and saving it. Does not belong here: its rows (`use_case.py`), and serving it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import catboost
import numpy as np
import polars as pl

from assets.trainers.base import Model, Rows, TrainingData
from assets.trainers.catboost import WEIGHTS_FILE
from assets.trainers.families import load_model, trainer
from infra.bench.serving.use_case import ORDERS, SEED, rows

FIT_ROWS: Final = 24_000
TREES: Final = 300
PARAMETERS: Final = {"depth": 6, "learning_rate": 0.05, "border_count": 64}
"""A step this small keeps the validation loss falling to the last tree, so that early stopping cuts none off."""
ASKED: Final = 200
"""Different rows that are asked, in turn."""


@dataclass(frozen=True, kw_only=True)
class Expected:
    """The rows that are asked, with what they must be answered.

    Attributes:
        rows: Values by feature.
        calibrated: Probability of each row, from the saved model.
        plain: The same from its trees alone.
    """

    rows: Sequence[Mapping[str, Any]]
    calibrated: Sequence[float]
    plain: Sequence[float]


def fitted(count: int = FIT_ROWS, trees: int = TREES) -> Model:
    """A model of `trees` trees of depth 6 at most; the same rows and threads give the same model.

    The last quarter of the rows is the validation window.
    """
    made = rows(count)
    # An order an hour, as in the tables that the endpoint is given.
    day = (np.datetime64("2022-01-01", "h") + np.arange(count)).astype("M8[D]")
    cut = int(np.searchsorted(day, day[count * 3 // 4]))
    data = TrainingData(
        task=ORDERS.task,
        features=ORDERS.features,
        train=_window(made[:cut], day[:cut]),
        validation=_window(made[cut:], day[cut:]),
        seed=SEED,
    )
    parameters = {**PARAMETERS, "iterations": trees, "early_stopping_rounds": trees}
    return trainer("catboost").fit(data, parameters, lambda _: None).model


def saved(folder: Path) -> Path:
    """The model, saved in a new folder."""
    folder.mkdir(parents=True)
    fitted().save(folder)
    return folder


def expected(folder: Path) -> Expected:
    """Rows that the model in `folder` has not learnt from, and its answers to them."""
    asked = rows(ASKED, seed=SEED + 1).select(ORDERS.feature_names)
    trees = catboost.CatBoost().load_model(str(folder / WEIGHTS_FILE))
    return Expected(
        rows=asked.to_dicts(),
        calibrated=load_model(folder).predict(asked).tolist(),
        plain=trees.predict([list(row) for row in asked.rows()], prediction_type="Probability")[:, 1].tolist(),
    )


def _window(frame: pl.DataFrame, day: np.ndarray[tuple[int], np.dtype[np.datetime64]]) -> Rows:
    label = frame["is_returned"].to_numpy().astype(np.int8)
    return Rows(features=frame.select(ORDERS.feature_names), label=label, day=day)
