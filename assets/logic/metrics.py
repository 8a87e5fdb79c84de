"""How good predictions are, by task: one number, over days, by slice, and as a calibration curve.

Belongs here: measuring given predictions. Does not belong here: how sure a measurement is (`bootstrap.py`) and what
follows from it (`promotion.py`). A metric that is not defined is None with the reason beside it, never a zero.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, TypeAlias

import numpy as np
import numpy.typing as npt
import polars as pl

Floats: TypeAlias = npt.NDArray[np.float64]
Labels: TypeAlias = npt.NDArray[np.integer] | npt.NDArray[np.float64]

CALIBRATION_BINS: Final = 15
"""Quantile bins of the calibration error; the number behind the 0.7 % that an honest model reaches (DATA.md 1.2)."""
CURVE_POINTS: Final = 200
"""More points than a screen shows; 27,000 would make a report of 10 MB."""
SHOWN_RECALL: Final = 0.01
SMALLEST_PROBABILITY: Final = 1e-7
"""A certain but wrong prediction costs 16 nats instead of infinity, so that one row cannot decide everything."""


@dataclass(frozen=True, kw_only=True)
class Measured:
    """A measurement, or the reason why there is none."""

    value: float | None
    reason: str | None = None


@dataclass(frozen=True, kw_only=True)
class TaskMetrics:
    """What counts for one kind of task.

    Attributes:
        metrics: Functions of (label, prediction), both shape (n,), by metric name.
        row_loss: Loss of each row, shape (n,); its mean is the metric `loss`.
        loss: The metric that decides promotions; lower is better.
        leakage: The metric that is too good to be true above a ceiling.
        undefined: Reason why nothing can be measured on these labels and predictions, or None.
        drawn: Names of the curves worth drawing.
        curves: Those curves by name, columns x and y; only for labels and predictions that can be measured.
    """

    metrics: Mapping[str, Callable[[Labels, Floats], float]]
    row_loss: Callable[[Labels, Floats], Floats]
    loss: str
    leakage: str
    undefined: Callable[[Labels, Floats], str | None]
    drawn: tuple[str, ...]
    curves: Callable[[Labels, Floats], dict[str, pl.DataFrame]]


def score(task: str, label: Labels, prediction: Floats) -> dict[str, Measured]:
    """Every metric of the task, in a fixed order.

    Args:
        task: Kind of task, such as `binary`.
        label: Shape (n,); 0 or 1 for a binary task.
        prediction: Shape (n,); probability of label 1 for a binary task.

    Raises:
        ValueError: If the shapes differ or the task has no metrics.
    """
    metrics = task_metrics(task)
    if label.shape != prediction.shape or label.ndim != 1:
        raise ValueError(
            f"labels and predictions must be one row each, got shapes {label.shape} and {prediction.shape}"
        )
    if reason := metrics.undefined(label, prediction):
        return {name: Measured(value=None, reason=reason) for name in metrics.metrics}
    return {name: Measured(value=float(function(label, prediction))) for name, function in metrics.metrics.items()}


def task_metrics(task: str) -> TaskMetrics:
    """The metrics of a task.

    Raises:
        ValueError: If there are none, naming the tasks that have some.
    """
    if task not in TASKS:
        raise ValueError(f"task {task!r} has no metrics; known are {sorted(TASKS)}")
    return TASKS[task]


def log_loss_rows(label: Labels, prediction: Floats) -> Floats:
    """Negative log likelihood of each row in nats, shape (n,)."""
    likelihood = np.where(label == 1, prediction, 1.0 - prediction)
    losses: Floats = -np.log(np.clip(likelihood, SMALLEST_PROBABILITY, 1.0))
    return losses


def calibration_curve(label: Labels, prediction: Floats, bins: int = CALIBRATION_BINS) -> pl.DataFrame:
    """Predicted against observed rate in bins of equally many rows.

    Equal predictions always share a bin, so a constant prediction has exactly one.

    Returns:
        Columns predicted, observed (means, 0 to 1) and rows, ordered by predicted, shape (<= bins, 3).
    """
    edges = np.unique(np.quantile(prediction, np.linspace(0, 1, bins + 1)[1:-1]))
    frame = pl.DataFrame({"bin": np.searchsorted(edges, prediction, side="right"), "p": prediction, "y": label})
    return (
        frame.group_by("bin")
        .agg(predicted=pl.col("p").mean(), observed=pl.col("y").cast(pl.Float64).mean(), rows=pl.len().cast(pl.Int64))
        .sort("bin")
        .drop("bin")
    )


def expected_calibration_error(label: Labels, prediction: Floats) -> float:
    """Mean distance between predicted and observed rate over quantile bins, weighted by rows, 0 to 1."""
    curve = calibration_curve(label, prediction)
    distance = np.abs(curve["predicted"].to_numpy() - curve["observed"].to_numpy())
    return float(np.average(distance, weights=curve["rows"].to_numpy()))


def by_day(
    task: str, label: Labels, day: npt.NDArray[np.datetime64], predictions: Mapping[str, Floats]
) -> pl.DataFrame:
    """Scores of every model on every day.

    Returns:
        Columns day, model, rows, observed, predicted and the task's loss, ordered by day and model.
    """
    days = pl.Series("day", day).cast(pl.Date)
    return _grouped(task, label, days.to_frame(), ["day"], predictions)


def by_slice(task: str, label: Labels, slices: pl.DataFrame, predictions: Mapping[str, Floats]) -> pl.DataFrame:
    """Scores of every model in every slice, beside a constant that knows the slice's own rate in these rows.

    Args:
        task: Kind of task.
        label: Shape (n,).
        slices: Shape (n, n_slices), one column per declared slice; a missing value is a slice of its own.
        predictions: Shape (n,) each, by model.

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
    base = keys.with_columns(observed=pl.Series(label).cast(pl.Float64))
    frames = []
    for model, prediction in predictions.items():
        rows = base.with_columns(
            predicted=pl.Series(prediction), loss=pl.Series(metrics.row_loss(label, prediction)).fill_nan(None)
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
        labels = label[index]
        constant = np.full(len(index), float(np.mean(labels)))
        reference = float(metrics.row_loss(labels, constant).mean())
        for model, prediction in predictions.items():
            reason = metrics.undefined(labels, prediction[index])
            value_of = None if reason else float(metrics.metrics[metrics.leakage](labels, prediction[index]))
            found.append(
                {"value": value, "model": model, "reference": reference, metrics.leakage: value_of, "reason": reason}
            )
    schema = {
        "value": pl.String,
        "model": pl.String,
        "reference": pl.Float64,
        metrics.leakage: pl.Float64,
        "reason": pl.String,
    }
    return pl.DataFrame(found, schema=schema)


def _binary_undefined(label: Labels, prediction: Floats) -> str | None:
    if not len(label):
        return "there are no labelled rows"
    if unusable := int((~(np.isfinite(prediction) & (prediction >= 0) & (prediction <= 1))).sum()):
        return f"{unusable} of {len(prediction)} predictions are not probabilities between 0 and 1"
    classes = np.unique(label)
    if len(classes) < 2:
        return f"all {len(label)} labels are {int(classes[0])}, and two classes are needed"
    return None


def _roc_auc(label: Labels, prediction: Floats) -> float:
    from sklearn.metrics import roc_auc_score

    return float(roc_auc_score(label, prediction))


def _average_precision(label: Labels, prediction: Floats) -> float:
    from sklearn.metrics import average_precision_score

    return float(average_precision_score(label, prediction))


def _binary_curves(label: Labels, prediction: Floats) -> dict[str, pl.DataFrame]:
    from sklearn.metrics import precision_recall_curve, roc_curve

    false_rate, true_rate, _ = roc_curve(label, prediction)
    precision, recall, _ = precision_recall_curve(label, prediction)
    # Recall 0 at precision 1 is scikit-learn's convention, and the precision of a handful of rows is chance.
    shown = recall >= SHOWN_RECALL
    ranked = _thinned(recall[shown][::-1], precision[shown][::-1])
    return {"roc": _thinned(false_rate, true_rate), "precision_recall": ranked}


def _thinned(x: Floats, y: Floats) -> pl.DataFrame:
    """At most `CURVE_POINTS` points, evenly spread along x, first and last included."""
    wanted = np.searchsorted(x, np.linspace(x[0], x[-1], CURVE_POINTS))
    keep = np.unique(np.concatenate([[0], np.clip(wanted, 0, len(x) - 1), [len(x) - 1]]))
    return pl.DataFrame({"x": x[keep], "y": y[keep]})


TASKS: Final[Mapping[str, TaskMetrics]] = {
    "binary": TaskMetrics(
        metrics={
            "roc_auc": _roc_auc,
            "average_precision": _average_precision,
            "log_loss": lambda label, prediction: float(log_loss_rows(label, prediction).mean()),
            "brier": lambda label, prediction: float(np.mean((prediction - label) ** 2)),
            "ece": expected_calibration_error,
        },
        row_loss=log_loss_rows,
        loss="log_loss",
        leakage="roc_auc",
        undefined=_binary_undefined,
        drawn=("roc", "precision_recall"),
        curves=_binary_curves,
    )
}
