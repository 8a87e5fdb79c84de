"""Does a feature know the future? Rebuild a sample of rows with the future cut off, and see whether anything changes.

Belongs here: the comparison. Does not belong here: what is done about a difference; that is the features stage.
"""

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import Final, TypeAlias, TypedDict

import numpy as np
import polars as pl

from assets.logic.point_in_time import ASKED_AT, History

AHEAD: Final = timedelta(days=2)
"""What is scheduled further ahead is cut off too: it has not landed yet when a single day is built."""
BuildFeatures: TypeAlias = Callable[[pl.DataFrame, History], pl.DataFrame]


class Difference(TypedDict):
    """One value that is not what it would have been at prediction time.

    Attributes:
        row: Row number in the spine.
        prediction_time: When the question was asked (UTC).
        feature: Name of the feature.
        offline: Its value in the feature table.
        rebuilt: Its value with everything that was not known yet cut off.
    """

    row: int
    prediction_time: datetime
    feature: str
    offline: object
    rebuilt: object


def differing_features(
    spine: pl.DataFrame,
    features: pl.DataFrame,
    history: History,
    build_features: BuildFeatures,
    feature_names: Sequence[str],
    *,
    lookback: timedelta,
    sample: int,
    seed: int,
) -> list[Difference]:
    """Values of a sample of rows that change when the row is asked at its own time, alone, without the future.

    Each sampled row is rebuilt as a spine of one row from `history.cut(P, since=P - lookback)`: nothing that became
    known later, nothing older than the declared lookback, no schedule more than two days ahead, no neighbour in the
    spine. So a difference is a look into the future, at other rows of the spine, or further back than declared.

    Args:
        spine: What `build_features` is given, shape (n, any), with `prediction_time` (UTC).
        features: What it made of it, shape (n, >= feature_names), rows as in `spine`.
        history: What it looked into.
        build_features: The function under test.
        feature_names: Columns to compare, exactly: null equals only null, NaN only NaN, a number only the same bits.
        lookback: How far back the features may look.
        sample: Number of rows, drawn without replacement; all rows if there are no more.
        seed: Same seed, same rows.

    Returns:
        The differences, by row and by feature in the order of `feature_names`; empty if there are none.

    Raises:
        ValueError: If `features` has another number of rows than `spine`, or lacks one of `feature_names`.
    """
    if len(spine) != len(features):
        raise ValueError(f"{len(features)} rows of features cannot belong to {len(spine)} rows of the spine")
    if missing := [name for name in feature_names if name not in features.columns]:
        raise ValueError(f"these features are not in the table to check: {missing}")
    rows = np.sort(np.random.default_rng(seed).choice(len(spine), size=min(sample, len(spine)), replace=False))
    differences = []
    for row in rows.tolist():
        asked = spine[row : row + 1]
        at = asked[ASKED_AT].item()
        known = history.cut(at, since=at - lookback, until=at + AHEAD)
        rebuilt = build_features(asked, known).select(feature_names)
        offline = features[row : row + 1].select(feature_names)
        differences += [
            Difference(
                row=row, prediction_time=at, feature=name, offline=offline[name].item(), rebuilt=rebuilt[name].item()
            )
            for name in feature_names
            if not _is_same(offline[name], rebuilt[name])
        ]
    return differences


def _is_same(offline: pl.Series, rebuilt: pl.Series) -> bool:
    """Equal values; a column of one null may have no type of its own."""
    if offline.null_count() or rebuilt.null_count():
        return offline.null_count() == rebuilt.null_count()
    return offline.equals(rebuilt, check_dtypes=False)
