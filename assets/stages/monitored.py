"""Which columns drift is looked for in, and where their values come from: features, predictions, outcomes.

Belongs here: the groups of columns, and rows that hold all of them. Does not belong here: judging them
(`assets/logic/drift.py`).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import polars as pl

from assets.contracts import LABEL_KNOWN_AT, PARTITION_KEY, PREDICTION_TIME, FeatureKind, Task, UseCase
from assets.logic.drift_bins import AnyBins, Kind, fit_bins
from assets.logic.drift_pairs import pairs_of
from assets.logic.drift_reference import LABEL, PREDICTION, RESIDUAL
from assets.logic.in_control import USUALLY
from assets.policies import OTHER
from assets.stages.common import day_of

DAY: Final = "__day"
ROW: Final = "__row"
VERSION: Final = "model_version"
LATE: Final = (LABEL, RESIDUAL)
"""Groups that are not known when the prediction is made."""
UNDECLARED: Final = "undeclared"
"""Group of the features of a model that its use case no longer declares."""
SAID: Final[Mapping[Task, Mapping[str, FeatureKind]]] = {
    "binary": {"probability": "numeric"},
    "multiclass": {"class": "categorical", "probability": "numeric"},
    "regression": {"prediction": "numeric"},
    "count": {"prediction": "numeric"},
}
"""What is watched of the predictions, by task."""


@dataclass(frozen=True, kw_only=True)
class MonitoredColumn:
    """A column that drift is looked for in."""

    name: str
    kind: Kind
    group: str


def monitored_columns(use_case: UseCase, features: Sequence[str], schema: pl.Schema) -> list[MonitoredColumn]:
    """The columns of a model, group by group: its `features`, what it said, what came true, and the residual.

    Args:
        use_case: Says in which group a feature is.
        features: Those of the model.
        schema: Of rows that hold them, for features that are declared no more.
    """
    declared = {f.name: f for f in use_case.features}
    found = []
    for name in features:
        kind: FeatureKind = "categorical" if schema.get(name) == pl.String() else "numeric"
        feature = declared.get(name)
        found.append(
            MonitoredColumn(
                name=name,
                kind=feature.kind if feature else kind,
                group=feature.group if feature else UNDECLARED,
            )
        )
    said = SAID[use_case.task]
    found += [MonitoredColumn(name=_free(use_case, n), kind=k, group=PREDICTION) for n, k in said.items()]
    label: FeatureKind = "categorical" if use_case.task == "multiclass" else "numeric"
    found.append(MonitoredColumn(name=use_case.target.name, kind=label, group=LABEL))
    # By its mean: on the data that ships a halved rate of the label moves it more than twice as far, measured in the
    # limit, as it moves its distribution, which the season moves as well.
    found.append(MonitoredColumn(name=_free(use_case, RESIDUAL), kind="mean", group=RESIDUAL))
    return found


def monitored_rows(use_case: UseCase, rows: pl.DataFrame, said: pl.DataFrame) -> pl.DataFrame:
    """Feature rows with their day, with what the model said of them, and how far it was from the outcome.

    Args:
        use_case: The declaration.
        rows: Of the feature table, shape (n, columns).
        said: The columns of a score table for the same rows, null where a row has no score, shape (n, columns).
    """
    residual = _residual(use_case, rows, said)
    names = {name: _free(use_case, name) for name in SAID[use_case.task]}
    return rows.with_columns(
        day_of(use_case).alias(DAY),
        *(said[name].alias(free) for name, free in names.items()),
        residual.alias(_free(use_case, RESIDUAL)),
    )


def rows_of_group(use_case: UseCase, rows: pl.DataFrame, group: str) -> pl.DataFrame:
    """The rows that count for a group: those with a prediction, with a label, with both, or all."""
    needed = {
        PREDICTION: _free(use_case, next(iter(SAID[use_case.task]))),
        LABEL: use_case.target.name,
        RESIDUAL: _free(use_case, RESIDUAL),
    }
    return rows.filter(pl.col(needed[group]).is_not_null()) if group in needed else rows


def bins_of(rows: pl.DataFrame, columns: Sequence[MonitoredColumn], usage: Mapping[str, float]) -> list[AnyBins]:
    """Bins of the columns of one group, and of the pairs of features in it that depend on each other.

    Of predictions and labels nulls are not counted: they are not there yet.

    Args:
        rows: Of the reference that count for the group, shape (n, columns).
        columns: Of the group.
        usage: Share of the model's use by feature.
    """
    is_feature = columns[0].group not in (PREDICTION, *LATE)
    alone = [fit_bins(rows[c.name], c.kind, counts_nulls=is_feature) for c in columns]
    return [*alone, *(pairs_of(rows, alone, usage) if is_feature else [])]


def scores_of(use_case: UseCase, rows: pl.DataFrame, predictions: pl.DataFrame) -> pl.DataFrame:
    """What is on record as said of feature rows, in their order, null where nothing is.

    Where nothing identifies a row, rows of one partition, event and question are paired in the order of the tables.

    Args:
        use_case: The declaration.
        rows: Of the feature table, shape (n, columns).
        predictions: Of the score table, at least those of the same partitions.
    """
    keys = [PARTITION_KEY, *(use_case.entity or [use_case.event_time, PREDICTION_TIME])]
    left, right = rows.select(keys), predictions.drop(PREDICTION_TIME) if use_case.entity else predictions
    if not use_case.entity:
        nth = pl.int_range(pl.len()).over(keys).alias(ROW)
        left, right, keys = left.with_columns(nth), right.with_columns(nth), [*keys, ROW]
    return left.join(right, on=keys, how="left", maintain_order="left", nulls_equal=True).drop(keys)


def said_columns_of(use_case: UseCase) -> dict[str, pl.DataType]:
    """What `scores_of` gives at least, for rows that nothing was said of."""
    if use_case.task == "multiclass":
        lists = {"probabilities": pl.List(pl.Float64()), "classes": pl.List(pl.String())}
        return {"class": pl.String(), "probability": pl.Float64(), **lists}
    return {name: pl.Float64() for name in SAID[use_case.task]}


def known_by(rows: pl.DataFrame) -> pl.Series:
    """When the label of each row was known (UTC), microseconds since 1970; null while it is not."""
    return rows[LABEL_KNOWN_AT].cast(pl.Datetime("us", "UTC")).cast(pl.Int64)


def late_days(use_case: UseCase, rows: pl.DataFrame) -> int:
    """Days after the day of a row within which its label has usually come, if it ever comes.

    Labels of later days that are there already are those that come early, which may be unlike the rest: a loan that
    fails is known before one that is paid back.
    """
    until = use_case.partitions.local_day(pl.col(LABEL_KNOWN_AT).dt.offset_by("-1us"))  # at midnight the day is over
    there = rows.filter(pl.col(use_case.target.name).is_not_null())
    days = there.select((until - pl.col(DAY)).dt.total_days()).to_series().drop_nulls()
    return max(int(np.quantile(days.to_numpy(), USUALLY, method="inverted_cdf")), 0) if len(days) else 0


def _residual(use_case: UseCase, rows: pl.DataFrame, said: pl.DataFrame) -> pl.Series:
    """Label less prediction; of a class, one less the probability it was given."""
    label = rows[use_case.target.name]
    if use_case.task == "multiclass":
        return 1.0 - _probability_of(label, said)
    return label.cast(pl.Float64) - said["probability" if use_case.task == "binary" else "prediction"]


def _probability_of(label: pl.Series, said: pl.DataFrame) -> pl.Series:
    """The probability that each label was given; a class the model does not know is one of the others."""
    frame = said.select("classes", "probabilities").with_row_index(ROW).with_columns(label.alias("label"))
    known = pl.when(pl.col("classes").list.contains(pl.col("label"))).then("label").otherwise(pl.lit(OTHER))
    long = frame.drop_nulls().with_columns(known.alias("label")).explode("classes", "probabilities")
    hits = long.filter(pl.col("classes") == pl.col("label")).select(ROW, "probabilities")
    return frame.select(ROW).join(hits, on=ROW, how="left", maintain_order="left")["probabilities"]


def _free(use_case: UseCase, name: str) -> str:
    """The name, or one beside it if a feature or the target is called so."""
    return f"{name}_of_model" if name in {*use_case.feature_names, *use_case.inputs, use_case.target.name} else name
