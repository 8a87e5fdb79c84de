"""Measuring probabilities of label 1.

Belongs here: what a binary task says about itself. Does not belong here: what another task shares with it
(`metrics_interface.py`).
"""

from typing import Final

import numpy as np
import polars as pl

from assets.logic.calibration_noise import of_probabilities
from assets.logic.metrics_interface import (
    BINS,
    SMALLEST_PROBABILITY,
    Floats,
    Labels,
    Limits,
    Margin,
    Metric,
    TaskMetrics,
    Words,
    binned,
    binned_distance,
    mean_of,
)

CURVE_POINTS: Final = 200
"""More points than a screen shows; 27,000 would make a report of 10 MB."""
SHOWN_RECALL: Final = 0.01


def log_loss_rows(label: Labels, prediction: Floats) -> Floats:
    """Negative log likelihood of each row in nats, shape (n,)."""
    likelihood = np.where(label == 1, prediction, 1.0 - prediction)
    losses: Floats = -np.log(np.clip(likelihood, SMALLEST_PROBABILITY, 1.0))
    return losses


def calibration_curve(label: Labels, prediction: Floats, bins: int = BINS) -> pl.DataFrame:
    """Predicted against observed rate in bins of equally many rows.

    Equal predictions always share a bin, so a constant prediction has exactly one.

    Returns:
        Columns predicted, observed (means, 0 to 1) and rows, ordered by predicted, shape (<= bins, 3).
    """
    return binned(prediction, label.astype(np.float64), bins)


def expected_calibration_error(label: Labels, prediction: Floats) -> float:
    """Mean distance between predicted and observed rate over quantile bins, weighted by rows, 0 to 1."""
    return binned_distance(calibration_curve(label, prediction))


def _undefined(label: Labels, prediction: Floats) -> str | None:
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


def _curves(label: Labels, prediction: Floats) -> dict[str, pl.DataFrame]:
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


BINARY: Final = TaskMetrics(
    metrics={
        "roc_auc": Metric(title="ROC AUC", spoken="ROC AUC", value=_roc_auc, higher_is_better=True),
        "average_precision": Metric(title="Average precision", value=_average_precision, higher_is_better=True),
        "log_loss": mean_of(log_loss_rows, "Log loss"),
        "brier": mean_of(lambda label, prediction: (prediction - label) ** 2, "Brier score"),
        "ece": Metric(title="Calibration error", value=expected_calibration_error),
    },
    row_loss=log_loss_rows,
    loss="log_loss",
    leakage="roc_auc",
    calibration="ece",
    width=1,
    undefined=_undefined,
    constant=lambda label, _: np.array(float(label.mean())),
    labels=lambda label: {"positive_share": float(label.mean()) if len(label) else None},
    seen=lambda label, prediction: (label.astype(np.float64), prediction),
    seen_unit="share",
    calibration_curve=calibration_curve,
    calibration_noise=lambda label, prediction: of_probabilities(calibration_curve(label, prediction)),
    curves=_curves,
    limits=Limits(
        margin=Margin(value=0.002), slice_margin=Margin(value=0.01), leakage_ceiling=0.99, calibration_limit=0.05
    ),
    words=Words(
        constant="rate",
        own="Own rate",
        meaning="Probabilities mean what they say.",
        trusted="Its probabilities can be trusted",
        untrusted="Its probabilities are off",
        calibration="predicted and observed rates differ by {value:.1%} on average; less than {limit:.1%} is asked",
        leakage="ROC AUC is {value:.3f}; {limit:.2f} or more would mean that the future leaked into the features",
        observed="Observed",
        predicted="Predicted",
        axes=("Predicted probability", "Observed rate"),
        contribution="log odds",
        raised="raised the probability",
        labels=lambda facts: f"{facts['positive_share']:.1%} of them positive",
    ),
)
