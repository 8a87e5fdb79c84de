"""Measuring probabilities of several classes. Labels are positions in the columns of a prediction; `OTHER` is the last.

Belongs here: what a multiclass task says about itself. Does not belong here: which classes there are (`splits.py`), and
bringing models that know other classes into the same columns (`classes.py`).
"""

from typing import Final

import numpy as np
import polars as pl

from assets.logic.calibration_noise import of_probabilities
from assets.logic.metrics_interface import (
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

SUM_TOLERANCE: Final = 1e-3
"""How far a row of probabilities may be from 1: single precision over a thousand classes stays well within."""


def _log_loss_rows(label: Labels, prediction: Floats) -> Floats:
    """Negative log likelihood of each row's class in nats, shape (n,)."""
    likelihood = prediction[np.arange(len(label)), label.astype(np.int64)]
    losses: Floats = -np.log(np.clip(likelihood, SMALLEST_PROBABILITY, 1.0))
    return losses


def _hits(label: Labels, prediction: Floats) -> Floats:
    """1 where the most likely class is the right one, else 0, shape (n,)."""
    return np.asarray(prediction.argmax(axis=1) == label, dtype=np.float64)


def _brier_rows(label: Labels, prediction: Floats) -> Floats:
    """Squared distance between the probabilities and the class that came, 0 to 2, shape (n,).

    Source: Brier 1950, "Verification of forecasts expressed in terms of probability", the form for several classes.
    """
    right = prediction[np.arange(len(label)), label.astype(np.int64)]
    losses: Floats = (prediction**2).sum(axis=1) - 2 * right + 1
    return losses


def _macro_auc(label: Labels, prediction: Floats) -> float:
    """Mean over the classes that occur of how well each is told apart from all others."""
    from sklearn.metrics import roc_auc_score

    present = np.unique(label).astype(np.int64)
    return float(np.mean([roc_auc_score(label == c, prediction[:, c]) for c in present]))


def _one_class(label: Labels, _: Floats) -> str | None:
    classes = np.unique(label)
    return None if len(classes) > 1 else f"all {len(label)} labels are of one class, and two are needed"


def _calibration_curve(label: Labels, prediction: Floats) -> pl.DataFrame:
    """Confidence in the most likely class against how often it is right."""
    return binned(prediction.max(axis=1), _hits(label, prediction))


def _undefined(label: Labels, prediction: Floats) -> str | None:
    if not len(label):
        return "there are no labelled rows"
    fit = (np.isfinite(prediction) & (prediction >= 0) & (prediction <= 1)).all(axis=1)
    fit &= np.abs(np.where(fit, prediction.sum(axis=1), 0.0) - 1) <= SUM_TOLERANCE
    if unusable := int((~fit).sum()):
        return f"{unusable} of {len(prediction)} predictions are not probabilities that add up to 1"
    if label.min() < 0 or label.max() >= prediction.shape[1]:
        return f"a label is not one of the {prediction.shape[1]} classes that are predicted"
    return None


def _constant(label: Labels, width: int) -> Floats:
    shares: Floats = np.bincount(label.astype(np.int64), minlength=width) / len(label)
    return shares


def _label_facts(label: Labels) -> dict[str, float | None]:
    if not len(label):
        return {"classes": None, "largest_share": None}
    counts = np.unique(label, return_counts=True)[1]
    return {"classes": float(len(counts)), "largest_share": float(counts.max() / len(label))}


def _confusion(label: Labels, prediction: Floats) -> dict[str, pl.DataFrame]:
    """Columns observed and predicted (positions of classes) and rows, shape (pairs that occur, 3)."""
    pairs = pl.DataFrame({"observed": label.astype(np.int64), "predicted": prediction.argmax(axis=1)})
    by = ["observed", "predicted"]
    return {"confusion": pairs.group_by(by).agg(rows=pl.len().cast(pl.Int64)).sort(by)}


MULTICLASS: Final = TaskMetrics(
    metrics={
        "log_loss": mean_of(_log_loss_rows, "Log loss"),
        "accuracy": mean_of(_hits, "Accuracy", higher_is_better=True),
        "macro_auc": Metric(
            title="ROC AUC, mean of classes",
            spoken="the mean ROC AUC of the classes",
            value=_macro_auc,
            higher_is_better=True,
            undefined=_one_class,
        ),
        "brier": mean_of(_brier_rows, "Brier score"),
        "ece": Metric(
            title="Calibration error",
            value=lambda label, prediction: binned_distance(_calibration_curve(label, prediction)),
        ),
    },
    row_loss=_log_loss_rows,
    loss="log_loss",
    leakage="macro_auc",
    calibration="ece",
    width=None,
    undefined=_undefined,
    constant=_constant,
    labels=_label_facts,
    seen=lambda label, prediction: (_hits(label, prediction), prediction.max(axis=1)),
    seen_unit="share",
    calibration_curve=_calibration_curve,
    calibration_noise=lambda label, prediction: of_probabilities(_calibration_curve(label, prediction)),
    curves=_confusion,
    limits=Limits(
        margin=Margin(value=0.002), slice_margin=Margin(value=0.01), leakage_ceiling=0.99, calibration_limit=0.05
    ),
    words=Words(
        constant="set of class shares",
        own="Own shares",
        meaning="Probabilities mean what they say.",
        trusted="Its probabilities can be trusted",
        untrusted="Its probabilities are off",
        calibration="how sure it is of the most likely class and how often that class is right differ by {value:.1%} "
        "on average; less than {limit:.1%} is asked",
        leakage="the mean ROC AUC of the classes is {value:.3f}; {limit:.2f} or more would mean that the future leaked "
        "into the features",
        observed="Accuracy",
        predicted="Mean confidence",
        axes=("Confidence in the most likely class", "How often it is right"),
        contribution="log odds of the most likely class",
        raised="made the class that the model found most likely more likely",
        labels=lambda facts: (
            f"{facts['classes']:.0f} classes among them, the most frequent with {facts['largest_share']:.1%}"
        ),
    ),
)
