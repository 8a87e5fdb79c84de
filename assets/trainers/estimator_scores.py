"""From what a scikit-learn estimator answers to raw scores, by task.

Belongs here: probabilities and predictions turned into log odds, quantities, logarithms of means. Does not belong here:
fitting and keeping an estimator (`estimator.py`).
"""

from collections.abc import Callable, Mapping
from typing import Any, Final

import numpy as np

from assets.policies import Task
from assets.trainers.calibration import Floats

NEEDED: Final[Mapping[Task, tuple[str, ...]]] = {
    "binary": ("predict_proba", "decision_function"),
    "multiclass": ("predict_proba", "decision_function"),
    "regression": ("predict",),
    "count": ("predict",),
}
"""Methods of which an estimator has to have one."""
LARGEST_MEAN: Final = 1e12
"""No count is expected beyond it; an infinite mean could be neither explained nor compared."""


def _log_odds(estimator: Any, matrix: Floats, least: float) -> Floats:
    if not hasattr(estimator, "predict_proba"):
        return np.asarray(estimator.decision_function(matrix), dtype=np.float64)
    probability = np.clip(np.asarray(estimator.predict_proba(matrix), dtype=np.float64), least, None)
    return np.asarray(np.log(probability[:, 1] / probability[:, 0]), dtype=np.float64)


def _log_probabilities(estimator: Any, matrix: Floats, least: float) -> Floats:
    if hasattr(estimator, "predict_proba"):
        probability = np.asarray(estimator.predict_proba(matrix), dtype=np.float64)
        return np.asarray(np.log(np.clip(probability, least, None)), dtype=np.float64)
    scores = np.asarray(estimator.decision_function(matrix), dtype=np.float64)
    # Of two classes scikit-learn gives the log odds of the second.
    return scores if scores.ndim > 1 else np.column_stack([-scores, scores]) / 2


def _quantity(estimator: Any, matrix: Floats, _: float) -> Floats:
    return np.asarray(estimator.predict(matrix), dtype=np.float64)


def _log_mean(estimator: Any, matrix: Floats, least: float) -> Floats:
    with np.errstate(over="ignore"):  # a log link's answer to a row far from all training
        mean = np.asarray(estimator.predict(matrix), dtype=np.float64)
    return np.asarray(np.log(np.clip(mean, least, LARGEST_MEAN)), dtype=np.float64)


SCORES: Final[Mapping[Task, Callable[[Any, Floats, float], Floats]]] = {
    "binary": _log_odds,
    "multiclass": _log_probabilities,
    "regression": _quantity,
    "count": _log_mean,
}
LEAST: Final[Mapping[Task, Callable[[int], float]]] = {
    # An estimator may say 0 (a forest none of whose trees votes for it); what n rows can show is not less than this.
    "binary": lambda rows: 1 / (rows + 2),
    "multiclass": lambda rows: 1 / (rows + 2),
    "regression": lambda _: 0.0,
    "count": lambda rows: 0.5 / rows,
}
"""The least probability, or mean of a count, that is believed, from the number of training rows."""
