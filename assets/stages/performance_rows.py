"""Predictions beside the labels that have come, as the performance monitor takes them.

Belongs here: reading the tables and joining them, labels that only the feedback knows included. Does not belong here:
what follows from them (`assets/logic/performance.py`).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import polars as pl

from assets.contracts import LABEL_KNOWN_AT, PARTITION_KEY, PREDICTION_TIME, UseCase
from assets.logic.metrics import Floats
from assets.logic.performance_days import NEVER, ScoredRows, scored_rows
from assets.policies import OTHER
from assets.stages.common import day_of, table_name
from assets.stages.feedback_labels import KNOWN_AT, LABEL, current_labels, entity_columns
from assets.stages.training_set import encoded_label
from resources.lake import Lake

DAY: Final = "day"
TURN: Final = "turn"
"""Counts rows that nothing tells apart, so that each prediction meets one label."""


def versions_in(use_case: UseCase, lake: Lake, keys: Sequence[str]) -> dict[str, set[str]]:
    """Model versions that scored each partition; partitions without scores are left out.

    Raises:
        LakeError: If nothing was ever scored.
    """
    scores = lake.scan(table_name(use_case, "predictions"), partitions=keys)
    pairs = scores.select(PARTITION_KEY, "model_version").unique().collect()
    found: dict[str, set[str]] = {}
    for key, version in pairs.iter_rows():
        found.setdefault(key, set()).add(version)
    return found


@dataclass(frozen=True, kw_only=True)
class FeedbackUse:
    """What late labels came to, among the feature rows that were read.

    Attributes:
        used: Rows whose label is that of the feedback, as the feed has none.
        both: Rows of which both have a label; that of the feed holds.
        differing: Those of them with different labels.
    """

    used: int = 0
    both: int = 0
    differing: int = 0

    def told(self) -> dict[str, int]:
        """The same as metadata of an asset."""
        names = ("labels_from_feedback", "labels_of_feed_and_feedback", "labels_that_differ")
        return dict(zip(names, (self.used, self.both, self.differing), strict=True))


def read_rows(
    use_case: UseCase, lake: Lake, keys: Sequence[str], versions: Sequence[str]
) -> tuple[ScoredRows, FeedbackUse]:
    """All scored rows of partitions with their labels, those of `versions` by their index, and whose labels they are.

    A score whose feature row is gone has no label.
    """
    scores = lake.scan(table_name(use_case, "predictions"), partitions=keys).collect()
    features = lake.scan(table_name(use_case, "features"), partitions=keys)
    # Where nothing identifies a row, those of one instant meet in turn: sums over days do not depend on who meets whom.
    by = [PARTITION_KEY, *(use_case.entity or [use_case.event_time, PREDICTION_TIME])]
    turn = pl.int_range(pl.len()).over(by).alias(TURN)
    target = use_case.target.name
    feedback = current_labels(use_case, lake, min(keys)) if keys else None
    entity = () if feedback is None else entity_columns(use_case)
    wanted = features.select(
        *dict.fromkeys([*by, *entity]), target, LABEL_KNOWN_AT, day_of(use_case).alias(DAY)
    ).collect()
    told, use = with_feedback(use_case, wanted, feedback)
    labels = told.sort(by, maintain_order=True).with_columns(turn)
    asked_on = use_case.partitions.local_day(pl.col(PREDICTION_TIME))
    both = (
        scores.sort(by, maintain_order=True)
        .with_columns(turn)
        .join(labels, on=[*by, TURN], how="left", nulls_equal=True, maintain_order="left")
        .with_columns(pl.col(DAY).fill_null(asked_on))
    )
    return as_scored(use_case, both, versions), use


def with_feedback(
    use_case: UseCase, labels: pl.DataFrame, feedback: pl.DataFrame | None
) -> tuple[pl.DataFrame, FeedbackUse]:
    """Labels of the feature table, with those of the feedback where it has none (yet).

    Where both have the same label it counts from when the first of the two was known. A different one of the feed
    holds, from when the feed knew it.

    Args:
        use_case: The declaration.
        labels: The entity, the label and `label_known_at`.
        feedback: As `current_labels` gives it; None: there is none.
    """
    if feedback is None:
        return labels, FeedbackUse()
    target, known_at = pl.col(use_case.target.name), pl.col(LABEL_KNOWN_AT)
    on = entity_columns(use_case)
    joined = labels.join(feedback, on=on, how="left", nulls_equal=True, maintain_order="left")
    is_fed, is_told = target.is_not_null(), pl.col(LABEL).is_not_null()
    is_same = is_fed & is_told & (target == pl.col(LABEL))
    counts = joined.select(
        used=(~is_fed & is_told).sum(), both=(is_fed & is_told).sum(), differing=(is_fed & is_told & ~is_same).sum()
    )
    first = pl.min_horizontal(known_at, KNOWN_AT)
    told = joined.with_columns(
        target.fill_null(pl.col(LABEL)),
        pl.when(is_same)
        .then(first)
        .when(is_fed)
        .then(known_at)
        .when(is_told)
        .then(KNOWN_AT)
        .otherwise(known_at)
        .alias(LABEL_KNOWN_AT),
    )
    return told.drop(LABEL, KNOWN_AT), FeedbackUse(**counts.row(0, named=True))


def as_scored(use_case: UseCase, both: pl.DataFrame, versions: Sequence[str]) -> ScoredRows:
    """Scores beside labels as the logic takes them; one that is not a finite number counts as refused, not as known.

    Args:
        use_case: The declaration.
        both: Columns of `predictions`, the label, `label_known_at` and `day`.
        versions: Model versions; rows get the index of theirs.
    """
    both = both.sort(DAY, PREDICTION_TIME, maintain_order=True)
    known = pl.when(pl.col(use_case.target.name).is_not_null()).then(pl.col(LABEL_KNOWN_AT))
    label, prediction = _in_one_shape(use_case, both)
    return scored_rows(
        use_case.task,
        day=both[DAY].to_numpy().astype("datetime64[D]"),
        asked_at=instants(both[PREDICTION_TIME]),
        known_at=instants(both.select(known).to_series()),
        label=label,
        prediction=prediction,
        version=both["model_version"].replace_strict(list(versions), range(len(versions))).to_numpy().astype(np.int64),
    )


def instants(column: pl.Series) -> "np.ndarray[tuple[int, ...], np.dtype[np.datetime64]]":
    """UTC instants as numpy has them, shape (n,), `NEVER` where there is none."""
    found = column.dt.replace_time_zone(None).dt.cast_time_unit("us").to_numpy().astype("datetime64[us]")
    return np.where(np.isnat(found), NEVER, found)


def _in_one_shape(use_case: UseCase, both: pl.DataFrame) -> tuple[Floats, Floats]:
    """Labels as numbers (0 where there is none) and predictions in the shape of the task."""
    labels = both[use_case.target.name]
    if use_case.task == "multiclass":
        return _classes(labels, both["classes"], both["probabilities"])
    names = ["probability"] if use_case.task == "binary" else ["prediction", "lower", "upper"]
    said = both.select(pl.col(names).cast(pl.Float64)).to_numpy()
    filled = labels.cast(pl.Float64).fill_null(0.0).to_numpy()
    return filled, said[:, 0] if use_case.task == "binary" else said


def _classes(labels: pl.Series, classes: pl.Series, probabilities: pl.Series) -> tuple[Floats, Floats]:
    """The classes of all versions as columns, `OTHER` last; each version says 0 of those that it does not know.

    A label that is news to the version of its row is `OTHER` in that row, as it was when the version was trained.
    """
    sets = classes.unique(maintain_order=True).to_list()
    columns = [*sorted({name for one in sets for name in one} - {OTHER}), OTHER]
    said, label = np.zeros((len(labels), len(columns))), np.zeros(len(labels))
    for one in sets:
        rows = (classes == pl.Series([one])).to_numpy()
        places = [columns.index(name) for name in one]
        said[np.flatnonzero(rows)[:, None], places] = np.array(probabilities.filter(pl.Series(rows)).to_list())
        own = encoded_label("multiclass", labels.filter(pl.Series(rows)).fill_null(OTHER), one[:-1])
        label[rows] = np.array(places)[own]
    return label, said
