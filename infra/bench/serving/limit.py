"""How fast the model itself is: CatBoost's own predict, without any server.

Belongs here: timing it. Does not belong here: the servers.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import catboost
import numpy as np

from assets.trainers.catboost import WEIGHTS_FILE
from infra.bench.serving.use_case import KINDS, NUMBERS

SECONDS: Final = 0.5
"""Of each form of call and turn: thousands of calls."""
LIST: Final = "one row, as a list"
DATA: Final = "one row, as FeaturesData"
BATCHES: Final = {"rows in batches of 16, as FeaturesData": 16, "rows in batches of 64, as FeaturesData": 64}


def microseconds_per_row(model: Path, rows: Sequence[Mapping[str, Any]]) -> dict[str, float]:
    """Wall-clock time of one thread per row, by the form in which rows are given; rows take turns.

    The form is made before the clock starts: what is timed is CatBoost alone.
    """
    trees = catboost.CatBoost().load_model(str(model / WEIGHTS_FILE))
    lists = [[[*row.values()]] for row in rows]
    found = {LIST: _timed(lambda given: trees.predict(given, thread_count=1), lists, 1)}
    for form, size in {DATA: 1, **BATCHES}.items():
        blocks = [_features_data(rows[start : start + size]) for start in range(0, len(rows) - size + 1, size)]
        found[form] = _timed(lambda given: trees.predict(given, thread_count=1), blocks, size)
    return found


def _features_data(rows: Sequence[Mapping[str, Any]]) -> catboost.FeaturesData:
    return catboost.FeaturesData(
        num_feature_data=np.array([[row[name] for name in NUMBERS] for row in rows], dtype=np.float32),
        cat_feature_data=np.array([[row[name].encode() for name in KINDS] for row in rows], dtype=object),
    )


def _timed(call: Callable[[Any], object], given: Sequence[Any], rows: int) -> float:
    call(given[0])
    began, calls = time.perf_counter(), 0
    while (took := time.perf_counter() - began) < SECONDS:
        for one in given:
            call(one)
        calls += len(given)
    return took / (calls * rows) * 1e6
