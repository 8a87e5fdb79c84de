"""How good predictions are, by task: one number each, and as curves.

Belongs here: measuring given predictions. Does not belong here: scores by day and by slice (`breakdowns.py`), how sure
a measurement is (`bootstrap.py`), and what follows from it (`promotion.py`). A metric that is not defined is None with
the reason beside it, never a zero.
"""

from collections.abc import Callable, Mapping
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
    edges = np.quantile(prediction, np.linspace(0, 1, bins + 1)[1:-1])
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
