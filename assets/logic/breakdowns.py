"""Where and when predictions are good: scores by day and by slice.

Belongs here: grouping what `metrics.py` measures. Does not belong here: judging a slice (`promotion_rules.py`).
"""

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt
import polars as pl

from assets.logic.metrics import Floats, Labels, TaskMetrics, task_metrics


def by_day(
    task: str, label: Labels, day: npt.NDArray[np.datetime64], predictions: Mapping[str, Floats]
) -> pl.DataFrame:
    """Scores of every model on every day.

    Returns:
        Columns day, model, rows, observed, predicted and the task's loss, ordered by day and model. Observed and
        predicted are means of what the task shows beside scores (`TaskMetrics.seen`): rates of label 1, labels and
        points of quantities, accuracy and confidence of classes.
    """
    days = pl.Series("day", day).cast(pl.Date)
    return _grouped(task, label, days.to_frame(), ["day"], predictions)


def by_slice(task: str, label: Labels, slices: pl.DataFrame, predictions: Mapping[str, Floats]) -> pl.DataFrame:
    """Scores of every model in every slice, beside the constant of least loss on the slice's own rows.

    Args:
        task: Kind of task.
        label: Shape (n,).
        slices: Shape (n, n_slices), one column per declared slice; a missing value is a slice of its own.
        predictions: Shape (n,) or (n, width) each, by model.

    Returns:
        Columns slice, value (text), model, rows, observed, predicted, the task's loss, `reference` (loss of the slice's
        own constant), `leakage metric` of the task (null where undefined) and reason.
    """
    frames = []
    for column in slices.columns:
        keys = slices.select(value=pl.col(column).cast(pl.String).fill_null("(missing)"))
        scores = _grouped(task, label, keys, ["value"], predictions)
        frames.append(
            scores.with_columns(slice=pl.lit(column)).join(
                _ranked(task, label, keys, predictions), on=["value", "model"]
            )
        )
    if not frames:
        return pl.DataFrame(schema={"slice": pl.String, "value": pl.String, "model": pl.String, "rows": pl.Int64})
    return pl.concat(frames).select("slice", pl.exclude("slice")).sort("slice", "value", "model", maintain_order=True)


def _grouped(
    task: str, label: Labels, keys: pl.DataFrame, by: Sequence[str], predictions: Mapping[str, Floats]
) -> pl.DataFrame:
    """Means per group and model; a model whose predictions cannot be used has null scores."""
    metrics = task_metrics(task)
    frames = []
    for model, prediction in predictions.items():
        observed, predicted = metrics.seen(label, prediction)
        rows = keys.with_columns(
            observed=pl.Series(observed),
            predicted=pl.Series(predicted),
            loss=pl.Series(metrics.row_loss(label, prediction)).fill_nan(None),
        )
        scores = rows.group_by(by).agg(
            pl.len().cast(pl.Int64).alias("rows"),
            pl.col("observed").mean(),
            pl.col("predicted").mean(),
            pl.when(pl.col("loss").null_count() == 0).then(pl.col("loss").mean()).alias(metrics.loss),
        )
        frames.append(scores.with_columns(model=pl.lit(model)))
    order = [*by, "model", "rows", "observed", "predicted", metrics.loss]
    return pl.concat(frames).select(order).sort([*by, "model"])


def _ranked(task: str, label: Labels, keys: pl.DataFrame, predictions: Mapping[str, Floats]) -> pl.DataFrame:
    """Per slice and model: the constant's loss and the leakage metric, or why there is none."""
    metrics = task_metrics(task)
    groups = keys.with_row_index("row").group_by("value", maintain_order=True).agg("row")
    found: list[dict[str, object]] = []
    for value, rows in groups.iter_rows():
        index = np.asarray(rows)
        for model, prediction in predictions.items():
            measured = _ranked_rows(metrics, label[index], prediction[index])
            found.append({"value": value, "model": model, **measured})
    schema = {
        "value": pl.String,
        "model": pl.String,
        "reference": pl.Float64,
        metrics.leakage: pl.Float64,
        "reason": pl.String,
    }
    return pl.DataFrame(found, schema=schema)


def _ranked_rows(metrics: TaskMetrics, label: Labels, prediction: Floats) -> dict[str, object]:
    leakage = metrics.metrics[metrics.leakage]
    reason = metrics.undefined(label, prediction) or leakage.undefined(label, prediction)
    return {
        "reference": float(metrics.row_loss(label, metrics.constants(label, prediction)).mean()),
        metrics.leakage: None if reason else float(leakage.value(label, prediction)),
        "reason": reason,
    }
