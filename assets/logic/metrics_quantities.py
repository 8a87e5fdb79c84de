"""Measuring quantities and counts. A prediction is a point and the ends of its interval, shape (n, 3).

Belongs here: what the tasks regression and count say about themselves. Does not belong here: how intervals are made
(`assets/trainers/intervals.py`).
"""

from collections.abc import Callable
from typing import Final

import numpy as np
import polars as pl

from assets.logic.calibration_noise import of_coverage
from assets.logic.metrics_interface import (
    Floats,
    Labels,
    Limits,
    Margin,
    Metric,
    TaskMetrics,
    Words,
    binned,
    mean_of,
)
from assets.logic.wording import number
from assets.policies import INTERVAL

SMALLEST_MEAN: Final = 1e-7
"""A count where none was expected costs 30 times itself in deviance instead of infinity, so that one row cannot decide
everything."""
SHOWN_ROWS: Final = 2_000
"""Rows drawn as dots, evenly many of every time; more only cover each other."""
TAILS: Final = ((1 - INTERVAL) / 2, (1 + INTERVAL) / 2)


def absolute_error_rows(label: Labels, prediction: Floats) -> Floats:
    """Distance of the point from the label, in the target's unit, shape (n,)."""
    return np.abs(label - prediction[:, 0])


def poisson_deviance_rows(label: Labels, prediction: Floats) -> Floats:
    """2 (y log(y / mean) - y + mean) of each row, 0 or more, shape (n,).

    Source: McCullagh and Nelder 1989, "Generalized linear models", 2.3.
    """
    counted, mean = label.astype(np.float64), np.maximum(prediction[:, 0], SMALLEST_MEAN)
    logarithm = np.log(np.where(counted > 0, counted / mean, 1.0))
    return np.asarray(2 * (counted * logarithm - counted + mean), dtype=np.float64)


def residual_ends(label: Labels, point: Floats) -> tuple[float, float]:
    """Residuals between which `INTERVAL` of the labels lie, one tail each; 0 lies between them."""
    low, high = np.quantile(label - point, TAILS)
    return min(0.0, float(low)), max(0.0, float(high))


def around(point: Floats, ends: tuple[float, float], floor: float) -> Floats:
    """The point with an interval that is the same distance away everywhere, shape (..., 3); not below `floor`."""
    return np.stack([point, np.minimum(point, np.maximum(point + ends[0], floor)), point + ends[1]], axis=-1)


def _squared_rows(label: Labels, prediction: Floats) -> Floats:
    return np.asarray((label - prediction[:, 0]) ** 2, dtype=np.float64)


def _r2(label: Labels, prediction: Floats) -> float:
    return float(1 - _squared_rows(label, prediction).mean() / label.var())


def _inside(label: Labels, prediction: Floats) -> Floats:
    return ((prediction[:, 1] <= label) & (label <= prediction[:, 2])).astype(np.float64)


def _width(_: Labels, prediction: Floats) -> Floats:
    return np.asarray(prediction[:, 2] - prediction[:, 1], dtype=np.float64)


def _no_spread(label: Labels, _: Floats) -> str | None:
    return None if label.min() < label.max() else f"all {len(label)} labels are {float(label[0]):g}"


def _undefined(label: Labels, prediction: Floats) -> str | None:
    if not len(label):
        return "there are no labelled rows"
    if unusable := int((~np.isfinite(prediction).all(axis=1)).sum()):
        return f"{unusable} of {len(prediction)} predictions are not finite numbers"
    outside = ~((prediction[:, 1] <= prediction[:, 0]) & (prediction[:, 0] <= prediction[:, 2]))
    if unusable := int(outside.sum()):
        return f"{unusable} of {len(prediction)} predictions lie outside their own interval"
    if unusable := int((~np.isfinite(label)).sum()):
        return f"{unusable} of {len(label)} labels are not finite numbers"
    return None


def _count_undefined(label: Labels, prediction: Floats) -> str | None:
    if reason := _undefined(label, prediction):
        return reason
    if negative := int((prediction[:, 0] < 0).sum()):
        return f"{negative} of {len(prediction)} predictions are below 0, and a count cannot be"
    if label.min() < 0:
        return f"{int((label < 0).sum())} of {len(label)} labels are below 0, and a count cannot be"
    return None


def _constant(middle: Callable[[Labels], float], floor: float) -> Callable[[Labels, int], Floats]:
    def constant(label: Labels, _: int) -> Floats:
        point = np.asarray(middle(label))
        return around(point, residual_ends(label, point), floor)

    return constant


def _label_facts(label: Labels) -> dict[str, float | None]:
    if not len(label):
        return {"low": None, "median": None, "high": None}
    low, median, high = (float(v) for v in np.quantile(label, [TAILS[0], 0.5, TAILS[1]]))
    return {"low": low, "median": median, "high": high}


def _calibration_curve(label: Labels, prediction: Floats) -> pl.DataFrame:
    """Mean prediction against mean label."""
    return binned(prediction[:, 0], label.astype(np.float64))


def _curves(label: Labels, prediction: Floats) -> dict[str, pl.DataFrame]:
    """Points of some rows, and how many labels lie inside their intervals.

    Returns:
        `dots`: columns predicted and observed. `coverage`: over bins of the prediction, columns predicted, observed
        (share of labels inside), rows and width (mean, of the interval).
    """
    step = -(-len(label) // SHOWN_ROWS)
    dots = {"predicted": prediction[::step, 0], "observed": label[::step].astype(np.float64)}
    coverage = binned(prediction[:, 0], _inside(label, prediction), bins=10, width=_width(label, prediction))
    return {"dots": pl.DataFrame(dots), "coverage": coverage}


def _coverage_error(label: Labels, prediction: Floats) -> float:
    """Distance of the share inside from the promised one; rounded, or 0.9 - 0.9 would depend on the order of sums."""
    return round(abs(float(_inside(label, prediction).mean()) - INTERVAL), 12)


_COMMON: Final = {
    "mae": mean_of(absolute_error_rows, "Mean absolute error", unit="target"),
    "rmse": Metric(
        title="RMSE",
        value=lambda label, prediction: float(np.sqrt(_squared_rows(label, prediction).mean())),
        unit="target",
    ),
    "r2": Metric(title="R²", spoken="R²", value=_r2, higher_is_better=True, undefined=_no_spread),
    "bias": mean_of(
        lambda label, prediction: np.asarray(prediction[:, 0] - label, dtype=np.float64),
        "Bias",
        higher_is_better=None,
        unit="target",
    ),
    "coverage": mean_of(_inside, f"Inside the {INTERVAL:.0%} interval", higher_is_better=None, unit="share"),
    "interval_width": mean_of(_width, "Interval width", higher_is_better=None, unit="target"),
    "coverage_error": Metric(title="Coverage error", value=_coverage_error, unit="share"),
}
_LIMITS: Final = Limits(
    margin=Margin(value=0.01, is_relative=True),
    slice_margin=Margin(value=0.05, is_relative=True, least=0.01),
    leakage_ceiling=0.999,
    calibration_limit=0.1,
)


def _seen(label: Labels, prediction: Floats) -> tuple[Floats, Floats]:
    return label.astype(np.float64), prediction[:, 0]


def _words(contribution: str) -> Words:
    return Words(
        constant="constant",
        own="Own constant",
        meaning="Intervals hold as many labels as they promise.",
        trusted="Its intervals can be trusted",
        untrusted="Its intervals promise what they do not keep",
        calibration=f"the share of labels inside the {INTERVAL:.0%} intervals is off by {{value:.1%}}; less than "
        "{limit:.1%} is asked",
        leakage="R² is {value:.4f}; {limit:g} or more would mean that the future leaked into the features",
        observed="Mean observed",
        predicted="Mean predicted",
        axes=("Mean prediction", "Mean observed"),
        contribution=contribution,
        raised="raised the prediction",
        labels=lambda facts: (
            f"nine in ten labels from {number(facts['low'], 'target')} to {number(facts['high'], 'target')}"
        ),
    )


REGRESSION: Final = TaskMetrics(
    metrics=_COMMON,
    row_loss=absolute_error_rows,
    loss="mae",
    leakage="r2",
    calibration="coverage_error",
    width=3,
    undefined=_undefined,
    constant=_constant(lambda label: float(np.median(label)), -np.inf),
    labels=_label_facts,
    seen=_seen,
    seen_unit="target",
    calibration_curve=_calibration_curve,
    calibration_noise=lambda label, _: of_coverage(len(label)),
    curves=_curves,
    limits=_LIMITS,
    words=_words("in the target's unit"),
)
COUNT: Final = TaskMetrics(
    metrics={
        "poisson_deviance": mean_of(
            poisson_deviance_rows, "Poisson deviance", unit="target", spoken="Poisson deviance"
        ),
        **_COMMON,
    },
    row_loss=poisson_deviance_rows,
    loss="poisson_deviance",
    leakage="r2",
    calibration="coverage_error",
    width=3,
    undefined=_count_undefined,
    constant=_constant(lambda label: float(np.mean(label)), 0.0),
    labels=_label_facts,
    seen=_seen,
    seen_unit="target",
    calibration_curve=_calibration_curve,
    calibration_noise=lambda label, _: of_coverage(len(label)),
    curves=_curves,
    limits=_LIMITS,
    words=_words("logarithm of the mean"),
)
