"""How good predictions are, by task: one number each, and as curves.

Belongs here: which tasks there are, and measuring given predictions with what a task says about itself
(`metrics_interface.py`). Does not belong here: scores by day and by slice (`breakdowns.py`), how sure a measurement is
(`bootstrap.py`), and what follows from it (`promotion.py`). A metric that is not defined is None with the reason beside
it, never a zero.
"""

from collections.abc import Mapping
from typing import Final

from assets.logic.metrics_binary import BINARY
from assets.logic.metrics_interface import Floats, Labels, Measured, Metric, TaskMetrics
from assets.logic.metrics_multiclass import MULTICLASS
from assets.logic.metrics_quantities import COUNT, REGRESSION

__all__ = ["TASKS", "Floats", "Labels", "Measured", "Metric", "TaskMetrics", "fits", "score", "task_metrics"]

TASKS: Final[Mapping[str, TaskMetrics]] = {
    "binary": BINARY,
    "multiclass": MULTICLASS,
    "regression": REGRESSION,
    "count": COUNT,
}


def score(task: str, label: Labels, prediction: Floats) -> dict[str, Measured]:
    """Every metric of the task, in a fixed order.

    Args:
        task: Kind of task, such as `binary`.
        label: Shape (n,). Binary: 0 or 1. Multiclass: position of the class in the columns of `prediction`.
        prediction: Shape (n,) for a binary task, (n, classes) for a multiclass task, (n, 3) for quantities and counts:
            the point and the ends of its interval.

    Raises:
        ValueError: If the shapes do not fit the task or the task has no metrics.
    """
    metrics = task_metrics(task)
    if label.ndim != 1 or not fits(metrics, prediction, len(label)):
        raise ValueError(
            f"labels and predictions of task {task!r} must be one row each, got shapes {label.shape} and "
            f"{prediction.shape}"
        )
    if reason := metrics.undefined(label, prediction):
        return {name: Measured(value=None, reason=reason) for name in metrics.metrics}
    return {name: _measured(metric, label, prediction) for name, metric in metrics.metrics.items()}


def _measured(metric: Metric, label: Labels, prediction: Floats) -> Measured:
    if reason := metric.undefined(label, prediction):
        return Measured(value=None, reason=reason)
    return Measured(value=float(metric.value(label, prediction)))


def fits(metrics: TaskMetrics, prediction: Floats, rows: int) -> bool:
    """Whether a prediction has the shape of the task for so many rows."""
    if metrics.width == 1:
        return prediction.shape == (rows,)
    if prediction.ndim != 2 or len(prediction) != rows:
        return False
    return bool(prediction.shape[1] == metrics.width if metrics.width else prediction.shape[1] > 1)


def task_metrics(task: str) -> TaskMetrics:
    """The metrics of a task.

    Raises:
        ValueError: If there are none, naming the tasks that have some.
    """
    if task not in TASKS:
        raise ValueError(f"task {task!r} has no metrics; known are {sorted(TASKS)}")
    return TASKS[task]
